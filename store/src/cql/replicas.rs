//! The statements of which the log's protocol is made, as this store sends them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use scylla::response::PagingState;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::{Incarnation, RouterRow};

use crate::BoxFuture;
use crate::log::{BUCKET_ROWS, Seq};
use crate::ownership::{Level, Unavailable};
use crate::quorum::{Bound, Bounds, Fence, Replicas, Stamped, StoredRow};

use super::requests::Failed;
use super::{Inner, bounds, number};

/// The row of the table of bounds that a number is kept in.
fn row(bound: Bound) -> bounds::Bound {
    match bound {
        Bound::Committed => bounds::Bound::Committed,
        Bound::Begins => bounds::Bound::Begins,
        Bound::Dropped => bounds::Bound::Dropped,
    }
}

impl Inner {
    async fn highest_row(&self, key: &ConversationKey, bucket: u64) -> Result<Option<Seq>, Failed> {
        let values = (key.tenant.as_str(), key.conversation.as_bytes().as_slice(), number::of_seq(bucket));
        let row = self.requests.one::<(i64,)>(&self.statements.newest_row, values).await?;
        Ok(row.and_then(|(seq,)| Seq::try_from(seq).ok()))
    }

    async fn stamped_rows(&self, key: &ConversationKey, from: Seq, rows_max: u64) -> Result<Vec<StoredRow>, Failed> {
        let bucket = number::of_seq(from / BUCKET_ROWS);
        let (tenant, conversation) = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
        let rows_max = i32::try_from(rows_max).unwrap_or(i32::MAX);
        let values = (tenant, conversation, bucket, number::of_seq(from), rows_max);
        let mut state = PagingState::start();
        let mut found = Vec::new();
        loop {
            let (rows, next) = self.requests.page(&self.statements.rows_stamped, values, state).await?;
            for row in rows.rows::<(i64, Bytes, i64)>().map_err(Failed::form)? {
                let (seq, row, timestamp) = row.map_err(Failed::form)?;
                found.push(StoredRow { seq: Seq::try_from(seq).map_err(Failed::form)?, row, timestamp });
            }
            match next {
                Some(next) => state = next,
                None => return Ok(found),
            }
        }
    }
}

impl Replicas for Arc<Inner> {
    type Failed = Failed;

    fn fence(&self) -> &Fence {
        &self.fence
    }

    fn owns(&self, _: &ConversationKey, _: u64) -> bool {
        // No router gives shards away yet.
        true
    }

    async fn bounds(&self, key: &ConversationKey) -> Result<Bounds, Failed> {
        let bounds::Bounds { committed, begins, dropped, .. } = Inner::bounds(self, key).await?;
        Ok(Bounds { committed, begins, dropped })
    }

    async fn raise(&self, key: &ConversationKey, bounds: &[(Bound, Seq)]) -> Result<(), Failed> {
        let bounds: Vec<_> = bounds.iter().map(|(bound, number)| (row(*bound), *number)).collect();
        self.raise_bounds(key, &bounds).await
    }

    async fn highest(&self, key: &ConversationKey, bucket: u64) -> Result<Option<Seq>, Failed> {
        self.highest_row(key, bucket).await
    }

    async fn rows(&self, key: &ConversationKey, from: Seq, rows_max: u64) -> Result<Vec<StoredRow>, Failed> {
        self.stamped_rows(key, from, rows_max).await
    }

    async fn put(&self, key: &ConversationKey, rows: &[Stamped<'_>]) -> Result<(), Failed> {
        Inner::put(self, key, rows).await
    }

    async fn drop_bucket(&self, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        Inner::drop_bucket(self, key, bucket).await
    }

    async fn router(&self, incarnation: Incarnation) -> Result<Option<RouterRow>, Unavailable> {
        self.router_row(incarnation, Level::Quorum).await
    }

    async fn pause(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.handle.spawn(work);
    }
}
