//! The conversations of one user, as rows and notices tell them.

use switchyard_cluster::home::MemberNotice;
use switchyard_protocol::id::ConversationId;
use switchyard_store::Seq;

/// Conversations in the order of their ids, each with the number of the event that says so.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<(ConversationId, Seq)>);

/// What is different.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Came(ConversationId),
    Went(ConversationId),
}

impl Rows {
    /// As they were read, in whatever order.
    pub(super) fn new(mut rows: Vec<(ConversationId, Seq)>) -> Self {
        rows.sort_unstable();
        Self(rows)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.0.iter().map(|(conversation, _)| *conversation)
    }

    pub(super) fn has(&self, conversation: ConversationId) -> bool {
        self.position(conversation).is_ok()
    }

    /// The number of the event that says that this one is the user's; nothing if it is not.
    pub(super) fn at(&self, conversation: ConversationId) -> Option<Seq> {
        let place = self.position(conversation).ok()?;
        self.0.get(place).map(|(_, at)| *at)
    }

    fn position(&self, conversation: ConversationId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&conversation, |(known, _)| *known)
    }

    /// Takes a notice in, unless something newer is known.
    pub(super) fn note(&mut self, notice: &MemberNotice) -> Option<Change> {
        let MemberNotice { conversation, at, member, .. } = *notice;
        match self.position(conversation) {
            Ok(place) => {
                let (_, known) = self.0.get_mut(place)?;
                if *known > at {
                    return None;
                }
                *known = at;
                if member {
                    return None;
                }
                self.0.remove(place);
                Some(Change::Went(conversation))
            }
            Err(place) if member => {
                self.0.insert(place, (conversation, at));
                Some(Change::Came(conversation))
            }
            Err(_) => None,
        }
    }

    /// What has to change for these to become those.
    pub(super) fn changes(&self, after: &Self) -> Vec<Change> {
        let went = self.ids().filter(|id| !after.has(*id)).map(Change::Went);
        let came = after.ids().filter(|id| !self.has(*id)).map(Change::Came);
        went.chain(came).collect()
    }
}

#[cfg(test)]
mod tests {
    use switchyard_cluster::party::Home;
    use switchyard_protocol::id::{ConversationKey, TenantId, UserId};

    use super::*;

    fn id(byte: u8) -> ConversationId {
        ConversationId::from_bytes([byte; 16])
    }

    fn notice(byte: u8, at: Seq, member: bool) -> MemberNotice {
        let (tenant, user) = (TenantId::new("t").expect("a valid id"), UserId::new("u").expect("a valid id"));
        let home = Home { key: ConversationKey::home(&tenant, &user), user };
        MemberNotice { home, conversation: id(byte), at, member }
    }

    #[test]
    fn the_newest_event_counts() {
        let mut rows = Rows::new(vec![(id(5), 9), (id(2), 0)]);
        assert_eq!(rows.note(&notice(5, 7, false)), None, "it came back since");
        assert_eq!(rows.note(&notice(5, 11, true)), None, "another role");
        assert_eq!(rows.note(&notice(5, 12, false)), Some(Change::Went(id(5))));
        assert_eq!(rows.note(&notice(5, 12, false)), None);
        assert_eq!(rows.note(&notice(3, 0, true)), Some(Change::Came(id(3))));
        assert_eq!(rows.ids().collect::<Vec<_>>(), [id(2), id(3)]);
    }

    #[test]
    fn what_is_read_again_tells_what_was_missed() {
        let (before, after) = (Rows::new(vec![(id(1), 0), (id(2), 0)]), Rows::new(vec![(id(3), 4), (id(2), 7)]));
        assert_eq!(before.changes(&after), [Change::Went(id(1)), Change::Came(id(3))]);
        assert_eq!(after.changes(&after), []);
    }
}
