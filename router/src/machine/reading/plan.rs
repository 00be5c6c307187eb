//! What is read of the store for a machine, and what comes back: plain values that go out with a ticket and return with it.

use bytes::Bytes;
use switchyard_cluster::link::PageFrom;
use switchyard_protocol::id::{ConversationId, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1;

use crate::machine::{Older, TargetRead, Welcome};

/// What to read.
#[derive(Debug)]
pub enum ReadPlan {
    /// Messages from a point on, in a direction.
    Messages {
        /// Where, and which way.
        from: PageFrom,
        /// How many.
        limit: usize,
        /// The lowest number there is.
        first: u64,
        /// The newest committed number.
        head: u64,
        /// Who reads.
        reader: Reader,
    },
    /// All events in a range.
    Events {
        /// The first number.
        from: u64,
        /// The last number.
        to: u64,
        /// How many, at most.
        events_max: usize,
        /// Bytes of them, at most; the first always comes.
        bytes_max: usize,
        /// Who reads.
        reader: Reader,
    },
    /// A message and its overlay, to be changed or answered.
    Target {
        /// Its number.
        seq: u64,
        /// Whose emoji are wanted, too.
        reactor: Option<UserId>,
    },
    /// The message with this sender and client id, if it lies in a range.
    Find {
        /// The first number.
        from: u64,
        /// The last number.
        to: u64,
        /// Whose.
        sender: UserId,
        /// Which.
        client_id: String,
        /// Whether there are overlays.
        annotated: bool,
    },
    /// The hashes of the client ids in a range.
    Ids {
        /// The first number.
        from: u64,
        /// The last number.
        to: u64,
        /// What the hashes are keyed with.
        seed: u64,
    },
    /// How many messages there are up to a number.
    Ordinal {
        /// Which number.
        seq: u64,
        /// The lowest number there is.
        first: u64,
        /// The newest committed number.
        head: u64,
    },
    /// What is known of what these users of the tenant are.
    Roles {
        /// Who.
        users: Vec<UserId>,
    },
    /// Whether nobody of these has blocked somebody.
    Welcome {
        /// Who would bring them into a conversation.
        user: UserId,
        /// Whom.
        others: Vec<UserId>,
        /// Whether it is between two for good: then neither has blocked the other.
        of_two: bool,
    },
    /// Whether somebody has archived the conversation since they joined.
    Archived {
        /// Who.
        user: UserId,
        /// The number with which they joined.
        joined: u64,
    },
    /// The conversations that two users are in.
    Shared {
        /// One.
        user: UserId,
        /// The other.
        other: UserId,
    },
    /// Which of the oldest runs have grown too old.
    Older {
        /// The lowest number there is.
        first: u64,
        /// Where the first run begins that stays in any case.
        end: u64,
        /// Events from before this time are too old.
        before_ms: u64,
    },
}

/// For whom messages are read in their present form.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The user: their own emoji are marked.
    pub user: UserId,
    /// Whether any message of the conversation was ever changed: else there are no overlays to look for.
    pub annotated: bool,
}

/// What was read.
#[derive(Debug)]
pub enum ReadResult {
    /// A page of messages.
    Messages {
        /// In the order asked.
        messages: Vec<v1::Message>,
        /// Whether there are more in that direction.
        more: bool,
    },
    /// Events in order.
    Events(Vec<v1::Event>),
    /// The encoded message that was looked for.
    Found(Option<Bytes>),
    /// A message that is to be changed or answered; nothing if there is none.
    Target(Option<Box<TargetRead>>),
    /// Hashes of client ids, of events without a hole between them.
    Ids {
        /// The first one's number.
        from: u64,
        /// The hashes.
        hashes: Vec<u64>,
    },
    /// So many messages.
    Ordinal(u64),
    /// What each of them is.
    Roles(Vec<(UserId, Roles)>),
    /// Whether they are free to be brought.
    Welcome(Welcome),
    /// Whether it is archived.
    Archived(bool),
    /// Conversations.
    Shared(Vec<ConversationId>),
    /// What is too old.
    Older(Older),
}
