//! Putting other bytes in the place of stored rows. Their timestamps must lie above those that are stored, which are read first: a row
//! may have been overwritten before, or have been given the timestamp of an epoch above its own when it was adopted.

use futures_util::future::join_all;

use crate::log::{Batch, Outcome, Refusal, Seq};

use super::Inner;
use super::append::{outcome, stamped};
use super::number;

impl Inner {
    pub(super) async fn overwrite(&self, batches: &[Batch]) -> Vec<Outcome> {
        join_all(batches.iter().map(|batch| self.overwrite_one(batch))).await
    }

    async fn overwrite_one(&self, batch: &Batch) -> Outcome {
        if let Err(refusal) = batch.check() {
            return Outcome::Refused(refusal);
        }
        let last = batch.first + batch.rows.len() as Seq - 1;
        // Nothing was sent yet that could be there.
        let Ok(found) = self.stamped_rows(&batch.key, batch.first, last).await else {
            return Outcome::Refused(Refusal::Unavailable);
        };
        let mut rows = Vec::with_capacity(found.len());
        for stored in &found {
            let Some(row) = batch.rows.get((stored.seq - batch.first) as usize) else { continue };
            // Also if these bytes are read: one node alone may have them, and then they are not stored yet.
            let Some(timestamp) = number::to_overwrite(batch.epoch, stored.timestamp) else {
                return Outcome::Refused(Refusal::Malformed);
            };
            rows.push(stamped(&batch.key, stored.seq, row, timestamp));
        }
        outcome(self.put(&rows).await)
    }
}
