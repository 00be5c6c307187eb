//! What comes over the link: answers to the sessions that asked, events to all who read their conversation; and the
//! writing of every socket that got something.

use switchyard_cluster::link::{Answer, Delivery, EdgeLink, LiveEvent, Refusal};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::v1::{self, reply::Result as Reply};

use prost::Message as _;

use super::Door;
use super::connection::{Connection, ConnectionId, Stage};
use super::outbox::{FrameId, Outbox};
use super::queue::{Mark, Written};
use crate::fanout::Upkeep;
use crate::metrics::{Ended, Tally};
use crate::session::{Directory as _, PAGE_ENCODED_BYTES_MAX, RequestKind, Ticket, asked_at};
use crate::ws::Opcode;

/// What a client is told that asks and asks and does not read, in place of an answer that it may ask for again.
const NOT_READ: Answer = Answer::Refused(Refusal {
    code: ErrorCode::Overloaded,
    message: "too much waits to be read by you",
    retry_after_ms: Some(500),
});

/// Whether nothing is lost if this is not told, and the answer may be much larger than its question.
fn may_be_asked_again(answer: &Answer) -> bool {
    match answer {
        Answer::Sent { duplicate, .. } => *duplicate,
        Answer::Result(result) => match &**result {
            Reply::Detail(_) => true,
            Reply::Created(created) => !created.created,
            _ => false,
        },
        Answer::Subscribed(_) | Answer::Watching(_) | Answer::Presence { .. } | Answer::Refused(_) => false,
    }
}

impl<L: EdgeLink> Door<L> {
    pub(super) fn deliver(&mut self, delivery: Delivery, now: Now) {
        match delivery {
            Delivery::Answer { to, answer } => self.on_answer(to, answer, now),
            Delivery::Event(event) => self.fan_out(&event, now),
            Delivery::Head { key, head } => self.fan_out_head(key, head),
            Delivery::Typing(typers) => self.fan_out_typing(typers),
            Delivery::Marks(marks) => self.fan_out_marks(&marks),
            Delivery::Presence(now) => self.fan_out_presence(&now),
            Delivery::Parted(parted) => self.part(&parted, now),
            Delivery::Listed(listed) => self.fan_out_listed(&listed, now),
        }
    }

    /// Gives a client its answer.
    pub(super) fn answer(&mut self, to: Asker, answer: Answer, now: Now) {
        if let Answer::Subscribed(subscribed) = &answer {
            self.readers.granted(&subscribed.key);
        }
        if let Answer::Presence { now, .. } = &answer {
            self.presence_answered(now);
        }
        let id = ConnectionId::from_number(to.session);
        let ticket = Ticket::of(&to);
        let Some(connection) = self.connections.get_mut(id.slot() as usize) else { return };
        if connection.id != id {
            return;
        }
        let most = self.shared.config.room.queue_bytes_max + PAGE_ENCODED_BYTES_MAX;
        let answer = if connection.queue.bytes() > most && may_be_asked_again(&answer) { NOT_READ } else { answer };
        let Stage::Open(open) = &mut connection.stage else { return };
        if let (Answer::Sent { message, duplicate }, Ticket::Single { id: request, kind: RequestKind::Send }) =
            (&answer, ticket)
            && open.session.form() == Form::Proto
        {
            open.session.finished(RequestKind::Send);
            self.metrics.tally.sent_ok += 1;
            self.log_sent(id, request);
            let frame = self.outbox.put_sent(request, *duplicate, message);
            return self.push(id.slot(), frame);
        }
        let asked = asked_at(&to, now.mono);
        self.with_session(id.slot(), now, |session, cx| session.on_answer(ticket, asked, answer, cx));
        self.ask_pages(id.slot(), now);
    }

    fn fan_out(&mut self, event: &LiveEvent, now: Now) {
        let Some(readers) = self.readers.get_mut(&event.key) else {
            // Nobody here has read it for a while; the word of that was lost, or is on its way.
            return self.keep_up(event.key.clone(), Upkeep::Unsubscribe);
        };
        let mut any = false;
        let mut forms = Forms::new(&event.frame);
        let queue_bytes_max = self.shared.config.room.queue_bytes_max;
        for reader in readers {
            if event.seq <= reader.seen {
                continue;
            }
            reader.seen = event.seq;
            any = true;
            let Some(connection) = self.connections.get_mut(reader.slot as usize) else { continue };
            let Stage::Open(open) = &connection.stage else { continue };
            let Some((frame, bytes)) = forms.get(open.session.form(), &mut self.outbox) else { continue };
            let tight = connection.queue.bytes() + bytes > queue_bytes_max || connection.queue.is_behind();
            // Who is put out by it hears that in any case: nobody else would tell.
            let about = event.puts_out_any() && open.session.user().is_some_and(|user| event.puts_out(user));
            if tight && !about {
                let conversation = event.key.conversation;
                let tally = &mut self.metrics.tally;
                if !make_room(connection, &mut self.outbox, conversation, bytes, queue_bytes_max, now, tally) {
                    connection.queue.mark(conversation, event.seq);
                    tally.given_way += 1;
                    continue;
                }
            }
            connection.queue.push(frame, bytes);
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(reader.slot);
            }
            self.metrics.tally.delivered += 1;
        }
        if any && event.puts_out_any() {
            self.put_out(event, now);
        }
    }

    /// Users who were put out by this event get nothing after it.
    fn put_out(&mut self, event: &LiveEvent, now: Now) {
        let Some(spot) = self.readers.spot(&event.key.tenant, event.key.conversation) else { return };
        let Some(readers) = self.readers.get_mut(&event.key) else { return };
        let (mut gone, mut watching) = (Vec::new(), Vec::new());
        for reader in readers.iter() {
            let Some(connection) = self.connections.get_mut(reader.slot as usize) else { continue };
            let Stage::Open(open) = &mut connection.stage else { continue };
            if open.session.watches_through(event.key.conversation) {
                watching.push(reader.slot);
            }
            if open.session.user().is_some_and(|user| event.puts_out(user)) {
                open.session.forget(event.key.conversation, spot);
                gone.push(reader.slot);
            }
        }
        for slot in gone {
            let upkeep = self.readers.remove(&event.key, slot);
            self.keep_up(event.key.clone(), upkeep);
            self.close_opened(&event.key, slot);
        }
        for slot in watching {
            self.with_session(slot, now, |session, cx| {
                let removed = (!event.last).then_some(&event.removed[..]);
                session.on_put_out(event.key.conversation, removed, cx);
            });
        }
    }

    /// Events up to this head will not come: each reader is told where the timeline stands.
    fn fan_out_head(&mut self, key: ConversationKey, head: u64) {
        let Some(readers) = self.readers.get_mut(&key) else {
            return self.keep_up(key, Upkeep::Unsubscribe);
        };
        let behind = readers.iter_mut().filter(|reader| reader.seen < head);
        let told = behind.map(|reader| {
            reader.seen = head;
            reader.slot
        });
        let slots: Vec<u32> = told.collect();
        for slot in slots {
            self.tell_head(slot, (key.conversation, head));
        }
    }

    fn tell_head(&mut self, slot: u32, (conversation, head): Mark) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if connection.queue.gives_way(conversation) {
            return connection.queue.mark(conversation, head);
        }
        self.tell(
            slot,
            &frame::event(v1::Event {
                conversation: conversation.to_string(),
                seq: 0,
                body: Some(v1::event::Body::Head(v1::Head { head })),
            }),
        );
    }

    /// Writes every socket that has something, once, and ends the turn's frames.
    pub(super) fn write_dirty(&mut self, now: Now) {
        while !self.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.dirty);
            for slot in dirty.drain(..) {
                self.write(slot, now);
            }
            if self.dirty.is_empty() {
                self.dirty = dirty;
                break;
            }
        }
        self.outbox.clear();
    }

    fn write(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.dirty = false;
        let was_blocked = connection.queue.blocked_since().is_some();
        let waited = connection.queue.backlog_bytes();
        let tally = &mut self.metrics.tally;
        let sent_before = tally.sent_bytes;
        let Connection { queue, socket, blocked, .. } = &mut **connection;
        let written = queue.write(&*socket, &mut self.outbox, !*blocked, now.mono, &mut tally.sent_bytes);
        tally.queue_bytes = tally.queue_bytes + queue.backlog_bytes() - waited;
        if was_blocked && tally.sent_bytes > sent_before {
            // A socket that was full takes more: its peer has read, so it is there. While much waits for it, it is not
            // read itself and can show it by nothing else.
            connection.heard = now.mono.into();
            connection.pinged = false;
        }
        match written {
            Ok(Written::All(owed)) => {
                if connection.leaving {
                    return self.remove(slot, Ended::Client, now);
                }
                if matches!(connection.stage, Stage::Lingering) {
                    // The peer sees the end at once; the socket stays until it has read the answer.
                    let _ = connection.socket.shutdown(std::net::Shutdown::Write);
                }
                self.go_on(slot, now);
                for mark in owed.heads {
                    self.tell_mark(slot, mark);
                }
                for conversation in owed.marks {
                    self.tell_marks_missed(slot, conversation);
                }
                for conversation in owed.typing {
                    self.tell_typing(slot, conversation);
                }
                self.tell_presence(slot, &owed.presence);
            }
            Ok(Written::Blocked) => {
                connection.blocked = true;
                self.arm(slot, now);
                self.go_on(slot, now);
            }
            Err(_) => self.remove(slot, Ended::Lost, now),
        }
    }

    /// Tells of events that gave way, unless the conversation is not read any more.
    fn tell_mark(&mut self, slot: u32, mark: Mark) {
        let Some(key) = self.key(slot, mark.0) else { return };
        if self.is_reading(slot, &key) {
            self.tell_head(slot, mark);
        }
    }

    /// Goes on with what stopped for what waited to be written: reading the socket, asking for pages.
    fn go_on(&mut self, slot: u32, now: Now) {
        let read =
            self.connections.get(slot as usize).is_some_and(|it| it.unread && !it.rests(now.mono, &self.shared.config));
        if read || self.may_ask_page(slot) {
            self.again.push(slot);
        }
    }
}

/// An event's frame in the forms that its readers speak, each made when the first of them is met.
pub(super) struct Forms<'a> {
    frame: &'a [u8],
    proto: Option<(FrameId, usize)>,
    json: Option<Option<(FrameId, usize)>>,
}

impl<'a> Forms<'a> {
    pub(super) fn new(frame: &'a [u8]) -> Self {
        Self { frame, proto: None, json: None }
    }

    /// The frame and its length; `None` if it cannot be read, which only a fault of its owner's can bring about.
    pub(super) fn get(&mut self, form: Form, outbox: &mut Outbox) -> Option<(FrameId, usize)> {
        let sized = |id: FrameId, outbox: &Outbox| (id, outbox.bytes(id).len());
        match form {
            Form::Proto => Some(*self.proto.get_or_insert_with(|| {
                let id = outbox.put(Opcode::Binary, self.frame);
                sized(id, outbox)
            })),
            Form::Json => *self.json.get_or_insert_with(|| {
                let decoded = v1::ServerFrame::decode(self.frame).ok()?;
                let id = outbox.put_server_frame(Form::Json, &decoded);
                Some(sized(id, outbox))
            }),
        }
    }
}

/// Whether an event may go into a queue that has no room for it, or had none for an earlier one. What waits only for the
/// end of the turn is written first: a queue is full when its socket refuses, not before.
fn make_room(
    connection: &mut Connection,
    outbox: &mut Outbox,
    conversation: ConversationId,
    bytes: usize,
    most: usize,
    now: Now,
    tally: &mut Tally,
) -> bool {
    let Connection { queue, socket, blocked, .. } = connection;
    if queue.gives_way(conversation) {
        return false;
    }
    if queue.blocked_since().is_none() && !queue.is_empty() {
        match queue.write(&*socket, outbox, true, now.mono, &mut tally.sent_bytes) {
            Ok(Written::All(_)) => {}
            Ok(Written::Blocked) => *blocked = true,
            // The same error will meet the end of the turn, which knows what to do.
            Err(_) => return false,
        }
        tally.queue_bytes += queue.backlog_bytes();
    }
    queue.is_empty() || queue.bytes() + bytes <= most
}
