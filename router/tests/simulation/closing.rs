//! Closed conversations and changed roles in certain orders of things: what waits behind a close, what was stored before
//! it, and what a process knows that comes after.

use std::time::Duration;

use switchyard_cluster::link::Answer;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{self, Role, reply};
use switchyard_router::config::RouterConfig;

use crate::ask::What;
use crate::clients::places;
use crate::desk::{Desk, code, group, role, send, sent};
use crate::old;
use crate::timeline::user;

const CLOSED: Option<ErrorCode> = Some(ErrorCode::Closed);

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

fn desk() -> Desk {
    Desk::new(RouterConfig { idle_after: Duration::from_secs(1), ..RouterConfig::default() })
}

/// A group of ana, its admin, and ben.
fn with_group() -> (Desk, ConversationKey) {
    let (mut desk, key) = (desk(), key());
    assert_eq!(code(&desk.ask("ana", &key, &group(&["ana", "ben"]))), None);
    (desk, key)
}

fn detail(desk: &mut Desk, key: &ConversationKey) -> v1::Conversation {
    let answer = desk.ask("ben", key, &What::Get);
    let Answer::Result(result) = answer else { panic!("{answer:?}") };
    let reply::Result::Detail(detail) = *result else { panic!("{result:?}") };
    detail.conversation.expect("a conversation")
}

/// What was answered to each.
fn codes(desk: &mut Desk, askers: &[Asker]) -> Vec<Option<ErrorCode>> {
    desk.run();
    askers.iter().map(|asker| code(&desk.answer(*asker).expect("every request is answered"))).collect()
}

#[test]
fn what_waits_behind_a_close_is_refused_and_what_came_before_it_is_stored() {
    let (mut desk, key) = with_group();
    let message = |id: &str| send(id, "text", None);
    let asks = [
        ("ben", message("before")),
        ("ben", message("before too")),
        ("ana", What::Close),
        ("ben", message("behind")),
        ("ana", What::Remove(user("ben"))),
        ("ana", What::Update { name: Some("n".into()), avatar: None, context: None }),
        ("ana", What::Promote { member: user("ben"), role: Role::Admin }),
        // The same message again, while the first attempt waits.
        ("ben", message("behind")),
        ("ana", What::Reopen),
        ("ben", message("reopened")),
    ];
    // The first is being stored; everything else waits for it.
    let askers: Vec<Asker> = asks.iter().map(|(name, what)| desk.put(name, 0, &key, what)).collect();
    let expected = [None, None, None, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, None, None];
    assert_eq!(codes(&mut desk, &askers), expected);
    let seen = detail(&mut desk, &key);
    assert_eq!((seen.head, seen.closed, seen.member_count, seen.name), (5, false, 2, None));
}

#[test]
fn a_change_that_waits_behind_a_reopening_is_judged_when_its_turn_comes() {
    let (mut desk, key) = with_group();
    assert_eq!(code(&desk.ask("ana", &key, &What::Close)), None);
    let update = What::Update { name: Some("n".into()), avatar: None, context: None };
    let askers = [
        desk.put("ana", 0, &key, &update),
        desk.put("ana", 0, &key, &What::Reopen),
        desk.put("ana", 0, &key, &update),
        desk.put("ben", 0, &key, &send("a", "text", None)),
    ];
    assert_eq!(codes(&mut desk, &askers), [CLOSED, None, None, None]);
    assert_eq!(detail(&mut desk, &key).name.as_deref(), Some("n"));
}

#[test]
fn n18_what_was_stored_before_a_close_is_answered_with_its_first_result() {
    // Remembered, read from the log, and by a process that knows nothing of it.
    for (unloaded, killed) in [(false, false), (true, false), (false, true)] {
        let (mut desk, key) = with_group();
        let (first, _) = sent(&desk.ask("ben", &key, &send("a", "text", Some(0))));
        assert_eq!(code(&desk.ask("ana", &key, &What::Close)), None);
        if unloaded {
            desk.pass(Duration::from_secs(10));
            assert_eq!(desk.held().conversations, 0);
        }
        if killed {
            desk.kill();
        }
        for since in [None, Some(0)] {
            assert_eq!(sent(&desk.ask("ben", &key, &send("a", "text", since))), (first.clone(), true));
            assert_eq!(code(&desk.ask("ben", &key, &send("b", "text", since))), CLOSED);
        }
    }
}

/// What is left of the projections when a process starts.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Left {
    Everything,
    /// A record, as of the founding, of a version that knew nothing of closing; the log goes on above it.
    OldRecord,
    Nothing,
}

#[test]
fn a_close_and_a_role_are_known_to_the_next_process_from_the_record_and_from_the_log_alone() {
    for left in [Left::Everything, Left::OldRecord, Left::Nothing] {
        let mut desk = desk();
        old::put(&desk.disk, 0, 0);
        let key = old::key();
        let (record, members, lists) = {
            let inner = desk.disk.inner();
            (inner.records[&key].clone(), inner.members.clone(), inner.lists.clone())
        };
        let context = What::Update { name: None, avatar: None, context: Some("order 9".into()) };
        assert_eq!(code(&desk.ask("ana", &key, &context)), None);
        assert_eq!(code(&desk.ask("ana", &key, &What::Promote { member: user("cleo"), role: Role::Admin })), None);
        assert_eq!(code(&desk.ask("cleo", &key, &What::Demote { member: user("ben"), role: Role::Member })), None);
        assert_eq!(code(&desk.ask("ana", &key, &What::Close)), None);
        desk.kill();
        {
            let mut inner = desk.disk.inner();
            match left {
                Left::Everything => {}
                Left::OldRecord => {
                    inner.records.insert(key.clone(), record);
                    (inner.members, inner.lists) = (members, lists);
                }
                Left::Nothing => {
                    inner.records.clear();
                    inner.members.clear();
                    inner.lists.clear();
                }
            }
        }
        let seen = detail(&mut desk, &key);
        assert_eq!((seen.closed, seen.context.as_deref(), seen.head), (true, Some("order 9"), 4), "{left:?}");
        for (name, expected) in [("ana", Role::Admin), ("ben", Role::Member), ("cleo", Role::Admin)] {
            assert_eq!(role(&desk.ask(name, &key, &What::Get)), Some(expected), "{left:?}: {name}");
        }
        assert_eq!(code(&desk.ask("ben", &key, &send("a", "text", None))), CLOSED, "{left:?}");
        // Of two admins one may be demoted, by oneself too; the last may not.
        assert_eq!(code(&desk.ask("cleo", &key, &What::Reopen)), None);
        let demote = |name| What::Demote { member: user(name), role: Role::Moderator };
        assert_eq!(code(&desk.ask("ana", &key, &demote("ana"))), None, "{left:?}");
        assert_eq!(code(&desk.ask("cleo", &key, &demote("cleo"))), Some(ErrorCode::Conflict), "{left:?}");
        desk.kill();
        assert!(!detail(&mut desk, &key).closed, "{left:?}");
        assert_eq!(role(&desk.ask("ana", &key, &What::Get)), Some(Role::Moderator), "{left:?}");
        sent(&desk.ask("ben", &key, &send("a", "text", None)));
    }
}

#[test]
fn who_was_promoted_is_told_at_once_and_comes_first_when_the_last_admin_goes() {
    let (mut desk, key) = with_group();
    assert_eq!(code(&desk.ask("ana", &key, &What::Add(vec![user("cleo"), user("dan")]))), None);
    let promote = What::Promote { member: user("dan"), role: Role::Moderator };
    assert_eq!(code(&desk.ask("dan", &key, &promote)), Some(ErrorCode::Forbidden));
    assert_eq!(code(&desk.ask("ana", &key, &promote)), None);
    assert_eq!(role(&desk.ask("dan", &key, &What::Get)), Some(Role::Moderator));
    assert_eq!(code(&desk.ask("ana", &key, &What::Close)), None);
    // Leaving is possible all the same, and leaves somebody who can reopen.
    assert_eq!(code(&desk.ask("ana", &key, &What::Leave)), None);
    assert_eq!(role(&desk.ask("dan", &key, &What::Get)), Some(Role::Admin));
    assert_eq!(code(&desk.ask("dan", &key, &What::Reopen)), None);
}
