//! Epochs: the number by which an owner outranks every owner before it. The trait and its contract only.

use crate::BoxFuture;

/// Why no epoch was given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// No room on disk, no quorum, or damage. Nothing may be owned.
    #[error("no epoch: {0}")]
    Unavailable(String),
}

/// The store's compare-and-set.
pub trait Epochs: Send + Sync + 'static {
    /// A number higher than every one that was ever returned for this data, by any process. It is durable before it is
    /// returned; numbers may be skipped. The first one is 1.
    ///
    /// Embedded: a synced counter, safe because the data directory is locked by one process.
    fn open_epoch(&self) -> BoxFuture<'_, Result<u64, EpochError>>;
}
