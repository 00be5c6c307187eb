//! The commit thread: takes every batch that waits, from all workers, and posts what became of each. Nothing else in the
//! process waits for the store's answer to a write.
//!
//! On a disk of its own, all that waits is stored with one append and confirmed with one barrier, which is one sync, and the
//! next begins after it. In a cluster each batch goes by itself as soon as it comes: of those that wait for a barrier one
//! read confirms all, and a node that is slow holds up no conversation but those that wait for it.

use std::slice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use switchyard_store::{Batch, Outcome, Refusal};

use super::rest::Rest;
use super::trouble::Trouble;
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

/// Batches that are under way in a cluster at a time; the rest waits for its turn. The store bounds its requests itself, and
/// holds what is more for a while.
const UNDER_WAY_MAX: usize = 8_192;

static CONFIRMING: Trouble = Trouble::of("commits cannot be confirmed; they are unknown and will be repeated");

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
    /// Something that is under way goes on.
    woken: bool,
    stopped: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.queue().woken, true) {
            self.ready.notify_one();
        }
    }
}

impl Commits {
    /// Starts the thread. It ends when [`stop`](Self::stop) was called and nothing waits. `rest` is called once whenever
    /// nothing has come for some time.
    pub fn start(store: Arc<dyn Timelines>, rest: fn()) -> std::io::Result<(Self, JoinHandle<()>)> {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::default()), ready: Condvar::new() });
        let commits = Self { shared: Arc::clone(&shared) };
        let run =
            move || if store.is_shared() { run_each(&shared, &*store, rest) } else { run(&shared, &*store, rest) };
        let thread = std::thread::Builder::new().name("commit".into()).spawn(run)?;
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
            CONFIRMING.failed(error);
            for outcome in &mut outcomes {
                if *outcome == Outcome::Stored {
                    *outcome = Outcome::Unknown;
                }
            }
        } else {
            CONFIRMING.went_well();
        }
    }
    outcomes
}

/// The same where each batch goes by itself.
fn run_each(shared: &Arc<Shared>, store: &dyn Timelines, rest: fn()) {
    let metrics = CommitMetrics::new();
    let waker = Waker::from(Arc::clone(shared));
    let mut rest = Rest::new(rest);
    let mut under_way = FuturesUnordered::new();
    while let Some(taken) = take_some(shared, under_way.len(), &mut rest) {
        under_way.extend(taken.into_iter().map(|(to, batch)| commit_one(store, to, batch, &metrics)));
        let (mut owners, mut batches, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let mut context = Context::from_waker(&waker);
        while let Poll::Ready(Some((owner, batch, outcome))) = under_way.poll_next_unpin(&mut context) {
            owners.push(owner);
            batches.push(batch);
            outcomes.push(outcome);
        }
        post(owners, batches, outcomes);
    }
}

/// Waits for batches or for what is under way, and takes what there is room for; nothing once stopped and all is done.
fn take_some(shared: &Shared, under_way: usize, rest: &mut Rest) -> Option<Vec<(Completions, Batch)>> {
    let mut queue = shared.queue();
    let room = UNDER_WAY_MAX.saturating_sub(under_way);
    while !queue.woken && (queue.waiting.is_empty() || room == 0) {
        if queue.stopped && queue.waiting.is_empty() && under_way == 0 {
            return None;
        }
        queue = rest.wait(&shared.queue, &shared.ready, queue);
    }
    rest.disturbed();
    queue.woken = false;
    let taken = if queue.waiting.len() <= room {
        std::mem::take(&mut queue.waiting)
    } else {
        queue.waiting.drain(..room).collect()
    };
    queue.rows = queue.waiting.iter().map(|(_, batch)| batch.rows.len()).sum();
    Some(taken)
}

/// Appends one and confirms it.
async fn commit_one(
    store: &dyn Timelines,
    owner: Completions,
    batch: Batch,
    metrics: &CommitMetrics,
) -> (Completions, Batch, Outcome) {
    let started = Instant::now();
    let outcomes = store.append(slice::from_ref(&batch)).await;
    let mut outcome = outcomes.first().copied().unwrap_or(Outcome::Unknown);
    if outcome == Outcome::Stored {
        let stored = Instant::now();
        let confirmed = store.barrier().await;
        metrics.barrier_seconds.record(stored.elapsed());
        if let Err(error) = confirmed {
            outcome = Outcome::Unknown;
            CONFIRMING.failed(error);
        } else {
            CONFIRMING.went_well();
        }
    }
    metrics.rows.record(batch.rows.len() as f64);
    metrics.seconds.record(started.elapsed());
    (owner, batch, outcome)
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
