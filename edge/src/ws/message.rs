//! A message that did not come whole: its bytes so far, grown by what really arrived and checked as they come.

use super::Violation;

/// Whether a message is text or bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Must be UTF-8.
    Text,
    /// May be anything.
    Binary,
}

/// The pieces of a message that have arrived, unmasked and joined.
#[derive(Debug)]
pub(super) struct Message {
    kind: Kind,
    bytes: Vec<u8>,
    /// Bytes from the front that are known to be whole characters; text only.
    checked: usize,
    /// Frames begun.
    fragments: u32,
}

impl Message {
    /// An empty message at the begin of its first frame.
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), checked: 0, fragments: 1 }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Counts a further frame and says how many there are now.
    pub(super) fn count_fragment(&mut self) -> u32 {
        self.fragments = self.fragments.saturating_add(1);
        self.fragments
    }

    /// Takes unmasked bytes. `len_max` is the length this message can reach at most as far as is known: memory is doubled up to
    /// there and never beyond, so that a client pays with bytes for what the server holds.
    pub(super) fn push(&mut self, bytes: &[u8], len_max: usize) -> Result<(), Violation> {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let target = needed.max(len_max.min(needed.saturating_mul(2)));
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        match self.kind {
            Kind::Text => self.check_new_text(),
            Kind::Binary => Ok(()),
        }
    }

    /// The whole message, to be called after its last byte.
    pub(super) fn finish(&self) -> Result<(Kind, &[u8]), Violation> {
        if self.kind == Kind::Text && self.checked != self.bytes.len() {
            return Err(Violation::InvalidUtf8);
        }
        Ok((self.kind, &self.bytes))
    }

    /// Refuses text at the first byte that no later byte can mend; keeps back a character that is cut.
    fn check_new_text(&mut self) -> Result<(), Violation> {
        let Some(new) = self.bytes.get(self.checked..) else { return Ok(()) };
        match simdutf8::compat::from_utf8(new) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cut_within_characters() {
        let text = "a\u{df}\u{20ac}\u{1f600}z".as_bytes();
        for size in 1..=text.len() {
            let mut message = Message::new(Kind::Text);
            for piece in text.chunks(size) {
                message.push(piece, text.len()).expect("valid so far");
            }
            assert_eq!(message.finish(), Ok((Kind::Text, text)));
        }
        let mut message = Message::new(Kind::Text);
        message.push(&text[..2], 100).expect("may still become valid");
        assert_eq!(message.finish(), Err(Violation::InvalidUtf8));
    }

    #[test]
    fn wrong_text_is_refused_at_the_byte_that_is_wrong() {
        // A surrogate, an overlong form, beyond the last code point, a continuation out of place.
        for wrong in [&[0xed, 0xa0][..], &[0xc0], &[0xe0, 0x80], &[0xf4, 0x90], &[0xf5], &[0x80]] {
            let mut message = Message::new(Kind::Text);
            let (last, before) = wrong.split_last().expect("not empty");
            for byte in before {
                message.push(&[*byte], 100).expect("valid so far");
            }
            assert_eq!(message.push(&[*last], 100), Err(Violation::InvalidUtf8), "{wrong:x?}");
        }
    }

    #[test]
    fn memory_follows_what_arrived() {
        let mut message = Message::new(Kind::Binary);
        for arrived in 1..3_000 {
            message.push(&[0], 2_500.max(arrived)).expect("bytes are never refused");
            assert!(message.capacity() <= (2 * arrived).min(2_500.max(arrived)), "{arrived}: {}", message.capacity());
        }
    }
}
