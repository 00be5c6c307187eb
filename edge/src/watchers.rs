//! Which connections on this worker watch which user, or which conversation's count, and what each was told last. There is an
//! entry only for what some session watches. Knows slots of connections, but nothing of what a connection is.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use smallvec::SmallVec;
use switchyard_cluster::presence::{PresenceNow, Seen};
use switchyard_protocol::id::{ConversationKey, UserId};

/// A connection that watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Where the connection lies.
    pub(crate) slot: u32,
    /// The hash of what it was told last; nothing while the reply to what it asked is on its way.
    told: Option<u64>,
}

/// What is watched here.
#[derive(Debug)]
struct Watched {
    /// Nobody for a count.
    user: Option<UserId>,
    list: SmallVec<[Watcher; 2]>,
    /// What its home or owner said last.
    latest: Option<Seen>,
}

/// All that is watched here.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    watched: HashMap<ConversationKey, Watched, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
    /// Counts what was asked for, so that a home can tell what is over.
    turn: u64,
}

/// The last connection watches no more: its home or owner is to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Last {
    /// Nobody for a count.
    pub(crate) user: Option<UserId>,
}

impl Watcher {
    /// Whether it is to be told something with this hash now.
    pub(crate) fn wants(&mut self, hash: u64) -> bool {
        self.told.is_some_and(|told| told != hash)
    }

    /// It was told something with this hash.
    pub(crate) fn tell(&mut self, hash: u64) {
        self.told = Some(hash);
    }
}

impl Watchers {
    /// A connection asks to watch this. Returns the turn of the question.
    pub(crate) fn ask(&mut self, key: &ConversationKey, user: Option<&UserId>, slot: u32) -> u64 {
        if !self.watched.contains_key(key) {
            let watched = Watched { user: user.cloned(), list: SmallVec::new(), latest: None };
            self.watched.insert(key.clone(), watched);
        }
        if let Some(watched) = self.watched.get_mut(key) {
            match watched.list.iter_mut().find(|watcher| watcher.slot == slot) {
                Some(watcher) => watcher.told = None,
                None => watched.list.push(Watcher { slot, told: None }),
            }
        }
        self.turn += 1;
        self.turn
    }

    /// Everything that was asked for so far was asked for up to this turn.
    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    /// Its home or owner says how it is; `false`: nobody here wants to know.
    pub(crate) fn put(&mut self, now: &PresenceNow) -> bool {
        match self.watched.get_mut(&now.key) {
            Some(watched) => {
                watched.latest = Some(now.seen.clone());
                true
            }
            None => false,
        }
    }

    /// The reply to a connection's question is out.
    pub(crate) fn began(&mut self, key: &ConversationKey, slot: u32, told: &Seen) {
        let hash = self.hash(told);
        if let Some(watcher) = self.watcher(key, slot) {
            watcher.told = Some(hash);
        }
    }

    /// A connection watches this no more. Something: nobody here does.
    #[must_use]
    pub(crate) fn remove(&mut self, key: &ConversationKey, slot: u32) -> Option<Last> {
        let watched = self.watched.get_mut(key)?;
        let at = watched.list.iter().position(|watcher| watcher.slot == slot)?;
        watched.list.swap_remove(at);
        if watched.list.spilled() && watched.list.len() <= watched.list.inline_size() {
            watched.list.shrink_to_fit();
        }
        if !watched.list.is_empty() {
            return None;
        }
        let Watched { user, .. } = self.watched.remove(key)?;
        if self.watched.len() * SHRINK_BELOW < self.watched.capacity() {
            self.watched.shrink_to(self.watched.len() * 2);
        }
        Some(Last { user })
    }

    /// Those who watch this.
    pub(crate) fn list(&mut self, key: &ConversationKey) -> &mut [Watcher] {
        self.watched.get_mut(key).map(|watched| watched.list.as_mut_slice()).unwrap_or_default()
    }

    /// Where those lie.
    pub(crate) fn slots(&self, key: &ConversationKey) -> impl Iterator<Item = u32> + '_ {
        self.watched.get(key).into_iter().flat_map(|watched| watched.list.iter().map(|watcher| watcher.slot))
    }

    /// What this connection does not know yet; it counts as told.
    pub(crate) fn news(&mut self, key: &ConversationKey, slot: u32) -> Option<Seen> {
        let latest = self.watched.get(key)?.latest.clone()?;
        let hash = self.hash(&latest);
        let watcher = self.watcher(key, slot)?;
        if !watcher.wants(hash) {
            return None;
        }
        watcher.tell(hash);
        Some(latest)
    }

    /// What tells one state from another.
    pub(crate) fn hash(&self, seen: &Seen) -> u64 {
        self.hasher.hash_one(seen)
    }

    fn watcher(&mut self, key: &ConversationKey, slot: u32) -> Option<&mut Watcher> {
        self.watched.get_mut(key)?.list.iter_mut().find(|watcher| watcher.slot == slot)
    }
}

/// The table gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::TenantId;

    use super::*;

    fn bob() -> UserId {
        UserId::new("bob").expect("a valid id")
    }

    fn key() -> ConversationKey {
        ConversationKey::home(&TenantId::new("t").expect("a valid id"), &bob())
    }

    fn seen(online: bool) -> Seen {
        Seen::User { user: bob(), online, last_seen_ms: None }
    }

    fn now(online: bool) -> PresenceNow {
        PresenceNow { key: key(), seen: seen(online) }
    }

    #[test]
    fn what_comes_before_the_reply_is_told_after_it() {
        let mut watchers = Watchers::default();
        assert_eq!(watchers.ask(&key(), Some(&bob()), 1), 1);
        assert!(watchers.put(&now(false)));
        assert!(watchers.put(&now(true)));
        assert_eq!(watchers.news(&key(), 1), None, "it would overtake the reply");
        watchers.began(&key(), 1, &seen(false));
        assert_eq!(watchers.news(&key(), 1), Some(seen(true)));
        assert_eq!(watchers.news(&key(), 1), None, "nothing is told twice");
    }

    #[test]
    fn the_last_to_go_tells_the_home() {
        let mut watchers = Watchers::default();
        watchers.ask(&key(), Some(&bob()), 1);
        watchers.ask(&key(), Some(&bob()), 2);
        assert_eq!(watchers.ask(&key(), Some(&bob()), 2), 3);
        assert_eq!(watchers.remove(&key(), 1), None);
        assert_eq!(watchers.remove(&key(), 1), None, "it had gone before");
        assert_eq!(watchers.remove(&key(), 2), Some(Last { user: Some(bob()) }));
        assert!(!watchers.put(&now(true)), "nobody wants to know");
        assert_eq!(watchers.turn(), 3);
    }
}
