//! Any frame there could be, and what it is made of.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use switchyard_protocol::id::{ConversationId, MessageId};
use switchyard_protocol::json::ReplyKind;
use switchyard_protocol::limits::INTEGER_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as R};

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9 ]{0,12}", 1 => any::<String>()]
}

pub(crate) fn int() -> impl Strategy<Value = u64> {
    prop_oneof![0..=3u64, 0..=INTEGER_MAX]
}

pub(crate) fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
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

pub(crate) fn send() -> impl Strategy<Value = v1::Send> {
    (text(), text(), 0..6i32, text(), option::of(int())).prop_map(|(conversation, client_id, kind, text, since)| {
        v1::Send { conversation, client_id, kind, text, since, ..Default::default() }
    })
}

/// A send with what few have.
pub(crate) fn rich_send() -> impl Strategy<Value = v1::Send> {
    (send(), option::of(text()), texts()).prop_map(|(send, reply_to, mentions)| v1::Send { reply_to, mentions, ..send })
}

pub(crate) fn message() -> impl Strategy<Value = v1::Message> {
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
pub(crate) fn rich_message() -> impl Strategy<Value = v1::Message> {
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

pub(crate) fn member() -> impl Strategy<Value = v1::Member> {
    (text(), 0..3i32).prop_map(|(user, role)| v1::Member { user, role })
}

pub(crate) fn marks() -> impl Strategy<Value = v1::MemberMarks> {
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

pub(crate) fn event() -> impl Strategy<Value = v1::Event> {
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

pub(crate) fn failure() -> impl Strategy<Value = v1::Error> {
    (text(), 0..3_000u32, text(), option::of(int())).prop_map(|(code, number, message, retry_after_ms)| v1::Error {
        code,
        number,
        message,
        retry_after_ms,
    })
}

pub(crate) fn conversation() -> impl Strategy<Value = v1::Conversation> {
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

pub(crate) fn listing() -> impl Strategy<Value = v1::Listing> {
    (option::of(conversation()), option::of(message()), int(), option::of(text()))
        .prop_map(|(conversation, last, activity_ms, peer)| v1::Listing { conversation, last, activity_ms, peer })
}

pub(crate) fn subscribed_all() -> impl Strategy<Value = v1::SubscribedAll> {
    (int(), option::of(failure())).prop_map(|(total, error)| v1::SubscribedAll { total, error })
}

pub(crate) fn subscribed_to() -> impl Strategy<Value = v1::SubscribedTo> {
    (text(), int(), option::of(failure())).prop_map(|(conversation, head, error)| v1::SubscribedTo {
        conversation,
        head,
        error,
    })
}

pub(crate) fn resumed() -> impl Strategy<Value = v1::ResumedConversation> {
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

pub(crate) fn opened() -> impl Strategy<Value = v1::OpenedConversation> {
    (text(), texts(), int(), option::of(failure()))
        .prop_map(|(conversation, users, more, error)| v1::OpenedConversation { conversation, users, more, error })
}

pub(crate) fn unread() -> impl Strategy<Value = v1::UnreadConversation> {
    (text(), int(), int(), option::of(failure()))
        .prop_map(|(conversation, unread, read, error)| v1::UnreadConversation { conversation, unread, read, error })
}

pub(crate) fn reply() -> impl Strategy<Value = (ReplyKind, R)> {
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
