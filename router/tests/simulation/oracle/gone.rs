//! Erased conversations: nothing is shown of them to anybody, whatever is killed when; and in the end nothing is left.

use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::RequestSide;
use switchyard_store::{Row, Seq};

use super::Oracle;
use crate::ask::Asked;
use crate::disk::FORGOTTEN;
use crate::timeline::{ERASE, FOUNDING, Standing};

/// Bytes of a founding body that says what kind of conversation it was, at most.
const KIND_BYTES_MAX: usize = 2;

/// Rows before the last that a store may have to keep.
const KEPT_MAX: u64 = 1_000;

impl Oracle {
    /// The number of the event that erased it, if that is certain to be kept.
    fn erased_at(&self, key: &ConversationKey) -> Option<Seq> {
        let head = self.head(key)?;
        self.entry(key, head).filter(|entry| entry.row.kind == ERASE).map(|_| head)
    }

    /// An erased conversation is on nobody's list any more when that is answered.
    pub(super) fn unlisted(&mut self, asked: &Asked, seq: Seq) -> Vec<String> {
        self.homes.gone.insert(asked.key.conversation);
        let before = seq.checked_sub(1).and_then(|before| self.entry(&asked.key, before));
        let Some(before) = before else { return vec!["nothing was there to be erased".into()] };
        let inner = self.disk.inner();
        let listed = before.members.keys().filter(|user| {
            let row = inner.members.get(&(asked.key.clone(), (*user).clone()));
            row.is_none_or(|(at, value)| *at < seq || value.is_some())
        });
        listed.map(|user| format!("{user} is still listed")).collect()
    }

    /// What is wrong with an erased conversation of which its last row says that nothing is left.
    pub(super) fn cleared(&mut self, key: &ConversationKey) -> Option<String> {
        let head = self.erased_at(key)?;
        // What retention had dropped before is not there to be overwritten.
        let gone = self.may_be_gone_below(key);
        let inner = self.disk.inner();
        let rows = inner.rows.get(key)?;
        let decode = |seq: Seq| Row::decode(key, seq, &rows.blobs[seq as usize]).expect("it is intact");
        if !decode(head).body.is_empty() {
            return None;
        }
        let mut left = Vec::new();
        for seq in [0].into_iter().chain(head.saturating_sub(KEPT_MAX).max(1)..head) {
            let row = decode(seq);
            let most = if row.kind == FOUNDING { KIND_BYTES_MAX } else { 0 };
            if row.body.len() > most && (seq == 0 || seq >= gone) {
                left.push(format!("row {seq}"));
            }
        }
        if rows.first < head {
            left.push(format!("rows from {}", rows.first));
        }
        let marks = inner.marks.iter().filter(|((conversation, _, _), (at, _))| conversation == key && *at < FORGOTTEN);
        left.extend(marks.map(|((_, kind, user), _)| format!("mark {kind} of {user}")));
        let listed =
            inner.members.iter().filter(|((conversation, _), (_, value))| conversation == key && value.is_some());
        left.extend(listed.map(|((_, user), _)| format!("{user}, who is listed")));
        drop(inner);
        self.saw("cleared");
        (!left.is_empty()).then(|| format!("it is said to be cleared, but there is {left:?}"))
    }

    /// Everything was loaded and is quiet: what was erased is cleared.
    pub(crate) fn nothing_is_left(&mut self, keys: &[ConversationKey]) {
        for key in keys {
            let Some(head) = self.erased_at(key) else { continue };
            let body = {
                let inner = self.disk.inner();
                Row::decode(key, head, &inner.rows[key].blobs[head as usize]).expect("it is intact").body
            };
            if !body.is_empty() {
                self.violate(format!("{} is erased, and nobody cleared it", key.conversation));
            }
        }
    }

    /// Everybody has asked what is unread in each conversation, and then in all: the sums are right.
    pub(crate) fn totals(&mut self, keys: &[ConversationKey]) {
        let totals: Vec<_> = self.homes.totals().map(|(user, counts)| (user.clone(), counts.clone())).collect();
        for (user, counts) in totals {
            let (mut messages, mut conversations, mut requests) = (0, 0, 0);
            for key in keys.iter().filter(|key| self.is_member(key, &user)) {
                let Some(entry) = self.timelines.get(key).and_then(|timeline| timeline.entries.last()) else {
                    continue;
                };
                if entry.profile.side(&user) == Some(RequestSide::ToMe) {
                    requests += u64::from(entry.profile.standing == Standing::Pending && !entry.profile.closed);
                    continue;
                }
                let unread = self.marks.counted.get(&(key.clone(), user.clone())).copied().unwrap_or(0);
                messages += unread;
                conversations += u64::from(unread > 0);
            }
            if requests > 0 {
                self.saw("waits for an answer");
            }
            if (counts.total, counts.unread, counts.requests) != (messages, conversations, Some(requests)) {
                self.violate(format!("{user} is told {counts:?} and not {messages} in {conversations}, {requests}"));
            }
        }
    }
}
