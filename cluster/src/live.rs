//! A numbered event on its way to those who read its conversation, and whom it puts out.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};

/// A numbered event on its way to readers.
#[derive(Clone, Debug)]
pub struct LiveEvent {
    /// Which conversation.
    pub key: ConversationKey,
    /// Its number.
    pub seq: u64,
    /// The encoded `v1::ServerFrame`, shared by every edge and socket.
    pub frame: Bytes,
    /// Users who may read nothing after this event. Empty for all but membership events.
    pub removed: Vec<UserId>,
    /// Nobody may read anything after it: the conversation is gone.
    pub last: bool,
}

impl LiveEvent {
    /// Whether anybody may read nothing after it.
    pub fn puts_out_any(&self) -> bool {
        self.last || !self.removed.is_empty()
    }

    /// Whether this user may read nothing after it.
    pub fn puts_out(&self, user: &UserId) -> bool {
        self.last || self.removed.contains(user)
    }
}
