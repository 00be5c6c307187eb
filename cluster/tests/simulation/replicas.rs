//! Where the rows of a conversation lie: three replicas, to each of which a write comes by itself; the greater row wins.

use switchyard_protocol::owner::Epoch;

use super::rules::Removed;
use super::tables::REPLICAS;

/// What a row says of its message. Where timestamps are equal the greater bytes win, which is why a text stands above its
/// erasure: nothing but the timestamp may decide between them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Body {
    /// The text is gone, the message remains.
    Erased,
    /// The text.
    Text,
}

/// A row. The order of the fields is that by which the greater one wins: the timestamp first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Row {
    /// `epoch << 20 | overwrites`.
    pub(crate) stamp: u64,
    pub(crate) body: Body,
    /// Who wrote it first.
    pub(crate) epoch: u64,
    /// The first number of its batch.
    pub(crate) first: usize,
    pub(crate) message: u32,
}

impl Row {
    pub(crate) fn new(epoch: u64, first: usize, message: u32) -> Self {
        Self { stamp: epoch << 20, body: Body::Text, epoch, first, message }
    }

    /// One of which the message alone is known, and no text is held.
    pub(crate) fn known(message: u32) -> Self {
        Self { stamp: 0, body: Body::Erased, epoch: 0, first: 0, message }
    }

    /// What this epoch puts in the place of this row, which it has read, to erase its text: the timestamp lies above what was
    /// read, which may be of an epoch above the row's own.
    pub(crate) fn erased(self, by: Epoch, number: usize, removed: Option<Removed>) -> Self {
        let own = by.number() << 20;
        let raised = self.stamp.max(own) + u64::from(removed != Some(Removed::EraseRaisesTimestamp));
        let erased = Self { stamp: raised, body: Body::Erased, ..self };
        if removed == Some(Removed::EraseKeepsBatch) {
            return Self { epoch: by.number(), first: number, ..erased };
        }
        erased
    }
}

/// Rows to be written, from a number on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    pub(crate) conversation: usize,
    pub(crate) from: usize,
    pub(crate) rows: Vec<Row>,
}

/// The rows of one conversation, by number from 1 on, and its hint.
#[derive(Clone, Default)]
pub(crate) struct Replicated {
    rows: [Vec<Option<Row>>; REPLICAS],
    hints: [usize; REPLICAS],
}

impl Replicated {
    /// A write comes to a replica, perhaps again.
    pub(crate) fn arrive(&mut self, replica: usize, write: &Write, removed: Option<Removed>) {
        let rows = &mut self.rows[replica];
        let end = write.from + write.rows.len();
        if rows.len() < end {
            rows.resize(end, None);
        }
        for (place, row) in rows[write.from..].iter_mut().zip(&write.rows) {
            let last_wins = removed == Some(Removed::EpochTimestamps);
            *place = if last_wins { Some(*row) } else { (*place).max(Some(*row)) };
        }
    }

    /// A hint does.
    pub(crate) fn hint(&mut self, replica: usize, hint: usize) {
        self.hints[replica] = self.hints[replica].max(hint);
    }

    /// The hint that a quorum read gives.
    pub(crate) fn read_hint(&self, quorum: [usize; 2]) -> usize {
        quorum.into_iter().map(|replica| self.hints[replica]).max().unwrap_or(0)
    }

    /// What a replica says of so many rows.
    pub(crate) fn half_read(&self, replica: usize, from: usize, count: usize) -> Vec<Option<Row>> {
        (from..from + count).map(|number| self.rows[replica].get(number).copied().flatten()).collect()
    }

    /// What two replicas say of a row.
    pub(crate) fn read(&self, replicas: [usize; 2], number: usize) -> Option<Row> {
        replicas.into_iter().filter_map(|replica| self.rows[replica].get(number).copied().flatten()).max()
    }
}
