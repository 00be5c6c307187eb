//! Who types: which conversations are shown, said again on each connection, and that this user types, said no more often
//! than it helps. What the application has no room for waits here, the newest of each conversation.

use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame;
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::flights::Purpose;
use super::io::{Effect, Ticket};
use super::limits::{RETRY_BASE, TYPING_LASTS, TYPING_REPEAT};
use super::link::{Link, is_retry};
use super::timeline::Attached;
use super::timers::Timer;
use super::{Core, Name};
use crate::error::{Closed, Error};
use crate::event::Event;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Showing {
    /// What the application shows.
    names: Vec<Name>,
    /// Which of it was said on this connection; nothing yet if nothing was.
    said: Option<Vec<Name>>,
    /// The application has said it anew.
    wanted: bool,
    /// Who waits for the answer.
    tickets: Vec<Ticket>,
    /// When it was said last that this user types, by conversation.
    typing: BTreeMap<Name, Duration>,
    /// What the application had no room for.
    held: BTreeMap<Name, v1::Typers>,
}

impl Showing {
    /// Whether something waits for room.
    pub(super) fn is_stalled(&self) -> bool {
        !self.held.is_empty()
    }

    /// The conversation is not read any more.
    pub(super) fn forget(&mut self, name: &Name) {
        self.held.remove(name);
        self.typing.remove(name);
    }
}

impl Core {
    pub(super) fn show(&mut self, ticket: Ticket, conversations: &[String]) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        self.showing.names = conversations.iter().map(|conversation| Name::from(&**conversation)).collect();
        let names = &self.showing.names;
        self.showing.held.retain(|name, _| names.contains(name));
        self.showing.tickets.push(ticket);
        self.showing.wanted = true;
    }

    /// Says what is shown, as far as it is subscribed on this connection: the server takes no more.
    pub(super) fn pump_showing(&mut self) {
        let Showing { names, said, wanted, .. } = &self.showing;
        if (names.is_empty() && said.as_ref().is_none_or(Vec::is_empty) && !wanted)
            || self.timers.is_set(&Timer::Show)
            || self.flights.len() >= self.server.in_flight_max
            || self.flights.any(|purpose| matches!(purpose, Purpose::Show))
        {
            return;
        }
        let attached = |name: &&Name| self.timelines.get(*name).is_some_and(|it| it.attached == Attached::Yes);
        let now: Vec<Name> = names.iter().filter(attached).cloned().collect();
        let unchanged = match said {
            Some(said) => *said == now,
            None => now.is_empty(),
        };
        // An answer that came too early left them waiting for a subscription, which has been decided since.
        let owed = !self.showing.tickets.is_empty() && !self.is_one_awaited();
        if unchanged && !wanted && !owed {
            return;
        }
        let conversations = now.iter().map(|name| name.to_string()).collect();
        self.showing.said = Some(now);
        self.showing.wanted = false;
        self.request(Request::Open(v1::Open { conversations }), Purpose::Show);
    }

    pub(super) fn on_shown(&mut self, result: Option<reply::Result>) {
        match result {
            Some(reply::Result::Opened(opened)) => self.take_shown(opened.opened),
            Some(reply::Result::Error(error)) if !is_retry(&error) => {
                // The server has what was said before; that is not what is shown now.
                self.showing.names.clear();
                self.showing.wanted = true;
                for ticket in std::mem::take(&mut self.showing.tickets) {
                    self.complete(ticket, Err(Error::rejected(&error)));
                }
            }
            Some(reply::Result::Error(error)) => self.show_later(error.retry_after_ms),
            _ => self.show_later(None),
        }
    }

    /// Whether something is shown that is on its way to being subscribed.
    fn is_one_awaited(&self) -> bool {
        let is_awaited = |name: &Name| self.timelines.get(name).is_some_and(|it| it.attached != Attached::Yes);
        self.showing.names.iter().any(is_awaited)
    }

    /// It was not done, or nobody knows.
    pub(super) fn show_later(&mut self, at_least_ms: Option<u64>) {
        self.showing.wanted = true;
        let pause = self.jitter.between(RETRY_BASE, RETRY_BASE * 2);
        let at_least = Duration::from_millis(at_least_ms.unwrap_or_default());
        self.timers.set(Timer::Show, self.after(at_least.saturating_add(pause)));
    }

    fn take_shown(&mut self, mut opened: Vec<v1::OpenedConversation>) {
        if self.showing.wanted {
            // It was said anew meanwhile: that answer is the one to wait for.
            return;
        }
        if self.showing.tickets.is_empty() {
            let refused = opened.iter().filter_map(|one| one.error.as_ref());
            let retry = refused.filter(|error| is_retry(error)).map(|error| error.retry_after_ms).max();
            for one in opened {
                // Of one that was refused nobody is told any more who types.
                let name = Name::from(&*one.conversation);
                self.tell_typers(&name, v1::Typers { users: one.users, more: one.more });
            }
            if let Some(at_least_ms) = retry {
                self.show_later(at_least_ms);
            }
            return;
        }
        if self.is_one_awaited() {
            // Once that is subscribed or refused, all is said again.
            return;
        }
        let unread = |conversation: String| {
            let error = Some(frame::error(ErrorCode::NotFound, "not subscribed", None));
            v1::OpenedConversation { conversation, error, ..Default::default() }
        };
        // Nobody would be told that who types there stops, in one that was given up while the answer was on its way.
        for one in &mut opened {
            if !self.timelines.contains_key(&*one.conversation) {
                *one = unread(std::mem::take(&mut one.conversation));
            }
        }
        for name in &self.showing.names {
            if opened.iter().all(|one| *one.conversation != **name) {
                opened.push(unread(name.to_string()));
            }
        }
        for one in &opened {
            self.showing.held.remove(&*one.conversation);
        }
        for ticket in std::mem::take(&mut self.showing.tickets) {
            self.complete(ticket, Ok(reply::Result::Opened(v1::Opened { opened: opened.clone() })));
        }
    }

    /// The connection is gone, and the server forgets with it what was shown and who typed.
    pub(super) fn forget_showing(&mut self) {
        self.showing.said = None;
        self.showing.wanted |= !self.showing.tickets.is_empty();
        self.showing.typing.clear();
        self.timers.cancel(&Timer::Show);
    }

    pub(super) fn end_showing(&mut self, closed: &Closed) {
        for ticket in std::mem::take(&mut self.showing).tickets {
            self.complete(ticket, Err(Error::Closed(closed.clone())));
        }
    }

    /// Who types in a conversation now.
    pub(super) fn tell_typers(&mut self, name: &Name, typers: v1::Typers) {
        if !self.showing.names.contains(name) || !self.timelines.contains_key(name) {
            return;
        }
        if self.room == 0 {
            self.showing.held.insert(name.clone(), typers);
            return;
        }
        self.room -= 1;
        let v1::Typers { users, more } = typers;
        self.effects.push(Effect::Deliver(Event::Typing { conversation: name.to_string(), users, more }));
    }

    /// The application has room for what waited.
    pub(super) fn tell_held_typers(&mut self) {
        while self.room > 0 {
            let Some((name, typers)) = self.showing.held.pop_first() else { return };
            self.tell_typers(&name, typers);
        }
    }

    /// The user types, or has stopped. Only the present counts: without a connection, nobody is told later.
    pub(super) fn typing(&mut self, ticket: Ticket, conversation: String, on: bool) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        self.complete(ticket, Ok(reply::Result::Done(v1::Done {})));
        let live = matches!(self.link, Link::Live { moving: false, .. });
        let attached = self.timelines.get(&*conversation).is_some_and(|it| it.attached == Attached::Yes);
        if !live || !attached || self.flights.len() >= self.calls_in_flight_max() {
            return;
        }
        let now = self.now;
        self.showing.typing.retain(|_, said| said.saturating_add(TYPING_LASTS) > now);
        let said = self.showing.typing.get(&*conversation).copied();
        let again = said.is_none_or(|said| said.saturating_add(TYPING_REPEAT) <= now);
        match (on, said) {
            (true, _) if again => {
                self.showing.typing.insert(Name::from(&*conversation), now);
            }
            (false, Some(_)) => {
                self.showing.typing.remove(&*conversation);
            }
            _ => return,
        }
        self.request(Request::Typing(v1::Typing { conversation, on }), Purpose::Typing);
    }

    /// A message ends the typing of its sender, for the server too.
    pub(super) fn typed(&mut self, conversation: &str) {
        self.showing.typing.remove(conversation);
    }
}
