//! From what the journal says to what is in memory: each segment's records in a gather of its own, and where to go on.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::journal::{Found, Live, Opened, Segment, Writer, record};
use super::super::options::OpenError;
use super::gather::Gather;
use super::{Memory, Sealed};

/// What an opened store begins with.
pub(in crate::embedded) struct Restored {
    pub(in crate::embedded) memory: Memory,
    pub(in crate::embedded) writer: Writer,
    /// The engine has everything up to this record.
    pub(in crate::embedded) applied: u64,
    /// Segments that hold nothing that is needed.
    pub(in crate::embedded) free: Vec<Segment>,
    /// All segments.
    pub(in crate::embedded) segments: Vec<Segment>,
}

/// The records of one segment.
struct Part {
    segment: Segment,
    gather: Gather,
    last: u64,
    /// The first sector behind them.
    end: u32,
}

/// Sorts what was found. The last segment is filled on, from where its records end.
pub(in crate::embedded) fn restore(opened: Opened) -> Result<Restored, OpenError> {
    let Opened { segments, found } = opened;
    let Found { live, last, highest, applied, .. } = found;
    let mut parts: Vec<Part> = Vec::new();
    for record in live {
        let Live { segment, end, number, payload } = record;
        let damaged = || OpenError::Corrupt(format!("record {number} of the journal does not decode"));
        let segment = segments.iter().find(|found| found.number() == segment).ok_or_else(damaged)?;
        if parts.last().is_none_or(|part| part.segment.number() != segment.number()) {
            parts.push(Part { segment: segment.clone(), gather: Gather::default(), last: 0, end: 0 });
        }
        let part = parts.last_mut().expect("it was just put there");
        part.gather.replay(record::entries(payload).ok_or_else(damaged)?).ok_or_else(damaged)?;
        (part.last, part.end) = (number, end);
    }
    let taken: Vec<u32> = parts.iter().map(|part| part.segment.number()).collect();
    let free = segments.iter().filter(|segment| !taken.contains(&segment.number())).cloned().collect();
    let active = parts.pop();
    let sealed: VecDeque<_> = parts
        .into_iter()
        .map(|Part { segment, gather, last, .. }| Arc::new(Sealed { gather, segment, last }))
        .collect();
    let (gather, place) =
        active.map_or((Gather::default(), None), |part| (part.gather, Some((part.segment, part.end))));
    let (memory, writer) = (Memory::new(gather, sealed), Writer::new(last, highest, place));
    Ok(Restored { memory, writer, applied, free, segments })
}
