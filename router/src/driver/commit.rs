//! The commit thread: takes every batch that waits, from all workers, stores them with one append and confirms them with
//! one barrier, and posts one list of completions per worker. Nothing else in the process waits for the disk's sync.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use switchyard_store::{Batch, Outcome, Refusal};

use super::rest::Rest;
use super::{Completions, Timelines};
use crate::machine::{CommitOutcome, Input};
use crate::metrics::CommitMetrics;

/// After a commit of several rows, how long to let more gather before the next: at a steady load one sync then serves
/// several times as many messages, and a lone message never waits.
const LINGER: Duration = Duration::from_micros(500);

/// Rows in a commit from which on the next one lingers.
const LINGER_ROWS: usize = 3;

/// Rows already waiting from which on nothing is gained by waiting for more.
const LINGER_ENOUGH_ROWS: usize = 64;

/// Rows given to the store in one append; the rest waits for the next. Bounds how long one commit takes.
const COMMIT_ROWS_MAX: usize = 8_192;

/// A handle to the commit thread; one per worker, all alike.
#[derive(Clone)]
pub struct Commits {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<(Completions, Batch)>,
    rows: usize,
    stopped: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    /// Starts the thread. It ends when [`stop`](Self::stop) was called and nothing waits. `rest` is called once whenever
    /// nothing has come for some time.
    pub fn start(store: Arc<dyn Timelines>, rest: fn()) -> std::io::Result<(Self, JoinHandle<()>)> {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::default()), ready: Condvar::new() });
        let commits = Self { shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("commit".into()).spawn(move || run(&shared, &*store, rest))?;
        Ok((commits, thread))
    }

    /// Hands batches over; what becomes of each is posted to `to`. Bounded by the machines: one batch a conversation.
    pub(super) fn submit(&self, batches: &mut Vec<Batch>, to: &Completions) {
        if batches.is_empty() {
            return;
        }
        let mut queue = self.shared.queue();
        queue.rows += batches.iter().map(|batch| batch.rows.len()).sum::<usize>();
        queue.waiting.extend(batches.drain(..).map(|batch| (Arc::clone(to), batch)));
        drop(queue);
        self.shared.ready.notify_one();
    }

    /// Lets the thread end once everything that waits is stored.
    pub fn stop(&self) {
        self.shared.queue().stopped = true;
        self.shared.ready.notify_one();
    }
}

fn run(shared: &Shared, store: &dyn Timelines, rest: fn()) {
    let metrics = CommitMetrics::new();
    let mut rest = Rest::new(rest);
    let mut last_rows = 0;
    while let Some(taken) = take(shared, last_rows, &mut rest) {
        let (owners, batches): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        last_rows = batches.iter().map(|batch: &Batch| batch.rows.len()).sum();
        let started = Instant::now();
        let outcomes = commit(store, &batches, &metrics);
        metrics.rows.record(last_rows as f64);
        metrics.seconds.record(started.elapsed());
        post(owners, batches, outcomes);
    }
}

/// Waits for batches and takes them; nothing once stopped and empty.
fn take(shared: &Shared, last_rows: usize, rest: &mut Rest) -> Option<Vec<(Completions, Batch)>> {
    let mut queue = shared.queue();
    while queue.waiting.is_empty() {
        if queue.stopped {
            return None;
        }
        queue = rest.wait(&shared.queue, &shared.ready, queue);
    }
    rest.disturbed();
    if last_rows >= LINGER_ROWS && queue.rows < LINGER_ENOUGH_ROWS && !queue.stopped {
        // Asleep without the lock: a worker that hands over more does not wake this thread early.
        drop(queue);
        std::thread::sleep(LINGER);
        queue = shared.queue();
    }
    let mut rows = 0;
    let fit = queue.waiting.iter().take_while(|(_, batch)| {
        rows += batch.rows.len();
        rows <= COMMIT_ROWS_MAX
    });
    let fit = fit.count();
    let taken: Vec<_> = if fit == queue.waiting.len() {
        std::mem::take(&mut queue.waiting)
    } else {
        queue.waiting.drain(..fit.max(1)).collect()
    };
    queue.rows = queue.waiting.iter().map(|(_, batch)| batch.rows.len()).sum();
    Some(taken)
}

/// Appends and confirms. What was stored but not confirmed is unknown.
fn commit(store: &dyn Timelines, batches: &[Batch], metrics: &CommitMetrics) -> Vec<Outcome> {
    let mut outcomes = futures_executor::block_on(store.append(batches));
    if outcomes.contains(&Outcome::Stored) {
        let started = Instant::now();
        let confirmed = futures_executor::block_on(store.barrier());
        metrics.barrier_seconds.record(started.elapsed());
        if let Err(error) = confirmed {
            tracing::error!(%error, "commits could not be confirmed; they are unknown and will be repeated");
            for outcome in &mut outcomes {
                if *outcome == Outcome::Stored {
                    *outcome = Outcome::Unknown;
                }
            }
        }
    }
    outcomes
}

/// Posts the completions, one list per run of batches of the same worker.
fn post(owners: Vec<Completions>, batches: Vec<Batch>, outcomes: Vec<Outcome>) {
    let mut list = Vec::with_capacity(batches.len());
    let mut current: Option<Completions> = None;
    for ((owner, batch), outcome) in owners.into_iter().zip(batches).zip(outcomes) {
        if let Some(worker) = &current
            && !Arc::ptr_eq(worker, &owner)
        {
            worker.post(&mut list);
        }
        current = Some(owner);
        let key = batch.key.clone();
        let outcome = match outcome {
            Outcome::Stored => CommitOutcome::Committed,
            Outcome::Refused(refusal) => CommitOutcome::Refused { full: refusal == Refusal::Full, batch },
            Outcome::Unknown => CommitOutcome::Unknown(batch),
        };
        list.push(Input::Committed { key, outcome });
    }
    if let Some(worker) = current {
        worker.post(&mut list);
    }
}
