//! What owners tell edges of a conversation apart from its events: who types, and how far members have come. Of each the
//! newest counts.

use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::{MARKS_TOLD_MEMBERS_MAX, TYPERS_SHOWN_MAX};
use switchyard_protocol::v1;

/// Who types in a conversation, as its owner tells an edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypersNow {
    /// Which conversation.
    pub key: ConversationKey,
    /// Who, each user once, those who began first before others: one more than are shown, at most, so that enough are
    /// left for a session that is not told of itself.
    pub users: Vec<UserId>,
    /// How many users in all.
    pub count: u64,
    /// Sessions of this edge that type, with their users, where no other session of that user does: they are not told of
    /// themselves.
    pub own: Vec<(u64, UserId)>,
}

impl TypersNow {
    /// Users to tell an edge, at most.
    pub const USERS_MAX: usize = TYPERS_SHOWN_MAX + 1;

    /// What this session is told.
    pub fn seen_by(&self, session: u64) -> v1::Typers {
        let own = self.own.iter().find(|(typing, _)| *typing == session).map(|(_, user)| user);
        let others = self.users.iter().filter(|user| Some(*user) != own);
        let users: Vec<String> = others.take(TYPERS_SHOWN_MAX).map(|user| user.as_str().to_owned()).collect();
        let count = self.count.saturating_sub(u64::from(own.is_some()));
        v1::Typers { more: count.saturating_sub(users.len() as u64), users }
    }

    pub(super) fn bytes(&self) -> usize {
        let users = self.users.iter().chain(self.own.iter().map(|(_, user)| user));
        let texts: usize = users.map(|user| size_of::<UserId>() + user.as_str().len()).sum();
        size_of::<Self>() + texts
    }
}

/// How far members of a conversation have come, as its owner tells an edge.
#[derive(Clone, PartialEq, Debug)]
pub struct MarksNow {
    /// Which conversation.
    pub key: ConversationKey,
    /// Members whose marks have risen, in the order of their ids, each once.
    pub marks: Vec<v1::MemberMarks>,
    /// Each reader is told of their own marks alone: there are too many members to tell all of all.
    pub own: bool,
    /// There was no room for all of them on the way.
    pub missed: bool,
}

impl MarksNow {
    /// Members of one conversation that may wait to be told: all of one in which everybody is told. Of more, what is
    /// told says that some are missing.
    pub const MEMBERS_MAX: usize = MARKS_TOLD_MEMBERS_MAX;

    /// Joins with what is newer.
    pub fn join(&mut self, newer: Self) {
        for marks in newer.marks {
            match self.marks.binary_search_by(|known| known.user.cmp(&marks.user)) {
                Ok(at) => self.marks[at] = marks,
                Err(at) if self.marks.len() < Self::MEMBERS_MAX => self.marks.insert(at, marks),
                Err(_) => self.missed = true,
            }
        }
        (self.own, self.missed) = (newer.own, self.missed | newer.missed);
    }

    /// The marks of one member.
    pub fn of(&self, user: &UserId) -> Option<&v1::MemberMarks> {
        let at = self.marks.binary_search_by(|known| known.user.as_str().cmp(user.as_str())).ok()?;
        self.marks.get(at)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.marks.iter().map(|it| size_of::<v1::MemberMarks>() + it.user.len()).sum::<usize>()
    }
}
