//! Storing rows: how batches go into the journal together.

use crate::log::{Batch, Outcome, Refusal};

use super::commit::{CommitError, Committer};
use super::journal::record::PAYLOAD_BYTES_MAX;
use super::memory::gather::Draft;
use super::space::Purpose;

/// Stores as many batches at a time as fit in a record, and says what became of each.
pub(super) fn append(committer: &Committer, batches: &[Batch]) -> Vec<Outcome> {
    let judge = |batch: &Batch| batch.check().map_or_else(Outcome::Refused, |()| Outcome::Stored);
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
