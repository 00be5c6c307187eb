//! Adoption: what an owner does with a conversation that it touches for the first time in its epoch.
//!
//! There may be rows above the committed ones, left by owners before: stored on some nodes and never confirmed, or still on their way.
//! From a number known to be committed, its own row included, rows are taken as long as each begins its batch or is of the
//! same batch as the one before; what is taken is written again with this epoch's timestamp, byte for byte, so that nothing
//! of an earlier epoch can change it; then it is confirmed. Whatever was not taken is overwritten by what this owner appends.
//!
//! Each of these rules is needed: see ARCHITECTURE.md and `cluster/tests/ownership`. One more: until it is known what became of the
//! writes, the rows are not read again in this epoch, for they could read otherwise. So an adoption goes on by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Shared;
use scylla::response::PagingState;
use switchyard_protocol::id::ConversationKey;

use crate::BoxFuture;
use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, BarrierError, Damage, ReadError, Seq};
use crate::row::Row;

use super::append::stamped;
use super::bounds::Bound;
use super::requests::Failed;
use super::statements::PAGE_ROWS;
use super::{Inner, number, unread};

/// How long somebody waits for an adoption before being told that it is not done yet.
const WAIT: Duration = Duration::from_secs(5);

/// Adoptions under way at a time. A router that takes over many conversations is paced by whoever asks for them.
const ADOPTIONS_MAX: usize = 4_096;

/// Between attempts at writes whose outcome is unknown: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

type Answer = Result<Option<Seq>, ReadError>;

/// One that is under way, for all who ask for it.
type UnderWay = Shared<BoxFuture<'static, Answer>>;

/// Those under way, by conversation and epoch.
#[derive(Default)]
pub(super) struct Adoptions(Mutex<HashMap<(ConversationKey, u64), UnderWay>>);

/// A row as it is stored.
pub(super) struct StoredRow {
    pub(super) seq: Seq,
    pub(super) row: Bytes,
    pub(super) timestamp: i64,
}

/// The last row that was taken.
#[derive(Clone, Copy)]
struct Taken {
    seq: Seq,
    epoch: u64,
    first: Seq,
}

impl Taken {
    /// The row as one that follows `before`; nothing if it does not.
    fn after(before: Option<Self>, key: &ConversationKey, stored: &StoredRow) -> Result<Option<Self>, ReadError> {
        let next = before.map_or(0, |before| before.seq + 1);
        if stored.seq != next {
            return Ok(None);
        }
        let taken = Self::of(key, stored)?;
        let same_batch = before.is_some_and(|before| (before.epoch, before.first) == (taken.epoch, taken.first));
        Ok((taken.first == taken.seq || same_batch).then_some(taken))
    }

    fn of(key: &ConversationKey, stored: &StoredRow) -> Result<Self, ReadError> {
        let corrupt = |reason| ReadError::Corrupt { key: key.clone(), seq: stored.seq, reason };
        let row = Row::decode(key, stored.seq, &stored.row).map_err(corrupt)?;
        Ok(Self { seq: stored.seq, epoch: row.epoch, first: row.first })
    }
}

impl Inner {
    pub(super) async fn adopt(this: &Arc<Self>, key: &ConversationKey, epoch: u64, at_least: Seq) -> Answer {
        let place = (key.clone(), epoch);
        let under_way = {
            let mut adoptions = this.adoptions.0.lock().unwrap_or_else(PoisonError::into_inner);
            let full = adoptions.len() >= ADOPTIONS_MAX;
            match adoptions.get(&place) {
                Some(under_way) => under_way.clone(),
                None if full => return Err(ReadError::Unavailable("too many adoptions are under way".to_owned())),
                None => {
                    let (this, key) = (Arc::clone(this), key.clone());
                    let task = this.handle.clone().spawn(async move {
                        let answer = Self::adopt_now(&this, &key, epoch, at_least).await;
                        this.adoptions.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(key, epoch));
                        answer
                    });
                    let closed = || Err(ReadError::Unavailable("the store is closed".to_owned()));
                    let under_way = async move { task.await.unwrap_or_else(|_| closed()) }.boxed().shared();
                    adoptions.insert(place, under_way.clone());
                    under_way
                }
            }
        };
        let late = || Err(ReadError::Unavailable("an adoption takes long".to_owned()));
        tokio::time::timeout(WAIT, under_way).await.unwrap_or_else(|_| late())
    }

    async fn adopt_now(this: &Arc<Self>, key: &ConversationKey, epoch: u64, at_least: Seq) -> Answer {
        let Some(timestamp) = number::of_epoch(epoch) else {
            return Err(ReadError::Unavailable(format!("there is no epoch {epoch}")));
        };
        let (mut base, committed) = this.base(key, at_least).await?;
        let mut rewritten = false;
        loop {
            let next = base.map_or(0, |base| base.seq + 1);
            let page = this.stamped_page(key, next, PAGE_ROWS).await.map_err(unread)?;
            let mut taken = Vec::new();
            for stored in &page {
                let Some(row) = Taken::after(base, key, stored)? else { break };
                if number::epoch_of(stored.timestamp) > epoch {
                    return Err(ReadError::Unavailable("a later owner has written here".to_owned()));
                }
                base = Some(row);
                taken.push(stored);
            }
            let all = taken.len() == PAGE_ROWS as usize;
            taken.retain(|stored| number::epoch_of(stored.timestamp) < epoch);
            rewritten |= !taken.is_empty();
            Self::rewrite(this, key, &taken, timestamp).await?;
            let at_end = base.is_none_or(|base| (base.seq + 1) % BUCKET_ROWS != 0 || base.seq + 1 == next);
            if !all && at_end {
                break;
            }
        }
        if rewritten {
            Self::barrier(this).await.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        }
        let head = base.map(|base| base.seq);
        if let Some(head) = head.filter(|head| *head > committed && rewritten)
            && let Err(error) = this.raise_bounds(key, &[(Bound::Committed, head)]).await
        {
            tracing::debug!(%error, "what was adopted was not noted");
        }
        Ok(head)
    }

    /// The highest row that is known to be committed, and its number; no row if none is known. Nothing below it is looked at.
    async fn base(&self, key: &ConversationKey, at_least: Seq) -> Result<(Option<Taken>, Seq), ReadError> {
        let mut tried = None;
        loop {
            let bounds = self.bounds(key).await.map_err(unread)?;
            let from = at_least.max(bounds.committed).max(bounds.begins);
            if from == 0 {
                return Ok((None, 0));
            }
            let page = self.stamped_page(key, from, 1).await.map_err(unread)?;
            match page.first().filter(|stored| stored.seq == from) {
                Some(stored) => return Ok((Some(Taken::of(key, stored)?), bounds.committed)),
                // It may have been dropped since, by an owner that was not fenced then and has said where it begins.
                None if tried != Some(from) => tried = Some(from),
                None => return Err(ReadError::Corrupt { key: key.clone(), seq: from, reason: Damage::Missing }),
            }
        }
    }

    /// Writes rows again with this timestamp, until it is known that they are stored.
    async fn rewrite(
        this: &Arc<Self>,
        key: &ConversationKey,
        rows: &[&StoredRow],
        timestamp: i64,
    ) -> Result<(), ReadError> {
        let mut rest = rows;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take_while(|stored| {
                bytes += stored.row.len();
                bytes <= BATCH_BYTES_MAX
            });
            let (part, others) = rest.split_at(fit.count().max(1));
            rest = others;
            let part: Vec<_> = part.iter().map(|stored| stamped(key, stored.seq, &stored.row, timestamp)).collect();
            let mut pause = PAUSE;
            while let Err(error) = this.put(&part).await {
                tracing::warn!(%error, conversation = %key.conversation, "what was adopted is not stored yet");
                if Self::barrier(this).await == Err(BarrierError::Fenced) {
                    return Err(ReadError::Unavailable(BarrierError::Fenced.to_string()));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        Ok(())
    }

    /// Rows from a number up, of its bucket, at most so many.
    pub(super) async fn stamped_page(
        &self,
        key: &ConversationKey,
        from: Seq,
        rows_max: i32,
    ) -> Result<Vec<StoredRow>, Failed> {
        let bucket = number::of_seq(from / BUCKET_ROWS);
        let (tenant, conversation) = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
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

    /// Rows of one bucket within a range.
    pub(super) async fn stamped_rows(
        &self,
        key: &ConversationKey,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<StoredRow>, Failed> {
        let rows_max = i32::try_from(to - from + 1).unwrap_or(i32::MAX);
        let mut found = self.stamped_page(key, from, rows_max).await?;
        found.retain(|stored| stored.seq <= to);
        Ok(found)
    }
}
