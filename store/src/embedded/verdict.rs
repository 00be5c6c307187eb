//! Whether the disk has failed, which is final: neither the kernel nor the engine says afterwards what is on it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::options::FatalHook;

/// The verdict on the disk.
pub(super) struct Verdict {
    failed: AtomicBool,
    fatal: FatalHook,
}

impl Verdict {
    pub(super) fn new(fatal: FatalHook) -> Self {
        Self { failed: AtomicBool::new(false), fatal }
    }

    /// Nothing is promised from here on.
    pub(super) fn fail(&self, reason: &str) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            (self.fatal)(reason);
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}
