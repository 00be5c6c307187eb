//! Places where routers run, their processes and their clocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use switchyard_cluster::now::Now;
use switchyard_cluster::ownership::{Event, Ownership, Sight};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::Shard;

use super::conversation::Conversation;
use super::plan::{MS, Time};
use super::store::{Reply, Store};
use super::tasks::Tasks;

/// A message, and how many rows there were when it was sent first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) number: u32,
    pub(crate) since: usize,
}

/// What comes to a process from outside. One that does not run finds it when it goes on.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// For the real code.
    Machine(Event),
    /// A task's request was answered.
    Replied(u64, Reply),
    /// A client sends.
    Send { conversation: usize, message: Message },
    /// Old rows are to be dropped.
    Trim { conversation: usize },
    /// A conversation that nobody needs now leaves memory, and is loaded again.
    Evict { conversation: usize },
    /// A client wants a text of this conversation erased.
    Erase { conversation: usize },
    /// A client asks.
    Ask { conversation: usize },
    /// An edge subscribes; its readers have all up to this number.
    Subscribe { edge: usize, conversation: usize, after: usize, question: u64 },
    /// What is in flight had its time.
    StopDeadline(Shard, Epoch),
}

/// One start of a router.
pub(crate) struct Process {
    pub(crate) number: u64,
    pub(crate) machine: Ownership,
    /// What whoever answers there goes by.
    pub(crate) sight: Sight,
    /// When it is to be woken.
    pub(crate) wake_at: Time,
    pub(crate) conversations: BTreeMap<usize, Conversation>,
    /// Shards whose intake is stopped, until that is told.
    pub(crate) stopping: BTreeMap<Shard, Epoch>,
    /// What it is at in its conversations.
    pub(crate) tasks: Tasks,
    pub(crate) store: Store,
    /// It was the owner of everything. One that wants to be alone and was replaced before is started again.
    pub(crate) had_all: bool,
    /// The store knows whose fence to read.
    pub(crate) serves: bool,
    /// Writes under way, and how many replicas have them.
    pub(crate) writes: BTreeMap<u64, usize>,
    /// Its fence reads under way, those of the log and those of the real code that decides who owns what, and when they began, in
    /// truth.
    pub(crate) barriers: BTreeMap<u64, Time>,
    /// When the last one that said `live` began, in truth.
    pub(crate) live_since: Time,
    pub(crate) start_after: Option<Time>,
}

impl Process {
    /// In which epoch it may answer for a shard now, if it may.
    pub(crate) fn may_answer(&self, now: Now, shard: Shard) -> Option<Epoch> {
        self.machine.may_answer(shard).filter(|_| self.sight.is_sure(now))
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) process: Option<Process>,
    pub(crate) paused: bool,
    pub(crate) inbox: VecDeque<Input>,
    /// How long its monotonic clock has stood still.
    pub(crate) lag: Time,
    pub(crate) wall_offset_ms: i64,
    pub(crate) store_cut_until: Time,
    pub(crate) redis_cut_until: Time,
    pub(crate) peers_cut_until: Time,
}

/// When everything begins, by the walls' clocks.
const WALL_MS: i64 = 1_700_000_000_000;

impl Place {
    /// What its clocks say.
    pub(crate) fn now(&self, now: Time) -> Now {
        let wall_ms = WALL_MS + (now / MS) as i64 + self.wall_offset_ms;
        Now { mono: Duration::from_micros(now - self.lag), wall_ms: wall_ms as u64 }
    }

    /// The truth of a moment of its monotonic clock, or the next microsecond.
    pub(crate) fn truth(&self, mono: Duration) -> Time {
        Time::try_from(mono.as_nanos().div_ceil(1_000)).unwrap_or(Time::MAX).saturating_add(self.lag)
    }
}
