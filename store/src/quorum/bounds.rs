//! What is known of where a conversation ends and begins, apart from its rows: numbers that only rise.

use crate::log::Seq;

/// Which number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A row that is committed: the head, or one below it. A hint, written some time after the commit.
    Committed,
    /// Where history begins for readers.
    Begins,
    /// Rows below this were dropped.
    Dropped,
}

/// All of them; 0 where nothing is known.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// See [`Bound`].
    pub committed: Seq,
    /// See [`Bound`].
    pub begins: Seq,
    /// See [`Bound`].
    pub dropped: Seq,
}

impl Bounds {
    /// The one of this kind.
    pub fn of(&mut self, bound: Bound) -> &mut Seq {
        match bound {
            Bound::Committed => &mut self.committed,
            Bound::Begins => &mut self.begins,
            Bound::Dropped => &mut self.dropped,
        }
    }
}
