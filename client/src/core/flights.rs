//! Requests that are on their way on the present connection: at most as many as the server takes, each with the time
//! by which its answer should be there. One that is late keeps its place, for the server still works at it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use switchyard_protocol::json::ReplyKind;

use super::Name;
use super::io::Ticket;
use super::presence::Target;

/// Answered requests that may stand in the queue of due times before it is cleaned.
const DUE_SLACK: usize = 64;

/// Why a request was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    Hello,
    Renew,
    /// Events after these positions.
    Resume(Vec<(Name, u64)>),
    /// Events of these from now on.
    Subscribe(Vec<Name>),
    /// No more events of some.
    Unsubscribe(Vec<Name>),
    /// The head of a conversation, for sends that have no `since`, or one that was too old.
    Head(Name),
    /// Events of all of the user's conversations.
    All,
    /// The conversations that are shown.
    Show,
    /// That the user types, or has stopped.
    Typing,
    /// How it is with these, and what changes.
    Watch(Vec<Target>),
    /// No more of these.
    Unwatch(Vec<Target>),
    /// How far the user has come there.
    Mark(Name),
    /// How far others have come there, as some of it was missed.
    Marks(Name),
    /// The application's request.
    Call(Ticket),
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) purpose: Purpose,
    pub(crate) kind: ReplyKind,
    pub(crate) sent_at: Duration,
    late: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_id: BTreeMap<u64, Flight>,
    /// In the order of sending, which is the order of falling due: all wait equally long.
    due: VecDeque<(Duration, u64)>,
}

impl Flights {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn insert(&mut self, id: u64, purpose: Purpose, kind: ReplyKind, now: Duration, timeout: Duration) {
        self.by_id.insert(id, Flight { purpose, kind, sent_at: now, late: false });
        self.due.push_back((now.saturating_add(timeout), id));
    }

    pub(crate) fn kind(&self, id: u64) -> Option<ReplyKind> {
        self.by_id.get(&id).map(|flight| flight.kind)
    }

    /// Takes the request that was answered.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Flight> {
        let flight = self.by_id.remove(&id);
        self.trim();
        flight
    }

    /// Takes all, in the order of sending: the connection is gone.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (u64, Flight)> + use<> {
        self.due.clear();
        std::mem::take(&mut self.by_id).into_iter()
    }

    /// When the next one falls due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.front().map(|(at, _)| *at)
    }

    /// The next one that is due and unanswered. It stays in flight, but comes here only once.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<(u64, Purpose, Duration)> {
        let (at, id) = *self.due.front()?;
        if at > now {
            return None;
        }
        self.due.pop_front();
        let flight = self.by_id.get_mut(&id);
        let found = flight.map(|flight| {
            flight.late = true;
            (id, flight.purpose.clone(), flight.sent_at)
        });
        self.trim();
        found
    }

    /// Whether some request of this kind is under way and not late.
    pub(crate) fn any(&self, is: impl Fn(&Purpose) -> bool) -> bool {
        self.by_id.values().any(|flight| !flight.late && is(&flight.purpose))
    }

    /// Whether every request is late.
    pub(crate) fn all_late(&self) -> bool {
        self.by_id.values().all(|flight| flight.late)
    }

    #[cfg(test)]
    pub(crate) fn purpose(&self, id: u64) -> Option<&Purpose> {
        self.by_id.get(&id).map(|flight| &flight.purpose)
    }

    #[cfg(test)]
    pub(crate) fn lowest_id(&self) -> Option<u64> {
        self.by_id.keys().next().copied()
    }

    /// The front of `due` is always a request that is still in flight, so that the next time is true.
    fn trim(&mut self) {
        while self.due.front().is_some_and(|(_, id)| !self.by_id.contains_key(id)) {
            self.due.pop_front();
        }
        // Behind one that is never answered, the answered ones would pile up until it falls due.
        if self.due.len() > 2 * self.by_id.len() + DUE_SLACK {
            self.due.retain(|(_, id)| self.by_id.contains_key(id));
        }
    }
}
