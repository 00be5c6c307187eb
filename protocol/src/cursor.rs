//! Where a page of a list ends, as a client carries it from one page to the next. It says no more than a place among
//! conversations of the client's own user, so there is nothing to gain by making one up; a checksum over it and whose it
//! is tells one that was spoilt, that is another user's, or that belongs to another list.
//!
//! ```text
//! cursor  = base 32, as ids, of: version 1 (1) | list (8) | time (8) | conversation (16) | checksum (8), numbers big-endian
//! ```

use std::cmp::Reverse;

use xxhash_rust::xxh3::xxh3_64;

use crate::id::{ConversationId, TenantId, UserId, base32};

const VERSION: u8 = 1;
const BODY_BYTES: usize = 1 + 8 + 8 + 16;
const BYTES: usize = BODY_BYTES + 8;

/// Characters of a cursor.
pub const CURSOR_TEXT_LEN: usize = (BYTES * 8).div_ceil(5);

/// A place in a list that is sorted by newest activity. Lower is newer; where times are equal, ids decide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListPlace {
    activity_ms: Reverse<u64>,
    /// Which conversation.
    pub conversation: ConversationId,
}

impl ListPlace {
    /// The place of a conversation whose newest event happened then.
    pub fn new(activity_ms: u64, conversation: ConversationId) -> Self {
        Self { activity_ms: Reverse(activity_ms), conversation }
    }

    /// When its newest event happened.
    pub fn activity_ms(&self) -> u64 {
        self.activity_ms.0
    }
}

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Tells lists apart that are narrowed in different ways.
    pub list: u64,
    /// The last place that was shown.
    pub place: ListPlace,
}

fn checksum(body: &[u8], tenant: &TenantId, user: &UserId) -> [u8; 8] {
    let mut input = body.to_vec();
    for part in [tenant.as_str(), user.as_str()] {
        input.extend_from_slice(&(part.len() as u64).to_be_bytes());
        input.extend_from_slice(part.as_bytes());
    }
    xxh3_64(&input).to_be_bytes()
}

impl Cursor {
    /// A number for a list that is narrowed in the way that this text says.
    pub fn list_number(narrowed: &str) -> u64 {
        xxh3_64(narrowed.as_bytes())
    }

    /// The text form, for this user.
    pub fn to_text(&self, tenant: &TenantId, user: &UserId) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.list.to_be_bytes());
        bytes.extend_from_slice(&self.place.activity_ms().to_be_bytes());
        bytes.extend_from_slice(self.place.conversation.as_bytes());
        let checksum = checksum(&bytes, tenant, user);
        bytes.extend_from_slice(&checksum);
        base32().encode(&bytes)
    }

    /// Reads the text form; nothing if it was not made for this user.
    pub fn parse(text: &str, tenant: &TenantId, user: &UserId) -> Option<Self> {
        if text.len() != CURSOR_TEXT_LEN {
            return None;
        }
        let bytes = base32().decode(text.as_bytes()).ok()?;
        let (body, stored) = bytes.split_at_checked(BODY_BYTES)?;
        if checksum(body, tenant, user) != *stored {
            return None;
        }
        let (version, rest) = body.split_first()?;
        let (list, rest) = rest.split_first_chunk::<8>()?;
        let (activity_ms, rest) = rest.split_first_chunk::<8>()?;
        let conversation = ConversationId::from_bytes(rest.try_into().ok()?);
        let place = ListPlace::new(u64::from_be_bytes(*activity_ms), conversation);
        (*version == VERSION).then_some(Self { list: u64::from_be_bytes(*list), place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(tenant: &str, user: &str) -> (TenantId, UserId) {
        (TenantId::new(tenant).expect("a valid id"), UserId::new(user).expect("a valid id"))
    }

    #[test]
    fn a_cursor_is_read_back_by_its_user_alone() {
        let cursor = Cursor { list: 7, place: ListPlace::new(1_700_000_000_000, ConversationId::from_bytes([9; 16])) };
        let (tenant, user) = ids("t", "ann");
        let text = cursor.to_text(&tenant, &user);
        assert_eq!(text.len(), CURSOR_TEXT_LEN);
        assert_eq!(Cursor::parse(&text, &tenant, &user), Some(cursor));
        for (tenant, user) in [ids("t", "bob"), ids("u", "ann"), ids("ta", "nn")] {
            assert_eq!(Cursor::parse(&text, &tenant, &user), None);
        }
    }

    #[test]
    fn a_spoilt_cursor_is_none() {
        let cursor = Cursor { list: 0, place: ListPlace::new(5, ConversationId::from_bytes([0; 16])) };
        let (tenant, user) = ids("t", "ann");
        let text = cursor.to_text(&tenant, &user);
        for at in 0..text.len() {
            let mut spoilt = text.clone().into_bytes();
            spoilt[at] = if spoilt[at] == b'0' { b'1' } else { b'0' };
            let spoilt = String::from_utf8(spoilt).expect("ASCII");
            assert_eq!(Cursor::parse(&spoilt, &tenant, &user), None, "{at}");
        }
        for bad in ["", "0", &text[1..], &format!("{text}0"), &text.to_uppercase(), &"\u{fc}".repeat(33)] {
            assert_eq!(Cursor::parse(bad, &tenant, &user), None, "{bad}");
        }
    }

    #[test]
    fn newer_places_come_first_and_ids_break_ties() {
        let place = |time, byte| ListPlace::new(time, ConversationId::from_bytes([byte; 16]));
        assert!(place(9, 5) < place(8, 1));
        assert!(place(8, 1) < place(8, 2));
    }
}
