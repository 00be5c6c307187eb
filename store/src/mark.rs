//! Marks: how far each member of a conversation has come, by number. They do not follow from the log, and only the newest
//! counts. The trait and its contract only; what a kind of mark means is for others to know.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};

use crate::BoxFuture;
use crate::log::Seq;
use crate::projection::ProjectionError;

/// Bytes of what is written beside a mark: a few numbers and times.
pub const MARK_BYTES_MAX: usize = 4 * 1024;

/// One mark, to be written: of two of the same member and kind the one with the higher `at` stays; of two with the same
/// `at` the stored one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// In which conversation.
    pub key: ConversationKey,
    /// Whose.
    pub user: UserId,
    /// Which of the member's marks; the numbers are not the store's.
    pub kind: u8,
    /// How far.
    pub at: Seq,
    /// What else is known of it, opaque.
    pub value: Bytes,
}

/// A mark as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMark {
    /// Whose.
    pub user: UserId,
    /// Which of the member's marks.
    pub kind: u8,
    /// How far.
    pub at: Seq,
    /// As written.
    pub value: Bytes,
}

/// High-water marks of members.
pub trait Marks: Send + Sync + 'static {
    /// The marks of everybody who ever had one in this conversation, by kind and then in the order of their ids' bytes.
    ///
    /// Sees every mark whose [`raise`](Self::raise) was answered before the call began.
    fn marks<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>>;

    /// Writes each that is higher than what is stored; the others are ignored, and that is success.
    ///
    /// *Atomicity:* each mark on its own. After an error any of them may be there.
    /// *Order:* does not matter, within a call or between calls, but for a record: a mark whose writing was answered before
    /// a [`record`](crate::ProjectionWrite::Conversation) was given is, after a crash, never gone where that record is there.
    /// *Durability:* with a [`barrier`](crate::Log::barrier) that began after the answer. After a crash a mark may be
    /// lower than before it.
    /// *Repetition:* harmless.
    fn raise<'a>(&'a self, marks: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>>;

    /// All marks of a conversation go, for good: whoever had one never has one of that kind there again.
    ///
    /// *Durability:* with a [`barrier`](crate::Log::barrier) that began after the answer. After an error or a crash before it any
    /// of them may be there.
    /// *Repetition:* harmless.
    fn forget<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>>;
}
