//! A number under a key of the meta tree, with a checksum over both.

use bytes::Bytes;

/// The value for this key.
pub(super) fn encode(key: &[u8], number: u64) -> Bytes {
    let number = number.to_le_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(key), &number).to_le_bytes();
    Bytes::from([&number[..], &sum[..]].concat())
}

/// The number, if the value was written for this key.
pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<u64> {
    let value: &[u8; 12] = value.try_into().ok()?;
    let (number, sum) = value.split_first_chunk::<8>()?;
    (crc32c::crc32c_append(crc32c::crc32c(key), number).to_le_bytes() == sum).then(|| u64::from_le_bytes(*number))
}
