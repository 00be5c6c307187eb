//! Frames in either form: which form a connection speaks, and reading and writing whole frames.
//!
//! | request | number | answered with | what it does |
//! |---|--:|---|---|
//! | `hello` | 2 | `welcome` | says who is there; first on a connection |
//! | `resume` | 3 | `resumed` | events after each position, paged; subscribes |
//! | `create` | 4 | `created` | a conversation of any kind; one of two once per pair, kind and context |
//! | `send` | 5 | `sent` | stores a message once per client id |
//! | `history` | 6 | `page` | messages before or after a number or time |
//! | `subscribe` | 7 | `subscribed` | live events of conversations |
//! | `unsubscribe` | 8 | `done` | no more of them |
//! | `get` | 9 | `detail` | a conversation as the asker sees it |
//! | `members` | 10 | `members` | a page of members with their roles |
//! | `add` | 11 | `changed` | members join |
//! | `remove` | 12 | `changed` | a member is put out |
//! | `leave` | 13 | `changed` | the asker goes |
//! | `update` | 14 | `changed` | name, avatar, context |
//! | `renew` | 15 | `renewed` | a new token for this session |
//! | `ping` | 16 | `pong` | the server's time |
//! | `edit` | 17 | `changed` | a message has another text |
//! | `delete` | 18 | `changed` | a message's text goes |
//! | `react` | 19 | `changed` | an emoji is given to a message, or taken away |
//! | `open` | 20 | `opened` | the conversations that this session shows: who types there is told |
//! | `list` | 21 | `listed` | a page of the asker's conversations, newest activity first |
//! | `promote` | 22 | `changed` | a member becomes moderator or admin |
//! | `demote` | 23 | `changed` | a member becomes moderator or plain member |
//! | `close` | 24 | `changed` | read-only from now on |
//! | `reopen` | 25 | `changed` | read-only no more |
//! | `archive` | 26 | `done` | the asker's own list leaves a conversation out |
//! | `unarchive` | 27 | `done` | it does so no more |
//! | `erase` | 28 | `changed` | a group goes, for all, with everything in it |
//! | `accept` | 29 | `changed` | a direct conversation that another began is wanted |
//! | `decline` | 30 | `changed` | it is not: who began it writes to it no more |
//! | `block` | 31 | `done` | a user cannot write to the asker, nor the asker to them |
//! | `unblock` | 32 | `done` | they can again |
//! | `mark` | 33 | `marked` | up to which number the asker has read and received |
//! | `typing` | 34 | `done` | the asker is typing, or has stopped |
//! | `watch` | 35 | `watched` | who of these users is online, or how many of a conversation, and what changes |
//! | `unwatch` | 36 | `done` | no more of that |
//! | `unread` | 37 | `unread` | how many messages of conversations the asker has not read |
//! | `marks` | 38 | `marks` | a page of members' marks, or of those who have read a message |
//! | `pin` | 40 | `changed` | a message is pinned, or no more |
//! | `blocks` | 42 | `blocks` | a page of the users whom the asker has blocked |
//!
//! | event | number | numbered | when |
//! |---|--:|---|---|
//! | `message` | 3 | yes | a message was stored |
//! | `members` | 4 | yes | members came, went or got another role |
//! | `change` (JSON `conversation`) | 5 | yes | name, avatar or context changed; closed or reopened; accepted or declined; erased |
//! | `head` | 6 | no | events up to `head` exist that were not sent: resume |
//! | `gap` | 7 | no | what lies before `first_available` is no longer kept |
//! | `drain` | 8 | no | the server is going away |
//! | `token_expiring` | 9 | no | renew within `in_ms` |
//! | `updated` | 10 | yes | a message was edited |
//! | `deleted` | 11 | yes | a message was deleted |
//! | `reacted` | 12 | yes | an emoji was given to a message, or taken away |
//! | `typing` | 13 | no | who types in an open conversation changed; the newest replaces the one before |
//! | `presence` | 14 | no | users who are watched came or went; the newest of each counts |
//! | `marks` | 15 | no | how far members have come; the newest of each counts |
//! | `listed` | 16 | no | a conversation came to the user's list or went from it, or was archived or blocked |

use bytes::Bytes;
use prost::Message as _;

use crate::code::ErrorCode;
use crate::json;
use crate::v1::{self, ClientFrame, ServerFrame, client_frame::Request};

/// The two forms of the same frames, chosen by WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// `switchyard.v1.proto`: protobuf in binary messages.
    Proto,
    /// `switchyard.v1.json`: JSON in text messages.
    Json,
}

impl Form {
    /// Every form that this version speaks, in the order of preference.
    pub const ALL: [Self; 2] = [Self::Proto, Self::Json];

    /// The WebSocket subprotocol that chooses it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Proto => "switchyard.v1.proto",
            Self::Json => "switchyard.v1.json",
        }
    }

    /// The form of this subprotocol, if it is one.
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.subprotocol() == name)
    }
}

/// Fields of `send` that have a number and a name, but no meaning in this version. Unknown fields are skipped; one of these
/// would be acknowledged and lost.
pub const RESERVED_SEND_FIELDS: [(u32, &str); 1] = [(6, "attachments")];

/// Field number of `send` in a client's frame.
const SEND: u32 = 5;

/// Why a client's frame is not a request. Answered `BAD_REQUEST`, with `id` where one could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The request's id, 0 if it could not be read.
    pub id: u64,
    /// What is wrong, in words for the client's developer.
    pub message: String,
}

impl DecodeError {
    pub(crate) fn new(id: u64, message: impl Into<String>) -> Self {
        Self { id, message: message.into() }
    }
}

/// Reads a protobuf request.
pub fn decode_client_proto(frame: &[u8]) -> Result<(u64, Request), DecodeError> {
    let decoded = ClientFrame::decode(frame).map_err(|error| DecodeError::new(0, format!("not a frame: {error}")))?;
    match decoded.request {
        Some(Request::Send(_)) if let Some(name) = reserved_in_send(frame) => {
            Err(DecodeError::new(decoded.id, reserved_field(name)))
        }
        Some(request) => Ok((decoded.id, request)),
        None => Err(DecodeError::new(decoded.id, unknown_request(frame))),
    }
}

/// Reads a JSON request.
pub fn decode_client_json(text: &str) -> Result<(u64, Request), DecodeError> {
    json::decode_client(text)
}

pub(crate) fn reserved_field(name: &str) -> String {
    format!("send: {name} is not taken by this version of the server")
}

/// Which of [`RESERVED_SEND_FIELDS`] a protobuf frame with a `send` holds.
fn reserved_in_send(mut frame: &[u8]) -> Option<&'static str> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
    while !frame.is_empty() {
        let (number, wire_type) = decode_key(&mut frame).ok()?;
        if (number, wire_type) != (SEND, WireType::LengthDelimited) {
            skip_field(wire_type, number, &mut frame, DecodeContext::default()).ok()?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut frame).ok()?).ok()?;
        let (mut send, rest) = frame.split_at_checked(len)?;
        frame = rest;
        while !send.is_empty() {
            let (number, wire_type) = decode_key(&mut send).ok()?;
            if let Some((_, name)) = RESERVED_SEND_FIELDS.iter().find(|(reserved, _)| *reserved == number) {
                return Some(name);
            }
            skip_field(wire_type, number, &mut send, DecodeContext::default()).ok()?;
        }
    }
    None
}

/// Names the request that a protobuf frame holds although this version does not answer it.
fn unknown_request(mut frame: &[u8]) -> String {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    while !frame.is_empty() {
        let Ok((number, wire_type)) = decode_key(&mut frame) else { break };
        if number > 1 {
            return format!("unknown request number {number}");
        }
        if skip_field(wire_type, number, &mut frame, DecodeContext::default()).is_err() {
            break;
        }
    }
    "a frame needs a request".to_owned()
}

/// Writes a frame to a client in the given form.
pub fn encode_server(form: Form, frame: &ServerFrame) -> Bytes {
    match form {
        Form::Proto => frame.encode_to_vec().into(),
        Form::Json => json::encode_server(frame).into_bytes().into(),
    }
}

/// Writes a request in the given form.
pub fn encode_client(form: Form, id: u64, request: Request) -> Bytes {
    let frame = ClientFrame { id, request: Some(request) };
    match form {
        Form::Proto => frame.encode_to_vec().into(),
        Form::Json => json::encode_client(&frame).into_bytes().into(),
    }
}

/// An error as it goes to a client.
pub fn error(code: ErrorCode, message: impl Into<String>, retry_after_ms: Option<u64>) -> v1::Error {
    v1::Error { code: code.name().to_owned(), number: code.number(), message: message.into(), retry_after_ms }
}

/// The frame that answers request `id`.
pub fn reply(id: u64, result: v1::reply::Result) -> ServerFrame {
    ServerFrame { frame: Some(v1::server_frame::Frame::Reply(v1::Reply { id, result: Some(result) })) }
}

/// The frame that tells an event.
pub fn event(event: v1::Event) -> ServerFrame {
    ServerFrame { frame: Some(v1::server_frame::Frame::Event(event)) }
}

/// A request's name on the wire, for messages and metrics.
pub fn request_name(request: &Request) -> &'static str {
    match request {
        Request::Hello(_) => "hello",
        Request::Resume(_) => "resume",
        Request::Create(_) => "create",
        Request::Send(_) => "send",
        Request::History(_) => "history",
        Request::Subscribe(_) => "subscribe",
        Request::Unsubscribe(_) => "unsubscribe",
        Request::Get(_) => "get",
        Request::Members(_) => "members",
        Request::Add(_) => "add",
        Request::Remove(_) => "remove",
        Request::Leave(_) => "leave",
        Request::Update(_) => "update",
        Request::Renew(_) => "renew",
        Request::Ping(_) => "ping",
        Request::Promote(_) => "promote",
        Request::Demote(_) => "demote",
        Request::Close(_) => "close",
        Request::Reopen(_) => "reopen",
        Request::Erase(_) => "erase",
        Request::Accept(_) => "accept",
        Request::Decline(_) => "decline",
        Request::Open(_) => "open",
        Request::List(_) => "list",
        Request::Typing(_) => "typing",
        Request::Edit(_) => "edit",
        Request::Delete(_) => "delete",
        Request::React(_) => "react",
        Request::Pin(_) => "pin",
        Request::Mark(_) => "mark",
        Request::Watch(_) => "watch",
        Request::Unwatch(_) => "unwatch",
        Request::Unread(_) => "unread",
        Request::Marks(_) => "marks",
        Request::Archive(_) => "archive",
        Request::Unarchive(_) => "unarchive",
        Request::Block(_) => "block",
        Request::Unblock(_) => "unblock",
        Request::Blocks(_) => "blocks",
    }
}
