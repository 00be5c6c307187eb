//! One function for each decoder of this crate: it feeds the decoder any bytes, holds it to what must be true of every
//! input, and says whether the input was taken. Shared by the tests with spoilt inputs and the fuzz targets.

use std::ops::Range;

use prost::Message as _;
use switchyard_protocol::cursor::Cursor;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::hot;
use switchyard_protocol::id::{ConversationId, MessageId, TenantId, UserId};
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::v1::{self, client_frame::Request, server_frame::Frame};

/// Every kind of reply that a reader may expect.
pub(crate) const REPLY_KINDS: [ReplyKind; 19] = [
    ReplyKind::Welcome,
    ReplyKind::Resumed,
    ReplyKind::Created,
    ReplyKind::Sent,
    ReplyKind::Page,
    ReplyKind::Subscribed,
    ReplyKind::Done,
    ReplyKind::Detail,
    ReplyKind::Members,
    ReplyKind::Changed,
    ReplyKind::Renewed,
    ReplyKind::Pong,
    ReplyKind::Opened,
    ReplyKind::Marked,
    ReplyKind::Watched,
    ReplyKind::Unread,
    ReplyKind::Marks,
    ReplyKind::Listed,
    ReplyKind::Blocks,
];

/// A client's protobuf frame: the fast reader of sends takes nothing that the generated one refuses or reads otherwise,
/// and what was read is written and read again unchanged.
pub(crate) fn client_proto(input: &[u8]) -> bool {
    let decoded = frame::decode_client_proto(input);
    if let Some(view) = hot::decode_send(input) {
        let Ok((id, Request::Send(send))) = &decoded else { panic!("only the fast reader takes it") };
        let theirs = (*id, &*send.conversation, &*send.client_id, send.kind, &*send.text, send.since);
        assert_eq!((view.id, view.conversation, view.client_id, view.kind, view.text, view.since), theirs);
    }
    match decoded {
        Ok((id, request)) => {
            let again = frame::encode_client(Form::Proto, id, request.clone());
            assert_eq!(frame::decode_client_proto(&again), Ok((id, request)));
            true
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            false
        }
    }
}

/// A client's JSON frame: what was read is written and read again unchanged, in either form.
pub(crate) fn client_json(input: &[u8]) -> bool {
    match frame::decode_client_json(&String::from_utf8_lossy(input)) {
        Ok((id, request)) => {
            let text = frame::encode_client(Form::Json, id, request.clone());
            let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
            assert_eq!(frame::decode_client_json(text), Ok((id, request.clone())), "{text}");
            let bytes = frame::encode_client(Form::Proto, id, request.clone());
            assert_eq!(frame::decode_client_proto(&bytes), Ok((id, request)));
            true
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            false
        }
    }
}

/// A server's protobuf frame, as a client reads it: what was read is written and read again unchanged, and the place of
/// the message in it lies within it.
pub(crate) fn server_proto(input: &[u8]) -> bool {
    if let Some(Range { start, end }) = hot::message_in_event(input) {
        assert!(start <= end && end <= input.len(), "{start}..{end} of {}", input.len());
    }
    let Ok(decoded) = v1::ServerFrame::decode(input) else { return false };
    let again = v1::ServerFrame::decode(&*decoded.encode_to_vec()).expect("our own bytes");
    assert_eq!(again, decoded);
    true
}

/// A server's JSON frame, as a client reads it that asked for any one kind of reply: what was read is written and read
/// again unchanged, in either form. The kind follows from the input, so that an input always means the same.
pub(crate) fn server_json(input: &[u8]) -> bool {
    let text = String::from_utf8_lossy(input);
    let expected = |id: u64| Some(REPLY_KINDS[(id as usize) % REPLY_KINDS.len()]);
    let Ok(decoded) = json::decode_server(&text, expected) else { return false };
    let written = frame::encode_server(Form::Json, &decoded);
    let written = std::str::from_utf8(&written).expect("JSON is UTF-8");
    assert_eq!(json::decode_server(written, expected).expect("our own text"), decoded, "{written}");
    let again = v1::ServerFrame::decode(&*decoded.encode_to_vec()).expect("our own bytes");
    assert_eq!(again, decoded);
    assert!(matches!(again.frame, Some(Frame::Reply(_) | Frame::Event(_))));
    true
}

/// The text forms of ids: each id has one spelling.
pub(crate) fn ids(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let conversation = ConversationId::parse(text).map(|id| assert_eq!(id.to_string(), text));
    let message = MessageId::parse(text).map(|id| assert_eq!(id.to_string(), text));
    conversation.is_ok() || message.is_ok()
}

/// Whose the cursors are.
pub(crate) fn reader() -> (TenantId, UserId) {
    (TenantId::new("t").expect("a short name"), UserId::new("ann").expect("a short name"))
}

/// The text forms of cursors: each has one spelling, and is its user's.
pub(crate) fn cursors(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let (tenant, user) = reader();
    let Some(cursor) = Cursor::parse(text, &tenant, &user) else { return false };
    assert_eq!(cursor.to_text(&tenant, &user), text);
    true
}
