//! The application's requests: sent when there is a connection and a place among those in flight, repeated where that
//! helps and harms nobody, and answered exactly once each.

use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::flights::Purpose;
use super::io::{Call, Repeat, Ticket};
use super::limits::{HEADS_MAX, IN_FLIGHT_RESERVED, RETRY_BASE, RETRY_CAP, SINCE_UNKNOWN};
use super::link::{Link, is_retry};
use super::outbox::{Attempts, Known, Pending, Since};
use super::timers::Timer;
use super::{Core, Name};
use crate::error::{Closed, Error};

impl Core {
    pub(super) fn submit(&mut self, ticket: Ticket, call: Call, timeout: Option<Duration>) {
        if let Err(error) = self.admissible(&call) {
            return self.complete(ticket, Err(error));
        }
        if let Call::Send(send) | Call::SendChosen(send) = &call {
            self.typed(&send.conversation);
        }
        let timeout = match call {
            Call::Send(_) | Call::SendChosen(_) => timeout,
            _ => Some(timeout.unwrap_or(self.settings.request_timeout)),
        };
        let deadline = timeout.map(|timeout| self.after(timeout));
        if let Some(at) = deadline {
            self.timers.set(Timer::Deadline(ticket), at);
        }
        self.outbox.admit(ticket, Pending::new(call, deadline));
    }

    fn admissible(&self, call: &Call) -> Result<(), Error> {
        if let Link::Closed(closed) = &self.link {
            return Err(Error::Closed(closed.clone()));
        }
        if self.closing {
            return Err(Error::Closed(Closed::Application));
        }
        let text = match call {
            Call::Send(send) | Call::SendChosen(send) => send.text.len(),
            Call::Edit(edit) => edit.text.len(),
            _ => 0,
        };
        if text > self.server.body_bytes_max {
            return Err(Error::TooLarge);
        }
        let full = self.outbox.len() >= self.settings.pending_max
            || self.outbox.bytes() + call.weight() > self.settings.pending_bytes_max;
        if full { Err(Error::TooManyPending) } else { Ok(()) }
    }

    /// So many requests may be in flight before a place is kept for the client's own.
    pub(super) fn calls_in_flight_max(&self) -> usize {
        self.server.in_flight_max.saturating_sub(IN_FLIGHT_RESERVED).max(1)
    }

    pub(super) fn pump_calls(&mut self) {
        while self.flights.len() < self.calls_in_flight_max() && self.outbox.has_ready() {
            let Some((ticket, pending)) = self.outbox.fly(self.next_id) else { return };
            if let Call::Send(send) | Call::SendChosen(send) = &mut pending.call
                && pending.since != Since::Application
                && !pending.tried
            {
                let timeline = self.timelines.get(&*send.conversation);
                let subscribed = timeline.and_then(|timeline| timeline.position.map(|seen| seen.max(timeline.head)));
                let known = self.known.get(&*send.conversation).copied();
                let first = known.map_or(0, |known| known.first);
                if let Some(known) = subscribed.map(|head| Known { head, first }).or(known) {
                    send.since = Some(pending.since.at(known));
                }
                if send.since.is_none() {
                    // Without it, a second attempt could not say how far back the first one may lie.
                    self.ask_for_head(ticket);
                    continue;
                }
            }
            pending.tried = true;
            let request = pending.call.request();
            self.request(request, Purpose::Call(ticket));
        }
    }

    /// Asks how far a send's conversation goes; until that is known, its sends wait.
    fn ask_for_head(&mut self, ticket: Ticket) {
        self.outbox.wait_again(ticket);
        let Some(lane) = self.outbox.get_mut(ticket).and_then(|pending| pending.lane().cloned()) else { return };
        self.outbox.pause(&lane);
        self.request(Request::Get(v1::Get { conversation: lane.to_string() }), Purpose::Head(lane));
    }

    pub(super) fn on_answer(&mut self, ticket: Ticket, id: u64, result: Option<reply::Result>) {
        match result {
            Some(reply::Result::Error(error)) => self.on_refusal(ticket, id, &error),
            Some(result) => {
                if let Some(pending) = self.settle(ticket, true) {
                    self.learn_head(&pending.call, &result);
                    self.complete(ticket, Ok(result));
                }
            }
            None => {
                if self.settle(ticket, false).is_some() {
                    self.complete(ticket, Err(Error::BadAnswer));
                }
            }
        }
    }

    fn on_refusal(&mut self, ticket: Ticket, id: u64, error: &v1::Error) {
        let Some(pending) = self.outbox.get_mut(ticket) else { return };
        let current = pending.flying == Some(id);
        if !is_retry(error) {
            if current {
                self.on_final_refusal(ticket, id, error);
            }
            return;
        }
        // These two say that nothing was done; the others leave it open.
        let done_nothing = [ErrorCode::RateLimited, ErrorCode::Overloaded].map(ErrorCode::number);
        let definite = done_nothing.contains(&error.number);
        if !definite {
            pending.attempts = Attempts::Doubt;
        }
        if !current {
            return;
        }
        let at_least = Duration::from_millis(error.retry_after_ms.unwrap_or_default());
        match (pending.lane().cloned(), pending.call.repeat()) {
            (Some(lane), _) => self.send_again_later(ticket, &lane, at_least),
            (None, Repeat::Counts) if !definite => {
                self.fail(ticket, self.rejected(id, error));
            }
            (None, _) => {
                let failures = pending.failures;
                pending.failures = failures.saturating_add(1);
                self.outbox.land(ticket);
                let pause = self.jitter.pause(RETRY_BASE, RETRY_CAP, failures);
                self.timers.set(Timer::Retry(ticket), self.after(at_least.saturating_add(pause)));
            }
        }
    }

    fn on_final_refusal(&mut self, ticket: Ticket, id: u64, error: &v1::Error) {
        let Some(pending) = self.outbox.get_mut(ticket) else { return };
        let expired = error.number == ErrorCode::IdExpired.number();
        if let (
            Call::Send(send) | Call::SendChosen(send),
            Attempts::NotDone,
            Since::Core | Since::CoreForChosen,
            true,
        ) = (&pending.call, pending.attempts, pending.since, expired)
        {
            // What this client knew was too old, but the message was never stored: it may go out with the present head.
            let lane = Name::from(&*send.conversation);
            self.outbox.hold(&lane);
            return self.ask_for_head(ticket);
        }
        // After an attempt in doubt, a refusal speaks of this attempt alone.
        if pending.attempts == Attempts::Doubt {
            self.fail(ticket, self.rejected(id, error));
        } else if self.settle(ticket, false).is_some() {
            self.complete(ticket, Err(self.rejected(id, error)));
        }
    }

    /// A refusal that is about this request alone.
    fn rejected(&self, id: u64, error: &v1::Error) -> Error {
        let mut rejected = Error::rejected(error);
        if let Error::Rejected { trace, .. } = &mut rejected {
            *trace = Some(format!("{}/{id}", self.session).into());
        }
        rejected
    }

    /// The head of a conversation whose sends wait for it: none was known, or the server refused an old `since`.
    pub(super) fn on_head_known(&mut self, name: &Name, result: Option<reply::Result>) {
        match result {
            Some(reply::Result::Detail(v1::Detail { conversation: Some(conversation) })) => {
                let known = Known { head: conversation.head, first: conversation.first_available };
                self.remember(name, known);
                if let Some(pending) = self.outbox.first_waiting(name).and_then(|ticket| self.outbox.get_mut(ticket))
                    && let Call::Send(send) | Call::SendChosen(send) = &mut pending.call
                    && pending.since != Since::Application
                    && pending.attempts == Attempts::NotDone
                {
                    send.since = Some(pending.since.at(known));
                }
                self.outbox.release(name);
            }
            Some(reply::Result::Error(error)) if !is_retry(&error) => {
                if let Some(ticket) = self.outbox.first_waiting(name) {
                    self.fail(ticket, Error::rejected(&error));
                }
                self.outbox.release(name);
            }
            _ => self.hold_lane(name, Duration::ZERO),
        }
    }

    /// An answer did not come in time, on a connection that lives.
    pub(super) fn on_late(&mut self, ticket: Ticket, id: u64) {
        let Some(pending) = self.outbox.get_mut(ticket).filter(|pending| pending.flying == Some(id)) else { return };
        pending.attempts = Attempts::Doubt;
        match (pending.lane().cloned(), pending.call.repeat()) {
            (Some(lane), _) => self.send_again_later(ticket, &lane, Duration::ZERO),
            (None, Repeat::Harmless) => self.outbox.wait_again(ticket),
            (None, Repeat::Counts) => {}
        }
    }

    /// The connection ended before the answer.
    pub(super) fn on_cut_off(&mut self, ticket: Ticket, id: u64) {
        let Some(pending) = self.outbox.get_mut(ticket).filter(|pending| pending.flying == Some(id)) else { return };
        pending.attempts = Attempts::Doubt;
        match pending.call.repeat() {
            Repeat::Harmless => self.outbox.wait_again(ticket),
            Repeat::Counts => self.fail(ticket, Error::TimedOut),
        }
    }

    /// The time that the application gave it is over.
    pub(super) fn give_up(&mut self, ticket: Ticket) {
        self.fail(ticket, Error::TimedOut);
    }

    /// Ends a request without a result: with `error` if it surely changed nothing, else with 'unknown'.
    pub(super) fn fail(&mut self, ticket: Ticket, error: Error) {
        let Some(pending) = self.settle(ticket, false) else { return };
        let doubt = pending.attempts == Attempts::Doubt || pending.flying.is_some();
        let error = match &pending.call {
            Call::Send(send) | Call::SendChosen(send) if doubt => {
                Error::Unknown { since: send.since.or(Some(SINCE_UNKNOWN)) }
            }
            call if doubt && call.changes() => Error::Unknown { since: None },
            _ => error,
        };
        self.complete(ticket, Err(error));
    }

    /// The driver could not send it at all.
    pub(super) fn on_unsendable(&mut self, id: u64) {
        let Some(flight) = self.flights.remove(id) else { return };
        match flight.purpose {
            Purpose::Call(ticket) => {
                self.outbox.land(ticket);
                self.fail(ticket, Error::TooLarge);
            }
            Purpose::Mark(name) => self.forget_mark(&name),
            Purpose::Hello => self.finish(Closed::Token("the token is larger than a frame".to_owned())),
            Purpose::Head(name) => {
                // No frame can name this conversation, so nothing can be sent there either.
                if let Some(ticket) = self.outbox.first_waiting(&name) {
                    self.fail(ticket, Error::TooLarge);
                }
                self.outbox.release(&name);
            }
            _ => {}
        }
    }

    fn send_again_later(&mut self, ticket: Ticket, lane: &Name, at_least: Duration) {
        self.outbox.wait_again(ticket);
        self.hold_lane(lane, at_least);
    }

    fn hold_lane(&mut self, lane: &Name, at_least: Duration) {
        let failures = self.outbox.hold(lane);
        let pause = self.jitter.pause(RETRY_BASE, RETRY_CAP, failures.saturating_sub(1));
        self.timers.set(Timer::Lane(lane.clone()), self.after(at_least.saturating_add(pause)));
    }

    fn settle(&mut self, ticket: Ticket, went_well: bool) -> Option<Pending> {
        let pending = self.outbox.settle(ticket, went_well)?;
        if pending.deadline.is_some() {
            self.timers.cancel(&Timer::Deadline(ticket));
        }
        if pending.failures > 0 {
            self.timers.cancel(&Timer::Retry(ticket));
        }
        Some(pending)
    }

    /// Keeps how far the conversation goes, for the `since` of later sends.
    fn learn_head(&mut self, call: &Call, result: &reply::Result) {
        if let (Call::Events(_), reply::Result::Resumed(resumed)) = (call, result) {
            for page in resumed.conversations.iter().filter(|page| page.error.is_none()) {
                self.reaches(&page.conversation, page.head);
            }
            return;
        }
        let (name, head, first) = match (call, result) {
            (_, reply::Result::Sent(v1::Sent { message: Some(message), .. })) => {
                (&message.conversation, message.seq, 0)
            }
            (_, reply::Result::Created(v1::Created { conversation: Some(conversation), .. }))
            | (_, reply::Result::Detail(v1::Detail { conversation: Some(conversation) })) => {
                (&conversation.id, conversation.head, conversation.first_available)
            }
            (_, reply::Result::Changed(changed)) => (&changed.conversation, changed.seq, 0),
            (Call::History(history), reply::Result::Page(page)) => {
                (&history.conversation, page.head, page.first_available)
            }
            _ => return,
        };
        if !self.timelines.contains_key(&**name) {
            self.remember(&Name::from(&**name), Known { head, first });
        }
    }

    pub(super) fn remember(&mut self, name: &Name, known: Known) {
        if let Some(before) = self.known.get_mut(name) {
            *before = Known { head: known.head.max(before.head), first: known.first.max(before.first) };
            return;
        }
        if self.known.len() >= HEADS_MAX {
            self.known.pop_first();
        }
        self.known.insert(name.clone(), known);
    }
}
