//! The table of rights, cell by cell: what each role may do in a group and in a direct conversation, and what it may not.

use switchyard_cluster::link::{HistoryAsk, PageFrom, SubscribeAsk};
use switchyard_protocol::code::ErrorCode::{self, Closed, Conflict, Forbidden, NotFound};
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::Role;
use switchyard_router::config::RouterConfig;

use crate::ask::What;
use crate::clients::{STRANGER, places};
use crate::desk::{Desk, code, role, send};
use crate::old;
use crate::timeline::user;

/// Yes.
const Y: Option<ErrorCode> = None;
/// No, by one's role.
const N: Option<ErrorCode> = Some(Forbidden);
/// There is no such thing, as far as the asker may know.
const X: Option<ErrorCode> = Some(NotFound);
/// No, for it is closed.
const K: Option<ErrorCode> = Some(Closed);
/// No, for somebody has to be admin.
const A: Option<ErrorCode> = Some(Conflict);

/// What admin, moderator, member and stranger are answered.
type Answers = [Option<ErrorCode>; 4];

/// A deed, and what is answered in an open conversation and in a closed one.
type Line = (&'static str, fn() -> What, Answers, Answers);

const READS: [Line; 5] = [
    ("send", || send("id", "text", None), [Y, Y, Y, X], [K, K, K, X]),
    ("history", || What::History(HistoryAsk { from: PageFrom::Newest, limit: 10 }), [Y, Y, Y, X], [Y, Y, Y, X]),
    ("subscribe", || What::Subscribe(SUBSCRIBE), [Y, Y, Y, X], [Y, Y, Y, X]),
    ("get", || What::Get, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("members", || What::Members { after: None, limit: 9 }, [Y, Y, Y, X], [Y, Y, Y, X]),
];

const SUBSCRIBE: SubscribeAsk = SubscribeAsk { after: Some(0), events_max: 9, bytes_max: 999 };

/// In the old group ana is admin, ben moderator, cleo and eva members; dan is in none of them.
const GROUP: [Line; 21] = [
    ("add", || What::Add(vec![user("dan")]), [Y, Y, N, X], [K, K, N, X]),
    ("add who is in", || What::Add(vec![user("cleo")]), [Y, Y, N, X], [K, K, N, X]),
    ("remove a member", || What::Remove(user("eva")), [Y, Y, N, X], [K, K, N, X]),
    // Going is possible also for who puts themselves out.
    ("remove a moderator", || What::Remove(user("ben")), [Y, Y, N, X], [K, Y, N, X]),
    ("remove an admin", || What::Remove(user("ana")), [Y, N, N, X], [Y, K, N, X]),
    ("remove nobody", || What::Remove(user("dan")), [X, X, N, X], [K, K, N, X]),
    ("leave", || What::Leave, [Y, Y, Y, X], [Y, Y, Y, X]),
    ("name", || update(Some("n"), None, None), [Y, Y, N, X], [K, K, N, X]),
    ("avatar", || update(None, Some("a"), None), [Y, Y, N, X], [K, K, N, X]),
    ("context", || update(None, None, Some("order 9")), [Y, Y, N, X], [K, K, N, X]),
    ("make a moderator", || promote("eva", Role::Moderator), [Y, N, N, X], [K, N, N, X]),
    ("make an admin", || promote("ben", Role::Admin), [Y, N, N, X], [K, N, N, X]),
    ("promote who is it", || promote("ben", Role::Moderator), [Y, N, N, X], [K, N, N, X]),
    ("promote nobody", || promote("dan", Role::Moderator), [X, N, N, X], [K, N, N, X]),
    ("make a member", || demote("ben", Role::Member), [Y, N, N, X], [K, N, N, X]),
    ("demote who is it", || demote("eva", Role::Member), [Y, N, N, X], [K, N, N, X]),
    ("demote who is less", || demote("eva", Role::Moderator), [Y, N, N, X], [K, N, N, X]),
    ("demote the last admin", || demote("ana", Role::Moderator), [A, N, N, X], [K, N, N, X]),
    ("demote nobody", || demote("dan", Role::Member), [X, N, N, X], [K, N, N, X]),
    ("close", || What::Close, [Y, N, N, X], [Y, N, N, X]),
    ("reopen", || What::Reopen, [Y, N, N, X], [Y, N, N, X]),
];

/// What is answered as done without anything being written, open and closed.
const NOTHING_TO_DO: [(&str, bool, bool); 6] = [
    ("add who is in", true, false),
    ("promote who is it", true, false),
    ("demote who is it", true, false),
    ("demote who is less", true, false),
    ("close", false, true),
    ("reopen", true, false),
];

/// A deed that nobody may do in a direct conversation.
type Never = (&'static str, fn() -> What);

const DIRECT: [Never; 7] = [
    ("add", || What::Add(vec![user("dan")])),
    ("remove the other", || What::Remove(user("ben"))),
    ("remove oneself", || What::Remove(user("ana"))),
    ("leave", || What::Leave),
    ("name", || update(Some("n"), None, None)),
    ("promote", || promote("ben", Role::Admin)),
    ("demote", || demote("ben", Role::Member)),
];

fn update(name: Option<&str>, avatar: Option<&str>, context: Option<&str>) -> What {
    let text = |text: Option<&str>| text.map(str::to_owned);
    What::Update { name: text(name), avatar: text(avatar), context: text(context) }
}

fn promote(name: &str, role: Role) -> What {
    What::Promote { member: user(name), role }
}

fn demote(name: &str, role: Role) -> What {
    What::Demote { member: user(name), role }
}

const ASKERS: [&str; 4] = ["ana", "ben", "cleo", STRANGER];

/// The old group: the store gives it its roles.
fn old_group(config: RouterConfig) -> (Desk, ConversationKey) {
    let mut desk = Desk::new(config);
    old::put(&desk.disk, 5, 2);
    let key = old::key();
    assert_eq!(code(&desk.ask("ana", &key, &What::Add(vec![user("eva")]))), Y);
    for (name, expected) in [("ana", Role::Admin), ("ben", Role::Moderator), ("cleo", Role::Member)] {
        assert_eq!(role(&desk.ask(name, &key, &What::Get)), Some(expected));
    }
    (desk, key)
}

#[test]
fn a_group_grants_each_role_its_rights_and_no_more() {
    for closed in [false, true] {
        for (deed, what, open_answers, closed_answers) in READS.iter().chain(&GROUP) {
            let answers = if closed { closed_answers } else { open_answers };
            for (name, expected) in ASKERS.iter().zip(answers) {
                let (mut desk, key) = old_group(RouterConfig::default());
                if closed {
                    assert_eq!(code(&desk.ask("ana", &key, &What::Close)), Y);
                }
                let before = rows(&desk, &key);
                let answer = desk.ask(name, &key, &what());
                assert_eq!(code(&answer), *expected, "{name}: {deed}, closed {closed}: {answer:?}");
                let idle = NOTHING_TO_DO
                    .iter()
                    .any(|(other, open, shut)| other == deed && *(if closed { shut } else { open }));
                if expected.is_some() || idle {
                    assert_eq!(rows(&desk, &key), before, "{name}: {deed}, closed {closed}: it leaves no trace");
                }
            }
        }
    }
}

#[test]
fn a_policy_lets_members_add_and_nothing_else() {
    let config = RouterConfig { members_add: true, ..RouterConfig::default() };
    for (deed, what, [_, _, member, stranger], _) in &GROUP {
        let adds = deed.starts_with("add");
        let (mut desk, key) = old_group(config.clone());
        assert_eq!(code(&desk.ask(STRANGER, &key, &what())), *stranger, "stranger: {deed}");
        let answer = desk.ask("cleo", &key, &what());
        assert_eq!(code(&answer), if adds { Y } else { *member }, "member: {deed}: {answer:?}");
    }
}

#[test]
fn a_direct_conversation_has_its_two_members_for_good() {
    let place = places().swap_remove(0);
    let mut desk = Desk::new(RouterConfig::default());
    let create = What::Create(place.create.expect("it can be created"));
    assert_eq!(code(&desk.ask("ana", &place.key, &create)), Y);
    // Closed by the one and reopened by the other, and the other way round.
    for [closes, opens] in [["ana", "ben"], ["ben", "ana"]] {
        for closed in [false, true] {
            if closed {
                assert_eq!(code(&desk.ask(STRANGER, &place.key, &What::Close)), X);
                assert_eq!(code(&desk.ask(closes, &place.key, &What::Close)), Y);
            }
            for (deed, what, open_answers, closed_answers) in &READS {
                let answers = if closed { closed_answers } else { open_answers };
                for name in ["ana", "ben", STRANGER] {
                    // What was stored before it was closed is answered again.
                    let what = if closed { fresh(what()) } else { what() };
                    let expected = if name == STRANGER { answers[3] } else { answers[2] };
                    assert_eq!(code(&desk.ask(name, &place.key, &what)), expected, "{name}: {deed}, closed {closed}");
                }
            }
            for (deed, what) in &DIRECT {
                for (name, expected) in [("ana", N), ("ben", N), (STRANGER, X)] {
                    assert_eq!(code(&desk.ask(name, &place.key, &what())), expected, "{name}: {deed}, closed {closed}");
                }
            }
        }
        assert_eq!(code(&desk.ask(STRANGER, &place.key, &What::Reopen)), X);
        assert_eq!(code(&desk.ask(opens, &place.key, &What::Reopen)), Y);
    }
}

/// The same message under an id that nobody has used.
fn fresh(what: What) -> What {
    match what {
        What::Send(_) => send("another id", "text", None),
        other => other,
    }
}

#[test]
fn n14_who_was_removed_is_a_stranger_from_then_on() {
    let (mut desk, key) = old_group(RouterConfig::default());
    assert_eq!(code(&desk.ask("cleo", &key, &send("mine", "text", None))), Y);
    assert_eq!(code(&desk.ask("ana", &key, &What::Remove(user("cleo")))), Y);
    for (deed, what, answers, _) in READS.iter().chain(&GROUP) {
        assert_eq!(code(&desk.ask("cleo", &key, &what())), answers[3], "{deed}");
    }
    // Nor does a message of one's own come back.
    assert_eq!(code(&desk.ask("cleo", &key, &send("mine", "text", Some(0)))), X);
}

/// How many events there are.
fn rows(desk: &Desk, key: &ConversationKey) -> usize {
    desk.disk.inner().rows.get(key).map_or(0, |rows| rows.blobs.len())
}
