//! A store in which there is nothing, and which says so only when the test lets it.

use std::sync::{Condvar, Mutex, PoisonError};

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, TenantId, UserId};
use switchyard_store::{
    BarrierError, Batch, BoxFuture, Decision, DecisionPlace, Log, Mark, Marks, Membership, Outcome, Overlay,
    ProjectionError, ProjectionWrite, Projections, Reactor, ReadError, ReadRange, Record, Refusal, Seq, StoredMark,
    StoredMember,
};

/// See the module.
#[derive(Default)]
pub(crate) struct Held {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: bool,
    is_read: bool,
}

impl Held {
    /// Waits until somebody reads.
    pub(crate) fn wait(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(state, |state| !state.is_read).unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets every read go on.
    pub(crate) fn open(&self) {
        self.change(|state| state.open = true);
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Log for Held {
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        ready(vec![Outcome::Refused(Refusal::Unavailable); batches.len()])
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        ready(Ok(()))
    }

    fn read<'a>(&'a self, _: &'a ConversationKey, _: ReadRange) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>> {
        ready(Ok(Vec::new()))
    }

    fn head<'a>(&'a self, _: &'a ConversationKey, _: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>> {
        ready(Ok(None))
    }

    fn trim<'a>(&'a self, _: &'a ConversationKey, _: Seq) -> BoxFuture<'a, Result<Seq, ReadError>> {
        ready(Ok(1))
    }
}

impl Marks for Held {
    fn marks<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>> {
        ready(Ok(Vec::new()))
    }

    fn raise<'a>(&'a self, _: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Ok(()))
    }

    fn forget<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Ok(()))
    }
}

impl Projections for Held {
    fn load<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>> {
        self.change(|state| state.is_read = true);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(state, |state| !state.open).unwrap_or_else(PoisonError::into_inner));
        ready(Ok(None))
    }

    fn members<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>> {
        ready(Ok(Vec::new()))
    }

    fn conversations_of<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>> {
        ready(Ok(Vec::new()))
    }

    fn overlays<'a>(
        &'a self,
        _: &'a ConversationKey,
        _: Seq,
        _: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>> {
        ready(Ok(Vec::new()))
    }

    fn reactors<'a>(
        &'a self,
        _: &'a ConversationKey,
        _: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>> {
        ready(Ok(vec![None; targets.len()]))
    }

    fn decisions<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>> {
        ready(Ok(Vec::new()))
    }

    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>> {
        ready(Ok(vec![None; places.len()]))
    }

    fn drop_list<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Ok(()))
    }

    fn write<'a>(&'a self, _: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Ok(()))
    }
}
