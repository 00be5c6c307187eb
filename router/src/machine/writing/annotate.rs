//! Changing messages: edit, delete, emoji, pin. The message is read first, unless it is known because it is being changed
//! already; then the change waits for its number like any other event. One batch holds one change of a message at most, so
//! that each is judged by what the one before has made of it.

use std::collections::BTreeSet;

use switchyard_cluster::link::{Annotation, Refusal};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::{EDITS_MAX, EMOJI_PER_MESSAGE_MAX, EMOJI_PER_USER_MAX, PINS_MAX};
use switchyard_protocol::v1::{self, event::Body};
use switchyard_store::Seq;

use crate::annotation::{AnnotationEvent, EditEvent, ReactEvent};
use crate::machine::conversation::listing::Relisted;
use crate::machine::conversation::{Conversation, State};
use crate::machine::rights::table::{CLOSED, Standing};
use crate::machine::ticket::Ticket;
use crate::machine::writing::control::Prepared;
use crate::machine::writing::pipeline::{Pending, Pipeline, Projecting, Work};
use crate::machine::writing::targets::{Known, Target, TargetRead, Targets};
use crate::machine::{Effect, Machine, Projection, ReadFailed, ReadPlan, busy, read_refusal, refuse};
use crate::stored::ChangeEvent;
use crate::timeline;

/// What is not there, was deleted or is no message.
pub(in crate::machine) const NO_SUCH_MESSAGE: Refusal = Refusal::new(ErrorCode::NotFound, "no such message");

/// Somebody is mentioned who is not there.
pub(in crate::machine) const NO_MEMBER_MENTIONED: Refusal =
    Refusal::new(ErrorCode::BadRequest, "a message mentions members of its conversation alone");

const fn conflict(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::Conflict, message)
}

impl Work {
    /// The number of the message that it changes.
    pub(in crate::machine) fn target(&self) -> Option<Seq> {
        match self {
            Self::Annotate(ask) => Some(ask.target),
            Self::Pin { target, .. } => Some(*target),
            _ => None,
        }
    }

    /// Whether what the asker gave the message must be known.
    fn needs_reactor(&self) -> bool {
        matches!(self, Self::Annotate(ask) if matches!(ask.change, Annotation::React { .. }))
    }
}

impl State {
    /// Whether a message with this number may be there.
    pub(in crate::machine) fn may_hold(&self, seq: Seq) -> bool {
        seq >= self.first_available && seq <= self.head()
    }

    /// Whether all of them are members.
    pub(in crate::machine) fn all_members<'a>(&self, mut users: impl Iterator<Item = &'a UserId>) -> bool {
        users.all(|user| self.members.get(user).is_some())
    }

    /// What a change of a message comes to, by what that is now. The asker is of this standing.
    pub(in crate::machine) fn prepare_on_message(
        &self,
        pending: &Pending,
        standing: Standing,
        targets: &Targets,
    ) -> Result<Prepared, Refusal> {
        if !standing.reads() {
            return Err(Refusal::NOT_FOUND);
        }
        let Some(target) = pending.work.target() else { return Err(NO_SUCH_MESSAGE) };
        let known = targets.get(target).filter(|_| self.may_hold(target)).ok_or(NO_SUCH_MESSAGE)?;
        self.permit_on_message(standing, pending, known)?;
        if let Some(refusal) = self.members.place(&pending.user).and_then(|place| self.blocked(place, &pending.work)) {
            return Err(refusal);
        }
        if self.profile.closed {
            return Err(CLOSED);
        }
        // What one has said one may take back also where one may say nothing more.
        let retracts = matches!(&pending.work, Work::Annotate(ask) if ask.change == Annotation::Delete);
        let place = self.members.place(&pending.user).filter(|_| !retracts);
        if let Some(refusal) = place.and_then(|place| self.why_not_send(place)) {
            return Err(refusal);
        }
        let deleted = known.overlay.deleted;
        match &pending.work {
            Work::Pin { remove, .. } => self.prepare_pin(target, *remove, deleted),
            Work::Annotate(ask) => match &ask.change {
                Annotation::Delete if deleted => Ok(Prepared::Already),
                Annotation::Delete => Ok(annotation(AnnotationEvent::Delete(known.deletion(target)))),
                _ if deleted => Err(NO_SUCH_MESSAGE),
                Annotation::Edit { text, mentions } => self.prepare_edit(target, text, mentions, known),
                Annotation::React { emoji, remove } => prepare_react(target, emoji, *remove, &pending.user, known),
            },
            _ => Err(NO_SUCH_MESSAGE),
        }
    }

    fn prepare_edit(&self, target: Seq, text: &str, mentions: &[UserId], known: &Known) -> Result<Prepared, Refusal> {
        if !self.all_members(mentions.iter()) {
            return Err(NO_MEMBER_MENTIONED);
        }
        let (before, named) = known.says();
        if before == text && named.iter().map(String::as_str).eq(mentions.iter().map(UserId::as_str)) {
            return Ok(Prepared::Already);
        }
        if known.overlay.edits.len() >= EDITS_MAX {
            return Err(conflict("a message can be edited 100 times"));
        }
        let mentions = mentions.iter().map(UserId::to_string).collect();
        Ok(annotation(AnnotationEvent::Edit(EditEvent { target, text: text.to_owned(), mentions })))
    }

    fn prepare_pin(&self, target: Seq, remove: bool, deleted: bool) -> Result<Prepared, Refusal> {
        let pinned = self.profile.pins.contains(&target);
        if remove {
            let event = ChangeEvent { unpinned: Some(target), ..ChangeEvent::default() };
            return Ok(if pinned { Prepared::Change(Box::new(event)) } else { Prepared::Already });
        }
        match pinned {
            _ if deleted => Err(NO_SUCH_MESSAGE),
            true => Ok(Prepared::Already),
            false if self.profile.pins.len() >= PINS_MAX => {
                Err(conflict("a conversation has at most 50 pinned messages"))
            }
            false => {
                let event = ChangeEvent { pinned: Some(target), ..ChangeEvent::default() };
                Ok(Prepared::Change(Box::new(event)))
            }
        }
    }
}

fn annotation(event: AnnotationEvent) -> Prepared {
    Prepared::Annotation(Box::new(event))
}

fn prepare_react(target: Seq, emoji: &str, removed: bool, user: &UserId, known: &Known) -> Result<Prepared, Refusal> {
    let Some(reactor) = known.reactor(user) else { return Err(read_refusal(ReadFailed::Unavailable)) };
    let given = reactor.emoji.iter().any(|own| own == emoji);
    if given != removed {
        return Ok(Prepared::Already);
    }
    let before = known.overlay.count(emoji);
    if !removed {
        if reactor.emoji.len() >= EMOJI_PER_USER_MAX {
            return Err(conflict("a user gives a message at most 8 emoji"));
        }
        if before == 0 && known.overlay.emoji.len() >= EMOJI_PER_MESSAGE_MAX {
            return Err(conflict("a message has at most 32 different emoji"));
        }
    }
    let count = if removed { before.saturating_sub(1) } else { before.saturating_add(1) };
    Ok(annotation(AnnotationEvent::React(ReactEvent { target, emoji: emoji.to_owned(), removed, count })))
}

impl Machine {
    /// A member asks for a change of a message: it waits until that is known.
    pub(in crate::machine) fn change_message(
        &mut self,
        now: Now,
        key: &ConversationKey,
        pending: Pending,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Some(target) = pending.work.target() else { return };
        if !conversation.state.may_hold(target) {
            return refuse(pending.asker, NO_SUCH_MESSAGE, out);
        }
        if conversation.full() {
            return refuse(pending.asker, busy("too many events wait in this conversation"), out);
        }
        conversation.pipeline().targets.entry(target).waiting.push_back(pending);
        self.go_on_with_message(now, key, target, out);
    }

    /// Puts what waits for a message in line, in order, as far as enough of it is known; else has it read.
    fn go_on_with_message(&mut self, _now: Now, key: &ConversationKey, seq: Seq, out: &mut Vec<Effect>) {
        let Some(crate::machine::Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let Some(pipeline) = &mut conversation.pipeline else { return };
        let Some(target) = pipeline.targets.get_mut(seq) else { return };
        let mut known = Vec::new();
        while !target.reading
            && let Some(next) = target.waiting.front()
        {
            let reactor_missing = |of: &Known| next.work.needs_reactor() && of.reactor(&next.user).is_none();
            if target.known().is_some_and(|of| !reactor_missing(of)) {
                known.extend(target.waiting.pop_front());
                continue;
            }
            let reactor = next.work.needs_reactor().then(|| next.user.clone());
            target.reading = true;
            let ticket = Box::new(Ticket::Target { key: key.clone(), seq });
            out.push(Effect::Read { key: key.clone(), ticket, plan: ReadPlan::Target { seq, reactor } });
        }
        for pending in known {
            conversation.line_up(key, pending, &mut self.ready);
        }
    }

    /// A message that is to be changed was read.
    pub(in crate::machine) fn target_read(
        &mut self,
        now: Now,
        key: &ConversationKey,
        seq: Seq,
        read: Result<Option<Box<TargetRead>>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let Conversation { state, pipeline: Some(pipeline), .. } = conversation else { return };
        let refusal = match read {
            Ok(Some(read)) => {
                if let Some(target) = pipeline.targets.get_mut(seq) {
                    target.reading = false;
                    target.learn(*read);
                }
                return self.go_on_with_message(now, key, seq, out);
            }
            Ok(None) => NO_SUCH_MESSAGE,
            Err(failed) => read_refusal(failed),
        };
        for pending in pipeline.targets.give_up(seq) {
            let reads = state.standing(&pending.user, pending.asker.roles).reads();
            refuse(pending.asker, if reads { refusal.clone() } else { Refusal::NOT_FOUND }, out);
        }
        conversation.forget_targets();
        conversation.rest();
    }
}

impl Conversation {
    /// Lets go of messages that nobody changes any more.
    pub(in crate::machine) fn forget_targets(&mut self) {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.forget_targets();
        }
    }

    /// Takes up what a load found to be missing in the overlays.
    pub(in crate::machine) fn put_back(&mut self, targets: Vec<(Seq, Target)>) {
        for (seq, target) in targets.into_iter().filter(|(_, target)| target.is_unwritten()) {
            *self.pipeline().targets.entry(seq) = target;
        }
    }

    /// A change of a message is committed: what is told of it.
    pub(in crate::machine) fn commit_annotation(
        &mut self,
        key: &ConversationKey,
        event: &AnnotationEvent,
        by: &UserId,
        time_ms: u64,
    ) -> Body {
        let seq = self.state.next;
        self.state.commit_annotation(event, time_ms);
        let targets = &mut self.pipeline().targets;
        let Some(target) = targets.get_mut(event.target()) else {
            return timeline::annotated(key, event, by.as_str(), time_ms);
        };
        target.apply(event, by, seq, time_ms);
        match (event, target.known()) {
            (AnnotationEvent::Edit(_), Some(known)) => {
                let mut message = known.shown();
                message.pinned = self.state.profile.pins.contains(&message.seq);
                Body::Updated(message)
            }
            _ => timeline::annotated(key, event, by.as_str(), time_ms),
        }
    }

    /// Writes what became of messages, if nothing else is being written.
    pub(in crate::machine) fn write_overlays(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let due = self.pipeline.as_ref().is_some_and(|pipeline| pipeline.targets.unwritten());
        if due && !self.projecting() {
            // The record says whether there are any; and it is written as often as without them.
            let record_due = !self.annotated_recorded || self.record_is_due();
            let projection = self.projection(key, record_due, None);
            let seq = projection.through;
            out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
            self.pipeline().projecting.push(Projecting::of_nothing(seq));
        }
    }

    /// What is to be written of the conversation as it stands: what became of messages, and the record if it is wished.
    pub(in crate::machine) fn projection(
        &mut self,
        key: &ConversationKey,
        record: bool,
        trim_below: Option<Seq>,
    ) -> Projection {
        let unwritten = match &mut self.pipeline {
            Some(pipeline) => pipeline.targets.take_unwritten(key),
            None => crate::machine::writing::targets::Unwritten::default(),
        };
        let through = if record { self.state.head() } else { self.recorded };
        if record {
            self.annotated_recorded = self.state.profile.annotated;
        }
        // The record says that these are there.
        let relisted = if record { self.state.take_list(key) } else { None };
        let Relisted { members, mut marks, dropped } = relisted.unwrap_or_default();
        if record {
            marks.extend(self.state.take_moved_marks(key));
        }
        let record = record.then(|| self.state.record(key));
        let (overlays, erase) = (unwritten.overlays, unwritten.erase);
        let written = Projection { members, overlays, erase, marks, record, ..Projection::of_nothing(through) };
        Projection { trim_below, dropped, ..written }
    }
}

impl Pipeline {
    /// Lets go of messages that nobody changes any more.
    pub(in crate::machine) fn forget_targets(&mut self) {
        if self.targets.is_empty() {
            return;
        }
        let needed: BTreeSet<Seq> = self.pending().filter_map(|pending| pending.work.target()).collect();
        self.targets.forget(&needed);
    }
}

/// What somebody asks of a message, waiting.
pub(in crate::machine) fn pending_change(now: Now, asker: Asker, user: UserId, work: Work) -> Pending {
    Pending { asker, also: Vec::new(), user, since: now.mono, told_unknown: false, work }
}

/// Marks the pinned among messages, and puts what is known in place of what was read.
pub(in crate::machine) fn freshen<'a>(
    conversation: &Conversation,
    user: &UserId,
    messages: impl Iterator<Item = &'a mut v1::Message>,
) {
    let pins = &conversation.state.profile.pins;
    let targets = conversation.pipeline.as_ref().map(|pipeline| &pipeline.targets);
    for message in messages {
        if let Some(targets) = targets {
            targets.freshen(message, user);
        }
        message.pinned = pins.contains(&message.seq);
    }
}
