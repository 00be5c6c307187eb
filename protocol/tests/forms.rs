//! Both forms of every frame say the same: what is written in one is read back unchanged, and the hand-written frames are
//! byte for byte those of the generated code.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::hot::{self, MessageView};
use switchyard_protocol::id::{ConversationId, MessageId};
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::limits::INTEGER_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as R};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9 ]{0,12}", 1 => any::<String>()]
}

fn int() -> impl Strategy<Value = u64> {
    prop_oneof![0..=3u64, 0..=INTEGER_MAX]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn request() -> impl Strategy<Value = Request> {
    let subscriptions = prop_oneof![
        Just(v1::Subscriptions { all: true, conversations: vec![] }),
        texts().prop_map(|conversations| v1::Subscriptions { all: false, conversations }),
    ];
    prop_oneof![
        (text(), text(), option::of(subscriptions)).prop_map(|(token, device, subscribe)| Request::Hello(v1::Hello {
            token,
            device,
            subscribe
        })),
        vec((text(), int()), 0..4).prop_map(|list| Request::Resume(v1::Resume {
            positions: list.into_iter().map(|(conversation, seq)| v1::Position { conversation, seq }).collect(),
        })),
        (0..2i32, texts(), option::of(text()), option::of(text()), option::of(text())).prop_map(
            |(kind, members, name, avatar, context)| Request::Create(v1::Create {
                kind,
                members,
                name,
                avatar,
                context
            })
        ),
        send().prop_map(Request::Send),
        rich_send().prop_map(Request::Send),
        (text(), [option::of(int()), option::of(int()), option::of(int()), option::of(int())], 0..500u32).prop_map(
            |(conversation, [before, after, before_time_ms, after_time_ms], limit)| Request::History(v1::History {
                conversation,
                before,
                after,
                before_time_ms,
                after_time_ms,
                limit,
                id: None
            })
        ),
        (texts(), any::<bool>())
            .prop_map(|(conversations, all)| Request::Subscribe(v1::Subscribe { conversations, all })),
        texts().prop_map(|conversations| Request::Unsubscribe(v1::Unsubscribe { conversations })),
        text().prop_map(|conversation| Request::Get(v1::Get { conversation })),
        (text(), option::of(text()), 0..50u32).prop_map(|(conversation, after, limit)| Request::Members(v1::Members {
            conversation,
            after,
            limit
        })),
        (text(), texts()).prop_map(|(conversation, members)| Request::Add(v1::Add { conversation, members })),
        (text(), text()).prop_map(|(conversation, member)| Request::Remove(v1::Remove { conversation, member })),
        text().prop_map(|conversation| Request::Leave(v1::Leave { conversation })),
        (text(), option::of(text()), option::of(text()), option::of(text())).prop_map(
            |(conversation, name, avatar, context)| Request::Update(v1::Update { conversation, name, avatar, context })
        ),
        text().prop_map(|token| Request::Renew(v1::Renew { token })),
        Just(Request::Ping(v1::Ping {})),
        (text(), text(), option::of(0..3i32)).prop_map(|(conversation, member, role)| Request::Promote(v1::Promote {
            conversation,
            member,
            role
        })),
        (text(), text(), option::of(0..3i32)).prop_map(|(conversation, member, role)| Request::Demote(v1::Demote {
            conversation,
            member,
            role
        })),
        text().prop_map(|conversation| Request::Close(v1::Close { conversation })),
        text().prop_map(|conversation| Request::Reopen(v1::Reopen { conversation })),
        text().prop_map(|conversation| Request::Erase(v1::Erase { conversation })),
        text().prop_map(|conversation| Request::Accept(v1::Accept { conversation })),
        text().prop_map(|conversation| Request::Decline(v1::Decline { conversation })),
        texts().prop_map(|conversations| Request::Open(v1::Open { conversations })),
        (text(), any::<bool>()).prop_map(|(conversation, on)| Request::Typing(v1::Typing { conversation, on })),
        (text(), int(), option::of(text()), text(), texts()).prop_map(|(conversation, seq, id, text, mentions)| {
            Request::Edit(v1::Edit { conversation, seq, id, text, mentions })
        }),
        (text(), int(), option::of(text()))
            .prop_map(|(conversation, seq, id)| { Request::Delete(v1::Delete { conversation, seq, id }) }),
        (text(), int(), option::of(text()), text(), any::<bool>()).prop_map(
            |(conversation, seq, id, emoji, remove)| {
                Request::React(v1::React { conversation, seq, id, emoji, remove })
            }
        ),
        (text(), int(), option::of(text()), any::<bool>())
            .prop_map(|(conversation, seq, id, remove)| { Request::Pin(v1::Pin { conversation, seq, id, remove }) }),
        (text(), option::of(int()), option::of(int()), option::of(text())).prop_map(
            |(conversation, read, delivered, id)| Request::Mark(v1::Mark { conversation, read, delivered, id })
        ),
        (texts(), any::<bool>()).prop_map(|(conversations, all)| Request::Unread(v1::Unread { conversations, all })),
        (text(), option::of(int()), option::of(text()), option::of(text()), 0..50u32).prop_map(
            |(conversation, seq, id, after, limit)| Request::Marks(v1::Marks { conversation, seq, id, after, limit })
        ),
        (0..500u32, option::of(text()), option::of(0..2i32), option::of(text()), option::of(0..4i32), any::<bool>())
            .prop_map(|(limit, cursor, kind, name, state, archived)| Request::List(v1::List {
                limit,
                cursor,
                kind,
                name,
                state,
                archived
            })),
        text().prop_map(|conversation| Request::Archive(v1::Archive { conversation })),
        text().prop_map(|conversation| Request::Unarchive(v1::Unarchive { conversation })),
        text().prop_map(|user| Request::Block(v1::Block { user })),
        text().prop_map(|user| Request::Unblock(v1::Unblock { user })),
        (option::of(text()), 0..50u32).prop_map(|(after, limit)| Request::Blocks(v1::Blocks { after, limit })),
    ]
}

fn send() -> impl Strategy<Value = v1::Send> {
    (text(), text(), 0..6i32, text(), option::of(int())).prop_map(|(conversation, client_id, kind, text, since)| {
        v1::Send { conversation, client_id, kind, text, since, ..Default::default() }
    })
}

/// A send with what few have.
fn rich_send() -> impl Strategy<Value = v1::Send> {
    (send(), option::of(text()), texts()).prop_map(|(send, reply_to, mentions)| v1::Send { reply_to, mentions, ..send })
}

fn message() -> impl Strategy<Value = v1::Message> {
    (any::<[u8; 16]>(), 1..=INTEGER_MAX, text(), text(), 0..6i32, text(), int(), int()).prop_map(
        |(conversation, seq, client_id, sender, kind, text, time_ms, ordinal)| {
            let conversation = ConversationId::from_bytes(conversation);
            v1::Message {
                id: MessageId { conversation, seq }.to_string(),
                conversation: conversation.to_string(),
                seq,
                client_id,
                sender,
                kind,
                text,
                time_ms,
                ordinal,
                ..Default::default()
            }
        },
    )
}

/// A message with what few have.
fn rich_message() -> impl Strategy<Value = v1::Message> {
    let reaction = (text(), int(), any::<bool>()).prop_map(|(emoji, count, mine)| v1::Reaction { emoji, count, mine });
    let quote = (text(), 0..6i32, text(), any::<bool>()).prop_map(|(sender, kind, text, deleted)| v1::Quote {
        sender,
        kind,
        text,
        deleted,
    });
    (
        message(),
        option::of(text()),
        option::of(int()),
        vec(reaction, 0..3),
        texts(),
        any::<[bool; 2]>(),
        option::of(quote),
    )
        .prop_map(|(message, reply_to, edited_ms, reactions, mentions, [pinned, deleted], quote)| v1::Message {
            reply_to,
            edited_ms,
            reactions,
            mentions,
            pinned,
            deleted,
            quote,
            ..message
        })
}

fn member() -> impl Strategy<Value = v1::Member> {
    (text(), 0..3i32).prop_map(|(user, role)| v1::Member { user, role })
}

fn marks() -> impl Strategy<Value = v1::MemberMarks> {
    (text(), int(), int(), int(), int(), option::of(int()), any::<bool>()).prop_map(
        |(user, read, read_ms, delivered, delivered_ms, passed_ms, passed_earlier)| v1::MemberMarks {
            user,
            read,
            read_ms,
            delivered,
            delivered_ms,
            passed_ms,
            passed_earlier,
        },
    )
}

fn event() -> impl Strategy<Value = v1::Event> {
    let body = prop_oneof![
        message().prop_map(Body::Message),
        rich_message().prop_map(Body::Message),
        rich_message().prop_map(Body::Updated),
        (text(), text(), int()).prop_map(|(id, by, time_ms)| Body::Deleted(v1::MessageDeleted { id, by, time_ms })),
        (text(), text(), text(), any::<bool>(), int(), int()).prop_map(|(id, user, emoji, removed, count, time_ms)| {
            Body::Reacted(v1::Reacted { id, user, emoji, removed, count, time_ms })
        }),
        (option::of(text()), option::of(text()), text(), option::of(any::<bool>()), option::of(any::<bool>()))
            .prop_map(|(pinned, unpinned, by, erased, accepted)| {
                let change = v1::ConversationChanged { pinned, unpinned, by, erased, ..Default::default() };
                Body::Change(v1::ConversationChanged { accepted, ..change })
            }),
        (vec(member(), 0..3), texts(), vec(member(), 0..2), text(), int()).prop_map(
            |(added, removed, promoted, by, time_ms)| Body::Members(v1::MembersChanged {
                added,
                removed,
                promoted,
                by,
                time_ms
            })
        ),
        (option::of(text()), option::of(text()), option::of(text()), option::of(any::<bool>()), text(), int())
            .prop_map(|(name, avatar, context, closed, by, time_ms)| Body::Change(v1::ConversationChanged {
                name,
                avatar,
                by,
                time_ms,
                context,
                closed,
                ..Default::default()
            })),
        int().prop_map(|head| Body::Head(v1::Head { head })),
        (int(), int()).prop_map(|(first_available, head)| Body::Gap(v1::Gap { first_available, head })),
        (int(), int()).prop_map(|(after_min_ms, after_max_ms)| Body::Drain(v1::Drain { after_min_ms, after_max_ms })),
        int().prop_map(|in_ms| Body::TokenExpiring(v1::TokenExpiring { in_ms })),
        (texts(), int()).prop_map(|(users, more)| Body::Typing(v1::Typers { users, more })),
        (vec(marks(), 0..3), any::<bool>()).prop_map(|(marks, missed)| Body::Marks(v1::MarksChanged { marks, missed })),
        (option::of(listing()), any::<bool>(), option::of(int()), option::of(listing())).prop_map(
            |(added, removed, head, changed)| {
                Body::Listed(Box::new(v1::ListingChanged { added, removed, head, changed }))
            }
        ),
    ];
    (text(), int(), body).prop_map(|(conversation, seq, body)| v1::Event { conversation, seq, body: Some(body) })
}

fn failure() -> impl Strategy<Value = v1::Error> {
    (text(), 0..3_000u32, text(), option::of(int())).prop_map(|(code, number, message, retry_after_ms)| v1::Error {
        code,
        number,
        message,
        retry_after_ms,
    })
}

fn conversation() -> impl Strategy<Value = v1::Conversation> {
    (
        (text(), 0..2i32, option::of(text()), option::of(text()), option::of(text())),
        (int(), int(), int(), 0..3i32, int(), any::<bool>(), texts()),
        (int(), int(), any::<bool>(), any::<bool>(), option::of(0..2i32), any::<bool>()),
    )
        .prop_map(
            |(
                (id, kind, name, avatar, context),
                (head, first_available, member_count, role, created_ms, closed, pins),
                (unread, read, archived, blocked, request, declined),
            )| {
                v1::Conversation {
                    id,
                    kind,
                    name,
                    avatar,
                    context,
                    head,
                    first_available,
                    member_count,
                    role,
                    created_ms,
                    closed,
                    pins,
                    unread,
                    read,
                    archived,
                    blocked,
                    request,
                    declined,
                }
            },
        )
}

fn listing() -> impl Strategy<Value = v1::Listing> {
    (option::of(conversation()), option::of(message()), int(), option::of(text()))
        .prop_map(|(conversation, last, activity_ms, peer)| v1::Listing { conversation, last, activity_ms, peer })
}

fn subscribed_all() -> impl Strategy<Value = v1::SubscribedAll> {
    (int(), option::of(failure())).prop_map(|(total, error)| v1::SubscribedAll { total, error })
}

fn subscribed_to() -> impl Strategy<Value = v1::SubscribedTo> {
    (text(), int(), option::of(failure())).prop_map(|(conversation, head, error)| v1::SubscribedTo {
        conversation,
        head,
        error,
    })
}

fn resumed() -> impl Strategy<Value = v1::ResumedConversation> {
    (text(), vec(event(), 0..3), int(), int(), any::<bool>(), option::of(failure())).prop_map(
        |(conversation, events, head, first_available, more, error)| v1::ResumedConversation {
            conversation,
            events,
            head,
            first_available,
            more,
            error,
        },
    )
}

fn opened() -> impl Strategy<Value = v1::OpenedConversation> {
    (text(), texts(), int(), option::of(failure()))
        .prop_map(|(conversation, users, more, error)| v1::OpenedConversation { conversation, users, more, error })
}

fn unread() -> impl Strategy<Value = v1::UnreadConversation> {
    (text(), int(), int(), option::of(failure()))
        .prop_map(|(conversation, unread, read, error)| v1::UnreadConversation { conversation, unread, read, error })
}

fn reply() -> impl Strategy<Value = (ReplyKind, R)> {
    prop_oneof![
        failure().prop_map(|e| (ReplyKind::Done, R::Error(e))),
        (text(), text(), text(), int(), vec(subscribed_to(), 0..3), option::of(subscribed_all())).prop_map(
            |(session, user, tenant, time, subscribed, all)| {
                let limits = Some(v1::Limits { body_bytes_max: time, ..Default::default() });
                let (heartbeat_ms, server_time_ms) = (25_000, time);
                let welcome = v1::Welcome {
                    session,
                    user,
                    tenant,
                    heartbeat_ms,
                    server_time_ms,
                    limits,
                    subscribed,
                    all: all.map(Box::new),
                };
                (ReplyKind::Welcome, R::Welcome(welcome))
            }
        ),
        vec(resumed(), 0..3).prop_map(|conversations| (ReplyKind::Resumed, R::Resumed(v1::Resumed { conversations }))),
        (conversation(), any::<bool>())
            .prop_map(|(c, created)| (ReplyKind::Created, R::Created(v1::Created { conversation: Some(c), created }))),
        (message(), any::<bool>())
            .prop_map(|(m, duplicate)| (ReplyKind::Sent, R::Sent(v1::Sent { duplicate, message: Some(m) }))),
        (vec(message(), 0..4), int(), int(), any::<bool>()).prop_map(|(messages, first_available, head, more)| (
            ReplyKind::Page,
            R::Page(v1::Page { messages, first_available, head, more })
        )),
        (vec(subscribed_to(), 0..3), option::of(subscribed_all()))
            .prop_map(|(subscribed, all)| (ReplyKind::Subscribed, R::Subscribed(v1::Subscribed { subscribed, all }))),
        Just((ReplyKind::Done, R::Done(v1::Done {}))),
        conversation().prop_map(|c| (ReplyKind::Detail, R::Detail(v1::Detail { conversation: Some(c) }))),
        (vec(member(), 0..4), any::<bool>())
            .prop_map(|(members, more)| (ReplyKind::Members, R::Members(v1::MemberPage { members, more }))),
        (text(), int())
            .prop_map(|(conversation, seq)| (ReplyKind::Changed, R::Changed(v1::Changed { conversation, seq }))),
        (int(), vec(text(), 0..2)).prop_map(|(expires_at_ms, ended)| {
            (ReplyKind::Renewed, R::Renewed(v1::Renewed { expires_at_ms, ended }))
        }),
        int().prop_map(|server_time_ms| (ReplyKind::Pong, R::Pong(v1::Pong { server_time_ms }))),
        vec(opened(), 0..3).prop_map(|opened| (ReplyKind::Opened, R::Opened(v1::Opened { opened }))),
        (text(), marks(), int()).prop_map(|(conversation, marks, unread)| (
            ReplyKind::Marked,
            R::Marked(v1::Marked { conversation, marks: Some(marks), unread })
        )),
        (vec(unread(), 0..3), int(), int(), option::of(int())).prop_map(|(conversations, total, unread, requests)| (
            ReplyKind::Unread,
            R::Unread(v1::UnreadCounts { conversations, total, unread, requests })
        )),
        (vec(marks(), 0..3), any::<bool>())
            .prop_map(|(marks, more)| (ReplyKind::Marks, R::Marks(v1::MarkPage { marks, more }))),
        (vec(listing(), 0..3), any::<bool>(), option::of(text())).prop_map(|(conversations, more, cursor)| (
            ReplyKind::Listed,
            R::Listed(v1::Listed { conversations, more, cursor })
        )),
        (texts(), any::<bool>())
            .prop_map(|(users, more)| (ReplyKind::Blocks, R::Blocks(v1::BlockPage { users, more }))),
    ]
}

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
