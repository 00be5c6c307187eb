//! The embedded store: one directory on one machine, on the fjall engine. The only folder that may name that engine.
//!
//! What is stored goes into a journal first (`journal/`), and is read from memory (`memory/`) until a thread of its own
//! gives it to the engine, sorted (`sorting/`). `opening/` finds it all again, `reading/` looks in both. One write lock
//! orders everything; a record of the journal holds whole [`Batch`]es. Nothing is synced on the way of a batch but by
//! the barrier. Every method works within its first poll and may block on the disk.
//!
//! A refused write or sync is final: the fatal hook ends the process, because neither the engine nor the kernel says
//! afterwards what is on the disk.

mod append;
mod barrier;
mod commit;
mod dropped;
mod engine;
mod epochs;
mod journal;
mod marks;
mod memory;
mod number;
mod opening;
mod options;
mod owners;
mod projections;
mod reading;
mod router_row;
mod sorting;
mod space;
mod trim;
mod value;
#[cfg(test)]
mod values_judge;
mod verdict;
mod verify;

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::log::{BarrierError, Batch, Log, Outcome, ReadError, ReadRange, Seq};
use crate::{BoxFuture, EpochError, Epochs};

use commit::Committer;
use engine::Engine;
use journal::Pool;
use memory::Memory;
use memory::restore::Restored;
use opening::lock::DirLock;
use owners::Owners;
use sorting::{Background, Work};
use space::Space;
use verdict::Verdict;

pub use options::{CACHE_BYTES, FREE_BYTES_MIN, FatalHook, OpenError, Options, SEGMENT_BYTES};
pub use verify::{Corruption, Report, dump, verify};

/// The embedded store: a [`Log`], [`Projections`](crate::Projections), [`Marks`](crate::Marks), [`Epochs`] and
/// [`Ownership`](crate::ownership::Ownership) in one.
pub struct Embedded {
    /// It holds the engine, too. Tools have none, and write nothing but the raise of an older schema.
    background: Option<Background>,
    committer: Arc<Committer>,
    memory: Arc<Memory>,
    projections_lock: Mutex<()>,
    marks_lock: Mutex<()>,
    trim_lock: Mutex<()>,
    epoch_lock: Mutex<()>,
    owners: Mutex<Owners>,
    engine: Arc<Engine>,
    // Last: the next opener must find the engine closed.
    _lock: DirLock,
}

impl Embedded {
    /// Opens the store in this data directory, and makes directory and store if there are none.
    ///
    /// What a crash left half-written is left out; everything a barrier confirmed is there, or this fails.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        opening::make_dir(dir)?;
        Self::open_dir(dir, &options, true)
    }

    /// The same for tools, which only look, and must not make a store where there is none.
    fn open_existing(dir: &Path) -> Result<Self, OpenError> {
        Self::open_dir(dir, &Options::default(), false)
    }

    fn open_dir(dir: &Path, options: &Options, writes: bool) -> Result<Self, OpenError> {
        let opening::Opened { engine, journal_dir, restored, lock } = opening::open(dir, options, writes)?;
        let Restored { memory, writer, applied, free, segments } = restored;
        if writes && options.syncs() {
            // A killed process may have left to the kernel what must not be read now and be gone after a power cut.
            for segment in &segments {
                segment.sync().map_err(OpenError::io(format!("syncing {}", journal_dir.display())))?;
            }
        }
        let engine = Arc::new(engine);
        let memory = Arc::new(memory);
        let pool = Arc::new(Pool::new(journal_dir, options.segment_bytes, free, segments.len()));
        let verdict = Arc::new(Verdict::new(options.fatal.clone()));
        let space = Space::new(dir.into(), options.free_bytes_min);
        let shared = (memory.clone(), pool.clone(), verdict.clone());
        let committer = Arc::new(Committer::new(writer, applied, shared, space, options));
        let work = Work { engine: engine.clone(), memory: memory.clone(), pool, verdict, committer: committer.clone() };
        Ok(Self {
            background: if writes { Some(Background::start(work)?) } else { None },
            committer,
            memory,
            projections_lock: Mutex::new(()),
            marks_lock: Mutex::new(()),
            trim_lock: Mutex::new(()),
            epoch_lock: Mutex::new(()),
            owners: Mutex::default(),
            engine,
            _lock: lock,
        })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(background) = self.background.take() {
            drop(background);
            self.committer.close();
        }
    }
}

/// The work of a method, done when it is first polled.
fn blocking<'a, T: 'a>(work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { work() })
}

impl Log for Embedded {
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        blocking(move || append::append(&self.committer, batches))
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        blocking(move || self.committer.barrier())
    }

    fn read<'a>(
        &'a self,
        key: &'a ConversationKey,
        range: ReadRange,
    ) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>> {
        blocking(move || self.read_page(key, range))
    }

    fn head<'a>(&'a self, key: &'a ConversationKey, at_least: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>> {
        blocking(move || self.read_head(key, at_least))
    }

    fn trim<'a>(&'a self, key: &'a ConversationKey, below: Seq) -> BoxFuture<'a, Result<Seq, ReadError>> {
        blocking(move || self.trim_rows(key, below))
    }
}

impl Epochs for Embedded {
    fn open_epoch(&self) -> BoxFuture<'_, Result<u64, EpochError>> {
        blocking(move || self.raise_epoch())
    }
}
