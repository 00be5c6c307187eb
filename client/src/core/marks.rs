//! Marks: how far this user has come, said once a second for each conversation and said again where it may be lost; and how
//! far others have, as the server tells it. What the application has no room for waits here, the newest of each member.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::flights::Purpose;
use super::io::{Effect, Ticket};
use super::limits::{MARK_STORED_WITHIN, MARKED_KEPT_MAX, MARKED_MAX, RETRY_BASE};
use super::link::{Link, is_retry};
use super::timers::Timer;
use super::{Core, Name};
use crate::error::Error;
use crate::event::Event;

/// How far this user has come in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    read: u64,
    delivered: u64,
    stage: Stage,
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In the queue of those to be said.
    Queued,
    /// On its way; with `more`, it has risen since.
    Flying { more: bool },
    /// Not said, or not again, before a timer.
    Pausing { more: bool, answered: Option<Duration> },
    /// Answered then. The server may lose it if it ends within a second.
    Answered(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Marking {
    own: BTreeMap<Name, Own>,
    queue: VecDeque<Name>,
    /// What the application had no room for, by member.
    held: BTreeMap<Name, BTreeMap<String, v1::MemberMarks>>,
    /// Conversations of which marks were told on this connection: some are missed while there is none.
    told: BTreeSet<Name>,
    /// Conversations of which some were missed.
    missed: BTreeSet<Name>,
}

impl Marking {
    /// Whether something waits for room.
    pub(super) fn is_stalled(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the server has answered everything.
    pub(super) fn is_said(&self) -> bool {
        let said =
            |own: &Own| matches!(own.stage, Stage::Answered(_) | Stage::Pausing { more: false, answered: Some(_) });
        self.own.values().all(said)
    }

    /// The conversation is not read any more.
    pub(super) fn forget(&mut self, name: &Name) {
        self.held.remove(name);
        self.told.remove(name);
        self.missed.remove(name);
    }

    fn queue(&mut self, name: &Name) {
        if let Some(own) = self.own.get_mut(name) {
            own.stage = Stage::Queued;
            self.queue.push_back(name.clone());
        }
    }
}

impl Core {
    /// The user has come so far. Only what is new is said, and never more than the newest.
    pub(super) fn mark(&mut self, ticket: Ticket, conversation: &str, read: u64, delivered: u64) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        if self.marking.own.len() >= MARKED_KEPT_MAX {
            let heard_at = self.heard_at;
            self.marking.own.retain(|_, own| !is_stored(own, heard_at));
        }
        let name = Name::from(conversation);
        let full = self.marking.own.len() >= MARKED_MAX;
        match self.marking.own.get_mut(&name) {
            Some(own) if read <= own.read && delivered <= own.delivered => {}
            Some(own) => {
                (own.read, own.delivered) = (own.read.max(read), own.delivered.max(delivered));
                match &mut own.stage {
                    Stage::Queued => {}
                    Stage::Flying { more } | Stage::Pausing { more, .. } => *more = true,
                    Stage::Answered(_) => self.marking.queue(&name),
                }
            }
            None if read.max(delivered) == 0 => {}
            None if full => {
                return self.complete(ticket, Err(Error::TooManyPending));
            }
            None => {
                self.marking.own.insert(name.clone(), Own { read, delivered, stage: Stage::Queued });
                self.marking.queue.push_back(name);
            }
        }
        self.complete(ticket, Ok(reply::Result::Done(v1::Done {})));
    }

    /// Says what is to be said, and asks for what was missed.
    pub(super) fn pump_marks(&mut self) {
        while self.flights.len() < self.calls_in_flight_max()
            && let Some(name) = self.marking.queue.pop_front()
        {
            let Some(own) = self.marking.own.get_mut(&name).filter(|own| own.stage == Stage::Queued) else { continue };
            own.stage = Stage::Flying { more: false };
            let read = Some(own.read).filter(|read| *read > 0);
            let delivered = Some(own.delivered).filter(|delivered| *delivered > own.read);
            let mark = v1::Mark { conversation: name.to_string(), read, delivered, id: None };
            self.request(Request::Mark(mark), Purpose::Mark(name));
        }
        while self.flights.len() < self.calls_in_flight_max()
            && !self.timers.is_set(&Timer::Marks)
            && let Some(name) = self.marking.missed.pop_first()
        {
            let marks = v1::Marks { conversation: name.to_string(), ..v1::Marks::default() };
            self.request(Request::Marks(marks), Purpose::Marks(name));
        }
    }

    /// The server has answered a mark.
    pub(super) fn on_marked(&mut self, name: &Name, result: Option<reply::Result>) {
        let Some(own) = self.marking.own.get_mut(name) else { return };
        let Stage::Flying { more } = own.stage else { return };
        match result {
            Some(reply::Result::Error(error)) if is_retry(&error) => self.mark_later(name, error.retry_after_ms),
            Some(reply::Result::Error(_)) if !more => {
                self.marking.own.remove(name);
            }
            Some(reply::Result::Error(_)) => {
                own.stage = Stage::Pausing { more, answered: None };
                self.timers.set(Timer::Mark(name.clone()), self.after(MARK_STORED_WITHIN));
            }
            Some(_) => {
                own.stage = Stage::Pausing { more, answered: Some(self.now) };
                self.timers.set(Timer::Mark(name.clone()), self.after(MARK_STORED_WITHIN));
            }
            None => self.mark_later(name, None),
        }
    }

    /// It was not done, or nobody knows.
    pub(super) fn mark_later(&mut self, name: &Name, at_least_ms: Option<u64>) {
        let Some(own) = self.marking.own.get_mut(name) else { return };
        if matches!(own.stage, Stage::Flying { .. }) {
            own.stage = Stage::Pausing { more: true, answered: None };
            let pause = self.jitter.between(RETRY_BASE, RETRY_BASE * 2);
            let at_least = Duration::from_millis(at_least_ms.unwrap_or_default()).max(MARK_STORED_WITHIN);
            self.timers.set(Timer::Mark(name.clone()), self.after(at_least.saturating_add(pause)));
        }
    }

    /// A conversation's pause is over.
    pub(super) fn mark_again(&mut self, name: &Name) {
        let Some(own) = self.marking.own.get_mut(name) else { return };
        match own.stage {
            Stage::Pausing { more: false, answered: Some(at) } => own.stage = Stage::Answered(at),
            Stage::Pausing { .. } => self.marking.queue(name),
            Stage::Queued | Stage::Flying { .. } | Stage::Answered(_) => {}
        }
    }

    /// The server cannot be told of this conversation.
    pub(super) fn forget_mark(&mut self, name: &Name) {
        self.marking.own.remove(name);
    }

    /// The connection is gone. What is not certain to be stored is said again on the next, and of others' marks some may be
    /// missed until then.
    pub(super) fn marks_cut_off(&mut self) {
        let heard_at = self.heard_at;
        self.marking.own.retain(|_, own| !is_stored(own, heard_at));
        self.marking.queue.clear();
        let names: Vec<Name> = self.marking.own.keys().cloned().collect();
        for name in names {
            self.timers.cancel(&Timer::Mark(name.clone()));
            self.marking.queue(&name);
        }
        self.timers.cancel(&Timer::Marks);
        let told = std::mem::take(&mut self.marking.told);
        self.marking.missed.extend(told);
    }

    pub(super) fn end_marks(&mut self) {
        self.marking = Marking::default();
    }

    /// The server tells how far members have come.
    pub(super) fn on_marks(&mut self, name: &Name, changed: v1::MarksChanged) {
        self.marking.told.insert(name.clone());
        if changed.missed {
            self.marking.missed.insert(name.clone());
        }
        self.tell_marks(name, changed.marks);
    }

    /// The page that was asked for, as some were missed: members of conversations in which everybody is told fit in one.
    pub(super) fn on_missed_marks(&mut self, name: &Name, result: Option<reply::Result>) {
        if !self.timelines.contains_key(name) {
            return;
        }
        match result {
            Some(reply::Result::Marks(page)) => {
                self.marking.told.insert(name.clone());
                self.tell_marks(name, page.marks);
            }
            Some(reply::Result::Error(error)) if !is_retry(&error) => {}
            Some(reply::Result::Error(error)) => self.ask_marks_later(name, error.retry_after_ms),
            _ => self.ask_marks_later(name, None),
        }
    }

    pub(super) fn ask_marks_later(&mut self, name: &Name, at_least_ms: Option<u64>) {
        self.marking.missed.insert(name.clone());
        let pause = self.jitter.between(RETRY_BASE, RETRY_BASE * 2);
        let at_least = Duration::from_millis(at_least_ms.unwrap_or_default());
        self.timers.set(Timer::Marks, self.after(at_least.saturating_add(pause)));
    }

    fn tell_marks(&mut self, name: &Name, marks: Vec<v1::MemberMarks>) {
        if marks.is_empty() {
            return;
        }
        if self.room == 0 {
            let held = self.marking.held.entry(name.clone()).or_default();
            held.extend(marks.into_iter().map(|one| (one.user.clone(), one)));
            return;
        }
        self.room -= 1;
        self.effects.push(Effect::Deliver(Event::Marks { conversation: name.to_string(), marks }));
    }

    /// The application has room for what waited.
    pub(super) fn tell_held_marks(&mut self) {
        while self.room > 0 {
            let Some((name, marks)) = self.marking.held.pop_first() else { return };
            self.tell_marks(&name, marks.into_values().collect());
        }
    }
}

/// Whether the server has surely stored it: it was there a second after it had answered.
fn is_stored(own: &Own, heard_at: Duration) -> bool {
    match own.stage {
        Stage::Answered(at) | Stage::Pausing { more: false, answered: Some(at) } => at + MARK_STORED_WITHIN < heard_at,
        _ => false,
    }
}
