//! The form of a stored row, and the checksum that ties it to its place. Must not know what kinds and bodies mean.
//!
//! ```text
//! byte 0      version, 1
//! bytes 1-4   CRC-32C, little-endian, over the row's key (see key.rs), the version byte and the payload
//! bytes 5-    payload, protobuf: 1 epoch, 2 first, 3 ordinal, 4 kind, 5 sender, 6 client_id, 7 time_ms, 8 body
//! ```
//!
//! The key is part of the checksum, so a right row under a wrong key is as detectable as a flipped bit. Fields that a
//! later version adds are skipped.

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, encoded_len_varint, skip_field,
};
use switchyard_protocol::id::ConversationKey;

use crate::log::{Damage, Seq};

/// The form written by this binary.
const VERSION: u8 = 1;

/// Version and checksum.
const HEADER_BYTES: usize = 5;

/// Bytes that a row needs beyond sender, client id and body, at most: for callers that fill batches to a limit.
pub const ROW_OVERHEAD_MAX: usize = HEADER_BYTES + 5 * (1 + 10) + 3 * (1 + 5);

/// A row's fields, borrowed, to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The epoch in which it was first written. Stays when a body is erased.
    pub epoch: u64,
    /// The number of the first row of its batch.
    pub first: Seq,
    /// How many messages the conversation has up to and including this row.
    pub ordinal: u64,
    /// What it is; the numbers are not the store's.
    pub kind: u32,
    /// Who caused it; may be empty.
    pub sender: &'a str,
    /// The sender's own id of it; may be empty.
    pub client_id: &'a str,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it says, opaque.
    pub body: &'a [u8],
}

/// A row as it was stored. Texts and body are slices of the blob, not copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The epoch in which it was first written.
    pub epoch: u64,
    /// The number of the first row of its batch.
    pub first: Seq,
    /// How many messages the conversation has up to and including this row.
    pub ordinal: u64,
    /// What it is.
    pub kind: u32,
    sender: Bytes,
    client_id: Bytes,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// What it says.
    pub body: Bytes,
}

impl RowRef<'_> {
    /// The blob for exactly this place, in one allocation of the exact size.
    pub fn encode(&self, key: &ConversationKey, seq: Seq) -> Bytes {
        let mut blob = Vec::with_capacity(HEADER_BYTES + self.payload_len());
        blob.put_u8(VERSION);
        blob.put_u32_le(0);
        for (tag, value) in self.numbers() {
            if value != 0 {
                put_key(&mut blob, tag, WireType::Varint);
                encode_varint(value, &mut blob);
            }
        }
        for (tag, bytes) in self.texts() {
            if !bytes.is_empty() {
                put_key(&mut blob, tag, WireType::LengthDelimited);
                encode_varint(bytes.len() as u64, &mut blob);
                blob.extend_from_slice(bytes);
            }
        }
        let sum = Verifier::new(key).checksum(seq, VERSION, &blob[HEADER_BYTES..]);
        blob[1..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        Bytes::from(blob)
    }

    /// Bytes that [`encode`](Self::encode) will make.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.payload_len()
    }

    fn numbers(&self) -> [(u32, u64); 5] {
        [(1, self.epoch), (2, self.first), (3, self.ordinal), (4, u64::from(self.kind)), (7, self.time_ms)]
    }

    fn texts(&self) -> [(u32, &[u8]); 3] {
        [(5, self.sender.as_bytes()), (6, self.client_id.as_bytes()), (8, self.body)]
    }

    fn payload_len(&self) -> usize {
        let numbers = self.numbers().into_iter().filter(|(_, value)| *value != 0);
        let texts = self.texts().into_iter().filter(|(_, bytes)| !bytes.is_empty());
        numbers.map(|(_, value)| 1 + encoded_len_varint(value)).sum::<usize>()
            + texts.map(|(_, bytes)| 1 + encoded_len_varint(bytes.len() as u64) + bytes.len()).sum::<usize>()
    }
}

impl Row {
    /// Reads a blob that was stored under this key, after checking that it was written for it.
    pub fn decode(key: &ConversationKey, seq: Seq, blob: &Bytes) -> Result<Self, Damage> {
        verify(key, seq, blob)?;
        Self::payload(blob.slice(HEADER_BYTES..)).ok_or(Damage::Payload)
    }

    /// Who caused it; may be empty.
    pub fn sender(&self) -> &str {
        std::str::from_utf8(&self.sender).expect("checked when the row was decoded")
    }

    /// The sender's own id of it; may be empty.
    pub fn client_id(&self) -> &str {
        std::str::from_utf8(&self.client_id).expect("checked when the row was decoded")
    }

    /// The same fields, borrowed.
    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef {
            epoch: self.epoch,
            first: self.first,
            ordinal: self.ordinal,
            kind: self.kind,
            sender: self.sender(),
            client_id: self.client_id(),
            time_ms: self.time_ms,
            body: &self.body,
        }
    }

    fn payload(mut buf: Bytes) -> Option<Self> {
        let mut row = Self {
            epoch: 0,
            first: 0,
            ordinal: 0,
            kind: 0,
            sender: Bytes::new(),
            client_id: Bytes::new(),
            time_ms: 0,
            body: Bytes::new(),
        };
        while buf.has_remaining() {
            match decode_key(&mut buf).ok()? {
                (1, WireType::Varint) => row.epoch = decode_varint(&mut buf).ok()?,
                (2, WireType::Varint) => row.first = decode_varint(&mut buf).ok()?,
                (3, WireType::Varint) => row.ordinal = decode_varint(&mut buf).ok()?,
                (4, WireType::Varint) => row.kind = decode_varint(&mut buf).ok()?.try_into().ok()?,
                (7, WireType::Varint) => row.time_ms = decode_varint(&mut buf).ok()?,
                (5, WireType::LengthDelimited) => row.sender = text(take(&mut buf)?)?,
                (6, WireType::LengthDelimited) => row.client_id = text(take(&mut buf)?)?,
                (8, WireType::LengthDelimited) => row.body = take(&mut buf)?,
                (1..=8, _) => return None,
                (tag, wire) => skip_field(wire, tag, &mut buf, DecodeContext::default()).ok()?,
            }
        }
        Some(row)
    }
}

/// Whether a blob is intact and was written for this place. Cheaper than decoding it.
pub fn verify(key: &ConversationKey, seq: Seq, blob: &[u8]) -> Result<(), Damage> {
    Verifier::new(key).verify(seq, blob)
}

/// The same for many rows of one conversation.
#[derive(Clone, Copy, Debug)]
pub struct Verifier {
    /// The checksum of the conversation's key, with which every row's begins.
    conversation: u32,
}

impl Verifier {
    /// For this conversation.
    pub fn new(key: &ConversationKey) -> Self {
        let tenant = key.tenant.as_str().as_bytes();
        let len = u8::try_from(tenant.len()).expect("ids have at most 128 bytes");
        let sum = crc32c::crc32c_append(crc32c::crc32c(&[len]), tenant);
        Self { conversation: crc32c::crc32c_append(sum, key.conversation.as_bytes()) }
    }

    /// Whether a blob is intact and was written for this row.
    pub fn verify(&self, seq: Seq, blob: &[u8]) -> Result<(), Damage> {
        let Some((header, payload)) = blob.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Damage::Short);
        };
        let [version, sum @ ..] = *header;
        if u32::from_le_bytes(sum) != self.checksum(seq, version, payload) {
            return Err(Damage::Checksum);
        }
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        Ok(())
    }

    fn checksum(&self, seq: Seq, version: u8, payload: &[u8]) -> u32 {
        let mut place = [0; 9];
        place[..8].copy_from_slice(&seq.to_be_bytes());
        place[8] = version;
        crc32c::crc32c_append(crc32c::crc32c_append(self.conversation, &place), payload)
    }
}

/// All tags are below 16, so a key is one byte.
fn put_key(blob: &mut Vec<u8>, tag: u32, wire: WireType) {
    prost::encoding::encode_key(tag, wire, blob);
}

fn take(buf: &mut Bytes) -> Option<Bytes> {
    let len = usize::try_from(decode_varint(buf).ok()?).ok()?;
    (len <= buf.len()).then(|| buf.split_to(len))
}

fn text(bytes: Bytes) -> Option<Bytes> {
    std::str::from_utf8(&bytes).is_ok().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use switchyard_protocol::id::{ConversationId, TenantId};

    use super::*;

    fn key(tenant: &str, conversation: [u8; 16]) -> ConversationKey {
        let tenant = TenantId::new(tenant).expect("a valid id");
        ConversationKey { tenant, conversation: ConversationId::from_bytes(conversation) }
    }

    prop_compose! {
        fn places()(tenant in "[a-z]{1,40}", conversation: [u8; 16], seq: u64) -> (ConversationKey, Seq) {
            (key(&tenant, conversation), seq)
        }
    }

    type Fields = (u64, u64, u64, u32, String, String, u64, Vec<u8>);

    fn row((epoch, first, ordinal, kind, sender, client_id, time_ms, body): &Fields) -> RowRef<'_> {
        RowRef {
            epoch: *epoch,
            first: *first,
            ordinal: *ordinal,
            kind: *kind,
            sender,
            client_id,
            time_ms: *time_ms,
            body,
        }
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let texts = (".{0,20}", ".{0,20}");
        let body = prop::collection::vec(any::<u8>(), 0..100);
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), texts, any::<u64>(), body).prop_map(
            |(epoch, first, ordinal, kind, (sender, client_id), time_ms, body)| {
                (epoch, first, ordinal, kind, sender, client_id, time_ms, body)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_come_back((key, seq) in places(), fields in fields()) {
            let row = row(&fields);
            let blob = row.encode(&key, seq);
            prop_assert_eq!(blob.len(), row.encoded_len());
            let texts = row.sender.len() + row.client_id.len() + row.body.len();
            prop_assert!(blob.len() <= texts + ROW_OVERHEAD_MAX);
            let decoded = Row::decode(&key, seq, &blob).expect("it is intact");
            prop_assert_eq!(decoded.as_ref(), row);
        }

        #[test]
        fn any_flipped_bit_is_found((key, seq) in places(), fields in fields()) {
            let mut blob = row(&fields).encode(&key, seq).to_vec();
            for bit in 0..blob.len() * 8 {
                blob[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(verify(&key, seq, &blob).is_err(), "bit {}", bit);
                blob[bit / 8] ^= 1 << (bit % 8);
            }
        }

        #[test]
        fn any_cut_is_found((key, seq) in places(), fields in fields()) {
            let blob = row(&fields).encode(&key, seq);
            for len in 0..blob.len() {
                prop_assert!(verify(&key, seq, &blob[..len]).is_err(), "cut to {}", len);
            }
        }

        #[test]
        fn any_other_place_is_found((mine, seq) in places(), (other, other_seq) in places(), fields in fields()) {
            prop_assume!(mine.tenant != other.tenant && mine.conversation != other.conversation && seq != other_seq);
            let blob = row(&fields).encode(&mine, seq);
            for (key, seq) in [
                (&other, seq),
                (&mine, other_seq),
                (&mine, seq ^ 1),
                (&key(other.tenant.as_str(), *mine.conversation.as_bytes()), seq),
                (&key(mine.tenant.as_str(), *other.conversation.as_bytes()), seq),
                (&key(&format!("{}x", mine.tenant), *mine.conversation.as_bytes()), seq),
            ] {
                prop_assert_eq!(verify(key, seq, &blob), Err(Damage::Checksum));
            }
        }

        #[test]
        fn a_payload_of_any_bytes_is_a_row_or_an_error(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(row) = Row::payload(Bytes::from(payload)) {
                // Reading the texts must not panic either.
                let _ = row.as_ref();
            }
        }
    }

    /// The checksum keeps such payloads out; what lies behind it must not panic all the same.
    #[test]
    fn a_million_altered_payloads_are_rows_or_errors() {
        let fields = (1, 2, 300, 4, "ann".to_owned(), "größe".to_owned(), 1_700_000_000_000, vec![7; 40]);
        let intact = row(&fields).encode(&key("t", [7; 16]), 9).slice(HEADER_BYTES..);
        let mut random = crate::spoil::random();
        let mut rows = 0;
        for _ in 0..1_000_000 {
            let mut payload = intact.to_vec();
            for _ in 0..=random(3) {
                let at = random(payload.len());
                payload[at] = random(256) as u8;
            }
            payload.truncate(payload.len() - random(4) * random(8));
            if let Some(row) = Row::payload(Bytes::from(payload)) {
                rows += 1;
                let _ = row.as_ref();
            }
        }
        assert!(rows > 0 && rows < 1_000_000, "{rows}: the changes are all alike");
    }

    #[test]
    fn the_form_is_fixed() {
        let fields = (1, 2, 3, 4, "ann".to_owned(), "c1".to_owned(), 5, b"hi".to_vec());
        let blob = row(&fields).encode(&key("t", [7; 16]), 9);
        assert_eq!(blob[0], 1);
        assert_eq!(&blob[5..], b"\x08\x01\x10\x02\x18\x03\x20\x04\x38\x05\x2a\x03ann\x32\x02c1\x42\x02hi");
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let (key, payload) = (key("t", [7; 16]), b"\x08\x01");
        let mut blob = vec![2];
        blob.extend(Verifier::new(&key).checksum(9, 2, payload).to_le_bytes());
        blob.extend(payload);
        assert_eq!(Row::decode(&key, 9, &blob.into()), Err(Damage::Version(2)));
    }

    #[test]
    fn fields_of_later_versions_are_skipped() {
        let key = key("t", [7; 16]);
        let payload = b"\x08\x01\x7a\x02??\x42\x01x";
        let mut blob = vec![VERSION];
        blob.extend(Verifier::new(&key).checksum(9, VERSION, payload).to_le_bytes());
        blob.extend(payload);
        let row = Row::decode(&key, 9, &blob.into()).expect("it is intact");
        assert_eq!((row.epoch, &row.body[..]), (1, &b"x"[..]));
    }
}
