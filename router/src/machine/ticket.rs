//! What a read of the store was for: goes out with the read and comes back with its result.

use switchyard_cluster::link::{Asker, SendAsk};
use switchyard_protocol::id::{ConversationKey, UserId};

use super::recent::IdHash;

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
    },
    /// Whether a client id was used.
    Lookup(Lookup),
    /// What has grown too old.
    Age {
        /// Of which conversation.
        key: ConversationKey,
    },
}

/// A send whose client id is being looked up in the log.
#[derive(Debug)]
pub struct Lookup {
    pub(super) key: ConversationKey,
    pub(super) asker: Asker,
    pub(super) user: UserId,
    pub(super) send: SendAsk,
    pub(super) hash: IdHash,
    /// Numbers up to this were looked through when the read is done.
    pub(super) through: u64,
    /// The lowest number that matters.
    pub(super) floor: u64,
    /// Whether memory said that it lies at `through`.
    pub(super) seen: bool,
}
