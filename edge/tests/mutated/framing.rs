//! Judges of what a stranger sends first of all: frames and request heads. Neither decoder may hold more than its limit, a
//! refusal is final, and how the input is cut into reads makes no difference.

use std::ops::ControlFlow;

use switchyard_edge::ws::handshake::{HEAD_BYTES_MAX, Head, HeadReader, Refusal, Request};
use switchyard_edge::ws::{Decoder, Incoming, Violation};
use switchyard_protocol::frame::Form;

/// A small limit on messages, so that it is met often.
const LIMIT: usize = 48;

/// Beside the bytes of a message, the decoder may hold a control frame and a fixed part.
const HELD_BESIDE_MAX: usize = 512;

/// What came of an input, small enough to be compared a million times.
#[derive(PartialEq, Debug)]
struct Outcome<E> {
    seen: u64,
    refused: Option<E>,
}

/// A client's stream of frames.
pub(crate) fn frames(input: &[u8]) -> bool {
    let whole = decode([input, b""]);
    let cut = cut(input);
    let parts = decode([&input[..cut], &input[cut..]]);
    assert_eq!(whole, parts, "cut at {cut}");
    whole.refused.is_none()
}

/// A request's head.
pub(crate) fn head(input: &[u8]) -> bool {
    let whole = read_head([input, b""]);
    let cut = cut(input);
    let parts = read_head([&input[..cut], &input[cut..]]);
    // Bytes behind an upgrade are refused if they come in the same read, so there the cut does matter.
    if !is_upgrade_with_more(&whole) {
        assert_eq!(whole, parts, "cut at {cut}");
    }
    whole.refused.is_none()
}

/// Somewhere in the input, always the same place for the same input.
fn cut(input: &[u8]) -> usize {
    mix(1, 1, input) as usize % (input.len() + 1)
}

fn mix(seen: u64, kind: u64, payload: &[u8]) -> u64 {
    let start = (seen ^ kind).wrapping_mul(0x100_0000_01b3);
    payload.iter().fold(start, |seen, byte| (seen ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn decode(pieces: [&[u8]; 2]) -> Outcome<Violation> {
    let mut decoder = Decoder::new();
    let mut outcome = Outcome { seen: 1, refused: None };
    for piece in pieces {
        let mut seen = outcome.seen;
        let result = decoder.feed(&mut piece.to_vec(), LIMIT, |incoming| {
            seen = match incoming {
                Incoming::Text(text) => mix(seen, 2, text.as_bytes()),
                Incoming::Binary(payload) => mix(seen, 3, payload),
                Incoming::Ping(payload) => mix(seen, 5, payload),
                Incoming::Pong(payload) => mix(seen, 7, payload),
                Incoming::Close(None) => mix(seen, 11, b""),
                Incoming::Close(Some((code, reason))) => mix(seen, u64::from(code), reason.as_bytes()),
            };
            ControlFlow::Continue(())
        });
        outcome.seen = seen;
        assert!(decoder.held_bytes() <= LIMIT + HELD_BESIDE_MAX, "{} bytes held", decoder.held_bytes());
        match result {
            Ok(consumed) => assert_eq!(consumed, piece.len()),
            Err(violation) => {
                assert_eq!(decoder.held_bytes(), 0);
                let again = decoder.feed(&mut [0x82, 0x80, 0, 0, 0, 0], LIMIT, |_| panic!("a violation is final"));
                assert_eq!(again, Err(violation));
                outcome.refused = Some(violation);
                break;
            }
        }
    }
    outcome
}

fn read_head(pieces: [&[u8]; 2]) -> Outcome<Refusal> {
    let mut reader = HeadReader::new();
    for piece in pieces {
        let result = reader.feed(piece);
        assert!(reader.held_bytes() <= HEAD_BYTES_MAX);
        match result {
            Ok(None) => {}
            Ok(Some(Request::Upgrade(upgrade))) => {
                let seen =
                    mix(see_head(&upgrade.head), u64::from(upgrade.form() == Form::Json), upgrade.key.as_bytes());
                let token = upgrade.subprotocol_bearer.as_deref().unwrap_or_default();
                return Outcome { seen: mix(seen, 3, token.as_bytes()), refused: None };
            }
            // A cut head leaves the rest of the input with the caller, so only what is in the head is compared.
            Ok(Some(Request::Http(http))) => {
                return Outcome { seen: see_head(&http.head), refused: None };
            }
            Err(refusal) => {
                assert_eq!(reader.feed(b"GET / HTTP/1.0\r\n\r\n").err().as_ref(), Some(&refusal));
                return Outcome { seen: 1, refused: Some(refusal) };
            }
        }
    }
    Outcome { seen: 1, refused: None }
}
/// What a head says; nothing of it can end a line wherever it is written.
fn see_head(head: &Head) -> u64 {
    let texts = [&head.query, &head.host, &head.origin, &head.bearer, &head.cookie, &head.forwarded_for];
    let texts = texts.into_iter().map(|text| text.as_deref().unwrap_or_default());
    [head.method.as_str(), head.path.as_str()].into_iter().chain(texts).fold(1, |seen, text| {
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
        mix(seen, 2, text.as_bytes())
    })
}

/// Whether an upgrade was refused for bytes that came in the same read.
fn is_upgrade_with_more(outcome: &Outcome<Refusal>) -> bool {
    outcome.refused.as_ref().is_some_and(|refusal| refusal.message.contains("no body"))
}
