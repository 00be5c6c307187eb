//! Storing messages: known ids are answered again, new ones get a number in the next batch; a batch that is committed is
//! answered and fanned out, in the order of its numbers.

use bytes::Bytes;
use switchyard_cluster::home::MemberNotice;
use switchyard_cluster::link::{Answer, LiveEvent, Refusal};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, Home};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1::{self, event::Body, reply};

use crate::machine::conversation::recent::{COUNTS, NO_ID};
use crate::machine::conversation::{Conversation, State};
use crate::machine::rights::admission::joins_to_write;
use crate::machine::writing::control::Prepared;
use crate::machine::writing::erasing::Erased;
use crate::machine::writing::pipeline::{InFlight, Pending, Pipeline, Projecting, Sealed, SealedEvent, Work};
use crate::machine::writing::seal::Sealer;
use crate::machine::{
    CommitOutcome, Effect, Machine, Projection, REFUSED_RETRY_MS, Repeat, Slot, Written, busy, refuse, succeed,
};
use crate::stored::{self, RowKind};
use crate::timeline;

impl Machine {
    /// Makes the next batch of what waits, if none is in flight: a run of messages, or one other event.
    pub(in crate::machine) fn seal(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let (members_add, requests, rules) = (self.config.members_add, self.config.requests, self.config.rules);
        // What is in memory was loaded, and that only its owner does.
        let Some(epoch) = self.epochs.of(Shard::of_conversation(key)) else { return };
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Conversation { state, pipeline: Some(pipeline), .. } = conversation else { return };
        pipeline.unqueue();
        if pipeline.writes() {
            return;
        }
        let mut sealer = Sealer::new(key, epoch, state, now.wall_ms);
        while let Some(pending) = pipeline.front() {
            let alone = pending.work.stands_alone();
            if !sealer.events.is_empty() && (alone || !sealer.has_room(&pending.work)) {
                break;
            }
            // One projection at a time, so that the record never says more than the members do.
            if alone && !pipeline.projecting.is_empty() {
                break;
            }
            // It is listed only now, and whether one has blocked the other is read then.
            if state.blocks.is_unread() {
                break;
            }
            let prepared = state.prepare(pending, members_add, &pipeline.targets);
            if prepared.is_ok()
                && let Some(joining) = state.joining(pending)
            {
                pipeline.push_front(joining);
                continue;
            }
            let Some(pending) = pipeline.pop() else { break };
            match prepared {
                Err(refusal) => {
                    refuse_all(&pending, &refusal, out);
                    refuse_joining(pipeline, &pending, &refusal, out);
                }
                Ok(Prepared::Already) => answer_already(key, state, &pending, out),
                Ok(Prepared::Message { sender }) => sealer.message(pending, sender),
                Ok(Prepared::Founding(mut founding)) => {
                    founding.requested = requests && founding.kind() == v1::ConversationKind::Direct;
                    let body = stored::encode(&*founding);
                    sealer.control(pending, RowKind::Founding, &body, SealedEvent::Founding(founding));
                }
                Ok(Prepared::Members(event)) => {
                    let body = stored::encode(&*event);
                    sealer.control(pending, RowKind::Members, &body, SealedEvent::Members(event));
                }
                Ok(Prepared::Change(event)) => {
                    let body = stored::encode(&*event);
                    sealer.control(pending, RowKind::Change, &body, SealedEvent::Change(event));
                }
                Ok(Prepared::Erase) => {
                    let body = stored::encode(&stored::EraseEvent { left: true });
                    sealer.control(pending, RowKind::Erase, &body, SealedEvent::Erase);
                }
                Ok(Prepared::Annotation(event)) => {
                    let (kind, body) = event.encode();
                    sealer.control(pending, kind, &body, SealedEvent::Annotation(event));
                }
            }
            if alone && !sealer.events.is_empty() {
                break;
            }
        }
        if let Some((batch, in_flight)) = sealer.finish(rules) {
            pipeline.in_flight = Some(in_flight);
            out.push(Effect::Append(batch));
        } else {
            // Everything that waited was answered without an event.
            pipeline.forget_targets();
            conversation.uncork(out);
            conversation.rest();
            self.drop_unborn(key);
        }
    }

    /// A batch has an outcome.
    pub(in crate::machine) fn committed(
        &mut self,
        now: Now,
        key: &ConversationKey,
        outcome: CommitOutcome,
        out: &mut Vec<Effect>,
    ) {
        let unknown_after = self.config.unknown_after;
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else {
            return self.home_committed(now, key, outcome, out);
        };
        let Some(mut in_flight) = conversation.pipeline.as_mut().and_then(|pipeline| pipeline.in_flight.take()) else {
            return self.home_committed(now, key, outcome, out);
        };
        let cork = matches!(outcome, CommitOutcome::Committed) && conversation.should_cork(&in_flight);
        conversation.uncork(out);
        match outcome {
            CommitOutcome::Committed => {
                let mut corked = Vec::new();
                let requested = !conversation.state.profile.approval.is_open();
                let told = if cork { &mut corked } else { &mut *out };
                let created = commit(conversation, key, in_flight, told);
                conversation.pipeline().corked = corked;
                let revealed = requested && conversation.state.profile.approval.is_open();
                self.created += created;
                if revealed {
                    self.reveal_marks(key);
                }
                if let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) {
                    self.pacing.committed(now, key, conversation);
                    if conversation.typed {
                        conversation.typed = self.typing.keep_readers(key, &conversation.state);
                    }
                    if conversation.paced {
                        conversation.uncork(out);
                    }
                }
                self.after_commit(key, out);
            }
            CommitOutcome::Refused { full, .. } if !in_flight.unknown => {
                for sealed in in_flight.events {
                    refuse_all(&sealed.pending, &refused_by_store(full), out);
                    refuse_joining(conversation.pipeline(), &sealed.pending, &refused_by_store(full), out);
                }
                self.drop_unborn(key);
            }
            CommitOutcome::Refused { batch, .. } | CommitOutcome::Unknown(batch) => {
                in_flight.unknown = true;
                let then = now.mono.saturating_sub(unknown_after);
                for sealed in &mut in_flight.events {
                    tell_unknown(&mut sealed.pending, then, out);
                }
                conversation.pipeline().in_flight = Some(in_flight);
                self.repeat(now, Repeat::Append(batch));
                return self.refuse_older(now, key, out);
            }
        }
        self.ready(key);
        let Some(conversation) = self.loaded_mut(key) else { return };
        let outlived = conversation.pipeline.as_mut().map(|pipeline| std::mem::take(&mut pipeline.surveys));
        conversation.forget_targets();
        conversation.rest();
        for number in outlived.unwrap_or_default() {
            self.confirm(key, number, out);
        }
    }

    /// Refuses what has waited too long for the store; nothing of it was given to it yet.
    fn refuse_older(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let then = now.mono.saturating_sub(self.config.unknown_after);
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Some(pipeline) = &mut conversation.pipeline else { return };
        for pending in pipeline.take_older(then) {
            refuse_all(&pending, &busy("the store does not answer now"), out);
        }
    }

    /// What the new head calls for: retention, and a record that spares the next load a long replay.
    fn after_commit(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let retention = self.config.retention;
        let Some(conversation) = self.loaded_mut(key) else { return };
        let state = &conversation.state;
        let below = state.beyond(retention.of(state.profile.kind));
        let due = below > state.first_available || conversation.record_is_due();
        if due && !conversation.projecting() {
            conversation.project_and_drop(key, Vec::new(), below, out);
        }
        conversation.write_overlays(key, out);
    }

    /// Projections are written: whoever waited for theirs is answered.
    pub(in crate::machine) fn projected(
        &mut self,
        now: Now,
        key: &ConversationKey,
        result: Result<Written, Box<Projection>>,
        out: &mut Vec<Effect>,
    ) {
        if self.homes.has(key) {
            return self.home_projected(now, key, result, out);
        }
        let Written { through, blocks } = match result {
            Ok(written) => written,
            Err(projection) => {
                self.repeat(now, Repeat::Project(key.clone(), projection));
                return self.refuse_older(now, key, out);
            }
        };
        let Some(conversation) = self.loaded_mut(key) else { return };
        conversation.recorded = conversation.recorded.max(through);
        conversation.state.listing.written(through);
        if let Some(rows) = blocks {
            conversation.state.blocks.read(rows);
        }
        let Conversation { state, pipeline: Some(pipeline), .. } = &mut *conversation else { return };
        for done in std::mem::take(&mut pipeline.projecting) {
            if done.seq > through {
                pipeline.projecting.push(done);
                continue;
            }
            if done.clears {
                state.erased = Erased::Cleared;
            }
            for (user, at, member) in done.homes {
                let home = Home { key: ConversationKey::home(&key.tenant, &user), user };
                let notice = MemberNotice { home, conversation: key.conversation, at, member };
                out.push(Effect::Tell(Box::new(RouterMessage::Member(notice))));
            }
            if let Some((asker, user)) = done.asker {
                answer_done(key, state, asker, &user, done.seq, done.created, out);
            }
        }
        if pipeline.projecting.is_empty() {
            pipeline.targets.written();
            pipeline.forget_targets();
            conversation.write_overlays(key, out);
        }
        self.ready(key);
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.rest();
        }
        self.go_on_erasing(key, out);
    }
}

/// What is answered about a batch that the store definitely did not take.
pub(in crate::machine) fn refused_by_store(full: bool) -> Refusal {
    let message = if full { "the store is full" } else { "the store did not take it" };
    Refusal { retry_after_ms: Some(REFUSED_RETRY_MS), ..Refusal::new(ErrorCode::Overloaded, message) }
}

pub(in crate::machine) fn refuse_all(pending: &Pending, refusal: &Refusal, out: &mut Vec<Effect>) {
    let first = (!pending.told_unknown).then_some(&pending.asker);
    for &asker in first.into_iter().chain(&pending.also) {
        refuse(asker, refusal.clone(), out);
    }
}

/// Refuses the message for which its sender was to become a member first, and did not.
fn refuse_joining(pipeline: &mut Pipeline, joining: &Pending, refusal: &Refusal, out: &mut Vec<Effect>) {
    if joins_to_write(joining)
        && let Some(message) = pipeline.pop_message_of(&joining.user)
    {
        refuse_all(&message, refusal, out);
    }
}

/// Answers those who have waited too long for an outcome; the event goes on without them. Who sends it again meanwhile
/// learns the same with the next attempt.
pub(in crate::machine) fn tell_unknown(pending: &mut Pending, then: std::time::Duration, out: &mut Vec<Effect>) {
    if pending.since >= then {
        return;
    }
    let message = "whether this was stored is not known: send it again with the same client id";
    let first = (!pending.told_unknown).then_some(pending.asker);
    pending.told_unknown = true;
    for asker in first.into_iter().chain(pending.also.drain(..)) {
        refuse(asker, Refusal::new(ErrorCode::UnknownOutcome, message), out);
    }
}

fn answer_already(key: &ConversationKey, state: &State, pending: &Pending, out: &mut Vec<Effect>) {
    let created = false;
    if pending.told_unknown {
        return;
    }
    if matches!(pending.work, Work::Create(_) | Work::Found(_)) {
        answer_created(key, state, pending.asker, &pending.user, created, out);
    } else {
        let changed = v1::Changed { conversation: key.conversation.to_string(), seq: state.head() };
        succeed(pending.asker, reply::Result::Changed(changed), out);
    }
}

fn answer_created(
    key: &ConversationKey,
    state: &State,
    asker: Asker,
    user: &UserId,
    created: bool,
    out: &mut Vec<Effect>,
) {
    let conversation = Some(state.detail(key, user));
    succeed(asker, reply::Result::Created(v1::Created { conversation, created }), out);
}

fn answer_done(
    key: &ConversationKey,
    state: &State,
    asker: Asker,
    user: &UserId,
    seq: u64,
    created: bool,
    out: &mut Vec<Effect>,
) {
    if created {
        answer_created(key, state, asker, user, true, out);
    } else {
        let changed = v1::Changed { conversation: key.conversation.to_string(), seq };
        succeed(asker, reply::Result::Changed(changed), out);
    }
}

/// The whole batch is committed: moves the state on, answers, fans out. Returns how many messages it held.
fn commit(conversation: &mut Conversation, key: &ConversationKey, batch: InFlight, out: &mut Vec<Effect>) -> u64 {
    let mut messages = 0;
    let time_ms = batch.time_ms;
    for Sealed { pending, event } in batch.events {
        let seq = conversation.state.next;
        match event {
            SealedEvent::Message { frame, message_at, sender } => {
                messages += 1;
                let hash = match &pending.work {
                    Work::Message { send, hash, .. } if send.kind != v1::MessageKind::System => *hash | COUNTS,
                    Work::Message { hash, .. } => *hash,
                    _ => NO_ID,
                };
                conversation.state.commit_message(hash, sender.map(|place| place as usize), time_ms);
                if !pending.told_unknown {
                    let message = frame.slice(message_at..);
                    out.push(Effect::Answer { to: pending.asker, answer: Answer::Sent { message, duplicate: false } });
                }
                for to in pending.also {
                    let message = frame.slice(message_at..);
                    out.push(Effect::Answer { to, answer: Answer::Sent { message, duplicate: true } });
                }
                publish(conversation, key, seq, frame, Vec::new(), out);
            }
            SealedEvent::Founding(founding) => {
                conversation.state.found(&founding, pending.user.as_str(), time_ms);
                let touched = founding.members.iter().map(|member| member.user.clone()).collect();
                project(conversation, key, seq, touched, pending, true, out);
            }
            SealedEvent::Members(event) => {
                conversation.state.commit_members(&event, time_ms);
                let removed: Vec<UserId> = event.removed.iter().filter_map(|user| stored::stored_user(user)).collect();
                let promoted = event.promoted.iter().chain(&event.added).map(|member| member.user.clone());
                let touched = promoted.chain(event.removed.iter().cloned()).collect();
                let body = timeline::members_changed(*event, pending.user.as_str(), time_ms);
                let frame = timeline::event_frame(key, seq, Body::Members(body));
                publish(conversation, key, seq, frame, removed, out);
                project(conversation, key, seq, touched, pending, false, out);
            }
            SealedEvent::Change(event) => {
                conversation.state.commit_change(&event, time_ms);
                let body = timeline::changed(key, *event, pending.user.as_str(), time_ms);
                let frame = timeline::event_frame(key, seq, Body::Change(body));
                publish(conversation, key, seq, frame, Vec::new(), out);
                project(conversation, key, seq, Vec::new(), pending, false, out);
            }
            SealedEvent::Erase => {
                let members = conversation.state.members.after(None).iter();
                let touched = members.map(|member| member.user.to_string()).collect();
                conversation.state.commit_erase(time_ms);
                let body = timeline::erased(pending.user.as_str(), time_ms);
                let frame = timeline::event_frame(key, seq, Body::Change(body));
                publish_last(conversation, key, seq, &frame, out);
                project(conversation, key, seq, touched, pending, false, out);
            }
            SealedEvent::Annotation(event) => {
                let body = conversation.commit_annotation(key, &event, &pending.user, time_ms);
                let frame = timeline::event_frame(key, seq, body);
                if !pending.told_unknown {
                    let changed = v1::Changed { conversation: key.conversation.to_string(), seq };
                    succeed(pending.asker, reply::Result::Changed(changed), out);
                }
                publish(conversation, key, seq, frame, Vec::new(), out);
            }
            // Of homes' logs alone.
            SealedEvent::Decided(_) => {}
        }
    }
    messages
}

fn publish(
    conversation: &Conversation,
    key: &ConversationKey,
    seq: u64,
    frame: Bytes,
    removed: Vec<UserId>,
    out: &mut Vec<Effect>,
) {
    for &edge in &conversation.edges {
        let event = LiveEvent { key: key.clone(), seq, frame: frame.clone(), removed: removed.clone(), last: false };
        out.push(Effect::Publish { edge, event });
    }
}

/// The same for the last event of all, after which nobody may read anything.
fn publish_last(conversation: &Conversation, key: &ConversationKey, seq: u64, frame: &Bytes, out: &mut Vec<Effect>) {
    for &edge in &conversation.edges {
        let event = LiveEvent { key: key.clone(), seq, frame: frame.clone(), removed: Vec::new(), last: true };
        out.push(Effect::Publish { edge, event });
    }
}

/// Writes what an event changed in the listings; its asker is answered when that is done.
fn project(
    conversation: &mut Conversation,
    key: &ConversationKey,
    seq: u64,
    touched: Vec<String>,
    pending: Pending,
    created: bool,
    out: &mut Vec<Effect>,
) {
    let state = &conversation.state;
    let members: Vec<_> = touched.iter().filter_map(|user| state.member_record(key, user, seq)).collect();
    let homes = Projecting::homes_of(&members);
    let pair = conversation.list(&members);
    let mut projection = Projection { pair, ..conversation.projection(key, true, None) };
    projection.members.extend(members);
    out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
    let asker = (!pending.told_unknown).then_some((pending.asker, pending.user));
    conversation.pipeline().projecting.push(Projecting { asker, created, homes, ..Projecting::of_nothing(seq) });
}
