//! Who on this worker reads which conversation. The edge is subscribed once per conversation, however many read it.
//! Knows slots of connections, but nothing of what a connection is.
//!
//! A user may read a thousand conversations, most of them with nobody else on this worker: so what is kept of one is small
//! (48 bytes with its id), the tenant is named once for all of its conversations, and only who comes second needs memory of
//! their own.

use std::collections::HashMap;

use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};

/// A connection that reads a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// Where the connection lies.
    pub(crate) slot: u32,
    /// Only events above this number are for it.
    pub(crate) after: u64,
}

/// Whether the owner may hold a subscription of this edge: a bit of the state.
const SUBSCRIBED: u32 = 1;

/// One subscription that is awaited, in the state.
const AWAITED: u32 = 2;

/// The slot of no connection: as many do not fit into memory.
const NOBODY: u32 = u32::MAX;

/// A conversation's readers here.
#[derive(Debug)]
pub(crate) struct Readers {
    /// The number of the newest event that was handed out.
    pub(crate) last: u64,
    /// The first reader, or [`NOBODY`]; then there are no others either.
    slot: u32,
    /// Subscriptions asked for and not answered, times [`AWAITED`]; and [`SUBSCRIBED`].
    state: u32,
    after: u64,
    #[allow(clippy::box_collection, reason = "mostly there are none, and this is one word")]
    others: Option<Box<Vec<Reader>>>,
}

impl Default for Readers {
    fn default() -> Self {
        Self { last: 0, slot: NOBODY, state: 0, after: 0, others: None }
    }
}

impl Readers {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Reader> + '_ {
        let first = (self.slot != NOBODY).then_some(Reader { slot: self.slot, after: self.after });
        first.into_iter().chain(self.others.iter().flat_map(|others| others.iter().copied()))
    }

    /// Whether this connection is among them.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.iter().any(|reader| reader.slot == slot)
    }

    fn is_empty(&self) -> bool {
        self.slot == NOBODY
    }

    /// A subscription that was asked for is answered, or nobody waits for it any more.
    fn answered(&mut self) {
        if self.is_awaited() {
            self.state -= AWAITED;
        }
    }

    fn is_awaited(&self) -> bool {
        self.state >= AWAITED
    }

    /// The connection reads from `head` on, or from where it reads already if that is higher.
    fn put(&mut self, slot: u32, head: u64) {
        if self.is_empty() {
            (self.slot, self.after) = (slot, head);
        } else if self.slot == slot {
            self.after = self.after.max(head);
        } else {
            let others = self.others.get_or_insert_with(|| Box::new(Vec::with_capacity(1)));
            match others.iter_mut().find(|reader| reader.slot == slot) {
                Some(reader) => reader.after = reader.after.max(head),
                None => others.push(Reader { slot, after: head }),
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        if self.slot == slot {
            let next = self.others.as_mut().and_then(|others| others.pop());
            (self.slot, self.after) = next.map_or((NOBODY, 0), |next| (next.slot, next.after));
        } else if let Some(others) = &mut self.others
            && let Some(at) = others.iter().position(|reader| reader.slot == slot)
        {
            others.swap_remove(at);
        }
        if let Some(others) = &mut self.others {
            if others.is_empty() {
                self.others = None;
            } else if others.len() * SHRINK_BELOW < others.capacity() {
                others.shrink_to(others.len() * 2);
            }
        }
    }
}

type Conversations = HashMap<ConversationId, Readers, foldhash::fast::RandomState>;

/// All conversations with readers here.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    tenants: HashMap<TenantId, Conversations, foldhash::fast::RandomState>,
}

/// Whether the owner is to be told that nobody here reads the conversation any more.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    Keep,
    Unsubscribe,
}

impl FanOut {
    /// The readers of a conversation; none if this edge has not asked for it.
    pub(crate) fn get_mut(&mut self, key: &ConversationKey) -> Option<&mut Readers> {
        self.tenants.get_mut(&key.tenant)?.get_mut(&key.conversation)
    }

    /// A subscription is being asked for. Until it is settled, the conversation is not given up.
    pub(crate) fn ask(&mut self, key: &ConversationKey) {
        if let Some(readers) = self.get_mut(key) {
            readers.state += AWAITED;
            return;
        }
        let conversations = self.tenants.entry(key.tenant.clone()).or_default();
        conversations.insert(key.conversation, Readers { state: AWAITED, ..Readers::default() });
    }

    /// The owner granted a subscription, whether or not its asker still wants it.
    pub(crate) fn granted(&mut self, key: &ConversationKey) {
        if let Some(readers) = self.get_mut(key) {
            readers.state |= SUBSCRIBED;
        }
    }

    /// A subscription is settled: with a head, the connection reads the conversation from there on.
    pub(crate) fn settle(&mut self, key: &ConversationKey, slot: u32, head: Option<u64>) -> Upkeep {
        let Some(readers) = self.get_mut(key) else { return Upkeep::Keep };
        readers.answered();
        if let Some(head) = head {
            readers.state |= SUBSCRIBED;
            readers.put(slot, head);
        }
        self.upkeep(key)
    }

    /// The connection was closed before the owner's answer came.
    pub(crate) fn abandon(&mut self, key: &ConversationKey) -> Upkeep {
        let Some(readers) = self.get_mut(key) else { return Upkeep::Keep };
        readers.answered();
        // The answer will find nobody; whether it is a grant is not known here.
        readers.state |= SUBSCRIBED;
        self.upkeep(key)
    }

    /// A connection reads this conversation no more.
    pub(crate) fn remove(&mut self, key: &ConversationKey, slot: u32) -> Upkeep {
        let Some(readers) = self.get_mut(key) else { return Upkeep::Keep };
        readers.remove(slot);
        self.upkeep(key)
    }

    /// How many conversations have readers or will have.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.tenants.values().map(HashMap::len).sum()
    }

    fn upkeep(&mut self, key: &ConversationKey) -> Upkeep {
        let Some(conversations) = self.tenants.get_mut(&key.tenant) else { return Upkeep::Keep };
        let Some(readers) = conversations.get(&key.conversation) else { return Upkeep::Keep };
        if !readers.is_empty() || readers.is_awaited() {
            return Upkeep::Keep;
        }
        let subscribed = readers.state & SUBSCRIBED != 0;
        conversations.remove(&key.conversation);
        if conversations.is_empty() {
            self.tenants.remove(&key.tenant);
        } else if conversations.len() * SHRINK_BELOW < conversations.capacity() {
            conversations.shrink_to(conversations.len() * 2);
        }
        if subscribed { Upkeep::Unsubscribe } else { Upkeep::Keep }
    }
}

/// A table or list gives memory back when it is less than this part full.
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

    #[test]
    fn the_last_reader_gives_the_conversation_up() {
        let (mut fanout, key) = (FanOut::default(), key());
        for slot in [1, 2, 3] {
            fanout.ask(&key);
            assert_eq!(fanout.settle(&key, slot, Some(5)), Upkeep::Keep);
        }
        assert_eq!(fanout.remove(&key, 1), Upkeep::Keep);
        assert_eq!(fanout.remove(&key, 3), Upkeep::Keep);
        assert_eq!(fanout.remove(&key, 2), Upkeep::Unsubscribe);
        assert_eq!(fanout.len(), 0);
    }

    #[test]
    fn what_is_kept_of_a_conversation_is_small() {
        assert!(size_of::<(ConversationId, Readers)>() <= 48, "{}", size_of::<(ConversationId, Readers)>());
    }

    #[test]
    fn readers_come_and_go_in_any_order_and_each_reads_from_its_own_number() {
        let (mut fanout, key) = (FanOut::default(), key());
        let read = |fanout: &mut FanOut, slot, head| {
            fanout.ask(&key);
            assert_eq!(fanout.settle(&key, slot, Some(head)), Upkeep::Keep);
        };
        let readers = |fanout: &mut FanOut| {
            let mut all: Vec<_> = fanout.get_mut(&key).expect("there").iter().map(|it| (it.slot, it.after)).collect();
            all.sort_unstable();
            all
        };
        (1..=20).for_each(|slot| read(&mut fanout, slot, u64::from(slot) * 10));
        read(&mut fanout, 1, 500);
        read(&mut fanout, 7, 3);
        assert_eq!(readers(&mut fanout)[..2], [(1, 500), (2, 20)]);
        assert_eq!(readers(&mut fanout)[6], (7, 70), "a lower number changes nothing");
        for slot in [1, 20, 5, 5, 2] {
            assert_eq!(fanout.remove(&key, slot), Upkeep::Keep);
        }
        let left: Vec<u32> = readers(&mut fanout).into_iter().map(|(slot, _)| slot).collect();
        assert_eq!(left, [3, 4].into_iter().chain(6..20).collect::<Vec<u32>>());
        assert!(fanout.get_mut(&key).expect("there").has(19) && !fanout.get_mut(&key).expect("there").has(20));
        for slot in 3..19 {
            assert_eq!(fanout.remove(&key, slot), Upkeep::Keep);
        }
        assert_eq!(readers(&mut fanout), [(19, 190)]);
        assert_eq!(fanout.remove(&key, 19), Upkeep::Unsubscribe);
        assert_eq!(fanout.len(), 0);
    }

    #[test]
    fn a_conversation_somebody_waits_for_is_not_given_up() {
        let (mut fanout, key) = (FanOut::default(), key());
        fanout.ask(&key);
        assert_eq!(fanout.settle(&key, 1, Some(5)), Upkeep::Keep);
        fanout.ask(&key);
        assert_eq!(fanout.remove(&key, 1), Upkeep::Keep, "the second's answer is on its way");
        assert_eq!(fanout.settle(&key, 2, None), Upkeep::Unsubscribe, "the first's subscription was never given up");
    }

    #[test]
    fn a_stranger_leaves_nothing_behind() {
        let (mut fanout, key) = (FanOut::default(), key());
        fanout.ask(&key);
        assert_eq!(fanout.settle(&key, 1, None), Upkeep::Keep, "nothing was granted");
        assert_eq!(fanout.len(), 0);
        fanout.ask(&key);
        assert_eq!(fanout.abandon(&key), Upkeep::Unsubscribe, "it may have been granted");
    }
}
