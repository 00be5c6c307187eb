//! What an owner does with a conversation, each from its beginning to its end: the protocol of the log is the real one, and who
//! calls it does so as the driver does. What fails is tried again here, or given up.

use std::slice;
use std::time::Duration;

use switchyard_cluster::ownership::{Answer, CallId};
use switchyard_protocol::owner::Epoch;
use switchyard_store::quorum::{self, Replicas};
use switchyard_store::{Adopted, Batch, Outcome, ReadError};

use super::rows::{Row, key_of};
use super::rules::Removed;
use super::store::Store;

/// Whose work it is. A conversation that was let go meanwhile is another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Whose {
    pub(crate) conversation: usize,
    pub(crate) epoch: Epoch,
    pub(crate) life: u64,
}

/// What an adoption finds: rows by number, and of how many first ones some may be gone.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) head: Option<u64>,
    pub(crate) rows: Vec<(u64, Row)>,
    pub(crate) gone: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// The store has answered a call about owners.
    Answered(CallId, Answer),
    Loaded(Whose, Result<Loaded, ReadError>),
    /// A batch is confirmed, or surely not stored.
    Committed(Whose, bool),
    /// This row has no text any more, or is not there.
    Erased(Whose, u64, bool),
    /// Rows below this one may be gone; nothing if that failed.
    Trimmed(Whose, Option<u64>),
}

/// What work needs to know.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) whose: Whose,
    /// What fails is tried again after so long.
    pub(crate) again: Duration,
    pub(crate) removed: Option<Removed>,
}

impl Desk {
    fn without(&self, removed: Removed) -> bool {
        self.removed == Some(removed)
    }

    /// Makes it this owner's own, and reads all of it.
    pub(crate) async fn load(self, at_least: u64) -> Option<Done> {
        let loaded = self.loaded(at_least).await;
        if loaded.is_err() {
            self.store.pause(self.again).await;
        }
        Some(Done::Loaded(self.whose, loaded))
    }

    async fn loaded(&self, at_least: u64) -> Result<Loaded, ReadError> {
        let key = key_of(self.whose.conversation);
        let unread = |error: &dyn ToString| ReadError::Unavailable(error.to_string());
        let adopted = quorum::adopt(&self.store.for_adoption(), &key, self.whose.epoch.number(), at_least).await?;
        let (head, newest) = adopted.map_or((None, Vec::new()), |Adopted { head, newest }| (Some(head), newest));
        // What was not given is read: it is committed.
        let given = newest.first().map(|(seq, _)| *seq).or(head.map(|head| head + 1)).unwrap_or(0);
        let below = self.store.all(&key, 0, given).await.map_err(|error| unread(&error))?;
        // Afterwards: what was missing then was said to be gone before.
        let gone = self.store.bounds(&key).await.map_err(|error| unread(&error))?.begins;
        let below = below.into_iter().map(|stored| (stored.seq, stored.row));
        let rows = below.chain(newest).map(|(seq, row)| (seq, Row::decode(&key, seq, &row)));
        Ok(Loaded { head, rows: rows.collect(), gone })
    }

    /// Stores a batch and confirms it. One whose outcome is unknown is repeated byte for byte.
    pub(crate) async fn commit(self, batch: Batch) -> Option<Done> {
        let mut tried = self.without(Removed::OneInFlight);
        loop {
            match quorum::append(&self.store, slice::from_ref(&batch)).await[..] {
                [Outcome::Stored] if quorum::barrier(&self.store).await.is_ok() => {
                    return Some(Done::Committed(self.whose, true));
                }
                [Outcome::Refused(_)] if !tried => return Some(Done::Committed(self.whose, false)),
                _ if self.without(Removed::SameBytes) => return Some(Done::Committed(self.whose, false)),
                _ => {}
            }
            tried = true;
            self.store.see("writes repeated");
            self.store.pause(self.again).await;
        }
    }

    /// Puts a row without the text in the place of this one, and confirms it.
    pub(crate) async fn erase(self, seq: u64) -> Option<Done> {
        let (key, epoch) = (key_of(self.whose.conversation), self.whose.epoch.number());
        let found = loop {
            match self.store.rows(&key, seq, 1).await {
                Ok(found) => break found,
                Err(_) => self.store.pause(self.again).await,
            }
        };
        let Some(found) = found.first().filter(|found| found.seq == seq) else {
            return Some(Done::Erased(self.whose, seq, false));
        };
        let mut row = Row { body: super::rows::Body::Erased, ..Row::decode(&key, seq, &found.row) };
        if self.without(Removed::EraseKeepsBatch) {
            (row.epoch, row.first) = (epoch, seq);
        }
        let batch = Batch { key: key.clone(), epoch, first: seq, rows: vec![row.encode(&key, seq)] };
        loop {
            let stored = quorum::overwrite(&self.store, slice::from_ref(&batch)).await == [Outcome::Stored];
            if stored && (self.without(Removed::EraseBarrier) || quorum::barrier(&self.store).await.is_ok()) {
                return Some(Done::Erased(self.whose, seq, true));
            }
            self.store.pause(self.again).await;
        }
    }

    /// Drops rows below this one, if this owner may yet.
    pub(crate) async fn trim(self, below: u64) -> Option<Done> {
        let Whose { conversation, epoch, .. } = self.whose;
        let key = key_of(conversation);
        let trimmed = quorum::trim(&self.store, &key, Some(epoch.number()), below).await;
        Some(Done::Trimmed(self.whose, trimmed.ok()))
    }
}
