//! Presence: who watches is told, nobody else is, and a slow reader of the newest alone.

use std::time::Duration;

use switchyard_protocol::frame::Form;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply};

use super::owner::Seen;
use super::site::{Client, Read1, Site, error_of};
use super::talk::{narrow, until_stuck};

fn request(users: &[&str], conversation: Option<&str>) -> Request {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    Request::Watch(v1::Watch { users, conversation: conversation.map(str::to_owned) })
}

/// Who of these users is online; each as it was asked.
fn watch(client: &mut Client, users: &[&str], conversation: Option<&str>) -> Vec<bool> {
    match client.ask(request(users, conversation)) {
        Reply::Watched(watched) => {
            assert_eq!(watched.presence.iter().map(|it| it.user.as_str()).collect::<Vec<_>>(), users);
            watched.presence.iter().map(|it| it.online).collect()
        }
        other => panic!("not watched: {other:?}"),
    }
}

/// The next event, which says how it is with one user.
fn told(client: &mut Client) -> (String, bool) {
    let event = client.event();
    assert_eq!((event.conversation.as_str(), event.seq), ("", 0));
    match event.body {
        Some(Body::Presence(v1::Presence { presence, counts })) => {
            assert_eq!((presence.len(), counts.len()), (1, 0));
            (presence[0].user.clone(), presence[0].online)
        }
        other => panic!("not of presence: {other:?}"),
    }
}

fn hears_nothing(client: &mut Client) {
    assert!(matches!(client.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    assert_eq!(client.events, []);
}

/// A conversation of these, which both clients read.
fn room(alice: &mut Client, bob: &mut Client, members: &[&str]) -> String {
    let room = alice.group(members);
    alice.subscribe(&room);
    bob.subscribe(&room);
    room
}

#[test]
fn those_who_watch_are_told_in_both_forms_until_nobody_does() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Json));
    let room = room(&mut alice, &mut bob, &["bob", "carol"]);
    let room = Some(room.as_str());
    assert_eq!(watch(&mut alice, &["carol", "bob", "alice"], room), [false, true, true]);
    assert_eq!(watch(&mut bob, &["carol"], room), [false]);
    let carol = site.client("carol", Form::Proto);
    for client in [&mut alice, &mut bob] {
        assert_eq!(told(client), ("carol".to_owned(), true));
    }
    let second = site.client("carol", Form::Proto);
    drop(carol);
    hears_nothing(&mut alice);
    let unwatch = v1::Unwatch { users: vec!["carol".to_owned()], ..Default::default() };
    assert!(matches!(alice.ask(Request::Unwatch(unwatch)), Reply::Done(_)));
    drop(second);
    assert_eq!(told(&mut bob), ("carol".to_owned(), false));
    hears_nothing(&mut alice);
    drop(bob);
    site.wait_for(&Seen::Unwatched(UserId::new("carol").expect("a valid id")));
    assert_eq!(told(&mut alice), ("bob".to_owned(), false));
}

#[test]
fn n12_n14_who_is_not_in_the_same_conversation_is_as_if_never_there() {
    let site = Site::new();
    let (mut alice, mut bob) = (site.client("alice", Form::Proto), site.client("bob", Form::Json));
    let room = room(&mut alice, &mut bob, &["bob", "carol"]);
    let mut mallory = site.client("mallory", Form::Proto);
    let refused = error_of(mallory.ask(request(&["alice"], Some(&room))));
    assert_eq!(refused, error_of(mallory.ask(request(&["alice"], Some("no id at all")))));
    // Without a conversation it is their direct one, which does not exist.
    assert_eq!(watch(&mut mallory, &["alice", "nobody"], None), [false, false]);
    assert_eq!(watch(&mut alice, &["mallory"], Some(&room)), [false], "he is no member");
    assert_eq!(watch(&mut alice, &["bob", "carol"], Some(&room)), [true, false]);
    let remove = v1::Remove { conversation: room.clone(), member: "bob".to_owned() };
    assert!(matches!(alice.ask(Request::Remove(remove)), Reply::Changed(_)));
    assert!(matches!(alice.event().body, Some(Body::Members(_))));
    assert_eq!(told(&mut alice), ("bob".to_owned(), false), "nothing is known of him any more");
    drop(bob);
    let _bob = site.client("bob", Form::Json);
    hears_nothing(&mut alice);
    // Whoever reads the conversation no more watches nobody through it.
    let unsubscribe = v1::Unsubscribe { conversations: vec![room] };
    assert!(matches!(alice.ask(Request::Unsubscribe(unsubscribe)), Reply::Done(_)));
    assert_eq!(told(&mut alice), ("carol".to_owned(), false));
    let _carol = site.client("carol", Form::Json);
    hears_nothing(&mut alice);
    hears_nothing(&mut mallory);
}

#[test]
fn n26_a_slow_reader_is_told_of_the_newest_state_alone() {
    let (site, mut writer, conversation, mut reader) = narrow(Duration::from_secs(60));
    assert_eq!(watch(&mut reader, &["writer"], Some(&conversation)), [true]);
    for n in 1..=4 {
        writer.send_text(&conversation, &format!("{n}"), &"x".repeat(60 * 1024));
    }
    // Pages for which the kernel has no room by far; some turns later nothing more goes out.
    let history = v1::History { conversation: conversation.clone(), limit: 4, ..Default::default() };
    let mut pages: Vec<u64> = (0..10).map(|_| reader.send(Request::History(history.clone()))).collect();
    until_stuck(&site, &mut writer, &reader);
    drop(writer);
    for _ in 0..20 {
        let mut again = site.client("writer", Form::Proto);
        hears_nothing(&mut again);
    }
    let mut writer = site.client("writer", Form::Proto);
    hears_nothing(&mut writer);
    let mut seen = Vec::new();
    while !pages.is_empty() {
        match reader.read() {
            Read1::Event(event) => take(event, &mut seen),
            Read1::Reply(id, _) => pages.retain(|page| *page != id),
            Read1::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    assert!(matches!(reader.ask(Request::Ping(v1::Ping {})), Reply::Pong(_)));
    reader.events.drain(..).for_each(|event| take(event, &mut seen));
    assert!(seen.len() < 5, "{} of 42 changes were told", seen.len());
    drop(writer);
    while seen.last() != Some(&false) {
        take(reader.event(), &mut seen);
    }
    hears_nothing(&mut reader);
}

/// Whether somebody is online, by an event that says so; others are messages.
fn take(event: v1::Event, seen: &mut Vec<bool>) {
    match event.body {
        Some(Body::Presence(presence)) => seen.extend(presence.presence.into_iter().map(|it| it.online)),
        Some(Body::Message(_)) => {}
        other => panic!("{other:?}"),
    }
}
