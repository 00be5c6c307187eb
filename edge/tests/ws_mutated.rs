//! A million spoilt inputs each for the decoder and for the reader of request heads: neither panics, neither holds more than its limit,
//! a refusal is final, and how the input is cut makes no difference.

use std::ops::ControlFlow;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use switchyard_edge::ws::handshake::{HEAD_BYTES_MAX, HeadReader, Refusal, Request};
use switchyard_edge::ws::{Decoder, Incoming, Violation};

const INPUTS: u64 = 1_000_000;

/// A small limit on messages, so that it is met often.
const LIMIT: usize = 48;

/// Beside the bytes of a message, the decoder may hold a control frame and a fixed part.
const HELD_BESIDE_MAX: usize = 512;

/// A client's frame; the first byte has the final bit and the opcode.
fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let mask = [0x12, 0x34, 0x56, 0x78];
    out.extend([first, 0x80 | payload.len() as u8]);
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Valid streams of frames, short, so that a change meets something that matters.
fn streams() -> Vec<Vec<u8>> {
    let scripts: [&[(u8, &[u8])]; 7] = [
        &[(0x81, b"hi \xe2\x82\xac"), (0x89, b"")],
        &[(0x82, b"\x00\xff"), (0x82, b""), (0x8a, b"x")],
        &[(0x01, b"\xf0\x9f"), (0x89, b"p"), (0x80, b"\x98\x80")],
        &[(0x02, b"a"), (0x00, b""), (0x80, b"bc")],
        &[(0x82, b"ok"), (0x88, b"\x03\xe8bye"), (0x82, b"late")],
        &[(0x88, b"")],
        &[(0x02, &[7; 40]), (0x80, &[7; 8])],
    ];
    let mut streams = Vec::new();
    for script in scripts {
        let mut stream = Vec::new();
        for (first, payload) in script {
            frame(&mut stream, *first, payload);
        }
        streams.push(stream);
    }
    // The longer forms of a length, the second one beyond the limit.
    streams.push([&[0x82, 0xfe, 0, 126, 0, 0, 0, 0][..], &[5; 4]].concat());
    streams.push([&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4][..], &[5; 4]].concat());
    streams
}

/// Valid request heads.
fn heads() -> Vec<Vec<u8>> {
    [
        "GET /?q HTTP/1.1\r\nHost:a\r\nConnection:Upgrade\r\nUpgrade:websocket\r\nSec-WebSocket-Version:13\r\n\
         Sec-WebSocket-Key:AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost:a\r\nContent-Length:1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\nOrigin:b\r\nAuthorization:Bearer c\r\n\r\n",
        "GET a://b/ HTTP/1.1\r\nHost:a\r\nCookie:c\r\nCookie:d\r\n\r\n",
    ]
    .map(|head| head.as_bytes().to_vec())
    .to_vec()
}

/// Makes `input` one of the samples with one to three changes.
fn mutate(rng: &mut SmallRng, samples: &[Vec<u8>], input: &mut Vec<u8>) {
    // Two random numbers serve a whole change; drawing from ranges costs more in a debug build than all the rest.
    let pick = |random: u64, len: usize| (random as usize) % len.max(1);
    let first = rng.next_u64();
    input.clear();
    input.extend_from_slice(&samples[pick(first >> 8, samples.len())]);
    for _ in 0..1 + first % 3 {
        let (what, place) = (rng.next_u64(), rng.next_u64());
        let at = pick(place, input.len());
        match what % 6 {
            _ if input.is_empty() => input.push(what as u8),
            0 => input[at] ^= 1 << (what >> 8 & 7),
            1 => input[at] = (what >> 8) as u8,
            2 => input.insert(at, (what >> 8) as u8),
            3 => drop(input.remove(at)),
            4 => input.truncate(at),
            _ => {
                let other = &samples[pick(what >> 8, samples.len())];
                let from = pick(place >> 32, other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// What came of an input, small enough to be compared a million times.
#[derive(PartialEq, Debug)]
struct Outcome<E> {
    seen: u64,
    refused: Option<E>,
}

fn mix(seen: u64, kind: u64, payload: &[u8]) -> u64 {
    let start = (seen ^ kind).wrapping_mul(0x100_0000_01b3);
    payload.iter().fold(start, |seen, byte| (seen ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn decode(scratch: &mut Vec<u8>, pieces: [&[u8]; 2]) -> Outcome<Violation> {
    let mut decoder = Decoder::new();
    let mut outcome = Outcome { seen: 1, refused: None };
    for piece in pieces {
        scratch.clear();
        scratch.extend_from_slice(piece);
        let mut seen = outcome.seen;
        let result = decoder.feed(scratch, LIMIT, |incoming| {
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
                return Outcome { seen: mix(1, 2, upgrade.key.as_bytes()), refused: None };
            }
            // A cut head leaves the rest of the input with the caller, so only what is in the head is compared.
            Ok(Some(Request::Http(http))) => {
                return Outcome { seen: mix(1, 3, http.head.path.as_bytes()), refused: None };
            }
            Err(refusal) => {
                assert_eq!(reader.feed(b"GET / HTTP/1.0\r\n\r\n").err().as_ref(), Some(&refusal));
                return Outcome { seen: 1, refused: Some(refusal) };
            }
        }
    }
    Outcome { seen: 1, refused: None }
}

/// Counts of what came out, so that a test that stopped reaching anything would show.
#[derive(Default, Debug)]
struct Tally {
    refused: u64,
    fine: u64,
}

impl Tally {
    fn count<E>(&mut self, outcome: &Outcome<E>) {
        match outcome.refused {
            Some(_) => self.refused += 1,
            None => self.fine += 1,
        }
    }

    fn check(&self) {
        assert_eq!(self.refused + self.fine, INPUTS);
        assert!(self.refused > INPUTS / 10 && self.fine > INPUTS / 10, "one-sided inputs: {self:?}");
    }
}

#[test]
fn a_million_streams_of_frames() {
    const SEED: u64 = 0x5eed_0001;
    let samples = streams();
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (mut input, mut scratch, mut tally) = (Vec::new(), Vec::new(), Tally::default());
    for number in 0..INPUTS {
        mutate(&mut rng, &samples, &mut input);
        let whole = decode(&mut scratch, [&input, b""]);
        let cut = rng.next_u64() as usize % (input.len() + 1);
        let parts = decode(&mut scratch, [&input[..cut], &input[cut..]]);
        assert_eq!(whole, parts, "seed {SEED:#x}, input {number}, cut at {cut}: {input:x?}");
        tally.count(&whole);
    }
    tally.check();
}

#[test]
fn a_million_request_heads() {
    const SEED: u64 = 0x5eed_0002;
    let samples = heads();
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (mut input, mut tally) = (Vec::new(), Tally::default());
    for number in 0..INPUTS {
        mutate(&mut rng, &samples, &mut input);
        let whole = read_head([&input, b""]);
        let cut = rng.next_u64() as usize % (input.len() + 1);
        let parts = read_head([&input[..cut], &input[cut..]]);
        // Bytes behind an upgrade are refused if they come in the same read, so there the cut does matter.
        if !is_upgrade_with_more(&whole) {
            assert_eq!(whole, parts, "seed {SEED:#x}, input {number}, cut at {cut}: {input:x?}");
        }
        tally.count(&whole);
    }
    tally.check();
}

/// Whether an upgrade was refused for bytes that came in the same read.
fn is_upgrade_with_more(outcome: &Outcome<Refusal>) -> bool {
    outcome.refused.as_ref().is_some_and(|refusal| refusal.message.contains("no body"))
}
