//! What fails again and again while the store is away is told once, and once more when it goes well: a log that says it for
//! every conversation hides everything else.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};

/// One kind of work that is repeated until it is done.
pub(super) struct Trouble {
    what: &'static str,
    told: AtomicBool,
}

impl Trouble {
    /// Says what it is when this is so, as a sentence.
    pub(super) const fn of(what: &'static str) -> Self {
        Self { what, told: AtomicBool::new(false) }
    }

    /// It failed once.
    pub(super) fn failed(&self, error: impl Display) {
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "{}", self.what);
        } else {
            tracing::error!(%error, "{}; more of it is told at level debug until it is over", self.what);
        }
    }

    /// It went well once.
    pub(super) fn went_well(&self) {
        if self.told.load(Ordering::Relaxed) && self.told.swap(false, Ordering::Relaxed) {
            tracing::info!("over: {}", self.what);
        }
    }
}
