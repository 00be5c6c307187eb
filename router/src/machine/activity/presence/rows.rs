//! When users were there last, as it is stored: a row for each user, with the newest begin or end of being online, written
//! with the marks of members within a second.
//!
//! Whoever is online when a process is killed has no end. Their row says in which process they were, by its number; they count as having been
//! there until the next process began that knew anybody of the tenant, for until then nobody could be. When those began is
//! stored beside the first row of each.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use prost::Message as _;
use switchyard_cluster::home::Home;
use switchyard_cluster::now::Now;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_store::Mark;

/// The kind of the mark that says when a user was there last.
pub(crate) const SEEN: u8 = 2;

/// The kind of the mark that says when a process began, under its number.
pub(crate) const BEGAN: u8 = 3;

/// Tenants that are remembered as having a mark of this process's beginning; of more it is written again.
const TENANTS_MAX: usize = 10_000;

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
    /// The newest of each user, by the home's name and in its order.
    unstored: BTreeMap<ConversationId, Row>,
    began_ms: Option<u64>,
    /// Tenants of which this process's beginning is stored, or on its way.
    begun: HashSet<TenantId, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Row {
    home: Home,
    at_ms: u64,
    online: bool,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.unstored.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unstored.is_empty()
    }

    /// When this process began: when this was called first.
    pub(super) fn began_ms(&mut self, now: Now) -> u64 {
        *self.began_ms.get_or_insert(now.wall_ms)
    }

    /// A user came, or the last session ended.
    pub(super) fn put(&mut self, home: Home, at_ms: u64, online: bool) {
        self.unstored.insert(home.key.conversation, Row { home, at_ms, online });
    }

    /// When the last session of a user ended, if that waits to be stored.
    pub(super) fn ended(&self, id: &ConversationId) -> Option<u64> {
        self.unstored.get(id).filter(|row| !row.online).map(|row| row.at_ms)
    }

    /// Takes what is to be stored, until there are so many.
    pub(super) fn take(&mut self, process: u64, most: usize, into: &mut Vec<Mark>) {
        while into.len() < most
            && let Some((_, Row { home: Home { key, user }, at_ms, online })) = self.unstored.pop_first()
        {
            if online {
                into.extend(self.beginning(&key.tenant, process));
            }
            let value = SeenMark { online_in: online.then_some(process) }.encode_to_vec().into();
            into.push(Mark { key, user, kind: SEEN, at: at_ms, value });
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
        let (key, at) = (ConversationKey::beginnings(tenant), self.began_ms?);
        Some(Mark { key, user, kind: BEGAN, at, value: Bytes::new() })
    }
}
