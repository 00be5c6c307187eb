//! Messages to frames of a server. They carry no mask, so a frame is the same for every receiver and is made once.
//!
//! Must not cut messages into pieces: clients take any size that the broker sends.

use bytes::{BufMut, Bytes, BytesMut};

use super::Opcode;
use super::header::CONTROL_BYTES_MAX;

/// Bytes of a close frame's reason: a control frame's payload less the code.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// The header of one frame: two, four or ten bytes. Dereferences to them.
#[derive(Clone, Copy, Debug)]
pub struct FrameHeader {
    bytes: [u8; 10],
    size: u8,
}

impl std::ops::Deref for FrameHeader {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.size)).unwrap_or_default()
    }
}

/// The header of a whole message, or control frame, of `payload_len` bytes.
pub fn frame_header(opcode: Opcode, payload_len: usize) -> FrameHeader {
    debug_assert!(!opcode.is_control() || payload_len <= CONTROL_BYTES_MAX, "a control frame has 125 bytes at most");
    let first = 0x80 | opcode.bits();
    let mut bytes = [0; 10];
    let size = if let Ok(short @ 0..=125) = u8::try_from(payload_len) {
        bytes[..2].copy_from_slice(&[first, short]);
        2
    } else if let Ok(length) = u16::try_from(payload_len) {
        bytes[..2].copy_from_slice(&[first, 126]);
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        4
    } else {
        bytes[..2].copy_from_slice(&[first, 127]);
        bytes[2..].copy_from_slice(&(payload_len as u64).to_be_bytes());
        10
    };
    FrameHeader { bytes, size }
}

/// Appends a frame to what waits for a socket.
pub fn put_frame(out: &mut impl BufMut, opcode: Opcode, payload: &[u8]) {
    out.put_slice(&frame_header(opcode, payload.len()));
    out.put_slice(payload);
}

/// A frame whose payload is the parts joined, in one allocation: to be shared by all who receive it.
pub fn frame(opcode: Opcode, parts: &[&[u8]]) -> Bytes {
    let payload_len = parts.iter().map(|part| part.len()).sum();
    let header = frame_header(opcode, payload_len);
    let mut out = BytesMut::with_capacity(header.len() + payload_len);
    out.put_slice(&header);
    for part in parts {
        out.put_slice(part);
    }
    out.freeze()
}

/// Appends a close frame. A reason above [`REASON_BYTES_MAX`] is cut between two characters.
pub fn put_close(out: &mut impl BufMut, code: u16, reason: &str) {
    let reason = reason.get(..reason.floor_char_boundary(REASON_BYTES_MAX)).unwrap_or_default().as_bytes();
    out.put_slice(&frame_header(Opcode::Close, 2 + reason.len()));
    out.put_u16(code);
    out.put_slice(reason);
}

/// A close frame of its own; see [`put_close`].
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(2 + CONTROL_BYTES_MAX);
    put_close(&mut out, code, reason);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        let mut out = Vec::new();
        put_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(frame(Opcode::Ping, &[b"Hel", b"", b"lo"])[..], [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(frame_header(Opcode::Binary, 256)[..], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(frame_header(Opcode::Binary, 65_536)[..], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        for (payload_len, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (usize::MAX, 10)] {
            assert_eq!(frame_header(Opcode::Binary, payload_len).len(), size, "{payload_len}");
        }
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        assert_eq!(close_frame(4002, "slow")[..], [0x88, 6, 0x0f, 0xa2, b's', b'l', b'o', b'w']);
        let long = close_frame(1008, &"\u{20ac}".repeat(100));
        assert_eq!(long.len(), 2 + 2 + 123);
        assert_eq!(std::str::from_utf8(&long[4..]), Ok("\u{20ac}".repeat(41).as_str()));
        let long = close_frame(1008, &"\u{df}".repeat(100));
        assert_eq!(long.len(), 2 + 2 + 122);
    }
}
