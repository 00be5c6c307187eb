//! The table of rights, cell by cell: what each role may do in a group and in a direct conversation, and what it may not.

use switchyard_cluster::link::{HistoryAsk, PageFrom, SubscribeAsk};
use switchyard_protocol::code::ErrorCode::{self, Forbidden, NotFound};
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

/// A deed, and what admin, moderator, member and stranger are answered.
type Line = (&'static str, fn() -> What, [Option<ErrorCode>; 4]);

const READS: [Line; 5] = [
    ("send", || send("id", "text", None), [Y, Y, Y, X]),
    ("history", || What::History(HistoryAsk { from: PageFrom::Newest, limit: 10 }), [Y, Y, Y, X]),
    ("subscribe", || What::Subscribe(SubscribeAsk { after: Some(0), events_max: 9, bytes_max: 999 }), [Y, Y, Y, X]),
    ("get", || What::Get, [Y, Y, Y, X]),
    ("members", || What::Members { after: None, limit: 9 }, [Y, Y, Y, X]),
];

/// In the old group ana is admin, ben moderator, cleo and eva members; dan is in none of them.
const GROUP: [Line; 9] = [
    ("add", || What::Add(vec![user("dan")]), [Y, Y, N, X]),
    ("add who is in", || What::Add(vec![user("cleo")]), [Y, Y, N, X]),
    ("remove a member", || What::Remove(user("eva")), [Y, Y, N, X]),
    ("remove a moderator", || What::Remove(user("ben")), [Y, Y, N, X]),
    ("remove an admin", || What::Remove(user("ana")), [Y, N, N, X]),
    ("remove nobody", || What::Remove(user("dan")), [X, X, N, X]),
    ("leave", || What::Leave, [Y, Y, Y, X]),
    ("name", || What::Update { name: Some("n".into()), avatar: None }, [Y, Y, N, X]),
    ("avatar", || What::Update { name: None, avatar: Some("a".into()) }, [Y, Y, N, X]),
];

/// A deed that nobody may do in a direct conversation.
type Never = (&'static str, fn() -> What);

const DIRECT: [Never; 5] = [
    ("add", || What::Add(vec![user("dan")])),
    ("remove the other", || What::Remove(user("ben"))),
    ("remove oneself", || What::Remove(user("ana"))),
    ("leave", || What::Leave),
    ("name", || What::Update { name: Some("n".into()), avatar: None }),
];

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
    for (deed, what, answers) in READS.iter().chain(&GROUP) {
        for (name, expected) in ASKERS.iter().zip(answers) {
            let (mut desk, key) = old_group(RouterConfig::default());
            let before = head(&mut desk, &key);
            let answer = desk.ask(name, &key, &what());
            assert_eq!(code(&answer), *expected, "{name}: {deed}: {answer:?}");
            if expected.is_some() {
                assert_eq!(head(&mut desk, &key), before, "{name}: {deed}: what is refused leaves no trace");
            }
        }
    }
}

#[test]
fn a_policy_lets_members_add_and_nothing_else() {
    let config = RouterConfig { members_add: true, ..RouterConfig::default() };
    for (deed, what, [_, _, member, stranger]) in &GROUP {
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
    for (deed, what, answers) in &READS {
        for name in ["ana", "ben", STRANGER] {
            let expected = if name == STRANGER { answers[3] } else { answers[2] };
            assert_eq!(code(&desk.ask(name, &place.key, &what())), expected, "{name}: {deed}");
        }
    }
    for (deed, what) in &DIRECT {
        for (name, expected) in [("ana", N), ("ben", N), (STRANGER, X)] {
            assert_eq!(code(&desk.ask(name, &place.key, &what())), expected, "{name}: {deed}");
        }
    }
}

#[test]
fn n14_who_was_removed_is_a_stranger_from_then_on() {
    let (mut desk, key) = old_group(RouterConfig::default());
    assert_eq!(code(&desk.ask("cleo", &key, &send("mine", "text", None))), Y);
    assert_eq!(code(&desk.ask("ana", &key, &What::Remove(user("cleo")))), Y);
    for (deed, what, answers) in READS.iter().chain(&GROUP) {
        assert_eq!(code(&desk.ask("cleo", &key, &what())), answers[3], "{deed}");
    }
    // Nor does a message of one's own come back.
    assert_eq!(code(&desk.ask("cleo", &key, &send("mine", "text", Some(0)))), X);
}

/// The number of the newest event.
fn head(desk: &mut Desk, key: &ConversationKey) -> usize {
    desk.disk.inner().rows.get(key).map_or(0, |rows| rows.blobs.len())
}
