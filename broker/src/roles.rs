//! Wires the roles of one process together and starts them: the only place that knows them all. On each worker thread
//! live an edge's door and a router; beside the workers run the commit thread, the readers, the owner and the HTTP server.

mod http;
mod owning;
mod stored;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use metrics::counter;
use switchyard_cluster::mailbox::Bell;
use switchyard_cluster::mesh::{self, MeshEdge, MeshRouter};
use switchyard_cluster::now::Clock;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::trace::Instance;
use switchyard_cluster::worker::{Resident, Worker};
use switchyard_edge::auth::{SharedVerifier, Verifier};
use switchyard_edge::door::{Door, Drain, Listeners, Shared};
use switchyard_router::config::RouterConfig;
use switchyard_router::driver::{Commits, Owned, Owner, Process, Readers, Router};
use switchyard_store::cql::{Cql, Sent};

use crate::commands::own_claims;
use crate::config::{Problem, Problems, Settings, Tokens};
use crate::exit::Failure;
use crate::listen::BindError;
use crate::memory::give_back;
use crate::metrics::STORE_STATEMENTS;
use crate::ops::Readiness;
use crate::ops::http::public_router;
use crate::page::{self, DemoUsers};
use crate::signals::Event;
use crate::threads::Threads;
use http::Http;
use owning::{Owning, own_all};
use stored::Stored;

/// Part of the drain's time that clients have for moving by themselves; the rest is for what is in flight.
const MOVING_SHARE: u32 = 2;

/// The part of readiness that a store in a cluster has; that of an embedded one is looked after by `ops`.
const STORE: &str = "store";

/// The part of readiness that this machine's clock has, in a cluster.
const CLOCK: &str = "clock";

/// What the roles are made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// How tokens are checked.
    pub tokens: &'a Tokens,
    /// Where a role says that clients should stay away.
    pub readiness: Readiness,
    /// Where a role says that it cannot go on.
    pub events: Sender<Event>,
}

/// The running roles.
pub struct Roles {
    public: SocketAddr,
    doors: Arc<Shared>,
    verifier: Arc<SharedVerifier>,
    demo: Option<Arc<DemoUsers>>,
    stop: Arc<AtomicBool>,
    bells: Vec<Arc<Bell>>,
    workers: Threads,
    commits: Commits,
    readers: Readers,
    owner: Owner,
    owned: Arc<Owned>,
    cluster: Option<Weak<Cql>>,
    readiness: Readiness,
    store_threads: Threads,
    http: Http,
}

/// What a worker thread is given to make its residents of; they are made on their own thread.
struct Seat {
    worker: Worker,
    edge_link: MeshEdge,
    router_link: MeshRouter,
    listener: std::net::TcpListener,
    edge: EdgeId,
}

/// What all routers of the process share.
#[derive(Clone)]
struct RouterParts {
    config: RouterConfig,
    process: Process,
    commits: Commits,
    readers: Readers,
}

impl Roles {
    /// Their names, for the ready line.
    pub const NAMES: &'static [&'static str] = &["edge", "router"];

    /// Binds and starts them; when this returns, clients may come.
    pub fn start(parts: Parts<'_>) -> Result<Self, Failure> {
        let Parts { settings, tokens, readiness, events } = parts;
        let clock = Clock::start();
        let Stored { timelines, owners, process, cluster } = Stored::open(settings)?;
        // An embedded one has read its whole journal.
        give_back();

        let address = settings.config.server.listen;
        let Listeners { address: public, sockets } = switchyard_edge::door::bind(address, settings.workers())
            .map_err(|error| BindError { address, option: "--listen", error })?;

        let verifier = Arc::new(SharedVerifier::new(verifier(tokens)?));
        let demo = demo_users(settings, tokens, public)?;
        let http = Http::start(public_router(readiness.clone(), page::routes(demo.clone())))
            .context("the HTTP server cannot start")?;
        let doors = Shared::new(settings.edge(public)?, Arc::clone(&verifier), http.handover());

        let owning = own_all(owners, public.to_string(), clock, events.clone())?;
        let router_config = settings.router();
        let (commits, committing) = Commits::start(Arc::clone(&timelines), give_back).context("the commit thread")?;
        let (readers, reading) =
            Readers::start(timelines, router_config.readers, give_back).context("the reader threads")?;
        let mut store_threads = Threads::default();
        reading.into_iter().chain([committing, owning.thread]).for_each(|thread| store_threads.add(thread));
        let router = RouterParts {
            config: router_config,
            process: Process { number: process, owned: Arc::clone(&owning.owned), seed: rand::random() },
            commits: commits.clone(),
            readers: readers.clone(),
        };

        let stop = Arc::new(AtomicBool::new(false));
        let (seats, bells) = seats(sockets, clock, Instance::new(rand::random()))?;
        let mut workers = Threads::default();
        for seat in seats {
            workers.add(start_worker(seat, &doors, &router, &stop, &events)?);
        }
        let Owning { owned, owner, .. } = owning;
        Ok(Self {
            public,
            doors,
            verifier,
            demo,
            stop,
            bells,
            workers,
            commits,
            readers,
            owner,
            owned,
            cluster,
            readiness,
            store_threads,
            http,
        })
    }

    /// Where clients connect, as it was really bound.
    pub fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Tells operators how the store does.
    pub fn measure(&self) {
        let Some(cluster) = self.cluster.as_ref().and_then(Weak::upgrade) else { return };
        for Sent { table, operation, count } in cluster.statements_sent_by_table() {
            counter!(STORE_STATEMENTS, "table" => table, "operation" => operation).absolute(count);
        }
        if self.owned.is_sure() {
            self.readiness.ready(STORE);
        } else {
            let why = "the store does not say that this process is still the owner; requests are refused until it does";
            self.readiness.not_ready(STORE, why);
        }
        match cluster.clock_off_ms() {
            None => self.readiness.ready(CLOCK),
            Some(off_ms) => self.readiness.not_ready(CLOCK, clock_is_off(off_ms)),
        }
    }

    /// Why they cannot go on, when one of their threads has ended without having been told to. What was acknowledged is on
    /// disk: a process that starts again has all of it.
    pub fn failed(&mut self) -> Option<Failure> {
        self.workers.ended().or_else(|| self.store_threads.ended()).or_else(|| self.http.ended())
    }

    /// Puts new secrets and keys in force.
    pub fn reload(&self, verifier: Verifier, tokens: &Tokens) {
        self.verifier.replace(verifier);
        if let (Some(demo), Some(signing)) = (&self.demo, &tokens.signing) {
            demo.sign_with(signing.clone());
        }
    }

    /// Ends them, edges first: clients are asked to move, what is in flight is finished, then the store is closed. The
    /// deadline itself is kept by `signals`.
    pub fn drain(self, until: Instant) -> Result<(), Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let moving = left / MOVING_SHARE;
        self.doors.control().drain(Drain {
            after_min: Duration::ZERO,
            after_max: moving.mul_f32(0.8),
            deadline: moving,
        });
        self.stop.store(true, Ordering::Relaxed);
        self.bells.iter().for_each(|bell| bell.ring());
        self.workers.join()?;
        self.readers.stop();
        self.commits.stop();
        self.owner.stop();
        // The last handles to the store end with these threads; a commit or projection under way is finished.
        self.store_threads.join()?;
        self.http.stop()
    }
}

fn clock_is_off(off_ms: i64) -> String {
    let by = Duration::from_millis(off_ms.unsigned_abs()).as_secs();
    let which = if off_ms > 0 { "behind" } else { "ahead of" };
    format!(
        "this machine's clock is {by} s {which} those of most of the store's nodes that it hears from; set it by the network's time (NTP)"
    )
}

/// What checks tokens. The configuration was checked when it was read; a key file may have changed since.
pub fn verifier(tokens: &Tokens) -> Result<Verifier, Problems> {
    Verifier::new(&tokens.config)
        .map_err(|errors| Problems(errors.iter().map(|error| Problem::new("auth", error.to_string())).collect()))
}

/// The users of the demonstration, if there are any.
fn demo_users(settings: &Settings, tokens: &Tokens, public: SocketAddr) -> Result<Option<Arc<DemoUsers>>, Failure> {
    if !settings.demo_users() {
        return Ok(None);
    }
    let signing = tokens.signing.clone().context("demo users need a secret to sign with, which was checked")?;
    Ok(Some(Arc::new(DemoUsers::new(public, signing, own_claims(settings)))))
}

fn seats(
    sockets: Vec<std::net::TcpListener>,
    clock: Clock,
    instance: Instance,
) -> Result<(Vec<Seat>, Vec<Arc<Bell>>), Failure> {
    let workers: Vec<Worker> =
        sockets.iter().map(|_| Worker::new(clock)).collect::<Result<_, _>>().context("a worker's poll")?;
    let bells: Vec<Arc<Bell>> = workers.iter().map(Worker::bell).collect();
    let links = mesh::join(&bells, instance);
    let seats = workers.into_iter().zip(links).zip(sockets).zip(0_u16..).map(
        |(((worker, (edge_link, router_link)), listener), at)| Seat {
            worker,
            edge_link,
            router_link,
            listener,
            edge: EdgeId(at),
        },
    );
    Ok((seats.collect(), bells))
}

fn start_worker(
    seat: Seat,
    doors: &Arc<Shared>,
    router: &RouterParts,
    stop: &Arc<AtomicBool>,
    events: &Sender<Event>,
) -> Result<thread::JoinHandle<()>, Failure> {
    let (doors, router, stop, events) = (Arc::clone(doors), router.clone(), Arc::clone(stop), events.clone());
    let name = format!("worker-{}", seat.edge.0);
    let thread = thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = work(seat, doors, router, &stop) {
            let _ = events.send(Event::Failed(anyhow::Error::from(error).context("a worker").into()));
        }
    });
    Ok(thread.context("a worker thread")?)
}

fn work(seat: Seat, doors: Arc<Shared>, router: RouterParts, stop: &AtomicBool) -> std::io::Result<()> {
    let Seat { worker, edge_link, router_link, listener, edge } = seat;
    let door = Door::new(doors, edge, &worker, listener, edge_link)?;
    let RouterParts { config, process, commits, readers } = router;
    let router = Router::new(config, process, Box::new(router_link), commits, readers, worker.bell());
    let mut residents: Vec<Box<dyn Resident>> = vec![Box::new(door), Box::new(router)];
    worker.run(&mut residents, stop, give_back)
}
