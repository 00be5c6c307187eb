//! The JSON form of the frames. The fields are those of the `.proto`, by derived attributes; written by hand is only the
//! shape of the frames that hold a choice:
//!
//! | frame | JSON |
//! |---|---|
//! | request | `{"id":N,"<request>":{…}}` |
//! | reply | `{"id":N,"ok":true,"data":{…}}` or `{"id":N,"ok":false,"error":{…}}` |
//! | numbered event | `{"event":"<kind>","conversation":…,"seq":N,"<kind>":{…}}`; `change` is called `conversation`, and `updated` holds a `message` |
//! | other event | `{"event":"<kind>",…its fields}`, with `conversation` where it has one |
//!
//! A reply's `data` does not name its kind: the asker knows what it asked.

mod names;
pub(crate) mod user_id;

pub(crate) use names::{
    conversation_kind, message_kind, optional_kind, optional_role, optional_side, optional_state, role,
};

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::code::ErrorCode;
use crate::frame::{DecodeError, RESERVED_SEND_FIELDS, reserved_field};
use crate::v1::{self, ClientFrame, Event, Reply, ServerFrame, client_frame::Request, event, reply, server_frame};

/// The kinds of data in a successful reply: what a JSON reader must know from its own request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each is the reply of its name")]
pub enum ReplyKind {
    Welcome,
    Resumed,
    Created,
    Sent,
    Page,
    Subscribed,
    Done,
    Detail,
    Members,
    Changed,
    Renewed,
    Pong,
    Opened,
    Marked,
    Watched,
    Unread,
    Marks,
    Listed,
    Blocks,
}

impl ReplyKind {
    /// What answers this request if it succeeds.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Hello(_) => Self::Welcome,
            Request::Resume(_) => Self::Resumed,
            Request::Create(_) => Self::Created,
            Request::Send(_) => Self::Sent,
            Request::History(_) => Self::Page,
            Request::Subscribe(_) => Self::Subscribed,
            Request::Unsubscribe(_) => Self::Done,
            Request::Get(_) => Self::Detail,
            Request::Members(_) => Self::Members,
            Request::Add(_) | Request::Remove(_) | Request::Leave(_) | Request::Update(_) => Self::Changed,
            Request::Promote(_) | Request::Demote(_) | Request::Close(_) | Request::Reopen(_) => Self::Changed,
            Request::Erase(_) | Request::Accept(_) | Request::Decline(_) => Self::Changed,
            Request::Renew(_) => Self::Renewed,
            Request::Ping(_) => Self::Pong,
            Request::Open(_) => Self::Opened,
            Request::List(_) => Self::Listed,
            Request::Typing(_) => Self::Done,
            Request::Edit(_) | Request::Delete(_) | Request::React(_) | Request::Pin(_) => Self::Changed,
            Request::Mark(_) => Self::Marked,
            Request::Watch(_) => Self::Watched,
            Request::Unwatch(_) => Self::Done,
            Request::Unread(_) => Self::Unread,
            Request::Marks(_) => Self::Marks,
            Request::Archive(_) | Request::Unarchive(_) | Request::Block(_) | Request::Unblock(_) => Self::Done,
            Request::Blocks(_) => Self::Blocks,
        }
    }
}

/// Why a server's text is not a frame.
#[derive(Debug, thiserror::Error)]
pub enum ServerDecodeError {
    /// Not JSON, or not of the frame's shape.
    #[error("not a frame: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An answer to a request that the asker does not know.
    #[error("a reply to unknown request {0}")]
    UnknownReply(u64),
}

/// A request's name as a client wrote it, safe to show and not too long.
fn unknown_name(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(32).collect()
}

fn unknown_request(name: &str) -> String {
    format!("unknown request '{}'", unknown_name(name))
}

/// A client's frame as far as it can be read without knowing the request: so that a bad one is answered under its id.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<u64>,
    request: Option<(std::borrow::Cow<'a, str>, &'a RawValue)>,
    fault: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with an id and one request")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    if key == "id" {
                        if envelope.id.is_some() {
                            envelope.fault = Some("the id stands twice");
                        }
                        envelope.id = Some(map.next_value()?);
                    } else if envelope.request.is_some() {
                        envelope.fault = Some("a frame holds one request");
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        envelope.request = Some((key, map.next_value()?));
                    }
                    if envelope.fault.is_some() {
                        // No need to read a million more keys to know that it is wrong.
                        return Err(A::Error::custom(envelope.fault.unwrap_or_default()));
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

/// Reads a JSON request.
pub(crate) fn decode_client(text: &str) -> Result<(u64, Request), DecodeError> {
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| DecodeError::new(0, format!("not a frame: {error}")))?;
    let id = envelope.id.unwrap_or(0);
    let Some((name, body)) = envelope.request else {
        return Err(DecodeError::new(id, "a frame needs a request"));
    };
    let body = body.get();
    if !body.starts_with('{') {
        // A list in the order of the fields would be taken too: one spelling is enough.
        return Err(DecodeError::new(id, format!("{}: expected an object", unknown_name(&name))));
    }
    let request = match &*name {
        "hello" => serde_json::from_str(body).map(Request::Hello),
        "resume" => serde_json::from_str(body).map(Request::Resume),
        "create" => serde_json::from_str(body).map(Request::Create),
        "send" => {
            if let Some(name) = reserved_in_send(body) {
                return Err(DecodeError::new(id, reserved_field(name)));
            }
            serde_json::from_str(body).map(Request::Send)
        }
        "history" => serde_json::from_str(body).map(Request::History),
        "subscribe" => serde_json::from_str(body).map(Request::Subscribe),
        "unsubscribe" => serde_json::from_str(body).map(Request::Unsubscribe),
        "get" => serde_json::from_str(body).map(Request::Get),
        "members" => serde_json::from_str(body).map(Request::Members),
        "add" => serde_json::from_str(body).map(Request::Add),
        "remove" => serde_json::from_str(body).map(Request::Remove),
        "leave" => serde_json::from_str(body).map(Request::Leave),
        "update" => serde_json::from_str(body).map(Request::Update),
        "renew" => serde_json::from_str(body).map(Request::Renew),
        "ping" => serde_json::from_str(body).map(Request::Ping),
        "promote" => serde_json::from_str(body).map(Request::Promote),
        "demote" => serde_json::from_str(body).map(Request::Demote),
        "close" => serde_json::from_str(body).map(Request::Close),
        "reopen" => serde_json::from_str(body).map(Request::Reopen),
        "erase" => serde_json::from_str(body).map(Request::Erase),
        "accept" => serde_json::from_str(body).map(Request::Accept),
        "decline" => serde_json::from_str(body).map(Request::Decline),
        "open" => serde_json::from_str(body).map(Request::Open),
        "list" => serde_json::from_str(body).map(Request::List),
        "typing" => serde_json::from_str(body).map(Request::Typing),
        "edit" => serde_json::from_str(body).map(Request::Edit),
        "delete" => serde_json::from_str(body).map(Request::Delete),
        "react" => serde_json::from_str(body).map(Request::React),
        "pin" => serde_json::from_str(body).map(Request::Pin),
        "mark" => serde_json::from_str(body).map(Request::Mark),
        "watch" => serde_json::from_str(body).map(Request::Watch),
        "unwatch" => serde_json::from_str(body).map(Request::Unwatch),
        "unread" => serde_json::from_str(body).map(Request::Unread),
        "marks" => serde_json::from_str(body).map(Request::Marks),
        "archive" => serde_json::from_str(body).map(Request::Archive),
        "unarchive" => serde_json::from_str(body).map(Request::Unarchive),
        "block" => serde_json::from_str(body).map(Request::Block),
        "unblock" => serde_json::from_str(body).map(Request::Unblock),
        "blocks" => serde_json::from_str(body).map(Request::Blocks),
        other => return Err(DecodeError::new(id, unknown_request(other))),
    };
    match request {
        Ok(request) => Ok((id, request)),
        Err(error) => Err(DecodeError::new(id, format!("{name}: {error}"))),
    }
}

/// Which of the fields that this version does not take a `send` holds; `null` is none.
fn reserved_in_send(body: &str) -> Option<&'static str> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Reserved {
        attachments: Option<IgnoredAny>,
    }
    // Most bodies do not hold the words, and are not read twice.
    let (_, name) = RESERVED_SEND_FIELDS.iter().find(|(_, name)| body.contains(name))?;
    match serde_json::from_str(body) {
        Ok(Reserved { attachments: None }) => None,
        // It is JSON, so if it cannot be read the field stands there twice.
        Ok(Reserved { attachments: Some(_) }) | Err(_) => Some(name),
    }
}

pub(crate) fn encode_client(frame: &ClientFrame) -> String {
    serde_json::to_string(frame).expect("frames hold only what JSON can say")
}

pub(crate) fn encode_server(frame: &ServerFrame) -> String {
    serde_json::to_string(frame).expect("frames hold only what JSON can say")
}

impl Serialize for ClientFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("id", &self.id)?;
        if let Some(request) = &self.request {
            let name = crate::frame::request_name(request);
            match request {
                Request::Hello(body) => map.serialize_entry(name, body)?,
                Request::Resume(body) => map.serialize_entry(name, body)?,
                Request::Create(body) => map.serialize_entry(name, body)?,
                Request::Send(body) => map.serialize_entry(name, body)?,
                Request::History(body) => map.serialize_entry(name, body)?,
                Request::Subscribe(body) => map.serialize_entry(name, body)?,
                Request::Unsubscribe(body) => map.serialize_entry(name, body)?,
                Request::Get(body) => map.serialize_entry(name, body)?,
                Request::Members(body) => map.serialize_entry(name, body)?,
                Request::Add(body) => map.serialize_entry(name, body)?,
                Request::Remove(body) => map.serialize_entry(name, body)?,
                Request::Leave(body) => map.serialize_entry(name, body)?,
                Request::Update(body) => map.serialize_entry(name, body)?,
                Request::Renew(body) => map.serialize_entry(name, body)?,
                Request::Ping(body) => map.serialize_entry(name, body)?,
                Request::Promote(body) => map.serialize_entry(name, body)?,
                Request::Demote(body) => map.serialize_entry(name, body)?,
                Request::Close(body) => map.serialize_entry(name, body)?,
                Request::Reopen(body) => map.serialize_entry(name, body)?,
                Request::Erase(body) => map.serialize_entry(name, body)?,
                Request::Accept(body) => map.serialize_entry(name, body)?,
                Request::Decline(body) => map.serialize_entry(name, body)?,
                Request::Open(body) => map.serialize_entry(name, body)?,
                Request::List(body) => map.serialize_entry(name, body)?,
                Request::Typing(body) => map.serialize_entry(name, body)?,
                Request::Edit(body) => map.serialize_entry(name, body)?,
                Request::Delete(body) => map.serialize_entry(name, body)?,
                Request::React(body) => map.serialize_entry(name, body)?,
                Request::Pin(body) => map.serialize_entry(name, body)?,
                Request::Mark(body) => map.serialize_entry(name, body)?,
                Request::Watch(body) => map.serialize_entry(name, body)?,
                Request::Unwatch(body) => map.serialize_entry(name, body)?,
                Request::Unread(body) => map.serialize_entry(name, body)?,
                Request::Marks(body) => map.serialize_entry(name, body)?,
                Request::Archive(body) => map.serialize_entry(name, body)?,
                Request::Unarchive(body) => map.serialize_entry(name, body)?,
                Request::Block(body) => map.serialize_entry(name, body)?,
                Request::Unblock(body) => map.serialize_entry(name, body)?,
                Request::Blocks(body) => map.serialize_entry(name, body)?,
            }
        }
        map.end()
    }
}

impl Serialize for ServerFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.frame {
            Some(server_frame::Frame::Reply(reply)) => serialize_reply(reply, serializer),
            Some(server_frame::Frame::Event(event)) => event.serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

fn serialize_reply<S: Serializer>(reply: &Reply, serializer: S) -> Result<S::Ok, S::Error> {
    use reply::Result as R;
    let mut map = serializer.serialize_map(Some(3))?;
    map.serialize_entry("id", &reply.id)?;
    map.serialize_entry("ok", &!matches!(reply.result, Some(R::Error(_))))?;
    match &reply.result {
        Some(R::Error(error)) => map.serialize_entry("error", error)?,
        Some(R::Welcome(data)) => map.serialize_entry("data", data)?,
        Some(R::Resumed(data)) => map.serialize_entry("data", data)?,
        Some(R::Created(data)) => map.serialize_entry("data", data)?,
        Some(R::Sent(data)) => map.serialize_entry("data", data)?,
        Some(R::Page(data)) => map.serialize_entry("data", data)?,
        Some(R::Subscribed(data)) => map.serialize_entry("data", data)?,
        Some(R::Done(data)) => map.serialize_entry("data", data)?,
        Some(R::Detail(data)) => map.serialize_entry("data", data)?,
        Some(R::Members(data)) => map.serialize_entry("data", data)?,
        Some(R::Changed(data)) => map.serialize_entry("data", data)?,
        Some(R::Renewed(data)) => map.serialize_entry("data", data)?,
        Some(R::Pong(data)) => map.serialize_entry("data", data)?,
        Some(R::Opened(data)) => map.serialize_entry("data", data)?,
        Some(R::Marked(data)) => map.serialize_entry("data", data)?,
        Some(R::Watched(data)) => map.serialize_entry("data", data)?,
        Some(R::Unread(data)) => map.serialize_entry("data", data)?,
        Some(R::Marks(data)) => map.serialize_entry("data", data)?,
        Some(R::Listed(data)) => map.serialize_entry("data", data)?,
        Some(R::Blocks(data)) => map.serialize_entry("data", data)?,
        None => {}
    }
    map.end()
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use event::Body as B;
        let mut map = serializer.serialize_map(None)?;
        let name = match &self.body {
            Some(B::Message(_)) => "message",
            Some(B::Members(_)) => "members",
            Some(B::Change(_)) => "conversation",
            Some(B::Head(_)) => "head",
            Some(B::Gap(_)) => "gap",
            Some(B::Drain(_)) => "drain",
            Some(B::TokenExpiring(_)) => "token_expiring",
            Some(B::Typing(_)) => "typing",
            Some(B::Updated(_)) => "updated",
            Some(B::Deleted(_)) => "deleted",
            Some(B::Reacted(_)) => "reacted",
            Some(B::Presence(_)) => "presence",
            Some(B::Marks(_)) => "marks",
            Some(B::Listed(_)) => "listed",
            None => "",
        };
        map.serialize_entry("event", name)?;
        if !self.conversation.is_empty() {
            map.serialize_entry("conversation", &self.conversation)?;
        }
        if self.seq != 0 {
            map.serialize_entry("seq", &self.seq)?;
        }
        match &self.body {
            Some(B::Message(body) | B::Updated(body)) => map.serialize_entry("message", body)?,
            Some(B::Deleted(body)) => map.serialize_entry("deleted", body)?,
            Some(B::Reacted(body)) => map.serialize_entry("reacted", body)?,
            Some(B::Members(body)) => map.serialize_entry("members", body)?,
            Some(B::Change(body)) => map.serialize_entry("change", body)?,
            Some(B::Head(body)) => map.serialize_entry("head", &body.head)?,
            Some(B::Gap(body)) => {
                map.serialize_entry("first_available", &body.first_available)?;
                map.serialize_entry("head", &body.head)?;
            }
            Some(B::Drain(body)) => {
                map.serialize_entry("after_min_ms", &body.after_min_ms)?;
                map.serialize_entry("after_max_ms", &body.after_max_ms)?;
            }
            Some(B::TokenExpiring(body)) => map.serialize_entry("in_ms", &body.in_ms)?,
            Some(B::Typing(body)) => {
                map.serialize_entry("users", &body.users)?;
                map.serialize_entry("more", &body.more)?;
            }
            Some(B::Presence(body)) => {
                if !body.presence.is_empty() {
                    map.serialize_entry("presence", &body.presence)?;
                }
                if !body.counts.is_empty() {
                    map.serialize_entry("counts", &body.counts)?;
                }
            }
            Some(B::Marks(body)) => {
                map.serialize_entry("marks", &body.marks)?;
                if body.missed {
                    map.serialize_entry("missed", &body.missed)?;
                }
            }
            Some(B::Listed(body)) => map.serialize_entry("listed", body)?,
            None => {}
        }
        map.end()
    }
}

/// Every field that a server's frame may have, as a reader meets them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    id: u64,
    ok: Option<bool>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    error: Option<v1::Error>,
    #[serde(flatten)]
    event: EventWire,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EventWire {
    event: String,
    conversation: String,
    seq: u64,
    message: Option<v1::Message>,
    members: Option<v1::MembersChanged>,
    change: Option<v1::ConversationChanged>,
    deleted: Option<v1::MessageDeleted>,
    reacted: Option<v1::Reacted>,
    head: u64,
    first_available: u64,
    after_min_ms: u64,
    after_max_ms: u64,
    in_ms: u64,
    users: Vec<String>,
    more: u64,
    presence: Vec<v1::UserPresence>,
    counts: Vec<v1::ConversationPresence>,
    marks: Vec<v1::MemberMarks>,
    missed: bool,
    listed: Option<Box<v1::ListingChanged>>,
}

impl From<EventWire> for Event {
    fn from(wire: EventWire) -> Self {
        use event::Body as B;
        let body = match &*wire.event {
            "message" => wire.message.map(B::Message),
            "updated" => wire.message.map(B::Updated),
            "deleted" => wire.deleted.map(B::Deleted),
            "reacted" => wire.reacted.map(B::Reacted),
            "members" => wire.members.map(B::Members),
            "conversation" => wire.change.map(B::Change),
            "head" => Some(B::Head(v1::Head { head: wire.head })),
            "gap" => Some(B::Gap(v1::Gap { first_available: wire.first_available, head: wire.head })),
            "drain" => Some(B::Drain(v1::Drain { after_min_ms: wire.after_min_ms, after_max_ms: wire.after_max_ms })),
            "token_expiring" => Some(B::TokenExpiring(v1::TokenExpiring { in_ms: wire.in_ms })),
            "presence" => Some(B::Presence(v1::Presence { presence: wire.presence, counts: wire.counts })),
            "typing" => Some(B::Typing(v1::Typers { users: wire.users, more: wire.more })),
            "marks" => Some(B::Marks(v1::MarksChanged { marks: wire.marks, missed: wire.missed })),
            "listed" => wire.listed.map(B::Listed),
            _ => None,
        };
        Self { conversation: wire.conversation, seq: wire.seq, body }
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EventWire::deserialize(deserializer).map(Self::from)
    }
}

/// Reads a server's frame. `expected` tells what a request asked for, by its id. An event of an unknown kind comes back
/// without a body.
pub fn decode_server(
    text: &str,
    expected: impl FnOnce(u64) -> Option<ReplyKind>,
) -> Result<ServerFrame, ServerDecodeError> {
    use reply::Result as R;
    let wire: Wire<'_> = serde_json::from_str(text)?;
    let Some(ok) = wire.ok else {
        return Ok(crate::frame::event(wire.event.into()));
    };
    let result = if ok {
        let data = wire.data.map_or("{}", RawValue::get);
        match expected(wire.id).ok_or(ServerDecodeError::UnknownReply(wire.id))? {
            ReplyKind::Welcome => R::Welcome(serde_json::from_str(data)?),
            ReplyKind::Resumed => R::Resumed(serde_json::from_str(data)?),
            ReplyKind::Created => R::Created(serde_json::from_str(data)?),
            ReplyKind::Sent => R::Sent(serde_json::from_str(data)?),
            ReplyKind::Page => R::Page(serde_json::from_str(data)?),
            ReplyKind::Subscribed => R::Subscribed(serde_json::from_str(data)?),
            ReplyKind::Done => R::Done(serde_json::from_str(data)?),
            ReplyKind::Detail => R::Detail(serde_json::from_str(data)?),
            ReplyKind::Members => R::Members(serde_json::from_str(data)?),
            ReplyKind::Changed => R::Changed(serde_json::from_str(data)?),
            ReplyKind::Renewed => R::Renewed(serde_json::from_str(data)?),
            ReplyKind::Pong => R::Pong(serde_json::from_str(data)?),
            ReplyKind::Opened => R::Opened(serde_json::from_str(data)?),
            ReplyKind::Marked => R::Marked(serde_json::from_str(data)?),
            ReplyKind::Watched => R::Watched(serde_json::from_str(data)?),
            ReplyKind::Unread => R::Unread(serde_json::from_str(data)?),
            ReplyKind::Marks => R::Marks(serde_json::from_str(data)?),
            ReplyKind::Listed => R::Listed(serde_json::from_str(data)?),
            ReplyKind::Blocks => R::Blocks(serde_json::from_str(data)?),
        }
    } else {
        R::Error(wire.error.unwrap_or_else(|| crate::frame::error(ErrorCode::Internal, "", None)))
    };
    Ok(crate::frame::reply(wire.id, result))
}

impl Serialize for v1::Subscriptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.all { serializer.serialize_str("all") } else { self.conversations.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for v1::Subscriptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Choice {
            Word(String),
            List(Vec<String>),
        }
        match Choice::deserialize(deserializer)? {
            Choice::Word(word) if word == "all" => Ok(Self { all: true, conversations: Vec::new() }),
            Choice::Word(_) => Err(D::Error::custom("subscribe is \"all\" or a list of conversations")),
            Choice::List(conversations) => Ok(Self { all: false, conversations }),
        }
    }
}
