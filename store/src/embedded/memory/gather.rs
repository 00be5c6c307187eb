//! What the records of one segment hold, sorted so that it can be read, and later written out, by conversation. In memory
//! only; rows are shared with whoever stored them, not copied.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::key::KeyBuf;
use crate::log::{Batch, Direction, Seq};

use super::super::journal::Sectors;
use super::super::journal::record::{self, Entry};

/// A tree whose values are put one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(in crate::embedded) enum Tree {
    /// Conversations' records.
    Conversations = 0,
    /// Members by conversation.
    Members = 1,
    /// Members by user.
    Users = 2,
    /// The epoch, routers, and where trimmed conversations begin.
    Meta = 3,
    /// Overlays and reactors, by conversation and row.
    Overlays = 4,
    /// Marks by conversation.
    Marks = 5,
    /// Decisions by home.
    Decisions = 6,
}

impl Tree {
    /// All, by their numbers in the journal.
    pub(in crate::embedded) const ALL: [Self; 7] =
        [Self::Conversations, Self::Members, Self::Users, Self::Meta, Self::Overlays, Self::Marks, Self::Decisions];

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// One value to be put.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct Put {
    pub(in crate::embedded) tree: Tree,
    pub(in crate::embedded) key: Bytes,
    pub(in crate::embedded) value: Bytes,
}

impl Put {
    /// Bytes that it takes in the journal.
    pub(in crate::embedded) fn len(&self) -> usize {
        record::value_len(&self.key, &self.value)
    }
}

/// What is to be stored in one step.
#[derive(Default)]
pub(in crate::embedded) struct Draft<'a> {
    batches: Vec<(KeyBuf, &'a Batch)>,
    puts: Vec<Put>,
    payload: usize,
}

impl<'a> Draft<'a> {
    /// A step of one value.
    pub(in crate::embedded) fn of(put: Put) -> Self {
        let mut draft = Self::default();
        draft.put(put);
        draft
    }

    /// Bytes that a batch takes in the journal.
    pub(in crate::embedded) fn batch_len(batch: &Batch) -> usize {
        record::rows_len(KeyBuf::conversation(&batch.key).as_slice(), &batch.rows)
    }

    /// Adds a batch.
    pub(in crate::embedded) fn batch(&mut self, batch: &'a Batch) {
        let conversation = KeyBuf::conversation(&batch.key);
        self.payload += record::rows_len(conversation.as_slice(), &batch.rows);
        self.batches.push((conversation, batch));
    }

    /// Adds a value.
    pub(in crate::embedded) fn put(&mut self, put: Put) {
        self.payload += put.len();
        self.puts.push(put);
    }

    /// Bytes that all of it takes in the journal.
    pub(in crate::embedded) fn payload(&self) -> usize {
        self.payload
    }

    /// Whether there is anything.
    pub(in crate::embedded) fn is_empty(&self) -> bool {
        self.payload == 0
    }

    /// Writes it to a record.
    pub(in crate::embedded) fn write(&self, to: &mut Sectors) {
        for (conversation, batch) in &self.batches {
            record::put_rows(to, conversation.as_slice(), batch.first, &batch.rows);
        }
        for Put { tree, key, value } in &self.puts {
            record::put_value(to, *tree as u8, key, value);
        }
    }
}

/// Rows of one conversation in the order of their numbers. Most conversations have one row in a gather if there are many.
#[derive(Default)]
pub(in crate::embedded) struct Rows(SmallVec<[(Seq, Bytes); 1]>);

impl Rows {
    fn add(&mut self, first: Seq, rows: &[Bytes]) {
        for (seq, row) in (first..).zip(rows) {
            if self.0.last().is_none_or(|(last, _)| *last < seq) {
                self.0.push((seq, row.clone()));
                continue;
            }
            // A repetition, or an erased body.
            match self.0.binary_search_by_key(&seq, |(seq, _)| *seq) {
                Ok(at) => self.0[at].1 = row.clone(),
                Err(at) => self.0.insert(at, (seq, row.clone())),
            }
        }
    }

    pub(in crate::embedded) fn all(&self) -> &[(Seq, Bytes)] {
        &self.0
    }

    /// Those within the range, in the order of the direction, the first so many.
    pub(in crate::embedded) fn within(
        &self,
        seqs: &RangeInclusive<Seq>,
        direction: Direction,
        rows_max: usize,
    ) -> &[(Seq, Bytes)] {
        let from = self.0.partition_point(|(seq, _)| seq < seqs.start());
        let to = self.0.partition_point(|(seq, _)| seq <= seqs.end());
        let found = self.0.get(from..to).unwrap_or_default();
        let left_out = found.len().saturating_sub(rows_max);
        match direction {
            Direction::Forward => &found[..found.len() - left_out],
            Direction::Backward => &found[left_out..],
        }
    }

    pub(in crate::embedded) fn founding(&self) -> Option<&Bytes> {
        self.0.first().filter(|(seq, _)| *seq == 0).map(|(_, row)| row)
    }

    pub(in crate::embedded) fn head(&self) -> Option<Seq> {
        self.0.last().map(|(seq, _)| *seq)
    }
}

/// What is gathered.
#[derive(Default)]
pub(in crate::embedded) struct Gather {
    rows: HashMap<Box<[u8]>, Rows>,
    values: [BTreeMap<Bytes, Bytes>; Tree::ALL.len()],
    bytes: u64,
}

impl Gather {
    /// Takes in what was just written to the journal.
    pub(in crate::embedded) fn add(&mut self, draft: &Draft<'_>) {
        self.bytes += draft.payload as u64;
        for (conversation, batch) in &draft.batches {
            self.rows_of(conversation.as_slice()).add(batch.first, &batch.rows);
        }
        for Put { tree, key, value } in &draft.puts {
            self.values[*tree as usize].insert(key.clone(), value.clone());
        }
    }

    /// Takes in what was read from the journal; nothing if it says what no draft says.
    pub(in crate::embedded) fn replay(&mut self, entries: Vec<Entry>) -> Option<()> {
        for entry in entries {
            match entry {
                Entry::Rows(rows) => {
                    let bytes: usize = rows.rows.iter().map(Bytes::len).sum();
                    self.bytes += bytes as u64;
                    self.rows_of(&rows.conversation).add(rows.first, &rows.rows);
                }
                Entry::Value { tree, key, value } => {
                    self.bytes += value.len() as u64;
                    self.values[Tree::of_number(tree)? as usize].insert(key, value);
                }
            }
        }
        Some(())
    }

    fn rows_of(&mut self, conversation: &[u8]) -> &mut Rows {
        // Looked up twice the first time, so that no key is made each time.
        if !self.rows.contains_key(conversation) {
            self.rows.insert(conversation.into(), Rows::default());
        }
        self.rows.get_mut(conversation).expect("it was just put there")
    }

    pub(in crate::embedded) fn conversation(&self, conversation: &[u8]) -> Option<&Rows> {
        self.rows.get(conversation)
    }

    /// All conversations with rows, in no order.
    pub(in crate::embedded) fn conversations(&self) -> impl Iterator<Item = (&[u8], &Rows)> {
        self.rows.iter().map(|(conversation, rows)| (&**conversation, rows))
    }

    /// Drops it conversation by conversation and value by value, with a step after each.
    pub(in crate::embedded) fn drop_in_steps(self, mut step: impl FnMut()) {
        for conversation in self.rows {
            drop(conversation);
            step();
        }
        for value in self.values.into_iter().flatten() {
            drop(value);
            step();
        }
    }

    /// The values of a tree, by their keys.
    pub(in crate::embedded) fn values(&self, tree: Tree) -> &BTreeMap<Bytes, Bytes> {
        &self.values[tree as usize]
    }

    /// About how much it holds.
    pub(in crate::embedded) fn bytes(&self) -> u64 {
        self.bytes
    }
}
