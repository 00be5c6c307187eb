//! Who types: what the edges that show a conversation are told, when, and that nothing of it is left behind.

use std::time::Duration;

use switchyard_cluster::link::{Answer, TypersNow};
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{self, reply::Result as Reply};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::Held;

use crate::ask::What;
use crate::clients::{STRANGER, places};
use crate::desk::{Desk, code, group, send, sent};
use crate::timeline::user;

const SECOND: Duration = Duration::from_secs(1);
const LASTS: Duration = Duration::from_secs(6);

/// The edge that has the conversation open.
const EDGE: u16 = 5;

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

/// A group that one edge has open, in a session of nobody who types.
fn open() -> (Desk, ConversationKey) {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben", "cleo"]));
    assert_eq!(opened(&mut desk, "ana", EDGE, 99), typers(&[], 0));
    (desk, key)
}

fn typers(users: &[&str], more: u64) -> v1::Typers {
    v1::Typers { users: users.iter().map(|user| (*user).to_owned()).collect(), more }
}

/// Has a session open the conversation; what it is told.
fn opened(desk: &mut Desk, name: &str, edge: u16, session: u64) -> v1::Typers {
    let asked = desk.put_from(name, edge, session, &key(), &What::Show);
    desk.run();
    match desk.answer(asked).expect("it is answered") {
        Answer::Result(result) => match *result {
            Reply::Opened(v1::Opened { opened }) => {
                let [one] = <[_; 1]>::try_from(opened).expect("of one conversation");
                assert_eq!((one.conversation, one.error), (key().conversation.to_string(), None));
                v1::Typers { users: one.users, more: one.more }
            }
            other => panic!("not opened: {other:?}"),
        },
        other => panic!("not opened: {other:?}"),
    }
}

fn types(desk: &mut Desk, name: &str, session: u64) {
    let asked = desk.put_from(name, 0, session, &key(), &What::Typing);
    desk.run();
    let answer = desk.answer(asked).expect("it is answered");
    assert!(matches!(&answer, Answer::Result(result) if matches!(**result, Reply::Done(_))), "{answer:?}");
}

/// What was told since the last time, as sessions see it that do not type.
fn told(desk: &mut Desk) -> Vec<v1::Typers> {
    std::mem::take(&mut desk.typing).iter().map(|(_, now)| now.seen_by(u64::MAX)).collect()
}

#[test]
fn a_start_is_told_at_once_a_stop_after_it_once_a_second_has_passed() {
    let (mut desk, key) = open();
    types(&mut desk, "ben", 2);
    assert_eq!(told(&mut desk), [typers(&["ben"], 0)]);
    desk.put_from("ben", 0, 2, &key, &What::TypingEnd);
    desk.pass(SECOND / 2);
    assert_eq!(told(&mut desk), []);
    types(&mut desk, "cleo", 3);
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [typers(&["cleo"], 0)], "what changed meanwhile is told together");
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [], "nothing changed");
    desk.put_from("cleo", 0, 3, &key, &What::TypingEnd);
    assert_eq!(told(&mut desk), [typers(&[], 0)], "a stop is told at once, too");
}

#[test]
fn who_does_not_say_it_again_types_no_more() {
    let (mut desk, _) = open();
    types(&mut desk, "ben", 2);
    desk.pass(LASTS / 2);
    types(&mut desk, "ben", 2);
    desk.pass(LASTS - SECOND);
    assert_eq!(told(&mut desk), [typers(&["ben"], 0)], "it is told once, and lasts");
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [typers(&[], 0)]);
    assert_eq!(desk.held().typing, 1, "the edge has it open still");
    desk.put("nobody", EDGE, &key(), &What::Hide);
    assert_eq!(desk.held().typing, 0);
}

#[test]
fn where_nobody_has_it_open_nothing_is_told_and_nothing_stays() {
    for end in [What::Hide, What::Unsubscribe] {
        let (mut desk, key) = open();
        desk.put("nobody", EDGE, &key, &end);
        types(&mut desk, "ben", 2);
        desk.pass(SECOND);
        assert_eq!(told(&mut desk), []);
        assert_eq!(opened(&mut desk, "ana", 7, 98), typers(&["ben"], 0), "who opens it now is told");
        types(&mut desk, "cleo", 3);
        let edges: Vec<EdgeId> = desk.typing.iter().map(|(edge, _)| *edge).collect();
        assert_eq!((edges, told(&mut desk)), (vec![EdgeId(7)], vec![typers(&["ben", "cleo"], 0)]));
        desk.put("nobody", 7, &key, &end);
        desk.pass(LASTS);
        assert_eq!(told(&mut desk), []);
        assert_eq!(desk.held().typing, 0);
        desk.pass(RouterConfig::default().idle_after * 3);
        assert_eq!(desk.held(), Held::default());
    }
}

#[test]
fn an_edge_that_has_it_open_is_told_although_the_conversation_left_memory() {
    let (mut desk, key) = open();
    desk.pass(RouterConfig::default().idle_after * 3);
    assert_eq!(desk.held(), Held { typing: 1, ..Held::default() });
    types(&mut desk, "ben", 2);
    assert_eq!(told(&mut desk), [typers(&["ben"], 0)]);
    desk.pass(SECOND);
    sent(&{
        let asked = desk.put_from("ben", 0, 2, &key, &send("a", "text", None));
        desk.run();
        desk.answer(asked).expect("it is answered")
    });
    assert_eq!(told(&mut desk), [typers(&[], 0)]);
}

#[test]
fn a_message_ends_the_typing_of_its_session_alone() {
    let (mut desk, key) = open();
    types(&mut desk, "ben", 2);
    types(&mut desk, "ben", 3);
    types(&mut desk, "cleo", 4);
    desk.pass(SECOND);
    assert_eq!(told(&mut desk).last(), Some(&typers(&["ben", "cleo"], 0)), "each user once");
    desk.put_from("ben", 0, 3, &key, &send("a", "text", None));
    desk.run();
    desk.pass(SECOND);
    assert_eq!(told(&mut desk).pop().unwrap_or(typers(&["ben", "cleo"], 0)), typers(&["ben", "cleo"], 0));
    desk.put_from("ben", 0, 2, &key, &send("b", "text", None));
    desk.run();
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [typers(&["cleo"], 0)]);
}

#[test]
fn a_session_is_not_told_of_itself_but_of_its_users_others() {
    let (mut desk, key) = open();
    for (session, name) in [(1, "ben"), (2, "ben"), (3, "cleo")] {
        let asked = desk.put_from(name, EDGE, session, &key, &What::Typing);
        desk.run();
        desk.answer(asked).expect("it is answered");
    }
    desk.pass(SECOND);
    let now: TypersNow = desk.typing.pop().expect("told").1;
    assert_eq!(now.seen_by(9), typers(&["ben", "cleo"], 0));
    assert_eq!(now.seen_by(1), typers(&["ben", "cleo"], 0), "its user types on another device");
    assert_eq!(now.seen_by(3), typers(&["ben"], 0));
    assert_eq!(opened(&mut desk, "cleo", EDGE, 3), typers(&["ben"], 0));
    assert_eq!(opened(&mut desk, "cleo", EDGE, 4), typers(&["ben", "cleo"], 0));
    desk.put_from("ben", EDGE, 2, &key, &What::TypingEnd);
    desk.pass(SECOND);
    assert_eq!(desk.typing.pop().expect("told").1.seen_by(1), typers(&["cleo"], 0));
}

#[test]
fn five_are_named_the_rest_is_counted_and_what_is_kept_has_a_limit() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    let names: Vec<String> = (0..100).map(|at| format!("user{at:02}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    desk.ask(all[0], &key, &group(&all));
    opened(&mut desk, all[99], EDGE, 99);
    for (session, name) in (0..).zip(&all[..8]) {
        types(&mut desk, name, session);
    }
    desk.pass(SECOND);
    assert_eq!(told(&mut desk).last(), Some(&typers(&all[..5], 3)), "those who began first");
    for (session, name) in (0..).zip(&all) {
        types(&mut desk, name, session);
    }
    desk.pass(SECOND);
    assert_eq!(told(&mut desk).last(), Some(&typers(&all[..5], 59)));
    desk.pass(LASTS);
    assert_eq!(told(&mut desk).last(), Some(&typers(&[], 0)));
}

#[test]
fn who_is_put_out_types_no_more_and_a_stranger_learns_nothing() {
    let (mut desk, key) = open();
    types(&mut desk, "ben", 2);
    desk.pass(SECOND);
    told(&mut desk);
    desk.ask("ana", &key, &What::Remove(user("ben")));
    assert_eq!(told(&mut desk), [typers(&[], 0)]);
    let mut nothing = key.clone();
    nothing.conversation = switchyard_protocol::id::ConversationId::from_bytes([0xee; 16]);
    for what in [What::Show, What::Typing] {
        for name in ["ben", STRANGER] {
            let (one, other) = (desk.ask(name, &key, &what), desk.ask(name, &nothing, &what));
            assert_eq!(code(&one), Some(ErrorCode::NotFound));
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), []);
    assert_eq!(desk.held().typing, 1);
}

#[test]
fn what_ends_while_the_conversation_is_loaded_waits_for_what_it_ends() {
    let (mut desk, key) = open();
    desk.put("nobody", EDGE, &key, &What::Hide);
    desk.pass(RouterConfig::default().idle_after * 3);
    let (open, typing) = (desk.put("ana", 7, &key, &What::Show), desk.put_from("ben", 0, 2, &key, &What::Typing));
    desk.put("ana", 7, &key, &What::Hide);
    desk.put_from("ben", 0, 2, &key, &What::TypingEnd);
    desk.run();
    assert!(desk.answer(open).is_some() && desk.answer(typing).is_some());
    desk.pass(SECOND);
    assert_eq!(desk.held().typing, 0);
}

#[test]
fn nobody_types_in_what_is_closed() {
    let (mut desk, key) = open();
    desk.ask("ana", &key, &What::Close);
    assert_eq!(code(&desk.ask("ben", &key, &What::Typing)), Some(ErrorCode::Closed));
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), []);
    desk.ask("ana", &key, &What::Reopen);
    types(&mut desk, "ben", 2);
    desk.pass(SECOND);
    assert_eq!(told(&mut desk), [typers(&["ben"], 0)]);
}
