//! The fence read: what was stored before it began is committed if this router was not fenced by then. One at a time serves
//! all who wait when it begins.
//!
//! What is committed by it is noted, some of it: see [`HINT_EVERY`].

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::Incarnation;
use tokio::sync::oneshot;

use crate::log::{BarrierError, Batch, Seq};
use crate::ownership::Level;
use switchyard_protocol::owner::RouterState;

use super::Inner;
use super::bounds::Bound;

/// Of a conversation's numbers every so manieth is noted once it is committed: so many rows, and one batch, a later owner
/// reads and writes again at most, and a statement costs a message so much less than one of its own.
pub(super) const HINT_EVERY: u64 = 32;

/// Numbers that wait for a barrier to be noted. Beyond that none is: a later owner then reads a little more.
const HINTS_MAX: usize = 4_096;

type Answer = Result<(), BarrierError>;

/// Who waits for a fence read.
#[derive(Default)]
pub(super) struct Fence {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    incarnation: Option<Incarnation>,
    fenced: bool,
    reading: bool,
    waiting: Vec<oneshot::Sender<Answer>>,
    stored: Vec<(ConversationKey, Seq)>,
}

/// What one read answers.
struct Round {
    incarnation: Option<Incarnation>,
    waiting: Vec<oneshot::Sender<Answer>>,
    stored: Vec<(ConversationKey, Seq)>,
}

impl Fence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serve(&self, incarnation: Incarnation) {
        let mut state = self.state();
        state.incarnation = Some(incarnation);
        state.fenced = false;
    }

    /// Notes what a batch stored, if it is its turn.
    pub(super) fn stored(&self, batch: &Batch) {
        let end = batch.first + batch.rows.len() as Seq;
        if batch.first / HINT_EVERY != end / HINT_EVERY {
            let mut state = self.state();
            if state.stored.len() < HINTS_MAX {
                state.stored.push((batch.key.clone(), end - 1));
            }
        }
    }

    /// Lets somebody wait, and says whether a read must be begun for them: else the one under way is followed by another.
    fn wait(&self, answer: oneshot::Sender<Answer>) -> bool {
        let mut state = self.state();
        state.waiting.push(answer);
        !mem::replace(&mut state.reading, true)
    }

    /// All who wait now; nothing if nobody does.
    fn round(&self) -> Option<Round> {
        let mut state = self.state();
        state.reading = !state.waiting.is_empty();
        state.reading.then(|| Round {
            incarnation: state.incarnation.filter(|_| !state.fenced),
            waiting: mem::take(&mut state.waiting),
            stored: mem::take(&mut state.stored),
        })
    }

    fn fenced(&self, incarnation: Incarnation) {
        let mut state = self.state();
        state.fenced |= state.incarnation == Some(incarnation);
    }

    fn is_fenced(&self) -> bool {
        self.state().fenced
    }
}

impl Inner {
    pub(super) async fn barrier(this: &Arc<Self>) -> Answer {
        let (answer, answered) = oneshot::channel();
        if this.fence.wait(answer) {
            let this = Arc::clone(this);
            this.handle.clone().spawn(async move { this.read_fence().await });
        }
        answered.await.unwrap_or_else(|_| Err(BarrierError::Unavailable("the store is closed".to_owned())))
    }

    /// Reads until nobody waits.
    async fn read_fence(self: Arc<Self>) {
        while let Some(round) = self.fence.round() {
            let answer = match round.incarnation {
                Some(incarnation) => self.is_live(incarnation).await,
                None if self.fence.is_fenced() => Err(BarrierError::Fenced),
                None => Err(BarrierError::Unavailable("this router has not begun to serve".to_owned())),
            };
            if answer.is_ok() && !round.stored.is_empty() {
                self.handle.spawn(Arc::clone(&self).note(round.stored));
            }
            for waiting in round.waiting {
                // Who does not wait any more need not know.
                let _ = waiting.send(answer.clone());
            }
        }
    }

    async fn is_live(&self, incarnation: Incarnation) -> Answer {
        match self.router_row(incarnation, Level::Quorum).await {
            Ok(Some(row)) if row.state == RouterState::Live => Ok(()),
            Ok(Some(_)) => {
                self.fence.fenced(incarnation);
                Err(BarrierError::Fenced)
            }
            // Rows are never deleted: this one was never there, or a quorum has forgotten it.
            Ok(None) => Err(BarrierError::Unavailable("this router has no row".to_owned())),
            Err(error) => Err(BarrierError::Unavailable(error.to_string())),
        }
    }

    async fn note(self: Arc<Self>, committed: Vec<(ConversationKey, Seq)>) {
        let raised = committed.iter().map(|(key, seq)| async {
            if let Err(error) = self.raise_bounds(key, &[(Bound::Committed, *seq)]).await {
                tracing::debug!(%error, "a committed number was not noted; the next will be");
            }
        });
        join_all(raised).await;
    }
}
