//! Batches between threads: a [`Mailbox`] takes whole batches under one short lock, and its worker's [`Bell`] is rung at
//! most once per batch, with a system call only if that worker sleeps.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Wakes one worker.
///
/// The two flags close the window between looking for work and going to sleep: the worker first says that it sleeps and
/// then looks at `rung` once more; a sender first sets `rung` and then looks whether the worker sleeps. In every
/// interleaving of the two at least one sees the other.
#[derive(Debug)]
pub struct Bell {
    rung: AtomicBool,
    /// The worker rang for itself.
    own: AtomicBool,
    asleep: AtomicBool,
    waker: mio::Waker,
}

impl Bell {
    /// A bell that wakes the poll to which `waker` belongs.
    pub fn new(waker: mio::Waker) -> Self {
        Self { rung: AtomicBool::new(false), own: AtomicBool::new(false), asleep: AtomicBool::new(false), waker }
    }

    /// Makes the worker look at its mailboxes soon.
    pub fn ring(&self) {
        self.rung.store(true, SeqCst);
        if self.asleep.swap(false, SeqCst) {
            // The eventfd behind it fails only at a full counter, and then the worker is awake already.
            let _ = self.waker.wake();
        }
    }

    /// Like [`ring`](Self::ring), by the worker itself: it is awake, and if what it posted is taken in the same turn, no
    /// other one follows for it.
    pub fn ring_own(&self) {
        self.own.store(true, Relaxed);
    }

    /// What the worker posted to itself so far in this turn is taken in its next step.
    pub(crate) fn own_is_taken(&self) {
        self.own.store(false, Relaxed);
    }

    /// The worker says that it is about to sleep. `false`: it was rung meanwhile and must not.
    pub(crate) fn may_sleep(&self) -> bool {
        self.asleep.store(true, SeqCst);
        if self.own.load(Relaxed) || self.rung.swap(false, SeqCst) {
            self.asleep.store(false, SeqCst);
            return false;
        }
        true
    }

    /// The worker is awake and about to look at its mailboxes.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, SeqCst);
        self.rung.store(false, SeqCst);
        self.own.store(false, Relaxed);
    }
}

/// Items of room that an empty queue may keep after a burst; more is given back.
pub const ROOM_KEPT_MAX: usize = 1_024;

/// Gives back what an empty batch kept from a burst.
pub fn keep_little<T>(batch: &mut Vec<T>) {
    if batch.is_empty() && batch.capacity() > ROOM_KEPT_MAX {
        *batch = Vec::new();
    }
}

/// A queue into one worker. Its owner bounds what may be in it: see [`Mailbox::len`] and [`Mailbox::bytes`].
#[derive(Debug)]
pub struct Mailbox<T> {
    queue: Mutex<Vec<T>>,
    /// Bytes of what is in the queue, as far as they were told. Changed under its lock alone, so that the two always
    /// agree; read without it.
    bytes: AtomicUsize,
    bell: Arc<Bell>,
}

impl<T> Mailbox<T> {
    /// An empty mailbox of the worker that `bell` wakes.
    pub fn new(bell: Arc<Bell>) -> Self {
        Self { queue: Mutex::new(Vec::new()), bytes: AtomicUsize::new(0), bell }
    }

    fn queue(&self) -> MutexGuard<'_, Vec<T>> {
        // A panic elsewhere leaves a queue of whole items behind.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a whole batch in, in order, and wakes the worker. An empty batch costs nothing.
    pub fn post(&self, batch: &mut Vec<T>) {
        self.post_weighing(batch, 0);
    }

    /// The same, for a batch of so many bytes.
    pub fn post_weighing(&self, batch: &mut Vec<T>, bytes: usize) {
        if self.put(batch, bytes) {
            self.bell.ring();
        }
    }

    /// The same, by the mailbox's own worker.
    pub fn post_own_weighing(&self, batch: &mut Vec<T>, bytes: usize) {
        if self.put(batch, bytes) {
            self.bell.ring_own();
        }
    }

    fn put(&self, batch: &mut Vec<T>, bytes: usize) -> bool {
        if batch.is_empty() {
            return false;
        }
        {
            let mut queue = self.queue();
            if queue.is_empty() {
                std::mem::swap(&mut *queue, batch);
            } else {
                queue.append(batch);
            }
            self.bytes.fetch_add(bytes, Relaxed);
        }
        keep_little(batch);
        true
    }

    /// Takes everything out, in order. `into` must be empty; its room is kept for the next batch, within reason.
    pub fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        keep_little(into);
        let mut queue = self.queue();
        self.bytes.store(0, Relaxed);
        if queue.is_empty() {
            keep_little(&mut queue);
        } else {
            std::mem::swap(&mut *queue, into);
        }
    }

    /// Gives back the room that a burst has left.
    pub fn rest(&self) {
        self.queue().shrink_to_fit();
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.queue().len()
    }

    /// Bytes of what waits, as far as whoever posted it said.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
