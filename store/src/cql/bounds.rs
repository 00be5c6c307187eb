//! What is known of where a conversation ends and begins, apart from its rows: numbers that only rise.

use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use switchyard_protocol::id::ConversationKey;

use crate::log::Seq;

use super::Inner;
use super::number;
use super::requests::Failed;

/// Which number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Bound {
    /// A row that is committed: the head, or one below it. A hint, written some time after the commit.
    Committed,
    /// Where history begins for readers.
    Begins,
    /// Rows below this were dropped.
    Dropped,
    /// Above this no row has an overlay.
    Annotated,
}

impl Bound {
    fn kind(self) -> i8 {
        match self {
            Self::Committed => 0,
            Self::Begins => 1,
            Self::Dropped => 2,
            Self::Annotated => 3,
        }
    }
}

/// All of them; 0 where nothing is known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Bounds {
    pub(super) committed: Seq,
    pub(super) begins: Seq,
    pub(super) dropped: Seq,
    pub(super) annotated: Seq,
}

impl Inner {
    /// Sees to it that a quorum knows of this bound, or of a higher one.
    pub(super) async fn note_once(&self, key: &ConversationKey, bound: Bound, number: u64) -> Result<(), Failed> {
        self.noted.once((key.clone(), bound, number), self.raise_bounds(key, &[(bound, number)])).await
    }

    pub(super) async fn bounds(&self, key: &ConversationKey) -> Result<Bounds, Failed> {
        let values = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
        let rows = self.requests.all(&self.statements.bounds, values, |row: (i8, i64)| row).await?;
        let mut bounds = Bounds::default();
        for (kind, number) in rows {
            let number = Seq::try_from(number).map_err(Failed::form)?;
            match kind {
                0 => bounds.committed = number,
                1 => bounds.begins = number,
                2 => bounds.dropped = number,
                3 => bounds.annotated = number,
                // Of another version: the second schema had homes' parts here, 4 and 5.
                _ => {}
            }
        }
        Ok(bounds)
    }

    /// Raises bounds of one conversation, together. Lower ones than are stored change nothing.
    pub(super) async fn raise_bounds(&self, key: &ConversationKey, bounds: &[(Bound, Seq)]) -> Result<(), Failed> {
        let values: Vec<_> = bounds
            .iter()
            .map(|(bound, number)| {
                let number = number::of_seq(*number);
                (key.tenant.as_str(), key.conversation.as_bytes().as_slice(), bound.kind(), number, number)
            })
            .collect();
        let statement = &self.statements.put_bound;
        if let [value] = &values[..] {
            return self.requests.execute(statement, value).await.map(drop);
        }
        let each = BatchStatement::PreparedStatement((**statement).clone());
        let mut batch = CqlBatch::new_with_statements(BatchType::Unlogged, vec![each; values.len()]);
        batch.set_is_idempotent(true);
        self.requests.batch(statement, &batch, values).await.map(drop)
    }
}
