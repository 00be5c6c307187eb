//! Typing: who has a conversation open is told, nobody of themselves, and a slow reader of the newest alone.

use std::time::Duration;

use switchyard_protocol::frame::Form;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};

use super::owner::Seen;
use super::site::{Client, Read1, Site, error_of};
use super::talk::{key, narrow, until_stuck};

fn open(client: &mut Client, conversations: &[&str]) -> Vec<v1::OpenedConversation> {
    let conversations = conversations.iter().map(|text| (*text).to_owned()).collect();
    match client.ask(Request::Open(v1::Open { conversations })) {
        Reply::Opened(opened) => opened.opened,
        other => panic!("not opened: {other:?}"),
    }
}

fn typing(conversation: &str, on: bool) -> Request {
    Request::Typing(v1::Typing { conversation: conversation.to_owned(), on })
}

fn types(client: &mut Client, conversation: &str, on: bool) {
    assert!(matches!(client.ask(typing(conversation, on)), Reply::Done(_)));
}

/// The next event, which says who types.
fn typers(client: &mut Client, conversation: &str) -> Vec<String> {
    let event = client.event();
    assert_eq!((event.conversation.as_str(), event.seq), (conversation, 0));
    match event.body {
        Some(Body::Typing(typers)) => typers.users,
        other => panic!("not of typing: {other:?}"),
    }
}

fn hears_nothing(client: &mut Client) {
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    assert_eq!(client.events, []);
}

/// Both forms over one conversation of three, which all are subscribed to.
fn three(site: &Site) -> (Client, Client, Client, String) {
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Json));
    let mut carol = site.client("carol", Form::Proto);
    let room = alice.group(&["bob", "carol"]);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.subscribe(&room);
    }
    (alice, bob, carol, room)
}

#[test]
fn those_who_have_it_open_are_told_in_both_forms() {
    let site = Site::new();
    let (mut alice, mut bob, mut carol, room) = three(&site);
    types(&mut carol, &room, true);
    let opened = open(&mut bob, &[&room]);
    assert_eq!(
        opened,
        [v1::OpenedConversation { conversation: room.clone(), users: vec!["carol".into()], ..Default::default() }]
    );
    assert_eq!(open(&mut carol, &[&room])[0].users, [""; 0], "nobody is told of themselves");
    types(&mut alice, &room, true);
    for client in [&mut bob, &mut carol] {
        let expected: &[&str] = if client.form == Form::Json { &["carol", "alice"] } else { &["alice"] };
        assert_eq!(typers(client, &room), expected);
    }
    types(&mut carol, &room, false);
    assert_eq!(typers(&mut bob, &room), ["alice"]);
    hears_nothing(&mut carol);
    // Whoever did not open it, or closed it, is told nothing.
    hears_nothing(&mut alice);
    assert_eq!(open(&mut bob, &[]), []);
    drop(alice);
    assert_eq!(typers(&mut carol, &room), [""; 0], "who is gone does not type");
    hears_nothing(&mut bob);
    drop(carol);
    site.wait_for(&Seen::Closed(key(&room)));
}

#[test]
fn what_is_repeated_too_soon_does_not_reach_the_owner_unless_a_message_came_between() {
    let site = Site::new();
    let (mut alice, _bob, _carol, room) = three(&site);
    for _ in 0..10 {
        types(&mut alice, &room, true);
    }
    assert_eq!(site.seen.try_iter().filter(|seen| *seen == Seen::Typing).count(), 1);
    alice.send_text(&room, "1", "done");
    types(&mut alice, &room, true);
    assert_eq!(site.seen.try_iter().filter(|seen| *seen == Seen::Typing).count(), 1);
}

#[test]
fn the_set_that_is_open_is_replaced_and_has_a_limit() {
    let site = Site::new();
    let (mut alice, mut bob, _carol, first) = three(&site);
    let second = alice.group(&["bob"]);
    for client in [&mut alice, &mut bob] {
        client.subscribe(&second);
    }
    open(&mut bob, &[&first]);
    assert_eq!(open(&mut bob, &[&second, &second]).len(), 2, "each is answered");
    site.wait_for(&Seen::Closed(key(&first)));
    types(&mut alice, &first, true);
    types(&mut alice, &second, true);
    assert_eq!(typers(&mut bob, &second), ["alice"]);
    let nine = vec![second.clone(); 9];
    assert_eq!(error_of(bob.ask(Request::Open(v1::Open { conversations: nine }))).code, "BAD_REQUEST");
    types(&mut alice, &second, false);
    assert_eq!(typers(&mut bob, &second), [""; 0], "what was open stays so");
    hears_nothing(&mut bob);
}

#[test]
fn n12_who_is_not_subscribed_is_told_what_a_stranger_is() {
    let site = Site::new();
    let (_alice, mut bob, _carol, room) = three(&site);
    let mut stranger = site.client("mallory", Form::Proto);
    let nowhere = ConversationId::from_bytes([9; 16]).to_string();
    let unsubscribe = v1::Unsubscribe { conversations: vec![room.clone()] };
    assert!(matches!(bob.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    for client in [&mut bob, &mut stranger] {
        let opened = open(client, &[&room, &nowhere, "no id at all"]);
        let errors: Vec<_> = opened.into_iter().map(|one| one.error.expect("refused")).collect();
        assert_eq!(errors[0].code, "NOT_FOUND");
        assert!(errors.iter().all(|error| *error == errors[0]));
        for conversation in [&room, &nowhere, "no id at all"] {
            for on in [true, false] {
                assert_eq!(error_of(client.ask(typing(conversation, on))), errors[0]);
            }
        }
    }
}

#[test]
fn n14_a_removed_member_is_told_nothing_after_it() {
    let site = Site::new();
    let (mut alice, mut bob, mut carol, room) = three(&site);
    open(&mut bob, &[&room]);
    open(&mut carol, &[&room]);
    let remove = v1::Remove { conversation: room.clone(), member: "bob".to_owned() };
    assert!(matches!(alice.ask(Request::Remove(remove)), Reply::Changed(_)));
    types(&mut alice, &room, true);
    assert!(matches!(carol.event().body, Some(Body::Members(_))));
    assert_eq!(typers(&mut carol, &room), ["alice"]);
    assert!(matches!(bob.event().body, Some(Body::Members(_))));
    hears_nothing(&mut bob);
}

#[test]
fn n26_a_slow_reader_is_told_of_the_newest_state_alone() {
    let (site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    let mut other = site.client("writer", Form::Json);
    other.subscribe(&conversation);
    open(&mut reader, &[&conversation]);
    for n in 1..=4 {
        writer.send_text(&conversation, &format!("{n}"), &"x".repeat(60 * 1024));
    }
    // Pages for which the kernel has no room by far; some turns later nothing more goes out.
    let history = v1::History { conversation: conversation.clone(), limit: 4, ..Default::default() };
    let mut pages: Vec<u64> = (0..10).map(|_| reader.send(Request::History(history.clone()))).collect();
    until_stuck(&site, &mut writer, &reader);
    // Starts and stops, the last of them a start.
    for _ in 0..50 {
        types(&mut other, &conversation, true);
        types(&mut other, &conversation, false);
    }
    types(&mut other, &conversation, true);
    let mut told = Vec::new();
    while told.is_empty() || !pages.is_empty() {
        match reader.read() {
            Read1::Event(v1::Event { body: Some(Body::Typing(typers)), .. }) => told.push(typers.users),
            Read1::Event(event) => assert!(matches!(event.body, Some(Body::Message(_))), "{event:?}"),
            Read1::Reply(id, _) => pages.retain(|page| *page != id),
            Read1::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    hears_nothing(&mut reader);
    assert!(told.len() < 5, "{} of 101 changes were told", told.len());
    assert_eq!(told.last().expect("the newest"), &["writer"]);
    types(&mut other, &conversation, false);
    assert_eq!(typers(&mut reader, &conversation), [""; 0], "live again");
}
