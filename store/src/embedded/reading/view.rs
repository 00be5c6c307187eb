//! What is stored of one conversation at one moment: rows in memory, taken first, over the engine's pages, taken afterwards. A
//! page of an answer is read in steps, and what is stored or moved between two of them must not show as a hole.

use std::ops::{Bound, RangeInclusive};

use bytes::Bytes;
use fjall::{Guard, Iter, Readable, Snapshot};
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::{Damage, Direction, ReadError, Seq};

use super::super::Embedded;
use super::super::engine::Engine;
use super::super::memory::Held;
use super::super::sorting::page::Page;
use super::{corrupt, read_error};

/// A page that has a row seldom ends further above it, in rows. Which pages are looked at first is bounded by it, because
/// each unmerged table of the engine is read that has any page within the bounds; what is found is not.
const NEAR: Seq = 256;

/// A conversation at one moment.
pub(in crate::embedded) struct View<'a> {
    engine: &'a Engine,
    key: &'a ConversationKey,
    conversation: KeyBuf,
    /// Of memory, as many rows as were asked for.
    held: Held,
    /// How many were asked for.
    rows_max: Seq,
    snapshot: Snapshot,
}

impl<'a> View<'a> {
    /// For reading so many rows of a range in this direction.
    pub(in crate::embedded) fn new(
        store: &'a Embedded,
        key: &'a ConversationKey,
        seqs: &RangeInclusive<Seq>,
        direction: Direction,
        rows_max: usize,
    ) -> Self {
        let conversation = KeyBuf::conversation(key);
        // All of it at once, or a conversation that begins meanwhile would be seen in part.
        let held = store.memory.rows(conversation.as_slice(), seqs, direction, rows_max);
        // Not before: what moves to the engine meanwhile must be seen here or there.
        let snapshot = store.engine.db.snapshot();
        Self { engine: &store.engine, key, conversation, held, rows_max: rows_max as Seq, snapshot }
    }

    /// Which conversation.
    pub(in crate::embedded) fn key(&self) -> &ConversationKey {
        self.key
    }

    /// The highest number.
    pub(in crate::embedded) fn head(&self) -> Result<Option<Seq>, ReadError> {
        let in_engine = self.pages(Bound::Included(0), Bound::Included(Seq::MAX)).next_back();
        let in_engine = in_engine.map(|guard| self.last_of(0, guard)).transpose()?;
        Ok(in_engine.max(self.held.head))
    }

    /// Whether there is a row with this number or a higher one.
    pub(in crate::embedded) fn reaches(&self, seq: Seq) -> Result<bool, ReadError> {
        if self.held.head.is_some_and(|head| head >= seq) {
            return Ok(true);
        }
        let page = self.pages(Bound::Included(seq), Bound::Included(Seq::MAX)).next();
        Ok(page.map(|guard| self.last_of(seq, guard)).transpose()?.is_some())
    }

    /// For reading upwards.
    pub(in crate::embedded) fn forward(&self) -> Forward<'_> {
        Forward { view: self, held: 0, pages: None, bound: 0, page: None }
    }

    /// For reading downwards from one number to another.
    pub(in crate::embedded) fn backward(&self, from: Seq, to: Seq) -> Backward<'_> {
        Backward { view: self, from, to, held: self.held.rows.len(), looked: false, below: None, page: None }
    }

    /// Pages whose last numbers lie within bounds.
    fn pages(&self, from: Bound<Seq>, to: Bound<Seq>) -> Iter {
        let key = |bound: Bound<Seq>| bound.map(|seq| self.conversation.with_seq(seq).as_slice().to_vec());
        self.snapshot.range::<Vec<u8>, _>(&self.engine.log, (key(from), key(to)))
    }

    fn last_of(&self, near: Seq, guard: Guard) -> Result<Seq, ReadError> {
        let page_key = guard.key().map_err(|fault| read_error(self.key, near, fault))?;
        self.number(near, &page_key)
    }

    fn number(&self, near: Seq, page_key: &[u8]) -> Result<Seq, ReadError> {
        let last = page_key.last_chunk().map(|last| Seq::from_be_bytes(*last));
        last.ok_or_else(|| corrupt(self.key, near, Damage::Engine("a foreign key".into())))
    }

    fn page(&self, near: Seq, guard: Guard) -> Result<Page, ReadError> {
        let (page_key, bytes) = guard.into_inner().map_err(|fault| read_error(self.key, near, fault))?;
        let last = self.number(near, &page_key)?;
        Page::decode(last, bytes.into())
            .ok_or_else(|| corrupt(self.key, near.min(last), Damage::Engine("a page does not decode".into())))
    }

    /// The page that has this row, or the next above it.
    fn page_from(&self, seq: Seq) -> Result<Option<Page>, ReadError> {
        let bound = seq.saturating_add(NEAR);
        for (from, to) in [(Bound::Included(seq), bound), (Bound::Excluded(bound), Seq::MAX)] {
            if let Some(guard) = self.pages(from, Bound::Included(to)).next() {
                return self.page(seq, guard).map(Some);
            }
        }
        Ok(None)
    }

    /// The founding row.
    pub(in crate::embedded) fn founding(&self) -> Result<Option<Bytes>, ReadError> {
        if let Some(row) = &self.held.founding {
            return Ok(Some(row.clone()));
        }
        let page = self.pages(Bound::Included(0), Bound::Included(0)).next();
        let page = page.map(|guard| self.page(0, guard)).transpose()?;
        Ok(page.and_then(|page| page.row(0)))
    }
}

/// Rows upwards, asked for by number, each higher than the one before.
pub(in crate::embedded) struct Forward<'a> {
    view: &'a View<'a>,
    /// Of the held rows, so many lie below.
    held: usize,
    /// The pages from the first number that was not held, up to the bound.
    pages: Option<Iter>,
    bound: Seq,
    page: Option<Page>,
}

impl Forward<'_> {
    /// The row of this number.
    pub(in crate::embedded) fn row(&mut self, seq: Seq) -> Result<Option<Bytes>, ReadError> {
        let held = &self.view.held.rows;
        while held.get(self.held).is_some_and(|(held, _)| *held < seq) {
            self.held += 1;
        }
        if let Some((_, row)) = held.get(self.held).filter(|(held, _)| *held == seq) {
            return Ok(Some(row.clone()));
        }
        while self.page.as_ref().is_none_or(|page| page.last() < seq) {
            self.page = self.next_page(seq)?;
            if self.page.is_none() {
                return Ok(None);
            }
        }
        Ok(self.page.as_ref().and_then(|page| page.row(seq)))
    }

    /// The next page, which may have this row.
    fn next_page(&mut self, seq: Seq) -> Result<Option<Page>, ReadError> {
        let view = self.view;
        let pages = match &mut self.pages {
            Some(pages) => pages,
            none => {
                self.bound = seq.saturating_add(view.rows_max).saturating_add(NEAR);
                none.insert(view.pages(Bound::Included(seq), Bound::Included(self.bound)))
            }
        };
        let mut next = pages.next();
        if next.is_none() && self.bound < Seq::MAX {
            *pages = view.pages(Bound::Excluded(self.bound), Bound::Included(Seq::MAX));
            self.bound = Seq::MAX;
            next = pages.next();
        }
        next.map(|guard| view.page(seq, guard)).transpose()
    }

    /// Whether there is any row above one that is not there.
    pub(in crate::embedded) fn goes_on(&self, missing: Seq) -> bool {
        self.page.is_some() || self.view.held.head.is_some_and(|head| head > missing)
    }
}

/// Rows downwards, asked for by number, each lower than the one before.
pub(in crate::embedded) struct Backward<'a> {
    view: &'a View<'a>,
    from: Seq,
    to: Seq,
    /// Of the held rows, so many may lie below.
    held: usize,
    /// Whether the engine was looked into.
    looked: bool,
    /// The pages below the first that was found there.
    below: Option<Iter>,
    page: Option<Page>,
}

impl Backward<'_> {
    /// The highest number that is not above the one to begin with.
    pub(in crate::embedded) fn highest(&mut self) -> Result<Option<Seq>, ReadError> {
        let held = self.view.held.rows.last().map(|(seq, _)| *seq);
        if held == Some(self.to) {
            return Ok(held);
        }
        self.find(self.to)?;
        let in_engine = self.page.as_ref().map(|page| page.last().min(self.to));
        Ok(held.max(in_engine))
    }

    /// The row of this number.
    pub(in crate::embedded) fn row(&mut self, seq: Seq) -> Result<Option<Bytes>, ReadError> {
        let held = &self.view.held.rows;
        while self.held > 0 && held.get(self.held - 1).is_some_and(|(held, _)| *held > seq) {
            self.held -= 1;
        }
        if let Some((_, row)) = self.held.checked_sub(1).and_then(|at| held.get(at)).filter(|(held, _)| *held == seq) {
            return Ok(Some(row.clone()));
        }
        self.find(seq)?;
        Ok(self.page.as_ref().and_then(|page| page.row(seq)))
    }

    /// Goes down to the page that begins with this number or below.
    fn find(&mut self, seq: Seq) -> Result<(), ReadError> {
        let view = self.view;
        if !std::mem::replace(&mut self.looked, true) {
            self.page = view.page_from(seq)?.filter(|page| page.first() <= seq);
            if self.page.is_none() && self.from < seq {
                let below = view.pages(Bound::Included(self.from), Bound::Excluded(seq)).next_back();
                self.page = below.map(|guard| view.page(seq, guard)).transpose()?;
            }
        }
        while let Some(page) = &self.page
            && page.first() > seq
        {
            let below = match &mut self.below {
                Some(below) => below,
                none => {
                    // This many rows from the highest are asked for, not more.
                    let lowest = page.last().min(self.to).saturating_sub(view.rows_max).max(self.from);
                    let first = page.first();
                    none.insert(view.pages(Bound::Included(lowest.min(first)), Bound::Excluded(first)))
                }
            };
            self.page = below.next_back().map(|guard| view.page(seq, guard)).transpose()?;
        }
        Ok(())
    }
}
