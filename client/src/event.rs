//! What the application is told without asking.

use switchyard_protocol::v1;

use crate::error::{Closed, Error};

/// Something that happened in a subscribed conversation. Numbered kinds arrive in the order of their numbers, each once.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Numbered. A message was stored.
    Message(v1::Message),
    /// Numbered. Members came, went or got another role.
    Members {
        /// Where.
        conversation: String,
        /// Its number.
        seq: u64,
        /// Who.
        change: v1::MembersChanged,
    },
    /// Numbered. The conversation's name, avatar or context changed, it was closed or reopened, accepted or declined, a message
    /// was pinned or unpinned; or it was erased, which ends its subscription.
    Changed {
        /// Where.
        conversation: String,
        /// Its number.
        seq: u64,
        /// The fields with a new value.
        change: v1::ConversationChanged,
    },
    /// Numbered. A message has another text now.
    Updated {
        /// Where.
        conversation: String,
        /// The event's number.
        seq: u64,
        /// The message as it is now; its own number is in it.
        message: v1::Message,
    },
    /// Numbered. A message is gone.
    Deleted {
        /// Where.
        conversation: String,
        /// The event's number.
        seq: u64,
        /// Which, and by whom.
        deleted: v1::MessageDeleted,
    },
    /// Numbered. A user gave a message an emoji, or took it away.
    Reacted {
        /// Where.
        conversation: String,
        /// The event's number.
        seq: u64,
        /// Who, what and to which message.
        reacted: v1::Reacted,
    },
    /// Numbered. Something that this version of the SDK does not know; its number is used up all the same.
    Other {
        /// Where.
        conversation: String,
        /// Its number.
        seq: u64,
    },
    /// Numbers `missed_from` to `first_available - 1` were not seen and are no longer kept.
    Gap {
        /// Where.
        conversation: String,
        /// The first number that was missed.
        missed_from: u64,
        /// The oldest number that still exists; events go on from it.
        first_available: u64,
    },
    /// Who types in a conversation that is open ([`Client::open`](crate::Client::open)), in place of what was told before.
    Typing {
        /// Where.
        conversation: String,
        /// Those who began first, five at most; not what this client types itself.
        users: Vec<String>,
        /// How many more there are.
        more: u64,
    },
    /// Somebody who is watched ([`Client::watch`](crate::Client::watch)) came or went: how it is now, in place of what was told
    /// before. A user counts as online until the last session has been over for 15 seconds.
    Presence(v1::UserPresence),
    /// Another number of a conversation's members is online ([`Client::watch_online`](crate::Client::watch_online)).
    Online {
        /// Where.
        conversation: String,
        /// How many.
        online: u64,
    },
    /// Members have come farther: to where this says now, the newest of each. The first after a reconnect, or after much
    /// waited to be read, may tell what is known already. A message is not followed by it, though it moves its sender's marks.
    Marks {
        /// Where.
        conversation: String,
        /// Whose, and how far; in conversations of more than 100 members the own ones alone.
        marks: Vec<v1::MemberMarks>,
    },
    /// After [`Client::subscribe_all`](crate::Client::subscribe_all): a conversation came to the user's list, and its events
    /// come from now on.
    Listed {
        /// Which.
        conversation: String,
        /// As a list shows it; not if it came while there was no connection.
        entry: Option<Box<v1::Listing>>,
        /// Events that follow this number come by themselves; nothing if too many conversations are read already.
        head: Option<u64>,
    },
    /// After [`Client::subscribe_all`](crate::Client::subscribe_all): a list shows a conversation otherwise, for the user has
    /// archived it or taken it from the archive, blocked its other one or unblocked them; perhaps on another device.
    Relisted {
        /// Which.
        conversation: String,
        /// As a list shows it now.
        entry: Box<v1::Listing>,
    },
    /// A conversation went from the user's list.
    Unlisted {
        /// Which.
        conversation: String,
    },
    /// No more events come from this conversation.
    Ended {
        /// Which.
        conversation: String,
        /// Why.
        reason: Ended,
    },
}

impl Event {
    /// The conversation that it belongs to; empty for [`Presence`](Self::Presence), which belongs to none.
    pub fn conversation(&self) -> &str {
        match self {
            Self::Message(message) => &message.conversation,
            Self::Members { conversation, .. }
            | Self::Changed { conversation, .. }
            | Self::Updated { conversation, .. }
            | Self::Deleted { conversation, .. }
            | Self::Reacted { conversation, .. }
            | Self::Other { conversation, .. }
            | Self::Gap { conversation, .. }
            | Self::Typing { conversation, .. }
            | Self::Online { conversation, .. }
            | Self::Marks { conversation, .. }
            | Self::Listed { conversation, .. }
            | Self::Relisted { conversation, .. }
            | Self::Unlisted { conversation }
            | Self::Ended { conversation, .. } => conversation,
            Self::Presence(_) => "",
        }
    }

    /// Its number, for the numbered kinds: what to store and to pass to `subscribe` after a restart.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Message(message) => Some(message.seq),
            Self::Members { seq, .. } | Self::Changed { seq, .. } | Self::Other { seq, .. } => Some(*seq),
            Self::Updated { seq, .. } | Self::Deleted { seq, .. } | Self::Reacted { seq, .. } => Some(*seq),
            Self::Gap { .. } | Self::Typing { .. } | Self::Marks { .. } | Self::Ended { .. } => None,
            Self::Listed { .. } | Self::Relisted { .. } | Self::Unlisted { .. } => None,
            Self::Presence(_) | Self::Online { .. } => None,
        }
    }
}

/// Why a subscription ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The user left or was removed, or the conversation was erased; the event that says so went before.
    Removed,
    /// The server refused to go on.
    Refused(Error),
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// No connection yet, or the last one is lost and another one is sought.
    Connecting,
    /// The server knows who is here.
    Online(v1::Welcome),
    /// It will not come back.
    Closed(Closed),
}
