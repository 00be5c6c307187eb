//! Valid inputs to spoil: one or two of every frame, short, so that a change meets something that matters.

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::cursor::{Cursor, ListPlace};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, MessageId};
use switchyard_protocol::limits::INTEGER_MAX;
use switchyard_protocol::v1::{self, ServerFrame, client_frame::Request, event::Body, reply::Result as Reply};

use super::judge::REPLY_KINDS;

/// What means something in JSON.
pub(crate) const JSON_TOKENS: &[&[u8]] = &[
    b"null",
    b"true",
    b"1e400",
    b"-1",
    b"18446744073709551616",
    b"\"\\ud800\"",
    b"\\u0000",
    b"{\"a\":{\"b\":[]}}",
    b"[[[[[[[[[[",
    b"\"",
    b",",
    b"}",
    b"{\"",
    b"\"id\":2,",
    b"\"new\":[1,{}],",
];

/// What means something in protobuf.
pub(crate) const PROTO_TOKENS: &[&[u8]] = &[
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x07",
    b"\x80\x80\x80\x80\x08",
    b"\x80\x00",
    b"\x0b\x0b\x0b\x0c",
    b"\x2b\x2c",
    b"\x0a\x00",
    b"\x2a\x02\x22\x00",
    b"\x18\x05",
    b"\x38\x00",
    b"\xc3\xbc",
];

/// What means something in an id.
pub(crate) const ID_TOKENS: &[&[u8]] =
    &[b".", b"0", b"9007199254740991", b"9007199254740992", b"-", b"u", b"Z", b"\xc3\xbc"];

const CONVERSATION: ConversationId = ConversationId::from_bytes([0xa7; 16]);

fn name() -> String {
    CONVERSATION.to_string()
}

fn requests() -> Vec<Request> {
    let send =
        v1::Send { conversation: name(), client_id: "c1".into(), text: "hi \u{20ac}".into(), ..Default::default() };
    let subscribe = |all, conversations| Some(v1::Subscriptions { all, conversations });
    vec![
        Request::Send(v1::Send { kind: 1, since: Some(300), ..send.clone() }),
        Request::Send(send.clone()),
        Request::Send(v1::Send { reply_to: Some(message().id), mentions: vec!["eve".into()], ..send }),
        Request::Hello(v1::Hello { token: "a.b.c".into(), device: "d".into(), subscribe: subscribe(true, vec![]) }),
        Request::Hello(v1::Hello { subscribe: subscribe(false, vec![name()]), ..v1::Hello::default() }),
        Request::Resume(v1::Resume { positions: vec![v1::Position { conversation: name(), seq: 7 }] }),
        Request::Create(v1::Create {
            kind: 1,
            members: vec!["bob".into(), "eve".into()],
            name: Some("n".into()),
            avatar: None,
            context: Some("order 7".into()),
        }),
        Request::History(v1::History {
            conversation: name(),
            before: Some(INTEGER_MAX),
            limit: 50,
            ..Default::default()
        }),
        Request::Subscribe(v1::Subscribe { conversations: vec![name()], all: false }),
        Request::Unsubscribe(v1::Unsubscribe { conversations: vec![] }),
        Request::Get(v1::Get { conversation: name() }),
        Request::Members(v1::Members { conversation: name(), after: Some("bob".into()), limit: 2 }),
        Request::Add(v1::Add { conversation: name(), members: vec!["eve".into()] }),
        Request::Remove(v1::Remove { conversation: name(), member: "eve".into() }),
        Request::Leave(v1::Leave { conversation: name() }),
        Request::Update(v1::Update {
            conversation: name(),
            name: Some(String::new()),
            avatar: Some("a".into()),
            context: Some("order 8".into()),
        }),
        Request::Renew(v1::Renew { token: "a.b.c".into() }),
        Request::Ping(v1::Ping {}),
        Request::Promote(v1::Promote { conversation: name(), member: "eve".into(), role: Some(2) }),
        Request::Demote(v1::Demote { conversation: name(), member: "eve".into(), role: None }),
        Request::Close(v1::Close { conversation: name() }),
        Request::Reopen(v1::Reopen { conversation: name() }),
        Request::Erase(v1::Erase { conversation: name() }),
        Request::Accept(v1::Accept { conversation: name() }),
        Request::Decline(v1::Decline { conversation: name() }),
        Request::Open(v1::Open { conversations: vec![name()] }),
        Request::Typing(v1::Typing { conversation: name(), on: true }),
        Request::Edit(v1::Edit { id: Some(message().id), text: "ho".into(), mentions: vec![], ..Default::default() }),
        Request::Delete(v1::Delete { conversation: name(), seq: 7, id: None }),
        Request::React(v1::React { conversation: name(), seq: 7, emoji: "\u{1f44d}".into(), ..Default::default() }),
        Request::Pin(v1::Pin { conversation: name(), seq: 7, id: None, remove: true }),
        Request::Mark(v1::Mark { conversation: name(), read: Some(7), delivered: Some(9), id: None }),
        Request::Watch(v1::Watch { users: vec!["bob".into()], conversation: Some(name()) }),
        Request::Unwatch(v1::Unwatch { users: vec!["bob".into()], conversation: Some(name()), all: true }),
        Request::Unread(v1::Unread { conversations: vec![name()], all: false }),
        Request::Unread(v1::Unread { conversations: vec![], all: true }),
        Request::Marks(v1::Marks { conversation: name(), seq: Some(7), id: None, after: Some("bob".into()), limit: 2 }),
        Request::Subscribe(v1::Subscribe { conversations: vec![], all: true }),
        Request::List(v1::List {
            limit: 3,
            cursor: Some("04".into()),
            kind: Some(1),
            name: Some("n".into()),
            state: Some(2),
            archived: true,
        }),
        Request::Archive(v1::Archive { conversation: name() }),
        Request::Unarchive(v1::Unarchive { conversation: name() }),
        Request::Block(v1::Block { user: "eve".into() }),
        Request::Unblock(v1::Unblock { user: "eve".into() }),
        Request::Blocks(v1::Blocks { after: Some("bob".into()), limit: 2 }),
    ]
}

fn message() -> v1::Message {
    v1::Message {
        id: MessageId { conversation: CONVERSATION, seq: 7 }.to_string(),
        conversation: name(),
        seq: 7,
        client_id: "c1".into(),
        sender: "ann".into(),
        kind: 0,
        text: "hi \u{20ac}".into(),
        time_ms: 1_700_000_000_000,
        ordinal: 5,
        ..Default::default()
    }
}

fn rich_message() -> v1::Message {
    v1::Message {
        reply_to: Some(message().id),
        edited_ms: Some(1_700_000_000_001),
        reactions: vec![v1::Reaction { emoji: "+1".into(), count: 2, mine: true }],
        mentions: vec!["bob".into()],
        pinned: true,
        deleted: true,
        quote: Some(v1::Quote { sender: "bob".into(), kind: 1, text: "hi".into(), deleted: true }),
        ..message()
    }
}

fn marks(passed_ms: Option<u64>) -> v1::MemberMarks {
    v1::MemberMarks {
        user: "bob".into(),
        read: 7,
        read_ms: 1_700_000_000_000,
        delivered: 9,
        delivered_ms: 1_700_000_000_500,
        passed_ms,
        passed_earlier: passed_ms.is_some(),
    }
}

fn presence() -> Vec<v1::UserPresence> {
    let last_seen_ms = Some(1_700_000_000_000);
    vec![
        v1::UserPresence { user: "bob".into(), online: true, ..Default::default() },
        v1::UserPresence { user: "eve".into(), last_seen_ms, error: Some(error()), ..Default::default() },
    ]
}

fn counts() -> Vec<v1::ConversationPresence> {
    vec![v1::ConversationPresence { conversation: name(), online: 17 }]
}

fn error() -> v1::Error {
    frame::error(ErrorCode::RateLimited, "slow down", Some(250))
}

fn listing() -> v1::Listing {
    let conversation = v1::Conversation { id: name(), head: 9, ..Default::default() };
    let last = Some(message());
    v1::Listing { conversation: Some(conversation), last, activity_ms: 5, peer: Some("bob".into()) }
}

fn replies() -> Vec<Reply> {
    let subscribed = vec![
        v1::SubscribedTo { conversation: name(), head: 9, error: None },
        v1::SubscribedTo { conversation: name(), head: 0, error: Some(error()) },
    ];
    let limits = Some(v1::Limits { body_bytes_max: 65_536, ..Default::default() });
    let detail = v1::Conversation {
        id: name(),
        kind: 1,
        name: Some("n".into()),
        head: 9,
        role: 2,
        closed: true,
        pins: vec![message().id],
        unread: 3,
        read: 6,
        archived: true,
        blocked: true,
        request: Some(1),
        declined: true,
        ..Default::default()
    };
    vec![
        Reply::Welcome(v1::Welcome {
            session: "s".into(),
            user: "ann".into(),
            limits,
            subscribed: subscribed.clone(),
            all: Some(Box::new(v1::SubscribedAll { total: 2, error: None })),
            ..Default::default()
        }),
        Reply::Resumed(v1::Resumed {
            conversations: vec![v1::ResumedConversation { conversation: name(), ..Default::default() }],
        }),
        Reply::Created(v1::Created { conversation: Some(detail.clone()), created: true }),
        Reply::Sent(v1::Sent { duplicate: true, message: Some(message()) }),
        Reply::Page(v1::Page { messages: vec![message(), rich_message()], first_available: 1, head: 7, more: true }),
        Reply::Subscribed(v1::Subscribed {
            subscribed,
            all: Some(v1::SubscribedAll { total: 0, error: Some(error()) }),
        }),
        Reply::Done(v1::Done {}),
        Reply::Detail(v1::Detail { conversation: Some(detail) }),
        Reply::Members(v1::MemberPage { members: vec![v1::Member { user: "ann".into(), role: 2 }], more: true }),
        Reply::Changed(v1::Changed { conversation: name(), seq: 8 }),
        Reply::Renewed(v1::Renewed { expires_at_ms: INTEGER_MAX, ended: vec!["5".repeat(26)] }),
        Reply::Pong(v1::Pong { server_time_ms: 1 }),
        Reply::Opened(v1::Opened {
            opened: vec![
                v1::OpenedConversation { conversation: name(), users: vec!["eve".into()], more: 1, error: None },
                v1::OpenedConversation { conversation: name(), error: Some(error()), ..Default::default() },
            ],
        }),
        Reply::Marked(v1::Marked { conversation: name(), marks: Some(marks(None)), unread: 3 }),
        Reply::Watched(v1::Watched { presence: presence(), counts: counts() }),
        Reply::Unread(v1::UnreadCounts {
            conversations: vec![
                v1::UnreadConversation { conversation: name(), unread: 3, read: 7, error: None },
                v1::UnreadConversation { conversation: name(), error: Some(error()), ..Default::default() },
            ],
            total: 3,
            unread: 1,
            requests: Some(2),
        }),
        Reply::Marks(v1::MarkPage { marks: vec![marks(Some(1_700_000_000_000))], more: true }),
        Reply::Listed(v1::Listed { conversations: vec![listing()], more: true, cursor: Some("04".into()) }),
        Reply::Blocks(v1::BlockPage { users: vec!["eve".into()], more: true }),
    ]
}

fn events() -> Vec<Body> {
    let member = |role| vec![v1::Member { user: "bob".into(), role }];
    vec![
        Body::Message(message()),
        Body::Updated(rich_message()),
        Body::Deleted(v1::MessageDeleted { id: message().id, by: "ann".into(), time_ms: 5 }),
        Body::Reacted(v1::Reacted {
            id: message().id,
            user: "ann".into(),
            emoji: "+1".into(),
            removed: true,
            count: 2,
            time_ms: 5,
        }),
        Body::Members(v1::MembersChanged {
            added: member(0),
            removed: vec!["eve".into()],
            promoted: member(2),
            by: "ann".into(),
            time_ms: 5,
        }),
        Body::Change(v1::ConversationChanged {
            name: Some("n".into()),
            by: "ann".into(),
            time_ms: 5,
            context: Some("order 8".into()),
            closed: Some(true),
            pinned: Some(message().id),
            ..Default::default()
        }),
        Body::Change(v1::ConversationChanged { erased: Some(true), accepted: Some(false), ..Default::default() }),
        Body::Head(v1::Head { head: 9 }),
        Body::Gap(v1::Gap { first_available: 3, head: 9 }),
        Body::Drain(v1::Drain { after_min_ms: 1, after_max_ms: 9 }),
        Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 }),
        Body::Typing(v1::Typers { users: vec!["bob".into(), "eve".into()], more: 2 }),
        Body::Presence(v1::Presence { presence: presence(), counts: Vec::new() }),
        Body::Presence(v1::Presence { presence: Vec::new(), counts: counts() }),
        Body::Marks(v1::MarksChanged { marks: vec![marks(None)], missed: true }),
        Body::Listed(Box::new(v1::ListingChanged { added: Some(listing()), head: Some(9), ..Default::default() })),
        Body::Listed(Box::new(v1::ListingChanged { removed: true, ..Default::default() })),
        Body::Listed(Box::new(v1::ListingChanged { changed: Some(listing()), ..Default::default() })),
    ]
}

/// Replies under ids that make a reader expect their kind, an error, and all events.
fn server_frames() -> Vec<ServerFrame> {
    let replies = replies().into_iter().zip(0..).map(|(reply, id)| frame::reply(id, reply));
    let event = |body: Body| {
        let unnumbered =
            matches!(body, Body::Head(_) | Body::Gap(_) | Body::Typing(_) | Body::Marks(_) | Body::Listed(_));
        let bare = matches!(body, Body::Drain(_) | Body::TokenExpiring(_) | Body::Presence(_));
        let conversation = if bare { String::new() } else { name() };
        frame::event(v1::Event { conversation, seq: if bare || unnumbered { 0 } else { 7 }, body: Some(body) })
    };
    let events = events().into_iter().map(event);
    let frames: Vec<ServerFrame> = replies.chain([frame::reply(1, Reply::Error(error()))]).chain(events).collect();
    assert!(frames.len() > REPLY_KINDS.len(), "a kind of reply has no sample");
    frames
}

fn client(form: Form) -> Vec<Vec<u8>> {
    requests().into_iter().map(|request| frame::encode_client(form, 1, request).to_vec()).collect()
}

fn server(form: Form) -> Vec<Vec<u8>> {
    server_frames().iter().map(|whole| frame::encode_server(form, whole).to_vec()).collect()
}

/// Clients' protobuf frames, sends more often than others.
pub(crate) fn client_proto() -> Vec<Vec<u8>> {
    let frames = client(Form::Proto);
    let sends = frames.iter().take(2).cycle().take(8).cloned();
    sends.chain(frames.iter().cloned()).collect()
}

/// Clients' JSON frames.
pub(crate) fn client_json() -> Vec<Vec<u8>> {
    client(Form::Json)
}

/// Servers' protobuf frames.
pub(crate) fn server_proto() -> Vec<Vec<u8>> {
    server(Form::Proto)
}

/// Servers' JSON frames.
pub(crate) fn server_json() -> Vec<Vec<u8>> {
    server(Form::Json)
}

/// Ids in their text form.
pub(crate) fn ids() -> Vec<Vec<u8>> {
    let message = |seq| MessageId { conversation: CONVERSATION, seq }.to_string();
    [name(), message(1), message(900), message(INTEGER_MAX)].map(String::into_bytes).to_vec()
}

pub(crate) fn cursors() -> Vec<Vec<u8>> {
    let (tenant, user) = super::judge::reader();
    let place = |activity_ms| ListPlace::new(activity_ms, CONVERSATION);
    let cursor = |list, activity_ms| Cursor { list, place: place(activity_ms) }.to_text(&tenant, &user);
    [cursor(0, 0), cursor(7, 1_700_000_000_000), cursor(u64::MAX, u64::MAX)].map(String::into_bytes).to_vec()
}
