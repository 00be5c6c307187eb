//! Storing rows of one partition: one statement, however many they are.

use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use switchyard_protocol::id::ConversationKey;

use crate::log::BUCKET_ROWS;
use crate::quorum::Stamped;

use super::Inner;
use super::number;
use super::requests::Failed;

/// What is bound to the statement of a row, in the order of `Statements::put_row`.
type Values<'a> = (&'a str, &'a [u8], i64, i64, &'a [u8], i64);

fn values<'a>(key: &'a ConversationKey, Stamped { seq, row, timestamp }: &Stamped<'a>) -> Values<'a> {
    let bucket = number::of_seq(seq / BUCKET_ROWS);
    (key.tenant.as_str(), key.conversation.as_bytes(), bucket, number::of_seq(*seq), row, *timestamp)
}

impl Inner {
    /// Stores rows of one partition, all or none of them on each of its nodes.
    pub(super) async fn put(&self, key: &ConversationKey, rows: &[Stamped<'_>]) -> Result<(), Failed> {
        let statement = &self.statements.put_row;
        match rows {
            [] => {}
            [row] => drop(self.requests.execute(statement, values(key, row)).await?),
            rows => {
                let statements = vec![BatchStatement::PreparedStatement((**statement).clone()); rows.len()];
                let mut batch = CqlBatch::new_with_statements(BatchType::Unlogged, statements);
                batch.set_is_idempotent(true);
                let values: Vec<_> = rows.iter().map(|row| values(key, row)).collect();
                self.requests.batch(statement, &batch, values).await?;
            }
        }
        Ok(())
    }
}
