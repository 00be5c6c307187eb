//! Tools that read a whole store: `verify` checks every row and record, `dump` lists a conversation. Both take the lock,
//! so they never look at a store that somebody writes.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};

use crate::dump::Dump;
use crate::key::{self, KeyBuf};
use crate::log::Seq;
use crate::row::Row;

use super::memory::gather::Tree;
use super::options::OpenError;
use super::sorting::page::Page;
use super::{Embedded, dropped, epochs, owners, trim, value};

/// Damage listed by name; more are only counted as not ok.
const CORRUPT_MAX: usize = 1_000;

/// What a check of everything found.
#[derive(Debug, Default)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// Conversations with at least one row.
    pub conversations: u64,
    /// Rows of conversations besides the founding ones.
    pub events: u64,
    /// Users' homes with a log of their own.
    pub homes: u64,
    /// What is wrong, at most the first 1,000.
    pub corrupt: Vec<Corruption>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Where, if that is known.
    pub conversation: Option<ConversationKey>,
    /// Which row, if it is one.
    pub seq: Option<Seq>,
    /// What.
    pub reason: String,
}

/// Reads everything in the store of a data directory: every checksum, numbers without a hole above what was trimmed,
/// batches that begin where they say, ordinals and epochs that never fall, every record, member and decision, and what the
/// store knows of itself: the epoch, routers and boundaries.
pub fn verify(dir: &Path) -> Result<Report, OpenError> {
    let store = Embedded::open_existing(dir)?;
    let mut check = Check { store: &store, report: Report { ok: true, ..Report::default() } };
    check.rows();
    check.projections();
    check.meta();
    Ok(check.report)
}

struct Check<'a> {
    store: &'a Embedded,
    report: Report,
}

/// Where a walk is within a conversation.
struct Walk {
    key: ConversationKey,
    last: Option<(Seq, Row)>,
    /// The number that must come next.
    next: Seq,
    /// Where events begin.
    below: Seq,
    /// Rows that are in memory and were not met yet.
    held: BTreeMap<Seq, Bytes>,
    events: u64,
    /// It is the log of a user's home: its first row, and all others, are that user's.
    home: bool,
}

impl Check<'_> {
    fn wrong(&mut self, conversation: Option<&ConversationKey>, seq: Option<Seq>, reason: impl Into<String>) {
        self.report.ok = false;
        if self.report.corrupt.len() < CORRUPT_MAX {
            self.report.corrupt.push(Corruption { conversation: conversation.cloned(), seq, reason: reason.into() });
        }
    }

    fn rows(&mut self) {
        let mut held = self.store.memory.all_rows();
        let mut walk: Option<Walk> = None;
        for guard in self.store.engine.log.iter() {
            let (place, bytes) = match guard.into_inner() {
                Ok(page) => page,
                Err(error) => {
                    // What lies behind cannot be reached from here.
                    let (key, seq) = walk.as_ref().map(|walk| (&walk.key, walk.next)).unzip();
                    self.wrong(key, seq, format!("not readable from here on: {error}"));
                    return;
                }
            };
            let Some((key, last)) = key::split_row(&place) else {
                self.wrong(None, None, "a key that is not a page's");
                continue;
            };
            if walk.as_ref().is_none_or(|walk| walk.key != key) {
                if let Some(walk) = walk.take() {
                    self.end(walk);
                }
                self.held_only(&mut held, Some(&place));
                let held = held.remove(KeyBuf::conversation(&key).as_slice()).unwrap_or_default();
                walk = Some(self.begin(key, held));
            }
            let Some(walk) = &mut walk else { continue };
            match Page::decode(last, bytes.into()) {
                Some(page) => page.rows().for_each(|(seq, blob)| self.stored(walk, seq, blob)),
                None => self.wrong(Some(&walk.key), Some(last), "a page that does not decode"),
            }
        }
        if let Some(walk) = walk {
            self.end(walk);
        }
        self.held_only(&mut held, None);
    }

    /// Conversations of which nothing but rows in memory is there, up to a key.
    fn held_only(&mut self, held: &mut BTreeMap<Bytes, BTreeMap<Seq, Bytes>>, up_to: Option<&[u8]>) {
        while let Some(first) = held.first_entry()
            && up_to.is_none_or(|up_to| &first.key()[..] < up_to && !up_to.starts_with(first.key()))
        {
            let (conversation, rows) = first.remove_entry();
            match key::split_conversation(&conversation) {
                Some((key, [])) => {
                    let walk = self.begin(key, rows);
                    self.end(walk);
                }
                _ => self.wrong(None, None, "a key that is not a conversation's"),
            }
        }
    }

    fn begin(&mut self, key: ConversationKey, held: BTreeMap<Seq, Bytes>) -> Walk {
        let below = self.store.trimmed_below(&key).unwrap_or_else(|error| {
            self.wrong(Some(&key), None, error.to_string());
            1
        });
        Walk { key, last: None, next: 0, below, held, events: 0, home: false }
    }

    /// A row of a page, after those that are in memory and below it. In memory there may be a newer form of it.
    fn stored(&mut self, walk: &mut Walk, seq: Seq, blob: Bytes) {
        while let Some(first) = walk.held.first_entry()
            && *first.key() < seq
        {
            let (seq, blob) = first.remove_entry();
            self.row(walk, seq, &blob);
        }
        let blob = walk.held.remove(&seq).unwrap_or(blob);
        self.row(walk, seq, &blob);
    }

    fn end(&mut self, mut walk: Walk) {
        for (seq, blob) in std::mem::take(&mut walk.held) {
            self.row(&mut walk, seq, &blob);
        }
        if walk.home {
            self.report.homes += 1;
        } else {
            self.report.conversations += 1;
            self.report.events += walk.events;
        }
    }

    fn row(&mut self, walk: &mut Walk, seq: Seq, blob: &Bytes) {
        // Until its page goes, a row below the boundary is only hidden.
        if seq > 0 && seq < walk.below {
            return;
        }
        walk.events += u64::from(seq > 0);
        if seq != walk.next {
            self.wrong(Some(&walk.key), Some(walk.next), "missing");
            walk.last = None;
        }
        walk.next = if seq == 0 { walk.below } else { seq + 1 };
        match Row::decode(&walk.key, seq, blob) {
            Ok(row) => {
                walk.home |= seq == 0 && is_home(&walk.key, &row);
                let before = walk.last.as_ref().filter(|(last, _)| *last + 1 == seq).map(|(_, row)| row);
                for reason in inconsistencies(before, seq, &row) {
                    self.wrong(Some(&walk.key), Some(seq), reason);
                }
                walk.last = Some((seq, row));
            }
            Err(reason) => {
                self.wrong(Some(&walk.key), Some(seq), reason.to_string());
                walk.last = None;
            }
        }
    }

    fn projections(&mut self) {
        let trees = [
            (Tree::Conversations, "record"),
            (Tree::Members, "member"),
            (Tree::Users, "listing"),
            (Tree::Overlays, "overlay"),
            (Tree::Marks, "mark"),
            (Tree::Decisions, "decision"),
        ];
        for (tree, name) in trees {
            self.tree(tree, name, |check, place, value| check.projection(name, place, value));
        }
    }

    /// Everything in a tree, as it is in the engine and as it is in memory.
    fn tree(&mut self, tree: Tree, name: &str, mut each: impl FnMut(&mut Self, &[u8], Bytes)) {
        let held = self.store.memory.values(tree, &[]);
        let tree = self.store.engine.tree(tree);
        for guard in tree.iter() {
            // Looked up by its key, too: that reads more of a file than going through it does.
            match guard.into_inner().and_then(|pair| tree.get(&pair.0).map(|_| pair)) {
                Ok((place, value)) => each(self, &place, value.into()),
                Err(error) => {
                    self.wrong(None, None, format!("{name}: not readable from here on: {error}"));
                    break;
                }
            }
        }
        held.into_iter().for_each(|(place, value)| each(self, &place, value));
    }

    fn meta(&mut self) {
        self.tree(Tree::Meta, "meta", |check, place, value| {
            let sound = epochs::is_sound(place, &value)
                || trim::is_sound(place, &value)
                || owners::is_sound(place, &value)
                || dropped::is_sound(place, &value);
            if !sound {
                check.wrong(None, None, "meta: a value that is not its key's");
            }
        });
    }

    fn projection(&mut self, name: &str, place: &[u8], value: Bytes) {
        if let Err(reason) = value::decode(place, value) {
            let conversation = key::split_conversation(place).map(|(key, _)| key);
            self.wrong(conversation.as_ref(), None, format!("{name}: {reason}"));
        }
    }
}

/// Whether this is the first row of the log of its sender's home.
fn is_home(key: &ConversationKey, row: &Row) -> bool {
    UserId::new(row.sender()).is_ok_and(|user| ConversationKey::home(&key.tenant, &user) == *key)
}

/// What contradicts the row before.
fn inconsistencies(before: Option<&Row>, seq: Seq, row: &Row) -> impl Iterator<Item = &'static str> {
    let begins = row.first == seq;
    let continues = before.is_some_and(|before| before.first == row.first && before.epoch == row.epoch);
    [
        (row.first > seq).then_some("its batch begins behind it"),
        (before.is_some() && !begins && !continues).then_some("it neither begins a batch nor continues the one before"),
        before.is_some_and(|before| row.ordinal < before.ordinal).then_some("its ordinal falls"),
        before.is_some_and(|before| row.epoch < before.epoch).then_some("its epoch falls"),
    ]
    .into_iter()
    .flatten()
}

/// Lists a conversation from the store of a data directory.
pub fn dump(dir: &Path, key: ConversationKey) -> Result<Dump<Embedded>, OpenError> {
    Ok(Dump::new(Embedded::open_existing(dir)?, key))
}
