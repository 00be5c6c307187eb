//! Under which name a conversation's members, and how far each has come, are stored. Of whoever leaves a row stays that says so,
//! so that nothing older that comes late brings them back; those rows would become more and more. So once enough have left,
//! all who are there are listed anew under another name, and the list before goes as a whole. The record says which name counts.
//!
//! **Invariant:** a new name begins with an event that its owner has just committed. Of two records that follow from one event a
//! store keeps the first, and no owner before can have written one that follows from this: so the new one counts, and
//! whoever reads it finds all of the list there, for it was written before. The list before goes behind a fence read that
//! began afterwards: an owner that still reads by it would be one that has taken over since, and then it does not go.

use switchyard_protocol::id::ConversationKey;
use switchyard_store::{Mark, ProjectionWrite, Seq};

use crate::machine::conversation::State;
use crate::stored::{self, ConversationRecord, MemberRecord};

/// Which name counts, and why it may be time for another one.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Listing {
    /// The event with which the list began; 0 for the first one.
    pub(crate) since: Seq,
    /// The same of the list before, which may be left where a process was killed.
    pub(crate) before: Option<Seq>,
    /// How many have left since then.
    pub(crate) left: u64,
    /// The record that says so is on its way; until it is there the list before counts, too.
    writing: bool,
}

/// What is written for a list that begins anew.
pub(in crate::machine) struct Relisted {
    pub(in crate::machine) members: Vec<ProjectionWrite>,
    pub(in crate::machine) marks: Vec<Mark>,
    /// Lists that nobody reads then.
    pub(in crate::machine) dropped: Vec<ConversationKey>,
}

impl Listing {
    /// Where the record cannot be read that would say it: a name that no list has, or has had.
    pub(crate) fn unknown() -> Self {
        Self { since: Seq::MAX, ..Self::default() }
    }

    /// The name that counts.
    pub(crate) fn key(&self, key: &ConversationKey) -> ConversationKey {
        key.listing(self.since)
    }

    /// The names that count or may come to count again, if this process is killed.
    pub(crate) fn keys(&self, key: &ConversationKey) -> impl Iterator<Item = ConversationKey> + use<> {
        let before = self.before.filter(|_| self.writing).map(|before| key.listing(before));
        [self.key(key)].into_iter().chain(before)
    }

    /// All names of which anything may be left.
    pub(crate) fn all(&self, key: &ConversationKey) -> Vec<ConversationKey> {
        [Some(self.since), self.before].into_iter().flatten().map(|since| key.listing(since)).collect()
    }

    /// The record of this event is written.
    pub(crate) fn written(&mut self, through: Seq) {
        self.writing &= through < self.since;
    }
}

impl ConversationRecord {
    /// What it says of the list of members.
    pub(crate) fn listing(&self) -> Listing {
        Listing { since: self.listed_since, before: self.listed_before, left: self.left, writing: false }
    }
}

impl State {
    /// Begins another list with the event that was just committed, if it is time for that: once as many have left as are
    /// there, and so many at least.
    pub(in crate::machine) fn relist(&mut self, key: &ConversationKey, least: u64) -> Option<Relisted> {
        if self.listing.left < least.max(self.members.len() as u64) {
            return None;
        }
        let (at, dropped) = (self.head(), self.listing.all(key));
        self.listing = Listing { since: at, before: Some(self.listing.since), left: 0, writing: true };
        let list = self.listing.key(key);
        let mut marks = Vec::new();
        let members = self.members.all_mut().iter_mut().map(|member| {
            // All of them are written below.
            let _ = member.progress.take_moved();
            marks.extend(member.progress.marks().map(|(kind, at, value)| Mark {
                key: list.clone(),
                user: member.user.clone(),
                kind,
                at,
                value,
            }));
            let value = stored::encode(&MemberRecord { role: member.role.into(), joined: member.joined });
            ProjectionWrite::Listed { list: list.clone(), user: member.user.clone(), at, value }
        });
        let members = members.collect();
        Some(Relisted { members, marks, dropped })
    }
}
