//! Judge of the frames with messages that the generator reads in place, and valid ones to spoil. Shared by the test with
//! spoilt inputs and the fuzz target.

use prost::Message as _;
use switchyard_loadtest::frame::{Decoded, Incoming, MessageRef, hot};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::v1::{self, event::Body, reply::Result as Reply};

/// What means something in these frames.
pub(crate) const TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03",
    b"\x80\x80\x80\x80\x10",
    b"\x80\x00",
    b"\x0b\x0c",
    b"\x0a\x00",
    b"\x0a\x01c",
    b"\x12\x01c",
    b"\x18\x05",
    b"\x30\x01",
    b"\x52\x01r",
    b"\x80\x01\x01",
    b"\xc3\xbc",
];

fn message() -> v1::Message {
    v1::Message {
        id: "c.300".into(),
        conversation: "c".into(),
        seq: 300,
        client_id: "000001-0000000002".into(),
        sender: "ann".into(),
        kind: 1,
        text: "hi \u{20ac}".into(),
        time_ms: 1 << 40,
        ordinal: 299,
        ..v1::Message::default()
    }
}

/// Acks and events of messages, and others that look like them.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let messages = [
        message(),
        v1::Message { deleted: true, text: String::new(), ..message() },
        v1::Message { reply_to: Some("c.7".into()), mentions: vec!["bob".into()], pinned: true, ..message() },
        v1::Message::default(),
    ];
    let of_message = |message: v1::Message| {
        let sent = v1::Sent { duplicate: message.deleted, message: Some(message.clone()) };
        let (conversation, seq) = (message.conversation.clone(), message.seq);
        let event = v1::Event { conversation, seq, body: Some(Body::Message(message)) };
        [frame::reply(7, Reply::Sent(sent)), frame::event(event)]
    };
    let others = [
        frame::reply(7, Reply::Sent(v1::Sent { duplicate: true, message: None })),
        frame::reply(7, Reply::Pong(v1::Pong { server_time_ms: 1 })),
        frame::event(v1::Event { conversation: "c".into(), seq: 0, body: Some(Body::Head(v1::Head { head: 3 })) }),
    ];
    messages.into_iter().flat_map(of_message).chain(others).map(|frame| frame.encode_to_vec()).collect()
}

/// A frame: what is read in place is what the whole frame says. Only a text that is not UTF-8 makes the whole frame none, and
/// what is read in place holds it then.
pub(crate) fn frame(input: &[u8]) -> bool {
    let Some(read) = hot::read(input) else { return false };
    match Decoded::read(Form::Proto, input, |_| None) {
        Ok(decoded) => assert_eq!(Some(read), decoded.incoming()),
        Err(error) => {
            let texts = texts(&read);
            assert!(texts.iter().any(|text| std::str::from_utf8(text).is_err()), "{error}: {read:?}");
        }
    }
    true
}

fn texts<'a>(incoming: &Incoming<'a>) -> [&'a [u8]; 6] {
    let of = |conversation, message: &MessageRef<'a>| {
        [conversation, message.id, message.conversation, message.client_id, message.sender, message.text]
    };
    match incoming {
        Incoming::Sent { message, .. } => of(&[], message),
        Incoming::Message { conversation, message, .. } => of(conversation, message),
        other => panic!("{other:?} is not read in place"),
    }
}
