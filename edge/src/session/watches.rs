//! Whom a session watches, and of which conversations it wants to know how many members are online. Only sessions that said
//! so have any of it.

use switchyard_cluster::link::Refusal;
use switchyard_cluster::presence::Seen;
use switchyard_protocol::id::{ConversationId, UserId};
use switchyard_protocol::v1;

use super::gather::told;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// At most [`WATCHED_MAX`].
    pub(super) list: Vec<Watch>,
    /// Requests that wait for answers.
    pub(super) asking: Vec<Asking>,
}

/// A user who is watched, or a conversation whose members are counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Watch {
    /// The user's home, or the conversation.
    pub(super) key: ConversationId,
    /// Nobody for a count.
    pub(super) user: Option<UserId>,
    /// With which it ends; nothing for one whom a direct conversation stands for, for that has always the same two.
    pub(super) through: Option<ConversationId>,
    /// That conversation is of these two for good, as its owner has said: a block ends it.
    pub(super) of_two: bool,
}

/// A request.
#[derive(Debug)]
pub(super) struct Asking {
    /// Its number in the session.
    pub(super) number: u32,
    /// The client's id of it.
    pub(super) id: u64,
    pub(super) waiting: usize,
    pub(super) parts: Vec<Part>,
}

/// One whom it names.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) watch: Watch,
    pub(super) outcome: Option<Outcome>,
    /// The two were parted since: what was vouched for before does not count.
    pub(super) parted: bool,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Seen(Seen),
    /// Not to be seen by the asker, or never seen at all.
    Unseen,
    Refused(Refusal),
}

impl Watches {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.asking.is_empty()
    }

    /// What it watches, or asked for.
    pub(super) fn keys(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.list.iter().map(|watch| watch.key)
    }

    /// Whether something ends with this conversation.
    pub(super) fn any_through(&self, conversation: ConversationId) -> bool {
        self.list.iter().any(|watch| watch.through == Some(conversation))
    }

    /// Whether a request of this number waits.
    pub(super) fn is_asking(&self, number: u32) -> bool {
        self.asking.iter().any(|asking| asking.number == number)
    }

    pub(super) fn has(&self, key: ConversationId) -> bool {
        self.list.iter().any(|watch| watch.key == key)
    }

    /// Takes out those that pass.
    pub(super) fn take(&mut self, passes: impl Fn(&Watch) -> bool) -> Vec<Watch> {
        self.list.extract_if(.., |watch| passes(watch)).collect()
    }

    pub(super) fn put(&mut self, watch: &Watch) {
        match self.list.iter_mut().find(|known| known.key == watch.key) {
            Some(known) => *known = watch.clone(),
            None => self.list.push(watch.clone()),
        }
    }
}

impl Part {
    /// What the client is told, added to the rest of the reply.
    pub(super) fn tell(&self, into: &mut v1::Presence) {
        let user = || self.watch.user.as_ref().map_or_else(String::new, UserId::to_string);
        match &self.outcome {
            Some(Outcome::Seen(seen)) => seen.put(self.watch.key, into),
            Some(Outcome::Unseen) | None => {
                into.presence.push(v1::UserPresence { user: user(), ..Default::default() });
            }
            Some(Outcome::Refused(refusal)) => {
                let error = Some(told(refusal));
                into.presence.push(v1::UserPresence { user: user(), error, ..Default::default() });
            }
        }
    }
}
