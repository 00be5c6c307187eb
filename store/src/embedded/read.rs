//! Reading rows: every row is checked before it leaves, and a hole is never passed over in silence.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fjall::{Guard, Iter, KvPair, Readable, Snapshot};
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::{Damage, Direction, ReadError, ReadRange, Seq};
use crate::row::Verifier;

use super::engine::{Engine, EngineFault};
use super::{Embedded, number, trim};

/// Rows for which room is made at once; a caller may ask for more.
const PAGE_ROWS_USUAL: usize = 64;

/// An error of the engine while it looked for this row.
pub(super) fn read_error(key: &ConversationKey, seq: Seq, fault: impl Into<EngineFault>) -> ReadError {
    match fault.into() {
        EngineFault::Damage(reason) => corrupt(key, seq, Damage::Engine(reason)),
        EngineFault::Unavailable(reason) => ReadError::Unavailable(reason),
    }
}

pub(super) fn corrupt(key: &ConversationKey, seq: Seq, reason: Damage) -> ReadError {
    ReadError::Corrupt { key: key.clone(), seq, reason }
}

/// The number at the end of a row's key.
pub(super) fn seq_of(row_key: &[u8]) -> Option<Seq> {
    row_key.last_chunk::<8>().map(|seq| Seq::from_be_bytes(*seq))
}

/// A page being filled.
struct Page {
    rows: Vec<(Seq, Bytes)>,
    rows_max: usize,
    bytes_left: usize,
}

impl Page {
    /// Takes a row, or says that the page is full.
    fn push(&mut self, seq: Seq, blob: Bytes) -> bool {
        let fits = self.rows.is_empty() || blob.len() <= self.bytes_left;
        if !fits || self.rows.len() >= self.rows_max {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(blob.len());
        self.rows.push((seq, blob));
        true
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max
    }
}

/// The store at one moment: a page is read in steps, and what is stored between two of them must not show as a hole.
pub(super) struct View<'a> {
    engine: &'a Engine,
    snapshot: Snapshot,
}

impl Embedded {
    pub(super) fn view(&self) -> View<'_> {
        View { engine: &self.engine, snapshot: self.engine.db.snapshot() }
    }

    pub(super) fn read_page(&self, key: &ConversationKey, range: ReadRange) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        if range.from > range.to || range.rows_max == 0 {
            return Ok(Vec::new());
        }
        let rows = Vec::with_capacity(range.rows_max.min(PAGE_ROWS_USUAL));
        let mut page = Page { rows, rows_max: range.rows_max, bytes_left: range.bytes_max };
        let view = self.view();
        // The founding row stands alone: what follows it may have been trimmed.
        let founding = (range.from == 0).then_some(0..=0);
        let events = range.from.max(view.trimmed_below(key)?)..=range.to;
        match range.direction {
            Direction::Forward => {
                if let Some(founding) = founding {
                    view.fill_forward(key, founding, &mut page)?;
                }
                view.fill_forward(key, events, &mut page)?;
            }
            Direction::Backward => {
                view.fill_backward(key, events, &mut page)?;
                if let Some(founding) = founding {
                    view.fill_forward(key, founding, &mut page)?;
                }
            }
        }
        Ok(page.rows)
    }

    pub(super) fn read_head(&self, key: &ConversationKey, at_least: Seq) -> Result<Option<Seq>, ReadError> {
        let last = self.view().rows(key, at_least..=Seq::MAX).next_back();
        match last.map(|guard| seq_of_guard(key, at_least, guard)).transpose()? {
            None if at_least > 0 => Err(corrupt(key, at_least, Damage::Missing)),
            head => Ok(head),
        }
    }
}

impl View<'_> {
    /// The lowest event that may be read: 1 if nothing was ever trimmed.
    pub(super) fn trimmed_below(&self, key: &ConversationKey) -> Result<Seq, ReadError> {
        let meta_key = trim::below_key(key);
        match self.snapshot.get(&self.engine.meta, &meta_key) {
            Ok(None) => Ok(1),
            Ok(Some(value)) => number::decode(&meta_key, &value).ok_or_else(|| corrupt(key, 1, Damage::Checksum)),
            Err(fault) => Err(read_error(key, 1, fault)),
        }
    }

    pub(super) fn rows(&self, key: &ConversationKey, seqs: RangeInclusive<Seq>) -> Iter {
        let conversation = KeyBuf::conversation(key);
        let (from, to) = (conversation.with_seq(*seqs.start()), conversation.with_seq(*seqs.end()));
        self.snapshot.range(&self.engine.log, from.as_slice()..=to.as_slice())
    }

    /// Adds consecutive rows upwards. A row that is not there is missing if any row above it is.
    fn fill_forward(&self, key: &ConversationKey, seqs: RangeInclusive<Seq>, page: &mut Page) -> Result<(), ReadError> {
        if seqs.is_empty() || page.is_full() {
            return Ok(());
        }
        let (mut next, to) = (*seqs.start(), *seqs.end());
        let verifier = Verifier::new(key);
        for guard in self.rows(key, seqs) {
            let (seq, blob) = checked_row(key, verifier, next, guard)?;
            if seq != next {
                return Err(corrupt(key, next, Damage::Missing));
            }
            if !page.push(seq, blob) || page.is_full() || seq == to {
                return Ok(());
            }
            next += 1;
        }
        self.expect_nothing_above(key, to, next)
    }

    /// The same downwards, from the head if that lies within.
    fn fill_backward(
        &self,
        key: &ConversationKey,
        seqs: RangeInclusive<Seq>,
        page: &mut Page,
    ) -> Result<(), ReadError> {
        if seqs.is_empty() || page.is_full() {
            return Ok(());
        }
        let (from, to) = (*seqs.start(), *seqs.end());
        let verifier = Verifier::new(key);
        let mut next = None;
        for guard in self.rows(key, seqs).rev() {
            let (seq, blob) = checked_row(key, verifier, next.unwrap_or(to), guard)?;
            match next {
                Some(next) if next != seq => return Err(corrupt(key, next, Damage::Missing)),
                None if seq != to => self.expect_nothing_above(key, to, seq + 1)?,
                _ => {}
            }
            if !page.push(seq, blob) || page.is_full() || seq == from {
                return Ok(());
            }
            next = Some(seq - 1);
        }
        match next {
            Some(next) => Err(corrupt(key, next, Damage::Missing)),
            None => self.expect_nothing_above(key, to, from),
        }
    }

    /// Confirms that a conversation ends at or below `to`; otherwise `missing` is.
    fn expect_nothing_above(&self, key: &ConversationKey, to: Seq, missing: Seq) -> Result<(), ReadError> {
        let above = to.checked_add(1).and_then(|above| self.rows(key, above..=Seq::MAX).next());
        match above.map(|guard| seq_of_guard(key, missing, guard)).transpose()? {
            None => Ok(()),
            Some(_) => Err(corrupt(key, missing, Damage::Missing)),
        }
    }
}

/// A row's number and blob, after its checksum was found right.
fn checked_row(
    key: &ConversationKey,
    verifier: Verifier,
    expected: Seq,
    guard: Guard,
) -> Result<(Seq, Bytes), ReadError> {
    let (row_key, blob): KvPair = guard.into_inner().map_err(|fault| read_error(key, expected, fault))?;
    let seq = seq_of(&row_key).ok_or_else(|| corrupt(key, expected, Damage::Engine("a foreign key".into())))?;
    verifier.verify(seq, &blob).map_err(|reason| corrupt(key, seq, reason))?;
    Ok((seq, Bytes::from(blob)))
}

fn seq_of_guard(key: &ConversationKey, near: Seq, guard: Guard) -> Result<Seq, ReadError> {
    let row_key = guard.key().map_err(|fault| read_error(key, near, fault))?;
    seq_of(&row_key).ok_or_else(|| corrupt(key, near, Damage::Engine("a foreign key".into())))
}
