//! Reads the header of one client frame from as many bytes as there are, and refuses at the first byte that is wrong.
//!
//! Must not look at payloads. Whatever the header says about sizes is judged here, before anything is allocated.
//!
//! | byte | bits | |
//! |--:|---|---|
//! | 0 | `F RRR OOOO` | final piece, three reserved bits, opcode |
//! | 1 | `M LLLLLLL` | masked, length; 126: two bytes of length follow, 127: eight |
//! | then | | four bytes of mask |

use super::{Opcode, Violation};

/// Bytes of the longest header of a client: two, eight of length, four of mask.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// Bytes of a control frame's payload (RFC 6455, section 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// A whole header that breaks no rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Whether the frame ends its message.
    pub(super) fin: bool,
    /// What it carries.
    pub(super) opcode: Opcode,
    /// Its mask.
    pub(super) mask: [u8; 4],
    /// Bytes of its payload.
    pub(super) payload: usize,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

/// What a header is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Bytes so far of the fragmented message under way, if there is one.
    pub(super) open_message: Option<usize>,
    /// Bytes that a message may have.
    pub(super) message_bytes_max: usize,
}

/// The header at the front of `bytes`; none if more bytes are needed and those there are break no rule.
pub(super) fn parse(bytes: &[u8], rules: Rules) -> Result<Option<Header>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let (fin, opcode) = parse_first(first, rules)?;
    let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation::Unmasked);
    }
    let short = second & 0x7f;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(Violation::LongControl);
    }
    let Some((length, rest)) = parse_length(short, rest)? else { return Ok(None) };
    // A length that does not fit a usize does not fit the limit either.
    let payload = usize::try_from(length).map_err(|_| Violation::TooBig)?;
    if !opcode.is_control() {
        let room = rules.message_bytes_max.checked_sub(rules.open_message.unwrap_or(0));
        if room.is_none_or(|room| payload > room) {
            return Err(Violation::TooBig);
        }
    }
    let Some((&mask, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    Ok(Some(Header { fin, opcode, mask, payload, size: bytes.len() - after.len() }))
}

fn parse_first(byte: u8, rules: Rules) -> Result<(bool, Opcode), Violation> {
    let fin = byte & 0x80 != 0;
    if byte & 0x70 != 0 {
        return Err(Violation::ReservedBit);
    }
    let opcode = Opcode::from_bits(byte & 0x0f).ok_or(Violation::ReservedOpcode)?;
    match opcode {
        Opcode::Continuation if rules.open_message.is_none() => Err(Violation::StrayContinuation),
        Opcode::Text | Opcode::Binary if rules.open_message.is_some() => Err(Violation::InterruptedMessage),
        Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => Err(Violation::FragmentedControl),
        _ => Ok((fin, opcode)),
    }
}

/// The payload's length and what follows it; none if more bytes are needed.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk::<2>() {
            Some((bytes, rest)) => (u64::from(u16::from_be_bytes(*bytes)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk::<8>() {
            Some((bytes, rest)) => (u64::from_be_bytes(*bytes), rest, 1 << 16),
            None => return Ok(None),
        },
        _ => return Ok(Some((u64::from(short), rest))),
    };
    if length < least {
        return Err(Violation::LongLength);
    }
    if length >> 63 != 0 {
        return Err(Violation::NegativeLength);
    }
    Ok(Some((length, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { open_message: None, message_bytes_max: 1 << 20 };

    fn refused(bytes: &[u8]) -> Violation {
        // The refusal must not wait for bytes beyond the wrong one, and more bytes must not change it.
        let violation = parse(bytes, RULES).expect_err("refused");
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(&[0xff; HEADER_BYTES_MAX]);
        assert_eq!(parse(&longer, RULES), Err(violation));
        violation
    }

    #[test]
    fn lengths_of_every_form() {
        for (bytes, payload) in [
            (&[0x82, 0x80, 1, 2, 3, 4][..], 0),
            (&[0x82, 0xfd, 1, 2, 3, 4], 125),
            (&[0x82, 0xfe, 0, 126, 1, 2, 3, 4], 126),
            (&[0x82, 0xfe, 0xff, 0xff, 1, 2, 3, 4], 65_535),
            (&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4], 65_536),
        ] {
            let header = parse(bytes, RULES).expect("valid").expect("whole");
            let wanted = Header { fin: true, opcode: Opcode::Binary, mask: [1, 2, 3, 4], payload, size: bytes.len() };
            assert_eq!(header, wanted);
            for cut in 0..bytes.len() {
                assert_eq!(parse(&bytes[..cut], RULES), Ok(None), "{payload} cut at {cut}");
            }
        }
    }

    #[test]
    fn each_rule_of_the_first_two_bytes() {
        for bit in [0x40, 0x20, 0x10] {
            assert_eq!(refused(&[0x82 | bit]), Violation::ReservedBit);
        }
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            assert_eq!(refused(&[0x80 | opcode]), Violation::ReservedOpcode);
        }
        for control in [8, 9, 10] {
            assert_eq!(refused(&[control]), Violation::FragmentedControl);
            assert_eq!(refused(&[0x80 | control, 0x80 | 126]), Violation::LongControl);
            assert_eq!(refused(&[0x80 | control, 0x80 | 127]), Violation::LongControl);
        }
        assert_eq!(refused(&[0x81, 0x05]), Violation::Unmasked);
        assert_eq!(refused(&[0x80]), Violation::StrayContinuation);
        let open = Rules { open_message: Some(0), ..RULES };
        assert_eq!(parse(&[0x81], open), Err(Violation::InterruptedMessage));
        assert_eq!(parse(&[0x02], open), Err(Violation::InterruptedMessage));
    }

    #[test]
    fn lengths_that_lie() {
        assert_eq!(refused(&[0x82, 0xfe, 0, 125]), Violation::LongLength);
        assert_eq!(refused(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]), Violation::LongLength);
        assert_eq!(refused(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), Violation::NegativeLength);
        assert_eq!(refused(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Violation::TooBig);
    }

    #[test]
    fn limit_counts_the_pieces_before() {
        let rules = |open| Rules { open_message: open, message_bytes_max: 10 };
        assert!(matches!(parse(&[0x82, 0x80 | 10, 0, 0, 0, 0], rules(None)), Ok(Some(_))));
        assert_eq!(parse(&[0x82, 0x80 | 11], rules(None)), Err(Violation::TooBig));
        assert!(matches!(parse(&[0x80, 0x80 | 4, 0, 0, 0, 0], rules(Some(6))), Ok(Some(_))));
        assert_eq!(parse(&[0x80, 0x80 | 5], rules(Some(6))), Err(Violation::TooBig));
        // The limit may have been lowered below what is there; a control frame is not a message.
        assert_eq!(parse(&[0x80, 0x80], rules(Some(11))), Err(Violation::TooBig));
        assert!(matches!(parse(&[0x89, 0x80 | 20, 0, 0, 0, 0], rules(Some(11))), Ok(Some(_))));
    }
}
