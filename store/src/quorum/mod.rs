//! The protocol of a log whose rows lie on several nodes, of which a quorum answers: what is read and written, in which order,
//! with which timestamps, and behind which read of the fence. Which statements that takes is [`Replicas`]: those of the CQL
//! store, or those of the simulation (`cluster/tests/simulation`), in which each is late, lost, repeated or carried out by
//! some nodes alone. So what is simulated is what is shipped.
//!
//! ```text
//! adopt     an owner's first touch of a conversation in its epoch       timestamp   which of two writes to a row wins
//! append    storing rows                                                newest      the highest row
//! overwrite putting other bytes in their place                          fence       the barrier, and what is noted behind it
//! trim      dropping old ones                                           copies      how many replicas are asked
//! ```
//!
//! Each of the rules is needed: see `rules.rs`, ARCHITECTURE.md and `cluster/tests/ownership`.

mod adopt;
mod append;
mod bounds;
mod copies;
#[cfg(test)]
mod double;
mod fence;
mod newest;
mod overwrite;
pub(crate) mod timestamp;
mod trim;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::{Incarnation, RouterRow};

use crate::BoxFuture;
use crate::log::{BATCH_BYTES_MAX, BUCKET_ROWS, ReadError, Seq};
use crate::ownership::Unavailable;
use crate::rules::Rules;

pub use adopt::adopt;
pub use append::append;
pub use bounds::{Bound, Bounds};
pub use copies::{Copies, Kind};
pub use fence::{Fence, barrier};
pub use newest::{Newest, newest};
pub use overwrite::overwrite;
pub use trim::trim;

/// Whether any replica may have, or get, what was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// Surely none: it was not sent, or refused by a coordinator before it asked any replica. Sent again it may be taken.
    Nobody,
    /// Surely none, and it is refused for what it is: who asks may not, or what it names is not there. Sent again it is refused
    /// again, until somebody mends that.
    Never,
    /// Nobody knows.
    Perhaps,
}

/// Why a statement has no answer.
pub trait Failure: fmt::Display + Send {
    /// Whether a write that failed so may be there.
    fn reached(&self) -> Reached;
}

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRow {
    /// Its number.
    pub seq: Seq,
    /// Its bytes.
    pub row: Bytes,
    /// What they were written with.
    pub timestamp: i64,
}

/// A row to be written.
#[derive(Clone, Copy, Debug)]
pub struct Stamped<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its bytes.
    pub row: &'a Bytes,
    /// With what.
    pub timestamp: i64,
}

/// How much goes together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Rows that share a partition.
    pub bucket_rows: u64,
    /// Rows that an adoption reads at a time.
    pub page_rows: u64,
    /// Bytes of rows that an adoption writes again at a time.
    pub part_bytes: usize,
    /// Of a conversation's numbers every so manieth is noted once it is committed: so many rows, and one batch, a later owner
    /// reads and writes again at most, and a statement costs a message so much less than one of its own.
    pub note_every: u64,
    /// Rows that are given to who adopts, at most.
    pub given_rows: usize,
    /// And bytes of them.
    pub given_bytes: usize,
}

/// Rows that are read at a time: 100 of the largest are some 6 MB.
const PAGE_ROWS: u64 = 100;

impl Sizes {
    /// Those of every store but a simulated one.
    pub const REAL: Self = Self {
        bucket_rows: BUCKET_ROWS,
        page_rows: PAGE_ROWS,
        part_bytes: BATCH_BYTES_MAX,
        note_every: 32,
        given_rows: 2 * PAGE_ROWS as usize,
        given_bytes: 256 * 1024,
    };
}

/// The statements of which the protocol is made, and what it needs beside. A write is answered once a quorum has it, a read
/// once a quorum was asked ([`Copies`]); each is tried once, and ends after a time-out of its own.
///
/// **Invariant:** of two cells of one place the one with the higher timestamp stays, on every replica and in every answer, whichever came
/// first; of two with one timestamp, always the same.
pub trait Replicas: Clone + Send + Sync + 'static {
    /// Why a statement has no answer.
    type Failed: Failure;

    /// How much goes together.
    fn sizes(&self) -> Sizes {
        Sizes::REAL
    }

    /// Which rules hold: all, but in a test build.
    fn rules(&self) -> Rules {
        Rules::default()
    }

    /// Whose fence is read, and who waits for it.
    fn fence(&self) -> &Fence;

    /// Whether this router owns the conversation in this epoch yet, for all it knows. Who is replaced is fenced, and learns it by
    /// the barrier; but who gives a shard away lives on. So it is asked behind the barrier, before anything is said to be
    /// committed.
    fn owns(&self, key: &ConversationKey, epoch: u64) -> bool;

    /// What is known of where a conversation begins and ends.
    fn bounds(&self, key: &ConversationKey) -> impl Future<Output = Result<Bounds, Self::Failed>> + Send;

    /// Raises bounds of one conversation, together. Lower ones than are stored change nothing.
    fn raise(
        &self,
        key: &ConversationKey,
        bounds: &[(Bound, Seq)],
    ) -> impl Future<Output = Result<(), Self::Failed>> + Send;

    /// The highest row of a bucket.
    fn highest(
        &self,
        key: &ConversationKey,
        bucket: u64,
    ) -> impl Future<Output = Result<Option<Seq>, Self::Failed>> + Send;

    /// Rows from a number up, of its bucket, at most so many, in order.
    fn rows(
        &self,
        key: &ConversationKey,
        from: Seq,
        rows_max: u64,
    ) -> impl Future<Output = Result<Vec<StoredRow>, Self::Failed>> + Send;

    /// Stores rows of one bucket, all or none of them on each replica.
    fn put(&self, key: &ConversationKey, rows: &[Stamped<'_>])
    -> impl Future<Output = Result<(), Self::Failed>> + Send;

    /// Drops a bucket with all that lies beside it, but not row 0, for good: with a timestamp above whatever may still come.
    fn drop_bucket(&self, key: &ConversationKey, bucket: u64) -> impl Future<Output = Result<(), Self::Failed>> + Send;

    /// The row of a router, as a quorum has it.
    fn router(&self, incarnation: Incarnation) -> impl Future<Output = Result<Option<RouterRow>, Unavailable>> + Send;

    /// Waits.
    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Does something for which nobody waits.
    fn spawn(&self, work: BoxFuture<'static, ()>);
}

/// A read's failure, as callers know it.
fn unread(error: impl fmt::Display) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
