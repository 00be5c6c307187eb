//! The embedded store: one directory on one machine, on the fjall engine. The only folder that may name that engine.
//!
//! One write lock orders everything that is stored: a write batch of the engine holds whole [`Batch`]es and
//! begins with a witness (see `recovery.rs`). Nothing is synced by itself but the barrier. Every method works within its
//! first poll and may block on the disk.
//!
//! A refused write or sync is final: the fatal hook ends the process, because neither the engine nor the kernel says
//! afterwards what is on the disk.

mod barrier;
mod commit;
mod engine;
mod journal;
mod layout;
mod lock;
mod number;
mod options;
mod projections;
mod read;
mod recovery;
mod schema;
mod space;
mod trim;
mod verify;
mod watch;
mod witness;

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::log::{BarrierError, Batch, Log, Outcome, ReadError, ReadRange, Seq};
use crate::{BoxFuture, EpochError, Epochs};

use commit::Committer;
use engine::Engine;
use lock::DirLock;
use space::Space;
use watch::Watch;

pub use options::{CACHE_BYTES, FREE_BYTES_MIN, FatalHook, MEMTABLE_BYTES, OpenError, Options};
pub use verify::{Corruption, Dump, Report, dump, verify};

/// The embedded store: a [`Log`], [`Projections`](crate::Projections) and [`Epochs`] in one.
pub struct Embedded {
    // First: it holds the engine.
    _watch: Watch,
    committer: Arc<Committer>,
    projections_lock: Mutex<()>,
    trim_lock: Mutex<()>,
    engine: Engine,
    // Last: the next opener must find the engine closed.
    _lock: DirLock,
}

impl Embedded {
    /// Opens the store in this data directory, and makes directory and store if there are none.
    ///
    /// A torn tail that a crash left is cut off; everything a barrier confirmed is there, or this fails.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        layout::make_dir(dir)?;
        Self::open_dir(dir, options, true)
    }

    /// The same for tools, which must not make a store where there is none.
    fn open_existing(dir: &Path) -> Result<Self, OpenError> {
        Self::open_dir(dir, Options::default(), false)
    }

    fn open_dir(dir: &Path, options: Options, create: bool) -> Result<Self, OpenError> {
        let opened = layout::open(dir, &options, create)?;
        let space = Space::new(dir.into(), options.free_bytes_min);
        let committer = Arc::new(Committer::new(&opened.engine, opened.journal_number, space, &options)?);
        let failing = committer.clone();
        let watch = Watch::start(opened.engine.db.clone(), opened.engine.trees(), move |reason| failing.fail(reason))?;
        Ok(Self {
            _watch: watch,
            committer,
            projections_lock: Mutex::new(()),
            trim_lock: Mutex::new(()),
            engine: opened.engine,
            _lock: opened.lock,
        })
    }
}

/// The work of a method, done when it is first polled.
fn blocking<'a, T: 'a>(work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { work() })
}

impl Log for Embedded {
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        blocking(move || self.committer.append(&self.engine, batches))
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        blocking(move || self.committer.barrier(&self.engine.db))
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
        blocking(move || self.committer.open_epoch(&self.engine))
    }
}
