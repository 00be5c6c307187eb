//! Threads that read the store and write projections: everything that may wait for a disk but is not the log. What they
//! read is turned into the live protocol's messages here, off the workers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use switchyard_cluster::party::{Asker, Home};
use switchyard_protocol::id::ConversationKey;
use switchyard_store::Mark;

use super::jobs::{Job, Jobs, Line, Waiting};
use super::load::load;
use super::read::read;
use super::rest::Rest;
use super::rows::failed;
use super::write::{project, raise};
use super::{Completions, Timelines, Touch, homes, roles, seen};
use crate::config::Cutoffs;
use crate::machine::{Input, LoadFailed, Projection, ReadFailed, ReadPlan, Ticket, ToldRoles};
use crate::rules::Rules;

/// A handle to the readers; one per worker.
#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
    seed: u64,
}

impl Readers {
    /// Starts `threads` of them. They end when [`stop`](Self::stop) was called and no job waits. `rest` is called once by
    /// each whenever nothing has come for some time.
    pub fn start(
        store: Arc<dyn Timelines>,
        threads: usize,
        rest: fn(),
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let threads = threads.max(1);
        let queue = Mutex::new(Queue { jobs: Jobs::new(threads), stopped: false });
        let shared = Arc::new(Shared { store, queue, ready: Condvar::new() });
        let handles = (0..threads)
            .map(|at| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("reader-{at}")).spawn(move || run(&shared, rest))
            })
            .collect::<std::io::Result<_>>()?;
        Ok((Self { shared, seed: 0 }, handles))
    }

    /// The same threads for a machine with this seed.
    pub(super) fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Lets the threads end once no job waits.
    pub fn stop(&self) {
        self.shared.queue().stopped = true;
        self.shared.ready.notify_all();
    }

    /// Loads a conversation for the owner of its shard in this epoch; it fails if there is none.
    pub(super) fn load(&self, to: &Completions, key: ConversationKey, cutoffs: Cutoffs, epoch: Option<u64>) {
        match epoch {
            Some(epoch) => self.submit(to, Job::Load { key, seed: self.seed, cutoffs, touch: Touch::Owner { epoch } }),
            None => to.post(&mut vec![Input::Loaded { key, result: Err(LoadFailed::unavailable()) }]),
        }
    }

    pub(super) fn read(&self, to: &Completions, key: ConversationKey, ticket: Box<Ticket>, plan: ReadPlan) {
        self.submit(to, Job::Read { key, ticket, plan });
    }

    pub(super) fn project(&self, to: &Completions, key: ConversationKey, projection: Box<Projection>) {
        self.submit(to, Job::Project { key, projection });
    }

    pub(super) fn raise(&self, to: &Completions, marks: Vec<Mark>) {
        self.submit(to, Job::Raise(marks));
    }

    pub(super) fn keep_roles(&self, to: &Completions, told: Vec<ToldRoles>) {
        self.submit(to, Job::Roles(told));
    }

    /// Lets the load of a conversation, or the decoy of this name, go before those that only readers wait for.
    pub(super) fn hurry(&self, key: &ConversationKey) {
        self.shared.queue().jobs.hurry(key);
    }

    pub(super) fn decoy(&self, completions: &Completions, key: ConversationKey, to: Asker) {
        self.submit(completions, Job::Decoy { key, to });
    }

    /// Loads a home for the owner of its shard in this epoch; it fails if there is none.
    pub(super) fn load_home(&self, to: &Completions, home: Home, own: bool, epoch: Option<u64>) {
        match epoch {
            Some(epoch) => self.submit(to, Job::Home { home, own, touch: Touch::Owner { epoch } }),
            None => to.post(&mut vec![Input::HomeLoaded { home, result: Err(ReadFailed::Unavailable) }]),
        }
    }

    pub(super) fn load_seen(&self, to: &Completions, home: Home, process: (u64, u64)) {
        self.submit(to, Job::Seen(home, process));
    }

    fn submit(&self, to: &Completions, job: Job) {
        let taken = self.shared.queue().jobs.push(to, job);
        match taken {
            Ok(()) => self.shared.ready.notify_one(),
            Err(job) => to.post(&mut vec![refused(job)]),
        }
    }
}

struct Shared {
    store: Arc<dyn Timelines>,
    queue: Mutex<Queue>,
    ready: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Queue {
    jobs: Jobs,
    stopped: bool,
}

/// What a job comes to that found no room.
fn refused(job: Job) -> Input {
    match job {
        Job::Load { key, .. } => Input::Loaded { key, result: Err(LoadFailed::unavailable()) },
        Job::Read { ticket, .. } => Input::Read { ticket, result: Err(ReadFailed::Unavailable) },
        Job::Project { key, projection } => Input::Projected { key, result: Err(projection) },
        Job::Raise(marks) => Input::Raised(Err(marks)),
        Job::Roles(told) => Input::RolesKept { told, result: Err(ReadFailed::Unavailable) },
        Job::Decoy { to, .. } => Input::Decoyed { to, failed: Some(ReadFailed::Unavailable) },
        Job::Seen(home, _) => Input::SeenLoaded { home, result: Err(ReadFailed::Unavailable) },
        Job::Home { home, .. } => Input::HomeLoaded { home, result: Err(ReadFailed::Unavailable) },
    }
}

fn run(shared: &Shared, rest: fn()) {
    let store = &*shared.store;
    let mut rest = Rest::new(rest);
    while let Some((line, (to, job))) = take(shared, &mut rest) {
        let done = match job {
            Job::Load { key, seed, cutoffs, touch } => {
                let result = load(store, &key, seed, cutoffs, touch);
                Input::Loaded { key, result }
            }
            Job::Read { key, ticket, plan } => {
                let result = read(store, &key, plan).map_err(|error| failed(&error));
                Input::Read { ticket, result }
            }
            Job::Project { key, projection } => {
                let result = project(store, Rules::default(), &key, projection);
                Input::Projected { key, result }
            }
            Job::Raise(marks) => Input::Raised(raise(store, marks)),
            Job::Roles(told) => {
                let result = roles::keep(store, &told);
                Input::RolesKept { told, result }
            }
            Job::Decoy { key, to } => {
                // What it found is thrown away, its time is what counts.
                let failed = load(store, &key, 0, Cutoffs::default(), Touch::Stranger).err().map(|error| error.failed);
                Input::Decoyed { to, failed }
            }
            Job::Seen(home, (process, began_ms)) => {
                let result = seen::load(store, &home, process, began_ms);
                Input::SeenLoaded { home, result }
            }
            Job::Home { home, own, touch } => {
                let result = homes::load(store, &home, own, touch);
                Input::HomeLoaded { home, result }
            }
        };
        to.post(&mut vec![done]);
        shared.queue().jobs.ended(line);
    }
}

fn take(shared: &Shared, rest: &mut Rest) -> Option<(Line, Waiting)> {
    let mut queue = shared.queue();
    loop {
        if let Some(job) = queue.jobs.pop() {
            rest.disturbed();
            return Some(job);
        }
        queue.jobs.rest();
        if queue.stopped {
            return None;
        }
        queue = rest.wait(&shared.queue, &shared.ready, queue);
    }
}
