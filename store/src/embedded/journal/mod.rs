//! The journal: where everything that is stored is written first, in the order in which it is stored, and what a barrier
//! syncs. A few segments of fixed size, full of zeros when they are made, are filled one after the other; when the engine
//! has taken over what a segment holds, it is filled again. Files and bytes only: what is in memory meanwhile, and what the
//! engine does with it, is decided elsewhere.
//!
//! A record is whole sectors. Its header says which record came before it, up to which everything had been synced, and up
//! to which the engine has everything: see `scan.rs` for what follows from that after a crash.

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod judge;
mod pool;
pub(super) mod record;
mod scan;
mod sector;
mod segment;
mod writer;

use std::path::Path;

use super::options::OpenError;

pub(super) use pool::{Pool, Taken};
pub(super) use scan::{Found, Live};
pub(super) use sector::Sectors;
pub(super) use segment::{Segment, make_dir};
pub(super) use writer::{Facts, Writer};

/// A journal as it was found.
pub(super) struct Opened {
    /// All segments, by their numbers.
    pub(super) segments: Vec<Segment>,
    /// What they say.
    pub(super) found: Found,
}

/// Reads a journal and judges it. Changes nothing.
pub(super) fn open(dir: &Path) -> Result<Opened, OpenError> {
    let (segments, contents): (Vec<_>, Vec<_>) = segment::open_all(dir)?.into_iter().unzip();
    let found =
        scan::scan(&contents).map_err(|reason| OpenError::Corrupt(format!("journal {}: {reason}", dir.display())))?;
    if found.torn > 0 {
        tracing::info!(journal = %dir.display(), records = found.torn, "leaving out writes that were never confirmed");
    }
    Ok(Opened { segments, found })
}
