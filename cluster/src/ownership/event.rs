//! All that happens to ownership, and all that it has done: plain values, for it knows neither store nor network.

use std::time::Duration;

use switchyard_protocol::owner::{Cell, Claim, Epoch, Holder, Incarnation, RouterRow};
use switchyard_protocol::shard::Shard;

/// Names a call, so that its answer is told from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallId(pub u64);

/// How a table is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// At a quorum.
    Quorum,
    /// As a transaction.
    Serial,
}

/// What the store is asked for. Each is answered once, by [`Event::Answered`], within a second or so; the store repeats
/// none by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// Put this row if there is none of its incarnation.
    InsertRouter(RouterRow),
    /// Fence this row, whatever it says; refused if there is none.
    Fence(Incarnation),
    /// Make all these changes of a cell, or none.
    Claim {
        /// Whose shards they are.
        cell: Cell,
        /// At least one; each names a shard of its own.
        claims: Vec<Claim>,
    },
    /// Who holds the shards of a cell.
    ReadCell {
        /// Which.
        cell: Cell,
        /// How.
        level: Level,
    },
    /// The row of a router.
    ReadRouter {
        /// Whose.
        incarnation: Incarnation,
        /// How.
        level: Level,
    },
    /// Rows of live routers.
    ListRouters,
}

/// What the store says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The transaction was carried out.
    Applied,
    /// It was not, and never will be. What was found is read again.
    Refused,
    /// Nothing is known: of a transaction, whether it was or will be carried out; of a read, anything.
    Unknown,
    /// To [`Call::ReadCell`].
    Cell(Vec<(Shard, Holder)>),
    /// To [`Call::ReadRouter`].
    Router(Option<RouterRow>),
    /// To [`Call::ListRouters`].
    Routers(Vec<RouterRow>),
}

/// What a router says of itself by Redis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// Who.
    pub incarnation: Incarnation,
    /// Where others reach it.
    pub address: String,
    /// Counts its heartbeats: one that comes again says nothing.
    pub beat: u64,
    /// It is about to go: nothing should be moved to it.
    pub draining: bool,
}

/// What came of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probed {
    /// At that address this incarnation answered.
    Answered(Incarnation),
    /// Nobody did, within a second or so.
    Failed,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The store answered.
    Answered {
        /// Which call.
        call: CallId,
        /// What.
        answer: Answer,
    },
    /// Redis brought a heartbeat.
    Heartbeat(Heartbeat),
    /// Redis can be reached, or cannot any more. Until the first of these it cannot.
    Redis {
        /// Whether it can.
        reachable: bool,
    },
    /// A probe has ended.
    Probed {
        /// Whom it was for.
        incarnation: Incarnation,
        /// What came of it.
        probed: Probed,
    },
    /// A link to this router broke: no proof of anything, but a reason to look.
    Unreachable(Incarnation),
    /// Another router says that it gave shards of this cell to this one. They are read before anything is believed.
    Given(Cell),
    /// A shard whose intake was to be stopped has nothing in flight any more: what was not finished was told as unknown,
    /// and is neither acknowledged nor answered from here on.
    ShardStopped {
        /// Which.
        shard: Shard,
        /// In which epoch.
        epoch: Epoch,
    },
    /// All shards are to be moved to others. Ends with [`Effect::End`].
    Drain,
}

/// Something to be done, in the order in which it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Ask the store.
    Call {
        /// To be given back with the answer.
        id: CallId,
        /// What.
        call: Call,
    },
    /// Say by Redis that this router is there.
    Heartbeat(Heartbeat),
    /// Ask whoever is at that address for its incarnation.
    Probe {
        /// Whom to expect.
        incarnation: Incarnation,
        /// Where.
        address: String,
    },
    /// Tell that router that it was given shards of this cell ([`Event::Given`]). Nothing is lost if it does not get there.
    TellGiven {
        /// Whom.
        incarnation: Incarnation,
        /// Which.
        cell: Cell,
    },
    /// The shard is this router's: it may serve conversations of it, once they are adopted.
    Owned {
        /// Which.
        shard: Shard,
        /// Since which epoch.
        epoch: Epoch,
    },
    /// Take nothing new in, finish what is in flight, and say so ([`Event::ShardStopped`]).
    StopShard {
        /// Which.
        shard: Shard,
        /// In which epoch.
        epoch: Epoch,
        /// How long; then what is left is told as unknown.
        within: Duration,
    },
    /// The shard is somebody else's: forget it.
    Released {
        /// Which.
        shard: Shard,
        /// In which epoch it was this router's.
        epoch: Epoch,
    },
    /// This incarnation is fenced, for good: everything that is open is unknown. A new one may start.
    End,
}
