//! The edge's door on one worker: it accepts connections, reads and writes their sockets, hands what clients say to
//! their [sessions](crate::session) and what owners of conversations say to those who read them.
//!
//! One turn: sockets that are ready are read into one buffer that all share ([`intake`](Resident::intake)); then, when
//! the routers on this thread have worked, what came over the link is put into queues and every socket that has
//! something is written once ([`flush`](Resident::flush)). No task, channel, timer or heap of its own per session: one
//! timer wheel, one read buffer, one `outbox`.
//!
//! | part | does |
//! |---|---|
//! | `listen` | listening sockets that workers share |
//! | `accept` | new connections |
//! | `opening` | from the first byte to the upgrade, or to another server |
//! | `intake` | reads sockets, feeds sessions, carries out their effects |
//! | `desk` | what a session's call needs |
//! | `deliver` | answers and events from the link to queues |
//! | `listed` | what comes to users' lists and goes, to sessions that want all |
//! | `presence` | who is online, to those who watch them, and of whom there are sessions |
//! | `typing` | who types, to those who have the conversation open |
//! | `marks` | how far members have come, to those who read the conversation |
//! | `outbox`, `queue` | frames, each made once; what waits for a socket |
//! | `unseen` | answers that there is nothing, each as late as the other |
//! | `ending` | goodbyes, and what is cleaned up after a connection |
//! | `timers` | deadlines |
//! | `control` | the order to go |
//! | `trace` | what the log says of requests |

mod accept;
mod connection;
mod control;
mod deliver;
mod desk;
mod ending;
mod intake;
mod listed;
mod listen;
mod marks;
mod opening;
mod outbox;
mod presence;
mod queue;
mod timers;
mod trace;
mod typing;
mod unseen;

pub use connection::Place;
pub use control::{Control, Drain};
pub use listen::{Listeners, bind};

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Interest, Registry, Token};
use slab::Slab;
use switchyard_cluster::link::{Delivery, EdgeLink};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::worker::{Resident, Worker};
use switchyard_protocol::id::{TenantId, UserId};

use crate::admission::door::Door as Admission;
use crate::auth::SharedVerifier;
use crate::config::EdgeConfig;
use crate::fanout::FanOut;
use crate::metrics::EdgeMetrics;
use crate::opened::Opened;
use crate::watchers::Watchers;
use crate::watching::Watching;
use crate::wheel::Wheel;
use accept::Accepting;
use connection::{Connection, ConnectionId};
use control::OpenDoor;
use desk::Desk;
use outbox::Outbox;
use presence::Untold;
use timers::Draining;
use unseen::Unseen;

/// Bytes read from one socket at a time; what is more waits for the next turn, so that nobody is starved.
const READ_BYTES: usize = 64 * 1024;

/// The listener's token. Connections have their slots, from 0 on; other residents of the worker are to keep to numbers
/// between the two.
const LISTENER: Token = Token(usize::MAX - 1);

/// Takes over a connection that is no WebSocket: the socket, what was read of it, the client's address, and its place
/// among that address's.
pub type HttpHandover = Arc<dyn Fn(std::net::TcpStream, Vec<u8>, SocketAddr, Place) + Send + Sync>;

/// What all doors of a process share.
pub struct Shared {
    config: EdgeConfig,
    verifier: Arc<SharedVerifier>,
    admission: Admission,
    handover: HttpHandover,
    control: Control,
}

impl Shared {
    /// With this configuration. `verifier` may be replaced while doors run.
    pub fn new(mut config: EdgeConfig, verifier: Arc<SharedVerifier>, handover: HttpHandover) -> Arc<Self> {
        config.session.heartbeat_ms = u64::try_from(config.timing.heartbeat.as_millis()).unwrap_or(u64::MAX);
        config.session = config.session.with_leeway(verifier.current().leeway());
        let admission = Admission::new(&config.budgets);
        Arc::new(Self { config, verifier, admission, handover, control: Control::default() })
    }

    /// To order the doors to go.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

/// See the module.
pub struct Door<L> {
    shared: Arc<Shared>,
    desk: Desk,
    registry: Registry,
    link: L,
    metrics: EdgeMetrics,
    /// Who gives up conversations: the edge itself, for no user of its own.
    nobody: UserId,

    listener: Option<TcpListener>,
    accepting: Accepting,
    connections: Slab<Box<Connection>>,
    next_serial: u32,
    /// Those that have not said who they are, oldest first, and some that have.
    half_open: VecDeque<ConnectionId>,
    half_open_count: usize,
    readers: FanOut,
    opened: Opened,
    watching: Watching,
    watchers: Watchers,
    untold: Untold,
    unseen: Unseen,
    /// One shared copy of each tenant's id.
    tenants: HashSet<TenantId, foldhash::fast::RandomState>,

    outbox: Outbox,
    /// Sockets with something to write.
    dirty: Vec<u32>,
    /// Sockets with something to read, beside those that the poll tells of.
    again: Vec<u32>,
    wheel: Wheel<ConnectionId>,
    /// What the wheel's and the worker's clock begin with.
    origin: Instant,
    /// When accounts of those who are gone are swept out next.
    sweep_at: Duration,
    draining: Option<Draining>,
    /// Until it was told to go and is empty.
    open: Option<OpenDoor>,

    // Empty between calls; kept for their room.
    read_buffer: Box<[u8]>,
    deliveries: Vec<Delivery>,
    fired: Vec<ConnectionId>,
}

impl<L: EdgeLink> Door<L> {
    /// A door on this worker, with one of the [`Listeners`] and the worker's end of the link.
    pub fn new(
        shared: Arc<Shared>,
        edge: EdgeId,
        worker: &Worker,
        listener: std::net::TcpListener,
        link: L,
    ) -> io::Result<Self> {
        let registry = worker.registry()?;
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        let open = shared.control.add_door(worker.bell());
        let origin = Instant::now();
        Ok(Self {
            desk: Desk::new(Arc::clone(&shared), edge, link.instance()),
            registry,
            link,
            metrics: EdgeMetrics::new(),
            nobody: UserId::new("edge").expect("the constant is a valid id"),
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
            open: Some(open),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            deliveries: Vec::new(),
            fired: Vec::new(),
            shared,
        })
    }

    /// The connection of this number, if it is still there.
    fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(id.slot() as usize)?;
        (connection.id == id).then_some(&mut **connection)
    }
}

impl<L: EdgeLink> Resident for Door<L> {
    fn intake(&mut self, events: &Events, now: Now) {
        if !events.is_empty() {
            self.desk.verifier = self.shared.verifier.current();
        }
        self.obey(now);
        for slot in std::mem::take(&mut self.again) {
            self.read(slot, now);
        }
        for event in events {
            match event.token() {
                LISTENER => self.accepting.ready(),
                Token(slot) => {
                    let Ok(slot) = u32::try_from(slot) else { continue };
                    let ended = event.is_read_closed() || event.is_error();
                    if event.is_writable() {
                        self.on_writable(slot);
                    }
                    if event.is_readable() || ended {
                        self.on_readable(slot, ended, now);
                    }
                }
            }
        }
        self.accept(now);
        self.on_time(now);
        self.link.flush();
    }

    fn turn(&mut self, _now: Now) {}

    fn flush(&mut self, now: Now) {
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
        // Refusals of full links and the end of conversations ask for something, too.
        self.link.flush();
        self.metrics.publish();
        if self.draining.is_some() && self.connections.is_empty() && self.untold.is_empty() {
            self.open = None;
        }
    }

    fn deadline(&self) -> Option<Duration> {
        if !self.again.is_empty() || !self.dirty.is_empty() {
            return Some(Duration::ZERO);
        }
        let wheel = self.wheel.next(self.origin).map(|at| at.saturating_duration_since(self.origin));
        let wheel = wheel.into_iter().chain(self.untold.deadline()).chain(self.unseen.deadline());
        wheel.chain(self.accepting.deadline()).chain(self.draining_deadline()).min()
    }

    fn rest(&mut self) {
        self.link.rest();
        self.desk.rest();
        self.outbox.rest();
        self.half_open.shrink_to_fit();
        self.deliveries.shrink_to_fit();
        self.fired.shrink_to_fit();
        self.dirty.shrink_to_fit();
        self.again.shrink_to_fit();
    }

    fn done(&self) -> bool {
        // Clients of other doors have conversations on this worker.
        self.open.is_none() && self.shared.control.all_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A door may be made on one thread and live on another.
    #[test]
    fn a_door_can_be_moved_to_its_worker() {
        fn is_send<T: Send>() {}
        is_send::<Door<switchyard_cluster::mesh::MeshEdge>>();
        is_send::<Worker>();
    }
}
