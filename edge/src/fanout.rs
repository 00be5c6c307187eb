//! Who on this worker reads which conversation. The edge is subscribed once per conversation, however many read it.
//! Knows slots of connections, but nothing of what a connection is.

use std::collections::HashMap;

use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};

use crate::readers::{Reader, Table};
use crate::session::{Directory, Spot};

/// A conversation for which somebody here waits to be subscribed.
#[derive(Debug, Default)]
struct Asked {
    /// Subscriptions asked for and not answered.
    waiting: u32,
    /// The owner may hold a subscription of this edge, though nobody may read it.
    granted: bool,
}

/// All conversations with readers here.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    tenants: HashMap<TenantId, Table, foldhash::fast::RandomState>,
    asked: HashMap<ConversationKey, Asked, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
}

/// Whether the owner is to be told that nobody here reads the conversation any more.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    Keep,
    Unsubscribe,
}

impl Directory for FanOut {
    fn spot(&self, tenant: &TenantId, conversation: ConversationId) -> Option<Spot> {
        self.tenants.get(tenant)?.find(&conversation, &self.hasher).map(Spot)
    }
}

impl FanOut {
    /// The readers of a conversation; nothing if it has none and nobody waits to be one.
    pub(crate) fn get_mut(&mut self, key: &ConversationKey) -> Option<&mut [Reader]> {
        if let Some(table) = self.tenants.get_mut(&key.tenant)
            && let Some(at) = table.find(&key.conversation, &self.hasher)
        {
            return Some(table.readers(at));
        }
        self.asked.contains_key(key).then_some(&mut [])
    }

    /// Which conversation lies there.
    pub(crate) fn name(&self, tenant: &TenantId, spot: Spot) -> Option<ConversationId> {
        self.tenants.get(tenant)?.name(spot.0)
    }

    /// A subscription is being asked for. Until it is settled, the conversation is not given up.
    pub(crate) fn ask(&mut self, key: &ConversationKey) {
        match self.asked.get_mut(key) {
            Some(asked) => asked.waiting += 1,
            None => {
                self.asked.insert(key.clone(), Asked { waiting: 1, granted: false });
            }
        }
    }

    /// The owner granted a subscription, whether or not its asker still wants it.
    pub(crate) fn granted(&mut self, key: &ConversationKey) {
        if let Some(asked) = self.asked.get_mut(key) {
            asked.granted = true;
        }
    }

    /// A subscription is granted: the connection reads the conversation from this head on. Returns where it lies.
    pub(crate) fn read(&mut self, key: &ConversationKey, slot: u32, head: u64) -> Spot {
        let table = self.tenants.entry(key.tenant.clone()).or_default();
        Spot(table.put(key.conversation, slot, head, &self.hasher))
    }

    /// A subscription that was asked for is settled: the connection [reads](Self::read) it by now, or will not.
    pub(crate) fn settled(&mut self, key: &ConversationKey) -> Upkeep {
        let Some(asked) = self.asked.get_mut(key) else { return Upkeep::Keep };
        asked.waiting -= 1;
        if asked.waiting > 0 {
            return Upkeep::Keep;
        }
        let granted = asked.granted;
        self.asked.remove(key);
        if self.asked.len() * SHRINK_BELOW < self.asked.capacity() {
            self.asked.shrink_to(self.asked.len() * 2);
        }
        if granted && self.spot(&key.tenant, key.conversation).is_none() { Upkeep::Unsubscribe } else { Upkeep::Keep }
    }

    /// The connection was closed before the owner's answer came.
    pub(crate) fn abandon(&mut self, key: &ConversationKey) -> Upkeep {
        // The answer will find nobody; whether it is a grant is not known here.
        self.granted(key);
        self.settled(key)
    }

    /// A connection reads this conversation no more.
    pub(crate) fn remove(&mut self, key: &ConversationKey, slot: u32) -> Upkeep {
        let Some(table) = self.tenants.get_mut(&key.tenant) else { return Upkeep::Keep };
        let Some(at) = table.find(&key.conversation, &self.hasher) else { return Upkeep::Keep };
        if !table.remove(at, slot, &self.hasher) {
            return Upkeep::Keep;
        }
        if table.len() == 0 {
            self.tenants.remove(&key.tenant);
            if self.tenants.len() * SHRINK_BELOW < self.tenants.capacity() {
                self.tenants.shrink_to(self.tenants.len() * 2);
            }
        }
        match self.asked.get_mut(key) {
            Some(asked) => {
                asked.granted = true;
                Upkeep::Keep
            }
            None => Upkeep::Unsubscribe,
        }
    }

    /// Gives memory back where most of a tenant's conversations have gone. Those that are left lie elsewhere then: `moved` is
    /// called for each connection that reads any, and is to give the session the new places, by the old ones.
    pub(crate) fn close_up(&mut self, tenant: &TenantId, mut moved: impl FnMut(u32, &[u32])) {
        if let Some(table) = self.tenants.get_mut(tenant).filter(|table| table.is_sparse()) {
            let places = table.close_up(&self.hasher);
            table.slots().into_iter().for_each(|slot| moved(slot, &places));
        }
    }

    /// How many conversations have readers or will have.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let read = |key: &ConversationKey| self.spot(&key.tenant, key.conversation).is_some();
        let waiting = self.asked.keys().filter(|key| !read(key)).count();
        self.tenants.values().map(Table::len).sum::<usize>() + waiting
    }
}

/// A table gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::{ConversationId, TenantId};

    use super::*;

    fn key() -> ConversationKey {
        ConversationKey {
            tenant: TenantId::new("t").expect("a valid id"),
            conversation: ConversationId::from_bytes([7; 16]),
        }
    }

    /// As a door does when an owner has answered.
    fn settle(fanout: &mut FanOut, key: &ConversationKey, slot: u32, head: Option<u64>) -> Upkeep {
        if let Some(head) = head {
            fanout.read(key, slot, head);
        }
        fanout.settled(key)
    }

    #[test]
    fn the_last_reader_gives_the_conversation_up() {
        let (mut fanout, key) = (FanOut::default(), key());
        for slot in [1, 2, 3] {
            fanout.ask(&key);
            assert_eq!(settle(&mut fanout, &key, slot, Some(5)), Upkeep::Keep);
        }
        assert_eq!(fanout.remove(&key, 1), Upkeep::Keep);
        assert_eq!(fanout.remove(&key, 3), Upkeep::Keep);
        assert_eq!(fanout.remove(&key, 2), Upkeep::Unsubscribe);
        assert_eq!(fanout.len(), 0);
    }

    #[test]
    fn a_conversation_somebody_waits_for_is_not_given_up() {
        let (mut fanout, key) = (FanOut::default(), key());
        fanout.ask(&key);
        assert!(fanout.get_mut(&key).is_some_and(|readers| readers.is_empty()), "its events are for nobody yet");
        assert_eq!(settle(&mut fanout, &key, 1, Some(5)), Upkeep::Keep);
        fanout.ask(&key);
        assert_eq!(fanout.remove(&key, 1), Upkeep::Keep, "the second's answer is on its way");
        assert_eq!(
            settle(&mut fanout, &key, 2, None),
            Upkeep::Unsubscribe,
            "the first's subscription was never given up"
        );
        assert!(fanout.get_mut(&key).is_none());
    }

    #[test]
    fn a_stranger_leaves_nothing_behind() {
        let (mut fanout, key) = (FanOut::default(), key());
        fanout.ask(&key);
        assert_eq!(settle(&mut fanout, &key, 1, None), Upkeep::Keep, "nothing was granted");
        assert_eq!(fanout.len(), 0);
        fanout.ask(&key);
        fanout.granted(&key);
        assert_eq!(settle(&mut fanout, &key, 1, None), Upkeep::Unsubscribe, "granted, and not wanted any more");
        fanout.ask(&key);
        assert_eq!(fanout.abandon(&key), Upkeep::Unsubscribe, "it may have been granted");
        fanout.ask(&key);
        assert_eq!(settle(&mut fanout, &key, 1, Some(5)), Upkeep::Keep);
        fanout.ask(&key);
        assert_eq!(fanout.abandon(&key), Upkeep::Keep, "another reads it");
    }

    #[test]
    fn tenants_with_conversations_of_one_name_have_nothing_to_do_with_each_other() {
        let (mut fanout, ours) = (FanOut::default(), key());
        let theirs = ConversationKey { tenant: TenantId::new("u").expect("a valid id"), ..key() };
        fanout.read(&ours, 1, 5);
        assert!(fanout.get_mut(&theirs).is_none());
        fanout.read(&theirs, 2, 6);
        let slots = |fanout: &mut FanOut, key| fanout.get_mut(key).map(|readers| readers[0].slot);
        assert_eq!((slots(&mut fanout, &ours), slots(&mut fanout, &theirs)), (Some(1), Some(2)));
        assert_eq!(fanout.remove(&ours, 2), Upkeep::Keep, "it reads the other one");
        assert_eq!(fanout.remove(&ours, 1), Upkeep::Unsubscribe);
        assert_eq!(slots(&mut fanout, &theirs), Some(2));
    }

    #[test]
    fn after_a_storm_the_rest_moves_together_and_its_readers_are_told() {
        let (mut fanout, tenant) = (FanOut::default(), key().tenant);
        let key = |n: u32| {
            let conversation = ConversationId::from_bytes(u128::from(n).to_be_bytes());
            ConversationKey { tenant: tenant.clone(), conversation }
        };
        // Reader 7 reads every conversation, and reader 8 every tenth.
        let (mut seven, mut eight) = (Vec::new(), Vec::new());
        for n in 0..1_000 {
            seven.push(fanout.read(&key(n), 7, 0));
            if n % 10 == 0 {
                eight.push(fanout.read(&key(n), 8, 0));
            }
        }
        fanout.close_up(&tenant, |_, _| panic!("nothing has gone"));
        for n in 0..1_000 {
            let due = if n % 10 == 0 { Upkeep::Keep } else { Upkeep::Unsubscribe };
            assert_eq!(fanout.remove(&key(n), 7), due);
        }
        assert!(eight.iter().any(|spot| spot.0 > 900));
        fanout.close_up(&tenant, |slot, moved| {
            assert_eq!(slot, 8);
            eight.iter_mut().for_each(|spot| *spot = Spot(moved[spot.0 as usize]));
        });
        assert!(eight.iter().all(|spot| spot.0 < 100), "{eight:?}");
        for (n, spot) in eight.iter().enumerate() {
            let key = key(n as u32 * 10);
            assert_eq!(fanout.name(&tenant, *spot), Some(key.conversation));
            assert_eq!(fanout.spot(&tenant, key.conversation), Some(*spot));
            assert_eq!(fanout.remove(&key, 8), Upkeep::Unsubscribe);
        }
        assert_eq!(fanout.len(), 0);
    }
}
