//! Storing rows: which batches keep the rules, and how they go into the journal together.

use bytes::Bytes;
use switchyard_protocol::limits::INTEGER_MAX;

use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, Batch, Outcome, ROWS_MAX, Refusal};

use super::commit::{CommitError, Committer};
use super::journal::record::PAYLOAD_BYTES_MAX;
use super::memory::gather::Draft;
use super::space::Purpose;

/// Stores as many batches at a time as fit in a record, and says what became of each.
pub(super) fn append(committer: &Committer, batches: &[Batch]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = batches.iter().map(judge).collect();
    let mut from = 0;
    while from < batches.len() {
        let mut draft = Draft::default();
        let mut to = from;
        while let (Some(batch), Some(outcome)) = (batches.get(to), outcomes.get(to)) {
            if *outcome == Outcome::Stored {
                if !draft.is_empty() && draft.payload() + Draft::batch_len(batch) > PAYLOAD_BYTES_MAX {
                    break;
                }
                draft.batch(batch);
            }
            to += 1;
        }
        let together = from..to;
        from = to;
        if draft.is_empty() {
            continue;
        }
        let outcome = match committer.commit(Purpose::Grow, &draft) {
            Ok(()) => continue,
            Err(CommitError::Full) => Outcome::Refused(Refusal::Full),
            Err(CommitError::Closed) => Outcome::Refused(Refusal::Closed),
            Err(CommitError::Failed) => Outcome::Unknown,
        };
        for slot in outcomes[together].iter_mut().filter(|slot| **slot == Outcome::Stored) {
            *slot = outcome;
        }
    }
    outcomes
}

/// Whether a batch keeps the rules of [`Batch`].
fn judge(batch: &Batch) -> Outcome {
    let rows = batch.rows.len() as u64;
    if batch.rows.len() > ROWS_MAX || batch.rows.iter().map(Bytes::len).sum::<usize>() > BATCH_BYTES_MAX {
        return Outcome::Refused(Refusal::TooLarge);
    }
    let last = batch.first.checked_add(rows.wrapping_sub(1)).filter(|_| rows > 0);
    match last {
        Some(last) if last <= INTEGER_MAX && last / BUCKET_ROWS == batch.first / BUCKET_ROWS => Outcome::Stored,
        _ => Outcome::Refused(Refusal::Malformed),
    }
}
