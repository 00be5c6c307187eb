//! The row of a router as a value of the meta tree.

use bytes::{Buf, Bytes};
use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

/// Nonce, address, and a checksum over both and the key. Its state is not stored: it is that of a dead router.
pub(super) fn encode(key: &[u8], row: &RouterRow) -> Bytes {
    let mut value = [&row.nonce.to_le_bytes()[..], row.address.as_bytes()].concat();
    let sum = crc32c::crc32c_append(crc32c::crc32c(key), &value);
    value.extend(sum.to_le_bytes());
    value.into()
}

/// Reads the row of a router under its key; nothing if it was not written for that.
pub(super) fn decode(incarnation: Incarnation, key: &[u8], value: &[u8]) -> Option<RouterRow> {
    let (mut bytes, sum) = value.split_last_chunk::<4>()?;
    if crc32c::crc32c_append(crc32c::crc32c(key), bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    let nonce = bytes.try_get_u64_le().ok()?;
    let address = std::str::from_utf8(bytes).ok()?.to_owned();
    Some(RouterRow { incarnation, state: RouterState::Fenced, address, nonce })
}
