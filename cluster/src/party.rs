//! Who says something, and to whom: edges, the sessions that they hold, and users' homes.

use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::shard::Shard;

/// One edge worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EdgeId(pub u16);

/// Whom an answer goes to, and what they are by their token. The router gives it back as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// The edge that holds the session.
    pub edge: EdgeId,
    /// The session, in the edge's own numbering; never used twice.
    pub session: u64,
    /// The client's id of the request; 0 if no client asked.
    pub request: u64,
    /// The edge's own note on it.
    pub ticket: u64,
    /// What the session's token said when it asked.
    pub roles: Roles,
}

impl Asker {
    /// The edge itself, for none of its sessions. Nobody waits for an answer.
    pub const fn edge(edge: EdgeId) -> Self {
        Self { edge, session: u64::MAX, request: 0, ticket: 0, roles: Roles::NONE }
    }
}

/// A user's home. Its shard follows from tenant and user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// Its name among conversations, see [`ConversationKey::home`].
    pub key: ConversationKey,
    /// Whose it is.
    pub user: UserId,
}

impl Home {
    /// Where it lies.
    pub fn shard(&self) -> Shard {
        Shard::of_user(&self.key.tenant, &self.user)
    }
}
