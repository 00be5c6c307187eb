//! The own fence: whoever answers has read it lately ([`Sight`](super::Sight)). A read that says `fenced`, or finds no row, is the
//! end. What is stored is confirmed by reads of the store's own: see `quorum/fence.rs` there.

use std::time::Duration;

use switchyard_protocol::owner::{RouterRow, RouterState};

use crate::now::Now;

use super::calls::{Pace, Purpose};
use super::event::{Call, Level};
use super::{Ownership, Phase};

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// A read is on its way.
    reading: bool,
    /// When the last one began.
    began: Duration,
    /// When the last one that said `live` began.
    live: Option<Now>,
    pace: Pace,
}

impl Fence {
    /// When the last read that said `live` began.
    pub(super) fn seen(&self) -> Option<Now> {
        self.live
    }
}

impl Ownership {
    /// Begins a read if one is due.
    pub(super) fn read_fence(&mut self) {
        if self.now.mono < self.fence_due() || !matches!(self.phase, Phase::Live) {
            return;
        }
        self.fence.reading = true;
        self.fence.began = self.now.mono;
        let incarnation = self.own.incarnation;
        self.call(Purpose::OwnFence { began: self.now }, Call::ReadRouter { incarnation, level: Level::Quorum });
    }

    /// When a read is due.
    pub(super) fn fence_due(&self) -> Duration {
        if self.fence.reading {
            return Duration::MAX;
        }
        let due = self.fence.began + self.config.fence_every;
        // Whoever asks a router that has just started waits for its first read.
        let is_first = self.fence.live.is_none();
        let wanted = if is_first { Duration::ZERO } else { due };
        wanted.max(self.fence.pace.not_before())
    }

    /// A read has ended; nothing if it failed.
    pub(super) fn fence_read(&mut self, began: Now, found: Option<Option<RouterRow>>) {
        self.fence.reading = false;
        match found {
            Some(Some(row)) if row.incarnation == self.own.incarnation && row.state == RouterState::Live => {
                self.fence.pace.succeeded();
                self.fence.live = Some(began);
            }
            Some(_) => self.end(),
            None => self.fence.pace.failed(self.now.mono, &self.config, &mut self.random),
        }
    }
}
