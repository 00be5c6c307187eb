//! What a read of the store was for: goes out with the read and comes back with its result.

use switchyard_cluster::link::Request;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1;

use super::rights::admission::Admission;

/// What a read was for; given back with its result.
#[derive(Debug)]
pub enum Ticket {
    /// A page of history.
    History {
        /// Who asked.
        to: Asker,
        /// Of which conversation.
        key: ConversationKey,
        /// Who must still be a member.
        user: UserId,
        /// The head when it was asked.
        head: u64,
        /// The number of the read.
        read: u64,
    },
    /// What a subscriber missed.
    Missed {
        /// Who asked.
        to: Asker,
        /// Of which conversation.
        key: ConversationKey,
        /// Who must still be a member.
        user: UserId,
        /// The number they have.
        after: u64,
        /// The number of the read.
        read: u64,
    },
    /// A message that is to be changed.
    Target {
        /// In which conversation.
        key: ConversationKey,
        /// Its number.
        seq: u64,
    },
    /// Whether a client id was used.
    Lookup {
        /// In which conversation.
        key: ConversationKey,
        /// Which of the sends that wait there.
        number: u64,
        /// The number of the read.
        read: u64,
    },
    /// The newest client ids.
    Ids {
        /// Of which conversation.
        key: ConversationKey,
    },
    /// How many messages there are up to a mark.
    Mark {
        /// Who marks.
        to: Asker,
        /// In which conversation.
        key: ConversationKey,
        /// Who must still be a member.
        user: UserId,
        /// Up to which number they have read.
        read: u64,
    },
    /// What a list shows of a conversation, but for its newest message.
    Last {
        /// Of which survey.
        survey: u64,
        /// Which conversation.
        key: ConversationKey,
        /// The number of the read.
        read: u64,
        /// The rest.
        listing: Box<v1::Listing>,
    },
    /// What users are who are to become members.
    Admission {
        /// Who asked.
        to: Asker,
        /// Of which conversation.
        key: ConversationKey,
        /// Whose wish it is.
        user: UserId,
        /// What is wished.
        admission: Admission,
    },
    /// Whether others let themselves be brought into a conversation.
    Invite(Request),
    /// Whether somebody has archived a conversation.
    Detail {
        /// Who asked.
        to: Asker,
        /// Which conversation.
        key: ConversationKey,
        /// Who must still be a member.
        user: UserId,
    },
    /// Which conversations the user of a home and another one are in.
    Shared {
        /// The home's key.
        home: ConversationKey,
        /// The home's number of what it tells there.
        number: u64,
    },
    /// What has grown too old.
    Age {
        /// Of which conversation.
        key: ConversationKey,
    },
}

impl Ticket {
    /// Who waits for it, if that is one.
    pub fn asker(&self) -> Option<&Asker> {
        match self {
            Self::History { to, .. } | Self::Missed { to, .. } | Self::Mark { to, .. } => Some(to),
            Self::Admission { to, .. } | Self::Detail { to, .. } => Some(to),
            Self::Invite(request) => Some(&request.from),
            Self::Target { .. } | Self::Lookup { .. } | Self::Ids { .. } | Self::Last { .. } => None,
            Self::Shared { .. } | Self::Age { .. } => None,
        }
    }
}
