//! Both forms of every frame say the same: what is written in one is read back unchanged, and the hand-written frames are
//! byte for byte those of the generated code.

mod any;

use any::*;
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::hot::{self, MessageView};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::json;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as R};

proptest! {
    #[test]
    fn a_request_is_the_same_in_both_forms(id in int(), request in request()) {
        let proto = frame::encode_client(Form::Proto, id, request.clone());
        let text = frame::encode_client(Form::Json, id, request.clone());
        prop_assert_eq!(frame::decode_client_proto(&proto), Ok((id, request.clone())));
        let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
        prop_assert_eq!(frame::decode_client_json(text), Ok((id, request)));
    }

    #[test]
    fn a_reply_is_the_same_in_both_forms(id in int(), (kind, result) in reply()) {
        let whole = frame::reply(id, result);
        let proto = frame::encode_server(Form::Proto, &whole);
        prop_assert_eq!(&v1::ServerFrame::decode(proto).expect("our own bytes"), &whole);
        let text = frame::encode_server(Form::Json, &whole);
        let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
        prop_assert_eq!(&json::decode_server(text, |_| Some(kind)).expect("our own text"), &whole);
    }

    #[test]
    fn an_event_is_the_same_in_both_forms(event in event()) {
        let whole = frame::event(event);
        let proto = frame::encode_server(Form::Proto, &whole);
        prop_assert_eq!(&v1::ServerFrame::decode(proto).expect("our own bytes"), &whole);
        let text = frame::encode_server(Form::Json, &whole);
        let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
        prop_assert_eq!(&json::decode_server(text, |_| None).expect("our own text"), &whole);
    }

    #[test]
    fn the_fast_reader_of_sends_agrees_with_the_generated_one(id in int(), send in send()) {
        let bytes = frame::encode_client(Form::Proto, id, Request::Send(send.clone()));
        let view = hot::decode_send(&bytes).expect("a plain send");
        prop_assert_eq!(
            (view.id, view.conversation, view.client_id, view.kind, view.text, view.since),
            (id, &*send.conversation, &*send.client_id, send.kind, &*send.text, send.since)
        );
    }

    #[test]
    fn the_fast_reader_takes_nothing_that_the_generated_one_refuses(bytes in vec(any::<u8>(), 0..80)) {
        if let Some(view) = hot::decode_send(&bytes) {
            let Ok((id, Request::Send(send))) = frame::decode_client_proto(&bytes) else {
                return Err(TestCaseError::fail("only one of the two reads it"));
            };
            prop_assert_eq!((view.id, view.text, view.since), (id, &*send.text, send.since));
        }
    }

    #[test]
    fn the_written_messages_are_those_of_the_generated_code(message in message(), id in int(), duplicate in any::<bool>()) {
        let view = MessageView {
            conversation: ConversationId::parse(&message.conversation).expect("made from one"),
            seq: message.seq,
            client_id: &message.client_id,
            sender: &message.sender,
            kind: v1::MessageKind::try_from(message.kind).expect("a kind"),
            text: &message.text,
            time_ms: message.time_ms,
            ordinal: message.ordinal,
        };
        let mut encoded = Vec::new();
        view.encode(&mut encoded);
        prop_assert_eq!(&encoded, &message.encode_to_vec());
        prop_assert_eq!(encoded.len(), view.encoded_len());

        let mut event = Vec::new();
        hot::put_event_head(view.conversation, view.seq, encoded.len(), &mut event);
        prop_assert!(event.len() <= hot::HEAD_BYTES_MAX);
        event.extend_from_slice(&encoded);
        let body = v1::Event {
            conversation: message.conversation.clone(),
            seq: message.seq,
            body: Some(Body::Message(message.clone())),
        };
        prop_assert_eq!(&event, &frame::event(body).encode_to_vec());
        prop_assert_eq!(&event[hot::message_in_event(&event).expect("an event")], &encoded[..]);

        let mut sent = Vec::new();
        hot::put_sent_head(id, duplicate, encoded.len(), &mut sent);
        prop_assert!(sent.len() <= hot::HEAD_BYTES_MAX);
        sent.extend_from_slice(&encoded);
        let reply = R::Sent(v1::Sent { duplicate, message: Some(message) });
        prop_assert_eq!(&sent, &frame::reply(id, reply).encode_to_vec());
    }
}

#[test]
fn an_unknown_request_is_named() {
    for (text, said) in
        [(r#"{"id":7,"frobnicate":{}}"#, "unknown request 'frobnicate'"), (r#"{"id":7}"#, "needs a request")]
    {
        let error = frame::decode_client_json(text).expect_err("not a request");
        assert!(error.id == 7 && error.message.contains(said), "{error:?}");
    }
    let later = [0x08, 7, 0xfa, 0x3f, 0];
    let error = frame::decode_client_proto(&later).expect_err("not a request");
    assert!(error.id == 7 && error.message.contains("number 1023"), "{error:?}");
}

#[test]
fn bad_json_is_answered_under_its_id() {
    for text in [
        r#"{"id":7,"send":{"conversation":3}}"#,
        r#"{"id":7,"send":{"kind":"SONG"}}"#,
        r#"{"id":7,"send":{"since":-1}}"#,
        r#"{"id":7,"send":{"since":1e400}}"#,
        r#"{"id":7,"send":{"text":"\ud800"}}"#,
        r#"{"id":7,"send":{"text":"a","text":"b"}}"#,
        r#"{"id":7,"hello":{"subscribe":"some"}}"#,
        r#"{"id":7,"send":["c","x","TEXT","hi"]}"#,
        r#"{"id":7,"ping":null}"#,
    ] {
        assert_eq!(frame::decode_client_json(text).expect_err(text).id, 7, "{text}");
    }
    for text in
        [r#"{"id":1,"id":2,"ping":{}}"#, r#"{"id":1,"ping":{},"ping":{}}"#, r#"{"id":-1,"ping":{}}"#, "[]", "nul"]
    {
        frame::decode_client_json(text).expect_err(text);
    }
}

#[test]
fn what_a_send_holds_for_later_versions_is_refused_by_name() {
    let send = |fields: &str| format!(r#"{{"id":9,"send":{{"conversation":"c","client_id":"1","text":"t"{fields}}}}}"#);
    for (fields, named) in [
        (r#","attachments":[{"id":"f"}]"#, "attachments"),
        (r#","attachments":"f""#, "attachments"),
        (r#","attachments":null,"attachments":null"#, "attachments"),
    ] {
        let error = frame::decode_client_json(&send(fields)).expect_err("it would be lost");
        assert!(error.id == 9 && error.message.contains(named), "{error:?}");
    }
    for fields in [r#","reply_to":null,"attachments":null"#, r#","unknown":1"#, r#","since":4"#] {
        assert!(frame::decode_client_json(&send(fields)).is_ok(), "{fields}");
    }
    let quoted = r#"{"id":9,"send":{"text":"{\"attachments\":1} attachments"}}"#;
    assert!(frame::decode_client_json(quoted).is_ok(), "words of a text are no fields");

    let plain = v1::Send { text: "t".to_owned(), ..Default::default() };
    let framed = |extra: &[u8]| {
        let body = [plain.encode_to_vec().as_slice(), extra].concat();
        let len = u8::try_from(body.len()).expect("a short body");
        [&[0x08, 9, 0x2a, len][..], &body].concat()
    };
    for (extra, named) in [(&[0x32, 1, b'x'][..], "attachments"), (&[0x30, 1], "attachments")] {
        let bytes = framed(extra);
        assert_eq!(hot::decode_send(&bytes), None, "the hot way leaves it to the other");
        let error = frame::decode_client_proto(&bytes).expect_err("it would be lost");
        assert!(error.id == 9 && error.message.contains(named), "{error:?}");
    }
    assert!(frame::decode_client_proto(&framed(&[0x7a, 1, b'x'])).is_ok(), "what is unknown is skipped");
}

#[test]
fn a_user_may_be_a_number() {
    let read =
        |request: &str| frame::decode_client_json(&format!(r#"{{"id":1,{request}}}"#)).map(|(_, request)| request);
    let members = vec!["42".to_owned(), "bob".to_owned(), u64::MAX.to_string()];
    let list = r#"[42,"bob",18446744073709551615]"#;
    let create = read(&format!(r#""create":{{"members":{list}}}"#)).expect("a number is its text");
    assert_eq!(create, Request::Create(v1::Create { members: members.clone(), ..Default::default() }));
    let add = read(&format!(r#""add":{{"members":{list}}}"#)).expect("a number is its text");
    assert_eq!(add, Request::Add(v1::Add { members, ..Default::default() }));
    let remove = read(r#""remove":{"member":0}"#).expect("a number is its text");
    assert_eq!(remove, Request::Remove(v1::Remove { member: "0".to_owned(), ..Default::default() }));
    let promote = read(r#""promote":{"member":7}"#).expect("a number is its text");
    assert_eq!(promote, Request::Promote(v1::Promote { member: "7".to_owned(), ..Default::default() }));
    let demote = read(r#""demote":{"member":7}"#).expect("a number is its text");
    assert_eq!(demote, Request::Demote(v1::Demote { member: "7".to_owned(), ..Default::default() }));
    for (after, wanted) in [("42", Some("42")), ("null", None), (r#""x""#, Some("x"))] {
        let page = read(&format!(r#""members":{{"after":{after}}}"#)).expect("a number is its text");
        let wanted = v1::Members { after: wanted.map(str::to_owned), ..Default::default() };
        assert_eq!(page, Request::Members(wanted));
    }
    for bad in ["-1", "1.5", "1e3", "true", "null", "[]", "18446744073709551616"] {
        let error = read(&format!(r#""create":{{"members":[{bad}]}}"#)).expect_err(bad);
        assert!(error.id == 1 && error.message.starts_with("create: "), "{error:?}");
    }
}

#[test]
fn a_role_is_named_or_left_out() {
    let read = |name: &str, role: &str| {
        let frame = format!(r#"{{"id":1,"{name}":{{"member":"bob"{role}}}}}"#);
        frame::decode_client_json(&frame).map(|(_, request)| match request {
            Request::Promote(promote) => promote.role,
            Request::Demote(demote) => demote.role,
            other => panic!("not what was sent: {other:?}"),
        })
    };
    for name in ["promote", "demote"] {
        assert_eq!(read(name, ""), Ok(None));
        assert_eq!(read(name, r#","role":null"#), Ok(None));
        for (role, number) in [("member", 0), ("moderator", 1), ("admin", 2)] {
            assert_eq!(read(name, &format!(r#","role":"{role}""#)), Ok(Some(number)));
        }
        for bad in [r#""owner""#, r#""""#, r#""ADMIN""#, "1", "[]", "true"] {
            let error = read(name, &format!(r#","role":{bad}"#)).expect_err(bad);
            assert!(error.id == 1 && error.message.starts_with(name), "{error:?}");
        }
    }
}
