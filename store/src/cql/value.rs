//! What is stored of a projection or a mark: one blob, for conflicts are settled by cell.
//!
//! ```text
//! version 1 (1) | written (8) | CRC-32C (4) | number (8) | present (1) | bytes
//! ```
//!
//! `written` is the writer's clock in microseconds, counted downwards. Of two writes with the same number and so with the same
//! timestamp a store keeps the one whose bytes are higher: that is the one which was written first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Seq;

const VERSION: u8 = 1;

/// Bytes before the checksum, and before what was written.
const WRITTEN_BYTES: usize = 9;
const HEADER_BYTES: usize = 22;

/// What was stored.
pub(super) struct Value {
    pub(super) at: Seq,
    /// Nothing if it was taken away.
    pub(super) bytes: Option<Bytes>,
}

/// Clocks of this process's writes: no two are the same, and none goes back.
#[derive(Default)]
pub(super) struct Written(AtomicU64);

impl Written {
    fn now(&self) -> u64 {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(clock.max(last + 1)));
        before.map_or(clock, |last| clock.max(last + 1))
    }

    /// The form of a value of this key, written now.
    pub(super) fn encode(&self, key: impl AsRef<[u8]>, at: Seq, bytes: Option<&Bytes>) -> Bytes {
        let mut value = BytesMut::with_capacity(HEADER_BYTES + bytes.map_or(0, Bytes::len));
        value.put_u8(VERSION);
        value.put_u64(u64::MAX - self.now());
        value.put_u32_le(0);
        value.put_u64_le(at);
        value.put_u8(u8::from(bytes.is_some()));
        value.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
        let sum = checksum(key.as_ref(), &value[..WRITTEN_BYTES], &value[WRITTEN_BYTES + 4..]);
        value[WRITTEN_BYTES..WRITTEN_BYTES + 4].copy_from_slice(&sum.to_le_bytes());
        value.freeze()
    }
}

/// Reads a value of this key, or says what is wrong with it.
pub(super) fn decode(key: impl AsRef<[u8]>, mut value: Bytes) -> Result<Value, &'static str> {
    if value.len() < HEADER_BYTES {
        return Err("cut short");
    }
    let head = value.split_to(WRITTEN_BYTES);
    let sum = value.get_u32_le();
    if checksum(key.as_ref(), &head, &value) != sum || head.first() != Some(&VERSION) {
        return Err("checksum mismatch");
    }
    let at = value.get_u64_le();
    let present = value.get_u8() != 0;
    Ok(Value { at, bytes: present.then_some(value) })
}

fn checksum(key: &[u8], head: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), head), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"a key";

    #[test]
    fn values_come_back_and_damage_is_found() {
        let written = Written::default();
        for bytes in [None, Some(Bytes::new()), Some(Bytes::from_static(b"abc"))] {
            let stored = written.encode(KEY, 7, bytes.as_ref());
            let value = decode(KEY, stored.clone()).expect("it is intact");
            assert_eq!((value.at, value.bytes), (7, bytes));
            assert!(decode(b"another", stored.clone()).is_err(), "of another key");
            for bit in 0..stored.len() * 8 {
                let mut flipped = stored.to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(KEY, flipped.into()).is_err(), "bit {bit}");
            }
            for len in 0..stored.len() {
                assert!(decode(KEY, stored.slice(..len)).is_err(), "cut to {len}");
            }
        }
    }

    #[test]
    fn what_was_written_first_is_higher() {
        let written = Written::default();
        let values: Vec<_> = (0..1_000u32)
            .map(|number| written.encode(KEY, 7, Some(&Bytes::copy_from_slice(&number.to_be_bytes()))))
            .collect();
        assert!(values.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
