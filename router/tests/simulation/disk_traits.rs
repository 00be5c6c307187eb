//! The simulated store behind the store's traits, so that the router's own readers run on it. Every future is ready at
//! once; time is given to it by the world.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, TenantId, UserId};
use switchyard_store::{
    BarrierError, Batch, BoxFuture, Damage, Decision, DecisionPlace, Direction, Log, Mark, Marks, Membership, Outcome,
    Overlay, ProjectionError, ProjectionWrite, Projections, Reactor, ReadError, ReadRange, Record, Seq, StoredMark,
    StoredMember,
};

use crate::disk::{Disk, FORGOTTEN};

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

fn unavailable() -> ReadError {
    ReadError::Unavailable("simulated".into())
}

impl Disk {
    fn page(&self, key: &ConversationKey, range: ReadRange) -> Result<Vec<(Seq, Bytes)>, ReadError> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return Err(unavailable());
        }
        let Some(rows) = inner.rows.get(key) else { return Ok(Vec::new()) };
        let end = rows.blobs.len() as u64;
        let events = range.from.max(rows.first)..=range.to.min(end.saturating_sub(1));
        let founding = (range.from == 0 && end > 0).then_some(0);
        let seqs: Vec<Seq> = match range.direction {
            Direction::Forward => founding.into_iter().chain(events).take(range.rows_max).collect(),
            Direction::Backward => events.rev().chain(founding).take(range.rows_max).collect(),
        };
        let mut page: Vec<(Seq, Bytes)> = Vec::new();
        let mut left = range.bytes_max;
        for seq in seqs {
            let blob = &rows.blobs[seq as usize];
            if !page.is_empty() && blob.len() > left {
                break;
            }
            left = left.saturating_sub(blob.len());
            page.push((seq, blob.clone()));
        }
        Ok(page)
    }

    fn top(&self, key: &ConversationKey, at_least: Seq) -> Result<Option<Seq>, ReadError> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return Err(unavailable());
        }
        let head = inner.rows.get(key).and_then(|rows| (rows.blobs.len() as u64).checked_sub(1));
        if at_least > head.unwrap_or(0) {
            return Err(ReadError::Corrupt { key: key.clone(), seq: at_least, reason: Damage::Missing });
        }
        Ok(head)
    }

    fn write_some(&self, writes: &[ProjectionWrite]) -> Result<(), ProjectionError> {
        let mut inner = self.inner();
        let fails = inner.fails(|faults| faults.project);
        for write in writes {
            let ahead = match write {
                ProjectionWrite::Conversation { key, at, .. }
                | ProjectionWrite::Member { key, at, .. }
                | ProjectionWrite::Overlay { key, at, .. }
                | ProjectionWrite::Reactor { key, at, .. }
                | ProjectionWrite::Decision { place: DecisionPlace { home: key, .. }, at, .. } => {
                    inner.rows.get(key).is_none_or(|rows| *at >= rows.durable)
                }
                // It is of a conversation that its name does not tell.
                ProjectionWrite::Listed { .. } => false,
            };
            if ahead {
                inner.violate(format!("a projection runs ahead of what is committed: {write:?}"));
            }
            let skipped = fails && inner.rng.as_mut().is_some_and(|rng| rng.chance(500));
            if !skipped {
                inner.put(write);
            }
        }
        if fails { Err(ProjectionError::Unavailable("simulated".into())) } else { Ok(()) }
    }
}

/// Kinds of marks from this one on are none of members.
const PRESENCE_KINDS: u8 = 2;

impl Disk {
    fn raise_some(&self, marks: &[Mark]) -> Result<(), ProjectionError> {
        let mut inner = self.inner();
        let fails = inner.fails(|faults| faults.project);
        for mark in marks {
            // Those of presence are no conversation's, and their numbers are times.
            let of_log = mark.kind < PRESENCE_KINDS;
            // Of a list that is just beginning the name does not tell whose it is.
            let key = inner.list_of.get(&mark.key).unwrap_or(&mark.key);
            if of_log && inner.rows.get(key).is_some_and(|rows| mark.at >= rows.durable) {
                inner.violate(format!("a mark runs ahead of what is committed: {mark:?}"));
            }
            let skipped = fails && inner.rng.as_mut().is_some_and(|rng| rng.chance(500));
            if !skipped {
                inner.put_mark(mark);
            }
        }
        if fails { Err(ProjectionError::Unavailable("simulated".into())) } else { Ok(()) }
    }
}

impl Marks for Disk {
    fn marks<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let of_key =
            inner.marks.iter().filter(|((conversation, _, _), (at, _))| conversation == key && *at < FORGOTTEN);
        let marks = of_key.map(|((_, kind, user), (at, value))| StoredMark {
            user: user.clone(),
            kind: *kind,
            at: *at,
            value: value.clone(),
        });
        ready(Ok(marks.collect()))
    }

    fn raise<'a>(&'a self, marks: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(self.raise_some(marks))
    }

    fn forget<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        let mut inner = self.inner();
        if inner.fails(|faults| faults.project) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        inner.forget_marks(key);
        ready(Ok(()))
    }
}

impl Log for Disk {
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        // The world appends by steps of its own; what comes here erases.
        let mut inner = self.inner();
        let fails = inner.fails(|faults| faults.project);
        let outcomes = batches.iter().map(|batch| if fails { Outcome::Unknown } else { inner.erase(batch) });
        ready(outcomes.collect())
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        // Rows are confirmed by steps of the world's own; this one is asked for after erasures, and after listings, which a crash
        // may take all the same here: harder than any store.
        let mut inner = self.inner();
        if inner.fails(|faults| faults.barrier) {
            return ready(Err(BarrierError::Unavailable("simulated".into())));
        }
        inner.keep_erased();
        ready(Ok(()))
    }

    fn read<'a>(
        &'a self,
        key: &'a ConversationKey,
        range: ReadRange,
    ) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>> {
        ready(self.page(key, range))
    }

    fn head<'a>(&'a self, key: &'a ConversationKey, at_least: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>> {
        ready(self.top(key, at_least))
    }

    fn trim<'a>(&'a self, key: &'a ConversationKey, below: Seq) -> BoxFuture<'a, Result<Seq, ReadError>> {
        let mut inner = self.inner();
        if inner.fails(|faults| faults.project) {
            return ready(Err(unavailable()));
        }
        ready(Ok(inner.trim(key, below)))
    }
}

fn decision(place: &DecisionPlace, (at, value): &(Seq, Option<Bytes>)) -> Decision {
    Decision { kind: place.kind, about: place.about.clone(), at: *at, value: value.clone() }
}

impl Projections for Disk {
    fn load<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let record =
            inner.records.get(key).map(|(applied, fields)| Record { applied: *applied, fields: fields.clone() });
        ready(Ok(record))
    }

    fn members<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        inner.read_list(key);
        let of_key = inner.lists.iter().filter(|((list, _), _)| list == key);
        let present = of_key.filter_map(|((_, user), (at, value))| {
            value.clone().map(|value| StoredMember { user: user.clone(), at: *at, value })
        });
        ready(Ok(present.collect()))
    }

    fn conversations_of<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>> {
        let inner = self.inner();
        let of_user = inner.members.iter().filter(|((key, member), _)| key.tenant == *tenant && member == user);
        let present = of_user.filter_map(|((key, _), (at, value))| {
            value.clone().map(|value| Membership { conversation: key.conversation, at: *at, value })
        });
        ready(Ok(present.collect()))
    }

    fn overlays<'a>(
        &'a self,
        key: &'a ConversationKey,
        from: Seq,
        to: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let of_key = inner.overlays.iter().filter(|((conversation, target, user), _)| {
            conversation == key && user.is_none() && (from..=to).contains(target)
        });
        let found = of_key.filter_map(|((_, target, _), (at, value))| {
            value.clone().map(|value| Overlay { target: *target, at: *at, value })
        });
        ready(Ok(found.collect()))
    }

    fn reactors<'a>(
        &'a self,
        key: &'a ConversationKey,
        user: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let find = |target: &Seq| {
            let found = inner.overlays.get(&(key.clone(), *target, Some(user.clone())));
            found.map(|(at, value)| Reactor { at: *at, value: value.clone() })
        };
        ready(Ok(targets.iter().map(find).collect()))
    }

    fn decisions<'a>(&'a self, home: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let of_home = inner.decisions.iter().filter(|(place, (_, value))| place.home == *home && value.is_some());
        ready(Ok(of_home.map(|(place, stored)| decision(place, stored)).collect()))
    }

    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>> {
        self.meanwhile();
        let mut inner = self.inner();
        if inner.fails(|faults| faults.read) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        let find = |place: &DecisionPlace| inner.decisions.get(place).map(|stored| decision(place, stored));
        ready(Ok(places.iter().map(find).collect()))
    }

    fn drop_list<'a>(&'a self, list: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        let mut inner = self.inner();
        if inner.fails(|faults| faults.project) {
            return ready(Err(ProjectionError::Unavailable("simulated".into())));
        }
        inner.drop_list(list);
        ready(Ok(()))
    }

    fn write<'a>(&'a self, writes: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        ready(self.write_some(writes))
    }
}
