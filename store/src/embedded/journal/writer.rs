//! The end of the journal: where the next record goes, and its number. Used under the commit lock.
//!
//! **Invariant:** a segment is begun by a record without entries, which is synced before another follows. It says that the
//! engine has what the segment held before. One sector is written wholly or not at all: so at no moment are both the old
//! records spoilt and the word that they are not needed missing.

use std::io;

use super::record::{self, HEADER_BYTES, Header};
use super::sector::{Sectors, sectors_for};
use super::segment::Segment;

/// Writes records, each behind the one before.
pub(in crate::embedded) struct Writer {
    active: Option<Active>,
    /// The last record's number.
    last: u64,
    /// The next record's number: above every number that any sector ever had.
    next: u64,
    record: Sectors,
}

struct Active {
    segment: Segment,
    /// The first free sector.
    end: u32,
}

/// What else a header says.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct Facts {
    pub(in crate::embedded) synced: u64,
    pub(in crate::embedded) applied: u64,
    pub(in crate::embedded) segments: u32,
}

impl Writer {
    /// Goes on after record `last` in this segment, from this sector; without a segment one must be begun first.
    pub(in crate::embedded) fn new(last: u64, highest: u64, active: Option<(Segment, u32)>) -> Self {
        let active = active.map(|(segment, end)| Active { segment, end });
        Self { active, last, next: highest.max(last) + 1, record: Sectors::default() }
    }

    /// The last record's number.
    pub(in crate::embedded) fn last(&self) -> u64 {
        self.last
    }

    /// The segment that is being filled.
    pub(in crate::embedded) fn segment(&self) -> Option<&Segment> {
        self.active.as_ref().map(|active| &active.segment)
    }

    /// Bytes of the segment that is being filled that are taken.
    pub(in crate::embedded) fn filled_bytes(&self) -> u64 {
        self.active.as_ref().map_or(0, |active| u64::from(active.end) * super::sector::SECTOR_BYTES as u64)
    }

    /// Whether a record with such a payload fits.
    pub(in crate::embedded) fn fits(&self, payload: usize) -> bool {
        let sectors = sectors_for(HEADER_BYTES + payload) as u64;
        self.active
            .as_ref()
            .is_some_and(|active| u64::from(active.end) + sectors <= active.segment.place.sectors.into())
    }

    /// Begins a segment and syncs that, if it is wished. What it held must be in the engine, and the segment before it synced.
    pub(in crate::embedded) fn begin(&mut self, segment: Segment, facts: Facts, sync: bool) -> io::Result<u64> {
        self.active = Some(Active { segment, end: 0 });
        let number = self.write(facts, 0, |_| ())?;
        match &self.active {
            Some(active) if sync => active.segment.sync()?,
            _ => {}
        }
        Ok(number)
    }

    /// Writes a record whose payload has exactly this length; `fill` puts it there. Returns its number. There must be room.
    pub(in crate::embedded) fn write(
        &mut self,
        facts: Facts,
        payload: usize,
        fill: impl FnOnce(&mut Sectors),
    ) -> io::Result<u64> {
        debug_assert!(payload <= record::PAYLOAD_BYTES_MAX && self.fits(payload));
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("no segment was begun"));
        };
        let Facts { synced, applied, segments } = facts;
        let header = Header { previous: self.last, synced, applied, segments };
        self.record.clear();
        self.record.put(&header.encode(payload));
        fill(&mut self.record);
        let (number, count) = (self.next, self.record.count());
        debug_assert_eq!(count as usize, sectors_for(HEADER_BYTES + payload));
        active.segment.write(active.end, self.record.stamp(active.segment.place, active.end, number))?;
        active.end += count;
        (self.last, self.next) = (number, number + 1);
        Ok(number)
    }
}
