//! Where the rows of a conversation lie, and what is known of it beside: three replicas, to each of which a write comes by itself.
//! The higher timestamp wins, and of equal ones the higher bytes: as in the real thing.

use bytes::Bytes;
use switchyard_store::quorum::{Bounds, StoredRow};

use super::rows::{Row, key_of};
use super::tables::REPLICAS;

/// Rows of a bucket: batches and pages end with it, and it is dropped whole.
pub(crate) const BUCKET_ROWS: u64 = 4;

/// The timestamp of what is dropped: above whatever may still come.
const ABOVE_ALL: i64 = 1 << 50;

/// How many rows its bucket has from this one on, itself among them.
pub(crate) fn left_in_bucket(seq: u64) -> u64 {
    BUCKET_ROWS - seq % BUCKET_ROWS
}

/// What is stored at a place. The order of the fields is that by which the greater one wins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Cell {
    pub(crate) timestamp: i64,
    /// Nothing if it was dropped.
    pub(crate) row: Option<Bytes>,
}

/// Something to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    Rows(Vec<(u64, Cell)>),
    Bounds(Bounds),
    /// A bucket is dropped, but for row 0.
    Drop(u64),
}

/// Something to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    /// From the first of these numbers to the second, itself not among them.
    Rows(u64, u64),
    Bounds,
}

/// What was found of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    Rows(Vec<Option<Cell>>),
    Bounds(Bounds),
}

impl Found {
    /// What two replicas say together.
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rows(one), Self::Rows(two)) => {
                Self::Rows(one.into_iter().zip(two).map(|(one, two)| one.max(two)).collect())
            }
            (Self::Bounds(one), Self::Bounds(two)) => Self::Bounds(raised(one, two)),
            (one, _) => one,
        }
    }

    /// The rows that are there, with their numbers from this one on.
    pub(crate) fn rows(self, from: u64) -> Vec<StoredRow> {
        let Self::Rows(cells) = self else { return Vec::new() };
        let rows = (from..).zip(cells).filter_map(|(seq, cell)| {
            let Cell { timestamp, row } = cell?;
            Some(StoredRow { seq, row: row?, timestamp })
        });
        rows.collect()
    }
}

fn raised(one: Bounds, other: Bounds) -> Bounds {
    Bounds {
        committed: one.committed.max(other.committed),
        begins: one.begins.max(other.begins),
        dropped: one.dropped.max(other.dropped),
    }
}

/// The rows of one conversation, by number, and its bounds.
#[derive(Clone, Default)]
pub(crate) struct Replicated {
    rows: [Vec<Option<Cell>>; REPLICAS],
    bounds: [Bounds; REPLICAS],
}

impl Replicated {
    /// A write comes to a replica, perhaps again.
    pub(crate) fn arrive(&mut self, replica: usize, write: &Write) {
        match write {
            Write::Rows(cells) => cells.iter().for_each(|(seq, cell)| self.put(replica, *seq, cell)),
            Write::Bounds(bounds) => self.bounds[replica] = raised(self.bounds[replica], *bounds),
            Write::Drop(bucket) => {
                let dropped = Cell { timestamp: ABOVE_ALL, row: None };
                let rows = bucket * BUCKET_ROWS..(bucket + 1) * BUCKET_ROWS;
                rows.filter(|seq| *seq > 0).for_each(|seq| self.put(replica, seq, &dropped));
            }
        }
    }

    fn put(&mut self, replica: usize, seq: u64, cell: &Cell) {
        let rows = &mut self.rows[replica];
        if rows.len() <= seq as usize {
            rows.resize(seq as usize + 1, None);
        }
        let place = &mut rows[seq as usize];
        if place.as_ref() < Some(cell) {
            *place = Some(cell.clone());
        }
    }

    /// What a replica says.
    pub(crate) fn half_read(&self, replica: usize, read: Read) -> Found {
        match read {
            Read::Rows(from, to) => {
                let cell = |seq: u64| self.rows[replica].get(seq as usize).cloned().flatten();
                Found::Rows((from..to).map(cell).collect())
            }
            Read::Bounds => Found::Bounds(self.bounds[replica]),
        }
    }

    /// What two replicas say of a row of this conversation.
    pub(crate) fn read(&self, conversation: usize, replicas: [usize; 2], seq: u64) -> Option<Row> {
        let cells = replicas.into_iter().filter_map(|replica| self.rows[replica].get(seq as usize)?.as_ref());
        let row = cells.max()?.row.as_ref()?;
        Some(Row::decode(&key_of(conversation), seq, row))
    }
}
