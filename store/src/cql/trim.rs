//! Retention: whole buckets go, each by one delete of its partition with a timestamp above whatever may still come. What marks lie
//! beside the rows, overlays and reactors, goes with them.
//!
//! **Invariant:** rows go only below a number that a quorum knows to be committed, and behind a fence read that began when it
//! did. Otherwise an owner to come, which has read an older number, would find nothing where it looks, and begin anew.

use std::sync::Arc;

use futures_util::future::try_join_all;
use switchyard_protocol::id::ConversationKey;

use crate::log::{BUCKET_ROWS, ReadError, Seq};

use super::bounds::Bound;
use super::gallop::Newest;
use super::number::{self, ABOVE_ALL};
use super::projections::ANNOTATION_ROWS;
use super::requests::Failed;
use super::statements::Statement;
use super::{Inner, unread};

impl Inner {
    pub(super) async fn trim(this: &Arc<Self>, key: &ConversationKey, below: Seq) -> Result<Seq, ReadError> {
        let Newest { head, bounds } = this.newest(key, 0).await?;
        let Some(head) = head else { return Ok(1) };
        let whole = below.min(head) / BUCKET_ROWS * BUCKET_ROWS;
        let begins = bounds.begins.max(whole);
        if begins <= bounds.dropped {
            return Ok(begins.max(1));
        }
        let committed = bounds.committed.max(begins);
        this.raise_bounds(key, &[(Bound::Committed, committed), (Bound::Begins, begins)]).await.map_err(unread)?;
        Self::barrier(this).await.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        for bucket in bounds.dropped / BUCKET_ROWS..begins / BUCKET_ROWS {
            this.drop_bucket(key, bucket).await.map_err(unread)?;
        }
        // Last: what was broken off is done again.
        this.raise_bounds(key, &[(Bound::Dropped, begins)]).await.map_err(unread)?;
        Ok(begins)
    }

    async fn drop_bucket(&self, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        let statements = &self.statements;
        // The founding row stays.
        let rows = if bucket == 0 { &statements.drop_first_bucket } else { &statements.drop_bucket };
        self.drop_partition(rows, key, bucket).await?;
        let annotations = bucket * BUCKET_ROWS / ANNOTATION_ROWS..(bucket + 1) * BUCKET_ROWS / ANNOTATION_ROWS;
        let drops = annotations.flat_map(|part| [(&statements.drop_overlays, part), (&statements.drop_reactors, part)]);
        try_join_all(drops.map(|(statement, part)| self.drop_partition(statement, key, part))).await.map(drop)
    }

    async fn drop_partition(&self, statement: &Statement, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        let conversation = key.conversation.as_bytes().as_slice();
        let values = (ABOVE_ALL, key.tenant.as_str(), conversation, number::of_seq(bucket));
        self.requests.execute(statement, values).await.map(drop)
    }
}
