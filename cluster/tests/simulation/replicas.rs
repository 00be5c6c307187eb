//! Where the rows of a conversation lie: three replicas, to each of which a write comes by itself; the greater row wins.

use super::rules::Removed;
use super::tables::REPLICAS;

/// A row. The order of the fields is that by which the greater one wins: the timestamp first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Row {
    /// `epoch << 20 | overwrites`.
    pub(crate) stamp: u64,
    /// Who wrote it first.
    pub(crate) epoch: u64,
    /// The first number of its batch.
    pub(crate) first: usize,
    pub(crate) message: u32,
}

impl Row {
    pub(crate) fn new(epoch: u64, first: usize, message: u32) -> Self {
        Self { stamp: epoch << 20, epoch, first, message }
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
