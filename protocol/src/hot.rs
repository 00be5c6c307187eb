//! The frames that make up nearly all traffic, read and written without an allocation of their own: a client's `send`,
//! and the message that answers it and goes to every reader. The bytes are those of the generated code; a test holds
//! them side by side.
//!
//! A message is encoded once ([`MessageView::encode`]); the reply and the event are a short head before the same bytes.

use bytes::{Buf, BufMut};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::id::{CONVERSATION_TEXT_LEN, ConversationId};
use crate::v1::MessageKind;

/// A `send` as it lies in a client's frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SendView<'a> {
    /// The request's id.
    pub id: u64,
    /// The conversation's text form, not yet checked.
    pub conversation: &'a str,
    /// The sender's own id of the message.
    pub client_id: &'a str,
    /// A number of [`MessageKind`], not yet checked.
    pub kind: i32,
    /// The body.
    pub text: &'a str,
    /// The head known at the first attempt.
    pub since: Option<u64>,
}

const VARINT: WireType = WireType::Varint;
const BYTES: WireType = WireType::LengthDelimited;

/// Reads a protobuf frame that is a plain `send`, the fields in any order. `None` for anything else, also for what is
/// malformed: the generated decoder then says what it is.
pub fn decode_send(mut frame: &[u8]) -> Option<SendView<'_>> {
    let mut id = 0;
    let mut send = None;
    while !frame.is_empty() {
        match decode_key(&mut frame).ok()? {
            (1, VARINT) => id = decode_varint(&mut frame).ok()?,
            // A second body would have to be merged with the first: not here.
            (5, BYTES) if send.is_none() => send = Some(take(&mut frame)?),
            _ => return None,
        }
    }
    let mut body = send?;
    let mut view = SendView { id, conversation: "", client_id: "", kind: 0, text: "", since: None };
    while !body.is_empty() {
        match decode_key(&mut body).ok()? {
            (1, BYTES) => view.conversation = take_str(&mut body)?,
            (2, BYTES) => view.client_id = take_str(&mut body)?,
            (3, VARINT) => view.kind = i32::try_from(decode_varint(&mut body).ok()?).ok()?,
            (4, BYTES) => view.text = take_str(&mut body)?,
            (7, VARINT) => view.since = Some(decode_varint(&mut body).ok()?),
            _ => return None,
        }
    }
    Some(view)
}

fn take<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(decode_varint(input).ok()?).ok()?;
    let (taken, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(taken)
}

fn take_str<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take(input)?).ok()
}

/// A stored message as every client sees it.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the fields of v1::Message")]
pub struct MessageView<'a> {
    pub conversation: ConversationId,
    pub seq: u64,
    pub client_id: &'a str,
    pub sender: &'a str,
    pub kind: MessageKind,
    pub text: &'a str,
    pub time_ms: u64,
    pub ordinal: u64,
}

impl MessageView<'_> {
    /// Appends the bytes of a `v1::Message`.
    pub fn encode(&self, out: &mut impl BufMut) {
        let conversation = self.conversation.text();
        let mut digits = [0; 20];
        let digits = decimal(self.seq, &mut digits);
        let id_len = conversation.as_str().len() + 1 + digits.len();
        encode_key(1, BYTES, out);
        encode_varint(id_len as u64, out);
        out.put_slice(conversation.as_str().as_bytes());
        out.put_u8(b'.');
        out.put_slice(digits);
        put_str(2, conversation.as_str(), out);
        put_int(3, self.seq, out);
        put_str(4, self.client_id, out);
        put_str(5, self.sender, out);
        put_int(6, self.kind as u64, out);
        put_str(7, self.text, out);
        put_int(8, self.time_ms, out);
        put_int(9, self.ordinal, out);
    }

    /// Bytes that [`encode`](Self::encode) writes.
    pub fn encoded_len(&self) -> usize {
        let id_len = CONVERSATION_TEXT_LEN + 1 + decimal(self.seq, &mut [0; 20]).len();
        let text_len = |text: &str| if text.is_empty() { 0 } else { bytes_len(1, text.len()) };
        bytes_len(1, id_len)
            + bytes_len(2, CONVERSATION_TEXT_LEN)
            + [self.client_id, self.sender, self.text].map(text_len).iter().sum::<usize>()
            + [self.seq, self.kind as u64, self.time_ms, self.ordinal]
                .map(|value| int_len(1, value))
                .iter()
                .sum::<usize>()
    }
}

/// Bytes of a head written by [`put_event_head`] or [`put_sent_head`], at most.
pub const HEAD_BYTES_MAX: usize = 80;

/// Writes the head of the `ServerFrame` that tells of a message whose encoded form, `message_len` bytes, must follow.
pub fn put_event_head(conversation: ConversationId, seq: u64, message_len: usize, out: &mut impl BufMut) {
    let conversation = conversation.text();
    let conversation = conversation.as_str();
    let event_len = key_len(1)
        + encoded_len_varint(conversation.len() as u64)
        + conversation.len()
        + int_len(2, seq)
        + bytes_len(3, message_len);
    encode_key(2, BYTES, out);
    encode_varint(event_len as u64, out);
    put_str(1, conversation, out);
    put_int(2, seq, out);
    encode_key(3, BYTES, out);
    encode_varint(message_len as u64, out);
}

/// Writes the head of the `ServerFrame` that answers `send` number `id`; the message's encoded form, `message_len`
/// bytes, must follow.
pub fn put_sent_head(id: u64, duplicate: bool, message_len: usize, out: &mut impl BufMut) {
    let sent_len = int_len(1, u64::from(duplicate)) + bytes_len(2, message_len);
    let reply_len = int_len(1, id) + bytes_len(6, sent_len);
    encode_key(1, BYTES, out);
    encode_varint(reply_len as u64, out);
    put_int(1, id, out);
    encode_key(6, BYTES, out);
    encode_varint(sent_len as u64, out);
    put_int(1, u64::from(duplicate), out);
    encode_key(2, BYTES, out);
    encode_varint(message_len as u64, out);
}

/// Bytes of a length-delimited field with its key and length.
fn bytes_len(field: u32, len: usize) -> usize {
    key_len(field) + encoded_len_varint(len as u64) + len
}

/// Bytes of an integer field; protobuf leaves out a zero.
fn int_len(field: u32, value: u64) -> usize {
    if value == 0 { 0 } else { key_len(field) + encoded_len_varint(value) }
}

fn put_int(field: u32, value: u64, out: &mut impl BufMut) {
    if value != 0 {
        encode_key(field, VARINT, out);
        encode_varint(value, out);
    }
}

fn put_str(field: u32, value: &str, out: &mut impl BufMut) {
    if !value.is_empty() {
        encode_key(field, BYTES, out);
        encode_varint(value.len() as u64, out);
        out.put_slice(value.as_bytes());
    }
}

/// The decimal digits of a number, in the caller's buffer.
fn decimal(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

/// Where the encoded `v1::Message` begins in an event frame made by [`put_event_head`], so that it can be sliced out.
pub fn message_in_event(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut rest = frame;
    let inside = |rest: &mut &[u8], wanted: u32| -> Option<usize> {
        loop {
            match decode_key(rest).ok()? {
                (number, BYTES) => {
                    let len = usize::try_from(decode_varint(rest).ok()?).ok()?;
                    if len > rest.len() {
                        return None;
                    }
                    if number == wanted {
                        return Some(len);
                    }
                    rest.advance(len);
                }
                (_, VARINT) => {
                    decode_varint(rest).ok()?;
                }
                _ => return None,
            }
        }
    };
    inside(&mut rest, 2)?;
    let len = inside(&mut rest, 3)?;
    let start = frame.len() - rest.len();
    Some(start..start + len)
}
