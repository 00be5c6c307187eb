//! Sockets to sessions: one read per ready socket and turn into the buffer that all share, its messages to the session,
//! and what the session wants done.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::ControlFlow;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{Answer, Ask, EdgeLink, Refusal, Request};
use switchyard_cluster::mailbox::{ROOM_KEPT_MAX, keep_little};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::frame;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::limits::FRAME_BYTES_MAX;
use switchyard_protocol::shard::Shard;

use super::connection::{Connection, ConnectionId, Open, Stage, moment};
use super::outbox::FrameId;
use super::{Door, READ_BYTES};
use crate::fanout::Upkeep;
use crate::metrics::Ended;
use crate::session::{
    Context, Directory as _, Effect, PageLine, RequestKind, Session, Spot, Ticket, ask_at, change_units,
};
use crate::ws::{Incoming, Opcode, Violation};

/// When a client is told to come again after the way to an owner was full.
const LINK_FULL: Refusal = Refusal {
    code: ErrorCode::Overloaded,
    message: "the server has more requests than it can take",
    retry_after_ms: Some(500),
};

/// What somebody is told whose changes of conversations the store has not done: about one such change later.
const TOO_MANY_CHANGES: Refusal = Refusal {
    code: ErrorCode::Overloaded,
    message: "too many changes of yours wait to be stored",
    retry_after_ms: Some(100),
};

/// What came of feeding a client's bytes.
#[derive(Default)]
struct Fed {
    violation: Option<Violation>,
    /// The client's goodbye came, with this code.
    goodbye: Option<u16>,
}

impl<L: EdgeLink> Door<L> {
    pub(super) fn on_writable(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if std::mem::take(&mut connection.blocked) && !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// `ended`: the poll will tell nothing more of this socket, so that a short read does not mean that it is drained.
    pub(super) fn on_readable(&mut self, slot: u32, ended: bool, now: Now) {
        self.read(slot, now);
        if ended && let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.unread = true;
            self.again.push(slot);
        }
    }

    /// Reads a socket once.
    pub(super) fn read(&mut self, slot: u32, now: Now) {
        self.ask_pages(slot, now);
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if matches!(connection.stage, Stage::Open(_)) && connection.rests(now.mono, &self.shared.config) {
            // What it sends stays in the kernel, and TCP slows it down.
            connection.unread = true;
            return;
        }
        connection.unread = false;
        let size = match connection.socket.read(&mut self.read_buffer) {
            Ok(0) => return self.remove(slot, Ended::Lost, now),
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.again.push(slot);
                return;
            }
            Err(_) => return self.remove(slot, Ended::Lost, now),
        };
        connection.heard = now.mono.into();
        connection.pinged = false;
        if size == READ_BYTES {
            connection.unread = true;
            self.again.push(slot);
        }
        self.metrics.tally.received_bytes += size as u64;
        match &mut connection.stage {
            Stage::Opening(_) => self.on_opening(slot, size, now),
            Stage::Open(_) => self.on_open(slot, size, now),
            Stage::Lingering => {}
            Stage::Closing(decoder) => {
                let input = self.read_buffer.get_mut(..size).unwrap_or_default();
                // What it says is of no interest, and if it is nonsense it goes when its time is over.
                let _ = decoder.feed(input, FRAME_BYTES_MAX, |_| ControlFlow::Continue(()));
                if decoder.is_closed() {
                    self.leave_when_written(slot, now);
                }
            }
        }
    }

    fn on_open(&mut self, slot: u32, size: usize, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if let Some(rest) = connection.budget.received(&self.desk.rates, size, moment(now)) {
            connection.rest_until = (now.mono + rest).into();
            self.arm(slot, now);
        }
        let fed = self.feed(slot, size, now);
        self.carry_out(slot, now);
        if let Some(violation) = fed.violation {
            self.close(slot, violation.close_code(), &violation.to_string(), Ended::Violation, now);
            self.linger(slot);
        } else if let Some(code) = fed.goodbye {
            self.close(slot, code, "", Ended::Client, now);
            self.leave_when_written(slot, now);
        }
    }

    /// Hands every message in the read buffer to the session.
    fn feed(&mut self, slot: u32, size: usize, now: Now) -> Fed {
        let mut fed = Fed::default();
        let Some(connection) = self.connections.get_mut(slot as usize) else { return fed };
        let Connection { stage, id, budget, entered, queue, dirty, .. } = &mut **connection;
        let Stage::Open(Open { decoder, session }) = stage else { return fed };
        let mut lent = self.desk.lend(*id, budget, entered, &self.readers, now);
        let mut from = 0;
        while from < size && !session.is_closing() {
            let limit = session.frame_bytes_max();
            let input = self.read_buffer.get_mut(from..size).unwrap_or_default();
            let result = decoder.feed(input, limit, |incoming| {
                match incoming {
                    Incoming::Ping(_) | Incoming::Pong(_) | Incoming::Text("") | Incoming::Binary([])
                        if !lent.control_frame() =>
                    {
                        session.stop();
                        lent.want(Effect::Close(CloseCode::TooMany));
                    }
                    Incoming::Text(text) => lent.call(|cx| session.on_text(text, cx)),
                    Incoming::Binary(bytes) => lent.call(|cx| session.on_binary(bytes, cx)),
                    Incoming::Ping(payload) => {
                        let pong = self.outbox.put(Opcode::Pong, payload);
                        queue.push(pong, self.outbox.bytes(pong).len());
                    }
                    Incoming::Pong(_) => {}
                    Incoming::Close(reason) => {
                        session.stop();
                        // A goodbye without a code is answered by the one that means nothing in particular.
                        fed.goodbye = Some(reason.map_or(1000, |(code, _)| code));
                    }
                }
                let go_on = !session.is_closing() && session.frame_bytes_max() == limit;
                if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match result {
                Ok(consumed) => from += consumed,
                Err(violation) => {
                    session.stop();
                    fed.violation = Some(violation);
                }
            }
        }
        if !queue.is_empty() && !*dirty {
            *dirty = true;
            self.dirty.push(slot);
        }
        fed
    }

    /// Calls a session outside of its input, and does what it wants done.
    pub(super) fn with_session(&mut self, slot: u32, now: Now, call: impl FnOnce(&mut Session, &mut Context<'_>)) {
        self.call_session(slot, now, call);
        self.carry_out(slot, now);
    }

    fn call_session(&mut self, slot: u32, now: Now, call: impl FnOnce(&mut Session, &mut Context<'_>)) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let Connection { stage, id, budget, entered, .. } = &mut **connection;
        let Stage::Open(open) = stage else { return };
        self.desk.lend(*id, budget, entered, &self.readers, now).call(|cx| call(&mut open.session, cx));
    }

    /// Does what the session wants done; doing so may bring it something more to want.
    fn carry_out(&mut self, slot: u32, now: Now) {
        for limit in std::mem::take(&mut self.desk.met) {
            self.metrics.over_budget(limit);
        }
        while !self.desk.effects.is_empty() {
            let mut batch = std::mem::take(&mut self.desk.effects);
            for effect in batch.drain(..) {
                self.carry_out_one(slot, effect, now);
            }
            if self.desk.effects.is_empty() {
                keep_little(&mut batch);
                self.desk.effects = batch;
            }
        }
        if self.outbox.is_full() {
            self.write_dirty(now);
        }
    }

    fn carry_out_one(&mut self, slot: u32, effect: Effect, now: Now) {
        match effect {
            Effect::Ask(request) => self.ask(slot, request, now),
            Effect::Reply { id, kind, result } => {
                self.metrics.answered(kind, &result);
                if let Some(connection) = self.connections.get(slot as usize) {
                    self.log_answered(connection.id, id, kind, &result);
                }
                self.tell(slot, &frame::reply(id, *result));
                if matches!(kind, RequestKind::Renew | RequestKind::Hello) {
                    // A further token may end sooner than the one before.
                    self.arm(slot, now);
                }
            }
            Effect::Event(event) => {
                self.metrics.pushed(&event);
                self.tell(slot, &frame::event(*event));
            }
            Effect::Admitted => {
                self.admitted(slot);
                self.arm(slot, now);
            }
            Effect::Settled { conversation, head } => {
                if let Some(key) = self.key(slot, conversation) {
                    if let Some(head) = head {
                        self.begin_reading(slot, &key, head);
                    }
                    let upkeep = self.readers.settled(&key);
                    self.keep_up(key, upkeep);
                }
            }
            Effect::Unsubscribed(conversation) => {
                if let Some(key) = self.key(slot, conversation) {
                    let upkeep = self.readers.remove(&key, slot);
                    self.keep_up(key, upkeep);
                }
            }
            Effect::Opened { conversation, typers } => self.opened(slot, conversation, &typers),
            Effect::Shown(conversation) => self.shown(slot, conversation),
            Effect::Closed(conversation) => self.closed(slot, conversation),
            Effect::Unwatched => self.unwatched(slot),
            Effect::Watching { key, told } => self.watching(slot, key, &told),
            Effect::Unwatching(key) => self.unwatching(slot, key),
            Effect::Rearm => self.arm(slot, now),
            Effect::TokenRefused(reason) => self.metrics.token_refused(reason),
            Effect::Close(code) => self.close_for(slot, code, now),
        }
    }

    fn ask(&mut self, slot: u32, mut request: Request, now: Now) {
        self.ask_to_watch(slot, &mut request);
        if matches!(request.ask, Ask::Subscribe(_)) {
            self.readers.ask(&request.key);
        }
        if matches!(request.ask, Ask::Show) {
            self.opened.ask(&request.key, slot);
        }
        if matches!(request.ask, Ask::Home(HomeAsk::Watch)) {
            self.watching.add(&request.key, slot);
        }
        if PageLine::is_for(&request) {
            self.desk.pages.entry(slot).or_default().put(request);
            while let Some(next) = self.next_page(slot) {
                self.ask_owner(slot, next, now);
            }
        } else {
            self.ask_owner(slot, request, now);
        }
    }

    /// Asks for the pages that wait, as far as there is room for them.
    pub(super) fn ask_pages(&mut self, slot: u32, now: Now) {
        let mut any = false;
        while let Some(next) = self.next_page(slot) {
            any = true;
            self.ask_owner(slot, next, now);
        }
        if any {
            self.carry_out(slot, now);
        }
    }

    /// Whether a page may be asked for that waited for the room to put it in.
    pub(super) fn may_ask_page(&self, slot: u32) -> bool {
        let most = self.shared.config.room.queue_bytes_max;
        let Some(line) = self.desk.pages.get(&slot) else { return false };
        line.is_next_due() && self.connections.get(slot as usize).is_some_and(|it| it.queue.bytes() <= most)
    }

    fn next_page(&mut self, slot: u32) -> Option<Request> {
        if self.may_ask_page(slot) { self.desk.pages.get_mut(&slot)?.take_next() } else { None }
    }

    /// A question has its answer. Its session may be gone.
    pub(super) fn answered(&mut self, id: ConnectionId, ticket: Ticket) {
        match ticket {
            Ticket::Single { kind, .. } if kind.is_change() => return self.desk.end_change(id),
            // Most are of this kind: nothing is counted for them here.
            Ticket::Single { kind, .. } if kind.pages() == 0 => return,
            Ticket::Single { .. } | Ticket::Part { .. } => {}
        }
        let slot = id.slot();
        if self.connections.get(slot as usize).is_none_or(|connection| connection.id != id) {
            return;
        }
        if let Some(pages) = self.desk.pages.get_mut(&slot) {
            pages.answered(ticket);
            if pages.is_empty() {
                self.desk.pages.remove(&slot);
            }
        }
        if self.desk.pages.is_empty() && self.desk.pages.capacity() > ROOM_KEPT_MAX {
            self.desk.pages = HashMap::default();
        }
    }

    fn ask_owner(&mut self, slot: u32, mut request: Request, now: Now) {
        // Only now: what stood in line is not late for that.
        ask_at(&mut request.from, now.mono);
        let shard = request.shard();
        let ticket = Ticket::of(&request.from);
        let id = ConnectionId::from_number(request.from.session);
        if let Some(units) = change_units(&request.ask)
            && let Some(connection) = self.connections.get(slot as usize)
            && !self.desk.begin_change(id, connection.entered.as_ref(), units)
        {
            let refusal = Answer::Refused(TOO_MANY_CHANGES);
            return self.call_session(slot, now, |session, cx| session.on_answer(ticket, now.mono, refusal, cx));
        }
        let is_answered = request.ask.is_answered();
        self.log_asked(&request, ticket);
        if self.link.send(shard, request).is_err() && is_answered {
            self.answered(id, ticket);
            // Every request is answered: this one by the edge itself.
            self.call_session(slot, now, |session, cx| {
                session.on_answer(ticket, now.mono, Answer::Refused(LINK_FULL), cx);
            });
        }
    }

    /// A conversation of the session's tenant.
    pub(super) fn key(&self, slot: u32, conversation: ConversationId) -> Option<ConversationKey> {
        let Stage::Open(open) = &self.connections.get(slot as usize)?.stage else { return None };
        Some(ConversationKey { tenant: open.session.tenant()?.clone(), conversation })
    }

    /// The session reads this conversation from there on.
    fn begin_reading(&mut self, slot: u32, key: &ConversationKey, head: u64) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        let Stage::Open(open) = &mut connection.stage else { return };
        open.session.reads(self.readers.read(key, slot, head));
    }

    /// Whether the session reads this conversation.
    pub(super) fn is_reading(&self, slot: u32, key: &ConversationKey) -> bool {
        let Some(spot) = self.readers.spot(&key.tenant, key.conversation) else { return false };
        let Some(Stage::Open(open)) = self.connections.get(slot as usize).map(|it| &it.stage) else { return false };
        open.session.subscriptions().contains(&spot)
    }

    /// Tells the owner that nobody here reads a conversation any more, when that is so. If the way there is full, its
    /// next event will remind us.
    pub(super) fn keep_up(&mut self, key: ConversationKey, upkeep: Upkeep) {
        if upkeep == Upkeep::Unsubscribe {
            self.readers.close_up(&key.tenant, |slot, moved| {
                let Some(connection) = self.connections.get_mut(slot as usize) else { return };
                let Stage::Open(open) = &mut connection.stage else { return };
                open.session.move_spots(|Spot(from)| Spot(moved.get(from as usize).copied().unwrap_or(from)));
            });
            self.say_for_edge(key, Ask::Unsubscribe);
        }
    }

    /// Tells an owner something that no session asked for and nobody answers. If the way there is full, it is not said.
    pub(super) fn say_for_edge(&mut self, key: ConversationKey, ask: Ask) {
        let from = Asker::edge(self.desk.edge);
        let shard = Shard::of_conversation(&key);
        let user = self.nobody.clone();
        let _ = self.link.send(shard, Request { from, key, user, ask });
    }

    /// Puts a server's frame into a session's queue.
    pub(super) fn tell(&mut self, slot: u32, frame: &switchyard_protocol::v1::ServerFrame) {
        let Some(connection) = self.connections.get(slot as usize) else { return };
        let Stage::Open(open) = &connection.stage else { return };
        let id = self.outbox.put_server_frame(open.session.form(), frame);
        self.push(slot, id);
    }

    /// Puts a frame of this turn into a socket's queue.
    pub(super) fn push(&mut self, slot: u32, frame: FrameId) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.queue.push(frame, self.outbox.bytes(frame).len());
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(slot);
        }
    }
}
