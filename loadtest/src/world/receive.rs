//! Messages in: each delivery against what was sent, each reader's numbers without a hole.

use bytes::Bytes;
use switchyard_protocol::frame::Form;
use switchyard_protocol::json::ReplyKind;
use switchyard_protocol::v1::{self, client_frame::Request, event, reply};

use crate::frame::{self, Decoded, Incoming, MessageRef, hot};
use crate::letter::MessageKey;
use crate::net::Net;
use crate::oracle::{Event, Fault, Imprint, Paged, Place, Seen, Step};

use super::mixed::is_change;
use super::session::Control;
use super::{Flow, State, Timer, World, jitter};

const MS: u64 = 1_000_000;

/// Frames of a room that are remembered: more than are under way at once, so that the thousandth reader of a message
/// need only see that its bytes are those that the first one got.
const MEMO_LEN: usize = 64;

/// Conversations of fewer readers gain nothing from being remembered.
const MEMO_READERS_MIN: u32 = 8;

/// The newest message events of one conversation, as they came and were checked.
#[derive(Debug, Default)]
pub(super) struct Memo(Vec<(Bytes, u64, MessageKey)>);

impl Memo {
    fn find(&self, seq: u64, frame: &[u8]) -> Option<MessageKey> {
        let (bytes, known, key) = self.0.get((seq % MEMO_LEN as u64) as usize)?;
        (*known == seq && &**bytes == frame).then_some(*key)
    }

    fn keep(&mut self, seq: u64, frame: &[u8], key: MessageKey) {
        if self.0.is_empty() {
            self.0.resize(MEMO_LEN, (Bytes::new(), 0, key));
        }
        if let Some(place) = self.0.get_mut((seq % MEMO_LEN as u64) as usize) {
            *place = (Bytes::copy_from_slice(frame), seq, key);
        }
    }
}

impl World {
    /// A frame came.
    pub fn on_frame(&mut self, slot: usize, bytes: &[u8], net: &mut Net, now: u64) {
        let form = self.plan.form;
        if form == Form::Proto {
            if self.is_known_delivery(slot, bytes, net, now) {
                return;
            }
            if let Some(incoming) = hot::read(bytes) {
                return self.on_incoming(slot, incoming, Some(bytes), net, now);
            }
        }
        let session = &self.sessions[slot];
        let asked = session.control.map(|control| match control {
            Control::Hello => ReplyKind::Welcome,
            Control::Create => ReplyKind::Created,
            Control::Add(_) => ReplyKind::Changed,
            Control::Subscribe => ReplyKind::Subscribed,
            Control::Resume => ReplyKind::Resumed,
            Control::History | Control::Page => ReplyKind::Page,
            Control::Renew => ReplyKind::Renewed,
            Control::Mark(_) => ReplyKind::Marked,
            Control::Unread => ReplyKind::Unread,
            Control::List => ReplyKind::Listed,
        });
        let decoded = Decoded::read(form, bytes, |id| match id {
            id if id % 2 == 1 => Some(ReplyKind::Sent),
            id if is_change(id) => Some(ReplyKind::Changed),
            _ => asked,
        });
        match decoded {
            Ok(decoded) => {
                if let Some(incoming) = decoded.incoming() {
                    self.on_incoming(slot, incoming, None, net, now);
                }
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn on_incoming(&mut self, slot: usize, incoming: Incoming<'_>, raw: Option<&[u8]>, net: &mut Net, now: u64) {
        match incoming {
            Incoming::Sent { id, duplicate, message } => self.on_sent(slot, id, duplicate, &message, net, now),
            Incoming::Message { conversation, seq, message } => {
                self.on_message(slot, conversation, seq, &message, raw, net, now);
            }
            Incoming::Reply(id, reply::Result::Error(error)) if id % 2 == 1 => {
                self.on_send_refused(slot, id, error, net, now);
            }
            Incoming::Reply(id, _) if id % 2 == 1 => self.on_send_mistaken(slot, id),
            Incoming::Reply(id, result) if is_change(id) => self.on_change(slot, id, result, net, now),
            Incoming::Reply(id, result) if id == self.sessions[slot].control_id => {
                self.on_control(slot, result, net, now);
            }
            Incoming::Reply(id, _) => {
                self.verdict
                    .add(Fault::Duplicate, 1, || format!("user {slot} got an answer to {id}, which waits for none"));
            }
            Incoming::Event(event) => self.on_event(slot, event, net, now),
        }
    }

    /// The short way for a room: the frame that the reader is due, byte for byte as another reader had it checked.
    fn is_known_delivery(&mut self, slot: usize, frame: &[u8], net: &mut Net, now: u64) -> bool {
        let session = &mut self.sessions[slot];
        let conversation = session.conversation;
        let due = session.reader.position() + 1;
        let Some(key) = self.conversations[conversation].memo.find(due, frame) else { return false };
        if session.reader.live(due, slot, &mut self.verdict) == Step::Fresh {
            self.on_delivered(key, net, now);
        }
        true
    }

    #[allow(clippy::too_many_arguments, reason = "an event's parts, and the loop's")]
    fn on_message(
        &mut self,
        slot: usize,
        conversation: &[u8],
        seq: u64,
        message: &MessageRef<'_>,
        raw: Option<&[u8]>,
        net: &mut Net,
        now: u64,
    ) {
        let own = self.sessions[slot].conversation;
        if conversation != self.conversations[own].id.as_bytes() {
            let name = String::from_utf8_lossy(conversation).into_owned();
            self.verdict.add(Fault::Foreign, 1, || format!("user {slot} got number {seq} of {name}"));
            return;
        }
        match self.sessions[slot].reader.live(seq, slot, &mut self.verdict) {
            Step::Fresh => {
                let key = self.take_delivery(slot, seq, message, Seen::Live, net, now);
                if let (Some(key), Some(raw)) = (key, raw)
                    && self.conversations[own].readers >= MEMO_READERS_MIN
                {
                    self.conversations[own].memo.keep(seq, raw, key);
                }
            }
            Step::Again | Step::Skipped => {
                self.check_message(slot, seq, message, Seen::Aside);
            }
        }
    }

    /// Takes a message that is new to its reader; which one it is, if nothing was wrong with it.
    fn take_delivery(
        &mut self,
        slot: usize,
        seq: u64,
        message: &MessageRef<'_>,
        seen: Seen,
        net: &mut Net,
        now: u64,
    ) -> Option<MessageKey> {
        let (key, sound) = self.check_message(slot, seq, message, seen);
        self.on_delivered(key?, net, now);
        key.filter(|_| sound)
    }

    /// Checks what a reader got, whether it had it before or not: which message it is, and whether nothing was wrong.
    pub(super) fn check_message(
        &mut self,
        slot: usize,
        seq: u64,
        message: &MessageRef<'_>,
        seen: Seen,
    ) -> (Option<MessageKey>, bool) {
        let conversation = self.sessions[slot].conversation;
        let (key, mut flaw) = self.identify(conversation, message);
        if flaw.is_none() && message.seq != seq {
            flaw = Some(super::Flaw::Altered("number"));
        }
        let sound = flaw.is_none();
        if let Some(flaw) = flaw {
            self.blame(flaw, slot, seq, message);
        }
        if let (Some(key), true) = (key, sound) {
            let place = Place { seq, ordinal: message.ordinal };
            let imprint = Imprint::new(key, message.time_ms);
            self.conversations[conversation].ledger.seen(place, imprint, &mut self.verdict);
            if self.mixing.is_some() {
                let event = Event::Message { sender: key.sender(), ordinal: message.ordinal };
                self.tell(conversation, seq, event, seen);
                if seen == Seen::Missed {
                    self.check_age(slot, key, message);
                }
            }
        }
        (key, sound)
    }

    /// A message has reached one more reader.
    fn on_delivered(&mut self, key: MessageKey, net: &mut Net, now: u64) {
        self.verdict.deliveries_checked += 1;
        self.meter.tally.deliveries += 1;
        let sender = &mut self.sessions[key.sender() as usize];
        let Some(outbox) = sender.outbox.as_mut() else { return };
        let Some(flight) = outbox.get_mut(key.count()) else { return };
        let due = flight.intended;
        if flight.remaining == 0 {
            return;
        }
        flight.remaining -= 1;
        let over = flight.remaining == 0 && flight.outcome == crate::outbox::Outcome::Acked;
        if over {
            outbox.trim();
        }
        self.meter.tally.undelivered -= 1;
        self.meter.delivered(due, now);
        if over && matches!(self.plan.flow, Flow::Deliveries(_)) {
            self.launch_after(key.sender() as usize, now, net);
        }
    }

    /// Any event but a message.
    fn on_event(&mut self, slot: usize, event: &v1::Event, net: &mut Net, now: u64) {
        let conversation = self.sessions[slot].conversation;
        let about_own = event.conversation == self.conversations[conversation].id;
        match &event.body {
            Some(event::Body::Drain(drain)) => {
                let span = drain.after_max_ms.saturating_sub(drain.after_min_ms) * MS;
                let wait = drain.after_min_ms * MS + jitter(self.plan.seed, slot as u64, span);
                self.at(now + wait, slot, Timer::Move);
            }
            Some(event::Body::TokenExpiring(_)) => self.renew(slot, net),
            _ if !about_own => {
                let name = event.conversation.clone();
                self.verdict.add(Fault::Foreign, 1, || format!("user {slot} was told of {name}"));
            }
            Some(event::Body::Head(head)) => self.on_head(slot, head.head, net),
            Some(event::Body::Marks(changed)) => self.on_marks(slot, changed),
            Some(event::Body::Gap(gap)) => {
                let first = gap.first_available;
                self.verdict.add(Fault::Gap, 1, || format!("user {slot} is told that nothing below {first} is kept"));
            }
            _ if event.seq > 0 => {
                let step = self.sessions[slot].reader.live(event.seq, slot, &mut self.verdict);
                let seen = if step == Step::Fresh { Seen::Live } else { Seen::Aside };
                self.on_other(slot, event, seen);
            }
            _ => {}
        }
    }

    /// A numbered event holds no message. Before a run's users subscribe, their conversations are made and joined; from
    /// then on nothing happens in them but messages, so a number without one is a message that its reader never got.
    pub(super) fn on_no_message(&mut self, slot: usize, seq: u64) {
        let wrong = u64::from(self.sessions[slot].reader.is_of_the_run(seq));
        self.verdict.add(Fault::Altered, wrong, || format!("number {seq} as user {slot} got it holds no message"));
    }

    /// There is more than was sent.
    fn on_head(&mut self, slot: usize, head: u64, net: &mut Net) {
        let session = &mut self.sessions[slot];
        if head > session.reader.position() {
            session.behind = true;
            self.resume(slot, net);
        }
    }

    fn renew(&mut self, slot: usize, net: &mut Net) {
        if self.sessions[slot].control.is_some() {
            return;
        }
        match self.plan.tokens.token(&self.names[slot]) {
            Ok(token) => self.request(slot, Control::Renew, Request::Renew(v1::Renew { token }), net),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Asks for what follows the reader's position.
    pub(super) fn resume(&mut self, slot: usize, net: &mut Net) {
        let session = &mut self.sessions[slot];
        if session.control.is_some() {
            return;
        }
        let conversation = &self.conversations[session.conversation];
        session.acked_before = conversation.ledger.acked_head();
        session.reader.resume();
        let position = v1::Position { conversation: conversation.id.clone(), seq: session.reader.position() };
        let resume = v1::Resume { positions: vec![position] };
        self.request(slot, Control::Resume, Request::Resume(resume), net);
    }

    /// A page of what was missed.
    pub(super) fn on_resumed(&mut self, slot: usize, page: &v1::ResumedConversation, net: &mut Net, now: u64) {
        self.check_head(slot, page.head, "a resume");
        for event in &page.events {
            let paged = self.sessions[slot].reader.paged(event.seq, slot, &mut self.verdict);
            match (paged, frame::of_event(event)) {
                (Paged::Fresh, Incoming::Message { seq, message, .. }) => {
                    self.take_delivery(slot, seq, &message, Seen::Missed, net, now);
                }
                (Paged::Known, Incoming::Message { seq, message, .. }) => {
                    self.check_message(slot, seq, &message, Seen::Missed);
                }
                _ => self.on_other(slot, event, Seen::Missed),
            }
        }
        if self.sessions[slot].reader.resumed(page.more) {
            self.resume(slot, net);
        } else if self.sessions[slot].state >= State::Greeted {
            self.sessions[slot].behind = false;
            self.caught_up(slot, net, now);
        }
    }
}
