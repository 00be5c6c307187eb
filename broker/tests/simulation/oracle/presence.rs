//! Who is told that somebody is online: only who was in a conversation with them. And when all is at rest, the truth.

use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1;

use super::Oracle;
use super::roles::asks_for_staff;
use crate::device::Watched;
use crate::places;
use crate::timeline::Standing;

/// What somebody may know of another one's coming and going.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MayKnow {
    /// All of it, ever since they asked.
    All,
    /// Perhaps some of it.
    Some,
    Nothing,
}

impl Oracle {
    /// Whether there is a conversation through which somebody may watch that one now, and the number of its newest event.
    pub(crate) fn watches_from(&mut self, user: &UserId, other: &UserId, through: Option<&str>) -> Option<u64> {
        let key = through.map_or_else(|| direct(user, other), places::key);
        let (timeline, durable) = self.timeline(&key);
        let both =
            |entry: &crate::timeline::Entry| entry.members.contains_key(user) && entry.members.contains_key(other);
        let there = durable.checked_sub(1).and_then(|at| timeline.entries.get(at)).is_some_and(both);
        there.then(|| durable as u64 - 1)
    }

    /// What somebody may know of that one, whom they watch.
    fn may_know(&mut self, user: &UserId, other: &UserId, watched: &Watched) -> MayKnow {
        let key = watched.through.as_deref().map_or_else(|| direct(user, other), places::key);
        let undisturbed = self.never_blocked(user, other);
        let (timeline, durable) = self.timeline(&key);
        let from = watched.from.map_or(usize::MAX, |from| from as usize);
        let both =
            |entry: &crate::timeline::Entry| entry.members.contains_key(user) && entry.members.contains_key(other);
        // A request hides them from each other, and who asks again when it is accepted is who reads the conversation.
        let open = |entry: &crate::timeline::Entry| entry.profile.standing == Standing::Open;
        let states = timeline.entries.get(from..durable);
        let all = states.is_some_and(|states| states.iter().all(|entry| both(entry) && open(entry)));
        let by_role = timeline.entries.iter().any(asks_for_staff);
        if all && undisturbed && !by_role {
            MayKnow::All
        } else if by_role || timeline.entries.iter().any(|entry| both(entry) && open(entry)) {
            MayKnow::Some
        } else {
            MayKnow::Nothing
        }
    }

    /// Somebody is told of another one whom they watch.
    pub(crate) fn seen(&mut self, user: &UserId, told: &v1::UserPresence, watched: &Watched) {
        let other = crate::timeline::user(&told.user);
        let something = told.online || told.last_seen_ms.is_some();
        if something && *user != other && self.may_know(user, &other, watched) == MayKnow::Nothing {
            self.violate(format!("{user} is told {told:?}, and may know nothing of them"));
        }
    }

    /// All is at rest: whether one of the two has blocked the other for certain, and what joins them is between the two alone.
    fn parted(&mut self, user: &UserId, other: &UserId, watched: &Watched) -> bool {
        let blocked = self.is_blocked(user, other) || self.is_blocked(other, user);
        let key = watched.through.as_deref().map_or_else(|| direct(user, other), places::key);
        blocked && self.timeline(&key).0.entries.first().is_none_or(crate::timeline::Entry::direct)
    }

    /// All is at rest, and somebody has been there, or gone, for a while: whoever watches them knows.
    pub(crate) fn presence_is(&mut self, user: &UserId, other: &UserId, watched: &Watched, there: bool) {
        let Some(told) = watched.online else { return };
        let knows =
            if self.parted(user, other, watched) { MayKnow::Nothing } else { self.may_know(user, other, watched) };
        let wrong = match knows {
            MayKnow::All => told != there,
            MayKnow::Some => told && !there,
            MayKnow::Nothing => told,
        };
        if wrong {
            self.violate(format!(
                "{user} is told that {other} is online: {told}, which is {there}; {watched:?}, {knows:?}"
            ));
        }
    }
}

/// The direct conversation of two.
fn direct(user: &UserId, other: &UserId) -> ConversationKey {
    let tenant = places::tenant();
    let conversation = ConversationId::direct(&tenant, "direct", "", user, other);
    ConversationKey { tenant, conversation }
}
