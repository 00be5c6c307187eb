//! What is kept of a run in which people do more than write: nothing of this exists in one where they do not.

use std::collections::{HashMap, VecDeque};

use crate::letter;
use crate::mix::Mix;
use crate::oracle::Change;
use crate::outbox::Outcome;

/// Another sequence than those of bodies and pauses, which follow from the seed too.
const DRAWS: u64 = 0x6d69_7865_6420;

/// Request ids of changes have this bit, and are even.
const CHANGE: u64 = 1 << 50;

/// Whether a request id is a change's.
pub(super) fn is_change(id: u64) -> bool {
    id & CHANGE != 0
}

/// An edit, deletion or emoji under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) slot: usize,
    pub(super) target: u64,
    pub(super) change: Change,
    /// When it was due.
    pub(super) intended: u64,
    /// The head that was acknowledged before it was first sent.
    pub(super) since: u64,
    pub(super) outcome: Outcome,
    pub(super) sent: bool,
    /// It was sent more than once.
    pub(super) again: bool,
    /// It may have been carried out already.
    pub(super) unsure: bool,
}

/// Of the run.
#[derive(Debug)]
pub(super) struct Mixing {
    pub(super) mix: Mix,
    pub(super) open: HashMap<u64, Op>,
    /// Acks of changes so far: what was asked after one must show it.
    pub(super) tick: u64,
    /// Nothing happens any more, and everybody asks once what there is.
    pub(super) closing: bool,
    draws: u64,
    next: u64,
}

impl Mixing {
    pub(super) fn new(mix: Mix) -> Self {
        Self { mix, open: HashMap::new(), tick: 0, closing: false, draws: 0, next: 0 }
    }

    /// The next choice.
    pub(super) fn draw(&mut self, seed: u64) -> u64 {
        self.draws += 1;
        letter::mix(seed ^ DRAWS, self.draws)
    }

    /// A change is under way from now on; its request id.
    pub(super) fn begin(&mut self, op: Op) -> u64 {
        self.next += 2;
        let id = CHANGE | self.next;
        self.open.insert(id, op);
        id
    }

    /// Whether readers do something once a second.
    pub(super) fn has_readers(&self) -> bool {
        self.mix.marks || self.mix.lists
    }
}

/// What a reader still asks before the books are closed, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) enum LastAsk {
    #[default]
    Mark,
    Unread,
    List,
    Nothing,
}

/// Of one user's connection.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Changes that wait for a connection with room.
    pub(super) waiting: VecDeque<u64>,
    /// Changes sent on this connection and not answered.
    pub(super) flying: usize,
    /// [`Mixing::tick`] when the last request other than a send or a change was sent, and the newest message that was
    /// acknowledged then.
    pub(super) asked_tick: u64,
    pub(super) asked_newest: u64,
    /// When it was sent.
    pub(super) asked_at: u64,
    /// How far the user has said on this connection that they have read, and how far that was acknowledged.
    pub(super) mark_said: u64,
    pub(super) mark_acked: u64,
    /// The highest number of an own message that was acknowledged: it is read.
    pub(super) own_acked: u64,
    /// How far others have come, read and delivered, as this connection was told.
    pub(super) told: HashMap<u32, (u64, u64)>,
    /// The timer of marks and lists runs.
    pub(super) ticking: bool,
    pub(super) ticks: u64,
    pub(super) last_ask: LastAsk,
    /// It was asked for, and is not answered.
    pub(super) is_last_asked: bool,
}

impl Part {
    /// Whether the last request was answered.
    pub(super) fn is_done(&self) -> bool {
        self.last_ask == LastAsk::Nothing
    }

    /// The connection is gone. What it was told of marks may be lost with the server, and is told anew.
    pub(super) fn cut_off(&mut self) {
        self.flying = 0;
        (self.mark_said, self.mark_acked) = (0, 0);
        self.is_last_asked = false;
        self.told.clear();
    }
}
