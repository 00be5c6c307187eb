//! The thread that sees to ownership: it carries the pure code of `cluster`, makes its calls of the store, and tells the
//! workers what is theirs. It waits for the store and for time alone, and nobody waits for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use switchyard_cluster::now::Clock;
use switchyard_cluster::ownership::{Answer, CallId, Effect, Event, Ownership};
use switchyard_store::ownership as store;

use super::owned::Owned;
use super::ownership::ask;

/// What its thread says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// All shards are this process's.
    OwnsAll,
    /// Nothing is any more, for good: another router has fenced this one.
    Ended,
}

/// A handle to the thread.
pub struct Owner {
    shared: Arc<Shared>,
}

struct Shared {
    thread: Thread,
    stopped: AtomicBool,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.thread.unpark();
    }
}

type Calls<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = (CallId, Answer)> + Send + 'a>>>;

impl Owner {
    /// Starts it, for a router that is alone ([`Config::alone`](switchyard_cluster::ownership::Config)): nobody hears of it,
    /// and nothing is moved. `told` is called on the thread.
    pub fn start(
        store: Arc<dyn store::Ownership>,
        machine: Ownership,
        clock: Clock,
        owned: Arc<Owned>,
        told: impl Fn(Told) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (handle, handed) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("owner".into()).spawn(move || {
            let shared = Arc::new(Shared { thread: thread::current(), stopped: AtomicBool::new(false) });
            if handle.send(Arc::clone(&shared)).is_ok() {
                run(&shared, &*store, machine, clock, &owned, &told);
            }
        })?;
        let shared = handed.recv().map_err(|_| std::io::Error::other("the thread has ended"))?;
        Ok((Self { shared }, thread))
    }

    /// Lets the thread end. What is owned stays owned, as far as anybody else knows.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.thread.unpark();
    }
}

fn run(
    shared: &Arc<Shared>,
    store: &dyn store::Ownership,
    mut machine: Ownership,
    clock: Clock,
    owned: &Owned,
    told: &dyn Fn(Told),
) {
    let waker = Waker::from(Arc::clone(shared));
    let mut calls = Calls::new();
    let mut effects = Vec::new();
    let mut event = Some(Event::Tick);
    let (mut serves, mut owns_all) = (false, false);
    while let Some(now) = event {
        machine.handle(clock.now(), now, &mut effects);
        if machine.is_live() && !std::mem::replace(&mut serves, true) {
            store.serve(machine.incarnation());
        }
        let was_sure = owned.is_sure();
        let mut wakes = false;
        for effect in effects.drain(..) {
            match effect {
                Effect::Call { id, call } => calls.push(Box::pin(async move { (id, ask(store, &call).await) })),
                Effect::Owned { shard, epoch } => {
                    owned.own(shard, epoch);
                    wakes = true;
                }
                // Nobody listens.
                Effect::Heartbeat(_) => {}
                effect @ (Effect::Probe { .. } | Effect::TellGiven { .. } | Effect::StopShard { .. }) => {
                    tracing::error!(?effect, "a router that is alone has nothing to do with others");
                }
                // Another one holds a shard of this one's, so it has fenced this one.
                effect @ (Effect::Released { .. } | Effect::End) => {
                    tracing::error!(?effect, incarnation = ?machine.incarnation(), "nothing is this router's any more");
                    owned.end();
                    return told(Told::Ended);
                }
            }
        }
        if let Some(began) = machine.fence_seen() {
            owned.seen(began);
        }
        if wakes || !was_sure && owned.is_sure() {
            owned.wake();
        }
        if machine.has_all() && !std::mem::replace(&mut owns_all, true) {
            told(Told::OwnsAll);
        }
        event = wait(shared, &waker, &mut calls, &machine, clock);
    }
}

/// Waits for a call's answer or for time; nothing when it is to end.
fn wait(shared: &Shared, waker: &Waker, calls: &mut Calls<'_>, machine: &Ownership, clock: Clock) -> Option<Event> {
    let mut context = Context::from_waker(waker);
    while !shared.stopped.load(Ordering::Acquire) {
        if let Poll::Ready(Some((call, answer))) = calls.poll_next_unpin(&mut context) {
            return Some(Event::Answered { call, answer });
        }
        let (wakes_at, now) = (machine.wakes_at(), clock.now().mono);
        if wakes_at <= now {
            return Some(Event::Tick);
        }
        thread::park_timeout(wakes_at - now);
    }
    None
}
