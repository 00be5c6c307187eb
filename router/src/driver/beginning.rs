//! Where a timeline begins, as the store has it: the lowest event that is still there, and the runs that have grown too
//! old. A few reads of one row each, however long the timeline is.

use switchyard_protocol::id::ConversationKey;
use switchyard_store::{BUCKET_ROWS, Direction, ReadError, Seq};

use super::Timelines;
use super::rows::rows;
use crate::machine::{Older, droppable};

/// The lowest event that is there, and what of the rest is older than `before_ms`.
///
/// The record may say less than what was dropped: of two records that follow from one event the first one stays, so that
/// what is dropped from a conversation which nobody writes to is known by the rows alone.
pub(super) fn find(
    store: &dyn Timelines,
    key: &ConversationKey,
    recorded: Seq,
    head: Seq,
    before_ms: Option<u64>,
) -> Result<(Seq, Older), ReadError> {
    if recorded / BUCKET_ROWS >= head / BUCKET_ROWS {
        return Ok((recorded, Older::default()));
    }
    let first = match rows(store, key, recorded, head, Direction::Forward, 1) {
        Ok(page) => page.first().map_or(recorded, |(seq, _)| *seq),
        Err(error) => {
            unavailable(error)?;
            // Whoever reads there learns of the damage; the conversation goes on.
            recorded
        }
    };
    let older = match before_ms {
        Some(before_ms) => older(store, key, first, droppable(head), before_ms)?,
        None => Older::default(),
    };
    Ok((first, older))
}

/// The runs from `first` to below `end` whose newest event is older than this. Times never go back within a conversation, so the
/// first one that is not is found by halving; most of the time it is the first of all.
pub(super) fn older(
    store: &dyn Timelines,
    key: &ConversationKey,
    first: Seq,
    end: Seq,
    before_ms: u64,
) -> Result<Older, ReadError> {
    let (mut low, mut high) = (first / BUCKET_ROWS, end / BUCKET_ROWS);
    let mut run_end_ms = 0;
    let mut run = low;
    while low < high {
        match run_end(store, key, run)? {
            Some(end_ms) if end_ms >= before_ms => (high, run_end_ms) = (run, end_ms),
            // It was dropped meanwhile, or is to be.
            _ => low = run + 1,
        }
        run = low + (high - low) / 2;
    }
    Ok(Older { below: (low * BUCKET_ROWS).max(first), run_end_ms })
}

/// The time of a complete run's newest event; nothing if it is no longer there. One that is damaged never grows old: of
/// what cannot be read nobody can tell that it may go.
fn run_end(store: &dyn Timelines, key: &ConversationKey, run: u64) -> Result<Option<u64>, ReadError> {
    let last = run * BUCKET_ROWS + BUCKET_ROWS - 1;
    match rows(store, key, last, last, Direction::Forward, 1) {
        Ok(page) => Ok(page.first().map(|(_, row)| row.time_ms)),
        Err(error) => unavailable(error).map(|()| Some(u64::MAX)),
    }
}

/// Gives back that the store does not answer; damage is logged here.
fn unavailable(error: ReadError) -> Result<(), ReadError> {
    match error {
        ReadError::Unavailable(_) => Err(error),
        ReadError::Corrupt { .. } => {
            tracing::error!(%error, "stored data is damaged; run `switchyard verify`");
            Ok(())
        }
    }
}
