//! Finding a conversation's highest row: from what is known, in steps that double, and then by halving; so with as few
//! statements as the logarithm of what is unknown.

use switchyard_protocol::id::ConversationKey;

use crate::log::{Damage, ReadError, Seq};

use super::{Bounds, Replicas, unread};

/// Where a conversation ends, as far as rows tell, and what is known of it beside.
pub struct Newest {
    /// The highest row; nothing if there is none.
    pub head: Option<Seq>,
    /// What is known.
    pub bounds: Bounds,
}

/// The highest row, looked for from `at_least` up.
pub async fn newest<R: Replicas>(replicas: &R, key: &ConversationKey, at_least: Seq) -> Result<Newest, ReadError> {
    let bounds = replicas.bounds(key).await.map_err(unread)?;
    let from = at_least.max(bounds.committed).max(bounds.begins);
    let head = highest(replicas, key, from).await?;
    match head {
        Some(head) if head >= from => {}
        None if from == 0 => {}
        _ => return Err(ReadError::Corrupt { key: key.clone(), seq: from, reason: Damage::Missing }),
    }
    Ok(Newest { head, bounds })
}

/// The same from a number up that is committed, or 0.
async fn highest<R: Replicas>(replicas: &R, key: &ConversationKey, from: Seq) -> Result<Option<Seq>, ReadError> {
    let bucket_rows = replicas.sizes().bucket_rows;
    let highest_in = |bucket| async move { replicas.highest(key, bucket).await.map_err(unread) };
    let first = from / bucket_rows;
    let Some(mut head) = highest_in(first).await? else { return Ok(None) };
    let is_full = |head: Seq| head % bucket_rows == bucket_rows - 1;
    let (mut low, mut step) = (first, 1);
    // Buckets that follow a full one.
    let mut empty = loop {
        if !is_full(head) {
            return Ok(Some(head));
        }
        match highest_in(low + step).await? {
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
        match highest_in(middle).await? {
            Some(higher) => (head, low) = (higher, middle),
            None => empty = middle,
        }
    }
    Ok(Some(head))
}
