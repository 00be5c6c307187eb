//! Everything that is stored goes through here: one lock, one record of the journal per step, and then the memory in which
//! it is read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use super::barrier::SharedSync;
use super::journal::{Facts, Pool, Segment, Taken, Writer};
use super::memory::Memory;
use super::memory::gather::Draft;
use super::options::Options;
use super::space::{Purpose, Space};
use super::verdict::Verdict;
use crate::log::BarrierError;

/// Why a step was not stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommitError {
    /// Nothing of it is there.
    Full,
    /// Nothing of it is there, and nothing will be stored any more.
    Closed,
    /// It may be there. The fatal hook has been called.
    Failed,
}

impl CommitError {
    /// What to tell whoever asked for something else than rows.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Full => "the disk is full",
            Self::Closed | Self::Failed => "the disk failed",
        }
    }
}

/// The one writer.
pub(super) struct Committer {
    writer: Mutex<Writer>,
    /// The segment that a barrier has to sync. All before it were synced when it was begun.
    current: Mutex<Option<Segment>>,
    /// The number of the last record.
    committed: AtomicU64,
    /// The last record that a barrier confirmed.
    synced: AtomicU64,
    /// The engine has everything up to this record.
    applied: AtomicU64,
    sync: SharedSync,
    syncs: bool,
    /// Bytes after which a segment is left, though more would fit.
    leave_at: u64,
    /// What the journal said when it was opened: its last record, and what the engine has.
    found: (u64, u64),
    space: Space,
    memory: Arc<Memory>,
    pool: Arc<Pool>,
    verdict: Arc<Verdict>,
}

impl Committer {
    /// Goes on where the writer stands, with everything before it synced.
    pub(super) fn new(
        writer: Writer,
        applied: u64,
        (memory, pool, verdict): (Arc<Memory>, Arc<Pool>, Arc<Verdict>),
        space: Space,
        options: &Options,
    ) -> Self {
        Self {
            current: Mutex::new(writer.segment().cloned()),
            committed: AtomicU64::new(writer.last()),
            synced: AtomicU64::new(writer.last()),
            applied: AtomicU64::new(applied),
            found: (writer.last(), applied),
            writer: Mutex::new(writer),
            sync: SharedSync::default(),
            syncs: options.syncs(),
            leave_at: options.segment_bytes,
            space,
            memory,
            pool,
            verdict,
        }
    }

    /// Stores a step and shows it.
    pub(super) fn commit(&self, purpose: Purpose, draft: &Draft<'_>) -> Result<(), CommitError> {
        if !self.space.has_room(draft.payload() as u64, purpose) {
            return Err(CommitError::Full);
        }
        let mut writer = self.writer.lock().expect("nothing panics under this lock");
        if self.verdict.failed() {
            return Err(CommitError::Closed);
        }
        if !writer.fits(draft.payload()) || writer.filled_bytes() >= self.leave_at {
            self.change_segment(&mut writer)?;
        }
        let number = writer
            .write(self.facts(), draft.payload(), |record| draft.write(record))
            .map_err(|error| self.failed("a write", &error))?;
        self.memory.add(draft);
        self.committed.store(number, Ordering::Release);
        let half = writer.filled_bytes() >= self.leave_at / 2;
        drop(writer);
        if half {
            self.pool.want_spare();
        }
        Ok(())
    }

    fn facts(&self) -> Facts {
        Facts {
            synced: self.synced.load(Ordering::Acquire),
            applied: self.applied.load(Ordering::Acquire),
            segments: self.pool.count(),
        }
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> CommitError {
        self.verdict.fail(&format!("{what} failed: {error}"));
        CommitError::Failed
    }

    /// Leaves the segment for a free one, and waits for that if need be.
    fn change_segment(&self, writer: &mut MutexGuard<'_, Writer>) -> Result<(), CommitError> {
        let pending = || self.memory.oldest().is_some();
        match self.pool.take(self.may_grow(), pending, || self.verdict.failed()) {
            Ok(Taken::Segment(segment)) => self.begin_segment(writer, segment),
            Ok(Taken::NoRoom) => Err(CommitError::Full),
            Ok(Taken::GivenUp) => Err(CommitError::Closed),
            Err(error) => Err(self.failed("making a segment of the journal", &error)),
        }
    }

    /// Whether the disk has room for one more segment.
    pub(super) fn may_grow(&self) -> bool {
        self.space.has_room(self.leave_at, Purpose::Grow)
    }

    /// Leaves the segment for this one.
    fn begin_segment(&self, writer: &mut MutexGuard<'_, Writer>, segment: Segment) -> Result<(), CommitError> {
        let left = writer.segment().cloned();
        let last = writer.last();
        if let Some(left) = &left
            && self.syncs
        {
            left.sync().map_err(|error| self.failed("a sync", &error))?;
        }
        self.synced.fetch_max(last, Ordering::AcqRel);
        let number = writer
            .begin(segment.clone(), self.facts(), self.syncs)
            .map_err(|error| self.failed("beginning a segment of the journal", &error))?;
        *self.current.lock().expect("nothing panics under this lock") = Some(segment);
        self.synced.fetch_max(number, Ordering::AcqRel);
        self.committed.store(number, Ordering::Release);
        if let Some(left) = left {
            self.memory.seal(left, last);
            self.pool.wake();
        }
        Ok(())
    }

    /// Leaves the segment though it is not full, if that makes nobody wait. For the thread that takes segments over.
    pub(super) fn leave_segment(&self) -> Result<(), CommitError> {
        let mut writer = match self.writer.try_lock() {
            Ok(writer) => writer,
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Poisoned(_)) => return Err(CommitError::Closed),
        };
        // Whoever waits here would wait for itself.
        match self.pool.take(self.may_grow(), || false, || self.verdict.failed()) {
            Ok(Taken::Segment(segment)) => self.begin_segment(&mut writer, segment),
            Ok(Taken::NoRoom | Taken::GivenUp) => Ok(()),
            Err(error) => Err(self.failed("making a segment of the journal", &error)),
        }
    }

    /// Says in the journal that all was synced, and what the engine has. Not needed: but then damage to the very last records is
    /// found at the next start, and nothing is given to the engine twice.
    pub(super) fn close(&self) {
        let Ok(mut writer) = self.writer.lock() else { return };
        let applied = self.applied.load(Ordering::Acquire);
        if self.verdict.failed() || (writer.last(), applied) == self.found || !writer.fits(0) || self.barrier().is_err()
        {
            return;
        }
        let written = writer.write(self.facts(), 0, |_| ());
        let synced = written.and_then(|_| match writer.segment() {
            Some(segment) if self.syncs => segment.sync(),
            _ => Ok(()),
        });
        if let Err(error) = synced {
            tracing::warn!(%error, "ending the journal");
        }
    }

    /// The engine has everything up to this record, and keeps it.
    pub(super) fn applied(&self, number: u64) {
        self.applied.fetch_max(number, Ordering::AcqRel);
    }

    /// The number of the last record.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Confirms what was stored before.
    pub(super) fn barrier(&self) -> Result<(), BarrierError> {
        let sync = || {
            if self.verdict.failed() {
                return Err("the disk failed before".to_owned());
            }
            let committed = self.committed();
            if committed == self.synced.load(Ordering::Acquire) {
                return Ok(());
            }
            // In this order: if a segment was begun in between, that synced what is before it.
            let current = self.current.lock().expect("nothing panics under this lock").clone();
            match current {
                Some(segment) if self.syncs => segment.sync().map_err(|error| {
                    let reason = format!("a sync failed: {error}");
                    self.verdict.fail(&reason);
                    reason
                })?,
                _ => {}
            }
            self.synced.fetch_max(committed, Ordering::AcqRel);
            Ok(())
        };
        self.sync.run(sync).map_err(BarrierError::Failed)
    }
}
