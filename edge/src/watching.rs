//! Who on this worker wants all conversations of their user: a user's home tells the edge once of what comes and goes.
//! Knows slots of connections, but nothing of what a connection is.

use std::collections::HashMap;

use smallvec::SmallVec;
use switchyard_protocol::id::ConversationKey;

/// Sessions by the homes of their users. Few have more than two devices on one worker.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    homes: HashMap<ConversationKey, SmallVec<[u32; 2]>, foldhash::fast::RandomState>,
}

impl Watching {
    /// A connection wants all.
    pub(crate) fn add(&mut self, home: &ConversationKey, slot: u32) {
        let slots = self.homes.entry(home.clone()).or_default();
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }

    /// A connection wants all no more. `true`: nobody here does, and the home is to know.
    #[must_use]
    pub(crate) fn remove(&mut self, home: &ConversationKey, slot: u32) -> bool {
        let Some(slots) = self.homes.get_mut(home) else { return false };
        slots.retain(|other| *other != slot);
        let last = slots.is_empty();
        if last {
            self.homes.remove(home);
            if self.homes.len() * SHRINK_BELOW < self.homes.capacity() {
                self.homes.shrink_to(self.homes.len() * 2);
            }
        }
        last
    }

    /// Connections that want all of this user's.
    pub(crate) fn slots(&self, home: &ConversationKey) -> SmallVec<[u32; 2]> {
        self.homes.get(home).cloned().unwrap_or_default()
    }
}

/// The table gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::{TenantId, UserId};

    use super::*;

    #[test]
    fn the_last_to_go_tells_the_home() {
        let (tenant, user) = (TenantId::new("t").expect("a valid id"), UserId::new("u").expect("a valid id"));
        let home = ConversationKey::home(&tenant, &user);
        let mut watching = Watching::default();
        watching.add(&home, 1);
        watching.add(&home, 2);
        watching.add(&home, 2);
        assert_eq!(watching.slots(&home).as_slice(), [1, 2]);
        assert!(!watching.remove(&home, 1));
        assert!(watching.remove(&home, 2));
        assert!(!watching.remove(&home, 2), "it was told already");
        assert!(watching.slots(&home).is_empty());
    }
}
