//! Calls that are on their way, and how soon one that failed is made again.

use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_protocol::owner::{Cell, Claim, Incarnation};

use crate::now::Now;

use super::config::Config;
use super::event::{CallId, Level};
use super::random::Random;

/// What a call is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To start above all others.
    ListStart,
    /// To start.
    Insert,
    /// To know whether the start was carried out.
    ReadStart,
    /// The own fence read, and when it began.
    OwnFence { began: Now },
    /// Who may be there.
    List,
    /// To look at a cell.
    ReadCell(Cell, Level),
    /// To change it.
    Claim(Cell, Vec<Claim>),
    /// To look at a router that owns shards and is not known to live.
    Inspect(Incarnation),
    /// To fence one.
    Fence(Incarnation),
    /// To fence one that has no row.
    InsertFenced(Incarnation),
}

/// Calls that are on their way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    under_way: BTreeMap<CallId, Purpose>,
}

impl Calls {
    /// A name for a new call.
    pub(super) fn begin(&mut self, purpose: Purpose) -> CallId {
        self.last += 1;
        let id = CallId(self.last);
        self.under_way.insert(id, purpose);
        id
    }

    /// What the call was for; nothing if it is answered twice, or was never made.
    pub(super) fn end(&mut self, id: CallId) -> Option<Purpose> {
        self.under_way.remove(&id)
    }

    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }
}

/// When something may be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    not_before: Duration,
}

impl Pace {
    /// From when on.
    pub(super) fn not_before(&self) -> Duration {
        self.not_before
    }

    /// It worked.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It did not: after a pause that doubles each time.
    pub(super) fn failed(&mut self, now: Duration, config: &Config, random: &mut Random) {
        let pause = config.retry_first.saturating_mul(1 << self.failures.min(16)).min(config.retry_max);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + random.about(pause);
    }
}
