//! The names of the simulated users and their conversations.

use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

const USERS: [&str; 5] = ["ana", "ben", "cleo", "dan", "orders"];

/// The number of the one that is no person but another service, if it is there.
pub(crate) const SERVICE: usize = 4;

/// The name of this user.
pub(crate) fn user(number: usize) -> UserId {
    UserId::new(USERS[number]).unwrap()
}

/// The group that has a long past when a run begins, if the run has one.
pub(crate) fn old_key() -> ConversationKey {
    key(&ConversationId::from_bytes([7; 16]).to_string())
}

/// Whether this is the name of a user's home, and of no conversation.
pub(crate) fn is_home(key: &ConversationKey) -> bool {
    USERS.iter().any(|name| ConversationKey::home(&key.tenant, &UserId::new(name).unwrap()) == *key)
}

/// Whether this is no person but another service.
pub(crate) fn is_service(user: &UserId) -> bool {
    user.as_str() == USERS[SERVICE]
}

/// The full name of the conversation with this id.
pub(crate) fn key(name: &str) -> ConversationKey {
    ConversationKey { tenant: tenant(), conversation: ConversationId::parse(name).unwrap() }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new(switchyard_edge::auth::DEV_TENANT).unwrap()
}
