//! Who is staff: they read what the support has, and what is internal, as long as their token says so; without it they are
//! strangers there.

use std::collections::BTreeMap;

use switchyard_protocol::id::UserId;
use switchyard_protocol::roles::needs_staff;
use switchyard_protocol::v1::{ConversationKind, ServerFrame, reply, server_frame::Frame};

use super::Oracle;
use crate::places;
use crate::timeline::{ERASE, Entry};

/// Who is staff, or was: and whether they are still.
#[derive(Debug, Default)]
pub(super) struct Staff(BTreeMap<UserId, bool>);

impl Staff {
    pub(super) fn ever(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    fn now(&self, user: &UserId) -> bool {
        self.0.get(user).copied().unwrap_or(false)
    }
}

fn kind(entry: &Entry) -> ConversationKind {
    ConversationKind::try_from(entry.profile.kind).unwrap()
}

/// Whether it is a conversation with the support.
pub(super) fn is_desk(entry: &Entry) -> bool {
    matches!(kind(entry), ConversationKind::CustomerSupport | ConversationKind::SellerSupport)
}

/// Whether users are members there as long as they are staff, or read it without being one.
pub(super) fn asks_for_staff(entry: &Entry) -> bool {
    is_desk(entry) || kind(entry) == ConversationKind::Internal
}

/// Whether somebody reads there, who is staff or not.
pub(super) fn reads(entry: &Entry, user: &UserId, staff: bool) -> bool {
    match entry.role(user) {
        Some(role) => staff || !needs_staff(kind(entry), role),
        // One that was erased nobody reads; one whose customer was put out the staff still does.
        None => staff && is_desk(entry) && entry.row.kind != ERASE,
    }
}

impl Oracle {
    /// Somebody is staff, or is no more.
    pub(crate) fn staff(&mut self, user: &UserId, is: bool) {
        self.staff.0.insert(user.clone(), is);
    }

    pub(crate) fn is_staff(&self, user: &UserId) -> bool {
        self.staff.now(user)
    }

    /// Whether somebody sees an entry of their list: whoever is staff no more does not see what they had as such.
    pub(crate) fn sees_listed(&mut self, user: &UserId, name: &str) -> bool {
        let staff = self.staff.now(user);
        let (timeline, _) = self.timeline(&places::key(name));
        timeline.entries.last().is_none_or(|last| last.role(user).is_none() || reads(last, user, staff))
    }

    /// A session whose token says that its user is staff, or not, is sent this: nothing that only staff may read, if they are not.
    pub(crate) fn sent(&mut self, user: &UserId, staff: bool, frame: &ServerFrame) {
        if staff || !self.staff.ever(user) {
            return;
        }
        let events: Vec<(&str, u64)> = match &frame.frame {
            Some(Frame::Event(event)) if event.seq > 0 => vec![(&event.conversation, event.seq)],
            Some(Frame::Reply(reply)) => match &reply.result {
                Some(reply::Result::Resumed(resumed)) => {
                    let events = resumed.conversations.iter().flat_map(|one| &one.events);
                    events.map(|event| (event.conversation.as_str(), event.seq)).collect()
                }
                _ => return,
            },
            _ => return,
        };
        for (name, seq) in events {
            let (timeline, durable) = self.timeline(&places::key(name));
            let states = timeline.entries.get((seq as usize).saturating_sub(1)..durable).unwrap_or_default();
            if !states.iter().any(|entry| reads(entry, user, false)) {
                self.violate(format!("{user} is staff no more, and is sent number {seq} of {name}"));
            }
        }
    }
}
