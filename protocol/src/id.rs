//! Identities: who and what a frame speaks of. Every constructor checks its input, so a value of one of these types is
//! always within its limits; nothing here reads a clock or a random source.

use std::fmt;
use std::sync::Arc;

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};

use crate::limits::ID_BYTES_MAX;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Ids of users, tenants, devices and clients have at least one byte.
    #[error("an id must not be empty")]
    Empty,
    /// Longer than [`ID_BYTES_MAX`].
    #[error("an id has at most {ID_BYTES_MAX} bytes")]
    TooLong,
    /// Not the text form of a conversation's or message's id.
    #[error("not an id that this server gave out")]
    Malformed,
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the length: 1 to [`ID_BYTES_MAX`] bytes of UTF-8.
            pub fn new(text: &str) -> Result<Self, IdError> {
                match text.len() {
                    0 => Err(IdError::Empty),
                    n if n > ID_BYTES_MAX => Err(IdError::TooLong),
                    _ => Ok(Self(text.into())),
                }
            }

            /// The id as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

opaque_id! {
    /// A user within a tenant: opaque UTF-8 of 1 to 128 bytes, from the token alone.
    UserId
}
opaque_id! {
    /// A tenant: opaque UTF-8 of 1 to 128 bytes, from the issuer's configuration. Begins every stored key.
    TenantId
}

/// A conversation: 128 bits, as 26 lower-case characters of Crockford's base 32 on the wire.
///
/// A direct conversation's id is a hash of what makes it unique (see [`ConversationId::direct`]), so it needs no
/// index; a group's is random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId([u8; 16]);

/// Characters of a conversation id's text form.
pub const CONVERSATION_TEXT_LEN: usize = 26;

/// Crockford's base 32 in lower case, most significant bit first.
pub(crate) fn base32() -> &'static Encoding {
    static ENCODING: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    ENCODING.get_or_init(|| {
        let mut spec = Specification::new();
        spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
        spec.encoding().expect("the alphabet has 32 distinct symbols")
    })
}

impl ConversationId {
    /// From its stored bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its stored bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id of the one direct conversation of two users in a context: the first 128 bits of SHA-256 over tenant,
    /// kind, context and the sorted pair, each with its length before it.
    pub fn direct(tenant: &TenantId, kind: &str, context: &str, a: &UserId, b: &UserId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self::hash([tenant.as_str(), kind, context, low.as_str(), high.as_str()])
    }

    /// The name of a user's home among conversations: the same over an empty part, the word and the user. No conversation's
    /// hash begins with an empty part, for a tenant never is one.
    fn home(tenant: &TenantId, user: &UserId) -> Self {
        Self::hash(["", "home", tenant.as_str(), user.as_str()])
    }

    /// Under which it is kept when processes of this group began that knew users of this tenant. Meets no conversation's for the
    /// same reason.
    fn beginnings(tenant: &TenantId, group: u64) -> Self {
        // The first group has the name that all processes had.
        let group = if group == 0 { String::new() } else { group.to_string() };
        Self::hash(["", "beginnings", tenant.as_str(), &group])
    }

    /// Under which members of a conversation are listed since an event. Meets no conversation's for the same reason.
    fn listing(key: &ConversationKey, since: u64) -> Self {
        Self::hash(["", "listing", key.tenant.as_str(), key.conversation.text().as_str(), &since.to_string()])
    }

    fn hash<const PARTS: usize>(parts: [&str; PARTS]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// Reads the text form; only the canonical spelling is taken, so that one conversation has one name.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.len() != CONVERSATION_TEXT_LEN {
            return Err(IdError::Malformed);
        }
        let mut bytes = [0; 16];
        match base32().decode_mut(text.as_bytes(), &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(IdError::Malformed),
        }
    }

    /// The text form, without an allocation.
    pub fn text(&self) -> ConversationText {
        let mut text = [0; CONVERSATION_TEXT_LEN];
        base32().encode_mut(&self.0, &mut text);
        ConversationText(text)
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// The text form of a [`ConversationId`], on the stack.
#[derive(Clone, Copy)]
pub struct ConversationText([u8; CONVERSATION_TEXT_LEN]);

impl ConversationText {
    /// The 26 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the alphabet is ASCII")
    }
}

/// A message's id: its conversation and number, as `<conversation>.<number>` on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageId {
    /// Where it lies.
    pub conversation: ConversationId,
    /// Its number there.
    pub seq: u64,
}

impl MessageId {
    /// Reads the text form; leading zeros and signs are refused.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let (conversation, seq) = text.split_once('.').ok_or(IdError::Malformed)?;
        let canonical = !seq.starts_with(['0', '+']);
        let seq = seq.parse().map_err(|_| IdError::Malformed)?;
        if !canonical || seq > crate::limits::INTEGER_MAX {
            return Err(IdError::Malformed);
        }
        Ok(Self { conversation: ConversationId::parse(conversation)?, seq })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.conversation.text().as_str(), self.seq)
    }
}

/// A conversation's full name: every stored key begins with the tenant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConversationKey {
    /// Whose data it is.
    pub tenant: TenantId,
    /// Which conversation.
    pub conversation: ConversationId,
}

impl ConversationKey {
    /// The key of a user's home. It lies in [`Shard::of_user`](crate::shard::Shard::of_user) and meets no conversation's.
    pub fn home(tenant: &TenantId, user: &UserId) -> Self {
        Self { tenant: tenant.clone(), conversation: ConversationId::home(tenant, user) }
    }

    /// The key under which it is kept when processes of this group began that knew users of this tenant. It meets no conversation's.
    pub fn beginnings(tenant: &TenantId, group: u64) -> Self {
        Self { tenant: tenant.clone(), conversation: ConversationId::beginnings(tenant, group) }
    }

    /// The key under which the members of this conversation are listed that began anew with this event: its own for the first
    /// list, else one that meets no conversation's.
    pub fn listing(&self, since: u64) -> Self {
        if since == 0 {
            return self.clone();
        }
        Self { tenant: self.tenant.clone(), conversation: ConversationId::listing(self, since) }
    }
}

impl std::hash::Hash for ConversationKey {
    /// The id alone: it is a hash or random already, and equality still looks at the tenant.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write(&self.conversation.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserId {
        UserId::new(text).expect("a valid id")
    }

    #[test]
    fn opaque_ids_have_a_length() {
        assert_eq!(UserId::new(""), Err(IdError::Empty));
        assert_eq!(UserId::new(&"x".repeat(129)), Err(IdError::TooLong));
        assert_eq!(user(&"x".repeat(128)).as_str().len(), 128);
    }

    #[test]
    fn a_direct_conversation_has_one_id_for_both() {
        let tenant = TenantId::new("t").expect("a valid id");
        let ab = ConversationId::direct(&tenant, "direct", "", &user("a"), &user("b"));
        assert_eq!(ab, ConversationId::direct(&tenant, "direct", "", &user("b"), &user("a")));
        assert_ne!(ab, ConversationId::direct(&tenant, "direct", "x", &user("a"), &user("b")));
        assert_ne!(ab, ConversationId::direct(&tenant, "direct", "", &user("ab"), &user("b")));
    }

    #[test]
    fn a_home_has_a_name_of_its_own() {
        let (tenant, other) = (TenantId::new("t").expect("a valid id"), TenantId::new("u").expect("a valid id"));
        let home = ConversationKey::home(&tenant, &user("a"));
        assert_eq!(home, ConversationKey::home(&tenant, &user("a")));
        assert_ne!(home.conversation, ConversationKey::home(&tenant, &user("b")).conversation);
        assert_ne!(home.conversation, ConversationKey::home(&other, &user("a")).conversation);
        let direct = ConversationId::direct(&tenant, "home", "", &user("a"), &user("a"));
        assert_ne!(home.conversation, direct);
    }

    #[test]
    fn beginnings_have_a_name_for_each_group_and_the_first_one_the_name_of_before() {
        let tenant = TenantId::new("t").expect("a valid id");
        let names = [0, 1, 10].map(|group| ConversationKey::beginnings(&tenant, group).conversation);
        assert_eq!(names[0].as_bytes()[..4], [0x52, 0x7a, 0x2a, 0xc2]);
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
    }

    #[test]
    fn text_forms_are_canonical() {
        let id = ConversationId::from_bytes([0xfe; 16]);
        let text = id.to_string();
        assert_eq!(ConversationId::parse(&text), Ok(id));
        assert_eq!(ConversationId::parse(&text.to_uppercase()), Err(IdError::Malformed));
        let mut last_bits_set = text.clone();
        last_bits_set.pop();
        last_bits_set.push('z');
        assert_eq!(ConversationId::parse(&last_bits_set), Err(IdError::Malformed));

        let message = MessageId { conversation: id, seq: 42 };
        assert_eq!(MessageId::parse(&message.to_string()), Ok(message));
        for bad in [".1", "x", &format!("{text}.01"), &format!("{text}.+1"), &format!("{text}.-1"), &format!("{text}.")]
        {
            assert_eq!(MessageId::parse(bad), Err(IdError::Malformed), "{bad}");
        }
    }
}
