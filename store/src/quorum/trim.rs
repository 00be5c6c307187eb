//! Retention: whole buckets go, each with a timestamp above whatever may still come.
//!
//! **Invariant:** rows go only below a number that a quorum knows to be committed, and behind a fence read that began when it
//! did. Otherwise an owner to come, which has read an older number, would find nothing where it looks, and begin anew.

use switchyard_protocol::id::ConversationKey;

use crate::log::{ReadError, Seq};
use crate::rules::Rule;

use super::{Bound, Newest, Replicas, barrier, newest, unread};

/// See [`Log::trim`](crate::Log::trim). The epoch is the owner's, where it is known.
pub async fn trim<R: Replicas>(
    replicas: &R,
    key: &ConversationKey,
    epoch: Option<u64>,
    below: Seq,
) -> Result<Seq, ReadError> {
    let (rules, bucket_rows) = (replicas.rules(), replicas.sizes().bucket_rows);
    let Newest { head, bounds } = newest(replicas, key, 0).await?;
    let Some(head) = head else { return Ok(1) };
    // The first row that is kept is committed, and noted; without that rule, the last one that is not.
    let kept = u64::from(rules.has(Rule::DropKeepsBase));
    let whole = below.min(head + 1 - kept) / bucket_rows * bucket_rows;
    let begins = bounds.begins.max(whole);
    if begins <= bounds.dropped {
        return Ok(begins.max(1));
    }
    let committed = bounds.committed.max(begins);
    let raised = [(Bound::Committed, committed), (Bound::Begins, begins)];
    if rules.has(Rule::HintBeforeDrop) {
        replicas.raise(key, &raised).await.map_err(unread)?;
    }
    if rules.has(Rule::DropBarrier) {
        barrier(replicas).await.map_err(unread)?;
    }
    let owns = epoch.is_none_or(|epoch| replicas.owns(key, epoch));
    if !owns && rules.has(Rule::DropByOwner) {
        return Err(unread("the conversation is another owner's"));
    }
    for bucket in bounds.dropped / bucket_rows..begins / bucket_rows {
        replicas.drop_bucket(key, bucket).await.map_err(unread)?;
    }
    // Last: what was broken off is done again.
    replicas.raise(key, &[(Bound::Dropped, begins)]).await.map_err(unread)?;
    Ok(begins)
}
