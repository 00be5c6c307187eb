//! One connection: its socket, how far it has come, and what is counted for it. Small, for there are very many: what
//! only a few need at a time lies behind a pointer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use switchyard_cluster::now::Now;

use super::queue::Queue;
use crate::admission::budget::Moment;
use crate::admission::connection::ConnectionBudget;
use crate::admission::door::{Entered, Inside, Knocking};
use crate::config::EdgeConfig;
use crate::session::Session;
use crate::ws::Decoder;
use crate::ws::handshake::HeadReader;

/// The number of a connection, never used twice: its slot in the low half, a serial number in the high one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ConnectionId(u64);

impl ConnectionId {
    pub(super) fn new(serial: u32, slot: u32) -> Self {
        Self(u64::from(serial) << 32 | u64::from(slot))
    }

    pub(super) fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// A moment of the monotonic clock in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Stamp(u64);

impl Stamp {
    /// Never.
    pub(super) const NEVER: Self = Self(u64::MAX);
    /// Long ago.
    pub(super) const LONG_AGO: Self = Self(0);

    /// The moment as the clock tells it.
    pub(super) fn time(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl From<Duration> for Stamp {
    fn from(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// See the module.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) id: ConnectionId,
    pub(super) stage: Stage,
    pub(super) queue: Queue,
    pub(super) budget: ConnectionBudget,
    pub(super) passage: Passage,
    /// What is counted for its user.
    pub(super) entered: Option<Entered>,
    /// When this stage began.
    pub(super) since: Stamp,
    /// When something was heard last.
    pub(super) heard: Stamp,
    /// When its entry in the timer wheel fires; the largest value for none.
    pub(super) armed: Stamp,
    /// Not to be read before.
    pub(super) rest_until: Stamp,
    /// A ping was sent since something was heard.
    pub(super) pinged: bool,
    /// It stands in the list of sockets to write.
    pub(super) dirty: bool,
    /// The socket refused bytes and has not said since that it takes some.
    pub(super) blocked: bool,
    /// There may be more to read than was read.
    pub(super) unread: bool,
    /// To be dropped as soon as nothing waits to be written.
    pub(super) leaving: bool,
    /// Counted among those that have not said who they are.
    pub(super) half_open: bool,
}

/// How far a connection has come.
pub(super) enum Stage {
    /// Before the upgrade.
    Opening(Box<Opening>),
    /// A WebSocket.
    Open(Open),
    /// The goodbye was said; what still comes is only looked at for the peer's.
    Closing(Decoder),
    /// The last word was said, to a client that is not understood (any more); what still comes is thrown away.
    Lingering,
}

/// Before the upgrade.
pub(super) struct Opening {
    /// Where the client is, as far as is known.
    pub(super) client: SocketAddr,
    /// A PROXY header that is not whole.
    pub(super) proxy_header: Option<Vec<u8>>,
    pub(super) head: HeadReader,
}

/// A WebSocket.
pub(super) struct Open {
    pub(super) decoder: Decoder,
    pub(super) session: Session,
}

/// What is counted for its address.
pub(super) enum Passage {
    /// Nothing (yet).
    None,
    /// A handshake.
    Knocking(Knocking),
    /// A connection.
    Inside(#[expect(dead_code, reason = "held to be counted")] Inside),
}

/// What a connection that was handed over is still counted for: a handshake of its address, until this is dropped.
#[must_use = "dropping it counts the connection as gone"]
pub struct Place(#[expect(dead_code, reason = "held to be counted")] pub(super) Passage);

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl Passage {
    /// It is known who it is.
    pub(super) fn establish(&mut self) {
        *self = match std::mem::replace(self, Self::None) {
            Self::Knocking(knocking) => Self::Inside(knocking.established()),
            other => other,
        };
    }
}

/// What the timer found a connection to need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// Nothing yet.
    Nothing,
    /// The stage has lasted too long.
    StageOver,
    /// It takes nothing of what waits for it.
    Slow,
    /// Nothing was heard for too long.
    Idle,
    /// It should say that it is there.
    Ping,
    /// The session has something to do.
    Session,
    /// It may be read again.
    Rested,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, peer: SocketAddr, id: ConnectionId, now: Duration) -> Self {
        let opening = Opening { client: peer, proxy_header: None, head: HeadReader::new() };
        Self {
            socket,
            id,
            stage: Stage::Opening(Box::new(opening)),
            queue: Queue::default(),
            budget: ConnectionBudget::default(),
            passage: Passage::None,
            entered: None,
            since: now.into(),
            heard: now.into(),
            armed: Stamp::NEVER,
            rest_until: Stamp::LONG_AGO,
            pinged: false,
            dirty: false,
            blocked: false,
            unread: false,
            leaving: false,
            half_open: true,
        }
    }

    /// When it needs something next, and what.
    pub(super) fn due(&self, now: Now, config: &EdgeConfig) -> (Duration, Due) {
        let timing = &config.timing;
        let stage_over = |limit: Duration| (self.since.time() + limit, Due::StageOver);
        let mut next = match &self.stage {
            Stage::Opening(_) => stage_over(timing.handshake),
            Stage::Closing(_) | Stage::Lingering => stage_over(timing.close),
            Stage::Open(open) if open.session.is_greeting() => stage_over(timing.hello),
            Stage::Open(open) => {
                let silence =
                    if self.pinged { (timing.idle, Due::Idle) } else { (timing.heartbeat.min(timing.idle), Due::Ping) };
                let heard = (self.heard.time() + silence.0, silence.1);
                let session = open.session.deadline(now, &config.session).map(|at| (at, Due::Session));
                session.into_iter().chain([heard]).min_by_key(|(at, _)| *at).unwrap_or(heard)
            }
        };
        if !matches!(self.stage, Stage::Closing(_) | Stage::Lingering) {
            if let Some(since) = self.queue.blocked_since() {
                next = earlier(next, (since + timing.slow, Due::Slow));
            }
            if self.rest_until > Stamp::LONG_AGO {
                next = earlier(next, (self.rest_until.time(), Due::Rested));
            }
        }
        if next.0 > now.mono { (next.0, Due::Nothing) } else { next }
    }

    /// Whether it is not to be read now.
    pub(super) fn rests(&self, now: Duration, config: &EdgeConfig) -> bool {
        (self.rest_until > Stamp::LONG_AGO && self.rest_until.time() > now)
            || self.queue.bytes() > config.room.queue_bytes_max
    }
}

fn earlier(a: (Duration, Due), b: (Duration, Due)) -> (Duration, Due) {
    if b.0 < a.0 { b } else { a }
}

/// This moment, as budgets count.
pub(super) fn moment(now: Now) -> Moment {
    Moment::from_nanos(u64::try_from(now.mono.as_nanos()).unwrap_or(u64::MAX))
}

/// An address without the clothes of IPv6.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside it, an idle connection costs its user's id, its part of the tables of readers and of accounts, and its
    /// entry in the timer wheel: some 300 bytes in all.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 320, "{}", size_of::<Connection>());
    }
}
