//! What a message says: a client id that names its sender and its place, and a body that follows from both.
//!
//! So that whoever meets a message again, in an ack, an event or a page, can tell from the message alone whether it is
//! the one that was sent, and the oracle needs to remember eight bytes of it. No state, no randomness but the seed.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Characters of a client id: six of the sender, a dash, ten of its count.
const CLIENT_ID_LEN: usize = 17;

/// Senders that a key can name.
pub const SENDERS_MAX: usize = 1 << 24;

/// Messages of one sender that a key can name.
pub const PER_SENDER_MAX: u64 = 1 << 36;

/// Where bodies are cut from: as many bytes as stay in a core's second cache.
const POOL_BYTES: usize = 64 * 1024;

/// Bytes at a body's start that tell it from every other.
const STAMP_LEN: usize = 16;

/// Bodies that can be edited have room for a stamp.
pub const EDITED_SIZE_MIN: usize = STAMP_LEN;

/// What an edited body begins with, before the two digits of its version.
const EDITED: u8 = b'v';
const EDIT_LEN: usize = 3;

/// A message by its sender's number and the sender's count of messages: 60 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageKey(u64);

impl MessageKey {
    /// Of the sender's `count`th message.
    pub fn new(sender: u32, count: u64) -> Self {
        debug_assert!((sender as usize) < SENDERS_MAX && count < PER_SENDER_MAX);
        Self(u64::from(sender) << 36 | count)
    }

    /// The number of its sender.
    pub fn sender(self) -> u32 {
        (self.0 >> 36) as u32
    }

    /// How many messages the sender had sent before it.
    pub fn count(self) -> u64 {
        self.0 & (PER_SENDER_MAX - 1)
    }

    /// As a number below 2^60.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The client id that says it.
    pub fn client_id(self) -> ClientId {
        let mut text = [b'-'; CLIENT_ID_LEN];
        write_hex(&mut text[..6], u64::from(self.sender()));
        write_hex(&mut text[7..], self.count());
        ClientId(text)
    }

    /// Reads a client id of ours.
    pub fn parse(client_id: &[u8]) -> Option<Self> {
        if client_id.len() != CLIENT_ID_LEN || client_id.get(6) != Some(&b'-') {
            return None;
        }
        let sender = read_hex(client_id.get(..6)?)?;
        let count = read_hex(client_id.get(7..)?)?;
        (count < PER_SENDER_MAX).then_some(Self(sender << 36 | count))
    }
}

/// The text form of a [`MessageKey`], on the stack.
#[derive(Clone, Copy, Debug)]
pub struct ClientId([u8; CLIENT_ID_LEN]);

impl ClientId {
    /// Its characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits and a dash")
    }
}

fn write_hex(to: &mut [u8], mut number: u64) {
    for digit in to.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

fn read_hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

/// A number that follows from the seed and `n`, and looks like none of its neighbours.
pub fn mix(seed: u64, n: u64) -> u64 {
    xxh3_64_with_seed(&n.to_le_bytes(), seed)
}

/// Makes and checks bodies of one size.
#[derive(Debug)]
pub struct Bodies {
    seed: u64,
    size: usize,
    pool: Vec<u8>,
}

impl Bodies {
    /// Bodies of `size` bytes that follow from `seed`. The text is made of words, and compresses about as text does.
    pub fn new(seed: u64, size: usize) -> Self {
        let mut pool = Vec::with_capacity(POOL_BYTES + size);
        let mut n = 0;
        while pool.len() < POOL_BYTES + size {
            let mut word = mix(seed, n);
            let letters = 2 + word % 7;
            word >>= 8;
            for _ in 0..letters {
                pool.push(b'a' + (word % 26) as u8);
                word /= 26;
            }
            pool.push(b' ');
            n += 1;
        }
        Self { seed, size, pool }
    }

    /// Bytes of each body.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The stamp and the rest of this message's body.
    fn parts(&self, key: MessageKey) -> ([u8; STAMP_LEN], &[u8]) {
        self.cut(mix(self.seed, key.bits()))
    }

    fn cut(&self, mixed: u64) -> ([u8; STAMP_LEN], &[u8]) {
        let mut stamp = [0; STAMP_LEN];
        write_hex(&mut stamp, mixed);
        let rest = self.size.saturating_sub(STAMP_LEN);
        let from = mixed as usize % POOL_BYTES;
        (stamp, self.pool.get(from..from + rest).unwrap_or_default())
    }

    /// Appends this message's body.
    pub fn write(&self, key: MessageKey, to: &mut Vec<u8>) {
        let (stamp, rest) = self.parts(key);
        to.extend_from_slice(&stamp[..STAMP_LEN.min(self.size)]);
        to.extend_from_slice(rest);
    }

    /// Whether this is the message's body, to the byte.
    pub fn matches(&self, key: MessageKey, body: &[u8]) -> bool {
        let (stamp, rest) = self.parts(key);
        body.len() == self.size
            && match body.split_at_checked(STAMP_LEN) {
                Some((head, tail)) => head == stamp && tail == rest,
                None => stamp.starts_with(body),
            }
    }

    /// The same for a version of the message that an edit has made of it. Its stamp begins with a letter that no other
    /// stamp has, and says which version it is.
    fn parts_of_edit(&self, key: MessageKey, version: u8) -> ([u8; STAMP_LEN], &[u8]) {
        let (mut stamp, rest) = self.cut(mix(self.seed.wrapping_add(u64::from(version)), !key.bits()));
        let (head, _) = stamp.split_at_mut(EDIT_LEN);
        let (letter, digits) = head.split_at_mut(1);
        letter.fill(EDITED);
        write_hex(digits, u64::from(version));
        (stamp, rest)
    }

    /// The body of a version that an edit makes. Bodies have at least [`EDITED_SIZE_MIN`] bytes then.
    pub fn edited(&self, key: MessageKey, version: u8) -> String {
        let (stamp, rest) = self.parts_of_edit(key, version);
        [&stamp[..], rest].iter().flat_map(|part| part.iter().map(|&byte| char::from(byte))).collect()
    }

    /// Which version of the message this is, if it is one that an edit has made, to the byte.
    pub fn version(&self, key: MessageKey, body: &[u8]) -> Option<u8> {
        let digits = body.get(..EDIT_LEN)?.strip_prefix(&[EDITED])?;
        let version = u8::try_from(read_hex(digits)?).ok()?;
        let (stamp, rest) = self.parts_of_edit(key, version);
        let (head, tail) = body.split_at_checked(STAMP_LEN)?;
        (head == stamp && tail == rest).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_read_back() {
        for (sender, count) in [(0, 0), (1, 2), (0xff_ffff, PER_SENDER_MAX - 1)] {
            let key = MessageKey::new(sender, count);
            let text = key.client_id();
            assert_eq!(MessageKey::parse(text.as_str().as_bytes()), Some(key));
            assert_eq!((key.sender(), key.count()), (sender, count));
        }
        for bad in [
            "",
            "000000-000000000g",
            "0000000000000000",
            "000000_0000000000",
            "000000-00000000000",
            "ffffff-ffffffffff",
        ] {
            assert_eq!(MessageKey::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_edited_body_says_which_version_of_which_message_it_is() {
        for size in [EDITED_SIZE_MIN, 17, 200] {
            let bodies = Bodies::new(7, size);
            let (key, other) = (MessageKey::new(3, 4), MessageKey::new(3, 5));
            let edited = bodies.edited(key, 42);
            assert_eq!(edited.len(), size);
            assert_eq!(bodies.version(key, edited.as_bytes()), Some(42));
            assert_eq!(bodies.version(other, edited.as_bytes()), None);
            assert!(!bodies.matches(key, edited.as_bytes()));
            let mut sent = Vec::new();
            bodies.write(key, &mut sent);
            assert_eq!(bodies.version(key, &sent), None);
            let altered = edited.replacen("v2a", "v2b", 1);
            assert_eq!(bodies.version(key, altered.as_bytes()), None);
        }
    }

    #[test]
    fn a_body_fits_its_own_message_alone() {
        for size in [0, 1, 16, 17, 200, 70_000] {
            let bodies = Bodies::new(7, size);
            let key = MessageKey::new(3, 4);
            let mut body = Vec::new();
            bodies.write(key, &mut body);
            assert_eq!(body.len(), size);
            assert!(bodies.matches(key, &body));
            if size >= 16 {
                assert!(!bodies.matches(MessageKey::new(3, 5), &body));
                assert!(!Bodies::new(8, size).matches(key, &body));
            }
            if let Some(last) = body.last_mut() {
                *last ^= 1;
                assert!(!bodies.matches(key, &body));
            }
        }
    }
}
