//! Which connections on this worker show which conversation, and what each was told last of who types there. There is an
//! entry only for what some session has open. Knows slots of connections, but nothing of what a connection is.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use smallvec::SmallVec;
use switchyard_cluster::link::TypersNow;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1;

/// A connection that shows a conversation.
#[derive(Debug)]
pub(crate) struct Opener {
    /// Where the connection lies.
    pub(crate) slot: u32,
    stage: Stage,
    /// The hash of what it was told last.
    told: u64,
}

/// How far opening has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The owner has not answered: whatever comes before its answer is in it.
    Asked,
    /// Its answer waits for others, to be told with them; whatever comes meanwhile is told after it.
    Answered { missed: bool },
    /// What changes is told.
    Live,
}

/// A conversation that is open here.
#[derive(Debug, Default)]
pub(crate) struct Openers {
    pub(crate) list: SmallVec<[Opener; 1]>,
    /// What its owner said last, since it was opened here.
    latest: Option<Box<TypersNow>>,
}

/// All conversations that are open here.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    conversations: HashMap<ConversationKey, Openers, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
}

impl Opener {
    /// Whether it is to be told something with this hash now, as something came that it may not know.
    pub(crate) fn wants(&mut self, hash: u64) -> bool {
        match &mut self.stage {
            Stage::Asked => false,
            Stage::Answered { missed } => {
                *missed = true;
                false
            }
            Stage::Live => std::mem::replace(&mut self.told, hash) != hash,
        }
    }
}

impl Opened {
    /// A connection asks the owner to show it this conversation.
    pub(crate) fn ask(&mut self, key: &ConversationKey, slot: u32) {
        if let Some(openers) = self.conversations.get_mut(key) {
            if openers.list.iter().all(|opener| opener.slot != slot) {
                openers.list.push(Opener { slot, stage: Stage::Asked, told: 0 });
            }
            return;
        }
        let opener = Opener { slot, stage: Stage::Asked, told: 0 };
        self.conversations.insert(key.clone(), Openers { list: [opener].into_iter().collect(), latest: None });
    }

    /// The owner has answered this, which the connection will be told.
    pub(crate) fn answered(&mut self, key: &ConversationKey, slot: u32, typers: &v1::Typers) {
        let told = self.hash(typers);
        if let Some(opener) = self.opener(key, slot) {
            opener.told = told;
            opener.stage = Stage::Answered { missed: false };
        }
    }

    /// The answer was told. `true`: something newer may be known.
    pub(crate) fn shown(&mut self, key: &ConversationKey, slot: u32) -> bool {
        let Some(opener) = self.opener(key, slot) else { return false };
        let before = std::mem::replace(&mut opener.stage, Stage::Live);
        before == Stage::Answered { missed: true }
    }

    /// A connection shows it no more. `true`: nobody here does, and the owner is to know.
    #[must_use]
    pub(crate) fn remove(&mut self, key: &ConversationKey, slot: u32) -> bool {
        let Some(openers) = self.conversations.get_mut(key) else { return false };
        let before = openers.list.len();
        openers.list.retain(|opener| opener.slot != slot);
        if openers.list.is_empty() {
            self.conversations.remove(key);
            if self.conversations.len() * SHRINK_BELOW < self.conversations.capacity() {
                self.conversations.shrink_to(self.conversations.len() * 2);
            }
            return before > 0;
        }
        false
    }

    /// The owner says who types; `false`: nobody here wants to know.
    pub(crate) fn put(&mut self, now: Box<TypersNow>) -> bool {
        match self.conversations.get_mut(&now.key) {
            Some(openers) => {
                openers.latest = Some(now);
                true
            }
            None => false,
        }
    }

    /// Those who show a conversation, with what its owner said last.
    pub(crate) fn openers(&mut self, key: &ConversationKey) -> Option<(&mut [Opener], &TypersNow)> {
        let Openers { list, latest } = self.conversations.get_mut(key)?;
        Some((list.as_mut_slice(), latest.as_deref()?))
    }

    /// What this connection, the session of that number, does not know yet; it counts as told.
    pub(crate) fn news(&mut self, key: &ConversationKey, slot: u32, session: u64) -> Option<v1::Typers> {
        let typers = self.conversations.get(key)?.latest.as_ref()?.seen_by(session);
        let hash = self.hash(&typers);
        self.opener(key, slot)?.wants(hash).then_some(typers)
    }

    /// What tells one state from another.
    pub(crate) fn hash(&self, typers: &v1::Typers) -> u64 {
        self.hasher.hash_one((&typers.users, typers.more))
    }

    fn opener(&mut self, key: &ConversationKey, slot: u32) -> Option<&mut Opener> {
        self.conversations.get_mut(key)?.list.iter_mut().find(|opener| opener.slot == slot)
    }
}

/// The table gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::{ConversationId, TenantId, UserId};

    use super::*;

    fn key() -> ConversationKey {
        ConversationKey {
            tenant: TenantId::new("t").expect("a valid id"),
            conversation: ConversationId::from_bytes([7; 16]),
        }
    }

    fn now(users: &[&str], own: &[(u64, &str)]) -> Box<TypersNow> {
        let user = |user: &str| UserId::new(user).expect("a valid id");
        let own = own.iter().map(|(session, name)| (*session, user(name))).collect();
        let count = users.len() as u64;
        Box::new(TypersNow { key: key(), users: users.iter().map(|name| user(name)).collect(), count, own })
    }

    fn typers(users: &[&str], more: u64) -> v1::Typers {
        v1::Typers { users: users.iter().map(|user| (*user).to_owned()).collect(), more }
    }

    #[test]
    fn what_comes_between_the_owners_answer_and_the_reply_is_told_after_it() {
        let mut opened = Opened::default();
        opened.ask(&key(), 1);
        assert!(opened.put(now(&["old"], &[])));
        assert_eq!(opened.news(&key(), 1, 9), None, "the answer is newer");
        opened.answered(&key(), 1, &typers(&["ann"], 0));
        assert!(opened.put(now(&["ann", "bob"], &[])));
        assert_eq!(opened.news(&key(), 1, 9), None, "it would overtake the reply");
        assert!(opened.shown(&key(), 1));
        assert_eq!(opened.news(&key(), 1, 9), Some(typers(&["ann", "bob"], 0)));
        assert_eq!(opened.news(&key(), 1, 9), None, "nothing is told twice");
    }

    #[test]
    fn a_session_is_not_told_of_itself() {
        let mut opened = Opened::default();
        opened.ask(&key(), 1);
        opened.answered(&key(), 1, &typers(&[], 0));
        assert!(!opened.shown(&key(), 1));
        assert!(opened.put(now(&["me"], &[(9, "me")])));
        assert_eq!(opened.news(&key(), 1, 9), None, "nothing that it can see has changed");
        let six = ["a", "b", "c", "d", "me", "f"];
        assert!(opened.put(now(&six, &[(9, "me")])));
        assert_eq!(opened.news(&key(), 1, 9), Some(typers(&["a", "b", "c", "d", "f"], 0)));
        assert_eq!(now(&six, &[]).seen_by(9), typers(&["a", "b", "c", "d", "me"], 1));
    }

    #[test]
    fn the_last_to_close_tells_the_owner() {
        let mut opened = Opened::default();
        opened.ask(&key(), 1);
        opened.ask(&key(), 2);
        opened.ask(&key(), 2);
        assert!(!opened.remove(&key(), 1));
        assert!(!opened.remove(&key(), 1), "it had closed it before");
        assert!(opened.remove(&key(), 2));
        assert!(!opened.put(now(&["ann"], &[])), "nobody wants to know");
    }
}
