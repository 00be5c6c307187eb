//! A store of one conversation whose rows and records a test writes itself, under right checksums and with whatever bodies.
//! Read only.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, TenantId, UserId};
use switchyard_store::{
    BarrierError, Batch, BoxFuture, Decision, DecisionPlace, Direction, Log, Mark, Marks, Membership, Outcome, Overlay,
    ProjectionError, ProjectionWrite, Projections, Reactor, ReadError, ReadRange, Record, Seq, StoredMark,
    StoredMember,
};

/// What lies in the store.
#[derive(Default, Debug)]
pub(crate) struct Shelf {
    /// Rows by number, from 0 on.
    pub(crate) rows: Vec<Bytes>,
    /// The conversation's record.
    pub(crate) record: Option<Record>,
    /// The members as of the record.
    pub(crate) members: Vec<StoredMember>,
    /// The overlays of its messages.
    pub(crate) overlays: Vec<Overlay>,
    /// What everybody gave every message.
    pub(crate) reactor: Option<Reactor>,
    /// What everybody's home says of everything.
    pub(crate) decision: Option<Decision>,
    /// The conversations of everybody.
    pub(crate) memberships: Vec<Membership>,
    /// Their marks, by kind and user.
    pub(crate) marks: Vec<StoredMark>,
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

fn read_only() -> ProjectionError {
    ProjectionError::Unavailable("it is only read".into())
}

impl Log for Shelf {
    fn append<'a>(&'a self, _: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        ready(Vec::new())
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        ready(Ok(()))
    }

    fn read<'a>(
        &'a self,
        _: &'a ConversationKey,
        range: ReadRange,
    ) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>> {
        let rows = (0..self.rows.len())
            .map(|seq| seq as Seq)
            .zip(&self.rows)
            .filter(|(seq, _)| (range.from..=range.to).contains(seq));
        let rows = rows.map(|(seq, blob)| (seq, blob.clone()));
        ready(Ok(match range.direction {
            Direction::Forward => rows.take(range.rows_max).collect(),
            Direction::Backward => rows.rev().take(range.rows_max).collect(),
        }))
    }

    fn head<'a>(&'a self, _: &'a ConversationKey, _: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>> {
        ready(Ok((self.rows.len() as u64).checked_sub(1)))
    }

    fn trim<'a>(&'a self, _: &'a ConversationKey, _: Seq) -> BoxFuture<'a, Result<Seq, ReadError>> {
        ready(Ok(1))
    }
}

impl Marks for Shelf {
    fn marks<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>> {
        ready(Ok(self.marks.clone()))
    }

    fn raise<'a>(&'a self, _: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Err(read_only()))
    }

    fn forget<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Err(read_only()))
    }
}

impl Projections for Shelf {
    fn load<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>> {
        ready(Ok(self.record.clone()))
    }

    fn members<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>> {
        ready(Ok(self.members.clone()))
    }

    fn conversations_of<'a>(
        &'a self,
        _: &'a TenantId,
        _: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>> {
        ready(Ok(self.memberships.clone()))
    }

    fn overlays<'a>(
        &'a self,
        _: &'a ConversationKey,
        _: Seq,
        _: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>> {
        ready(Ok(self.overlays.clone()))
    }

    fn reactors<'a>(
        &'a self,
        _: &'a ConversationKey,
        _: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>> {
        ready(Ok(vec![self.reactor.clone(); targets.len()]))
    }

    fn decisions<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>> {
        ready(Ok(self.decision.clone().into_iter().collect()))
    }

    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>> {
        ready(Ok(vec![self.decision.clone(); places.len()]))
    }

    fn drop_list<'a>(&'a self, _: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Err(read_only()))
    }

    fn write<'a>(&'a self, _: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(Err(read_only()))
    }
}
