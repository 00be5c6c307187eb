//! Where timelines lie: the traits that every store keeps, the form of a stored row, and two stores: the embedded
//! one, and one in a cluster that speaks CQL.
//!
//! Five traits, one per class of data: [`Log`] (the truth), [`Projections`] (what follows from it), [`Marks`] (how far
//! members have come), [`Ownership`](ownership::Ownership) (the compare-and-set by which routers agree who owns what) and
//! [`Epochs`] (a number for the one process that owns everything). A store may implement all of them on one value.
//!
//! **Invariant:** nothing above this crate knows which store it talks to, and nothing here knows what an event means:
//! a row's kind and body are numbers and bytes.
//!
//! **Blocking:** every method returns a future, and a store is free to do the whole work within its first poll. The
//! embedded one does. So poll these futures on threads that may block (the commit thread, a reader pool), never on a
//! thread that serves sockets.

#[cfg(feature = "contract")]
pub mod contract;
pub mod cql;
mod dump;
pub mod embedded;
mod epoch;

mod key;
mod log;
mod mark;
pub mod ownership;
mod projection;
pub mod quorum;
pub mod row;
pub mod rules;
#[cfg(test)]
mod spoil;
pub mod transactions;

use std::future::Future;
use std::pin::Pin;

pub use dump::Dump;
pub use epoch::{EpochError, Epochs};
pub use log::{
    Adopted, BATCH_BYTES_MAX, BUCKET_ROWS, BarrierError, Batch, Damage, Direction, Log, Outcome, ROWS_MAX, ReadError,
    ReadRange, Refusal, Seq,
};
pub use mark::{MARK_BYTES_MAX, Mark, Marks, StoredMark};
pub use projection::{
    ABOUT_BYTES_MAX, Decision, DecisionPlace, Membership, OVERLAY_BYTES_MAX, Overlay, ProjectionError, ProjectionWrite,
    Projections, RECORD_BYTES_MAX, Reactor, Record, StoredMember,
};
pub use row::{Row, RowRef};

/// A future on the heap, so that the traits can be used as `Arc<dyn Log>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
