//! What the journal says after the last process ended, however it ended. Pure: the bytes of all segments in, the records that
//! count out, or what is wrong.
//!
//! Everything that a sector with a right checksum says is true. So:
//! 1. A sector that is neither whole nor empty is **damage**, wherever it lies: no crash leaves one.
//! 2. Records up to the highest `applied` do not count any more: the engine has them.
//! 3. From there each record names the one before it. The chain ends where no whole record follows; what else there is above
//!    `applied` is what a crash left of records that were never confirmed.
//! 4. If any header says that something beyond the end was synced, or that there were more segments, that is **damage**.
//!
//! **Not detected:** sectors of the newest confirmed records that are wholly back to what they were before, if no record
//! that was written after their barrier is left to tell. Only a disk that lied about a sync does that.

use std::collections::HashMap;

use bytes::Bytes;

use super::record::{HEADER_BYTES, Header};
use super::sector::{DATA_BYTES, Place, SECTOR_BYTES, Sector, sectors_for};

/// A record that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// Which of the segments.
    pub(crate) segment: u32,
    /// The first sector behind it.
    pub(crate) end: u32,
    /// Its number.
    pub(crate) number: u64,
    /// Its entries.
    pub(crate) payload: Bytes,
}

/// What the journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The records that the engine may not have, in their order.
    pub(crate) live: Vec<Live>,
    /// The engine has everything up to this number.
    pub(crate) applied: u64,
    /// The number of the newest record that counts, or counted.
    pub(crate) last: u64,
    /// The highest number that was ever seen.
    pub(crate) highest: u64,
    /// Records that a crash kept from being written wholly, as far as anything of them is left.
    pub(crate) torn: usize,
}

/// A whole record, where it lies.
struct Whole {
    segment: usize,
    sector: usize,
    header: Header,
    payload: usize,
}

/// What was seen of all sectors.
#[derive(Default)]
struct Seen {
    highest: u64,
    synced: u64,
    applied: u64,
    segments: u32,
    /// By number.
    whole: HashMap<u64, Whole>,
    /// The numbers of all first sectors.
    begun: Vec<u64>,
}

/// Reads all segments; the first of them is number 0.
pub(crate) fn scan(segments: &[impl AsRef<[u8]>]) -> Result<Found, String> {
    let mut seen = Seen::default();
    for (segment, bytes) in segments.iter().enumerate() {
        seen.add(segment, bytes.as_ref())?;
    }
    if usize::try_from(seen.segments).map_or(true, |known| known > segments.len()) {
        return Err(format!("{} segments are there of {}", segments.len(), seen.segments));
    }
    let mut next: HashMap<u64, u64> = HashMap::new();
    for (number, whole) in &seen.whole {
        if whole.header.previous >= seen.applied && next.insert(whole.header.previous, *number).is_some() {
            return Err(format!("two records follow record {}", whole.header.previous));
        }
    }
    let mut found = Found { applied: seen.applied, last: seen.applied, highest: seen.highest, ..Found::default() };
    while let Some(number) = next.remove(&found.last) {
        let whole = &seen.whole[&number];
        let bytes = segments[whole.segment].as_ref();
        found.live.push(whole.take(number, bytes));
        found.last = number;
    }
    check_order(&found.live)?;
    if seen.synced > found.last {
        return Err(format!("record {} was confirmed, and the records end with {}", seen.synced, found.last));
    }
    found.torn = seen.begun.iter().filter(|number| **number > found.last).count();
    Ok(found)
}

impl Seen {
    fn add(&mut self, segment: usize, bytes: &[u8]) -> Result<(), String> {
        let name = u32::try_from(segment).map_err(|_| "too many segments".to_owned())?;
        let sectors = u32::try_from(bytes.len() / SECTOR_BYTES).map_err(|_| format!("segment {name} is too long"))?;
        let place = Place { segment: name, sectors };
        // The record that is being read, and the sector that would be its next one.
        let mut open: Option<(u64, Whole, u32)> = None;
        for (index, sector) in (0..).zip(bytes.chunks(SECTOR_BYTES)) {
            let (number, part, data) = match Sector::read(place, index, sector) {
                Sector::Damaged => return Err(format!("sector {index} of segment {name} is damaged")),
                Sector::Empty => {
                    open = None;
                    continue;
                }
                Sector::Whole { number, part, data } => (number, part, data),
            };
            self.highest = self.highest.max(number);
            if part == 0 {
                let (header, payload) = Header::decode(data)
                    .filter(|(header, _)| header.previous < number)
                    .ok_or_else(|| format!("record {number} in segment {name} has no header"))?;
                self.told(number, header)?;
                let sector = usize::try_from(index).map_err(|_| format!("segment {name} is too long"))?;
                open = Some((number, Whole { segment, sector, header, payload }, 0));
            }
            open = self.continued(open.take(), number, part)?;
        }
        Ok(())
    }

    /// Notes what a header says.
    fn told(&mut self, number: u64, header: Header) -> Result<(), String> {
        if header.synced >= number || header.applied >= number {
            return Err(format!("record {number} contradicts itself"));
        }
        self.synced = self.synced.max(header.synced);
        self.applied = self.applied.max(header.applied);
        self.segments = self.segments.max(header.segments);
        self.begun.push(number);
        Ok(())
    }

    /// Takes a sector to the record that is being read, which may be whole by that.
    fn continued(
        &mut self,
        open: Option<(u64, Whole, u32)>,
        number: u64,
        part: u32,
    ) -> Result<Option<(u64, Whole, u32)>, String> {
        let Some((open_number, whole, expected)) = open.filter(|(open, _, next)| *open == number && *next == part)
        else {
            return Ok(None);
        };
        if sectors_for(HEADER_BYTES + whole.payload) as u64 != u64::from(expected) + 1 {
            return Ok(Some((open_number, whole, expected + 1)));
        }
        match self.whole.insert(open_number, whole) {
            Some(_) => Err(format!("two records have number {open_number}")),
            None => Ok(None),
        }
    }
}

impl Whole {
    fn take(&self, number: u64, bytes: &[u8]) -> Live {
        let sectors = sectors_for(HEADER_BYTES + self.payload);
        let sectors_of_it = bytes.chunks(SECTOR_BYTES).skip(self.sector).take(sectors);
        let mut record = Vec::with_capacity(sectors * DATA_BYTES);
        for sector in sectors_of_it {
            record.extend_from_slice(&sector[SECTOR_BYTES - DATA_BYTES..]);
        }
        let payload = Bytes::from(record).slice(HEADER_BYTES..HEADER_BYTES + self.payload);
        let narrow = |number: usize| u32::try_from(number).expect("the segments' lengths were checked");
        Live { segment: narrow(self.segment), end: narrow(self.sector + sectors), number, payload }
    }
}

/// A segment is filled from its beginning and then left, so its records follow each other.
fn check_order(live: &[Live]) -> Result<(), String> {
    let mut left: Vec<u32> = Vec::new();
    for pair in live.windows(2) {
        let [before, after] = pair else { continue };
        if before.segment == after.segment {
            if after.end <= before.end {
                return Err(format!("record {} lies before record {}", after.number, before.number));
            }
        } else {
            left.push(before.segment);
            if left.contains(&after.segment) {
                return Err(format!("record {} lies in a segment that was full", after.number));
            }
        }
    }
    Ok(())
}
