//! When users were there last, as it is stored: a row for each user, with the newest begin or end of being online, written
//! with the marks of members. An end is written within a second. Begins are many at once where a process takes over, and
//! nobody waits for them: a few at a time, with pauses in which the store has other things to do.
//!
//! Whoever is online when a process is killed has no end. Their row says in which process they were, by its number; they count as having been
//! there until the next process began that knew anybody of the tenant, for until then nobody could be. When those began is
//! stored beside the first row of each, under a name that it shares with a thousand processes at most.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_store::Mark;

/// The kind of the mark that says when a user was there last.
pub(crate) const SEEN: u8 = 2;

/// The kind of the mark that says when a process began, under its number.
pub(crate) const BEGAN: u8 = 3;

/// Processes whose beginnings are kept under one name, so many rows at most.
const PROCESSES_PER_GROUP: u64 = 1_000;

/// Tenants that are remembered as having a mark of this process's beginning; of more it is written again.
const TENANTS_MAX: usize = 10_000;

/// Begins in one write.
const BEGINS_PER_WRITE_MAX: usize = 256;

/// How much longer than the last write of begins the pause after it is, and how long it is at most.
const BEGINS_PAUSE: u32 = 3;
const BEGINS_PAUSE_MAX: Duration = Duration::from_secs(5);

/// The group of processes under whose name the beginning of this one is kept.
pub(crate) fn group_of(process: u64) -> u64 {
    process / PROCESSES_PER_GROUP
}

/// What is stored beside the time.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SeenMark {
    /// The user came then, in the process of this number; without it the last session ended.
    #[prost(uint64, optional, tag = "1")]
    pub(crate) online_in: Option<u64>,
}

/// What is to be stored.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Of each user who is not online any more the newest, by the home's name and in its order.
    ends: BTreeMap<ConversationId, Row>,
    /// The same of each user who is.
    begins: BTreeMap<ConversationId, Row>,
    /// When begins are written next.
    begins_from: Duration,
    /// Since when some are being written.
    beginning_since: Option<Duration>,
    began_ms: Option<u64>,
    /// Tenants of which this process's beginning is stored, or on its way.
    begun: HashSet<TenantId, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Row {
    home: Home,
    at_ms: u64,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.ends.len() + self.begins.len()
    }

    /// When something is to be written; nothing if all is, or on its way. What is past is due at once.
    pub(super) fn due(&self) -> Option<Duration> {
        if self.ends.is_empty() {
            return (!self.begins.is_empty()).then_some(self.begins_from);
        }
        Some(Duration::ZERO)
    }

    /// When this process began: when this was called first.
    pub(super) fn began_ms(&mut self, now: Now) -> u64 {
        *self.began_ms.get_or_insert(now.wall_ms)
    }

    /// A user came, or the last session ended.
    pub(super) fn put(&mut self, home: Home, at_ms: u64, online: bool) {
        let (of_these, of_those) =
            if online { (&mut self.begins, &mut self.ends) } else { (&mut self.ends, &mut self.begins) };
        of_those.remove(&home.key.conversation);
        of_these.insert(home.key.conversation, Row { home, at_ms });
    }

    /// When the last session of a user ended, if that waits to be stored.
    pub(super) fn ended(&self, id: &ConversationId) -> Option<u64> {
        self.ends.get(id).map(|row| row.at_ms)
    }

    /// Takes what is to be stored by now, until there are so many.
    pub(super) fn take(&mut self, now: Duration, process: u64, most: usize, into: &mut Vec<Mark>) {
        while into.len() < most
            && let Some((_, row)) = self.ends.pop_first()
        {
            into.push(row.mark(None));
        }
        if self.begins.is_empty() || self.begins_from > now {
            return;
        }
        self.beginning_since = Some(now);
        let most = most.min(into.len() + BEGINS_PER_WRITE_MAX);
        while into.len() < most
            && let Some((_, row)) = self.begins.pop_first()
        {
            into.extend(self.beginning(&row.home.key.tenant, process));
            into.push(row.mark(Some(process)));
        }
    }

    /// What was taken is stored, or is not.
    pub(super) fn written(&mut self, now: Duration) {
        if let Some(since) = self.beginning_since.take() {
            self.begins_from = now + (now.saturating_sub(since) * BEGINS_PAUSE).min(BEGINS_PAUSE_MAX);
        }
    }

    /// The store did not take some: they are given up, but for the beginning of this process, which later ones need.
    pub(super) fn refused(&mut self) {
        self.begun.clear();
    }

    /// The mark of this process's beginning, if the tenant has none yet.
    fn beginning(&mut self, tenant: &TenantId, process: u64) -> Option<Mark> {
        if self.begun.contains(tenant) {
            return None;
        }
        if self.begun.len() >= TENANTS_MAX {
            self.begun.clear();
        }
        self.begun.insert(tenant.clone());
        let user = UserId::new(&process.to_string()).ok()?;
        let (key, at) = (ConversationKey::beginnings(tenant, group_of(process)), self.began_ms?);
        Some(Mark { key, user, kind: BEGAN, at, value: Bytes::new() })
    }
}

impl Row {
    fn mark(self, online_in: Option<u64>) -> Mark {
        let value = SeenMark { online_in }.encode_to_vec().into();
        let Self { home: Home { key, user }, at_ms } = self;
        Mark { key, user, kind: SEEN, at: at_ms, value }
    }
}
