//! All conversations of the user: wanted once, asked for on each connection, and told of as they come and go. A
//! conversation that comes is read from then on; those that were read before go on where they were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::flights::Purpose;
use super::io::{Effect, Ticket};
use super::limits::{RETRY_BASE, RETRY_CAP};
use super::link::{Link, is_retry};
use super::timeline::{Attached, Timeline};
use super::timers::Timer;
use super::{Core, Name};
use crate::error::{Closed, Error};
use crate::event::Event;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct All {
    wanted: bool,
    asked: Asked,
    /// The server has named them once: what is new from then on is told.
    known: bool,
    tickets: Vec<Ticket>,
    failures: u32,
    /// What the application gave up although it wants all.
    left: BTreeSet<Name>,
    /// Numbers that came before the answer that names their conversations.
    early: BTreeMap<Name, u64>,
}

/// Where asking stands on the present connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    #[default]
    No,
    Flying,
    Pausing,
    Yes,
}

impl All {
    /// The application wants this conversation after all.
    pub(super) fn takes(&mut self, name: &str) {
        self.left.remove(name);
    }

    /// The application wants this conversation no more.
    pub(super) fn leaves(&mut self, name: &Name) {
        if self.wanted {
            self.left.insert(name.clone());
        }
    }
}

impl Core {
    pub(super) fn subscribe_all(&mut self, ticket: Ticket) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        self.all.wanted = true;
        self.all.left.clear();
        self.all.tickets.push(ticket);
        if self.all.asked == Asked::Yes {
            self.all.asked = Asked::No;
        }
    }

    pub(super) fn pump_all(&mut self) {
        if self.all.wanted && self.all.asked == Asked::No && self.flights.len() < self.server.in_flight_max {
            self.all.asked = Asked::Flying;
            self.request(Request::Subscribe(v1::Subscribe { all: true, ..Default::default() }), Purpose::All);
        }
    }

    /// The connection is gone, and the server forgets with it what was wanted.
    pub(super) fn forget_all(&mut self) {
        self.all.asked = Asked::No;
        self.all.early.clear();
        self.timers.cancel(&Timer::All);
    }

    /// The server has answered which they are, or has not in time.
    pub(super) fn on_all(&mut self, result: Option<reply::Result>) {
        self.all.asked = Asked::Yes;
        let subscribed = match result {
            Some(reply::Result::Subscribed(subscribed)) => subscribed,
            Some(reply::Result::Error(error)) if !is_retry(&error) => {
                self.all.wanted = false;
                return self.tell_all_waiting(&Error::rejected(&error));
            }
            Some(reply::Result::Error(error)) => return self.ask_all_later(error.retry_after_ms),
            _ => return self.ask_all_later(None),
        };
        self.all.failures = 0;
        // What the application gave up meanwhile is none of those that it reads.
        let (left, read): (Vec<_>, Vec<_>) =
            subscribed.subscribed.into_iter().partition(|one| self.all.left.contains(&*one.conversation));
        let subscribed = v1::Subscribed { subscribed: read, all: subscribed.all };
        for one in left.iter().filter(|one| one.error.is_none()) {
            self.unsubscribing.insert(Name::from(&*one.conversation));
        }
        let tells = std::mem::replace(&mut self.all.known, true);
        for one in subscribed.subscribed.iter().filter(|one| one.error.is_none()) {
            self.take_one(&one.conversation, one.head, one.head, tells);
        }
        self.all.early.clear();
        for ticket in std::mem::take(&mut self.all.tickets) {
            self.complete(ticket, Ok(reply::Result::Subscribed(subscribed.clone())));
        }
    }

    /// The pause after a refusal is over.
    pub(super) fn ask_all_again(&mut self) {
        if self.all.asked == Asked::Pausing {
            self.all.asked = Asked::No;
        }
    }

    pub(super) fn ask_all_later(&mut self, at_least_ms: Option<u64>) {
        self.all.asked = Asked::Pausing;
        let pause = self.jitter.pause(RETRY_BASE, RETRY_CAP, self.all.failures);
        self.all.failures = self.all.failures.saturating_add(1);
        let at_least = Duration::from_millis(at_least_ms.unwrap_or_default());
        self.timers.set(Timer::All, self.after(at_least.saturating_add(pause)));
    }

    /// The server sends one of them from the number `head` on; the application knows it up to `from`, which is no higher.
    fn take_one(&mut self, conversation: &str, from: u64, head: u64, tells: bool) {
        let name = Name::from(conversation);
        let newest = self.all.early.remove(&name).unwrap_or_default().max(head);
        if let Some(timeline) = self.timelines.get_mut(&name) {
            timeline.head = timeline.head.max(newest);
            return self.look_after(&name);
        }
        if self.all.left.contains(&name) {
            self.unsubscribing.insert(name);
            return;
        }
        let mut timeline = Timeline::new(Some(from), self.next_id);
        timeline.attached = Attached::Yes;
        timeline.head = newest;
        self.unsubscribing.remove(&name);
        self.timelines.insert(name.clone(), timeline);
        if tells {
            let conversation = conversation.to_owned();
            self.notify(Event::Listed { conversation, entry: None, head: Some(from) });
        }
        self.look_after(&name);
    }

    /// An event of a conversation that is not known: of one that is wanted with all others, its numbers are remembered.
    pub(super) fn on_event_of_unknown(&mut self, event: &v1::Event) {
        if !self.all.wanted {
            return;
        }
        match (&event.body, self.all.asked) {
            (_, Asked::Flying) if event.seq > 0 => {
                let newest = self.all.early.entry(Name::from(&*event.conversation)).or_default();
                *newest = (*newest).max(event.seq);
            }
            // Its owner had not answered when the others were named.
            (Some(v1::event::Body::Head(v1::Head { head })), Asked::Yes) => {
                self.take_one(&event.conversation, *head, *head, true);
            }
            _ => {}
        }
    }

    /// A conversation came to the user's list, or went from it.
    pub(super) fn on_listed(&mut self, conversation: &str, change: v1::ListingChanged) {
        if !self.all.wanted {
            return;
        }
        let name = conversation.to_owned();
        if change.removed {
            self.all.left.remove(conversation);
            return self.notify(Event::Unlisted { conversation: name });
        }
        if let Some(entry) = change.changed {
            // Its other one may have been unblocked.
            if let Some(peer) = &entry.peer {
                self.watch_again(false, |user| user == peer);
            }
            return self.notify(Event::Relisted { conversation: name, entry: Box::new(entry) });
        }
        // What the application gives up just now is given up, though the server did not know it yet.
        let Some(head) = change.head.filter(|_| !self.is_unsubscribing(conversation)) else {
            return self.notify(Event::Listed { conversation: name, entry: change.added.map(Box::new), head: None });
        };
        // What happened between what the entry shows and the first number that comes live is fetched.
        // One that is read already goes on where it is.
        let is_new = !self.timelines.contains_key(conversation);
        let shown = change.added.as_ref().and_then(|entry| entry.conversation.as_ref()).filter(|_| is_new);
        let from = shown.map_or(head, |shown| shown.head.min(head));
        self.notify(Event::Listed { conversation: name, entry: change.added.map(Box::new), head: Some(from) });
        self.all.left.remove(conversation);
        self.take_one(conversation, from, head, false);
    }

    /// Whether the server is being told that this conversation is not wanted.
    fn is_unsubscribing(&self, conversation: &str) -> bool {
        let told = |purpose: &Purpose| match purpose {
            Purpose::Unsubscribe(names) => names.iter().any(|name| **name == *conversation),
            _ => false,
        };
        self.unsubscribing.contains(conversation) || self.flights.any(told)
    }

    /// Whether the application was not told yet that a conversation came.
    pub(super) fn is_untold(&self, conversation: &str) -> bool {
        let came = |notice: &Event| matches!(notice, Event::Listed { conversation: came, .. } if came == conversation);
        self.notices.iter().any(came)
    }

    /// Tells the application something beside numbered events, as soon as it has room.
    pub(super) fn notify(&mut self, event: Event) {
        if self.room > 0 && self.notices.is_empty() {
            self.room -= 1;
            self.effects.push(Effect::Deliver(event));
            return;
        }
        // What is told of the same conversation later stands for what was not told yet, so that few wait; but that one
        // came is told before it is told that it went, for its events may lie between.
        let came = matches!(event, Event::Listed { .. });
        // How a list shows it is told beside that it came: the two say different things.
        let shown = matches!(event, Event::Relisted { .. });
        self.notices.retain(|notice| match notice {
            Event::Listed { conversation, .. } => !came || *conversation != event.conversation(),
            Event::Unlisted { conversation } => shown || *conversation != event.conversation(),
            Event::Relisted { conversation, .. } => *conversation != event.conversation(),
            _ => true,
        });
        self.notices.push_back(event);
    }

    fn tell_all_waiting(&mut self, error: &Error) {
        for ticket in std::mem::take(&mut self.all.tickets) {
            self.complete(ticket, Err(error.clone()));
        }
    }

    pub(super) fn end_all(&mut self, closed: &Closed) {
        self.tell_all_waiting(&Error::Closed(closed.clone()));
    }
}
