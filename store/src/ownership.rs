//! Ownership: the transactions by which routers agree who owns which shard. The trait and its contract only; when which of
//! them is made is decided elsewhere.
//!
//! Two small tables, which nothing but these transactions may touch:
//!
//! ```text
//! router       incarnation              -> state (live, fenced), address, nonce     a row is never deleted
//! shard_owner  cell (partition), shard  -> incarnation, epoch                       a row is never deleted, its epoch never falls
//! ```
//!
//! Each transaction is one compare-and-set, carried out wholly or not at all, and as if all of one partition (a router, a
//! cell) were made one after the other. There is no nonce in the table of owners: an incarnation is never used twice, so
//! `(incarnation, epoch)` says by itself whose claim was carried out.
//!
//! # Outcomes
//! Whoever asks gets one of three answers, and no error beside them. [`Outcome::Unknown`] is every case in which the store
//! cannot vouch for either of the others: a time-out, a lost connection, a replica that failed, a refusal before
//! anything was sent. A transaction that ended so may be carried out **at any time later, or never**; its condition
//! is what protects from it. So the store never repeats one by itself: the caller reads at [`Level::Serial`] and decides.
//!
//! # Time
//! Each call ends: after a time-out of the store's own, a second or so, as `Unknown` or [`Unavailable`]. Calls are made from
//! anywhere and many at once (a dead owner's shards are claimed in all cells at the same time); transactions on one
//! partition need not be fair, but one that has a partition for itself is carried out.

use switchyard_protocol::owner::{Cell, Claim, Holder, Incarnation, RouterRow};
use switchyard_protocol::shard::Shard;

use crate::BoxFuture;

/// Live routers that a listing gives at most. More are left out; they come up once some of these are fenced.
pub const LIVE_ROUTERS_MAX: usize = 1_024;

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<Found> {
    /// It was carried out, and a quorum has it: every read at either level that begins from now on says so.
    Applied,
    /// It was not, and never will be, for its condition did not hold: this is what was found.
    Refused(Found),
    /// Neither is known. See the module.
    Unknown,
}

/// How a read is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// At a quorum: what was applied before the read began, and perhaps what is being applied now. The fence read; a
    /// millisecond.
    Quorum,
    /// As a transaction of its own: an earlier one whose outcome is unknown is carried out by it, or will never be unless
    /// it is still on its way. Ten times as much.
    Serial,
}

/// A read that gave nothing. It says nothing of what is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tables of owners cannot be read: {0}")]
pub struct Unavailable(pub String);

/// The compare-and-set by which routers agree. See the module for what all its methods have in common.
pub trait Ownership: Send + Sync + 'static {
    /// Puts this row if there is none of its incarnation (`INSERT … IF NOT EXISTS`). Its state is `Live` for a router that
    /// starts, `Fenced` for one of which there is no row and which must never live.
    ///
    /// Refused with the row that is there, which may be the one that an earlier attempt has put: the nonce tells.
    fn insert_router<'a>(&'a self, row: &'a RouterRow) -> BoxFuture<'a, Outcome<RouterRow>>;

    /// Fences the row of this incarnation, whatever it says (`SET state = 'fenced' IF state IN ('live', 'fenced')`): the form
    /// that is true for every row, so that `Applied` means that a quorum has it, also if it was fenced before.
    ///
    /// Refused if there is no row: [`insert_router`](Self::insert_router) fences such a one.
    fn fence(&self, incarnation: Incarnation) -> BoxFuture<'_, Outcome<()>>;

    /// Makes all of these changes of one cell, or none: each shard must be held as its claim says, and is then held
    /// as [`Claim::held`] says. One conditional batch of one partition; where `from` is `None` there must be no row.
    ///
    /// There is at least one claim, all are of this cell, each of a shard of its own and with an epoch that there is;
    /// otherwise it is refused. Refused with what the store tells of the shards that were claimed: perhaps not of all of them,
    /// so whoever wants to know reads the cell.
    fn claim<'a>(&'a self, cell: Cell, claims: &'a [Claim]) -> BoxFuture<'a, Outcome<Vec<(Shard, Holder)>>>;

    /// Who holds the shards of a cell, in their order, each once; a shard that was never held is not among them.
    fn cell(&self, cell: Cell, level: Level) -> BoxFuture<'_, Result<Vec<(Shard, Holder)>, Unavailable>>;

    /// The row of a router; `None` if there is none.
    ///
    /// At [`Level::Quorum`] this is the **fence read**. Once [`fence`](Self::fence) was `Applied`, none that begins says `Live`.
    fn router(&self, incarnation: Incarnation, level: Level) -> BoxFuture<'_, Result<Option<RouterRow>, Unavailable>>;

    /// Rows that say `Live`, [`LIVE_ROUTERS_MAX`] at most, in any order, read at a quorum: every one whose insert was applied
    /// before this began and whose fence was not, and perhaps some whose fence is being applied. A hint of whom there
    /// may be: nothing is decided by it alone.
    fn live_routers(&self) -> BoxFuture<'_, Result<Vec<RouterRow>, Unavailable>>;

    /// Says for whom this process stores from now on: the router of this row, which is put already. Barriers of the same
    /// store read its fence. In a store of one process nobody else could be meant.
    fn serve(&self, incarnation: Incarnation) {
        let _ = incarnation;
    }
}
