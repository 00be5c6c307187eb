//! What the embedded store can be told, and why it may not open. No work is done here.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

/// What to do when the disk has failed and nothing more may be promised. Takes the reason.
pub type FatalHook = Arc<dyn Fn(&str) + Send + Sync>;

/// Free bytes of the file system below which nothing is stored: room for what is still written after the last accepted
/// row, because the engine does not survive a full disk. Storing a row itself needs none, as the journal is made in advance;
/// but what lies in the journal must become sorted files (four segments: 64 MiB), and a merge keeps what it reads until
/// it is done (eight segments: 128 MiB).
pub const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Bytes of a segment of the journal, and so of what is in memory before it is sorted to disk; at most four segments
/// are. 64 MB cost 1.2 times the CPU. A store's segments keep their size, and so do its sorted files. Merging needs about
/// eight times as much room on disk for a moment, which [`FREE_BYTES_MIN`] must hold.
pub const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of blocks kept for reading. Small, because the kernel keeps them too, and so that a server at rest is a small one.
pub const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How an embedded store is opened.
#[derive(Clone)]
pub struct Options {
    /// See [`FREE_BYTES_MIN`].
    pub free_bytes_min: u64,
    /// See [`SEGMENT_BYTES`]. Segments have a least size; if this is smaller, they are left when this much is written.
    pub segment_bytes: u64,
    /// See [`CACHE_BYTES`].
    pub cache_bytes: u64,
    /// Called once when the disk refused a write or a sync. The default logs an ERROR and aborts the process, for what
    /// is on the disk after a failed sync is unknowable. If it returns, the store refuses everything from then on.
    pub fatal: FatalHook,
    /// Whether a barrier syncs. Switched off, a power cut loses acknowledged rows: for the test that shows this.
    #[cfg(feature = "test-no-fsync")]
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            free_bytes_min: FREE_BYTES_MIN,
            segment_bytes: SEGMENT_BYTES,
            cache_bytes: CACHE_BYTES,
            fatal: Arc::new(|reason| {
                tracing::error!(reason, "the disk failed; ending, so that nothing is promised that may not be kept");
                std::process::abort();
            }),
            #[cfg(feature = "test-no-fsync")]
            sync: true,
        }
    }
}

impl Options {
    /// Whether barriers sync.
    pub(super) fn syncs(&self) -> bool {
        #[cfg(feature = "test-no-fsync")]
        return self.sync;
        #[cfg(not(feature = "test-no-fsync"))]
        return true;
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("free_bytes_min", &self.free_bytes_min)
            .field("segment_bytes", &self.segment_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on it.
    #[error("{} is in use{}", dir.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// Who holds it, if that could be read.
        pid: Option<u32>,
    },
    /// It was written by a binary of another time.
    #[error("the store has schema {found}; this binary reads {} to {}", accepted.start(), accepted.end())]
    Schema {
        /// What it has.
        found: u32,
        /// What this binary reads.
        accepted: RangeInclusive<u32>,
    },
    /// What is stored is not what was written. Nothing was changed.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// There is no store in this directory (for reading tools, which do not create one).
    #[error("{} holds no store", .0.display())]
    Absent(PathBuf),
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Its answer.
        source: std::io::Error,
    },
}

impl OpenError {
    /// An error of the operating system with what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
