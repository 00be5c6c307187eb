//! New connections: as many as come, some at a time, without spinning when the process has no descriptor left.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use switchyard_cluster::link::EdgeLink;
use switchyard_cluster::now::Now;

use super::Door;
use super::connection::{Connection, ConnectionId, Passage, Stage, moment, plain};
use crate::admission::proxy::ProxyExpectation;
use crate::growth::growth;
use crate::metrics::{Ended, Refused};

/// Connections accepted in one turn: a storm of them does not hold up those that are there.
const ACCEPTS_PER_TURN_MAX: usize = 256;

/// For how long nothing is accepted after the process ran out of descriptors. Until then, newcomers wait in the kernel.
const PAUSE: Duration = Duration::from_millis(200);

/// How often a shortage of descriptors is worth a line in the log.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Whether there may be somebody to accept, and from when on.
#[derive(Debug, Default)]
pub(super) struct Accepting {
    ready: bool,
    paused_until: Duration,
    /// No further warning before: at worst there is a pause five times a second.
    silent_until: Duration,
}

impl Accepting {
    /// The poll says that somebody is there; it will not say so again before all are accepted.
    pub(super) fn ready(&mut self) {
        self.ready = true;
    }

    /// When to go on accepting.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.ready.then_some(self.paused_until)
    }
}

impl<L: EdgeLink> Door<L> {
    pub(super) fn accept(&mut self, now: Now) {
        self.limit_half_open(now);
        if !self.accepting.ready || self.accepting.paused_until > now.mono {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN_MAX {
            let Some(listener) = &self.listener else {
                self.accepting.ready = false;
                return;
            };
            match listener.accept() {
                Ok((socket, peer)) => self.take_in(socket, peer, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepting.ready = false;
                    return;
                }
                // The newcomer went before it was accepted.
                Err(error) if is_newcomers(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory. Trying again at once would only burn the processor.
                    if now.mono >= self.accepting.silent_until {
                        tracing::warn!(%error, "accepting connections pauses");
                        self.accepting.silent_until = now.mono + WARN_EVERY;
                    }
                    self.metrics.accept_pauses.increment(1);
                    self.accepting.paused_until = now.mono + PAUSE;
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, socket: TcpStream, peer: SocketAddr, now: Now) {
        self.metrics.accepted.increment(1);
        // Nothing of the newcomer was read, so it is not known what it speaks: it is closed without a word.
        if !self.shared.admission.places().enter(self.shared.config.room.connections_max) {
            return self.metrics.refused(Refused::Full);
        }
        match self.settle_in(socket, peer, now) {
            Some(slot) => {
                self.arm(slot, now);
                self.limit_half_open(now);
            }
            None => self.shared.admission.places().leave(),
        }
    }

    /// Gives a newcomer its slot, unless it is turned away.
    fn settle_in(&mut self, mut socket: TcpStream, peer: SocketAddr, now: Now) -> Option<u32> {
        let peer = SocketAddr::new(plain(peer.ip()), peer.port());
        let (passage, header) = self.first_look(peer, now)?;
        if self.connections.len() == self.connections.capacity() {
            self.connections.reserve_exact(growth(self.connections.len()));
        }
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let number = u32::try_from(slot).ok()?;
        // All messages are written whole: waiting for more to join them would only delay them.
        let prepared = socket
            .set_nodelay(true)
            .and_then(|()| self.registry.register(&mut socket, Token(slot), Interest::READABLE | Interest::WRITABLE));
        prepared.ok()?;
        let id = ConnectionId::new(self.next_serial, number);
        self.next_serial = self.next_serial.wrapping_add(1);
        let mut connection = Connection::new(socket, peer, id, now.mono);
        connection.passage = passage;
        if let Stage::Opening(opening) = &mut connection.stage
            && header
        {
            opening.proxy_header = Some(Vec::new());
        }
        entry.insert(Box::new(connection));
        self.half_open.push_back(id);
        self.half_open_count += 1;
        self.shared.admission.places().half_open();
        self.metrics.half_open.increment(1);
        Some(number)
    }

    /// Whether a peer may begin its handshake, and whether a PROXY header is awaited. A trusted proxy's own address is
    /// not counted: whom it speaks for is known later.
    fn first_look(&mut self, peer: SocketAddr, now: Now) -> Option<(Passage, bool)> {
        let config = &self.shared.config;
        if config.proxy_protocol {
            return match config.proxies.expect_header(peer.ip()) {
                ProxyExpectation::Header => Some((Passage::None, true)),
                ProxyExpectation::Refuse => {
                    self.metrics.refused(Refused::Proxy);
                    None
                }
            };
        }
        if config.proxies.trusts(peer.ip()) {
            return Some((Passage::None, false));
        }
        match self.shared.admission.knock(peer.ip(), moment(now)) {
            Ok(knocking) => Some((Passage::Knocking(knocking), false)),
            Err(refusal) => {
                self.metrics.over_budget(refusal.limit);
                self.metrics.refused(Refused::Budget);
                None
            }
        }
    }

    /// Lets the oldest go that have not said who they are, when there are too many of them in the process. A worker with
    /// more than its share does that in its next turn, whoever accepted the newcomer.
    fn limit_half_open(&mut self, now: Now) {
        let most = self.shared.config.room.half_open_max;
        while self.shared.admission.places().is_half_open_over(self.half_open_count, most) {
            let Some(oldest) = self.half_open.pop_front() else { return };
            if self.find(oldest).is_some_and(|connection| connection.half_open) {
                self.remove(oldest.slot(), Ended::HalfOpen, now);
            }
        }
        // Most in the list have said who they are long ago.
        if self.half_open.len() > 2 * self.half_open_count + ACCEPTS_PER_TURN_MAX {
            let mut list = std::mem::take(&mut self.half_open);
            list.retain(|id| self.find(*id).is_some_and(|connection| connection.half_open));
            self.half_open = list;
        }
    }

    /// It is known who this connection is, or it is gone.
    pub(super) fn not_half_open(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && std::mem::take(&mut connection.half_open)
        {
            self.half_open_count -= 1;
            self.shared.admission.places().not_half_open();
            self.metrics.half_open.decrement(1);
        }
    }
}

/// Errors of `accept` that are about one newcomer alone.
fn is_newcomers(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
    )
}
