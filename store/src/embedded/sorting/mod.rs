//! The thread that gives what was stored to the engine, segment by segment, and so keeps memory and journal small. It also makes
//! the next segment before it is needed; takes over what a burst left once nobody writes any more, so that a quiet server is
//! a small one; and looks whether the engine has stopped, which it does in silence at the first error that it meets.

mod heads;
mod ingest;
mod pace;
pub(in crate::embedded) mod page;
#[cfg(test)]
mod page_judge;
mod writeback;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::commit::Committer;
use super::engine::Engine;
use super::journal::Pool;
use super::memory::Memory;
use super::options::OpenError;
use super::verdict::Verdict;
use ingest::Ingester;
use pace::Pace;

/// How long a stopped engine may go unnoticed while nobody writes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the engine gets to merge before it is asked again whether it lags.
const MERGE_PAUSE: Duration = Duration::from_millis(10);

/// Bytes in memory that are not worth files of their own while nobody writes.
const QUIET_BYTES_KEPT_MAX: u64 = 1024 * 1024;

/// Looks without a write after which nobody is taken to be writing.
const QUIET_LOOKS: u32 = 2;

/// What the thread works with.
pub(in crate::embedded) struct Work {
    pub(in crate::embedded) engine: Arc<Engine>,
    pub(in crate::embedded) memory: Arc<Memory>,
    pub(in crate::embedded) pool: Arc<Pool>,
    pub(in crate::embedded) verdict: Arc<Verdict>,
    pub(in crate::embedded) committer: Arc<Committer>,
}

/// The thread; ended and waited for when dropped. What it has not taken over yet is in the journal.
pub(in crate::embedded) struct Background {
    pool: Arc<Pool>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    pub(in crate::embedded) fn start(work: Work) -> Result<Self, OpenError> {
        let pool = work.pool.clone();
        let thread = std::thread::Builder::new()
            .name("store-ingest".into())
            .spawn(move || {
                if let Err(reason) = work.run() {
                    work.verdict.fail(&reason);
                    work.pool.wake();
                }
            })
            .map_err(OpenError::io("starting the store's thread"))?;
        Ok(Self { pool, thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.pool.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl Work {
    fn run(&self) -> Result<(), String> {
        let pace = Pace::new(self.pool.clone(), self.memory.clone());
        let mut ingester = Ingester::new(self.engine.clone(), pace);
        let mut quiet = Quiet::default();
        while !self.pool.stopped() && !self.verdict.failed() {
            self.engine.check().map_err(|error| format!("the storage engine has stopped: {error}"))?;
            if self.pool.spare_is_wanted() && self.committer.may_grow() {
                self.pool.make_spare().map_err(|error| format!("making a segment of the journal failed: {error}"))?;
            }
            if self.take_over(&mut ingester)? || self.pool.wait_for_work(LOOK_EVERY) {
                continue;
            }
            let (gathered, trims) = self.memory.gathered();
            if quiet.look(self.committer.committed()) && (gathered > QUIET_BYTES_KEPT_MAX || trims) {
                // A failure has been told already, and ends this.
                let _ = self.committer.leave_segment();
            }
        }
        Ok(())
    }

    /// Takes over the oldest segment, if one waits and the engine keeps up. Says whether it did.
    fn take_over(&self, ingester: &mut Ingester) -> Result<bool, String> {
        let Some(oldest) = self.memory.oldest() else { return Ok(false) };
        if self.engine.lags() {
            self.pool.pause(MERGE_PAUSE);
            return Ok(true);
        }
        ingester.ingest(&oldest.gather).map_err(|reason| format!("sorting rows to disk failed: {reason}"))?;
        self.committer.applied(oldest.last);
        // Whoever finds no segment and nothing that waits would think that none will come: so first this, then that.
        self.pool.give_back(oldest.segment.clone());
        drop(oldest);
        // A reader never holds one, so that this is the last.
        if let Some(sealed) = self.memory.forget_oldest().and_then(Arc::into_inner) {
            sealed.gather.drop_in_steps(|| ingester.step());
        }
        Ok(true)
    }
}

/// Tells when writing has ended for a while.
#[derive(Default)]
struct Quiet {
    committed: u64,
    looks: u32,
}

impl Quiet {
    fn look(&mut self, committed: u64) -> bool {
        self.looks = if committed == self.committed { self.looks.saturating_add(1) } else { 0 };
        self.committed = committed;
        self.looks >= QUIET_LOOKS
    }
}
