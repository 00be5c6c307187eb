//! Goodbyes: the server's and the client's, the end of refused handshakes, and what is cleaned up after a connection.

use std::net::Shutdown;

use switchyard_cluster::link::EdgeLink;
use switchyard_cluster::now::Now;
use switchyard_protocol::code::CloseCode;
use switchyard_protocol::id::ConversationKey;

use super::Door;
use super::connection::{Connection, Open, Passage, Stage};
use crate::metrics::Ended;
use crate::ws::Decoder;

impl<L: EdgeLink> Door<L> {
    /// Says goodbye with one of our codes.
    pub(super) fn close_for(&mut self, slot: u32, code: CloseCode, now: Now) {
        let why = match code {
            CloseCode::Drain => Ended::Drain,
            CloseCode::Slow => Ended::Slow,
            CloseCode::Idle => Ended::Idle,
            CloseCode::TokenExpired => Ended::TokenExpired,
            CloseCode::Auth => Ended::Auth,
            CloseCode::Protocol => Ended::Protocol,
            CloseCode::TooMany => Ended::TooMany,
            CloseCode::Overloaded | CloseCode::Moved | CloseCode::Suspended => Ended::Other,
        };
        self.close(slot, code.number(), code.reason(), why, now);
    }

    /// Says goodbye: the session ends now, the socket when its peer has answered, or soon.
    pub(super) fn close(&mut self, slot: u32, code: u16, reason: &str, why: Ended, now: Now) {
        let Some(decoder) = self.end_session(slot, why) else { return };
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.stage = Stage::Closing(decoder);
        connection.since = now.mono.into();
        if why == Ended::Slow {
            // It has not read what waits and will not; the goodbye at least is short.
            self.metrics.tally.queue_bytes -= connection.queue.backlog_bytes();
            connection.queue.cut();
            self.metrics.tally.queue_bytes += connection.queue.backlog_bytes();
        }
        let goodbye = self.outbox.put_close(code, reason);
        self.push(slot, goodbye);
        self.arm(slot, now);
    }

    /// Answers a handshake that is no upgrade, and ends the connection once that has been read.
    pub(super) fn refuse_with(&mut self, slot: u32, answer: &[u8], now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.stage = Stage::Lingering;
        self.metrics.ended(Ended::Refused);
        connection.since = now.mono.into();
        let answer = self.outbox.put_raw(answer);
        self.push(slot, answer);
        self.arm(slot, now);
    }

    /// The goodbye just said is to a client whose own would not be understood: its bytes are thrown away until it goes, for
    /// closing a socket with unread bytes in it could take the goodbye back.
    pub(super) fn linger(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot as usize) {
            connection.stage = Stage::Lingering;
        }
    }

    /// Both goodbyes were said: the connection goes when nothing waits to be written.
    pub(super) fn leave_when_written(&mut self, slot: u32, now: Now) {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        connection.leaving = true;
        if connection.queue.is_empty() {
            self.remove(slot, Ended::Client, now);
        }
    }

    /// Ends a connection at once, without a word.
    pub(super) fn remove(&mut self, slot: u32, why: Ended, _now: Now) {
        if let Some(connection) = self.take_out(slot, why) {
            // What the peer has not read of a last answer would be lost if its own bytes lay unread: this tells it that
            // the end was meant.
            let _ = connection.socket.shutdown(Shutdown::Write);
        }
    }

    /// Takes a connection out of everything that knows it.
    pub(super) fn take_out(&mut self, slot: u32, why: Ended) -> Option<Box<Connection>> {
        match self.connections.get(slot as usize)?.stage {
            Stage::Open(_) => drop(self.end_session(slot, why)),
            Stage::Opening(_) => self.metrics.ended(why),
            // Counted when the last word was said.
            Stage::Closing(_) | Stage::Lingering => {}
        }
        self.not_half_open(slot);
        let connection = self.connections.try_remove(slot as usize)?;
        self.shared.admission.places().leave();
        self.metrics.tally.queue_bytes -= connection.queue.backlog_bytes();
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
        Some(connection)
    }

    /// Ends a session: nothing is delivered to it any more, and its conversations are given up.
    fn end_session(&mut self, slot: u32, why: Ended) -> Option<Decoder> {
        let connection = self.connections.get_mut(slot as usize)?;
        if !matches!(connection.stage, Stage::Open(_)) {
            return None;
        }
        let Stage::Open(Open { decoder, session }) = std::mem::replace(&mut connection.stage, Stage::Lingering) else {
            return None;
        };
        let (id, known) = (connection.id, session.tenant().is_some());
        connection.entered = None;
        connection.passage = Passage::None;
        self.desk.pages.remove(&slot);
        self.metrics.ended(why);
        self.metrics.active.decrement(1);
        self.not_half_open(slot);
        if let Some(tenant) = session.tenant() {
            let key = |conversation| ConversationKey { tenant: tenant.clone(), conversation };
            let spots = session.subscriptions().iter();
            let read: Vec<_> = spots.filter_map(|spot| self.readers.name(tenant, *spot)).collect();
            for conversation in read {
                let key = key(conversation);
                let upkeep = self.readers.remove(&key, slot);
                self.keep_up(key, upkeep);
            }
            for conversation in session.awaited() {
                let key = key(conversation);
                let upkeep = self.readers.abandon(&key);
                self.keep_up(key, upkeep);
            }
            for conversation in session.opened() {
                self.close_opened(&key(conversation), slot);
            }
            for watched in session.watching() {
                self.stop_presence(slot, key(watched));
            }
            if let Some(user) = session.user() {
                let home = ConversationKey::home(tenant, user);
                if session.wants_all() {
                    self.stop_watching(slot, home.clone(), user.clone());
                }
                self.count_session(home, user.clone(), -1);
                for conversation in session.typing() {
                    self.end_typing(id, key(conversation), user);
                }
            }
        }
        if known {
            self.log_ended(id, why);
        }
        Some(decoder)
    }
}
