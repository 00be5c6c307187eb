//! The driver: carries a worker's shard machine. Its inputs are the link's requests and the completions that the commit
//! thread and the readers post; its effects go to the link, the commit thread and the readers. It never blocks.

mod beginning;
mod clearing;
mod commit;
pub mod homes;
mod jobs;
pub mod load;
mod owned;
mod owner;
pub mod ownership;
mod present;
pub mod read;
mod reader;
mod rest;
pub mod roles;
pub mod rows;
pub mod seen;
mod touch;
mod trace;
mod trouble;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use switchyard_cluster::link::{Delivery, Request, RouterLink};
use switchyard_cluster::mailbox::{Bell, Mailbox, keep_little};
use switchyard_cluster::now::Now;
use switchyard_cluster::routers::RouterMessage;
use switchyard_cluster::worker::Resident;
use switchyard_protocol::shard::Shard;
use switchyard_store::{Batch, Log, Marks, Projections};

pub use commit::Commits;
pub use owned::Owned;
pub use owner::{Owner, Told};
pub use reader::Readers;
pub use touch::Touch;

use crate::config::RouterConfig;
use crate::machine::{Effect, Input, Machine};
use crate::metrics::WorkerMetrics;
use owned::Title;

/// What a router needs of a store.
pub trait Timelines: Log + Projections + Marks {}

impl<T: Log + Projections + Marks> Timelines for T {}

/// Where a worker's completions are posted.
pub type Completions = Arc<Mailbox<Input>>;

/// What all routers of a process have in common.
#[derive(Clone)]
pub struct Process {
    /// Numbers it among all that ever served this store: see [`Machine::new`].
    pub number: u64,
    /// What it owns.
    pub owned: Arc<Owned>,
    /// Keys their hashes; should be random.
    pub seed: u64,
}

/// A router on one worker.
pub struct Router {
    machine: Machine,
    title: Title,
    link: Box<dyn RouterLink>,
    commits: Commits,
    readers: Readers,
    completions: Completions,
    requests: Vec<Request>,
    told: Vec<RouterMessage>,
    completed: Vec<Input>,
    /// What was read while it was not known whose it is: at most what was asked for before.
    held: Vec<Input>,
    effects: Vec<Effect>,
    batches: Vec<Batch>,
    metrics: WorkerMetrics,
    created: u64,
    loaded: usize,
}

impl Router {
    /// A router for the worker that `bell` wakes.
    pub fn new(
        config: RouterConfig,
        process: Process,
        link: Box<dyn RouterLink>,
        commits: Commits,
        readers: Readers,
        bell: Arc<Bell>,
    ) -> Self {
        let Process { number, owned, seed } = process;
        Self {
            machine: Machine::new(config, number, seed),
            title: Title::new(owned, Arc::clone(&bell)),
            link,
            commits,
            readers: readers.with_seed(seed),
            completions: Arc::new(Mailbox::new(bell)),
            requests: Vec::new(),
            told: Vec::new(),
            completed: Vec::new(),
            held: Vec::new(),
            effects: Vec::new(),
            batches: Vec::new(),
            metrics: WorkerMetrics::new(),
            created: 0,
            loaded: 0,
        }
    }

    fn act(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            trace::goes_on(&*self.link, &self.machine, &effect);
            match effect {
                Effect::Append(batch) => self.batches.push(batch),
                Effect::Answer { to, answer } => self.link.send(to.edge, Delivery::Answer { to, answer }),
                Effect::Publish { edge, event } => self.link.send(edge, Delivery::Event(event)),
                Effect::Typing { edge, now } => self.link.send(edge, Delivery::Typing(now)),
                Effect::Marks { edge, now } => self.link.send(edge, Delivery::Marks(now)),
                Effect::Raise(marks) => self.readers.raise(&self.completions, marks),
                Effect::KeepRoles(told) => self.readers.keep_roles(&self.completions, told),
                Effect::Listed { edge, now } => self.link.send(edge, Delivery::Listed(now)),
                Effect::Tell(message) => self.link.tell(*message),
                Effect::Presence { edge, now } => self.link.send(edge, Delivery::Presence(now)),
                Effect::Parted { edge, parted } => self.link.send(edge, Delivery::Parted(parted)),
                Effect::LoadSeen { home, process, began_ms } => {
                    self.readers.load_seen(&self.completions, home, (process, began_ms));
                }
                Effect::LoadHome { home, own } => {
                    let epoch = self.machine.epoch_of(home.shard());
                    self.readers.load_home(&self.completions, home, own, epoch);
                }
                Effect::Project { key, projection } => self.readers.project(&self.completions, key, projection),
                Effect::Load { key, cutoffs } => {
                    let epoch = self.machine.epoch_of(Shard::of_conversation(&key));
                    self.readers.load(&self.completions, key, cutoffs, epoch);
                }
                Effect::Read { key, ticket, plan } => self.readers.read(&self.completions, key, ticket, plan),
                Effect::Hurry(key) => self.readers.hurry(&key),
                Effect::Decoy { key, to } => self.readers.decoy(&self.completions, key, to),
            }
        }
        keep_little(&mut effects);
        self.effects = effects;
    }
}

impl Resident for Router {
    fn intake(&mut self, _events: &mio::Events, _now: Now) {}

    fn turn(&mut self, now: Now) {
        // While it is not known whether they are still this router's, requests wait, and so does what was read for others.
        let takes_in = self.title.takes_in(now);
        let mut completed = std::mem::take(&mut self.completed);
        self.completions.take(&mut completed);
        // Known after it was read.
        let is_sure = (completed.is_empty() && self.held.is_empty()) || self.title.is_sure();
        for input in std::mem::take(&mut self.held).into_iter().chain(completed.drain(..)) {
            trace::done(&*self.link, &self.machine, &input);
            match input {
                input if is_sure || !input.is_read() => self.machine.handle(now, input, &mut self.effects),
                input if takes_in => self.machine.handle(now, input.unread(), &mut self.effects),
                input => self.held.push(input),
            }
        }
        keep_little(&mut completed);
        self.completed = completed;

        if let Some(shards) = self.title.changes() {
            self.machine.handle(now, Input::Owned(shards), &mut self.effects);
        }
        let mut requests = std::mem::take(&mut self.requests);
        if takes_in {
            self.link.receive(&mut requests);
        }
        // Known after they came, so that what is said of any is true at some time since.
        let is_sure = requests.is_empty() || self.title.is_sure();
        // Taken after the requests and heard before them: who asks for a list after an answer finds what was answered.
        let mut told = std::mem::take(&mut self.told);
        self.link.receive_told(&mut told);
        for message in told.drain(..) {
            self.machine.handle(now, Input::Told(message), &mut self.effects);
        }
        keep_little(&mut told);
        self.told = told;
        for request in requests.drain(..) {
            trace::came(&*self.link, &request, is_sure);
            let input = if is_sure { Input::Request(request) } else { Input::Unsure(request) };
            self.machine.handle(now, input, &mut self.effects);
        }
        keep_little(&mut requests);
        self.requests = requests;

        self.machine.tick(now, &mut self.effects);
        self.act();
        self.commits.submit(&mut self.batches, &self.completions);
        self.link.flush();

        let created = self.machine.messages_created();
        if created != self.created {
            self.metrics.messages_created.increment(created - self.created);
            self.created = created;
        }
        // Every worker adds its own to one gauge.
        let loaded = self.machine.loaded_conversations();
        self.metrics.conversations_loaded.increment(loaded as f64 - self.loaded as f64);
        self.loaded = loaded;
    }

    fn flush(&mut self, _now: Now) {}

    fn deadline(&self) -> Option<Duration> {
        self.machine.deadline().into_iter().chain(self.title.deadline()).min()
    }

    fn done(&self) -> bool {
        self.machine.at_rest()
    }
}

/// The encoded form of a message that was read back.
fn encode_message(message: &switchyard_protocol::v1::Message) -> Bytes {
    crate::stored::encode(message)
}
