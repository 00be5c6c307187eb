//! Subscriptions: which conversations are wanted, asking for them on each connection, and for what is missing.
//!
//! One request for events is on its way at a time: a page may be large, and the next request can then ask for all that
//! is missing by then. What is needed is never remembered, but read off the timelines: not attached, or position < head.

use std::collections::BTreeSet;
use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::limits::INTEGER_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::flights::Purpose;
use super::io::{Effect, From, Ticket};
use super::limits::{RETRY_BASE, RETRY_CAP};
use super::link::{Link, is_retry};
use super::outbox::Known;
use super::timeline::{Attached, Fetch, Timeline};
use super::timers::Timer;
use super::{Core, Name};
use crate::error::{Closed, Error};
use crate::event::{Ended, Event};

impl Core {
    pub(super) fn subscribe(&mut self, ticket: Ticket, conversation: &str, from: From) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        let name = Name::from(conversation);
        self.unsubscribing.remove(&name);
        self.all.takes(&name);
        let untold = self.is_untold(conversation);
        self.forget_notices(conversation);
        let timeline = self.timelines.entry(name.clone()).or_insert_with(|| Timeline::new(None, self.next_id));
        match from {
            From::After(position) => {
                timeline.forget_held(&mut self.held_bytes);
                timeline.position = Some(position.min(INTEGER_MAX));
                timeline.attached = Attached::No;
            }
            From::Now if timeline.attached == Attached::Yes => {
                if untold {
                    // The application knows of no earlier beginning.
                    timeline.forget_held(&mut self.held_bytes);
                    timeline.position = Some(timeline.head);
                }
                let head = timeline.head;
                return self.confirm(ticket, conversation, head);
            }
            From::Now if untold => {
                // Nor has it been told anything yet; what is being read for it from before is passed over.
                timeline.forget_held(&mut self.held_bytes);
                timeline.position = None;
            }
            From::Now => {}
        }
        timeline.tickets.push(ticket);
        self.want(&name);
    }

    pub(super) fn unsubscribe(&mut self, ticket: Ticket, conversation: &str) {
        let name = Name::from(conversation);
        self.all.leaves(&name);
        self.forget_notices(conversation);
        if let Some(timeline) = self.drop_timeline(&name) {
            for waiting in timeline.tickets {
                self.complete(waiting, Err(Error::Unsubscribed));
            }
            if self.link.connection().is_some() {
                self.unsubscribing.insert(name);
            }
        }
        self.complete(ticket, Ok(reply::Result::Done(v1::Done {})));
    }

    /// The application has read events beside its subscription, and they go up to this number. The server takes that for a
    /// subscription.
    pub(super) fn reaches(&mut self, conversation: &str, head: u64) {
        let name = Name::from(conversation);
        match self.timelines.get_mut(&name) {
            Some(timeline) => {
                timeline.head = timeline.head.max(head);
                self.look_after(&name);
            }
            None => {
                self.unsubscribing.insert(name);
            }
        }
    }

    /// Queues a timeline for the next request for events, unless it is under way already.
    pub(super) fn want(&mut self, name: &Name) {
        if let Some(timeline) = self.timelines.get_mut(name)
            && timeline.fetch == Fetch::Idle
        {
            timeline.fetch = Fetch::Queued;
            self.wanting.push_back(name.clone());
        }
    }

    /// On a new connection, everything is asked for anew.
    pub(super) fn want_all(&mut self) {
        let names: Vec<Name> = self.timelines.keys().cloned().collect();
        for name in names {
            self.want(&name);
        }
    }

    /// Subscriptions that ended with a role which the new token does not have. They are asked for again: where the user is a
    /// member all the same they go on without a hole, else they end as one that is refused.
    pub(super) fn on_roles_lost(&mut self, ended: &[String]) {
        for conversation in ended {
            let name = Name::from(conversation.as_str());
            if let Some(timeline) = self.timelines.get_mut(&name) {
                timeline.attached = Attached::No;
                self.want(&name);
            }
        }
    }

    /// The connection is gone, and the server forgets with it who was subscribed.
    pub(super) fn detach_all(&mut self) {
        self.wanting.clear();
        self.unsubscribing.clear();
        for (name, timeline) in &mut self.timelines {
            timeline.attached = Attached::No;
            if std::mem::replace(&mut timeline.fetch, Fetch::Idle) == Fetch::Pausing {
                self.timers.cancel(&Timer::Subscription(name.clone()));
            }
        }
    }

    pub(super) fn pump_fetches(&mut self) {
        let under_way = |purpose: &Purpose| matches!(purpose, Purpose::Resume(_) | Purpose::Subscribe(_));
        if self.wanting.is_empty()
            || self.timers.is_set(&Timer::Fetch)
            || self.flights.len() >= self.server.in_flight_max
            || self.flights.any(under_way)
        {
            return;
        }
        let (positions, fresh) = self.next_batch();
        if !positions.is_empty() {
            let asked = positions.iter().map(|(name, seq)| v1::Position { conversation: name.to_string(), seq: *seq });
            let resume = v1::Resume { positions: asked.collect() };
            self.request(Request::Resume(resume), Purpose::Resume(positions));
        } else if !fresh.is_empty() {
            let subscribe =
                v1::Subscribe { conversations: fresh.iter().map(|name| name.to_string()).collect(), all: false };
            self.request(Request::Subscribe(subscribe), Purpose::Subscribe(fresh));
        }
    }

    /// The next timelines to ask for: some that have a position, or some that have none.
    fn next_batch(&mut self) -> (Vec<(Name, u64)>, Vec<Name>) {
        let (mut positions, mut fresh, mut content) = (Vec::new(), Vec::new(), Vec::new());
        let has_room = self.room > 0;
        while positions.len().max(fresh.len()) < self.server.positions_max {
            let Some(name) = self.wanting.front() else { break };
            let Some(timeline) = self.timelines.get_mut(name).filter(|timeline| timeline.fetch == Fetch::Queued) else {
                self.wanting.pop_front();
                continue;
            };
            let begun = !positions.is_empty() || !fresh.is_empty();
            if !timeline.lacks(has_room) {
                timeline.fetch = Fetch::Idle;
                content.extend(self.wanting.pop_front());
                continue;
            }
            if begun && (timeline.alone || timeline.position.is_some() == positions.is_empty()) {
                break;
            }
            timeline.fetch = Fetch::Flying;
            let alone = timeline.alone;
            match timeline.position {
                Some(position) => positions.push((name.clone(), position)),
                None => fresh.push(name.clone()),
            }
            self.wanting.pop_front();
            if alone {
                break;
            }
        }
        for name in content {
            self.look_after(&name);
        }
        (positions, fresh)
    }

    pub(super) fn pump_unsubscribes(&mut self) {
        if self.unsubscribing.is_empty()
            || self.timers.is_set(&Timer::Unsubscribe)
            || self.flights.len() >= self.server.in_flight_max
        {
            return;
        }
        let all = std::mem::take(&mut self.unsubscribing);
        let mut rest = all.into_iter();
        let names: Vec<Name> = rest.by_ref().take(self.server.positions_max).collect();
        self.unsubscribing = rest.collect::<BTreeSet<_>>();
        let conversations = names.iter().map(|name| name.to_string()).collect();
        self.request(Request::Unsubscribe(v1::Unsubscribe { conversations }), Purpose::Unsubscribe(names));
    }

    /// The server has answered; if it did not do it now, it would go on sending what nobody wants.
    pub(super) fn on_unsubscribed(&mut self, names: Vec<Name>, result: Option<reply::Result>) {
        let Some(reply::Result::Error(error)) = result else { return };
        if !is_retry(&error) {
            return;
        }
        let unwanted = names.into_iter().filter(|name| !self.timelines.contains_key(name));
        self.unsubscribing.extend(unwanted);
        let at_least = Duration::from_millis(error.retry_after_ms.unwrap_or_default());
        let pause = self.jitter.between(Duration::ZERO, RETRY_BASE);
        self.timers.set(Timer::Unsubscribe, self.after(at_least.saturating_add(RETRY_BASE).saturating_add(pause)));
    }

    /// Of what a request asked for, what it was asked for still: a conversation that was unsubscribed meanwhile and then
    /// subscribed anew is another subscription, of which the answer says nothing.
    pub(super) fn still_for<T>(&self, id: u64, mut asked: Vec<T>, name: impl Fn(&T) -> &Name) -> Vec<T> {
        asked.retain(|one| self.timelines.get(name(one)).is_some_and(|timeline| timeline.first_request <= id));
        asked
    }

    pub(super) fn on_resumed(&mut self, asked: Vec<(Name, u64)>, result: Option<reply::Result>) {
        let error = match result {
            Some(reply::Result::Resumed(resumed)) => {
                self.fetch_failures = 0;
                self.take_pages(&asked, resumed);
                return;
            }
            Some(reply::Result::Error(error)) => Some(error),
            _ => None,
        };
        self.fetch_failed(asked.into_iter().map(|(name, _)| name).collect(), error.as_ref());
    }

    fn take_pages(&mut self, asked: &[(Name, u64)], resumed: v1::Resumed) {
        // Whoever got events asks again behind those that got none, as one reply has a limit over all conversations.
        let (mut served, mut hungry) = (Vec::new(), Vec::new());
        let barren = resumed.conversations.iter().all(|page| page.events.is_empty());
        for page in resumed.conversations {
            let Some((name, position)) = asked.iter().find(|(name, _)| **name == *page.conversation) else { continue };
            if page.events.is_empty() {
                hungry.push(name.clone());
            } else {
                served.push(name.clone());
            }
            self.take_page(name, *position, page, barren);
        }
        for name in hungry.iter().chain(&served) {
            self.look_after(name);
        }
        for (name, _) in asked {
            // One that the reply left out.
            if self.timelines.get(name).is_some_and(|timeline| timeline.fetch == Fetch::Flying) {
                self.pause_fetch(name, None);
            }
        }
    }

    fn take_page(&mut self, name: &Name, asked: u64, page: v1::ResumedConversation, barren: bool) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        let before = timeline.position;
        if let Some(error) = &page.error {
            return self.on_subscription_refused(name, error);
        }
        timeline.fetch = Fetch::Idle;
        if page.head < asked && before == Some(asked) {
            let error = Error::AheadOfServer { position: asked, head: page.head };
            self.unsubscribing.insert(name.clone());
            return self.end_subscription(name, Ended::Refused(error));
        }
        timeline.attached = Attached::Yes;
        timeline.alone = false;
        timeline.head = timeline.head.max(page.head);
        let from_now = before.is_none();
        if from_now {
            timeline.position = Some(page.head);
            timeline.failures = 0;
        }
        self.confirm_all(name, page.head);
        if page.first_available > 1 {
            self.remember(name, Known { head: page.head, first: page.first_available });
        }
        if from_now {
            return self.drain(name);
        }
        self.on_gap(name, page.first_available);
        for event in page.events {
            self.on_numbered(name, event);
        }
        self.drain(name);
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        if barren && timeline.position == before && timeline.lacks(self.room > 0) {
            // The whole reply brought nothing although something is missing: not again at once.
            self.pause_fetch(name, None);
        } else {
            timeline.failures = 0;
        }
    }

    pub(super) fn on_subscribed(&mut self, names: Vec<Name>, result: Option<reply::Result>) {
        let error = match result {
            Some(reply::Result::Subscribed(subscribed)) => {
                self.fetch_failures = 0;
                for one in subscribed.subscribed {
                    if let Some(name) = names.iter().find(|name| ***name == *one.conversation) {
                        self.take_subscribed(name, &one);
                        self.look_after(name);
                    }
                }
                for name in &names {
                    if self.timelines.get(name).is_some_and(|timeline| timeline.fetch == Fetch::Flying) {
                        self.pause_fetch(name, None);
                    }
                }
                return;
            }
            Some(reply::Result::Error(error)) => Some(error),
            _ => None,
        };
        self.fetch_failed(names, error.as_ref());
    }

    fn take_subscribed(&mut self, name: &Name, one: &v1::SubscribedTo) {
        if let Some(error) = &one.error {
            return self.on_subscription_refused(name, error);
        }
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        timeline.fetch = Fetch::Idle;
        timeline.failures = 0;
        timeline.alone = false;
        if timeline.position.is_none() {
            timeline.position = Some(one.head);
            timeline.head = timeline.head.max(one.head);
            timeline.attached = Attached::Yes;
            self.confirm_all(name, one.head);
            self.drain(name);
        }
    }

    /// A whole request for events had no useful answer.
    pub(super) fn fetch_failed(&mut self, names: Vec<Name>, error: Option<&v1::Error>) {
        let flying: Vec<Name> = names
            .into_iter()
            .filter(|name| self.timelines.get(name).is_some_and(|timeline| timeline.fetch == Fetch::Flying))
            .collect();
        let fatal = error.filter(|error| {
            !is_retry(error)
                && error.number != ErrorCode::AuthInvalid.number()
                && !matches!(self.link, Link::Greeting { .. })
        });
        if let (Some(error), [only]) = (fatal, &*flying) {
            let only = only.clone();
            return self.on_subscription_refused(&only, error);
        }
        for name in &flying {
            if let Some(timeline) = self.timelines.get_mut(name) {
                timeline.fetch = Fetch::Idle;
                // The server says not which of them it could not take, so each is asked for by itself.
                timeline.alone = fatal.is_some();
            }
            self.want(name);
        }
        if fatal.is_none() {
            let at_least = error.and_then(|error| error.retry_after_ms).unwrap_or_default();
            let pause = self.jitter.pause(RETRY_BASE, RETRY_CAP, self.fetch_failures);
            self.fetch_failures = self.fetch_failures.saturating_add(1);
            self.timers.set(Timer::Fetch, self.after(Duration::from_millis(at_least).saturating_add(pause)));
        }
    }

    fn on_subscription_refused(&mut self, name: &Name, error: &v1::Error) {
        if is_retry(error) || error.number == ErrorCode::AuthInvalid.number() {
            self.pause_fetch(name, error.retry_after_ms);
        } else {
            self.end_subscription(name, Ended::Refused(Error::rejected(error)));
        }
    }

    fn pause_fetch(&mut self, name: &Name, at_least_ms: Option<u64>) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        timeline.fetch = Fetch::Pausing;
        let pause = self.jitter.pause(RETRY_BASE, RETRY_CAP, timeline.failures);
        timeline.failures = timeline.failures.saturating_add(1);
        let at_least = Duration::from_millis(at_least_ms.unwrap_or_default());
        self.timers.set(Timer::Subscription(name.clone()), self.after(at_least.saturating_add(pause)));
    }

    pub(super) fn fetch_again(&mut self, name: &Name) {
        if let Some(timeline) = self.timelines.get_mut(name)
            && timeline.fetch == Fetch::Pausing
        {
            timeline.fetch = Fetch::Idle;
            self.want(name);
        }
    }

    fn confirm_all(&mut self, name: &Name, head: u64) {
        let Some(timeline) = self.timelines.get_mut(name) else { return };
        for ticket in std::mem::take(&mut timeline.tickets) {
            self.confirm(ticket, name, head);
        }
    }

    fn confirm(&mut self, ticket: Ticket, conversation: &str, head: u64) {
        let one = v1::SubscribedTo { conversation: conversation.to_owned(), head, error: None };
        self.complete(ticket, Ok(reply::Result::Subscribed(v1::Subscribed { subscribed: vec![one], all: None })));
    }

    /// No more events from there: whoever waits for the confirmation is told, else the reader of the events.
    pub(super) fn end_subscription(&mut self, name: &Name, reason: Ended) {
        let Some(timeline) = self.drop_timeline(name) else { return };
        if let (Ended::Refused(error), false) = (&reason, timeline.tickets.is_empty()) {
            for ticket in timeline.tickets {
                self.complete(ticket, Err(error.clone()));
            }
            self.begins_nothing(name);
            return;
        }
        for ticket in timeline.tickets {
            self.complete(ticket, Err(Error::Unsubscribed));
        }
        let event = Event::Ended { conversation: name.to_string(), reason };
        if self.room > 0 && self.notices.is_empty() {
            self.room -= 1;
            self.effects.push(Effect::Deliver(event));
        } else {
            self.notices.push_back(event);
        }
    }

    /// The end of an earlier subscription that the application was not told yet: told now, it would seem to be the end of
    /// the next one.
    fn forget_notices(&mut self, conversation: &str) {
        self.notices.retain(|notice| notice.conversation() != conversation);
    }

    /// What was to be told of a conversation that came is told without the number from which it is read: it has ended by now, and
    /// whoever wanted it knows.
    fn begins_nothing(&mut self, name: &Name) {
        for notice in &mut self.notices {
            match notice {
                Event::Listed { conversation, head, .. } if **conversation == **name => *head = None,
                _ => {}
            }
        }
    }

    fn drop_timeline(&mut self, name: &Name) -> Option<Timeline> {
        let mut timeline = self.timelines.remove(name)?;
        self.showing.forget(name);
        self.marking.forget(name);
        if timeline.position.is_some() {
            self.remember(name, Known { head: timeline.head, first: 0 });
        }
        timeline.forget_held(&mut self.held_bytes);
        self.timers.cancel(&Timer::Subscription(name.clone()));
        self.wanting.retain(|wanted| wanted != name);
        self.stalled.retain(|stalled| stalled != name);
        self.end_watches_through(name);
        Some(timeline)
    }

    pub(super) fn end_all_subscriptions(&mut self, closed: &Closed) {
        self.wanting.clear();
        self.stalled.clear();
        self.notices.clear();
        self.held_bytes = 0;
        for (_, timeline) in std::mem::take(&mut self.timelines) {
            for ticket in timeline.tickets {
                self.complete(ticket, Err(Error::Closed(closed.clone())));
            }
        }
    }
}
