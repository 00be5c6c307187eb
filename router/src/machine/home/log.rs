//! What a home decides itself, as a log of its own: a decision waits, goes with its neighbours in a batch, is committed, and then
//! written as rows that others read, as a conversation's events are; one batch at a time, and the next once its rows are
//! there. Rows are confirmed before anybody is answered, for conversations read them and not the log.

use std::time::Duration;

use switchyard_cluster::home::Decision;
use switchyard_cluster::link::Refusal;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, Home};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::BLOCKED_MAX;
use switchyard_protocol::v1::{self, reply};
use switchyard_store::ProjectionWrite;

use super::rows::Rows;
use super::{Homes, Kept};
use crate::decided::{Decided, HomeEvent};
use crate::machine::epochs::Epochs;
use crate::machine::writing::annotate::pending_change;
use crate::machine::writing::pipeline::{Pipeline, Sealed, SealedEvent, Work};
use crate::machine::writing::seal::Sealer;
use crate::machine::writing::send::{refuse_all, refused_by_store, tell_unknown};
use crate::machine::{CommitOutcome, Effect, Machine, Projection, Repeat, Written, busy, refuse, succeed};
use crate::rules::Rules;
use crate::stored::RowKind;

const TOO_MANY_BLOCKED: Refusal =
    Refusal::new(ErrorCode::Conflict, "you have blocked 1000 users, which is the most: unblock one first");

/// The log of a home in memory.
#[derive(Debug)]
pub(super) struct OwnLog {
    /// What the committed events come to.
    pub(super) decided: Decided,
    /// Work under way; nothing at rest.
    pipeline: Option<Box<Pipeline>>,
    /// Committed decisions whose rows are being written, and who waits for each.
    writing: Vec<(Decision, Option<Asker>)>,
}

impl OwnLog {
    pub(super) fn new(decided: Decided) -> Self {
        Self { decided, pipeline: None, writing: Vec::new() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pipeline.as_ref().is_none_or(|pipeline| pipeline.idle()) && self.writing.is_empty()
    }

    fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.get_or_insert_default()
    }

    /// Gives back what the last decision needed.
    fn rest(&mut self) {
        if self.is_idle() {
            (self.pipeline, self.writing) = (None, Vec::new());
        }
    }

    /// Whether something of this kind is on its way to be decided in the batch in the making.
    fn clashes(sealer: &Sealer<'_>, decision: &Decision) -> bool {
        sealer.events.iter().any(|sealed| match &sealed.pending.work {
            Work::Decide(other) => is_about(other, decision),
            _ => false,
        })
    }

    /// What a decision comes to, now that its turn has come: an event, or nothing if it is so already.
    fn judge(&self, rows: &Rows, sealer: &Sealer<'_>, decision: &Decision) -> Result<Option<HomeEvent>, Refusal> {
        let Decided { blocked, archived, .. } = &self.decided;
        let event = match decision {
            Decision::Block(user) if blocked.contains(user) => None,
            Decision::Block(user) => {
                let block = |sealed: &&Sealed| matches!(&sealed.pending.work, Work::Decide(Decision::Block(_)));
                if blocked.len() + sealer.events.iter().filter(block).count() >= BLOCKED_MAX {
                    return Err(TOO_MANY_BLOCKED);
                }
                Some(HomeEvent::Blocked(user.clone()))
            }
            Decision::Unblock(user) => blocked.contains(user).then(|| HomeEvent::Unblocked(user.clone())),
            Decision::Archive(conversation) => {
                let since = rows.at(*conversation).ok_or(Refusal::NOT_FOUND)?;
                let event = HomeEvent::Archived { conversation: *conversation, since };
                (!archived.contains_key(conversation)).then_some(event)
            }
            Decision::Unarchive(conversation) if !rows.has(*conversation) => return Err(Refusal::NOT_FOUND),
            Decision::Unarchive(conversation) => {
                archived.contains_key(conversation).then_some(HomeEvent::Unarchived(*conversation))
            }
        };
        Ok(event)
    }
}

/// Whether two decisions are about the same.
fn is_about(one: &Decision, other: &Decision) -> bool {
    match (one, other) {
        (Decision::Block(a) | Decision::Unblock(a), Decision::Block(b) | Decision::Unblock(b)) => a == b,
        (Decision::Archive(a) | Decision::Unarchive(a), Decision::Archive(b) | Decision::Unarchive(b)) => a == b,
        _ => false,
    }
}

impl Homes {
    /// The decisions under way in this home, if there are any.
    pub(in crate::machine) fn pipeline(&self, key: &ConversationKey) -> Option<&Pipeline> {
        self.kept.get(key)?.own.as_ref()?.pipeline.as_deref()
    }

    /// Somebody decides something, of a home that is in memory.
    pub(super) fn decide(
        &mut self,
        now: Now,
        key: &ConversationKey,
        from: Asker,
        decision: Decision,
        out: &mut Vec<Effect>,
    ) {
        let Some(Kept { home, own: Some(own), .. }) = self.kept.get_mut(key) else { return };
        if own.pipeline().full() {
            return refuse(from, busy("too many of your decisions wait"), out);
        }
        own.pipeline().push(pending_change(now, from, home.user.clone(), Work::Decide(decision)));
        self.ready_log(key);
    }

    /// Has what waits sealed at the end of the turn.
    fn ready_log(&mut self, key: &ConversationKey) {
        if let Some(Kept { own: Some(own), .. }) = self.kept.get_mut(key)
            && own.writing.is_empty()
        {
            if own.pipeline().may_seal() {
                self.ready.push(key.clone());
            }
            own.rest();
        }
    }

    /// Makes the next batch of what waits in each home.
    pub(super) fn seal_logs(&mut self, now: Now, epochs: &Epochs, out: &mut Vec<Effect>) {
        for key in std::mem::take(&mut self.ready) {
            self.seal_log(now, epochs, &key, out);
        }
    }

    fn seal_log(&mut self, now: Now, epochs: &Epochs, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(Kept { home, own: Some(own), rows: Some(rows), .. }) = self.kept.get_mut(key) else { return };
        let Some(epoch) = epochs.of(home.shard()) else { return };
        own.pipeline().unqueue();
        if own.pipeline().writes() || !own.writing.is_empty() {
            return;
        }
        let mut sealer = Sealer::of_home(key, epoch, &own.decided, now.wall_ms);
        let mut already = Vec::new();
        while let Some(pending) = own.pipeline.as_ref().and_then(|pipeline| pipeline.front()) {
            let Work::Decide(decision) = &pending.work else { break };
            if OwnLog::clashes(&sealer, decision) || !sealer.has_room(&pending.work) {
                break;
            }
            let (judged, decision) = (own.judge(rows, &sealer, decision), decision.clone());
            let Some(pending) = own.pipeline().pop() else { break };
            match judged {
                Err(refusal) => refuse_all(&pending, &refusal, out),
                Ok(None) => already.push((decision, pending.asker)),
                Ok(Some(event)) => {
                    let body = event.encode();
                    sealer.control(pending, RowKind::Home, &body, SealedEvent::Decided(Box::new(event)));
                }
            }
        }
        if let Some((batch, in_flight)) = sealer.finish(Rules::default()) {
            own.pipeline().in_flight = Some(in_flight);
            out.push(Effect::Append(batch));
        }
        own.rest();
        for (decision, asker) in already {
            self.settle(now, key, decision, Some(asker), false, out);
        }
    }

    /// A batch is committed: its rows are written. What its events come to is known from here on, and answered once they are.
    fn log_committed(&mut self, key: &ConversationKey, events: Vec<Sealed>, time_ms: u64, out: &mut Vec<Effect>) {
        let Some(Kept { home, own: Some(own), rows, .. }) = self.kept.get_mut(key) else { return };
        let mut writes = Vec::with_capacity(events.len());
        for Sealed { pending, event } in events {
            let (SealedEvent::Decided(event), Work::Decide(decision)) = (event, pending.work) else { continue };
            writes.push(event.write(home, own.decided.next));
            own.decided.apply(&event, time_ms);
            own.writing.push((decision, (!pending.told_unknown).then_some(pending.asker)));
        }
        // Who has left meanwhile has nothing archived there.
        own.decided.archived.retain(|conversation, _| rows.as_ref().is_none_or(|rows| rows.has(*conversation)));
        let through = own.decided.head().unwrap_or_default();
        let projection =
            Projection { members: writes, record: Some(record(home, through)), ..Projection::of_nothing(through) };
        out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
    }

    /// The rows are written.
    fn log_written(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(Kept { own: Some(own), .. }) = self.kept.get_mut(key) else { return };
        for (decision, asker) in std::mem::take(&mut own.writing) {
            self.settle(now, key, decision, asker, true, out);
        }
        self.ready_log(key);
    }

    /// A decision stands, and is stored. What changed is told to the user's sessions.
    fn settle(
        &mut self,
        now: Now,
        key: &ConversationKey,
        decision: Decision,
        asker: Option<Asker>,
        changed: bool,
        out: &mut Vec<Effect>,
    ) {
        match decision {
            Decision::Block(user) | Decision::Unblock(user) => self.tell_block(now, key, user, asker, out),
            Decision::Archive(conversation) | Decision::Unarchive(conversation) => {
                if let Some(to) = asker {
                    succeed(to, reply::Result::Done(v1::Done {}), out);
                }
                if changed {
                    self.show_changed(now, key, [conversation], out);
                }
            }
        }
    }

    /// Answers whoever has waited since before `then` for decisions that have no outcome.
    pub(in crate::machine) fn tell_silence(&mut self, then: Duration, out: &mut Vec<Effect>) {
        let writes = |kept: &Kept| kept.own.as_ref().and_then(|own| own.pipeline.as_ref()).is_some();
        let mut waiting: Vec<ConversationKey> = Vec::new();
        waiting.extend(self.kept.iter().filter(|(_, kept)| writes(kept)).map(|(key, _)| key.clone()));
        // In an order that follows from what happened alone.
        waiting.sort_unstable();
        for key in &waiting {
            if let Some(own) = self.kept.get_mut(key).and_then(|kept| kept.own.as_mut()) {
                own.pipeline().tell_silence(then, out);
            }
        }
    }
}

/// The record of a home: all it says is up to which event the rows are there.
pub(crate) fn record(home: &Home, at: u64) -> ProjectionWrite {
    ProjectionWrite::Conversation { key: home.key.clone(), at, record: bytes::Bytes::new() }
}

impl Machine {
    /// A batch of a home has an outcome.
    pub(in crate::machine) fn home_committed(
        &mut self,
        now: Now,
        key: &ConversationKey,
        outcome: CommitOutcome,
        out: &mut Vec<Effect>,
    ) {
        let unknown_after = self.config.unknown_after;
        let Some(Kept { own: Some(own), .. }) = self.homes.kept.get_mut(key) else { return };
        let Some(mut in_flight) = own.pipeline().in_flight.take() else { return };
        match outcome {
            CommitOutcome::Committed => self.homes.log_committed(key, in_flight.events, in_flight.time_ms, out),
            CommitOutcome::Refused { full, .. } if !in_flight.unknown => {
                for sealed in in_flight.events {
                    refuse_all(&sealed.pending, &refused_by_store(full), out);
                }
            }
            CommitOutcome::Refused { batch, .. } | CommitOutcome::Unknown(batch) => {
                in_flight.unknown = true;
                let then = now.mono.saturating_sub(unknown_after);
                for sealed in &mut in_flight.events {
                    tell_unknown(&mut sealed.pending, then, out);
                }
                own.pipeline().in_flight = Some(in_flight);
                self.repeat(now, Repeat::Append(batch));
                return self.refuse_older_decisions(now, key, out);
            }
        }
        self.homes.ready_log(key);
    }

    /// Rows of a home are written, or not.
    pub(in crate::machine) fn home_projected(
        &mut self,
        now: Now,
        key: &ConversationKey,
        result: Result<Written, Box<Projection>>,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Ok(_) => self.homes.log_written(now, key, out),
            Err(projection) => {
                self.repeat(now, Repeat::Project(key.clone(), projection));
                self.refuse_older_decisions(now, key, out);
            }
        }
    }

    /// Refuses what has waited too long for the store; nothing of it was given to it yet.
    fn refuse_older_decisions(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let then = now.mono.saturating_sub(self.config.unknown_after);
        let Some(Kept { own: Some(own), .. }) = self.homes.kept.get_mut(key) else { return };
        for pending in own.pipeline().take_older(then) {
            refuse_all(&pending, &busy("the store does not answer now"), out);
        }
    }
}
