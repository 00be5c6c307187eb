//! What must be true of the decoder of values, whatever it is fed; for tests and fuzz targets.

use bytes::Bytes;

use super::value::{Written, decode};

/// Under which the judged values are stored.
const KEY: &[u8] = b"a key";

/// Bytes before the checksum, and of that.
const WRITTEN_BYTES: usize = 9;
const SUM_BYTES: usize = 4;

/// Values without their checksums.
pub(crate) fn values() -> Vec<Vec<u8>> {
    let written = Written::default();
    let values = [None, Some(Bytes::from_static(b"what follows"))].map(|bytes| written.encode(KEY, 12, bytes.as_ref()));
    values.map(|value| [&value[..WRITTEN_BYTES], &value[WRITTEN_BYTES + SUM_BYTES..]].concat()).to_vec()
}

/// A value with a right checksum in it: what is read is written and read again unchanged. Without it nothing is ever read.
pub(crate) fn value(input: &[u8]) -> bool {
    let Some((head, rest)) = input.split_at_checked(WRITTEN_BYTES) else { return false };
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(KEY), head), rest);
    let blob = |sum: u32| Bytes::from([head, &sum.to_le_bytes(), rest].concat());
    assert!(decode(KEY, blob(sum ^ 1)).is_err());
    assert!(decode(b"another", blob(sum)).is_err());
    let Ok(read) = decode(KEY, blob(sum)) else { return false };
    let again = decode(KEY, Written::default().encode(KEY, read.at, read.bytes.as_ref())).expect("it was just made");
    assert_eq!((again.at, again.bytes), (read.at, read.bytes));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_altered_values_are_read_or_refused() {
        crate::spoil::a_million(&values(), value);
    }
}
