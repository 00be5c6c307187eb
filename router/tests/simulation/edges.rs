//! What edges know of their readers: enough to ask for streams and to give them up as an edge does.

use std::collections::BTreeMap;

use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::id::ConversationKey;

/// An edge's readers of one conversation.
#[derive(Debug, Default)]
struct Readers {
    sessions: Vec<u64>,
    /// Subscriptions that are asked for and not answered.
    awaited: u32,
    subscribed: bool,
}

/// All edges.
#[derive(Debug, Default)]
pub(crate) struct Edges {
    readers: BTreeMap<(EdgeId, ConversationKey), Readers>,
    /// Subscriptions under way: session and request, and whether the session is still there.
    asked: BTreeMap<(u64, u64), (ConversationKey, bool)>,
}

impl Edges {
    pub(crate) fn asked(&mut self, from: Asker, key: &ConversationKey) {
        self.readers.entry((from.edge, key.clone())).or_default().awaited += 1;
        self.asked.insert((from.session, from.request), (key.clone(), true));
    }

    /// A request was answered. Returns the conversation to give up, if it was the last hope of one.
    pub(crate) fn answered(&mut self, to: Asker, granted: bool) -> Option<ConversationKey> {
        let (key, present) = self.asked.remove(&(to.session, to.request))?;
        let readers = self.readers.get_mut(&(to.edge, key.clone()))?;
        readers.subscribed |= granted;
        if present {
            readers.awaited -= 1;
            if granted && !readers.sessions.contains(&to.session) {
                readers.sessions.push(to.session);
            }
        }
        self.upkeep(to.edge, &key).then_some(key)
    }

    /// A session reads this no more. True: the owner is to be told that nobody does.
    pub(crate) fn unread(&mut self, edge: EdgeId, key: &ConversationKey, session: u64) -> bool {
        let Some(readers) = self.readers.get_mut(&(edge, key.clone())) else { return false };
        readers.sessions.retain(|reader| *reader != session);
        self.upkeep(edge, key)
    }

    /// A session is gone. Returns what nobody reads any more.
    pub(crate) fn closed(&mut self, edge: EdgeId, session: u64) -> Vec<ConversationKey> {
        let awaited = self.asked.range_mut((session, 0)..=(session, u64::MAX));
        let awaited: Vec<ConversationKey> = awaited
            .map(|(_, (key, present))| {
                *present = false;
                key.clone()
            })
            .collect();
        for key in awaited {
            if let Some(readers) = self.readers.get_mut(&(edge, key)) {
                readers.awaited -= 1;
                // Whether it is granted will not be known.
                readers.subscribed = true;
            }
        }
        let keys: Vec<ConversationKey> =
            self.readers.keys().filter(|(of, _)| *of == edge).map(|(_, key)| key.clone()).collect();
        keys.into_iter().filter(|key| self.unread(edge, key, session)).collect()
    }

    fn upkeep(&mut self, edge: EdgeId, key: &ConversationKey) -> bool {
        let place = (edge, key.clone());
        match self.readers.get(&place) {
            Some(readers) if readers.sessions.is_empty() && readers.awaited == 0 => {
                self.readers.remove(&place).is_some_and(|readers| readers.subscribed)
            }
            _ => false,
        }
    }
}
