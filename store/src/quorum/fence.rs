//! The fence read: what was stored before it began is committed if this router was not fenced by then. One at a time serves
//! all who wait when it begins.
//!
//! What is committed by it is noted, some of it: see [`Sizes::note_every`](super::Sizes::note_every).

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::{Incarnation, RouterState};
use tokio::sync::oneshot;

use crate::log::{BarrierError, Batch, Seq};
use crate::rules::Rule;

use super::{Bound, Replicas};

/// Numbers that wait for a barrier to be noted. Beyond that none is: a later owner then reads a little more.
const HINTS_MAX: usize = 4_096;

type Answer = Result<(), BarrierError>;

/// A number that is committed once a barrier says so, and the epoch in which it was stored.
struct Noted {
    key: ConversationKey,
    epoch: u64,
    seq: Seq,
}

/// Who waits for a fence read.
#[derive(Default)]
pub struct Fence {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    incarnation: Option<Incarnation>,
    fenced: bool,
    reading: bool,
    waiting: Vec<oneshot::Sender<Answer>>,
    stored: Vec<Noted>,
    /// What an earlier round found committed is being noted; what is stored meanwhile waits.
    noting: bool,
}

/// What one read answers.
struct Round {
    incarnation: Option<Incarnation>,
    waiting: Vec<oneshot::Sender<Answer>>,
    stored: Vec<Noted>,
}

impl Fence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whose fence is read from now on.
    pub fn serve(&self, incarnation: Incarnation) {
        let mut state = self.state();
        state.incarnation = Some(incarnation);
        state.fenced = false;
    }

    /// Notes what a batch stored, if it is its turn.
    pub(super) fn stored(&self, batch: &Batch, note_every: u64) {
        let end = batch.first + batch.rows.len() as Seq;
        if batch.first / note_every != end / note_every {
            let mut state = self.state();
            if state.stored.len() < HINTS_MAX {
                state.stored.push(Noted { key: batch.key.clone(), epoch: batch.epoch, seq: end - 1 });
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
            stored: if state.noting { Vec::new() } else { mem::take(&mut state.stored) },
        })
    }

    /// Who has begun to wait since the round did.
    fn later(&self) -> Vec<oneshot::Sender<Answer>> {
        mem::take(&mut self.state().waiting)
    }

    fn fenced(&self, incarnation: Incarnation) {
        let mut state = self.state();
        state.fenced |= state.incarnation == Some(incarnation);
    }

    fn is_fenced(&self) -> bool {
        self.state().fenced
    }
}

/// See [`Log::barrier`](crate::Log::barrier).
pub async fn barrier<R: Replicas>(replicas: &R) -> Answer {
    if !replicas.rules().has(Rule::Barrier) {
        return Ok(());
    }
    let (answer, answered) = oneshot::channel();
    if replicas.fence().wait(answer) {
        let reading = Reading { replicas: replicas.clone(), ended: false };
        replicas.spawn(Box::pin(read_fence(reading)));
    }
    answered.await.unwrap_or_else(|_| Err(BarrierError::Unavailable("the store is closed".to_owned())))
}

/// A read under way. If it ends before its time, by a panic or with the runtime that it is on, those who wait are told, and the
/// next one to wait begins another.
struct Reading<R: Replicas> {
    replicas: R,
    ended: bool,
}

impl<R: Replicas> Drop for Reading<R> {
    fn drop(&mut self) {
        if !self.ended {
            let mut state = self.replicas.fence().state();
            state.reading = false;
            state.waiting.clear();
        }
    }
}

/// Reads until nobody waits.
async fn read_fence<R: Replicas>(mut reading: Reading<R>) {
    let replicas = reading.replicas.clone();
    while let Some(mut round) = replicas.fence().round() {
        let answer = match round.incarnation {
            Some(incarnation) => is_live(&replicas, incarnation).await,
            None if replicas.fence().is_fenced() => Err(BarrierError::Fenced),
            None => Err(BarrierError::Unavailable("this router has not begun to serve".to_owned())),
        };
        if answer.is_ok() && !round.stored.is_empty() {
            let noting = Noting::begin(replicas.clone());
            replicas.spawn(Box::pin(note(noting, round.stored)));
        }
        if !replicas.rules().has(Rule::BarrierAfterWrite) {
            round.waiting.append(&mut replicas.fence().later());
        }
        for waiting in round.waiting {
            // Who does not wait any more need not know.
            let _ = waiting.send(answer.clone());
        }
    }
    reading.ended = true;
}

async fn is_live<R: Replicas>(replicas: &R, incarnation: Incarnation) -> Answer {
    match replicas.router(incarnation).await {
        Ok(Some(row)) if row.state == RouterState::Live => Ok(()),
        Ok(Some(_)) => {
            replicas.fence().fenced(incarnation);
            Err(BarrierError::Fenced)
        }
        // Rows are never deleted: this one was never there, or a quorum has forgotten it.
        Ok(None) => Err(BarrierError::Unavailable("this router has no row".to_owned())),
        Err(error) => Err(BarrierError::Unavailable(error.to_string())),
    }
}

/// Numbers are being noted, however that ends.
struct Noting<R: Replicas>(R);

impl<R: Replicas> Noting<R> {
    fn begin(replicas: R) -> Self {
        replicas.fence().state().noting = true;
        Self(replicas)
    }
}

impl<R: Replicas> Drop for Noting<R> {
    fn drop(&mut self) {
        self.0.fence().state().noting = false;
    }
}

/// What a router stored in a shard that it has given away meanwhile is not committed.
async fn note<R: Replicas>(noting: Noting<R>, stored: Vec<Noted>) {
    let Noting(replicas) = &noting;
    let anybody = !replicas.rules().has(Rule::HintByOwner);
    let committed = stored.iter().filter(|Noted { key, epoch, .. }| anybody || replicas.owns(key, *epoch));
    let raised = committed.map(|Noted { key, seq, .. }| async {
        if let Err(error) = replicas.raise(key, &[(Bound::Committed, *seq)]).await {
            tracing::debug!(%error, "a committed number was not noted; the next will be");
        }
    });
    join_all(raised).await;
}
