//! What waits for one socket. While the socket takes everything, that is the list of the turn's frames and nothing else;
//! only a socket that does not has a backlog.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use switchyard_protocol::id::ConversationId;

use super::outbox::{FrameId, Outbox, WRITE_BYTES, write_once};

/// A socket's queue.
#[derive(Default)]
pub(super) struct Queue {
    fresh: SmallVec<[FrameId; 8]>,
    fresh_bytes: usize,
    backlog: Option<Box<Backlog>>,
}

/// A conversation whose events gave way, and the newest of them.
pub(super) type Mark = (ConversationId, u64);

/// What is to be told once nothing waits any more.
#[derive(Default)]
pub(super) struct Owed {
    pub(super) heads: Vec<Mark>,
    /// Conversations of which it changed who types: as it is by then.
    pub(super) typing: Vec<ConversationId>,
    /// Homes of users, and conversations that are counted, of which it was not told that somebody came or went.
    pub(super) presence: Vec<ConversationId>,
    /// Conversations of which it was not told how far members have come.
    pub(super) marks: Vec<ConversationId>,
}

#[derive(Default)]
struct Backlog {
    /// Never empty ones; the first may be written in part already.
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The first frame has been begun, so that it must be finished.
    begun: bool,
    /// When the socket took something last.
    progress: Duration,
    owed: Owed,
}

/// How far a write came.
pub(super) enum Written {
    /// Nothing waits any more. This is to be told now.
    All(Owed),
    /// The socket takes nothing now.
    Blocked,
}

impl Queue {
    /// Adds a frame of this turn.
    pub(super) fn push(&mut self, frame: FrameId, bytes: usize) {
        self.fresh.push(frame);
        self.fresh_bytes += bytes;
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.fresh_bytes + self.backlog_bytes()
    }

    /// Bytes that the socket has not taken.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.bytes)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.backlog.is_none()
    }

    /// When a socket that does not take what waits for it took something last.
    pub(super) fn blocked_since(&self) -> Option<Duration> {
        self.backlog.as_ref().map(|backlog| backlog.progress)
    }

    /// Whether any events gave way and their marks have not been told.
    pub(super) fn is_behind(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| !backlog.owed.heads.is_empty())
    }

    /// Whether events of this conversation gave way and its mark has not been told.
    pub(super) fn gives_way(&self, conversation: ConversationId) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| backlog.owed.heads.iter().any(|(known, _)| *known == conversation))
    }

    /// Remembers that an event gave way. Only for a queue with a backlog, whose end brings the mark out.
    pub(super) fn mark(&mut self, conversation: ConversationId, head: u64) {
        let backlog = self.backlog.get_or_insert_default();
        match backlog.owed.heads.iter_mut().find(|(known, _)| *known == conversation) {
            Some((_, newest)) => *newest = (*newest).max(head),
            None => backlog.owed.heads.push((conversation, head)),
        }
    }

    /// Whether who types in this conversation is told only when nothing waits any more: then this remembers it.
    pub(super) fn put_typing_off(&mut self, conversation: ConversationId) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        if !backlog.owed.typing.contains(&conversation) {
            backlog.owed.typing.push(conversation);
        }
        true
    }

    /// Whether a change of this home's user, or of this conversation's count, is told only when nothing waits any more: then this
    /// remembers it.
    pub(super) fn put_presence_off(&mut self, watched: ConversationId) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        if !backlog.owed.presence.contains(&watched) {
            backlog.owed.presence.push(watched);
        }
        true
    }

    /// Whether marks in this conversation are not told now, for something waits: then it is remembered that they were not.
    pub(super) fn leave_marks_out(&mut self, conversation: ConversationId) -> bool {
        let Some(backlog) = &mut self.backlog else { return false };
        if !backlog.owed.marks.contains(&conversation) {
            backlog.owed.marks.push(conversation);
        }
        true
    }

    /// Forgets what was not begun, as its reader will be closed.
    pub(super) fn cut(&mut self) {
        self.fresh.clear();
        self.fresh_bytes = 0;
        if let Some(backlog) = &mut self.backlog {
            backlog.frames.truncate(usize::from(backlog.begun));
            backlog.bytes = backlog.frames.iter().map(Bytes::len).sum();
            backlog.owed = Owed::default();
        }
    }

    /// Writes what waits. `writable`: the socket is known to take something again, or has never refused.
    pub(super) fn write(
        &mut self,
        socket: impl io::Write,
        outbox: &mut Outbox,
        writable: bool,
        now: Duration,
        sent_bytes: &mut u64,
    ) -> io::Result<Written> {
        let mut socket = socket;
        if self.backlog.is_none() {
            if self.fresh.is_empty() {
                return Ok(Written::All(Owed::default()));
            }
            if self.fresh_bytes <= WRITE_BYTES || self.fresh.len() == 1 {
                let bytes = outbox.gather(&self.fresh);
                let Some(written) = write_once(&mut socket, bytes)? else {
                    self.put_off(outbox, now);
                    return Ok(Written::Blocked);
                };
                *sent_bytes += written as u64;
                if written == bytes.len() {
                    self.clear_fresh();
                    return Ok(Written::All(Owed::default()));
                }
                self.put_off(outbox, now);
                if let Some(backlog) = &mut self.backlog {
                    backlog.advance(written, now);
                }
            } else {
                self.put_off(outbox, now);
            }
        } else {
            self.put_off(outbox, now);
            if !writable {
                return Ok(Written::Blocked);
            }
        }
        let Some(backlog) = &mut self.backlog else { return Ok(Written::All(Owed::default())) };
        if !backlog.write(&mut socket, outbox.scratch(), now, sent_bytes)? {
            return Ok(Written::Blocked);
        }
        let owed = self.backlog.take().map(|backlog| backlog.owed).unwrap_or_default();
        Ok(Written::All(owed))
    }

    /// Moves the turn's frames to the backlog.
    fn put_off(&mut self, outbox: &mut Outbox, now: Duration) {
        let backlog = self.backlog.get_or_insert_with(|| Box::new(Backlog { progress: now, ..Backlog::default() }));
        for id in &self.fresh {
            let bytes = outbox.share(*id);
            backlog.bytes += bytes.len();
            backlog.frames.push_back(bytes);
        }
        self.clear_fresh();
    }

    fn clear_fresh(&mut self) {
        self.fresh_bytes = 0;
        if self.fresh.spilled() {
            self.fresh = SmallVec::new();
        } else {
            self.fresh.clear();
        }
    }
}

impl Backlog {
    /// `false`: the socket takes nothing more now.
    fn write(
        &mut self,
        mut socket: impl io::Write,
        scratch: &mut Vec<u8>,
        now: Duration,
        sent_bytes: &mut u64,
    ) -> io::Result<bool> {
        while let Some(first) = self.frames.front() {
            let bytes = match self.frames.get(1) {
                Some(second) if first.len() + second.len() <= WRITE_BYTES => {
                    scratch.clear();
                    for frame in &self.frames {
                        if scratch.len() + frame.len() > WRITE_BYTES {
                            break;
                        }
                        scratch.extend_from_slice(frame);
                    }
                    scratch.as_slice()
                }
                _ => first,
            };
            // After a short write the socket is asked again: only its refusal makes it tell when it is ready.
            let Some(written) = write_once(&mut socket, bytes)? else { return Ok(false) };
            *sent_bytes += written as u64;
            self.advance(written, now);
        }
        Ok(true)
    }

    fn advance(&mut self, mut written: usize, now: Duration) {
        if written == 0 {
            return;
        }
        self.progress = now;
        self.bytes -= written;
        while let Some(first) = self.frames.front_mut() {
            if written < first.len() {
                first.advance(written);
                self.begun |= written > 0;
                return;
            }
            written -= first.len();
            self.frames.pop_front();
            self.begun = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::Opcode;

    /// Takes `room` bytes, then nothing.
    struct Socket {
        room: usize,
        taken: Vec<u8>,
        writes: usize,
    }

    impl Socket {
        fn with_room(room: usize) -> Self {
            Self { room, taken: Vec::new(), writes: 0 }
        }
    }

    impl io::Write for &mut Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.room);
            self.taken.extend_from_slice(&bytes[..taken]);
            self.room -= taken;
            self.writes += 1;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn put(queue: &mut Queue, outbox: &mut Outbox, payload: &[u8]) -> Vec<u8> {
        let id = outbox.put(Opcode::Binary, payload);
        let bytes = outbox.bytes(id).to_vec();
        queue.push(id, bytes.len());
        bytes
    }

    fn write(queue: &mut Queue, socket: &mut Socket, outbox: &mut Outbox) -> Written {
        queue.write(socket, outbox, true, Duration::ZERO, &mut 0).expect("this socket has no errors")
    }

    #[test]
    fn a_turn_leaves_in_one_write() {
        let (mut queue, mut outbox, mut socket) = (Queue::default(), Outbox::default(), Socket::with_room(1 << 20));
        let wanted: Vec<u8> =
            [&b"one"[..], b"two", b"three"].iter().flat_map(|text| put(&mut queue, &mut outbox, text)).collect();
        assert!(matches!(write(&mut queue, &mut socket, &mut outbox), Written::All(owed) if owed.heads.is_empty()));
        assert_eq!((socket.taken, socket.writes), (wanted, 1));
        assert!(queue.is_empty());
    }

    #[test]
    fn whatever_a_socket_takes_at_a_time_it_gets_all_in_order() {
        for step in [1, 2, 3, 7, 100, 20_000, 70_000] {
            let (mut queue, mut outbox, mut socket) = (Queue::default(), Outbox::default(), Socket::with_room(0));
            let mut wanted = Vec::new();
            for turn in 0..3_u8 {
                for len in [10, 300, 40_000, 5, 20_000] {
                    wanted.extend(put(&mut queue, &mut outbox, &vec![turn; len / if step < 100 { 100 } else { 1 }]));
                }
                socket.room = step;
                assert!(matches!(write(&mut queue, &mut socket, &mut outbox), Written::Blocked | Written::All(_)));
                outbox.clear();
            }
            queue.mark(ConversationId::from_bytes([1; 16]), 4);
            let marks = loop {
                socket.room = step;
                if let Written::All(owed) = write(&mut queue, &mut socket, &mut outbox) {
                    break owed.heads;
                }
            };
            assert!(socket.taken == wanted, "in steps of {step}");
            assert_eq!(marks, [(ConversationId::from_bytes([1; 16]), 4)]);
            assert!(queue.is_empty() && queue.bytes() == 0);
        }
    }

    #[test]
    fn a_cut_queue_finishes_the_frame_it_began() {
        let (mut queue, mut outbox, mut socket) = (Queue::default(), Outbox::default(), Socket::with_room(4));
        let first = put(&mut queue, &mut outbox, b"first");
        put(&mut queue, &mut outbox, b"second");
        assert!(matches!(write(&mut queue, &mut socket, &mut outbox), Written::Blocked));
        queue.cut();
        let last = put(&mut queue, &mut outbox, b"last");
        socket.room = 1_000;
        assert!(matches!(write(&mut queue, &mut socket, &mut outbox), Written::All(_)));
        assert_eq!(socket.taken, [first, last].concat());
    }
}
