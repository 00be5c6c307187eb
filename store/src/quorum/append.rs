//! Storing rows: each batch is one statement to one partition, and many conversations' go at once.

use futures_util::future::join_all;

use crate::log::{Batch, Outcome, Refusal, Seq};
use crate::rules::Rule;

use super::{Bound, Failure, Reached, Replicas, Stamped, timestamp};

/// See [`Log::append`](crate::Log::append).
pub async fn append<R: Replicas>(replicas: &R, batches: &[Batch]) -> Vec<Outcome> {
    let outcomes = join_all(batches.iter().map(|batch| append_one(replicas, batch))).await;
    for (batch, outcome) in batches.iter().zip(&outcomes) {
        if *outcome == Outcome::Stored {
            replicas.fence().stored(batch, replicas.sizes().note_every);
        }
    }
    outcomes
}

async fn append_one<R: Replicas>(replicas: &R, batch: &Batch) -> Outcome {
    if let Err(refusal) = batch.check() {
        return Outcome::Refused(refusal);
    }
    let Some(timestamp) = timestamp::of_epoch(batch.epoch, replicas.rules()) else {
        return Outcome::Refused(Refusal::Malformed);
    };
    let rows: Vec<_> = (batch.first..).zip(&batch.rows).map(|(seq, row)| Stamped { seq, row, timestamp }).collect();
    if !replicas.rules().has(Rule::HintAfterCommit) {
        let last = batch.first + batch.rows.len() as Seq - 1;
        let _ = replicas.raise(&batch.key, &[(Bound::Committed, last)]).await;
    }
    outcome(replicas.put(&batch.key, &rows).await)
}

/// What an answer means for what was to be stored.
pub(super) fn outcome<Failed: Failure>(answer: Result<(), Failed>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Stored,
        Err(error) => {
            tracing::debug!(%error, "rows were not stored");
            match error.reached() {
                Reached::Nobody | Reached::Never => Outcome::Refused(Refusal::Unavailable),
                Reached::Perhaps => Outcome::Unknown,
            }
        }
    }
}
