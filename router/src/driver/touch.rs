//! How far a log reaches, for whoever looks at it, and going through it from somewhere up to there.

use futures_util::{FutureExt, TryFutureExt};
use switchyard_protocol::id::ConversationKey;
use switchyard_store::{Adopted, BoxFuture, Direction, ReadError, Row, Seq};

use super::Timelines;
use super::rows::{ROWS_PER_READ, decode, rows};

/// Who looks at a log, and what of it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// Its owner, which makes its own in this epoch what owners before have left.
    Owner {
        /// The epoch.
        epoch: u64,
    },
    /// Somebody else: what is found may not be committed yet, and nothing may follow from it.
    Stranger,
}

impl Touch {
    /// The log up to its head, at least this number, which is known to be committed; nothing if there is no row.
    pub(super) fn reach<'a>(
        self,
        store: &'a dyn Timelines,
        key: &'a ConversationKey,
        known: Seq,
    ) -> BoxFuture<'a, Result<Option<Reach>, ReadError>> {
        match self {
            Self::Owner { epoch } => store.adopt(key, epoch, known).map_ok(|adopted| adopted.map(Reach)).boxed(),
            Self::Stranger => {
                let head = store.head(key, known);
                head.map_ok(|head| head.map(|head| Reach(Adopted::of_head(head)))).boxed()
            }
        }
    }
}

/// A log up to its head, of which the newest rows may be here already.
pub(super) struct Reach(Adopted);

impl Reach {
    pub(super) fn head(&self) -> Seq {
        self.0.head
    }

    /// A run of decoded rows from a number up, which is not above the head.
    pub(super) fn rows(
        &self,
        store: &dyn Timelines,
        key: &ConversationKey,
        from: Seq,
    ) -> Result<Vec<(Seq, Row)>, ReadError> {
        let Adopted { head, newest } = &self.0;
        let here = newest.first().map_or(u64::MAX, |(seq, _)| *seq);
        if from < here {
            let to = (*head).min(here - 1);
            return rows(store, key, from, to, Direction::Forward, ROWS_PER_READ);
        }
        let newest = newest.iter().filter(|(seq, _)| *seq >= from);
        newest.map(|(seq, blob)| decode(key, *seq, blob).map(|row| (*seq, row))).collect()
    }
}
