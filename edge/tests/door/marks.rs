//! Marks: all who read the conversation are told, or each of their own; a slow reader of nothing but that it missed some.

use std::time::Duration;

use switchyard_protocol::frame::Form;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};

use super::site::{Client, Read1, Site};
use super::talk::{narrow, until_stuck};

fn mark(client: &mut Client, conversation: &str, read: u64) {
    let mark = v1::Mark { conversation: conversation.to_owned(), read: Some(read), ..Default::default() };
    assert!(matches!(client.ask(Request::Mark(mark)), Reply::Marked(_)));
}

/// The next event, which is about marks: whose, how far, and whether some were missed.
fn marks(client: &mut Client) -> (Vec<(String, u64)>, bool) {
    let event = client.event();
    assert_eq!(event.seq, 0);
    match event.body {
        Some(Body::Marks(now)) => (now.marks.into_iter().map(|it| (it.user, it.read)).collect(), now.missed),
        other => panic!("not of marks: {other:?}"),
    }
}

fn of(user: &str, read: u64) -> (Vec<(String, u64)>, bool) {
    (vec![(user.to_owned(), read)], false)
}

fn hears_nothing(client: &mut Client) {
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    assert_eq!(client.events, []);
}

#[test]
fn readers_are_told_in_both_forms_and_in_large_conversations_of_themselves() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Json));
    let mut tablet = site.client("bob", Form::Proto);
    let room = alice.group(&["bob"]);
    for client in [&mut alice, &mut bob, &mut tablet] {
        client.subscribe(&room);
    }
    mark(&mut bob, &room, 3);
    for client in [&mut alice, &mut bob, &mut tablet] {
        assert_eq!(marks(client), of("bob", 3));
    }
    mark(&mut bob, &room, 9);
    for client in [&mut bob, &mut tablet] {
        assert_eq!(marks(client), of("bob", 9));
    }
    hears_nothing(&mut alice);
}

#[test]
fn what_is_unread_is_added_up_in_the_order_asked() {
    let site = Site::new();
    let mut alice = site.client("alice", Form::Json);
    let (one, two) = (alice.group(&["bob"]), alice.group(&["eve"]));
    let nowhere = ConversationId::from_bytes([9; 16]).to_string();
    let conversations = vec![two.clone(), nowhere.clone(), "no id".to_owned(), one.clone()];
    let Reply::Unread(counts) = alice.ask(Request::Unread(v1::Unread { conversations, all: false })) else {
        panic!("not counted")
    };
    let listed = counts.conversations.iter().map(|it| (&*it.conversation, it.unread, it.error.is_some()));
    let expected = [(&*two, 2, false), (&*nowhere, 0, true), ("no id", 0, true), (&*one, 2, false)];
    assert_eq!(listed.collect::<Vec<_>>(), expected);
    assert_eq!(counts.total, 4);
}

#[test]
fn n26_a_slow_reader_is_told_that_it_missed_some() {
    let (site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    for n in 1..=4 {
        writer.send_text(&conversation, &format!("{n}"), &"x".repeat(60 * 1024));
    }
    // Pages for which the kernel has no room by far; some turns later nothing more goes out.
    let history = v1::History { conversation: conversation.clone(), limit: 4, ..Default::default() };
    let mut pages: Vec<u64> = (0..10).map(|_| reader.send(Request::History(history.clone()))).collect();
    until_stuck(&site, &mut writer, &reader);
    for read in 1..=4 {
        mark(&mut writer, &conversation, read);
    }
    let mut told = Vec::new();
    while told.is_empty() || !pages.is_empty() {
        match reader.read() {
            Read1::Event(v1::Event { body: Some(Body::Marks(now)), .. }) => told.push((now.marks.len(), now.missed)),
            Read1::Event(event) => assert!(matches!(event.body, Some(Body::Message(_))), "{event:?}"),
            Read1::Reply(id, _) => pages.retain(|page| *page != id),
            Read1::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    hears_nothing(&mut reader);
    assert_eq!(told, [(0, true)]);
    mark(&mut writer, &conversation, 5);
    assert_eq!(marks(&mut reader), of("writer", 5), "live again");
}
