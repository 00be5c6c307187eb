//! The in-process link when one end is behind: what gives way, what never does, and that its counts come back.

use std::sync::Arc;

use bytes::Bytes;
use switchyard_cluster::link::{
    Answer, Ask, Delivery, EdgeLink as _, LiveEvent, MarksNow, Request, RouterLink as _, SendAsk, TypersNow,
};
use switchyard_cluster::mailbox::Bell;
use switchyard_cluster::mesh::{
    ANSWER_BYTES_WAITING_MAX, EVENT_BYTES_WAITING_MAX, MeshEdge, MeshRouter, REQUEST_BYTES_WAITING_MAX, join,
};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::trace::Instance;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::limits::BODY_BYTES_MAX;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1::{self, MessageKind};

fn ends() -> (MeshEdge, MeshRouter) {
    let poll = mio::Poll::new().expect("a poll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
    join(&[Arc::new(Bell::new(waker))], Instance::new([0; 6])).remove(0)
}

fn key() -> ConversationKey {
    ConversationKey {
        tenant: TenantId::new("t").expect("a valid id"),
        conversation: ConversationId::from_bytes([7; 16]),
    }
}

fn event(seq: u64, frame: &Bytes, removed: &[&str]) -> Delivery {
    let removed = removed.iter().map(|user| UserId::new(user).expect("a valid id")).collect();
    Delivery::Event(LiveEvent { key: key(), seq, frame: frame.clone(), removed, last: false })
}

/// Kinds and numbers of what the edge receives, and who is put out by it.
fn received(edge: &mut MeshEdge) -> Vec<(&'static str, u64, usize)> {
    let mut deliveries = Vec::new();
    edge.receive(&mut deliveries);
    let told = |delivery: &Delivery| match delivery {
        Delivery::Event(event) => ("event", event.seq, event.removed.len()),
        Delivery::Head { head, .. } => ("head", *head, 0),
        Delivery::Answer { .. } => ("answer", 0, 0),
        Delivery::Listed(_) | Delivery::Presence(_) | Delivery::Parted(_) => {
            unreachable!("nothing of the kind is sent")
        }
        Delivery::Typing(now) => ("typing", now.count, now.users.len()),
        Delivery::Marks(now) => ("marks", now.marks.iter().map(|marks| marks.read).sum(), now.marks.len()),
    };
    deliveries.iter().map(told).collect()
}

#[test]
fn n14_an_event_that_puts_somebody_out_never_gives_way() {
    let (mut edge, mut router) = ends();
    let large = Bytes::from(vec![0; EVENT_BYTES_WAITING_MAX + 1]);
    router.send(EdgeId(0), event(1, &large, &[]));
    router.send(EdgeId(0), event(2, &large, &[]));
    router.send(EdgeId(0), event(3, &large, &["bob"]));
    router.send(EdgeId(0), event(4, &large, &[]));
    router.flush();
    let all = received(&mut edge);
    assert_eq!(all, [("event", 1, 0), ("head", 2, 0), ("event", 3, 1), ("head", 4, 0)], "no hole without a mark");
    router.send(EdgeId(0), event(5, &large, &[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 5, 0)], "there is room again");
}

fn typing(users: &[&str]) -> Delivery {
    let users: Vec<UserId> = users.iter().map(|user| UserId::new(user).expect("a valid id")).collect();
    let count = users.len() as u64;
    Delivery::Typing(Box::new(TypersNow { key: key(), users, count, own: Vec::new() }))
}

#[test]
fn who_types_gives_way_to_all_else_and_only_the_newest_comes_in_the_end() {
    let (mut edge, mut router) = ends();
    let large = Bytes::from(vec![0; EVENT_BYTES_WAITING_MAX + 1]);
    router.send(EdgeId(0), typing(&["ann"]));
    router.send(EdgeId(0), event(1, &Bytes::from_static(b"frame"), &[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 1, 0), ("typing", 1, 1)]);
    router.send(EdgeId(0), event(2, &large, &[]));
    router.send(EdgeId(0), typing(&["ann", "bob"]));
    router.flush();
    router.send(EdgeId(0), typing(&[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 2, 0)]);
    router.flush();
    assert_eq!(received(&mut edge), [("typing", 0, 0)], "what was replaced is not told");
}

fn marks(all: &[(&str, u64)]) -> Delivery {
    let of = |(user, read): &(&str, u64)| v1::MemberMarks { user: (*user).into(), read: *read, ..Default::default() };
    Delivery::Marks(Box::new(MarksNow { key: key(), marks: all.iter().map(of).collect(), own: false, missed: false }))
}

#[test]
fn marks_give_way_to_all_else_and_the_newest_of_each_member_comes_in_the_end() {
    let (mut edge, mut router) = ends();
    let large = Bytes::from(vec![0; EVENT_BYTES_WAITING_MAX + 1]);
    router.send(EdgeId(0), marks(&[("ann", 1)]));
    router.send(EdgeId(0), event(1, &Bytes::from_static(b"frame"), &[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 1, 0), ("marks", 1, 1)]);
    router.send(EdgeId(0), event(2, &large, &[]));
    router.send(EdgeId(0), marks(&[("bob", 10)]));
    router.flush();
    router.send(EdgeId(0), marks(&[("ann", 200), ("bob", 20)]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 2, 0)]);
    router.flush();
    assert_eq!(received(&mut edge), [("marks", 220, 2)]);
}

#[test]
fn of_more_members_than_may_wait_it_is_said_that_some_are_missing() {
    let of = |n: u64| v1::MemberMarks { user: format!("u{n:03}"), read: n, ..Default::default() };
    let now = |from, to| MarksNow { key: key(), marks: (from..to).map(of).collect(), own: false, missed: false };
    let mut waiting = now(0, 60);
    waiting.join(now(50, 100));
    assert_eq!((waiting.marks.len(), waiting.missed), (MarksNow::MEMBERS_MAX, false));
    waiting.join(now(90, 110));
    assert_eq!((waiting.marks.len(), waiting.missed), (MarksNow::MEMBERS_MAX, true));
    assert_eq!(waiting.of(&UserId::new("u099").expect("a valid id")).map(|marks| marks.read), Some(99));
    assert_eq!(waiting.of(&UserId::new("u100").expect("a valid id")), None);
}

const ASKER: Asker = Asker { edge: EdgeId(0), session: 1, request: 1, ticket: 0, roles: Roles::NONE };

fn request(text: &str) -> Request {
    let user = UserId::new("alice").expect("a valid id");
    Request { from: ASKER, key: key(), user, ask: Ask::Send(SendAsk::new("c", text, MessageKind::Text, None)) }
}

fn send(edge: &mut MeshEdge, text: &str) -> bool {
    edge.send(Shard::of_conversation(&key()), request(text)).is_ok()
}

fn answer(bytes: usize) -> Delivery {
    Delivery::Answer { to: ASKER, answer: Answer::Sent { message: vec![0; bytes].into(), duplicate: false } }
}

#[test]
fn large_requests_have_a_limit_in_bytes_and_come_again() {
    let (mut edge, mut router) = ends();
    let text = "x".repeat(BODY_BYTES_MAX);
    let mut taken = 0;
    // What was handed over counts, and what was not.
    for _ in 0..3 {
        while send(&mut edge, &text) {
            taken += 1;
        }
        edge.flush();
    }
    assert!(taken * text.len() <= 2 * REQUEST_BYTES_WAITING_MAX, "{taken} requests");
    let mut requests = Vec::new();
    router.receive(&mut requests);
    edge.flush();
    assert!(send(&mut edge, &text), "there is room again");
    let mut rest = Vec::new();
    router.receive(&mut rest);
    assert_eq!(requests.len() + rest.len(), taken, "none is lost");
}

#[test]
fn answers_count_for_events_and_for_what_is_asked() {
    let (mut edge, mut router) = ends();
    let frame = Bytes::from_static(b"frame");
    router.send(EdgeId(0), answer(EVENT_BYTES_WAITING_MAX + 1));
    router.send(EdgeId(0), event(1, &frame, &[]));
    router.flush();
    assert!(send(&mut edge, "text"));
    router.send(EdgeId(0), answer(ANSWER_BYTES_WAITING_MAX - EVENT_BYTES_WAITING_MAX));
    router.flush();
    assert!(!send(&mut edge, "text"), "who does not take its answers asks for nothing more");
    assert_eq!(received(&mut edge), [("answer", 0, 0), ("head", 1, 0), ("answer", 0, 0)]);
    assert!(send(&mut edge, "text"));
    router.send(EdgeId(0), event(2, &frame, &[]));
    router.flush();
    assert_eq!(received(&mut edge), [("event", 2, 0)]);
}
