//! Reads the two frames that make up nearly all traffic, the reply to a send and the message event, in place: a few
//! loads for each field instead of six allocations for each frame.
//!
//! Anything else, and anything unexpected, is answered with `None`: the caller decodes it as a whole then. Unexpected is what the
//! protocol's own encoder does not write: fields that are out of order, there twice, or unknown here. So what is read here the
//! whole decoder reads as well, and in the same way; it refuses texts that are not UTF-8 beside that, which here are bytes
//! that were never sent.
//!
//! | frame | path of field numbers to the message |
//! |---|---|
//! | reply to a send | `ServerFrame.reply = 1`, `Reply.id = 1`, `Reply.sent = 6`, `Sent.duplicate = 1`, `Sent.message = 2` |
//! | message event | `ServerFrame.event = 2`, `Event.conversation = 1`, `Event.seq = 2`, `Event.message = 3` |

use super::{Incoming, MessageRef};

/// One field: its number and what it holds.
#[derive(Clone, Copy)]
enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
}

impl Field<'_> {
    fn number(self) -> u32 {
        match self {
            Self::Number(number, _) | Self::Bytes(number, _) => number,
        }
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for (at, &byte) in rest.iter().enumerate().take(9) {
            value |= u64::from(byte & 0x7f) << (7 * (at + 1));
            if byte < 0x80 {
                // Of the tenth byte one bit has room.
                if at == 8 && byte > 1 {
                    return None;
                }
                self.0 = rest.get(at + 1..)?;
                return Some(value);
            }
        }
        None
    }

    /// The next field; `None` at the end and for what the hot frames do not hold.
    fn next(&mut self) -> Option<Field<'a>> {
        let key = u32::try_from(self.varint()?).ok()?;
        let number = key >> 3;
        match key & 7 {
            0 => Some(Field::Number(number, self.varint()?)),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(len)?;
                self.0 = rest;
                Some(Field::Bytes(number, bytes))
            }
            _ => None,
        }
    }

    /// Hands every field to `take`; false if the bytes are not fields to the end, each once and in order.
    fn each(mut self, mut take: impl FnMut(Field<'a>) -> bool) -> bool {
        let mut last = 0;
        while !self.0.is_empty() {
            match self.next() {
                Some(field) if field.number() > last && take(field) => last = field.number(),
                _ => return false,
            }
        }
        true
    }
}

/// Reads a frame if it is one of the two.
pub fn read(frame: &[u8]) -> Option<Incoming<'_>> {
    let mut fields = Fields(frame);
    let body = fields.next()?;
    if !fields.0.is_empty() {
        return None;
    }
    match body {
        Field::Bytes(1, reply) => read_reply(reply),
        Field::Bytes(2, event) => read_event(event),
        _ => None,
    }
}

fn read_reply(reply: &[u8]) -> Option<Incoming<'_>> {
    let (mut id, mut sent) = (0, None);
    let whole = Fields(reply).each(|field| match field {
        Field::Number(1, value) => {
            id = value;
            true
        }
        Field::Bytes(6, value) => {
            sent = Some(value);
            true
        }
        _ => false,
    });
    let (mut duplicate, mut message) = (false, None);
    let whole = whole
        && Fields(sent?).each(|field| match field {
            Field::Number(1, value) => {
                duplicate = value != 0;
                true
            }
            Field::Bytes(2, value) => {
                message = Some(value);
                true
            }
            _ => false,
        });
    let message = read_message(message?)?;
    whole.then_some(Incoming::Sent { id, duplicate, message })
}

fn read_event(event: &[u8]) -> Option<Incoming<'_>> {
    let (mut conversation, mut seq, mut message) = (&[][..], 0, None);
    let whole = Fields(event).each(|field| match field {
        Field::Bytes(1, value) => {
            conversation = value;
            true
        }
        Field::Number(2, value) => {
            seq = value;
            true
        }
        Field::Bytes(3, value) => {
            message = Some(value);
            true
        }
        _ => false,
    });
    let message = read_message(message?)?;
    whole.then_some(Incoming::Message { conversation, seq, message })
}

fn read_message(bytes: &[u8]) -> Option<MessageRef<'_>> {
    let mut message = MessageRef::default();
    let whole = Fields(bytes).each(|field| {
        match field {
            Field::Bytes(1, value) => message.id = value,
            Field::Bytes(2, value) => message.conversation = value,
            Field::Number(3, value) => message.seq = value,
            Field::Bytes(4, value) => message.client_id = value,
            Field::Bytes(5, value) => message.sender = value,
            // As the generated decoder does: an enumeration's number is the low half of what stands there.
            Field::Number(6, value) => message.kind = value as i32,
            Field::Bytes(7, value) => message.text = value,
            Field::Number(8, value) => message.time_ms = value,
            Field::Number(9, value) => message.ordinal = value,
            Field::Number(16, value) => message.deleted = value != 0,
            _ => return false,
        }
        true
    });
    whole.then_some(message)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use switchyard_protocol::frame::{self, Form};
    use switchyard_protocol::v1::{self, event, reply};

    use super::super::Decoded;
    use super::*;

    fn message() -> v1::Message {
        v1::Message {
            id: "c.300".into(),
            conversation: "c".into(),
            seq: 300,
            client_id: "000001-0000000002".into(),
            sender: "alice".into(),
            kind: 1,
            text: "x".repeat(200),
            time_ms: 1 << 40,
            ordinal: 299,
            ..Default::default()
        }
    }

    fn same_both_ways(frame: &v1::ServerFrame) {
        let bytes = frame.encode_to_vec();
        let decoded = Decoded::read(Form::Proto, &bytes, |_| None).expect("a frame");
        assert_eq!(read(&bytes), decoded.incoming());
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn reads_as_the_generated_decoder_does() {
        let sent = v1::Sent { duplicate: true, message: Some(message()) };
        same_both_ways(&frame::reply(7, reply::Result::Sent(sent)));
        let sent = v1::Sent { duplicate: true, message: Some(v1::Message { deleted: true, ..message() }) };
        same_both_ways(&frame::reply(7, reply::Result::Sent(sent)));
        let body = Some(event::Body::Message(message()));
        same_both_ways(&frame::event(v1::Event { conversation: "c".into(), seq: 300, body }));
    }

    #[test]
    fn leaves_other_frames_alone() {
        let pong = frame::reply(7, reply::Result::Pong(v1::Pong { server_time_ms: 1 }));
        assert_eq!(read(&pong.encode_to_vec()), None);
        let body = Some(event::Body::Head(v1::Head { head: 3 }));
        assert_eq!(read(&frame::event(v1::Event { conversation: "c".into(), seq: 0, body }).encode_to_vec()), None);
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0xff; 32]), None);
    }
}
