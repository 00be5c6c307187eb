//! Finding a conversation's highest row: from what is known, in steps that double, and then by halving; so with as few
//! statements as the logarithm of what is unknown.

use switchyard_protocol::id::ConversationKey;

use crate::log::{BUCKET_ROWS, Damage, ReadError, Seq};

use super::bounds::Bounds;
use super::{Inner, number, unread};

/// Where a conversation ends, as far as rows tell, and what is known of it beside.
pub(super) struct Newest {
    /// The highest row; nothing if there is none.
    pub(super) head: Option<Seq>,
    pub(super) bounds: Bounds,
}

impl Inner {
    /// The highest row, looked for from `at_least` up.
    pub(super) async fn newest(&self, key: &ConversationKey, at_least: Seq) -> Result<Newest, ReadError> {
        let bounds = self.bounds(key).await.map_err(unread)?;
        let from = at_least.max(bounds.committed).max(bounds.begins);
        let head = self.highest(key, from).await?;
        match head {
            Some(head) if head >= from => {}
            None if from == 0 => {}
            _ => return Err(ReadError::Corrupt { key: key.clone(), seq: from, reason: Damage::Missing }),
        }
        Ok(Newest { head, bounds })
    }

    /// The same from a number up that is committed, or 0.
    async fn highest(&self, key: &ConversationKey, from: Seq) -> Result<Option<Seq>, ReadError> {
        let first = from / BUCKET_ROWS;
        let Some(mut head) = self.newest_in(key, first).await? else { return Ok(None) };
        let is_full = |head: Seq| head % BUCKET_ROWS == BUCKET_ROWS - 1;
        let (mut low, mut step) = (first, 1);
        // Buckets that follow a full one.
        let mut empty = loop {
            if !is_full(head) {
                return Ok(Some(head));
            }
            match self.newest_in(key, low + step).await? {
                Some(higher) => {
                    head = higher;
                    low += step;
                    step *= 2;
                }
                None => break low + step,
            }
        };
        while empty - low > 1 {
            let middle = low + (empty - low) / 2;
            match self.newest_in(key, middle).await? {
                Some(higher) => (head, low) = (higher, middle),
                None => empty = middle,
            }
        }
        Ok(Some(head))
    }

    async fn newest_in(&self, key: &ConversationKey, bucket: u64) -> Result<Option<Seq>, ReadError> {
        let values = (key.tenant.as_str(), key.conversation.as_bytes().as_slice(), number::of_seq(bucket));
        let row = self.requests.one::<(i64,)>(&self.statements.newest_row, values).await.map_err(unread)?;
        Ok(row.and_then(|(seq,)| Seq::try_from(seq).ok()))
    }
}
