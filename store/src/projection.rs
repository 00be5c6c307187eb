//! Projections: what follows from the log and is kept so that nobody has to read all of it. The trait and its contract
//! only. Every write carries the number of the event that caused it, and the highest number wins, so late, repeated and
//! out-of-order writes are harmless: the log is the truth, and an owner replays from the number a projection reached.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use crate::BoxFuture;
use crate::log::Seq;

/// Bytes of one value: a conversation's fields or a member's, never bodies; an overlay may hold the largest body there is, and
/// as much again beside it.
pub const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of what a decision is about: a user's id is the longest.
pub const ABOUT_BYTES_MAX: usize = 128;

/// See [`RECORD_BYTES_MAX`].
pub const OVERLAY_BYTES_MAX: usize = 2 * 64 * 1024;

/// One write, idempotent and commutative: of two writes to the same thing the one with the higher `at` stays; of two
/// with the same `at` the stored one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectionWrite {
    /// The conversation's own record.
    Conversation {
        /// Which conversation.
        key: ConversationKey,
        /// The number of the event it follows from; becomes [`Record::applied`].
        at: Seq,
        /// Its fields, opaque.
        record: Bytes,
    },
    /// One member of it, listed from both sides: by conversation and by user.
    Member {
        /// Which conversation.
        key: ConversationKey,
        /// The name of its list of members: its own, or another one that it has given up its own for.
        list: ConversationId,
        /// Who.
        user: UserId,
        /// The number of the event it follows from.
        at: Seq,
        /// The member's fields, opaque; nothing if the user is no longer a member. A removal is remembered with its
        /// number, so that an older addition which comes late does not undo it.
        value: Option<Bytes>,
    },
    /// A member, in a list of members alone: those that are there are listed anew under another name.
    Listed {
        /// The list.
        list: ConversationKey,
        /// Who.
        user: UserId,
        /// The number of the event with which the list began.
        at: Seq,
        /// The member's fields, opaque.
        value: Bytes,
    },
    /// What became of one of its rows: the row's overlay, which is read with it.
    Overlay {
        /// Which conversation.
        key: ConversationKey,
        /// The number of the row that it is about.
        target: Seq,
        /// The number of the event it follows from.
        at: Seq,
        /// What it says, opaque.
        value: Bytes,
    },
    /// What one user did to one of its rows.
    Reactor {
        /// Which conversation.
        key: ConversationKey,
        /// The number of the row that it is about.
        target: Seq,
        /// Who.
        user: UserId,
        /// The number of the event it follows from.
        at: Seq,
        /// What it says, opaque; nothing if it was taken back, which is remembered as a member's removal is.
        value: Option<Bytes>,
    },
    /// What a user's home has decided about somebody or something.
    Decision {
        /// What was decided.
        place: DecisionPlace,
        /// The number of the home's event that it follows from.
        at: Seq,
        /// What it says, opaque; nothing if it was taken back, which is remembered as a member's removal is.
        value: Option<Bytes>,
    },
}

/// Which decision of a home.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DecisionPlace {
    /// The home's name among conversations.
    pub home: ConversationKey,
    /// Which of its kinds; the numbers are not the store's.
    pub kind: u8,
    /// About whom or what, at most [`ABOUT_BYTES_MAX`]; opaque.
    pub about: Bytes,
}

/// A conversation's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The number of the event it follows from. Events above it are to be replayed.
    pub applied: Seq,
    /// As written.
    pub fields: Bytes,
}

/// A member of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    /// Who.
    pub user: UserId,
    /// The number of the event this follows from.
    pub at: Seq,
    /// As written.
    pub value: Bytes,
}

/// The overlay of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The row's number.
    pub target: Seq,
    /// The number of the event this follows from.
    pub at: Seq,
    /// As written.
    pub value: Bytes,
}

/// What one user did to a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reactor {
    /// The number of the event this follows from.
    pub at: Seq,
    /// As written; nothing if it was taken back.
    pub value: Option<Bytes>,
}

/// A decision of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which of its kinds.
    pub kind: u8,
    /// About whom or what.
    pub about: Bytes,
    /// The number of the home's event that it follows from.
    pub at: Seq,
    /// As written; nothing if it was taken back.
    pub value: Option<Bytes>,
}

/// A conversation that a user is a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Which conversation.
    pub conversation: ConversationId,
    /// The number of the event this follows from.
    pub at: Seq,
    /// The member's fields, as written.
    pub value: Bytes,
}

/// Why a projection was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// What is stored is not what was written. The log still has it: replay from the founding row and write anew.
    #[error("projection of conversation {} is damaged: {reason}", key.conversation)]
    Corrupt {
        /// The conversation.
        key: ConversationKey,
        /// In which way.
        reason: String,
    },
    /// No room on disk. Nothing was written; try again later.
    #[error("the store is full")]
    Full,
    /// A value is larger than [`RECORD_BYTES_MAX`] or [`OVERLAY_BYTES_MAX`], or what a decision is about than
    /// [`ABOUT_BYTES_MAX`]. Nothing was written.
    #[error("the value is too large")]
    TooLarge,
    /// The store does not answer. Some of the writes may be there; repeat them all.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}

/// Records of conversations and members, and decisions of homes.
pub trait Projections: Send + Sync + 'static {
    /// The conversation's record, or nothing if none was ever written.
    ///
    /// It may lag behind the log by any number of events, never run ahead of what was committed, as long as callers
    /// write only what follows from committed events.
    fn load<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>>;

    /// All present members in a list, in the order of their ids' bytes. Removed ones are left out.
    fn members<'a>(&'a self, list: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>>;

    /// All conversations of which the user is a present member, in the order of their ids' bytes.
    fn conversations_of<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>>;

    /// The overlays of rows `from` to `to`, both included, in the order of their numbers. Whoever reads rows and overlays reads
    /// the rows first, and so never shows a row without what was known of it before. Those of rows that were trimmed go with
    /// them, though not always at the same moment.
    fn overlays<'a>(
        &'a self,
        key: &'a ConversationKey,
        from: Seq,
        to: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>>;

    /// What this user did to each of these rows, in their order; nothing where it was never anything.
    fn reactors<'a>(
        &'a self,
        key: &'a ConversationKey,
        user: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>>;

    /// All decisions of a home that stand, by kind and then in the order of what they are about.
    fn decisions<'a>(&'a self, home: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>>;

    /// These decisions, of any homes, in their order; nothing where nothing was ever decided.
    ///
    /// Sees every decision whose [`write`](Self::write) was answered before the call began.
    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>>;

    /// Nobody reads the members and marks under this name any more, nor ever will: a store for which they are a burden may let
    /// them go. What is read there afterwards may be anything.
    ///
    /// *Repetition:* harmless.
    fn drop_list<'a>(&'a self, list: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>>;

    /// Writes each that is newer than what is stored; the others are ignored, and that is success.
    ///
    /// *Atomicity:* each write on its own, both listings of a member included where the store can (a shared store may
    /// show one listing before the other for a moment). After an error any of them may be there.
    /// *Order:* does not matter, within a call or between calls.
    /// *Durability:* with a [`barrier`](crate::Log::barrier) that began after the answer. After a crash a projection may
    /// be older than before it, and `applied` says by how much.
    /// *Repetition:* harmless.
    fn write<'a>(&'a self, writes: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>>;
}
