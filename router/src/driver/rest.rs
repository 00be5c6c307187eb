//! Waiting for work on a thread that is not a worker, and coming to rest: once nothing has come for some time, the thread
//! may do what it had no time for, such as giving memory back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// After so long without work a thread is at rest: longer than the store takes to write out what is in memory, whose
/// pieces these threads have allocated.
const REST_AFTER: Duration = Duration::from_secs(6);

/// How long a rest lasts before it is begun anew: others let go of what this thread has allocated, such as conversations
/// that nobody uses, and wake nobody.
const REST_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What a thread does when it comes to rest, and whether it has.
#[derive(Debug)]
pub(super) struct Rest {
    act: fn(),
    rested: bool,
}

impl Rest {
    pub(super) fn new(act: fn()) -> Self {
        Self { act, rested: false }
    }

    /// Work has come.
    pub(super) fn disturbed(&mut self) {
        self.rested = false;
    }

    /// Waits to be notified, or less long: the caller looks again at what it waits for.
    pub(super) fn wait<'a, T>(
        &mut self,
        queue: &'a Mutex<T>,
        ready: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        let rest_after = if self.rested { REST_AGAIN_AFTER } else { REST_AFTER };
        let (guard, timed) = ready.wait_timeout(guard, rest_after).unwrap_or_else(PoisonError::into_inner);
        if !timed.timed_out() {
            return guard;
        }
        drop(guard);
        (self.act)();
        self.rested = true;
        queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
