//! Rows of the simulated conversations, in the form in which the store keeps all rows, and the names of the conversations.
//! Messages are numbered from 1 on; the first one is row 0 of its log.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::RowRef;

/// What a row says of its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Body {
    /// The text is gone, the message remains.
    Erased,
    /// The text.
    Text,
}

const TEXT: &[u8] = b"a text";

/// A row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// Who wrote it first.
    pub(crate) epoch: u64,
    /// The first row of its batch.
    pub(crate) first: u64,
    pub(crate) message: u32,
    pub(crate) body: Body,
}

impl Row {
    pub(crate) fn new(epoch: u64, first: u64, message: u32) -> Self {
        Self { epoch, first, message, body: Body::Text }
    }

    /// One of which the message alone is known, and no text is held.
    pub(crate) fn known(message: u32) -> Self {
        Self { epoch: 0, first: 0, message, body: Body::Erased }
    }

    /// As it is stored at this place.
    pub(crate) fn encode(&self, key: &ConversationKey, seq: u64) -> Bytes {
        let body = if self.body == Body::Text { TEXT } else { &[] };
        let (ordinal, kind, time_ms) = (u64::from(self.message), 1, 0);
        let row =
            RowRef { epoch: self.epoch, first: self.first, ordinal, kind, sender: "", client_id: "", time_ms, body };
        row.encode(key, seq)
    }

    /// A row that was stored there.
    pub(crate) fn decode(key: &ConversationKey, seq: u64, blob: &Bytes) -> Self {
        let row = switchyard_store::Row::decode(key, seq, blob).expect("nothing is damaged here");
        let body = if row.body == TEXT { Body::Text } else { Body::Erased };
        let message = row.ordinal.try_into().expect("there are few");
        Self { epoch: row.epoch, first: row.first, message, body }
    }
}

/// The key of a conversation.
pub(crate) fn key_of(conversation: usize) -> ConversationKey {
    let conversation = ConversationId::from_bytes([conversation as u8; 16]);
    ConversationKey { tenant: TenantId::new("t").expect("a short name"), conversation }
}

/// The conversation of a key.
pub(crate) fn conversation_of(key: &ConversationKey) -> usize {
    key.conversation.as_bytes()[0].into()
}
