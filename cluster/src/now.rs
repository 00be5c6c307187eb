//! Time as an argument. Pure code takes a [`Now`] and never asks a clock; only the worker's loop makes one.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks, taken once per turn of a worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Time since some fixed moment in this process; never goes back. For deadlines and budgets.
    pub mono: Duration,
    /// Milliseconds since 1970-01-01 UTC; may jump. For stored times and tokens.
    pub wall_ms: u64,
}

/// The two clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic part begins now. All workers of a process share copies of one.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.start.elapsed(), wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX) }
    }
}
