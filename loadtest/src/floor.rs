//! The least that the work can cost on a machine: raw TCP, frames that need no encoding, no promises, and all waiting
//! frames of a socket in one write. The base of ratios, run beside a measurement.
//!
//! The server is a child process of its own, so that its CPU can be told apart; it runs on a core that the generator
//! does not use, where there is one.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of what follows, little-endian, as all numbers here |
//! | 1 | kind: 0 hello, 1 send, 2 ack, 3 event |
//! | 4 | number of the connection that said hello or sent it |
//! | 8 | the sender's count of messages |
//! | rest | body (send, event) |

mod child;
mod client;
mod pipe;
mod server;

pub use self::child::serve;
pub use self::client::run;

/// Bytes of a frame before its body.
const HEAD: usize = 17;

const HELLO: u8 = 0;
const SEND: u8 = 1;
const ACK: u8 = 2;
const EVENT: u8 = 3;

/// A frame's head and the whole of it.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    kind: u8,
    sender: u32,
    count: u64,
    whole: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the first frame off `bytes`, if it is there whole.
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let (whole, rest) = bytes.split_at_checked(4 + len)?;
        let kind = *whole.get(4)?;
        let sender = u32::from_le_bytes(whole.get(5..9)?.try_into().ok()?);
        let count = u64::from_le_bytes(whole.get(9..HEAD)?.try_into().ok()?);
        Some((Self { kind, sender, count, whole }, rest))
    }
}

/// Appends a frame.
fn put(kind: u8, sender: u32, count: u64, body: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(&((HEAD - 4 + body.len()) as u32).to_le_bytes());
    to.push(kind);
    to.extend_from_slice(&sender.to_le_bytes());
    to.extend_from_slice(&count.to_le_bytes());
    to.extend_from_slice(body);
}
