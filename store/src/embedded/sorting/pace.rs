//! How fast the engine is given what was gathered: in short slices with rests between, so that whoever sends meanwhile hardly
//! notices; without rests once the next gather waits, so that nobody who sends ever waits for a rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::journal::Pool;
use super::super::memory::Memory;

/// Work without a rest: shorter than what a person or a percentile notices.
const SLICE: Duration = Duration::from_micros(300);

/// A rest: this and a slice make a fifth of one core.
const REST: Duration = Duration::from_micros(1_200);

/// The pace of one thread.
pub(in crate::embedded) struct Pace {
    pool: Arc<Pool>,
    memory: Arc<Memory>,
    began: Instant,
}

impl Pace {
    pub(in crate::embedded) fn new(pool: Arc<Pool>, memory: Arc<Memory>) -> Self {
        Self { pool, memory, began: Instant::now() }
    }

    /// To be called between small pieces of work; rests if it is time to.
    pub(in crate::embedded) fn step(&mut self) {
        if self.began.elapsed() < SLICE {
            return;
        }
        if !self.memory.presses() {
            self.pool.pause(REST);
        }
        self.began = Instant::now();
    }
}
