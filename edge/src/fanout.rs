//! Who on this worker reads which conversation. The edge is subscribed once per conversation, however many read it.
//! Knows slots of connections, but nothing of what a connection is.

use std::collections::HashMap;

use smallvec::SmallVec;
use switchyard_protocol::id::ConversationKey;

/// A connection that reads a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// Where the connection lies.
    pub(crate) slot: u32,
    /// Only events above this number are for it.
    pub(crate) after: u64,
}

/// A conversation's readers here. Most conversations are between two.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    pub(crate) list: SmallVec<[Reader; 2]>,
    /// The number of the newest event that was handed out.
    pub(crate) last: u64,
    /// Subscriptions asked for and not answered.
    awaited: u32,
    /// The owner may hold a subscription of this edge.
    subscribed: bool,
}

/// All conversations with readers here.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    conversations: HashMap<ConversationKey, Readers, foldhash::fast::RandomState>,
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
        self.conversations.get_mut(key)
    }

    /// A subscription is being asked for. Until it is settled, the conversation is not given up.
    pub(crate) fn ask(&mut self, key: &ConversationKey) {
        match self.conversations.get_mut(key) {
            Some(readers) => readers.awaited += 1,
            None => {
                self.conversations.insert(key.clone(), Readers { awaited: 1, ..Readers::default() });
            }
        }
    }

    /// The owner granted a subscription, whether or not its asker still wants it.
    pub(crate) fn granted(&mut self, key: &ConversationKey) {
        if let Some(readers) = self.conversations.get_mut(key) {
            readers.subscribed = true;
        }
    }

    /// A subscription is settled: with a head, the connection reads the conversation from there on.
    pub(crate) fn settle(&mut self, key: &ConversationKey, slot: u32, head: Option<u64>) -> Upkeep {
        let Some(readers) = self.conversations.get_mut(key) else { return Upkeep::Keep };
        readers.awaited = readers.awaited.saturating_sub(1);
        if let Some(head) = head {
            readers.subscribed = true;
            match readers.list.iter_mut().find(|reader| reader.slot == slot) {
                Some(reader) => reader.after = reader.after.max(head),
                None => readers.list.push(Reader { slot, after: head }),
            }
        }
        self.upkeep(key)
    }

    /// The connection was closed before the owner's answer came.
    pub(crate) fn abandon(&mut self, key: &ConversationKey) -> Upkeep {
        let Some(readers) = self.conversations.get_mut(key) else { return Upkeep::Keep };
        readers.awaited = readers.awaited.saturating_sub(1);
        // The answer will find nobody; whether it is a grant is not known here.
        readers.subscribed = true;
        self.upkeep(key)
    }

    /// A connection reads this conversation no more.
    pub(crate) fn remove(&mut self, key: &ConversationKey, slot: u32) -> Upkeep {
        let Some(readers) = self.conversations.get_mut(key) else { return Upkeep::Keep };
        if let Some(at) = readers.list.iter().position(|reader| reader.slot == slot) {
            readers.list.swap_remove(at);
        }
        if readers.list.spilled() && readers.list.len() <= readers.list.inline_size() {
            readers.list.shrink_to_fit();
        }
        self.upkeep(key)
    }

    /// How many conversations have readers or will have.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.conversations.len()
    }

    fn upkeep(&mut self, key: &ConversationKey) -> Upkeep {
        match self.conversations.get(key) {
            Some(readers) if readers.list.is_empty() && readers.awaited == 0 => {
                let subscribed = readers.subscribed;
                self.conversations.remove(key);
                if self.conversations.len() * SHRINK_BELOW < self.conversations.capacity() {
                    self.conversations.shrink_to(self.conversations.len() * 2);
                }
                if subscribed { Upkeep::Unsubscribe } else { Upkeep::Keep }
            }
            _ => Upkeep::Keep,
        }
    }
}

/// The table gives memory back when it is less than this part full.
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
