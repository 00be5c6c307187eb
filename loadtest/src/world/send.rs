//! Messages out: when the next one is due, which publisher sends it, what became of it.

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1;

use crate::frame::{MessageRef, send};
use crate::letter::MessageKey;
use crate::net::Net;
use crate::oracle::{Fault, Imprint, Place};
use crate::outbox::Outcome;

use super::{Flow, Kind, REFUSED_MAX, State, Timer, World, count_refusal};

const MS: u64 = 1_000_000;

/// The wait before a message whose outcome is unknown is sent again, unless the server names one.
pub(super) const UNKNOWN_AGAIN: u64 = 100 * MS;

/// The wait before the next message after a refusal, unless the server names one.
pub(super) const REFUSED_AGAIN: u64 = 10 * MS;

/// The request id of a sender's message.
fn request_id(count: u64) -> u64 {
    count * 2 + 1
}

impl World {
    /// Messages from now on: with a window, as many as it has; else the caller says when.
    pub fn start_sending(&mut self, net: &mut Net, now: u64) {
        self.sending = true;
        let window = match self.plan.flow {
            Flow::Acks(window) | Flow::Deliveries(window) => window,
            Flow::Timed => 0,
        };
        // Conversation by conversation would let the first ones run ahead by the time that all this takes.
        let window = match self.plan.shape.kind {
            Kind::Pair => window * self.plan.shape.publishers,
            Kind::Room => window,
        };
        for _ in 0..window {
            for conversation in 0..self.conversations.len() {
                self.launch(conversation, now, net);
            }
        }
    }

    /// The next message of the run, in the conversation whose turn it is.
    pub fn launch_next(&mut self, due: u64, net: &mut Net) {
        let conversation = self.next_conversation;
        self.next_conversation = (conversation + 1) % self.conversations.len();
        self.launch(conversation, due, net);
    }

    /// One message by every publisher.
    pub fn launch_one_each(&mut self, now: u64, net: &mut Net) {
        for conversation in 0..self.conversations.len() {
            for _ in 0..self.conversations[conversation].publishers {
                self.launch(conversation, now, net);
            }
        }
    }

    /// A message that is due, by the conversation's next publisher.
    pub(super) fn launch(&mut self, conversation: usize, due: u64, net: &mut Net) {
        let conversation = &mut self.conversations[conversation];
        let slot = conversation.members.start + conversation.next_publisher;
        conversation.next_publisher = (conversation.next_publisher + 1) % conversation.publishers.max(1);
        self.launch_by(slot, due, net);
    }

    /// A message that is due, by this publisher.
    fn launch_by(&mut self, slot: usize, due: u64, net: &mut Net) {
        if self.launched >= self.quota || (self.mixing.is_some() && self.launch_change(slot, due, net)) {
            return;
        }
        self.launched += 1;
        let readers = self.conversations[self.sessions[slot].conversation].readers;
        let session = &mut self.sessions[slot];
        let Some(outbox) = session.outbox.as_mut() else { return };
        outbox.push(due, readers);
        self.meter.tally.open += 1;
        self.meter.tally.undelivered += u64::from(readers);
        if session.state == State::Joined {
            self.pump(slot, net);
        }
    }

    /// Sends what waits, as far as the server takes it.
    pub(super) fn pump(&mut self, slot: usize, net: &mut Net) {
        let session = &mut self.sessions[slot];
        let Some(outbox) = session.outbox.as_mut() else { return };
        if session.state != State::Joined {
            return;
        }
        let conversation = &self.conversations[session.conversation];
        let changes = session.part.as_ref().map_or(0, |part| part.flying);
        while outbox.flying + changes < session.in_flight_max {
            let Some((count, flight)) = outbox.next_waiting() else { break };
            if flight.sent {
                flight.again = true;
                self.meter.tally.retries += 1;
            } else {
                flight.sent = true;
                flight.since = conversation.ledger.acked_head();
                self.meter.tally.sent += 1;
            }
            flight.outcome = Outcome::Flying;
            let since = flight.since;
            outbox.flying += 1;
            let key = MessageKey::new(slot as u32, count);
            let (form, id) = (self.plan.form, request_id(count));
            net.send(slot, send::encode(form, id, &conversation.id, key, since, &self.bodies));
        }
    }

    /// A held message's pause is over.
    pub(super) fn release(&mut self, slot: usize, count: u64, net: &mut Net) {
        if let Some(outbox) = self.sessions[slot].outbox.as_mut() {
            outbox.release(count);
            self.pump(slot, net);
        }
    }

    /// A send was answered with the message as it is stored.
    pub(super) fn on_sent(
        &mut self,
        slot: usize,
        id: u64,
        duplicate: bool,
        message: &MessageRef<'_>,
        net: &mut Net,
        now: u64,
    ) {
        let count = id / 2;
        let conversation = self.sessions[slot].conversation;
        let (key, flaw) = self.identify(conversation, message);
        let Some(outbox) = self.sessions[slot].outbox.as_mut() else { return self.on_unasked(slot, id) };
        let Some(flight) = outbox.get_mut(count).filter(|flight| flight.outcome == Outcome::Flying) else {
            return self.on_unasked(slot, id);
        };
        flight.outcome = Outcome::Acked;
        let (due, since, over) = (flight.intended, flight.since, flight.remaining == 0);
        let wrong = u64::from(duplicate && !flight.again);
        self.verdict
            .add(Fault::Altered, wrong, || format!("send {id} of user {slot} was the first, and is a duplicate"));
        outbox.flying -= 1;
        outbox.trim();
        self.meter.tally.open -= 1;
        self.meter.acked(due, now);
        if let Some(back) = self.sessions[slot].back_since.take() {
            self.meter.back_ack.record(now.saturating_sub(back.max(due)));
        }

        match (flaw, key) {
            (Some(flaw), _) => self.blame(flaw, slot, message.seq, message),
            (None, Some(key)) => self.note_ack(slot, count, key, since, message),
            (None, None) => {}
        }

        match self.plan.flow {
            Flow::Acks(_) => self.launch_after(slot, now, net),
            Flow::Deliveries(_) if over => self.launch_after(slot, now, net),
            Flow::Deliveries(_) | Flow::Timed => {}
        }
        self.pump(slot, net);
    }

    /// What an ack that is sound by itself says, against what was sent and heard before.
    fn note_ack(&mut self, slot: usize, count: u64, key: MessageKey, since: u64, message: &MessageRef<'_>) {
        let own = MessageKey::new(slot as u32, count);
        if key != own {
            self.verdict.add(Fault::Altered, 1, || format!("user {slot} sent {own:?} and was answered with {key:?}"));
        } else if message.seq <= since {
            self.verdict.add(Fault::OutOfOrder, 1, || {
                format!("user {slot} got number {} for a message sent after {since} was acknowledged", message.seq)
            });
        }
        let place = Place { seq: message.seq, ordinal: message.ordinal };
        let conversation = self.sessions[slot].conversation;
        let conversation = &mut self.conversations[conversation];
        conversation.ledger.acked(place, Imprint::new(key, message.time_ms), &mut self.verdict);
        if let (Some(story), Some(part)) = (conversation.story.as_mut(), self.sessions[slot].part.as_mut()) {
            story.offer(key, message.seq);
            part.own_acked = part.own_acked.max(message.seq);
        }
    }

    /// One of this sender's is finished, and another one follows in its window.
    pub(super) fn launch_after(&mut self, slot: usize, now: u64, net: &mut Net) {
        if !self.sending {
            return;
        }
        match self.plan.shape.kind {
            Kind::Pair => self.launch_by(slot, now, net),
            Kind::Room => self.launch(self.sessions[slot].conversation, now, net),
        }
    }

    /// A send was answered with neither a message nor an error: what became of it stays open.
    pub(super) fn on_send_mistaken(&mut self, slot: usize, id: u64) {
        let outbox = self.sessions[slot].outbox.as_mut();
        let waits =
            outbox.and_then(|outbox| outbox.get_mut(id / 2)).is_some_and(|flight| flight.outcome == Outcome::Flying);
        if !waits {
            return self.on_unasked(slot, id);
        }
        self.verdict.add(Fault::Altered, 1, || format!("user {slot} got an answer to send {id} without a message"));
    }

    pub(super) fn on_unasked(&mut self, slot: usize, id: u64) {
        self.verdict.add(Fault::Duplicate, 1, || format!("user {slot} got an answer to {id}, which waits for none"));
    }

    /// A send was answered with an error.
    pub(super) fn on_send_refused(&mut self, slot: usize, id: u64, error: &v1::Error, net: &mut Net, now: u64) {
        let count = id / 2;
        let code = ErrorCode::from_number(error.number);
        let Some(outbox) = self.sessions[slot].outbox.as_mut() else { return self.on_unasked(slot, id) };
        let Some(flight) = outbox.get_mut(count).filter(|flight| flight.outcome == Outcome::Flying) else {
            return self.on_unasked(slot, id);
        };
        let unknown = matches!(code, Some(ErrorCode::UnknownOutcome | ErrorCode::Internal) | None);
        let again = code.is_none_or(ErrorCode::retry);
        flight.unsure |= unknown;
        // A definite refusal of a message that may have been stored before says nothing of that.
        let held = flight.unsure && again;
        flight.outcome = if held { Outcome::Held } else { Outcome::Refused };
        let (unsure, readers) = (flight.unsure, flight.remaining);
        flight.remaining = if held { readers } else { 0 };
        outbox.flying -= 1;
        outbox.trim();
        count_refusal(&mut self.refusals, error);
        if held {
            let wait = error.retry_after_ms.map_or(UNKNOWN_AGAIN, |ms| ms.max(1) * MS);
            self.at(now + wait, slot, Timer::Release(count));
        } else {
            self.meter.tally.refused += 1;
            // Another one may take its place in the quota.
            self.launched = self.launched.saturating_sub(1);
            self.meter.tally.open -= 1;
            self.meter.tally.undelivered -= u64::from(readers);
            if !unsure && self.refused.len() < REFUSED_MAX {
                self.refused.push(MessageKey::new(slot as u32, count));
            }
            let wait = error.retry_after_ms.map_or(REFUSED_AGAIN, |ms| ms.max(1) * MS);
            self.at(now + wait, slot, Timer::Launch);
        }
        self.pump(slot, net);
    }
}
