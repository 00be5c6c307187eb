//! The word to go: given once by whoever ends the process, seen by every worker's door at its next turn.

use std::sync::atomic::{AtomicBool, Ordering};
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
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl Control {
    /// Tells every door to stop listening, to ask its clients to move, and to be empty by the deadline. Only the first
    /// order counts.
    pub fn drain(&self, drain: Drain) {
        if self.order.set(drain).is_ok() {
            self.ordered.store(true, Ordering::Release);
            for bell in self.bells.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                bell.ring();
            }
        }
    }

    /// The order, once it was given.
    pub(super) fn order(&self) -> Option<Drain> {
        if self.ordered.load(Ordering::Acquire) { self.order.get().copied() } else { None }
    }

    /// Has this worker woken by an order.
    pub(super) fn add_bell(&self, bell: Arc<Bell>) {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).push(bell);
    }
}
