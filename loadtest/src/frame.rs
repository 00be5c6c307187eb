//! Frames as the generator meets them: what a server's frame says, borrowed from the bytes that said it.
//!
//! The two kinds that make up nearly all traffic are read in place ([`hot`]); all else goes through the protocol crate.

pub mod hot;
pub mod send;

use prost::Message as _;
use switchyard_protocol::frame::Form;
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::v1::{self, event, reply, server_frame};

/// A message, wherever it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs, reason = "the fields of the protocol's Message")]
pub struct MessageRef<'a> {
    pub id: &'a [u8],
    pub conversation: &'a [u8],
    pub seq: u64,
    pub client_id: &'a [u8],
    pub sender: &'a [u8],
    pub kind: i32,
    pub text: &'a [u8],
    pub time_ms: u64,
    pub ordinal: u64,
    pub deleted: bool,
}

impl<'a> From<&'a v1::Message> for MessageRef<'a> {
    fn from(message: &'a v1::Message) -> Self {
        Self {
            id: message.id.as_bytes(),
            conversation: message.conversation.as_bytes(),
            seq: message.seq,
            client_id: message.client_id.as_bytes(),
            sender: message.sender.as_bytes(),
            kind: message.kind,
            text: message.text.as_bytes(),
            time_ms: message.time_ms,
            ordinal: message.ordinal,
            deleted: message.deleted,
        }
    }
}

/// What a server's frame says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Incoming<'a> {
    /// The answer to a send.
    Sent {
        /// The request.
        id: u64,
        /// It had been stored before.
        duplicate: bool,
        /// As it was stored.
        message: MessageRef<'a>,
    },
    /// A message event.
    Message {
        /// As the event says it, beside the message's own.
        conversation: &'a [u8],
        /// As the event says it, beside the message's own.
        seq: u64,
        /// The message.
        message: MessageRef<'a>,
    },
    /// Any other reply.
    Reply(u64, &'a reply::Result),
    /// Any other event.
    Event(&'a v1::Event),
}

/// A frame that is not read in place, decoded.
#[derive(Debug)]
pub struct Decoded(v1::ServerFrame);

impl Decoded {
    /// Reads a whole frame. `expected` names what a request asked for, which the JSON form does not repeat.
    pub fn read(form: Form, bytes: &[u8], expected: impl FnOnce(u64) -> Option<ReplyKind>) -> Result<Self, FrameError> {
        let frame = match form {
            Form::Proto => v1::ServerFrame::decode(bytes).map_err(|error| FrameError(error.to_string()))?,
            Form::Json => {
                let text = std::str::from_utf8(bytes).map_err(|error| FrameError(error.to_string()))?;
                json::decode_server(text, expected).map_err(|error| FrameError(error.to_string()))?
            }
        };
        Ok(Self(frame))
    }

    /// What it says; nothing for a kind that is not known here.
    pub fn incoming(&self) -> Option<Incoming<'_>> {
        match self.0.frame.as_ref()? {
            server_frame::Frame::Reply(reply) => Some(match reply.result.as_ref()? {
                reply::Result::Sent(v1::Sent { duplicate, message: Some(message) }) => {
                    Incoming::Sent { id: reply.id, duplicate: *duplicate, message: message.into() }
                }
                other => Incoming::Reply(reply.id, other),
            }),
            server_frame::Frame::Event(event) => Some(of_event(event)),
        }
    }
}

/// What an event says, live or in a page of resume.
pub fn of_event(event: &v1::Event) -> Incoming<'_> {
    match &event.body {
        Some(event::Body::Message(message)) => {
            Incoming::Message { conversation: event.conversation.as_bytes(), seq: event.seq, message: message.into() }
        }
        _ => Incoming::Event(event),
    }
}

/// Why a server's bytes are not a frame.
#[derive(Debug, thiserror::Error)]
#[error("the server sent what is not a frame: {0}")]
pub struct FrameError(String);
