//! Presence in both forms: requests, replies and events are the same, whatever is in them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::limits::INTEGER_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};

fn presence() -> impl Strategy<Value = v1::UserPresence> {
    let error = ("[A-Z]{0,8}", 0..3_000u32, ".{0,8}", option::of(0..INTEGER_MAX))
        .prop_map(|(code, number, message, retry_after_ms)| v1::Error { code, number, message, retry_after_ms });
    (".{0,20}", any::<bool>(), option::of(0..=INTEGER_MAX), option::of(error))
        .prop_map(|(user, online, last_seen_ms, error)| v1::UserPresence { user, online, last_seen_ms, error })
}

fn count() -> impl Strategy<Value = v1::ConversationPresence> {
    (".{0,20}", 0..=INTEGER_MAX).prop_map(|(conversation, online)| v1::ConversationPresence { conversation, online })
}

proptest! {
    #[test]
    fn requests_are_the_same(users in vec(".{0,20}", 0..4), conversation in option::of(".{0,20}"), all in any::<bool>()) {
        let watch = Request::Watch(v1::Watch { users: users.clone(), conversation: conversation.clone() });
        for request in [watch, Request::Unwatch(v1::Unwatch { users, conversation, all })] {
            let proto = frame::encode_client(Form::Proto, 7, request.clone());
            prop_assert_eq!(frame::decode_client_proto(&proto), Ok((7, request.clone())));
            let text = frame::encode_client(Form::Json, 7, request.clone());
            let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
            prop_assert_eq!(frame::decode_client_json(text), Ok((7, request)));
        }
    }

    #[test]
    fn what_is_told_is_the_same(presence in vec(presence(), 0..4), counts in vec(count(), 0..3)) {
        let watched = v1::Watched { presence: presence.clone(), counts: counts.clone() };
        let body = Some(Body::Presence(v1::Presence { presence, counts }));
        let event = v1::Event { conversation: String::new(), seq: 0, body };
        for whole in [frame::reply(7, Reply::Watched(watched)), frame::event(event)] {
            let proto = frame::encode_server(Form::Proto, &whole);
            prop_assert_eq!(&v1::ServerFrame::decode(proto).expect("our own bytes"), &whole);
            let text = frame::encode_server(Form::Json, &whole);
            let text = std::str::from_utf8(&text).expect("JSON is UTF-8");
            prop_assert_eq!(&json::decode_server(text, |_| Some(ReplyKind::Watched)).expect("our own text"), &whole);
        }
    }
}

#[test]
fn users_may_be_numbers_and_what_is_not_said_is_left_out() {
    let (_, request) = frame::decode_client_json(r#"{"id":1,"watch":{"users":[7,"bob"]}}"#).expect("a request");
    assert_eq!(request, Request::Watch(v1::Watch { users: vec!["7".into(), "bob".into()], conversation: None }));
    let online = v1::UserPresence { user: "bob".into(), online: true, ..Default::default() };
    let body = Some(Body::Presence(v1::Presence { presence: vec![online], counts: Vec::new() }));
    let text = frame::encode_server(Form::Json, &frame::event(v1::Event { body, ..Default::default() }));
    assert_eq!(&text[..], br#"{"event":"presence","presence":[{"user":"bob","online":true}]}"#);
}
