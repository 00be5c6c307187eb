//! The edge's door, made of its own files, on the simulation's sockets and clock. Beside them stands only what its main file
//! does with the real ones: the table of its parts, and the order of one turn.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "the files are the edge's and are checked there")]

#[path = "../../../edge/src/door/accept.rs"]
mod accept;
#[path = "../../../edge/src/door/connection.rs"]
mod connection;
#[path = "../../../edge/src/door/control.rs"]
mod control;
#[path = "../../../edge/src/door/deliver.rs"]
mod deliver;
#[path = "../../../edge/src/door/desk.rs"]
mod desk;
#[path = "../../../edge/src/door/ending.rs"]
mod ending;
#[path = "../../../edge/src/door/intake.rs"]
mod intake;
#[path = "../../../edge/src/door/listed.rs"]
mod listed;
#[path = "../../../edge/src/door/marks.rs"]
mod marks;
#[path = "../../../edge/src/door/opening.rs"]
mod opening;
#[path = "../../../edge/src/door/outbox.rs"]
mod outbox;
#[path = "../../../edge/src/door/presence.rs"]
mod presence;
#[path = "../../../edge/src/door/queue.rs"]
mod queue;
#[path = "../../../edge/src/door/timers.rs"]
mod timers;
#[path = "../../../edge/src/door/trace.rs"]
mod trace;
#[path = "../../../edge/src/door/typing.rs"]
mod typing;
#[path = "../../../edge/src/door/unseen.rs"]
mod unseen;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;
use switchyard_cluster::link::{Delivery, EdgeLink};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::id::{ConversationId, TenantId, UserId};

use crate::admission::door::Door as Admission;
use crate::auth::SharedVerifier;
use crate::config::EdgeConfig;
use crate::fanout::FanOut;
use crate::metrics::EdgeMetrics;
use crate::opened::Opened;
use crate::sockets::{Registry, TcpListener};
use crate::watchers::Watchers;
use crate::watching::Watching;
use crate::wheel::Wheel;
use accept::Accepting;
use connection::{Connection, ConnectionId, Place, Stage};
pub(crate) use control::{Control, Drain};
use desk::Desk;
use outbox::Outbox;
use presence::Untold;
use timers::Draining;
use unseen::Unseen;

/// As much as the door reads at a time.
const READ_BYTES: usize = 64 * 1024;

type HttpHandover = Arc<dyn Fn(std::net::TcpStream, Vec<u8>, SocketAddr, Place) + Send + Sync>;

/// What all doors of a process share.
pub(crate) struct Shared {
    config: EdgeConfig,
    verifier: Arc<SharedVerifier>,
    admission: Admission,
    handover: HttpHandover,
    control: Control,
}

impl Shared {
    pub(crate) fn new(mut config: EdgeConfig, verifier: Arc<SharedVerifier>) -> Arc<Self> {
        config.session.heartbeat_ms = u64::try_from(config.timing.heartbeat.as_millis()).unwrap();
        let admission = Admission::new(&config.budgets);
        Arc::new(Self { config, verifier, admission, handover: Arc::new(|_, _, _, _| {}), control: Control::default() })
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }
}

/// A socket that has become ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) slot: u32,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer's end was seen: the poll would tell nothing more.
    pub(crate) ended: bool,
}

/// See the module. The fields are those that the door's files know.
pub(crate) struct Door<L> {
    shared: Arc<Shared>,
    desk: Desk,
    registry: Registry,
    link: L,
    metrics: EdgeMetrics,
    nobody: UserId,
    listener: Option<TcpListener>,
    accepting: Accepting,
    connections: Slab<Box<Connection>>,
    next_serial: u32,
    half_open: VecDeque<ConnectionId>,
    half_open_count: usize,
    readers: FanOut,
    opened: Opened,
    watching: Watching,
    watchers: Watchers,
    untold: Untold,
    unseen: Unseen,
    tenants: HashSet<TenantId, foldhash::fast::RandomState>,
    outbox: Outbox,
    dirty: Vec<u32>,
    again: Vec<u32>,
    wheel: Wheel<ConnectionId>,
    origin: Instant,
    sweep_at: Duration,
    draining: Option<Draining>,
    read_buffer: Box<[u8]>,
    deliveries: Vec<Delivery>,
    fired: Vec<ConnectionId>,
}

impl<L: EdgeLink> Door<L> {
    pub(crate) fn new(shared: Arc<Shared>, edge: EdgeId, listener: TcpListener, link: L) -> Self {
        let origin = Instant::now();
        Self {
            desk: Desk::new(Arc::clone(&shared), edge, link.instance()),
            registry: Registry,
            link,
            metrics: EdgeMetrics::new(),
            nobody: UserId::new("edge").unwrap(),
            listener: Some(listener),
            accepting: Accepting::default(),
            connections: Slab::new(),
            next_serial: 0,
            half_open: VecDeque::new(),
            half_open_count: 0,
            readers: FanOut::default(),
            opened: Opened::default(),
            watching: Watching::default(),
            watchers: Watchers::default(),
            untold: Untold::default(),
            unseen: Unseen::default(),
            tenants: HashSet::default(),
            outbox: Outbox::default(),
            dirty: Vec::new(),
            again: Vec::new(),
            wheel: Wheel::new(origin),
            origin,
            sweep_at: Duration::ZERO,
            draining: None,
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            deliveries: Vec::new(),
            fired: Vec::new(),
            shared,
        }
    }

    fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot() as usize)?;
        (connection.id == id).then_some(&mut **connection)
    }

    /// The first half of a turn: sockets and time.
    pub(crate) fn intake(&mut self, newcomers: bool, ready: &[Ready], now: Now) {
        self.obey(now);
        for slot in std::mem::take(&mut self.again) {
            self.read(slot, now);
        }
        if newcomers {
            self.accepting.ready();
        }
        for ready in ready {
            if ready.writable {
                self.on_writable(ready.slot);
            }
            if ready.readable || ready.ended {
                self.on_readable(ready.slot, ready.ended, now);
            }
        }
        self.accept(now);
        self.on_time(now);
        self.link.flush();
    }

    /// The second half: what came over the link, and writing.
    pub(crate) fn flush(&mut self, now: Now) {
        let mut deliveries = std::mem::take(&mut self.deliveries);
        self.link.receive(&mut deliveries);
        for delivery in deliveries.drain(..) {
            self.deliver(delivery, now);
            if self.outbox.is_full() {
                self.write_dirty(now);
            }
        }
        self.deliveries = deliveries;
        self.tell_unseen(now);
        self.write_dirty(now);
        self.tell_untold(now);
        self.link.flush();
    }

    /// When it needs a turn by itself.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if !self.again.is_empty() || !self.dirty.is_empty() {
            return Some(Duration::ZERO);
        }
        let wheel = self.wheel.next(self.origin).map(|at| at.saturating_duration_since(self.origin));
        let wheel = wheel.into_iter().chain(self.untold.deadline()).chain(self.unseen.deadline());
        wheel.chain(self.accepting.deadline()).chain(self.draining_deadline()).min()
    }

    /// Whether it was told to go and is empty.
    pub(crate) fn done(&self) -> bool {
        self.draining.is_some() && self.connections.is_empty()
    }

    /// Connections, and conversations that somebody reads.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.connections.len(), self.readers.len())
    }

    /// What the connection in this slot reads, if it has a session.
    pub(crate) fn reads(&self, slot: u32) -> Option<Vec<ConversationId>> {
        let Stage::Open(open) = &self.connections.get(slot as usize)?.stage else { return None };
        let tenant = open.session.tenant()?;
        open.session.subscriptions().iter().map(|spot| self.readers.name(tenant, *spot)).collect()
    }

    /// Events that gave way in full queues.
    pub(crate) fn given_way(&self) -> u64 {
        self.metrics.tally.given_way
    }
}
