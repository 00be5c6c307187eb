//! Storing rows: each batch is one statement to one partition, and many conversations' go at once.

use futures_util::future::join_all;
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use switchyard_protocol::id::ConversationKey;

use crate::log::{BUCKET_ROWS, Batch, Outcome, Refusal, Seq};

use super::Inner;
use super::number;
use super::outcome::Reached;
use super::requests::Failed;

/// The rows of a batch with the timestamp of each, as they are bound to its statements: in the order of
/// `Statements::put_row`.
pub(super) type Stamped<'a> = (&'a str, &'a [u8], i64, i64, &'a [u8], i64);

/// A row of this conversation, with its timestamp.
pub(super) fn stamped<'a>(key: &'a ConversationKey, seq: Seq, row: &'a [u8], timestamp: i64) -> Stamped<'a> {
    let bucket = number::of_seq(seq / BUCKET_ROWS);
    (key.tenant.as_str(), key.conversation.as_bytes(), bucket, number::of_seq(seq), row, timestamp)
}

impl Inner {
    pub(super) async fn append(&self, batches: &[Batch]) -> Vec<Outcome> {
        let outcomes = join_all(batches.iter().map(|batch| self.append_one(batch))).await;
        for (batch, outcome) in batches.iter().zip(&outcomes) {
            if *outcome == Outcome::Stored {
                self.fence.stored(batch);
            }
        }
        outcomes
    }

    async fn append_one(&self, batch: &Batch) -> Outcome {
        if let Err(refusal) = batch.check() {
            return Outcome::Refused(refusal);
        }
        let Some(timestamp) = number::of_epoch(batch.epoch) else { return Outcome::Refused(Refusal::Malformed) };
        let rows = (batch.first..).zip(&batch.rows);
        let rows: Vec<_> = rows.map(|(seq, row)| stamped(&batch.key, seq, row, timestamp)).collect();
        outcome(self.put(&rows).await)
    }

    /// Stores rows of one partition, all or none of them on each of its nodes.
    pub(super) async fn put(&self, rows: &[Stamped<'_>]) -> Result<(), Failed> {
        let statement = &self.statements.put_row;
        match rows {
            [] => {}
            [row] => drop(self.requests.execute(statement, row).await?),
            rows => {
                let statements = vec![BatchStatement::PreparedStatement((**statement).clone()); rows.len()];
                let mut batch = CqlBatch::new_with_statements(BatchType::Unlogged, statements);
                batch.set_is_idempotent(true);
                self.requests.batch(statement, &batch, rows).await?;
            }
        }
        Ok(())
    }
}

/// What an answer means for what was to be stored.
pub(super) fn outcome(answer: Result<(), Failed>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Stored,
        Err(error) => {
            tracing::debug!(%error, "rows were not stored");
            match error.reached() {
                Reached::Nobody => Outcome::Refused(Refusal::Unavailable),
                Reached::Perhaps => Outcome::Unknown,
            }
        }
    }
}
