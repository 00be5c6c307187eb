//! How many connections a process has, and how many of them have not said who they are: one count for all workers, so
//! that a limit is what its name says however many threads there are. Numbers alone; who goes is decided elsewhere.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The count. Relaxed throughout: the numbers guard nothing but themselves.
#[derive(Debug, Default)]
pub struct Places {
    all: AtomicUsize,
    half_open: AtomicUsize,
    workers: AtomicUsize,
}

impl Places {
    /// A worker will have some of the connections.
    pub fn add_worker(&self) {
        self.workers.fetch_add(1, Relaxed);
    }

    /// One more connection, unless there are `most` already; a `most` of 0 means no limit.
    pub fn enter(&self, most: usize) -> bool {
        let more = |count: usize| if most > 0 && count >= most { None } else { count.checked_add(1) };
        self.all.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// One less.
    pub fn leave(&self) {
        let before = self.all.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "whoever leaves had entered");
    }

    /// One more that has not said who it is.
    pub fn half_open(&self) {
        self.half_open.fetch_add(1, Relaxed);
    }

    /// One less.
    pub fn not_half_open(&self) {
        let before = self.half_open.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "whoever is known was unknown");
    }

    /// Whether a worker that has so many who have not said who they are is to let one go: there are more than `most` in
    /// all, and it has more than its share, so that an old one goes and not the only newcomer of a worker.
    pub fn is_half_open_over(&self, own: usize, most: usize) -> bool {
        let share = most.div_ceil(self.workers.load(Relaxed).max(1));
        self.half_open.load(Relaxed) > most && own > share
    }
}
