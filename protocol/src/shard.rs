//! Placement: which shard a conversation or a user's home lies in. Fixed for ever, for stored data depends on it.

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{ConversationKey, TenantId, UserId};
use crate::limits::ID_BYTES_MAX;

/// Number of shards. Never changes.
pub const SHARDS: u16 = 4_096;

/// One of the [`SHARDS`] parts into which all conversations are hashed; owned by one router at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Shard(u16);

impl Shard {
    /// The shard with this number, or `None` from [`SHARDS`] on.
    pub fn new(number: u16) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// Its number, below [`SHARDS`].
    pub fn number(self) -> u16 {
        self.0
    }

    /// Where a conversation lies: XXH3-64 (seed 0) over the tenant with its length as eight big-endian bytes before
    /// it, then the id likewise, modulo [`SHARDS`].
    pub fn of_conversation(key: &ConversationKey) -> Self {
        Self::hash(&key.tenant, key.conversation.as_bytes())
    }

    /// Where a user's home lies, by the same rule over the user's id.
    pub fn of_user(tenant: &TenantId, user: &UserId) -> Self {
        Self::hash(tenant, user.as_str().as_bytes())
    }

    fn hash(tenant: &TenantId, id: &[u8]) -> Self {
        // One pass over one stack buffer: the streaming form sets up half a kilobyte of state for each call.
        let mut input = [0; 2 * (8 + ID_BYTES_MAX)];
        let mut len = 0;
        for part in [tenant.as_str().as_bytes(), id] {
            for bytes in [&(part.len() as u64).to_be_bytes(), part] {
                input[len..len + bytes.len()].copy_from_slice(bytes);
                len += bytes.len();
            }
        }
        Self((xxh3_64(&input[..len]) % u64::from(SHARDS)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConversationId;

    /// Pinned values: a change here would lose every stored conversation.
    #[test]
    fn the_hash_is_fixed_for_ever() {
        let tenant = TenantId::new("acme").expect("a valid id");
        let key =
            |byte| ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes([byte; 16]) };
        let shards: Vec<u16> = [0, 1, 255].map(|byte| Shard::of_conversation(&key(byte)).number()).to_vec();
        let home = Shard::of_user(&tenant, &UserId::new("alice").expect("a valid id")).number();
        assert_eq!((shards, home), (vec![225, 1195, 2874], 2162));
    }

    #[test]
    fn lengths_part_the_fields() {
        let pair = |tenant: &str, user: &str| {
            Shard::of_user(&TenantId::new(tenant).expect("valid"), &UserId::new(user).expect("valid"))
        };
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
    }
}
