//! What becomes of messages: everybody is shown what a message was at some moment since they asked, only those change it who
//! may, and nothing is stored that changes nothing or that nobody asked for.

use std::collections::BTreeSet;

use prost::Message as _;
use switchyard_client::Event;
use switchyard_client::core::Call;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, Role, event::Body};
use switchyard_store::{Row, Seq};

use super::Oracle;
use super::roles::{Staff, is_desk};
use crate::places;
use crate::present::{DELETE, EDIT, REACT, form, target};
use crate::timeline::{self, Timeline};

/// A change that somebody asked for: who, of which message, and what, so that a row can be compared.
pub(super) type Wish = (UserId, Seq, What);

/// See [`Wish`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum What {
    Edit(String),
    Delete,
    React(String, bool),
}

/// What a call asks of a message, if it does: where, of which number, what.
pub(super) fn wish(call: &Call) -> Option<(&str, Seq, What)> {
    match call {
        Call::Edit(edit) => Some((&edit.conversation, edit.seq, What::Edit(edit.text.clone()))),
        Call::Delete(delete) => Some((&delete.conversation, delete.seq, What::Delete)),
        Call::React(react) => Some((&react.conversation, react.seq, What::React(react.emoji.clone(), react.remove))),
        _ => None,
    }
}

/// What a row does to a message, if it does something.
fn deed(row: &Row) -> Option<What> {
    let body = row.body.clone();
    match row.kind {
        EDIT => Some(What::Edit(form::Edit::decode(body).ok()?.text)),
        DELETE => Some(What::Delete),
        REACT => form::React::decode(body).ok().map(|react| What::React(react.emoji, react.removed)),
        _ => None,
    }
}

/// The numbers after which a message looks otherwise, from `low` on, below `end`.
fn moments(timeline: &Timeline, seq: Seq, low: Seq, end: Seq) -> impl Iterator<Item = Seq> + '_ {
    let first = low.max(seq);
    let changes = timeline.annotations.get(&seq).into_iter().flatten().copied();
    std::iter::once(first).chain(changes.filter(move |at| *at > first)).filter(move |at| *at < end)
}

/// Whether a message is shown as it was at some moment not before `low`: as this user sees it, or as events do.
pub(super) fn is_shown(
    timeline: &Timeline,
    durable: usize,
    key: &ConversationKey,
    reader: Option<&UserId>,
    low: Seq,
    got: &v1::Message,
) -> bool {
    let is_message = timeline.entries.get(got.seq as usize).is_some_and(timeline::Entry::is_message);
    is_message
        && moments(timeline, got.seq, low, durable as u64).any(|upto| {
            timeline.shown(key, got.seq, upto, reader) == *got || timeline.shown(key, got.seq, upto, None) == *got
        })
}

impl Oracle {
    /// Somebody asks for a change of a message.
    pub(super) fn wished(&mut self, user: &UserId, call: &Call) {
        if let Some((name, seq, what)) = wish(call) {
            self.wishes.entry(places::key(name)).or_default().insert((user.clone(), seq, what));
        }
    }

    /// Whether this is a message, of this user's if one is named.
    pub(crate) fn is_message(&mut self, name: &str, seq: Seq, sender: Option<&UserId>) -> bool {
        let (timeline, _) = self.timeline(&places::key(name));
        let entry = timeline.entries.get(seq as usize).filter(|entry| entry.is_message());
        entry.is_some_and(|entry| sender.is_none_or(|sender| entry.row.sender() == sender.as_str()))
    }

    /// A change that is said to be done either happened at that number or was so already.
    pub(crate) fn message_changed(&mut self, user: &UserId, call: &Call, changed: &v1::Changed) {
        let Some((name, seq, what)) = wish(call) else { return };
        let key = places::key(name);
        let (timeline, durable) = self.timeline(&key);
        let at = changed.seq;
        let row = timeline.entries.get(at as usize).filter(|_| (at as usize) < durable).map(|entry| &entry.row);
        let happened = row.is_some_and(|row| {
            target(row) == Some(seq) && deed(row).as_ref() == Some(&what) && row.sender() == user.as_str()
        });
        let was_so = || {
            let present = timeline.present(seq, at);
            match &what {
                What::Edit(text) => {
                    let sent = || timeline.entries.get(seq as usize).map(|entry| timeline::said(&entry.row).1);
                    present.text.clone().map(|(text, _)| text).or_else(sent).as_ref() == Some(text)
                }
                What::Delete => present.deleted,
                What::React(emoji, removed) => present.gives(user, emoji) != *removed,
            }
        };
        let right = row.is_some() && (happened || was_so());
        let row = row.cloned();
        if !right {
            self.violate(format!("{user} was told that {what:?} of {seq} is {changed:?}, which is {row:?}"));
        }
        let told = self.told.entry(key).or_default();
        *told = at.max(*told);
    }

    /// Whether an event is what is stored at its number, of messages as they were then or later.
    pub(super) fn is_event(&mut self, user: &UserId, key: &ConversationKey, seq: Seq, event: &Event) -> bool {
        let gone = self.gone_below(key);
        let (timeline, durable) = self.timeline(key);
        let Some(row) = timeline.entries.get(seq as usize).map(|entry| &entry.row) else { return false };
        match event {
            Event::Message(message) => message.seq == seq && is_shown(timeline, durable, key, Some(user), seq, message),
            Event::Updated { message, .. } => {
                row.kind == EDIT
                    && target(row) == Some(message.seq)
                    && is_shown(timeline, durable, key, Some(user), seq, message)
            }
            // Of what retention has dropped nothing can be shown.
            Event::Other { .. } => row.kind == EDIT && target(row).is_some_and(|target| target < gone.0.max(gone.1)),
            Event::Members { change, .. } => timeline.live(key, seq).body == Some(Body::Members(change.clone())),
            Event::Changed { change, .. } => timeline.live(key, seq).body == Some(Body::Change(change.clone())),
            Event::Deleted { deleted, .. } => timeline.live(key, seq).body == Some(Body::Deleted(deleted.clone())),
            Event::Reacted { reacted, .. } => timeline.live(key, seq).body == Some(Body::Reacted(reacted.clone())),
            _ => false,
        }
    }

    /// Rows that change messages: somebody wanted each, might do so, and something was changed by it.
    pub(super) fn changes_are_wanted(&mut self, key: &ConversationKey) {
        let wishes = self.wishes.remove(key).unwrap_or_default();
        let given = if *key == places::old_key() { self.old_rows } else { 0 };
        let Some(timeline) = self.timelines.get(key) else { return };
        let rows = timeline.entries.iter().enumerate().skip(given as usize + 1);
        let wrong: Vec<String> = rows
            .filter_map(|(seq, entry)| {
                let why = wrong_change(timeline, seq as u64, &wishes, &self.staff)?;
                Some(format!("number {seq} of {key:?}: {why}: {:?}", entry.row))
            })
            .collect();
        self.violations.extend(wrong);
    }
}

fn wrong_change(timeline: &Timeline, seq: Seq, wishes: &BTreeSet<Wish>, staff: &Staff) -> Option<&'static str> {
    let row = &timeline.entries.get(seq as usize)?.row;
    let (at, what) = (target(row)?, deed(row)?);
    let before = timeline.entries.get(seq.checked_sub(1)? as usize)?;
    let Some(on) = timeline.entries.get(at as usize).filter(|on| on.is_message() && at < seq) else {
        return Some("it changes what is no message");
    };
    let sender = timeline::user(row.sender());
    let own = on.row.sender() == row.sender();
    let present = timeline.present(at, seq - 1);
    let by_role = (is_desk(before) && staff.ever(&sender)).then_some(Role::Moderator);
    let Some(role) = by_role.or_else(|| before.role(&sender)) else { return Some("by somebody who is no member") };
    if before.profile.closed {
        return Some("in a closed conversation");
    }
    if present.deleted {
        return Some("it was deleted before");
    }
    let removes_others = !before.direct() && role != Role::Member;
    let wrong = match &what {
        What::Edit(_) if !own => Some("it is another one's"),
        What::Delete if !own && !removes_others => Some("no right to delete"),
        What::React(emoji, removed) => {
            let react = form::React::decode(row.body.clone()).ok()?;
            if present.gives(&sender, emoji) != *removed {
                Some("it changes nothing")
            } else if react.count != timeline.present(at, seq).given(emoji) {
                Some("it counts wrong")
            } else {
                None
            }
        }
        _ => None,
    };
    wrong.or_else(|| (!wishes.contains(&(sender, at, what))).then_some("nobody wanted it"))
}
