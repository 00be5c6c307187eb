//! Reading rows: every row is checked before it leaves, and a hole is never passed over in silence.

mod view;

use std::ops::RangeInclusive;

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::log::{Damage, Direction, ReadError, ReadRange, Seq};
use crate::row::Verifier;

use super::engine::EngineFault;
use super::memory::gather::Tree;
use super::{Embedded, number, trim};
use view::View;

/// Rows for which room is made at once; a caller may ask for more.
const PAGE_ROWS_USUAL: usize = 64;

/// An error of the engine while it looked for this row.
pub(in crate::embedded) fn read_error(key: &ConversationKey, seq: Seq, fault: impl Into<EngineFault>) -> ReadError {
    match fault.into() {
        EngineFault::Damage(reason) => corrupt(key, seq, Damage::Engine(reason)),
        EngineFault::Unavailable(reason) => ReadError::Unavailable(reason),
    }
}

pub(in crate::embedded) fn corrupt(key: &ConversationKey, seq: Seq, reason: Damage) -> ReadError {
    ReadError::Corrupt { key: key.clone(), seq, reason }
}

/// The answer being filled.
struct Answer {
    rows: Vec<(Seq, Bytes)>,
    rows_max: usize,
    bytes_left: usize,
    verifier: Verifier,
}

impl Answer {
    /// Takes a row once it was found right, and says whether there is room for more.
    fn push(&mut self, key: &ConversationKey, seq: Seq, blob: Bytes) -> Result<bool, ReadError> {
        self.verifier.verify(seq, &blob).map_err(|reason| corrupt(key, seq, reason))?;
        if !self.rows.is_empty() && blob.len() > self.bytes_left {
            return Ok(false);
        }
        self.bytes_left = self.bytes_left.saturating_sub(blob.len());
        self.rows.push((seq, blob));
        Ok(!self.is_full())
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max
    }
}

impl Embedded {
    pub(in crate::embedded) fn read_page(
        &self,
        key: &ConversationKey,
        range: ReadRange,
    ) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        if range.from > range.to || range.rows_max == 0 {
            return Ok(Vec::new());
        }
        let rows = Vec::with_capacity(range.rows_max.min(PAGE_ROWS_USUAL));
        let (rows_max, bytes_left) = (range.rows_max, range.bytes_max);
        let mut answer = Answer { rows, rows_max, bytes_left, verifier: Verifier::new(key) };
        let (view, below) = self.view(key, &range)?;
        // The founding row stands alone: what follows it may have been trimmed.
        let founding = range.from == 0;
        let events = range.from.max(below)..=range.to;
        match range.direction {
            Direction::Forward => {
                let goes_on = !founding || add_founding(&view, &mut answer)?;
                if goes_on {
                    fill_forward(&view, events, &mut answer)?;
                }
            }
            Direction::Backward => {
                let goes_on = fill_backward(&view, events, &mut answer)?;
                if founding && goes_on {
                    add_founding(&view, &mut answer)?;
                }
            }
        }
        Ok(answer.rows)
    }

    /// What is stored of a conversation, and where its events begin at the same moment.
    fn view<'a>(&'a self, key: &'a ConversationKey, range: &ReadRange) -> Result<(View<'a>, Seq), ReadError> {
        let mut below = 1;
        loop {
            let events = range.from.max(below)..=range.to;
            let view = View::new(self, key, &events, range.direction, range.rows_max);
            let found = self.trimmed_below(key)?;
            // The rows were taken before this was asked: if more is hidden now, some may be missing behind.
            if found <= *events.start() {
                return Ok((view, found));
            }
            below = found;
        }
    }

    pub(in crate::embedded) fn read_head(
        &self,
        key: &ConversationKey,
        at_least: Seq,
    ) -> Result<Option<Seq>, ReadError> {
        let view = View::new(self, key, &(0..=0), Direction::Forward, 0);
        match view.head()? {
            head if at_least == 0 || head.is_some_and(|head| head >= at_least) => Ok(head),
            _ => Err(corrupt(key, at_least, Damage::Missing)),
        }
    }

    /// The lowest event that may be read: 1 if nothing was ever trimmed.
    pub(in crate::embedded) fn trimmed_below(&self, key: &ConversationKey) -> Result<Seq, ReadError> {
        let meta_key = trim::below_key(key);
        match self.value(Tree::Meta, &meta_key) {
            Ok(None) => Ok(1),
            Ok(Some(value)) => number::decode(&meta_key, &value).ok_or_else(|| corrupt(key, 1, Damage::Checksum)),
            Err(fault) => Err(read_error(key, 1, fault)),
        }
    }

    /// The newest value of a key of a small tree.
    pub(in crate::embedded) fn value(&self, tree: Tree, key: &[u8]) -> Result<Option<Bytes>, EngineFault> {
        if let Some(value) = self.memory.value(tree, key) {
            return Ok(Some(value));
        }
        Ok(self.engine.tree(tree).get(key)?.map(Bytes::from))
    }
}

/// Adds the founding row, and says whether there is room for more. It is missing if there is any other.
fn add_founding(view: &View<'_>, answer: &mut Answer) -> Result<bool, ReadError> {
    match view.founding()? {
        Some(blob) => answer.push(view.key(), 0, blob),
        None if view.reaches(1)? => Err(corrupt(view.key(), 0, Damage::Missing)),
        None => Ok(false),
    }
}

/// Adds consecutive rows upwards. A row that is not there is missing if any row above it is.
fn fill_forward(view: &View<'_>, seqs: RangeInclusive<Seq>, answer: &mut Answer) -> Result<(), ReadError> {
    let mut rows = view.forward();
    for seq in seqs {
        match rows.row(seq)? {
            Some(blob) => {
                if !answer.push(view.key(), seq, blob)? {
                    return Ok(());
                }
            }
            None if rows.goes_on(seq) => return Err(corrupt(view.key(), seq, Damage::Missing)),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// The same downwards, from the head if that lies within. Says whether there is room for more.
fn fill_backward(view: &View<'_>, seqs: RangeInclusive<Seq>, answer: &mut Answer) -> Result<bool, ReadError> {
    if seqs.is_empty() {
        return Ok(true);
    }
    let (from, to) = seqs.into_inner();
    let mut rows = view.backward(from, to);
    let highest = rows.highest()?.filter(|highest| *highest >= from);
    let next = highest.map_or(from, |highest| highest.saturating_add(1));
    if highest != Some(to) && view.reaches(next)? {
        return Err(corrupt(view.key(), next, Damage::Missing));
    }
    let Some(highest) = highest else { return Ok(true) };
    for seq in (from..=highest).rev() {
        let blob = rows.row(seq)?.ok_or_else(|| corrupt(view.key(), seq, Damage::Missing))?;
        if !answer.push(view.key(), seq, blob)? {
            return Ok(false);
        }
    }
    Ok(true)
}
