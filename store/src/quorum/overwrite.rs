//! Putting other bytes in the place of stored rows. Their timestamps must lie above those that are stored, which are read first: a row
//! may have been overwritten before, or have been given the timestamp of an epoch above its own when it was adopted.

use futures_util::future::join_all;

use crate::log::{Batch, Outcome, Refusal, Seq};

use super::append::outcome;
use super::{Replicas, Stamped, timestamp};

/// See [`Log::overwrite`](crate::Log::overwrite).
pub async fn overwrite<R: Replicas>(replicas: &R, batches: &[Batch]) -> Vec<Outcome> {
    join_all(batches.iter().map(|batch| overwrite_one(replicas, batch))).await
}

async fn overwrite_one<R: Replicas>(replicas: &R, batch: &Batch) -> Outcome {
    if let Err(refusal) = batch.check() {
        return Outcome::Refused(refusal);
    }
    let last = batch.first + batch.rows.len() as Seq - 1;
    // Nothing was sent yet that could be there.
    let Ok(found) = replicas.rows(&batch.key, batch.first, batch.rows.len() as u64).await else {
        return Outcome::Refused(Refusal::Unavailable);
    };
    let mut rows = Vec::with_capacity(found.len());
    for stored in found.iter().filter(|stored| stored.seq <= last) {
        let Some(row) = batch.rows.get((stored.seq - batch.first) as usize) else { continue };
        // Also if these bytes are read: one node alone may have them, and then they are not stored yet.
        let Some(timestamp) = timestamp::to_overwrite(batch.epoch, stored.timestamp, replicas.rules()) else {
            return Outcome::Refused(Refusal::Malformed);
        };
        rows.push(Stamped { seq: stored.seq, row, timestamp });
    }
    outcome(replicas.put(&batch.key, &rows).await)
}
