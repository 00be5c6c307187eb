//! The witness: a small row that begins every write batch, so that the engine's journal can be judged by its contents
//! after a crash. Pure: bytes in, values out.
//!
//! It numbers the write batches without a hole and says which of them were synced before this one was written. A later
//! batch thereby proves that an earlier one was on disk, which is what tells damage from a torn tail.
//!
//! ```text
//! key    0, "witness"        no tenant has length 0, so it lies before every row
//! value  number (8) | synced (8) | engine number (8) | CRC-32C of the 24 bytes (4), little-endian
//! ```

/// The key, the same in every batch.
pub(super) const KEY: &[u8] = b"\0witness";

/// Bytes of the value.
pub(super) const VALUE_BYTES: usize = 28;

/// What the row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Witness {
    /// This write batch's number, from 1, without a hole.
    pub(super) number: u64,
    /// Every write batch up to this number was synced before this one was written.
    pub(super) synced: u64,
    /// The engine gave this batch this number of its own, or one slightly higher.
    pub(super) engine_number: u64,
}

impl Witness {
    pub(super) fn encode(&self) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        value[..8].copy_from_slice(&self.number.to_le_bytes());
        value[8..16].copy_from_slice(&self.synced.to_le_bytes());
        value[16..24].copy_from_slice(&self.engine_number.to_le_bytes());
        let sum = crc32c::crc32c(&value[..24]);
        value[24..].copy_from_slice(&sum.to_le_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let value: &[u8; VALUE_BYTES] = value.try_into().ok()?;
        let word = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("8 bytes of 28"));
        let sum = u32::from_le_bytes(value[24..].try_into().expect("4 bytes of 28"));
        (crc32c::crc32c(&value[..24]) == sum).then(|| Self {
            number: word(0),
            synced: word(8),
            engine_number: word(16),
        })
    }

    /// Every intact witness in a stretch of bytes, wherever it begins.
    pub(super) fn find_all(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let places = bytes.windows(KEY.len() + VALUE_BYTES).filter(|window| window.starts_with(KEY));
        places.filter_map(|window| Self::decode(&window[KEY.len()..]))
    }
}
