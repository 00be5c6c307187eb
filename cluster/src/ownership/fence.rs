//! The own fence: what is stored is confirmed by a read of it that began afterwards, and whoever answers has read it lately.
//!
//! One read at a time serves all that wait when it begins. A read that says `fenced`, or finds no row, is the end.

use std::time::Duration;

use switchyard_protocol::owner::{RouterRow, RouterState};

use crate::now::Now;

use super::calls::{Pace, Purpose};
use super::event::{Call, Effect, Level, Ticket};
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
    /// What the read under way confirms.
    served: Vec<Ticket>,
    /// What the next one will.
    waiting: Vec<Ticket>,
    pace: Pace,
}

impl Fence {
    /// When the last read that said `live` began.
    pub(super) fn seen(&self) -> Option<Now> {
        self.live
    }

    /// Whether a read that said `live` began lately. The two clocks of a machine may stand still, or be set, one without the
    /// other: the one by which it is longer ago counts.
    fn is_fresh(&self, now: Now, age_max: Duration) -> bool {
        self.live.is_some_and(|began| {
            let by_wall = Duration::from_millis(now.wall_ms.saturating_sub(began.wall_ms));
            now.mono.saturating_sub(began.mono).max(by_wall) <= age_max
        })
    }
}

impl Ownership {
    /// Something is at a quorum.
    pub(super) fn written(&mut self, ticket: Ticket) {
        self.fence.waiting.push(ticket);
    }

    /// Begins a read if one is due.
    pub(super) fn read_fence(&mut self) {
        if self.now.mono < self.fence_due() || !matches!(self.phase, Phase::Live) {
            return;
        }
        self.fence.reading = true;
        self.fence.began = self.now.mono;
        self.fence.served = std::mem::take(&mut self.fence.waiting);
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
        let wanted = if self.fence.waiting.is_empty() && !is_first { due } else { Duration::ZERO };
        wanted.max(self.fence.pace.not_before())
    }

    /// A read has ended; nothing if it failed.
    pub(super) fn fence_read(&mut self, began: Now, found: Option<Option<RouterRow>>) {
        self.fence.reading = false;
        match found {
            Some(Some(row)) if row.incarnation == self.own.incarnation && row.state == RouterState::Live => {
                self.fence.pace.succeeded();
                self.fence.live = Some(began);
                for ticket in std::mem::take(&mut self.fence.served) {
                    self.out.push(Effect::Confirmed(ticket));
                }
            }
            Some(_) => self.end(),
            None => {
                self.fence.pace.failed(self.now.mono, &self.config, &mut self.random);
                let later = std::mem::take(&mut self.fence.waiting);
                self.fence.waiting = std::mem::take(&mut self.fence.served);
                self.fence.waiting.extend(later);
            }
        }
    }

    /// Whether answers may be given at all.
    pub(super) fn is_fresh(&self, now: Now) -> bool {
        self.fence.is_fresh(now, self.config.fence_age_max)
    }
}
