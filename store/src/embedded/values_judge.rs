//! What must be true of the decoders of small values, whatever they are fed; for tests and fuzz targets.

use bytes::Bytes;
use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

use super::{number, router_row, value};

/// Under which the judged values are stored.
const KEY: &[u8] = b"a key";

/// Which decoder an input is for, by its first byte.
const KINDS: u8 = 3;

fn router(nonce: u64, address: &str) -> RouterRow {
    RouterRow { incarnation: incarnation(), state: RouterState::Fenced, address: address.to_owned(), nonce }
}

fn incarnation() -> Incarnation {
    Incarnation::new(7).expect("there is such a number")
}

/// Values without their checksums, each behind a byte that says what it is.
pub(crate) fn values() -> Vec<Vec<u8>> {
    let number = number::encode(KEY, 300);
    let projections = [None, Some(Bytes::from_static(b"what follows"))];
    let projections = projections.map(|bytes| [&[0], &value::encode(KEY, 12, bytes.as_ref())[5..]].concat());
    let router = router_row::encode(KEY, &router(1 << 40, "10.0.0.1:7400"));
    let others = [[&[1], &number[..8]].concat(), [&[2], &router[..router.len() - 4]].concat()];
    projections.into_iter().chain(others).collect()
}

/// A value behind a right checksum: what is read is written and read again unchanged. Without it nothing is ever read.
pub(crate) fn value(input: &[u8]) -> bool {
    let Some((kind, payload)) = input.split_first() else { return false };
    match kind % KINDS {
        0 => projection(payload),
        1 => stored_number(payload),
        _ => router_of(payload),
    }
}

fn projection(payload: &[u8]) -> bool {
    const VERSION: u8 = 1;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[KEY, &[VERSION]].concat()), payload);
    let blob = |sum: u32| Bytes::from([&[VERSION], &sum.to_le_bytes()[..], payload].concat());
    assert!(value::decode(KEY, blob(sum ^ 1)).is_err());
    assert!(value::decode(b"another", blob(sum)).is_err());
    let Ok(read) = value::decode(KEY, blob(sum)) else {
        assert!(payload.len() < 9, "only what is cut short is refused");
        return false;
    };
    let again = value::decode(KEY, value::encode(KEY, read.at, read.bytes.as_ref())).expect("it was just made");
    assert_eq!((again.at, again.bytes), (read.at, read.bytes));
    true
}

fn stored_number(payload: &[u8]) -> bool {
    let sum = crc32c::crc32c_append(crc32c::crc32c(KEY), payload);
    let blob = |sum: u32| [payload, &sum.to_le_bytes()].concat();
    assert_eq!(number::decode(KEY, &blob(sum ^ 1)), None);
    let Some(read) = number::decode(KEY, &blob(sum)) else { return false };
    assert_eq!(number::encode(KEY, read), blob(sum));
    true
}

fn router_of(payload: &[u8]) -> bool {
    let sum = crc32c::crc32c_append(crc32c::crc32c(KEY), payload);
    let blob = |sum: u32| [payload, &sum.to_le_bytes()].concat();
    assert_eq!(router_row::decode(incarnation(), KEY, &blob(sum ^ 1)), None);
    let Some(read) = router_row::decode(incarnation(), KEY, &blob(sum)) else { return false };
    assert_eq!(router_row::encode(KEY, &read), blob(sum));
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
