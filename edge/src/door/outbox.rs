//! The frames that one turn makes, each once, whoever receives them; and the writing of them.
//!
//! A frame lies in the worker's arena and is known by its number until the turn ends. A socket's queue of the turn is a
//! list of such numbers: a delivery to a reader costs four bytes and touches no counter. At the end of the turn a
//! socket's frames are gathered in one buffer and leave in one write; only what a socket does not take becomes bytes of
//! its own (shared among those that do not take the same frame).

use std::io;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::hot;
use switchyard_protocol::v1::ServerFrame;

use crate::ws::Opcode;
use crate::ws::encode::{frame as whole_frame, frame_header, put_close};

/// Bytes gathered for one write. A socket's send buffer holds a few times as much.
pub(super) const WRITE_BYTES: usize = 64 * 1024;

/// Frames from this size on are kept outside the arena and written from where they are: copying them costs more than
/// a write of their own.
const LARGE_BYTES: usize = 16 * 1024;

/// Bytes in the arena from which on the turn's sockets are written early, so that a burst does not grow it.
const ARENA_BYTES_HIGH: usize = 1024 * 1024;

/// The same in frames, for a burst of small ones.
const FRAMES_HIGH: usize = 16 * 1024;

/// Bytes of room that are kept however little is used.
const ARENA_BYTES_KEPT: usize = 64 * 1024;

/// Turns in a row that used little of the room before it is given back.
const QUIET_TURNS: u8 = 16;

/// A frame of this turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameId(u32);

enum Frame {
    Small { at: Range<usize>, shared: Option<Bytes> },
    Large(Bytes),
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    arena: Vec<u8>,
    frames: Vec<Frame>,
    gathered: Vec<u8>,
    /// The frames that lie in `gathered`. Readers of one room often get the same.
    gathered_ids: Vec<FrameId>,
    quiet_turns: u8,
}

impl Outbox {
    /// A frame with this payload.
    pub(super) fn put(&mut self, opcode: Opcode, payload: &[u8]) -> FrameId {
        if payload.len() >= LARGE_BYTES {
            return self.push(Frame::Large(whole_frame(opcode, &[payload])));
        }
        self.small(|arena| {
            arena.extend_from_slice(&frame_header(opcode, payload.len()));
            arena.extend_from_slice(payload);
        })
    }

    /// A server's frame in a client's form.
    pub(super) fn put_server_frame(&mut self, form: Form, frame: &ServerFrame) -> FrameId {
        match form {
            Form::Json => self.put(Opcode::Text, &frame::encode_server(form, frame)),
            Form::Proto => {
                let len = frame.encoded_len();
                let header = frame_header(Opcode::Binary, len);
                if len >= LARGE_BYTES {
                    let mut bytes = BytesMut::with_capacity(header.len() + len);
                    bytes.put_slice(&header);
                    // Encoding fails only for want of room, and there is as much as it said.
                    let _ = frame.encode(&mut bytes);
                    return self.push(Frame::Large(bytes.freeze()));
                }
                self.small(|arena| {
                    arena.extend_from_slice(&header);
                    let _ = frame.encode(arena);
                })
            }
        }
    }

    /// The answer to a send, around the message as its owner encoded it.
    pub(super) fn put_sent(&mut self, id: u64, duplicate: bool, message: &[u8]) -> FrameId {
        let mut head = [0; hot::HEAD_BYTES_MAX];
        let mut rest = head.as_mut_slice();
        hot::put_sent_head(id, duplicate, message.len(), &mut rest);
        let left = rest.len();
        let head = head.get(..hot::HEAD_BYTES_MAX - left).unwrap_or_default();
        self.small(|arena| {
            arena.extend_from_slice(&frame_header(Opcode::Binary, head.len() + message.len()));
            arena.extend_from_slice(head);
            arena.extend_from_slice(message);
        })
    }

    /// A close frame.
    pub(super) fn put_close(&mut self, code: u16, reason: &str) -> FrameId {
        self.small(|arena| put_close(arena, code, reason))
    }

    /// Bytes that are no frame: an HTTP answer.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) -> FrameId {
        self.small(|arena| arena.extend_from_slice(bytes))
    }

    fn small(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> FrameId {
        let start = self.arena.len();
        write(&mut self.arena);
        let at = start..self.arena.len();
        self.push(Frame::Small { at, shared: None })
    }

    fn push(&mut self, frame: Frame) -> FrameId {
        let id = u32::try_from(self.frames.len()).expect("a turn is cut long before so many frames");
        self.frames.push(frame);
        FrameId(id)
    }

    /// The bytes of a frame.
    pub(super) fn bytes(&self, id: FrameId) -> &[u8] {
        match self.frames.get(id.0 as usize) {
            Some(Frame::Small { at, .. }) => self.arena.get(at.clone()).unwrap_or_default(),
            Some(Frame::Large(bytes)) => bytes,
            None => &[],
        }
    }

    /// The frame as bytes that outlive the turn.
    pub(super) fn share(&mut self, id: FrameId) -> Bytes {
        match self.frames.get_mut(id.0 as usize) {
            Some(Frame::Small { at, shared }) => {
                let arena = &self.arena;
                let copy = || Bytes::copy_from_slice(arena.get(at.clone()).unwrap_or_default());
                shared.get_or_insert_with(copy).clone()
            }
            Some(Frame::Large(bytes)) => bytes.clone(),
            None => Bytes::new(),
        }
    }

    /// Whether the sockets should be written before more is made.
    pub(super) fn is_full(&self) -> bool {
        self.arena.len() >= ARENA_BYTES_HIGH || self.frames.len() >= FRAMES_HIGH
    }

    /// Ends the turn: no number of it is good any more.
    pub(super) fn clear(&mut self) {
        self.keep_little();
        self.arena.clear();
        self.frames.clear();
        self.gathered_ids.clear();
    }

    /// Gives back what bursts have left, between two turns.
    pub(super) fn rest(&mut self) {
        if self.frames.is_empty() {
            *self = Self::default();
        }
    }

    /// Gives room back that a burst needed and the last turns did not.
    fn keep_little(&mut self) {
        if self.arena.capacity() <= ARENA_BYTES_KEPT || self.arena.len() > self.arena.capacity() / 4 {
            self.quiet_turns = 0;
            return;
        }
        self.quiet_turns += 1;
        if self.quiet_turns >= QUIET_TURNS {
            *self = Self::default();
        }
    }

    /// These frames in one piece.
    pub(super) fn gather(&mut self, ids: &[FrameId]) -> &[u8] {
        if let [only] = ids {
            return self.bytes(*only);
        }
        if self.gathered_ids != ids {
            let mut gathered = std::mem::take(&mut self.gathered);
            gathered.clear();
            for id in ids {
                gathered.extend_from_slice(self.bytes(*id));
            }
            self.gathered = gathered;
            self.gathered_ids.clear();
            self.gathered_ids.extend_from_slice(ids);
        }
        &self.gathered
    }

    /// Room for gathering bytes that are not of this turn.
    pub(super) fn scratch(&mut self) -> &mut Vec<u8> {
        self.gathered_ids.clear();
        &mut self.gathered
    }
}

/// Writes once; `Ok(None)`: the socket takes nothing now.
pub(super) fn write_once(mut socket: impl io::Write, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(Some(written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
