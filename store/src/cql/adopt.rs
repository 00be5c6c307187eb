//! Adoption: what an owner does with a conversation that it touches for the first time in its epoch.
//!
//! There may be rows above the committed ones, left by owners before: stored on some nodes and never confirmed, or still on their way.
//! From a number known to be committed, its own row included, rows are taken as long as each begins its batch or is of the
//! same batch as the one before; what is taken is written again with this epoch's timestamp, byte for byte, so that nothing
//! of an earlier epoch can change it; then it is confirmed. Whatever was not taken is overwritten by what this owner appends.
//!
//! Each of these rules is needed: see ARCHITECTURE.md and `cluster/tests/ownership`. One more: until it is known what became of the
//! writes, the rows are not read again in this epoch, for they could read otherwise. So an adoption goes on by itself.
//!
//! What it read is given to who asked for it, for whoever adopts replays: the newest rows, up to a limit. What lies between the
//! number that the caller knows and the one that is noted is read with the rest where that costs no statement more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Shared;
use scylla::response::PagingState;
use switchyard_protocol::id::ConversationKey;

use crate::BoxFuture;
use crate::log::{Adopted, BATCH_BYTES_MAX, BUCKET_ROWS, BarrierError, Damage, ReadError, Seq};
use crate::row::Row;

use super::append::stamped;
use super::barrier::HINT_EVERY;
use super::bounds::{Bound, Bounds};
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

/// Rows that are given to who adopts, and bytes of them, at most.
const GIVEN_ROWS_MAX: usize = 2 * PAGE_ROWS as usize;
const GIVEN_BYTES_MAX: usize = 256 * 1024;

type Answer = Result<Option<Adopted>, ReadError>;

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

/// Where an adoption begins.
struct Beginning {
    /// The highest row that is known to be committed; nothing if none is.
    base: Option<Taken>,
    bounds: Bounds,
    /// That row and those before it, as far as they were read.
    given: Given,
    /// From where on the page was read.
    read_from: Seq,
    page: Vec<StoredRow>,
}

/// The newest rows that were read, without a hole. Each is intact.
#[derive(Default)]
struct Given {
    rows: VecDeque<(Seq, Bytes)>,
    bytes: usize,
}

impl Given {
    /// A row that is intact.
    fn push(&mut self, stored: &StoredRow) {
        if self.rows.back().is_some_and(|(seq, _)| seq + 1 != stored.seq) {
            *self = Self::default();
        }
        self.bytes += stored.row.len();
        self.rows.push_back((stored.seq, stored.row.clone()));
        while self.rows.len() > GIVEN_ROWS_MAX || self.bytes > GIVEN_BYTES_MAX {
            let Some((_, row)) = self.rows.pop_front() else { break };
            self.bytes -= row.len();
        }
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
        let Beginning { mut base, bounds, mut given, mut read_from, mut page } = this.beginning(key, at_least).await?;
        // Rows of this epoch, too: an adoption before may have written them again and met no barrier.
        let mut unconfirmed = false;
        loop {
            let is_full = page.len() == PAGE_ROWS as usize;
            let mut taken = Vec::new();
            let mut all = true;
            let above = base.map_or(0, |base| base.seq + 1);
            // What lies below is known to be committed, and was looked at already.
            for stored in page.iter().filter(|stored| stored.seq >= above) {
                let Some(row) = Taken::after(base, key, stored)? else {
                    all = false;
                    break;
                };
                if number::epoch_of(stored.timestamp) > epoch {
                    return Err(ReadError::Unavailable("a later owner has written here".to_owned()));
                }
                base = Some(row);
                given.push(stored);
                taken.push(stored);
            }
            unconfirmed |= !taken.is_empty();
            taken.retain(|stored| number::epoch_of(stored.timestamp) < epoch);
            Self::rewrite(this, key, &taken, timestamp).await?;
            let next = base.map_or(0, |base| base.seq + 1);
            let bucket_ends = next / BUCKET_ROWS > read_from / BUCKET_ROWS;
            let goes_on = bucket_ends || (is_full && all);
            if !goes_on {
                break;
            }
            page = this.stamped_page(key, next, PAGE_ROWS).await.map_err(unread)?;
            read_from = next;
        }
        if unconfirmed {
            Self::barrier(this).await.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        }
        let Some(Taken { seq: head, .. }) = base else { return Ok(None) };
        // As seldom as while messages are stored: less than that the next owner reads and writes again in one statement.
        if unconfirmed
            && head >= bounds.committed + HINT_EVERY
            && let Err(error) = this.raise_bounds(key, &[(Bound::Committed, head)]).await
        {
            tracing::debug!(%error, "what was adopted was not noted");
        }
        Ok(Some(Adopted { head, newest: given.rows.into() }))
    }

    /// The highest row that is known to be committed, and the rows that were read with it. Nothing below it is looked at, but
    /// to be given.
    async fn beginning(&self, key: &ConversationKey, at_least: Seq) -> Result<Beginning, ReadError> {
        let mut tried = None;
        loop {
            let bounds = self.bounds(key).await.map_err(unread)?;
            let from = at_least.max(bounds.committed).max(bounds.begins);
            let wanted = at_least.max(bounds.begins);
            let near = wanted / BUCKET_ROWS == from / BUCKET_ROWS && from - wanted < PAGE_ROWS as Seq;
            let read_from = if near { wanted } else { from };
            let page = self.stamped_page(key, read_from, PAGE_ROWS).await.map_err(unread)?;
            let mut given = Given::default();
            if from == 0 {
                return Ok(Beginning { base: None, bounds, given, read_from, page });
            }
            for stored in page.iter().filter(|stored| stored.seq < from) {
                match Taken::of(key, stored) {
                    Ok(_) => given.push(stored),
                    // Whoever wants it reads it, and meets the damage.
                    Err(_) => given = Given::default(),
                }
            }
            match page.iter().find(|stored| stored.seq == from) {
                Some(stored) => {
                    let base = Some(Taken::of(key, stored)?);
                    given.push(stored);
                    return Ok(Beginning { base, bounds, given, read_from, page });
                }
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
