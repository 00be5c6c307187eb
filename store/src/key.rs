//! How keys are spelled in bytes: for the checksum of a row and for stores that sort by bytes. On the stack, because one
//! is made for every message.
//!
//! ```text
//! conversation  = tenant length (1 byte) | tenant | conversation id (16)
//! row           = conversation | number (8, big-endian)
//! member        = conversation | user (the rest)
//! user          = tenant length (1) | tenant | user length (1) | user | conversation id (16)
//! mark          = conversation | kind (1) | user (the rest)
//! overlay       = conversation | 0 (1) | target's number (8, big-endian)
//! reactor       = conversation | 1 (1) | target's number (8, big-endian) | user (the rest)
//! decision      = home, as a conversation | kind (1) | about (the rest)
//! ```

use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::limits::ID_BYTES_MAX;

use crate::log::Seq;

/// The longest key: that of a reactor.
const KEY_BYTES_MAX: usize = 1 + ID_BYTES_MAX + 16 + 1 + 8 + ID_BYTES_MAX;

/// What stands before the number in the key of an overlay, and of a reactor.
const OVERLAY: u8 = 0;
const REACTOR: u8 = 1;

/// A key of any of these forms.
#[derive(Clone, Copy)]
pub(crate) struct KeyBuf {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl KeyBuf {
    fn tenant(tenant: &TenantId) -> Self {
        let mut key = Self { bytes: [0; KEY_BYTES_MAX], len: 0 };
        key.push_sized(tenant.as_str().as_bytes());
        key
    }

    pub(crate) fn conversation(key: &ConversationKey) -> Self {
        let mut buf = Self::tenant(&key.tenant);
        buf.push(key.conversation.as_bytes());
        buf
    }

    /// The key of a row, from that of its conversation.
    pub(crate) fn with_seq(mut self, seq: Seq) -> Self {
        self.push(&seq.to_be_bytes());
        self
    }

    pub(crate) fn member(key: &ConversationKey, user: &UserId) -> Self {
        let mut buf = Self::conversation(key);
        buf.push(user.as_str().as_bytes());
        buf
    }

    pub(crate) fn user(tenant: &TenantId, user: &UserId) -> Self {
        let mut buf = Self::tenant(tenant);
        buf.push_sized(user.as_str().as_bytes());
        buf
    }

    pub(crate) fn user_conversation(key: &ConversationKey, user: &UserId) -> Self {
        let mut buf = Self::user(&key.tenant, user);
        buf.push(key.conversation.as_bytes());
        buf
    }

    pub(crate) fn mark(key: &ConversationKey, kind: u8, user: &UserId) -> Self {
        let mut buf = Self::conversation(key);
        buf.push(&[kind]);
        buf.push(user.as_str().as_bytes());
        buf
    }

    pub(crate) fn overlay(key: &ConversationKey, target: Seq) -> Self {
        let mut buf = Self::conversation(key);
        buf.push(&[OVERLAY]);
        buf.with_seq(target)
    }

    pub(crate) fn reactor(key: &ConversationKey, target: Seq, user: &UserId) -> Self {
        let mut buf = Self::conversation(key);
        buf.push(&[REACTOR]);
        let mut buf = buf.with_seq(target);
        buf.push(user.as_str().as_bytes());
        buf
    }

    pub(crate) fn decision(home: &ConversationKey, kind: u8, about: &[u8]) -> Self {
        let mut buf = Self::conversation(home);
        buf.push(&[kind]);
        buf.push(about);
        buf
    }

    /// From the key of a conversation as bytes, the two ranges of overlays and reactors of rows below a number: where each
    /// begins, and what lies behind it.
    pub(crate) fn annotations_below(conversation: &[u8], below: Seq) -> [[Vec<u8>; 2]; 2] {
        [OVERLAY, REACTOR].map(|kind| {
            let from = [conversation, &[kind]].concat();
            let end = [&from[..], &below.to_be_bytes()].concat();
            [from, end]
        })
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    fn push_sized(&mut self, part: &[u8]) {
        let len = u8::try_from(part.len()).expect("ids have at most 128 bytes");
        self.push(&[len]);
        self.push(part);
    }
}

impl AsRef<[u8]> for KeyBuf {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Splits a conversation's key from what follows it. Nothing if the bytes are not such a key.
pub(crate) fn split_conversation(bytes: &[u8]) -> Option<(ConversationKey, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (tenant, rest) = rest.split_at_checked(usize::from(*len))?;
    let (conversation, rest) = rest.split_first_chunk::<16>()?;
    let tenant = TenantId::new(std::str::from_utf8(tenant).ok()?).ok()?;
    Some((ConversationKey { tenant, conversation: ConversationId::from_bytes(*conversation) }, rest))
}

/// Splits a row's key.
pub(crate) fn split_row(bytes: &[u8]) -> Option<(ConversationKey, Seq)> {
    let (key, rest) = split_conversation(bytes)?;
    Some((key, Seq::from_be_bytes(rest.try_into().ok()?)))
}
