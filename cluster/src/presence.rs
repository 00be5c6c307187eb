//! What is said about who is online. A user's home knows how many sessions the user has; edges tell it of each that begins
//! and ends, and watch there those whom their own sessions watch. Who may watch whom is for the owner of a conversation to
//! say that both are in: it passes the question on to the home.

use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1;

use crate::home::Surveyed;
use crate::party::{Asker, Home};

/// What an edge tells the home of the request's user. The request's key is the home's. None of it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PresenceAsk {
    /// So many sessions of the user have begun on this edge since it spoke last, less those that have ended.
    Sessions(i32),
    /// No session of this edge watches the user any more: what it asked for up to this turn of its own is over. What it
    /// asks for later may come earlier, for that goes by way of another owner.
    Unwatch {
        /// The highest [`WatchAsk::turn`] that is over.
        turn: u64,
    },
}

/// A session watches a user who is in the request's conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchAsk {
    /// The home of whom it watches.
    pub home: Home,
    /// Counts what this edge asks for of this kind.
    pub turn: u64,
}

/// The same as an owner passes it on, that both are members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Of whom, and when the edge asked.
    pub ask: WatchAsk,
    /// Whom to answer.
    pub to: Asker,
    /// The conversation is of these two for good: a block ends it.
    pub of_two: bool,
}

/// One of two users has blocked the other: what is told of this one to sessions of that one, by way of a conversation of these
/// two, is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parted {
    /// The home of whom they watch no more.
    pub home: Home,
    /// Whose sessions.
    pub watcher: UserId,
}

/// The same for that home, from an owner that vouches for these two no more: behind everything that it vouched for before.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Whom from whom.
    pub parted: Parted,
    /// What the home that asked the owner is told once edges are: the owner's confirmation.
    pub then: Surveyed,
}

/// How it is with something that sessions of an edge watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceNow {
    /// The home of a user, or a conversation.
    pub key: ConversationKey,
    /// What is known.
    pub seen: Seen,
}

/// What is known of a user or a conversation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Seen {
    /// Of a user.
    User {
        /// Who.
        user: UserId,
        /// Whether there are sessions, or were until just now.
        online: bool,
        /// When the last one ended, if there are none and ever were.
        last_seen_ms: Option<u64>,
    },
    /// Of a conversation: how many of its members are online.
    Online(u64),
}

impl Parted {
    /// Bytes that it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.home.user.as_str().len() + self.watcher.as_str().len()
    }
}

impl PresenceNow {
    /// Bytes that it holds, about.
    pub(crate) fn bytes(&self) -> usize {
        let user = if let Seen::User { user, .. } = &self.seen { user.as_str().len() } else { 0 };
        size_of::<Self>() + user
    }
}

impl Seen {
    /// As it is told to clients: added to what else is told.
    pub fn put(&self, conversation: ConversationId, into: &mut v1::Presence) {
        match self {
            Self::User { user, online, last_seen_ms } => into.presence.push(v1::UserPresence {
                user: user.as_str().to_owned(),
                online: *online,
                last_seen_ms: *last_seen_ms,
                error: None,
            }),
            Self::Online(online) => {
                let conversation = conversation.to_string();
                into.counts.push(v1::ConversationPresence { conversation, online: *online });
            }
        }
    }
}

/// An owner asks homes how many members of a conversation are online. A link to several routers splits it by home.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Census {
    /// Of which conversation; also where the answer goes.
    pub key: ConversationKey,
    /// The owner's number of it, given back.
    pub number: u64,
    /// Whom it asks about.
    pub users: Vec<UserId>,
}

/// What a router says to that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// Where it goes.
    pub key: ConversationKey,
    /// The owner's number of the census.
    pub number: u64,
    /// How many users this is about.
    pub asked: usize,
    /// How many of them are online.
    pub online: u64,
}
