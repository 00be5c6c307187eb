//! The word to go: given once by whoever ends the process, seen by every worker's door at its next turn. And the count of
//! doors that may still have clients: until it is 0, all workers are needed, for a client's requests go to all of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use switchyard_cluster::mailbox::Bell;

/// How to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// Clients are asked to move no sooner than this,
    pub after_min: Duration,
    /// and no later.
    pub after_max: Duration,
    /// After so long, no connection is left, whatever waits.
    pub deadline: Duration,
}

/// Shared by all doors of a process and by whoever ends it.
#[derive(Debug, Default)]
pub struct Control {
    /// Set after the order, so that a door looks for the order only then.
    ordered: AtomicBool,
    order: OnceLock<Drain>,
    doors: Arc<Doors>,
}

#[derive(Debug, Default)]
struct Doors {
    bells: Mutex<Vec<Arc<Bell>>>,
    open: AtomicUsize,
}

/// A door that may still have clients; counted until it is dropped.
#[derive(Debug)]
pub(super) struct OpenDoor(Arc<Doors>);

impl Control {
    /// Tells every door to stop listening, to ask its clients to move, and to be empty by the deadline. Only the first
    /// order counts.
    pub fn drain(&self, drain: Drain) {
        if self.order.set(drain).is_ok() {
            self.ordered.store(true, Ordering::Release);
            self.doors.ring();
        }
    }

    /// The order, once it was given.
    pub(super) fn order(&self) -> Option<Drain> {
        if self.ordered.load(Ordering::Acquire) { self.order.get().copied() } else { None }
    }

    /// A door more, whose worker is woken by an order and when the last door has closed.
    pub(super) fn add_door(&self, bell: Arc<Bell>) -> OpenDoor {
        self.doors.bells.lock().unwrap_or_else(PoisonError::into_inner).push(bell);
        self.doors.open.fetch_add(1, Ordering::Relaxed);
        OpenDoor(Arc::clone(&self.doors))
    }

    /// Whether no door has clients any more, nor will have.
    pub(super) fn all_closed(&self) -> bool {
        self.doors.open.load(Ordering::Acquire) == 0
    }
}

impl Doors {
    fn ring(&self) {
        for bell in self.bells.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            bell.ring();
        }
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        // What the door's clients asked for was handed over before: whoever sees the count finds it in its mailbox.
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ring();
        }
    }
}
