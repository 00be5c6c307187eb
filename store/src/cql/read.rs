//! Pages of a conversation's rows: mostly one statement, one more where a bucket ends, wherever in a timeline they lie. Only where
//! a page does not reach as far as it was asked for is it looked whether history begins or ends there, or a row is missing.

use std::sync::Arc;

use bytes::Bytes;
use scylla::response::PagingState;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::INTEGER_MAX;

use crate::log::{BUCKET_ROWS, Damage, Direction, ReadError, ReadRange, Seq};
use crate::quorum::{Newest, newest};
use crate::row::Verifier;

use super::requests::Failed;
use super::{Inner, number, unread};

/// A page as it is filled.
struct Page<'a> {
    key: &'a ConversationKey,
    range: ReadRange,
    verifier: Verifier,
    rows: Vec<(Seq, Bytes)>,
    bytes: usize,
    full: bool,
}

impl Page<'_> {
    /// Takes a row, unless a limit is reached.
    fn push(&mut self, seq: Seq, row: Bytes) -> Result<(), ReadError> {
        self.bytes = self.bytes.saturating_add(row.len());
        if self.bytes > self.range.bytes_max && !self.rows.is_empty() {
            self.full = true;
            return Ok(());
        }
        let corrupt = |reason| ReadError::Corrupt { key: self.key.clone(), seq, reason };
        self.verifier.verify(seq, &row).map_err(corrupt)?;
        self.rows.push((seq, row));
        self.full = self.rows.len() >= self.range.rows_max;
        Ok(())
    }

    /// How many rows of one bucket there is room for.
    fn room(&self) -> u64 {
        (self.range.rows_max.saturating_sub(self.rows.len()) as u64).min(BUCKET_ROWS)
    }

    fn missing(&self, seq: Seq) -> ReadError {
        ReadError::Corrupt { key: self.key.clone(), seq, reason: Damage::Missing }
    }
}

/// How far the rows of one bucket went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// The page is full.
    Full,
    /// As far as was asked for.
    Through,
    /// The next one is not there.
    Missing,
}

impl Inner {
    pub(super) async fn read_page(
        self: &Arc<Self>,
        key: &ConversationKey,
        range: ReadRange,
    ) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        let range = ReadRange { to: range.to.min(INTEGER_MAX), ..range };
        if range.rows_max == 0 || range.from > range.to {
            return Ok(Vec::new());
        }
        let mut page = Page { key, range, verifier: Verifier::new(key), rows: Vec::new(), bytes: 0, full: false };
        match range.direction {
            Direction::Forward => self.forward(&mut page).await?,
            Direction::Backward => self.backward(&mut page).await?,
        }
        Ok(page.rows)
    }

    async fn forward(self: &Arc<Self>, page: &mut Page<'_>) -> Result<(), ReadError> {
        let mut next = page.range.from;
        let mut missed = None;
        while next <= page.range.to {
            let high = page.range.to.min(next / BUCKET_ROWS * BUCKET_ROWS + BUCKET_ROWS - 1);
            match self.walk(page, &mut next, high, Direction::Forward).await? {
                Walked::Full => return Ok(()),
                Walked::Through => next = high + 1,
                Walked::Missing => {
                    let Newest { head, bounds } = newest(self, page.key, 0).await?;
                    if head.is_none_or(|head| head < next) {
                        return Ok(());
                    }
                    if next > 0 && next < bounds.begins {
                        next = bounds.begins;
                    } else if missed.replace(next) == Some(next) {
                        return Err(page.missing(next));
                    }
                    // Otherwise it may have come since: it is looked for once more.
                }
            }
        }
        Ok(())
    }

    async fn backward(self: &Arc<Self>, page: &mut Page<'_>) -> Result<(), ReadError> {
        let mut next = page.range.to;
        let mut missed = None;
        loop {
            let low = page.range.from.max(next / BUCKET_ROWS * BUCKET_ROWS);
            match self.walk(page, &mut next, low, Direction::Backward).await? {
                Walked::Full => return Ok(()),
                Walked::Through if low == page.range.from => return Ok(()),
                Walked::Through => next = low - 1,
                Walked::Missing => {
                    let Newest { head, bounds } = newest(self, page.key, 0).await?;
                    let Some(head) = head.filter(|head| *head >= page.range.from) else { return Ok(()) };
                    if page.rows.is_empty() && head < next {
                        next = head;
                    } else if next > 0 && next < bounds.begins {
                        // Of what lies below, the founding row alone is there.
                        if page.range.from > 0 {
                            return Ok(());
                        }
                        next = 0;
                    } else if missed.replace(next) == Some(next) {
                        return Err(page.missing(next));
                    }
                }
            }
        }
    }

    /// Takes rows of one bucket from `next` as far as `last`, and leaves in `next` the one that is not there.
    async fn walk(
        &self,
        page: &mut Page<'_>,
        next: &mut Seq,
        last: Seq,
        direction: Direction,
    ) -> Result<Walked, ReadError> {
        let (statement, wanted) = match direction {
            Direction::Forward => (&self.statements.rows_up, last - *next + 1),
            Direction::Backward => (&self.statements.rows_down, *next - last + 1),
        };
        let limit = i32::try_from(wanted.min(page.room())).unwrap_or(i32::MAX);
        let bucket = number::of_seq(*next / BUCKET_ROWS);
        let (tenant, conversation) = (page.key.tenant.as_str(), page.key.conversation.as_bytes().as_slice());
        let values = (tenant, conversation, bucket, number::of_seq(*next), limit);
        let mut state = PagingState::start();
        loop {
            let (rows, more) = self.requests.page(statement, values, state).await.map_err(unread)?;
            for row in rows.rows::<(i64, Bytes)>().map_err(|error| unread(Failed::form(error)))? {
                let (seq, row) = row.map_err(|error| unread(Failed::form(error)))?;
                if u64::try_from(seq) != Ok(*next) {
                    return Ok(Walked::Missing);
                }
                page.push(*next, row)?;
                if page.full {
                    return Ok(Walked::Full);
                }
                if *next == last {
                    return Ok(Walked::Through);
                }
                match direction {
                    Direction::Forward => *next += 1,
                    Direction::Backward => *next -= 1,
                }
            }
            match more {
                Some(more) => state = more,
                None => return Ok(Walked::Missing),
            }
        }
    }
}
