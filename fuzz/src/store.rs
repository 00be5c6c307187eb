//! What lies on a disk below the bodies: the form of a row, and the engine's pages. Their decoder is private to the store, so
//! its file is taken in by path, with the judge of the store's tests.

#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/sorting/page.rs"]
mod page;
#[path = "../../store/src/embedded/sorting/page_judge.rs"]
pub(crate) mod page_judge;

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::{Damage, Row, RowRef};

/// The form that rows have.
const ROW_VERSION: u8 = 1;

/// Bytes of a row before its payload: the version and the checksum.
const ROW_HEADER_BYTES: usize = 5;

/// What means something in a row, a journal and a page.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff",
    b"\x0b\x0b\x0c",
    b"\x2a\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\x01\0\0\0\0\0\0\0",
    b"\x05\0\0\0",
    b"\x01\x0cconversation",
];

fn key() -> ConversationKey {
    ConversationKey {
        tenant: TenantId::new("t").expect("a valid id"),
        conversation: ConversationId::from_bytes([7; 16]),
    }
}

fn sample_row() -> RowRef<'static> {
    RowRef {
        epoch: 1,
        first: 2,
        ordinal: 300,
        kind: 16,
        sender: "ann",
        client_id: "gr\u{f6}\u{df}e",
        time_ms: 1_700_000_000_000,
        body: b"hi",
    }
}

/// Payloads of rows.
pub(crate) fn rows() -> Vec<Vec<u8>> {
    vec![sample_row().encode(&key(), 9)[ROW_HEADER_BYTES..].to_vec()]
}

/// A row's payload behind a right checksum: what was read is written and read again unchanged. Without the right checksum
/// it is never read.
pub(crate) fn row(payload: &[u8]) -> bool {
    let (key, seq) = (key(), 9_u64);
    // As the documentation of the form has it: the tenant with its length, the conversation, the number, the version.
    let place = [b"\x01t", &key.conversation.as_bytes()[..], &seq.to_be_bytes(), &[ROW_VERSION]].concat();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&place), payload);
    let blob = |sum: u32| Bytes::from([&[ROW_VERSION][..], &sum.to_le_bytes(), payload].concat());
    assert_eq!(Row::decode(&key, seq, &blob(sum ^ 1)), Err(Damage::Checksum));
    match Row::decode(&key, seq, &blob(sum)) {
        Ok(row) => {
            let again = row.as_ref().encode(&key, seq);
            assert_eq!(Row::decode(&key, seq, &again), Ok(row));
            true
        }
        Err(damage) => {
            assert_eq!(damage, Damage::Payload);
            false
        }
    }
}
