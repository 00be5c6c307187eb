//! Frames of a client to messages, from bytes as they arrive.
//!
//! A broker has very many connections that say nothing most of the time. So the caller owns the bytes: it reads into one
//! scratch buffer for all its connections, and a [`Decoder`] keeps something only between the pieces of a frame or of a
//! message. What lies whole within the input is unmasked where it is and handed out borrowed. Must not answer anything:
//! pongs and closes are the caller's.

use std::ops::ControlFlow;

use super::header::{self, CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Rules};
use super::message::{Kind, Message};
use super::{Opcode, Violation, mask};

/// Frames that one message may be cut into. Clients send a message in one frame, or in pieces of some KiB; at the largest message this
/// leaves pieces of 128 bytes. Without it, empty pieces would cost time for ever and never meet the limit on bytes.
pub const FRAGMENTS_MAX: u32 = 1_024;

/// What a client sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload, 125 bytes at most.
    Ping(&'a [u8]),
    /// An answer to a ping, or unasked.
    Pong(&'a [u8]),
    /// The client's last frame: code and reason, if it gave any. Whatever follows is skipped.
    Close(Option<(u16, &'a str)>),
}

/// The state of one connection's incoming side. Small and without memory of its own while nothing is cut.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// Between messages.
    #[default]
    Idle,
    /// Within a header, a frame or a fragmented message.
    Partial(Box<Partial>),
    /// After a close frame: nothing counts any more.
    Closed,
    /// After a violation, which is final.
    Broken(Violation),
}

/// What is kept between two inputs.
#[derive(Debug, Default)]
struct Partial {
    /// The bytes of a cut header, `header_size` of them.
    header: [u8; HEADER_BYTES_MAX],
    header_size: usize,
    frame: Option<Frame>,
    /// The payload of a cut control frame; it may come between the pieces of a message.
    control: Vec<u8>,
    message: Option<Message>,
}

/// A frame whose header is there and whose payload is not.
#[derive(Clone, Copy, Debug)]
struct Frame {
    header: Header,
    arrived: usize,
}

impl Decoder {
    /// A decoder at the begin of a connection, after the handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the next bytes of the connection and hands every message to `sink`. `input` is used as working space and holds
    /// nothing of meaning afterwards, save what was not consumed.
    ///
    /// Returns how many bytes were consumed: all of them, unless `sink` breaks. Then it stands right behind the message that
    /// broke, and the caller may go on from there with another limit, or later. A message above `message_bytes_max` is
    /// refused by its header. After a violation every further call returns the same one; after a close frame all bytes
    /// are skipped.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
        mut sink: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<usize, Violation> {
        let mut consumed = 0;
        while let Some(rest) = input.get_mut(consumed..).filter(|rest| !rest.is_empty()) {
            let step = match &mut self.state {
                State::Idle => self.step_idle(rest, message_bytes_max, &mut sink),
                State::Partial(_) => self.step_partial(rest, message_bytes_max, &mut sink),
                State::Closed => return Ok(consumed + rest.len()),
                State::Broken(violation) => return Err(*violation),
            };
            match step {
                Ok((used, flow)) => {
                    consumed += used;
                    if flow.is_break() {
                        break;
                    }
                }
                Err(violation) => {
                    self.state = State::Broken(violation);
                    return Err(violation);
                }
            }
        }
        match self.state {
            // An empty input meets a violation too.
            State::Broken(violation) => Err(violation),
            _ => Ok(consumed),
        }
    }

    /// Whether no frame and no message is under way, and the connection is neither closed nor broken.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Whether the client's close frame has come.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Bytes of memory held for what is cut: at most the limit on messages, that of a control frame and a fixed part.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Partial(partial) => {
                let message = partial.message.as_ref().map_or(0, Message::capacity);
                size_of::<Partial>() + partial.control.capacity() + message
            }
            State::Idle | State::Closed | State::Broken(_) => 0,
        }
    }

    /// One frame, or the begin of one, with nothing kept from before.
    fn step_idle(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
        sink: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Violation> {
        let Some(header) = header::parse(input, Rules { open_message: None, message_bytes_max })? else {
            self.state = State::Partial(Box::default());
            return self.step_partial(input, message_bytes_max, sink);
        };
        let end = header.size.saturating_add(header.payload);
        let Some(payload) = input.get_mut(header.size..end) else {
            let mut partial = Box::<Partial>::default();
            partial.begin(header)?;
            self.state = State::Partial(partial);
            return Ok((header.size, ControlFlow::Continue(())));
        };
        let kind = match header.opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary => Kind::Binary,
            Opcode::Close | Opcode::Ping | Opcode::Pong => {
                mask::apply(payload, header.mask, 0);
                return Ok((end, self.hand_out_control(header.opcode, payload, sink)?));
            }
            Opcode::Continuation => return Err(Violation::StrayContinuation),
        };
        mask::apply(payload, header.mask, 0);
        if header.fin {
            return Ok((end, sink(incoming(kind, payload)?)));
        }
        let mut message = Message::new(kind);
        message.push(payload, message_bytes_max)?;
        self.state = State::Partial(Box::new(Partial { message: Some(message), ..Partial::default() }));
        Ok((end, ControlFlow::Continue(())))
    }

    /// At most one frame, with something kept from before.
    fn step_partial(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
        sink: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, ControlFlow<()>), Violation> {
        let State::Partial(partial) = &mut self.state else { return Ok((0, ControlFlow::Continue(()))) };
        let mut used = 0;
        if partial.frame.is_none() {
            let (taken, header) = partial.take_header(input, message_bytes_max)?;
            used = taken;
            match header {
                Some(header) => partial.begin(header)?,
                None => return Ok((used, ControlFlow::Continue(()))),
            }
        }
        let rest = input.get_mut(used..).unwrap_or_default();
        let (taken, finished) = partial.take_payload(rest, message_bytes_max)?;
        used += taken;
        let Some(header) = finished else { return Ok((used, ControlFlow::Continue(()))) };
        let flow = if header.opcode.is_control() {
            let control = std::mem::take(&mut partial.control);
            if partial.message.is_none() {
                self.state = State::Idle;
            }
            self.hand_out_control(header.opcode, &control, sink)?
        } else if header.fin {
            let message = partial.message.take().expect("a data frame under way has a message");
            self.state = State::Idle;
            let (kind, payload) = message.finish()?;
            sink(incoming(kind, payload)?)
        } else {
            ControlFlow::Continue(())
        };
        Ok((used, flow))
    }

    fn hand_out_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        sink: &mut impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Violation> {
        let incoming = match opcode {
            Opcode::Ping => Incoming::Ping(payload),
            Opcode::Pong => Incoming::Pong(payload),
            _ => {
                let close = parse_close(payload)?;
                self.state = State::Closed;
                Incoming::Close(close)
            }
        };
        Ok(sink(incoming))
    }
}

impl Partial {
    /// Takes bytes up to the end of a header; says how many, and the header once it is whole.
    fn take_header(&mut self, input: &[u8], message_bytes_max: usize) -> Result<(usize, Option<Header>), Violation> {
        let rules = Rules { open_message: self.message.as_ref().map(Message::len), message_bytes_max };
        if self.header_size == 0
            && let Some(header) = header::parse(input, rules)?
        {
            return Ok((header.size, Some(header)));
        }
        let before = self.header_size;
        let joined_size = HEADER_BYTES_MAX.min(before + input.len());
        for (to, from) in self.header.iter_mut().skip(before).zip(input) {
            *to = *from;
        }
        let joined = self.header.get(..joined_size).unwrap_or_default();
        match header::parse(joined, rules)? {
            Some(header) => {
                self.header_size = 0;
                Ok((header.size - before, Some(header)))
            }
            None => {
                self.header_size = joined_size;
                Ok((joined_size - before, None))
            }
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        match header.opcode {
            Opcode::Text => self.message = Some(Message::new(Kind::Text)),
            Opcode::Binary => self.message = Some(Message::new(Kind::Binary)),
            Opcode::Continuation => {
                let message = self.message.as_mut().ok_or(Violation::StrayContinuation)?;
                if message.count_fragment() > FRAGMENTS_MAX {
                    return Err(Violation::TooManyFragments);
                }
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => self.control = Vec::new(),
        }
        self.frame = Some(Frame { header, arrived: 0 });
        Ok(())
    }

    /// Takes bytes of the frame under way; says how many, and the frame's header once its payload is whole.
    fn take_payload(
        &mut self,
        input: &mut [u8],
        message_bytes_max: usize,
    ) -> Result<(usize, Option<Header>), Violation> {
        let Some(Frame { header, arrived }) = self.frame else { return Ok((0, None)) };
        let missing = header.payload - arrived;
        let taken = missing.min(input.len());
        let bytes = input.get_mut(..taken).unwrap_or_default();
        mask::apply(bytes, header.mask, arrived);
        if header.opcode.is_control() {
            self.control.reserve_exact(CONTROL_BYTES_MAX.min(header.payload) - self.control.len());
            self.control.extend_from_slice(bytes);
        } else if let Some(message) = &mut self.message {
            // The last frame tells the length of the whole; before it, only the limit is known.
            let announced = message.len() + missing;
            let len_max = if header.fin { announced } else { announced.max(message_bytes_max) };
            message.push(bytes, len_max)?;
        }
        if taken == missing {
            self.frame = None;
            return Ok((taken, Some(header)));
        }
        self.frame = Some(Frame { header, arrived: arrived + taken });
        Ok((taken, None))
    }
}

fn incoming(kind: Kind, payload: &[u8]) -> Result<Incoming<'_>, Violation> {
    Ok(match kind {
        Kind::Binary => Incoming::Binary(payload),
        Kind::Text => Incoming::Text(simdutf8::basic::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?),
    })
}

/// Code and reason of a close frame; none if it has no payload.
fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk::<2>().ok_or(Violation::ClosePayload)?;
    let code = u16::from_be_bytes(*code);
    // RFC 6455, section 7.4, and the codes registered since (1012-1014). 1005, 1006 and 1015 are only ever made up by the
    // receiver's own library; 1004 and the rest below 3000 are reserved.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::CloseCode);
    }
    let reason = simdutf8::basic::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some((code, reason)))
}

#[cfg(test)]
mod tests;
