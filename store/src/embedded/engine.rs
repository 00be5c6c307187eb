//! The storage engine, opened and asked in its own words: the only file that calls it to open, and where its errors get
//! a meaning. What is stored in it is decided elsewhere.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, FilterPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError};

use super::options::{OpenError, Options};

/// Bytes in memory of a tree that is seldom written.
const SMALL_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

/// Journals beyond this make the engine write out the trees that hold them back: bounds what a start must read again.
const JOURNALS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Bytes of rows that are read and checked at once: a page of 50 short messages. With 4 KiB a page that is not in the
/// cache costs a fifth more CPU, and the indexes, which are kept in memory, four times the room.
const BLOCK_BYTES: u32 = 16 * 1024;

/// Threads for writing out and merging. With two, the engine keeps the first free for writing out by having it put every
/// merge back into the queue, without a pause, as long as the second one merges: a seventh of all CPU under load. One is
/// enough, as it writes out faster than a disk syncs, and its merges are short at this table size.
const WORKERS: usize = 1;

/// The engine with its trees.
pub(super) struct Engine {
    pub(super) db: Database,
    /// Rows by conversation and number, and the witness.
    pub(super) log: Keyspace,
    /// Conversations' records.
    pub(super) conversations: Keyspace,
    /// Members by conversation.
    pub(super) members: Keyspace,
    /// Members by user.
    pub(super) users: Keyspace,
    /// The epoch, and where trimmed conversations begin.
    pub(super) meta: Keyspace,
}

const TREES: [&str; 5] = ["log", "conversation", "member", "user", "meta"];

/// What is expected in the directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing; make it. Only for a directory that does not count yet.
    Nothing,
    /// A whole engine. It would make an empty tree of one that it misses, so that is refused.
    Whole,
}

impl Engine {
    /// Opens or creates it.
    pub(super) fn open(path: &Path, options: &Options, expect: Expect) -> Result<Self, OpenError> {
        // The engine asserts on some kinds of damage.
        match catch_unwind(AssertUnwindSafe(|| Self::open_trees(path, options, expect))) {
            Ok(Ok(Some(engine))) => Ok(engine),
            Ok(Ok(None)) => Err(OpenError::Corrupt(format!("a tree is missing in {}", path.display()))),
            Ok(Err(error)) => Err(open_error(path, error)),
            Err(_) => Err(OpenError::Corrupt(format!("the engine gave up on {}", path.display()))),
        }
    }

    /// All trees.
    pub(super) fn trees(&self) -> Vec<Keyspace> {
        [&self.log, &self.conversations, &self.members, &self.users, &self.meta].map(Keyspace::clone).into()
    }

    fn open_trees(path: &Path, options: &Options, expect: Expect) -> fjall::Result<Option<Self>> {
        let db = Database::builder(path)
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKERS)
            .open()?;
        if expect == Expect::Whole && !TREES.iter().all(|tree| db.keyspace_exists(tree)) {
            return Ok(None);
        }
        let small = || KeyspaceCreateOptions::default().max_memtable_size(SMALL_MEMTABLE_BYTES);
        // Rows are read by range, which no filter helps.
        let log = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes)
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(options.memtable_bytes)))
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .index_block_pinning_policy(PinningPolicy::all(true))
                .filter_policy(FilterPolicy::disabled())
        };
        Ok(Some(Self {
            log: db.keyspace(TREES[0], log)?,
            conversations: db.keyspace(TREES[1], small)?,
            members: db.keyspace(TREES[2], small)?,
            users: db.keyspace(TREES[3], small)?,
            meta: db.keyspace(TREES[4], small)?,
            db,
        }))
    }
}

fn open_error(path: &Path, error: fjall::Error) -> OpenError {
    let what = || format!("opening {}", path.display());
    match error {
        fjall::Error::Locked => OpenError::Locked { dir: path.into(), pid: None },
        fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => match source.kind() {
            // A file that ends too early or holds what does not decode.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::Other => {
                OpenError::Corrupt(format!("{}: {source}", path.display()))
            }
            _ => OpenError::Io { what: what(), source },
        },
        error => OpenError::Corrupt(error.to_string()),
    }
}

/// What an error of the engine means to a reader.
pub(super) enum EngineFault {
    /// It found damage.
    Damage(String),
    /// It could not read now.
    Unavailable(String),
}

impl From<fjall::Error> for EngineFault {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(source) | fjall::Error::Storage(LsmError::Io(source)) => match source.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::Other => {
                    Self::Damage(source.to_string())
                }
                _ => Self::Unavailable(source.to_string()),
            },
            fjall::Error::Poisoned | fjall::Error::Locked => Self::Unavailable(error.to_string()),
            error => Self::Damage(error.to_string()),
        }
    }
}
