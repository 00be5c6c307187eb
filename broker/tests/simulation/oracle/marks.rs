//! Marks and what they leave unread: a mark is where its user had reason to put it, counts are what the rows give, and lists
//! show what is there.

use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1;
use switchyard_store::Seq;

use super::Oracle;
use super::changes::is_shown;
use super::roles::is_desk;
use crate::places;
use crate::present::{DELETE, target};
use crate::timeline::Timeline;

/// Whether a count of unread messages is that of some moment from `low` on: messages of others above the mark, but for those
/// that were deleted by then.
fn counts_right(timeline: &Timeline, user: &UserId, read: Seq, unread: u64, low: Seq, durable: usize) -> bool {
    let counted = |seq: Seq| {
        let entry = &timeline.entries[seq as usize];
        seq > read && entry.is_message() && !entry.is_system() && entry.row.sender() != user.as_str()
    };
    let mut count = 0;
    let mut right = low <= read && read < durable as u64 && unread == 0;
    for seq in 1..durable as u64 {
        let row = &timeline.entries[seq as usize].row;
        if counted(seq) {
            count += 1;
        } else if row.kind == DELETE && target(row).is_some_and(counted) {
            count -= 1;
        }
        right |= seq >= low && seq >= read && count == unread;
    }
    right
}

impl Oracle {
    /// Somebody has read so far, and says so.
    pub(crate) fn marked(&mut self, user: &UserId, name: &str, read: Seq) {
        let said = self.said.entry((places::key(name), user.clone())).or_default();
        *said = read.max(*said);
    }

    /// The highest number that a user had reason to have read.
    fn reason(&mut self, key: &ConversationKey, user: &UserId) -> Seq {
        let said = self.said.get(&(key.clone(), user.clone())).copied().unwrap_or(0);
        let given = if *key == places::old_key() { self.old_rows } else { 0 };
        let (timeline, durable) = self.timeline(key);
        let entries = timeline.entries.get(..durable).unwrap_or_default();
        let own = entries.iter().rposition(|entry| entry.is_message() && entry.row.sender() == user.as_str());
        // Whoever came has read what was there.
        let joined = entries.iter().filter_map(|entry| entry.members.get(user).map(|(_, at)| *at)).max();
        said.max(own.unwrap_or(0) as u64).max(joined.unwrap_or(0)).max(given)
    }

    /// A user is told how far they have read, and what is unread, of some moment from `low` on.
    pub(crate) fn unread(&mut self, user: &UserId, name: &str, (read, unread): (Seq, u64), low: Seq) {
        let key = places::key(name);
        if self.timeline(&key).0.entries.last().is_some_and(|last| last.role(user).is_none() && is_desk(last)) {
            // Staff who are no members have no marks.
            return;
        }
        let reason = self.reason(&key, user);
        let (counted, aged) = self.gone_below(&key);
        let (timeline, durable) = self.timeline(&key);
        // What retention drops is not unread any more, and when it does so is not known here.
        let dropped = counted.max(aged) > 1;
        if read > reason {
            self.violate(format!("{user} is told to have read {read} of {name}, and had reason for {reason}"));
        } else if !dropped && !counts_right(timeline, user, read, unread, low, durable) {
            let kinds: Vec<u32> = timeline.entries.iter().map(|entry| entry.row.kind).collect();
            self.violate(format!("{user} has {unread} unread above {read} of {name} from {low} on, rows {kinds:?}"));
        }
    }

    /// Somebody is told how far others have come.
    pub(crate) fn marks_told(&mut self, user: &UserId, name: &str, marks: &[v1::MemberMarks]) {
        let key = places::key(name);
        for one in marks {
            let whose = crate::timeline::user(&one.user);
            let reason = self.reason(&key, &whose);
            // That somebody has read nothing is what is told of whoever does not answer.
            let something = one.read > 0 || one.delivered > 0;
            if something && whose != *user && self.only_asks(&key, user) {
                self.violate(format!("{user} waits for an answer to {name}, and is told {one:?}"));
            } else if one.read > reason || one.delivered < one.read {
                self.violate(format!("{user} is told {one:?} of {name}, there was reason for {reason}"));
            }
        }
    }

    /// An entry of a list, of some moment from `low` on; `exact` if nothing happens any more.
    pub(crate) fn listing(&mut self, user: &UserId, entry: &v1::Listing, exact: bool) {
        let Some(conversation) = &entry.conversation else {
            return self.violate(format!("{user} lists nothing: {entry:?}"));
        };
        let name = conversation.id.as_str();
        let key = places::key(name);
        let low = if exact { self.head(&key) } else { 0 };
        self.unread(user, name, (conversation.read, conversation.unread), low);
        if exact {
            self.stands_as(user, conversation);
        }
        let (timeline, durable) = self.timeline(&key);
        let newest =
            timeline.entries[..durable].iter().rposition(crate::timeline::Entry::is_message).unwrap_or(0) as u64;
        let shown = entry.last.as_ref().is_none_or(|last| is_shown(timeline, durable, &key, Some(user), low, last));
        let last = entry.last.as_ref().map_or(0, |last| last.seq);
        let (counted, aged) = self.gone_below(&key);
        let there = newest >= counted.max(aged);
        let wrong = !shown || (exact && there && (last != newest || conversation.head + 1 != durable as u64));
        if wrong {
            self.violate(format!("{user} lists {entry:?}, the newest message is {newest}, {durable} rows"));
        }
    }

    /// The newest number of a conversation.
    pub(crate) fn head(&mut self, key: &ConversationKey) -> Seq {
        let (_, durable) = self.timeline(key);
        (durable as u64).saturating_sub(1)
    }
}
