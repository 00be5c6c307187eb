//! What is stored and not yet in the engine's files: the gather that is being filled, and those that wait to be taken over.
//! Whoever reads looks here first and takes the engine's snapshot afterwards: what moves meanwhile is then seen in one of
//! the two, or in both.

pub(in crate::embedded) mod gather;
pub(in crate::embedded) mod restore;

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeInclusive};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::log::{Direction, Seq};

use super::journal::Segment;
use super::{dropped, trim};
use gather::{Draft, Gather, Tree};

/// A gather that is filled no more.
pub(in crate::embedded) struct Sealed {
    pub(in crate::embedded) gather: Gather,
    /// Where its records lie.
    pub(in crate::embedded) segment: Segment,
    /// The number of its last record.
    pub(in crate::embedded) last: u64,
}

/// All gathers.
pub(in crate::embedded) struct Memory {
    state: Mutex<State>,
}

struct State {
    active: Gather,
    /// Oldest first.
    sealed: VecDeque<Arc<Sealed>>,
}

impl State {
    /// Oldest first.
    fn gathers(&self) -> impl DoubleEndedIterator<Item = &Gather> {
        self.sealed.iter().map(|sealed| &sealed.gather).chain([&self.active])
    }
}

/// What is in memory of a conversation.
#[derive(Default)]
pub(in crate::embedded) struct Held {
    /// Rows within the range that was asked for, in the order of the numbers.
    pub(in crate::embedded) rows: Vec<(Seq, Bytes)>,
    /// The highest number, whatever was asked for.
    pub(in crate::embedded) head: Option<Seq>,
    /// The founding row, whatever was asked for.
    pub(in crate::embedded) founding: Option<Bytes>,
}

impl Memory {
    pub(in crate::embedded) fn new(active: Gather, sealed: VecDeque<Arc<Sealed>>) -> Self {
        Self { state: Mutex::new(State { active, sealed }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    /// Shows what was just written to the journal, all at once.
    pub(in crate::embedded) fn add(&self, draft: &Draft<'_>) {
        self.lock().active.add(draft);
    }

    /// The gather being filled ends with this record and segment.
    pub(in crate::embedded) fn seal(&self, segment: Segment, last: u64) {
        let mut state = self.lock();
        let gather = std::mem::take(&mut state.active);
        state.sealed.push_back(Arc::new(Sealed { gather, segment, last }));
    }

    /// The gather that is to be taken over next.
    pub(in crate::embedded) fn oldest(&self) -> Option<Arc<Sealed>> {
        self.lock().sealed.front().cloned()
    }

    /// Whether more waits to be taken over than the oldest.
    pub(in crate::embedded) fn presses(&self) -> bool {
        self.lock().sealed.len() > 1
    }

    /// Gives up the oldest sealed gather, which the engine has now. It may hold a hundred thousand rows.
    pub(in crate::embedded) fn forget_oldest(&self) -> Option<Arc<Sealed>> {
        self.lock().sealed.pop_front()
    }

    /// About how many bytes are being gathered, and whether it removes anything.
    pub(in crate::embedded) fn gathered(&self) -> (u64, bool) {
        let state = self.lock();
        (
            state.active.bytes(),
            state.active.values(Tree::Meta).keys().any(|key| trim::is_boundary(key) || dropped::is_dropped(key)),
        )
    }

    /// A conversation's rows within the range, the first so many in this direction.
    pub(in crate::embedded) fn rows(
        &self,
        conversation: &[u8],
        seqs: &RangeInclusive<Seq>,
        direction: Direction,
        rows_max: usize,
    ) -> Held {
        let mut held = Held::default();
        let mut sorted = true;
        let state = self.lock();
        for rows in state.gathers().filter_map(|gather| gather.conversation(conversation)) {
            held.head = held.head.max(rows.head());
            held.founding = rows.founding().cloned().or(held.founding);
            let found = rows.within(seqs, direction, rows_max);
            if let (Some((last, _)), Some((first, _))) = (held.rows.last(), found.first()) {
                sorted &= last < first;
            }
            held.rows.extend_from_slice(found);
        }
        drop(state);
        if !sorted {
            // Of rows with the same number the last one is the newest.
            held.rows.reverse();
            held.rows.sort_by_key(|(seq, _)| *seq);
            held.rows.dedup_by_key(|(seq, _)| *seq);
        }
        held
    }

    /// All rows of all conversations: for tools.
    pub(in crate::embedded) fn all_rows(&self) -> BTreeMap<Bytes, BTreeMap<Seq, Bytes>> {
        let mut all: BTreeMap<Bytes, BTreeMap<Seq, Bytes>> = BTreeMap::new();
        for gather in self.lock().gathers() {
            for (conversation, rows) in gather.conversations() {
                let of_it = all.entry(Bytes::copy_from_slice(conversation)).or_default();
                of_it.extend(rows.all().iter().cloned());
            }
        }
        all
    }

    /// The newest value of a key.
    pub(in crate::embedded) fn value(&self, tree: Tree, key: &[u8]) -> Option<Bytes> {
        self.lock().gathers().rev().find_map(|gather| gather.values(tree).get(key).cloned())
    }

    /// The newest values of all keys from one to another, both included, in their order.
    pub(in crate::embedded) fn values_within(&self, tree: Tree, from: &[u8], to: &[u8]) -> BTreeMap<Bytes, Bytes> {
        let mut found = BTreeMap::new();
        for gather in self.lock().gathers() {
            let values = gather.values(tree).range::<[u8], _>((Bound::Included(from), Bound::Included(to)));
            found.extend(values.map(|(key, value)| (key.clone(), value.clone())));
        }
        found
    }

    /// The newest values of all keys with this beginning, in the order of the keys.
    pub(in crate::embedded) fn values(&self, tree: Tree, prefix: &[u8]) -> BTreeMap<Bytes, Bytes> {
        let mut found = BTreeMap::new();
        for gather in self.lock().gathers() {
            let from = gather.values(tree).range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
            let values = from.take_while(|(key, _)| key.starts_with(prefix));
            found.extend(values.map(|(key, value)| (key.clone(), value.clone())));
        }
        found
    }
}
