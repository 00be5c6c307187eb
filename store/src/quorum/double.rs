//! A stand-in for a cluster, for tests of what is done when statements fail: one copy of one conversation, and answers as a test
//! has set them. What is late, lost or half done is for the simulation (`cluster/tests/simulation`).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

use crate::BoxFuture;
use crate::log::{Batch, Seq};
use crate::ownership::Unavailable;
use crate::row::RowRef;

use super::{Bound, Bounds, Failure, Fence, Reached, Replicas, Sizes, Stamped, StoredRow};

/// What becomes of what is spawned.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Spawns {
    #[default]
    Runs,
    /// It is dropped, as by a runtime that has ended.
    Drops,
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Double(Arc<Inner>);

#[derive(Default)]
struct Inner {
    fence: Fence,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    rows: BTreeMap<Seq, (Bytes, i64)>,
    /// What the next writes of rows are answered; those after them are stored.
    pub(super) puts: VecDeque<Result<(), Reached>>,
    pub(super) puts_sent: usize,
    /// So many reads of the fence panic, and then so many notes.
    pub(super) fence_panics: usize,
    pub(super) note_panics: usize,
    pub(super) noted: Vec<Seq>,
    pub(super) spawns: Spawns,
    spawned: Vec<JoinHandle<()>>,
}

/// Why there is no answer.
pub(super) struct Failed(Reached);

impl fmt::Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "no answer: {:?}", self.0)
    }
}

impl Failure for Failed {
    fn reached(&self) -> Reached {
        self.0
    }
}

/// The conversation.
pub(super) fn key() -> ConversationKey {
    let tenant = TenantId::new("acme").expect("a short name");
    ConversationKey { tenant, conversation: ConversationId::from_bytes([7; 16]) }
}

/// So many rows of the conversation, as one batch.
pub(super) fn batch(epoch: u64, first: Seq, rows: u64) -> Batch {
    let row = |seq| {
        let (sender, client_id, body) = ("ann", "", &b"hello"[..]);
        RowRef { epoch, first, ordinal: seq, kind: 1, sender, client_id, time_ms: 0, body }.encode(&key(), seq)
    };
    Batch { key: key(), epoch, first, rows: (first..first + rows).map(row).collect() }
}

impl Double {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all that was spawned.
    pub(super) fn settle(&self) {
        loop {
            let Some(spawned) = self.state().spawned.pop() else { return };
            // Some are made to panic.
            let _ = spawned.join();
        }
    }
}

impl Replicas for Double {
    type Failed = Failed;

    fn sizes(&self) -> Sizes {
        // One row is written again at a time.
        Sizes { part_bytes: 1, note_every: 2, ..Sizes::REAL }
    }

    fn fence(&self) -> &Fence {
        &self.0.fence
    }

    fn owns(&self, _: &ConversationKey, _: u64) -> bool {
        true
    }

    async fn bounds(&self, _: &ConversationKey) -> Result<Bounds, Failed> {
        Ok(Bounds::default())
    }

    async fn raise(&self, _: &ConversationKey, bounds: &[(Bound, Seq)]) -> Result<(), Failed> {
        let mut state = self.state();
        if let Some(left) = state.note_panics.checked_sub(1) {
            state.note_panics = left;
            drop(state);
            panic!("a note that a test has made panic");
        }
        state.noted.extend(bounds.iter().map(|(_, number)| *number));
        Ok(())
    }

    async fn highest(&self, _: &ConversationKey, _: u64) -> Result<Option<Seq>, Failed> {
        Ok(self.state().rows.keys().next_back().copied())
    }

    async fn rows(&self, _: &ConversationKey, from: Seq, rows_max: u64) -> Result<Vec<StoredRow>, Failed> {
        let state = self.state();
        let rows = state.rows.range(from..).take(rows_max as usize);
        Ok(rows
            .map(|(seq, (row, timestamp))| StoredRow { seq: *seq, row: row.clone(), timestamp: *timestamp })
            .collect())
    }

    async fn put(&self, _: &ConversationKey, rows: &[Stamped<'_>]) -> Result<(), Failed> {
        let mut state = self.state();
        state.puts_sent += 1;
        if let Some(Err(reached)) = state.puts.pop_front() {
            return Err(Failed(reached));
        }
        state.rows.extend(rows.iter().map(|row| (row.seq, (row.row.clone(), row.timestamp))));
        Ok(())
    }

    async fn drop_bucket(&self, _: &ConversationKey, _: u64) -> Result<(), Failed> {
        Ok(())
    }

    async fn router(&self, incarnation: Incarnation) -> Result<Option<RouterRow>, Unavailable> {
        let mut state = self.state();
        if let Some(left) = state.fence_panics.checked_sub(1) {
            state.fence_panics = left;
            drop(state);
            panic!("a fence read that a test has made panic");
        }
        Ok(Some(RouterRow { incarnation, state: RouterState::Live, address: String::new(), nonce: 1 }))
    }

    async fn pause(&self, _: Duration) {}

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        let spawns = self.state().spawns;
        match spawns {
            Spawns::Runs => {
                let spawned = thread::spawn(move || block_on(work));
                self.state().spawned.push(spawned);
            }
            Spawns::Drops => drop(work),
        }
    }
}
