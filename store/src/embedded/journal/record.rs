//! A record of the journal: what is stored in one step, behind a header by which the journal is judged after a crash. Pure:
//! bytes in, values out.
//!
//! ```text
//! record   previous (8) | synced (8) | applied (8) | segments (4) | payload length (4) | entry …
//! entry    1 | key length (1) | conversation's key | first number (8) | rows (4) | { length (4) | row } …
//!          2 | tree (1) | key length (2) | key | value length (4) | value
//! ```
//! All numbers are little-endian.

use bytes::{Buf, Bytes};

use super::sector::Sectors;

/// Bytes before the entries.
pub(crate) const HEADER_BYTES: usize = 32;

/// Bytes of all entries of a record: a batch of the largest size with all that is put around its rows, or both listings of
/// a member of the largest size.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 320 * 1024;

const ROWS: u8 = 1;
const VALUE: u8 = 2;

/// What a record says of the journal. Each of these was true when it was written, whatever became of the record itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// The number of the record before this one. Numbers grow and may skip.
    pub(crate) previous: u64,
    /// Everything up to this number had been synced.
    pub(crate) synced: u64,
    /// Everything up to this number lay in the engine's sorted files, synced.
    pub(crate) applied: u64,
    /// So many segments were there, synced with their names.
    pub(crate) segments: u32,
}

impl Header {
    /// The header's bytes, for a record with a payload of this length.
    pub(crate) fn encode(&self, payload: usize) -> [u8; HEADER_BYTES] {
        let payload = u32::try_from(payload).expect("a payload has a limit");
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.previous.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.synced.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.applied.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.segments.to_le_bytes());
        bytes[28..].copy_from_slice(&payload.to_le_bytes());
        bytes
    }

    /// The header at the beginning of a record, and the length of its payload.
    pub(crate) fn decode(mut record: &[u8]) -> Option<(Self, usize)> {
        let header = Self {
            previous: record.try_get_u64_le().ok()?,
            synced: record.try_get_u64_le().ok()?,
            applied: record.try_get_u64_le().ok()?,
            segments: record.try_get_u32_le().ok()?,
        };
        let payload = usize::try_from(record.try_get_u32_le().ok()?).ok()?;
        (payload <= PAYLOAD_BYTES_MAX).then_some((header, payload))
    }
}

/// Consecutive rows of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows<K> {
    /// The conversation's key, in bytes.
    pub(crate) conversation: K,
    /// The number of the first row.
    pub(crate) first: u64,
    /// The rows.
    pub(crate) rows: Vec<Bytes>,
}

/// One thing that a record stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Rows of a conversation.
    Rows(Rows<Bytes>),
    /// A value of one of the small trees.
    Value {
        /// The tree's number.
        tree: u8,
        /// Its key.
        key: Bytes,
        /// What is there from now on.
        value: Bytes,
    },
}

/// Bytes that an entry with these rows takes.
pub(crate) fn rows_len(conversation: &[u8], rows: &[Bytes]) -> usize {
    2 + conversation.len() + 12 + rows.iter().map(|row| 4 + row.len()).sum::<usize>()
}

/// Adds rows to a record.
pub(crate) fn put_rows(record: &mut Sectors, conversation: &[u8], first: u64, rows: &[Bytes]) {
    let key_len = u8::try_from(conversation.len()).expect("a conversation's key is short");
    record.put(&[ROWS, key_len]);
    record.put(conversation);
    record.put(&first.to_le_bytes());
    record.put(&length(rows.len()));
    for row in rows {
        record.put(&length(row.len()));
        record.put(row);
    }
}

/// Bytes that an entry with this value takes.
pub(crate) fn value_len(key: &[u8], value: &[u8]) -> usize {
    4 + key.len() + 4 + value.len()
}

/// Adds a value of a small tree to a record.
pub(crate) fn put_value(record: &mut Sectors, tree: u8, key: &[u8], value: &[u8]) {
    let key_len = u16::try_from(key.len()).expect("keys are short");
    record.put(&[VALUE, tree]);
    record.put(&key_len.to_le_bytes());
    record.put(key);
    record.put(&length(value.len()));
    record.put(value);
}

fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a payload has a limit").to_le_bytes()
}

/// The entries of a payload, or nothing if it is not made of entries. Rows are slices of it, not copies.
pub(crate) fn entries(mut payload: Bytes) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    while payload.has_remaining() {
        found.push(match payload.get_u8() {
            ROWS => {
                let key_len = payload.try_get_u8().ok()?;
                let conversation = take(&mut payload, key_len.into())?;
                let first = payload.try_get_u64_le().ok()?;
                let count = payload.try_get_u32_le().ok()?;
                first.checked_add(u64::from(count))?;
                let rows = (0..count).map(|_| sized(&mut payload)).collect::<Option<_>>()?;
                Entry::Rows(Rows { conversation, first, rows })
            }
            VALUE => {
                let tree = payload.try_get_u8().ok()?;
                let key_len = payload.try_get_u16_le().ok()?;
                let key = take(&mut payload, key_len.into())?;
                Entry::Value { tree, key, value: sized(&mut payload)? }
            }
            _ => return None,
        });
    }
    Some(found)
}

fn sized(payload: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(payload.try_get_u32_le().ok()?).ok()?;
    take(payload, len)
}

fn take(payload: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= payload.len()).then(|| payload.split_to(len))
}
