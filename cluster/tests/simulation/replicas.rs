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
    /// The row was dropped.
    Dropped,
}

/// Rows of a bucket: batches and pages end with it, and it is dropped whole.
pub(crate) const BUCKET_ROWS: usize = 4;

/// The timestamp of what is dropped: above whatever may still come.
const ABOVE_ALL: u64 = 1 << 50;

/// How many numbers its bucket has from this one on, itself among them.
pub(crate) fn left_in_bucket(number: usize) -> usize {
    BUCKET_ROWS - (number - 1) % BUCKET_ROWS
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

    /// What stands for one that was dropped.
    pub(crate) fn dropped() -> Self {
        Self { stamp: ABOVE_ALL, body: Body::Dropped, epoch: 0, first: 0, message: 0 }
    }

    /// Whether a reader finds it.
    pub(crate) fn is_there(&self) -> bool {
        self.body != Body::Dropped
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

/// What is known of a conversation beside its rows: numbers that only rise.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Hint {
    /// A row that is committed.
    pub(crate) committed: usize,
    /// So many of the first rows are gone, or may be.
    pub(crate) gone: usize,
}

impl Hint {
    fn raised(self, other: Self) -> Self {
        Self { committed: self.committed.max(other.committed), gone: self.gone.max(other.gone) }
    }
}

/// The rows of one conversation, by number from 1 on, and its hint.
#[derive(Clone, Default)]
pub(crate) struct Replicated {
    rows: [Vec<Option<Row>>; REPLICAS],
    hints: [Hint; REPLICAS],
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
    pub(crate) fn hint(&mut self, replica: usize, hint: Hint) {
        self.hints[replica] = self.hints[replica].raised(hint);
    }

    /// The hint that a quorum read gives.
    pub(crate) fn read_hint(&self, [one, other]: [usize; 2]) -> Hint {
        self.hints[one].raised(self.hints[other])
    }

    /// What a replica says of so many rows.
    pub(crate) fn half_read(&self, replica: usize, from: usize, count: usize) -> Vec<Option<Row>> {
        (from..from + count).map(|number| self.rows[replica].get(number).copied().flatten()).collect()
    }

    /// What two replicas say of a row.
    pub(crate) fn read(&self, replicas: [usize; 2], number: usize) -> Option<Row> {
        let rows = replicas.into_iter().filter_map(|replica| self.rows[replica].get(number).copied().flatten());
        rows.max().filter(Row::is_there)
    }
}
