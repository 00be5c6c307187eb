//! The storage engine, opened and asked in its own words: the only file that calls it to open, and where its errors get
//! a meaning. What is stored in it is decided elsewhere. It is given sorted files only (`sorting/`): its own journal and
//! what it would hold in memory stay empty.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, FilterPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode};

use super::memory::gather::Tree;
use super::opening::schema;
use super::options::{OpenError, Options};

/// Bytes of rows after which a block is full: somewhat less than a page, so that a full page is a block by itself and small
/// ones share one. With 4 KiB the indexes, which are kept in memory, need more room, and small pages more reads.
const BLOCK_BYTES: u32 = 12 * 1024;

/// Threads for merging. With two, the engine keeps the first free for writing out by having it put every merge back into
/// the queue, without a pause, as long as the second one merges: a seventh of all CPU under load.
const WORKERS: usize = 1;

/// Unmerged tables of a tree beyond which the engine is given no more. It would take them, and reads would cost by the table.
const UNMERGED_TABLES_MAX: usize = 16;

/// The engine with its trees.
pub(super) struct Engine {
    pub(super) db: Database,
    /// Pages of rows by conversation and last number.
    pub(super) log: Keyspace,
    /// Conversations' records.
    pub(super) conversations: Keyspace,
    /// Members by conversation.
    pub(super) members: Keyspace,
    /// Members by user.
    pub(super) users: Keyspace,
    /// The epoch, routers, and where trimmed conversations begin.
    pub(super) meta: Keyspace,
    /// Overlays and reactors, by conversation and row.
    pub(super) overlays: Keyspace,
    /// Marks by conversation.
    pub(super) marks: Keyspace,
    /// Decisions by home.
    pub(super) decisions: Keyspace,
}

const TREES: [&str; 8] = ["log", "conversation", "member", "user", "meta", "overlay", "mark", "decision"];

/// How many of the trees a store of the oldest schema has, and one more with each since until it has all; it gets the others when
/// it is opened.
const TREES_OF_THE_OLDEST: usize = 5;

/// What is expected in the directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// Nothing; make it. Only for a directory that does not count yet.
    Nothing,
    /// A whole engine. It would make an empty tree of one that it misses, so that is refused.
    Whole,
    /// The same of a store of this older schema, which lacks the newer trees.
    Older(u32),
}

impl Expect {
    /// The directories of the trees that it may make, which the engine numbers from 1 on.
    pub(super) fn new_dirs(self) -> impl Iterator<Item = String> {
        (self.trees().len() + 1..=TREES.len()).map(|number| number.to_string())
    }

    /// The trees that must be there.
    fn trees(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Whole => &TREES,
            Self::Older(schema) => {
                let since = usize::try_from(schema.saturating_sub(schema::OLDEST)).unwrap_or(TREES.len());
                TREES.get(..TREES_OF_THE_OLDEST + since).unwrap_or(&TREES)
            }
        }
    }
}

impl Engine {
    /// Opens or creates it.
    pub(super) fn open(path: &Path, options: &Options, expect: Expect) -> Result<Self, OpenError> {
        if expect != Expect::Nothing {
            empty_journal(path)
                .map_err(OpenError::io(format!("emptying the engine's journal in {}", path.display())))?;
        }
        // The engine asserts on some kinds of damage.
        match catch_unwind(AssertUnwindSafe(|| Self::open_trees(path, options, expect))) {
            Ok(Ok(Some(engine))) => Ok(engine),
            Ok(Ok(None)) => Err(OpenError::Corrupt(format!("a tree is missing in {}", path.display()))),
            Ok(Err(error)) => Err(open_error(path, error)),
            Err(_) => Err(OpenError::Corrupt(format!("the engine gave up on {}", path.display()))),
        }
    }

    /// The tree whose values are put one by one.
    pub(super) fn tree(&self, tree: Tree) -> &Keyspace {
        match tree {
            Tree::Conversations => &self.conversations,
            Tree::Members => &self.members,
            Tree::Users => &self.users,
            Tree::Meta => &self.meta,
            Tree::Overlays => &self.overlays,
            Tree::Marks => &self.marks,
            Tree::Decisions => &self.decisions,
        }
    }

    /// Whether it merges and lags so far behind that it should be given nothing more. It looks for a merge each time it is
    /// given something; so if it does nothing though it lags, it needs another push, not a pause.
    pub(super) fn lags(&self) -> bool {
        let trees = || Tree::ALL.into_iter().map(|tree| self.tree(tree)).chain([&self.log]);
        self.db.active_compactions() > 0 && trees().any(|tree| tree.l0_table_count() >= UNMERGED_TABLES_MAX)
    }

    /// Says if its threads have ended, which they do at the first error they meet.
    pub(super) fn check(&self) -> fjall::Result<()> {
        self.db.persist(PersistMode::Buffer)
    }

    fn open_trees(path: &Path, options: &Options, expect: Expect) -> fjall::Result<Option<Self>> {
        let db = Database::builder(path).cache_size(options.cache_bytes).worker_threads(WORKERS).open()?;
        if !expect.trees().iter().all(|tree| db.keyspace_exists(tree)) {
            return Ok(None);
        }
        let small = KeyspaceCreateOptions::default;
        // Rows are read by range, which no filter helps.
        let log = || {
            KeyspaceCreateOptions::default()
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(options.segment_bytes)))
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
            overlays: db.keyspace(TREES[5], small)?,
            marks: db.keyspace(TREES[6], small)?,
            decisions: db.keyspace(TREES[7], small)?,
            db,
        }))
    }
}

/// Leaves the engine one empty journal. It writes nothing into it, and what the disk made of that must not matter; but without
/// any, it would not count on from its newest files, and answer as if it had none.
fn empty_journal(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let journal = entry?.path();
        if journal.extension().is_some_and(|extension| extension == "jnl") {
            fs::remove_file(journal)?;
        }
    }
    File::create(path.join("0.jnl")).map(drop)
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
