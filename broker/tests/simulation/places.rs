//! The names of the simulated users and their conversations.

use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

/// The name of this user.
pub(crate) fn user(number: usize) -> UserId {
    UserId::new(["ana", "ben", "cleo", "dan"][number]).unwrap()
}

/// The group that has a long past when a run begins, if the run has one.
pub(crate) fn old_key() -> ConversationKey {
    key(&ConversationId::from_bytes([7; 16]).to_string())
}

/// The full name of the conversation with this id.
pub(crate) fn key(name: &str) -> ConversationKey {
    let tenant = TenantId::new(switchyard_edge::auth::DEV_TENANT).unwrap();
    ConversationKey { tenant, conversation: ConversationId::parse(name).unwrap() }
}
