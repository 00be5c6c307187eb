//! The edge's WebSocket framing against two public clients: what they write is decoded the same however it is cut, and what the edge
//! writes they read back, byte by byte.

mod ws_peers {
    pub(crate) mod event;
    pub(crate) mod tokio_websockets;
    pub(crate) mod tungstenite;
}

use std::ops::ControlFlow;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use switchyard_edge::ws::{Decoder, Opcode, Violation, encode};
use ws_peers::event::Event;

const LIMIT: usize = 128 * 1024;

/// Around the borders of the three forms of a length.
const SMALL: [usize; 5] = [0, 1, 125, 126, 127];
const LARGE: [usize; 2] = [65_535, 65_536];

/// A public client, seen as what it writes and reads.
trait Peer {
    /// The bytes of these events as the client sends them, messages cut into frames of at most `frame_size` bytes.
    fn write(&self, events: &[Event], frame_size: usize) -> Vec<u8>;
    /// What the client understands of a server's bytes that come one at a time.
    fn read(&self, bytes: &[u8]) -> Vec<Event>;
}

/// Text of exactly this many bytes, with characters of one to four.
fn text(len: usize) -> String {
    let mut text = "a\u{df}\u{20ac}\u{1f600}".repeat(len / 10);
    text.extend(std::iter::repeat_n('z', len - text.len()));
    text
}

fn binary(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 % 251) as u8).collect()
}

/// A short conversation with messages of this size, and every kind of frame.
fn script(size: usize) -> Vec<Event> {
    vec![
        Event::Ping(binary(size.min(125))),
        Event::Text(text(size)),
        Event::Binary(binary(size)),
        Event::Close(Some((4_001, text(size.min(123))))),
    ]
}

/// Decodes `bytes` cut at these places, in order.
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Event>, Violation> {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let mut begin = 0;
    for &end in cuts.iter().chain([&bytes.len()]) {
        let mut input = bytes[begin..end].to_vec();
        decoder.feed(&mut input, LIMIT, |incoming| {
            events.push(Event::from(incoming));
            ControlFlow::Continue(())
        })?;
        begin = end;
    }
    assert_eq!(decoder.held_bytes(), 0, "nothing is kept behind a whole message");
    Ok(events)
}

fn small_frames_cut_at_every_byte(peer: &impl Peer) {
    for size in SMALL {
        for frame_size in [usize::MAX, 126, 50, 1] {
            let sent = script(size);
            let bytes = peer.write(&sent, frame_size);
            assert_eq!(decode(&bytes, &[]).as_ref(), Ok(&sent));
            for cut in 1..bytes.len() {
                assert_eq!(decode(&bytes, &[cut]).as_ref(), Ok(&sent), "{size} in {frame_size}, cut at {cut}");
            }
            let every_byte: Vec<usize> = (1..bytes.len()).collect();
            assert_eq!(decode(&bytes, &every_byte).as_ref(), Ok(&sent), "{size} in {frame_size}, byte by byte");
        }
    }
}

fn large_frames_cut_about_headers_and_anywhere(peer: &impl Peer) {
    let mut rng = SmallRng::seed_from_u64(7);
    for size in LARGE {
        for frame_size in [usize::MAX, 4_096] {
            let sent = script(size);
            let bytes = peer.write(&sent, frame_size);
            assert_eq!(decode(&bytes, &[]).as_ref(), Ok(&sent));
            // The ping and the headers of the text, the header of the binary message, the close.
            let about_headers = (125..160).chain(bytes.len() - 140..bytes.len());
            let middle = bytes.len() / 2;
            for cut in about_headers.chain(middle - 100..middle + 100) {
                assert_eq!(decode(&bytes, &[cut]).as_ref(), Ok(&sent), "{size} in {frame_size}, cut at {cut}");
            }
            for _ in 0..50 {
                let mut cuts: Vec<usize> = (0..8).map(|_| rng.random_range(1..bytes.len())).collect();
                cuts.sort_unstable();
                assert_eq!(decode(&bytes, &cuts).as_ref(), Ok(&sent), "{size} in {frame_size}, cut at {cuts:?}");
            }
        }
    }
}

fn reads_what_the_edge_writes(peer: &impl Peer) {
    for size in SMALL.into_iter().chain(LARGE) {
        let sent = script(size);
        let mut bytes = Vec::new();
        for event in &sent {
            match event {
                Event::Text(text) => encode::put_frame(&mut bytes, Opcode::Text, text.as_bytes()),
                Event::Binary(payload) => {
                    let (front, back) = payload.split_at(payload.len() / 3);
                    bytes.extend(encode::frame(Opcode::Binary, &[front, back]));
                }
                Event::Ping(payload) => encode::put_frame(&mut bytes, Opcode::Ping, payload),
                Event::Pong(payload) => encode::put_frame(&mut bytes, Opcode::Pong, payload),
                Event::Close(Some((code, reason))) => encode::put_close(&mut bytes, *code, reason),
                Event::Close(None) => encode::put_frame(&mut bytes, Opcode::Close, b""),
            }
        }
        assert_eq!(peer.read(&bytes), sent, "{size}");
    }
}

macro_rules! against {
    ($($name:ident: $peer:expr;)*) => {$(
        mod $name {
            #[test]
            fn small_frames_cut_at_every_byte() {
                super::small_frames_cut_at_every_byte(&$peer);
            }

            #[test]
            fn large_frames_cut_about_headers_and_anywhere() {
                super::large_frames_cut_about_headers_and_anywhere(&$peer);
            }

            #[test]
            fn reads_what_the_edge_writes() {
                super::reads_what_the_edge_writes(&$peer);
            }

            #[test]
            fn shakes_hands() {
                $peer.shake_hands();
            }
        }
    )*};
}

against! {
    tungstenite: crate::ws_peers::tungstenite::Tungstenite;
    tokio_websockets: crate::ws_peers::tokio_websockets::TokioWebsockets;
}
