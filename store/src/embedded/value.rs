//! What is stored of a projection or a mark: its event's number, whether anything is there, and the bytes, with a checksum over
//! key and all.
//!
//! ```text
//! value   version 1 (1) | CRC-32C (4) | number (8) | present (1) | bytes
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Seq;

const VERSION: u8 = 1;

/// Bytes before what was written.
const HEADER_BYTES: usize = 14;

/// A stored value.
pub(super) struct Stored {
    pub(super) at: Seq,
    pub(super) bytes: Option<Bytes>,
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &[VERSION]), rest)
}

/// The form of a value of this key.
pub(super) fn encode(key: &[u8], at: Seq, bytes: Option<&Bytes>) -> Bytes {
    let mut value = BytesMut::with_capacity(HEADER_BYTES + bytes.map_or(0, Bytes::len));
    value.put_u8(VERSION);
    value.put_u32_le(0);
    value.put_u64_le(at);
    value.put_u8(u8::from(bytes.is_some()));
    value.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
    let sum = checksum(key, &value[5..]);
    value[1..5].copy_from_slice(&sum.to_le_bytes());
    value.freeze()
}

/// Reads a value of this key, or says what is wrong with it.
pub(super) fn decode(key: &[u8], mut value: Bytes) -> Result<Stored, &'static str> {
    if value.len() < HEADER_BYTES {
        return Err("cut short");
    }
    let version = value.get_u8();
    let sum = value.get_u32_le();
    if checksum(key, &value) != sum || version != VERSION {
        return Err("checksum mismatch");
    }
    let at = value.get_u64_le();
    let present = value.get_u8() != 0;
    Ok(Stored { at, bytes: present.then_some(value) })
}
