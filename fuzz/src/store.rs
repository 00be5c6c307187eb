//! What lies on a disk below the bodies: the form of a row, and the engine's journal. Its reader is private to the store, so
//! its files are taken in by path.

#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/journal.rs"]
mod reader;
#[allow(dead_code, reason = "the store uses what is not used here")]
#[path = "../../store/src/embedded/witness.rs"]
mod witness;

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_store::{Damage, Row, RowRef};
use xxhash_rust::xxh3::xxh3_64;

/// The form that rows have.
const ROW_VERSION: u8 = 1;

/// Bytes of a row before its payload: the version and the checksum.
const ROW_HEADER_BYTES: usize = 5;

/// What means something in a row and in a journal.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff",
    b"\x0b\x0b\x0c",
    b"\x2a\x00",
    b"\xff\xff\xff\xff\x0f",
    b"\0witness",
    b"FJL\x03",
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

/// Journals of one and two batches, as the documentation of the form has them.
pub(crate) fn journals() -> Vec<Vec<u8>> {
    let item = |key: &[u8], value: &[u8]| {
        let (key_len, len) = ((key.len() as u16).to_le_bytes(), (value.len() as u32).to_le_bytes());
        [&[2, 0, 0][..], &1_u64.to_le_bytes(), &key_len, &len, &len, key, value].concat()
    };
    let batch = |number| {
        let witness = witness::Witness { number, synced: 0, engine_number: 7 };
        let items = [item(witness::KEY, &witness.encode()), item(b"key", b"value of a row")].concat();
        let sum = xxh3_64(&items).to_le_bytes();
        [&[1][..], &2_u32.to_le_bytes(), &7_u64.to_le_bytes(), &items, &[3], &sum, &reader::TRAILER].concat()
    };
    vec![batch(4), [batch(4), batch(5)].concat(), [&batch(4)[..], &[0; 64]].concat()]
}

/// A journal: it is read to its end or to a fault, and never past either.
pub(crate) fn journal(input: &[u8]) -> bool {
    let mut reader = reader::Reader::new(input);
    loop {
        let before = reader.pos();
        match reader.batch() {
            Ok(Some(_)) => assert!(before < reader.pos() && reader.pos() <= input.len() as u64),
            Ok(None) => {
                assert_eq!(reader.pos(), input.len() as u64);
                return true;
            }
            Err(_) => {
                assert!(reader.pos() <= input.len() as u64);
                return false;
            }
        }
    }
}
