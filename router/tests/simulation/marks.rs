//! Marks: what is unread after whatever happened in between, when what was said is stored, and who is told of it.

use std::time::Duration;

use switchyard_cluster::link::{Answer, MarkAsk, MarksAsk, SendAsk, SubscribeAsk};
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{self, MessageKind, reply::Result as Reply};
use switchyard_router::config::{RetentionRule, RouterConfig};
use switchyard_router::machine::{Effect, Held};

use crate::ask::What;
use crate::clients::places;
use crate::desk::{Desk, code, group, send};
use crate::timeline::user;

const SECOND: Duration = Duration::from_secs(1);

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

/// A group, with so many messages of its founder.
fn talk(config: RouterConfig, messages: u64) -> (Desk, ConversationKey) {
    let (mut desk, key) = (Desk::new(config), key());
    desk.ask("ana", &key, &group(&["ana", "ben", "cleo"]));
    say(&mut desk, &key, "ana", 0, messages);
    (desk, key)
}

fn say(desk: &mut Desk, key: &ConversationKey, name: &str, from: u64, count: u64) {
    for at in from..from + count {
        assert_eq!(code(&desk.ask(name, key, &send(&format!("m{at}"), "text", None))), None);
    }
}

fn read(seq: u64) -> What {
    What::Mark(MarkAsk { read: Some(seq), delivered: None })
}

fn result(answer: Answer) -> Reply {
    match answer {
        Answer::Result(result) => *result,
        other => panic!("not done: {other:?}"),
    }
}

/// Marks; how far the member is read and has received then, and what is unread.
pub(crate) fn mark(desk: &mut Desk, key: &ConversationKey, name: &str, what: &What) -> (u64, u64, u64) {
    match result(desk.ask(name, key, what)) {
        Reply::Marked(v1::Marked { marks: Some(marks), unread, .. }) => (marks.read, marks.delivered, unread),
        other => panic!("not marked: {other:?}"),
    }
}

/// What is read and what is not.
pub(crate) fn unread(desk: &mut Desk, key: &ConversationKey, name: &str) -> (u64, u64) {
    match result(desk.ask(name, key, &What::Unread)) {
        Reply::Unread(counts) => (counts.conversations[0].read, counts.total),
        other => panic!("not counted: {other:?}"),
    }
}

fn marks(
    desk: &mut Desk,
    key: &ConversationKey,
    passed: Option<u64>,
    after: Option<&str>,
    limit: usize,
) -> v1::MarkPage {
    let ask = MarksAsk { passed, after: after.map(user), limit };
    match result(desk.ask("ana", key, &What::Marks(ask))) {
        Reply::Marks(page) => page,
        other => panic!("no page: {other:?}"),
    }
}

#[test]
fn what_is_unread_is_right_after_a_restart_and_while_memory_does_not_reach() {
    let (mut desk, key) = talk(RouterConfig::default(), 6);
    desk.ask("ana", &key, &What::Update { name: Some("n".into()), avatar: None, context: None });
    say(&mut desk, &key, "ben", 10, 2);
    assert_eq!(unread(&mut desk, &key, "ana"), (6, 2), "a name is no message");
    assert_eq!(unread(&mut desk, &key, "ben"), (9, 0), "who writes has read what was there");
    assert_eq!(unread(&mut desk, &key, "cleo"), (0, 8));
    assert_eq!(mark(&mut desk, &key, "cleo", &read(7)), (7, 7, 2));
    assert_eq!(mark(&mut desk, &key, "cleo", &read(3)), (7, 7, 2), "a mark never falls");
    desk.pass(SECOND);
    desk.kill();
    for _ in 0..2 {
        assert_eq!(unread(&mut desk, &key, "cleo"), (7, 2));
        assert_eq!(unread(&mut desk, &key, "ana"), (6, 2));
        assert_eq!(unread(&mut desk, &key, "ben"), (9, 0));
        // The second time from the record and the stored marks alone.
        desk.pass(Duration::from_secs(300));
        assert_eq!(desk.held(), Held::default());
        desk.kill();
    }
    assert_eq!(mark(&mut desk, &key, "cleo", &read(8)), (8, 8, 1), "the row was read");
    assert_eq!(mark(&mut desk, &key, "cleo", &read(9)), (9, 9, 0));
}

#[test]
fn nothing_that_was_said_is_lost_once_a_second_has_passed() {
    let (mut desk, key) = talk(RouterConfig { idle_after: SECOND / 10, ..RouterConfig::default() }, 3);
    assert_eq!(mark(&mut desk, &key, "ben", &read(2)), (2, 2, 1));
    assert!(!desk.machine.at_rest(), "a drain waits for it");
    desk.pass(SECOND / 4);
    assert_eq!(desk.held().conversations, 1, "it stays in memory until it is stored");
    desk.pass(SECOND * 3 / 4);
    assert!(desk.machine.at_rest());
    desk.kill();
    assert_eq!(unread(&mut desk, &key, "ben"), (2, 1));
    mark(&mut desk, &key, "ben", &read(3));
    desk.kill();
    assert_eq!(unread(&mut desk, &key, "ben"), (2, 1), "it was not stored yet, and is said again");
}

#[test]
fn all_that_was_said_goes_in_one_write_and_is_repeated_until_it_is_stored() {
    let (mut desk, key) = talk(RouterConfig::default(), 5);
    let other = places().swap_remove(3).key;
    desk.ask("dan", &other, &group(&["dan", "ana"]));
    say(&mut desk, &other, "dan", 0, 1);
    mark(&mut desk, &key, "ben", &read(2));
    mark(&mut desk, &key, "ben", &read(4));
    mark(&mut desk, &key, "cleo", &What::Mark(MarkAsk { read: Some(1), delivered: Some(5) }));
    mark(&mut desk, &other, "ana", &read(1));
    desk.now.mono += SECOND / 2;
    let mut out = Vec::new();
    desk.machine.tick(desk.now, &mut out);
    let raises: Vec<_> =
        out.iter().filter_map(|it| if let Effect::Raise(marks) = it { Some(marks) } else { None }).collect();
    let [raised] = &raises[..] else { panic!("not one write: {out:?}") };
    let mut said: Vec<_> = raised.iter().map(|it| (it.key == key, it.user.as_str(), it.kind, it.at)).collect();
    said.sort_unstable();
    assert_eq!(said, [(false, "ana", 0, 1), (true, "ben", 0, 4), (true, "cleo", 0, 1), (true, "cleo", 1, 5)]);
    let lost = (*raised).clone();
    desk.feed(switchyard_router::machine::Input::Raised(Err(lost)));
    desk.pass(SECOND);
    desk.kill();
    assert_eq!(unread(&mut desk, &key, "ben"), (4, 1));
    assert_eq!(unread(&mut desk, &other, "ana"), (1, 0));
    let cleo = marks(&mut desk, &key, None, Some("ben"), 5).marks;
    assert_eq!(cleo.iter().map(|it| (&*it.user, it.read, it.delivered)).collect::<Vec<_>>(), [("cleo", 1, 5)]);
}

#[test]
fn who_joins_has_read_what_was_there_and_whoever_comes_back_begins_anew() {
    let (mut desk, key) = talk(RouterConfig::default(), 4);
    desk.ask("ana", &key, &What::Add(vec![user("dan")]));
    assert_eq!(unread(&mut desk, &key, "dan"), (5, 0));
    say(&mut desk, &key, "ana", 20, 1);
    mark(&mut desk, &key, "dan", &read(6));
    desk.pass(SECOND);
    desk.ask("ana", &key, &What::Remove(user("dan")));
    assert_eq!(code(&desk.ask("dan", &key, &read(6))), Some(ErrorCode::NotFound));
    say(&mut desk, &key, "ana", 30, 3);
    desk.ask("ana", &key, &What::Add(vec![user("dan")]));
    say(&mut desk, &key, "ana", 40, 2);
    for _ in 0..2 {
        assert_eq!(unread(&mut desk, &key, "dan"), (11, 2));
        desk.kill();
    }
    assert_eq!(marks(&mut desk, &key, Some(6), None, 9).marks.len(), 1, "whoever joined later has not seen it");
}

#[test]
fn the_servers_own_messages_are_not_unread() {
    let (mut desk, key) = talk(RouterConfig::default(), 2);
    let system = What::Send(SendAsk::new("s1", "the order was shipped", MessageKind::System, None));
    assert_eq!(code(&desk.ask("orders", &key, &system)), None);
    say(&mut desk, &key, "ana", 5, 1);
    for _ in 0..2 {
        assert_eq!(unread(&mut desk, &key, "ben"), (0, 3));
        desk.kill();
    }
    assert_eq!(mark(&mut desk, &key, "ben", &read(3)), (3, 3, 1));
    let again = desk.ask("orders", &key, &system);
    assert!(matches!(again, Answer::Sent { duplicate: true, .. }), "its id counts as any other: {again:?}");
}

#[test]
fn a_mark_above_the_head_is_refused_and_nothing_is_kept_of_it() {
    let (mut desk, key) = talk(RouterConfig::default(), 2);
    for ask in [
        MarkAsk { read: Some(3), delivered: None },
        MarkAsk { read: None, delivered: Some(3) },
        MarkAsk { read: Some(1), delivered: Some(u64::MAX) },
    ] {
        assert_eq!(code(&desk.ask("ben", &key, &What::Mark(ask))), Some(ErrorCode::BadRequest));
    }
    assert_eq!(unread(&mut desk, &key, "ben"), (0, 2));
    assert!(desk.machine.at_rest() && desk.marks.is_empty());
}

#[test]
fn what_retention_dropped_is_not_unread() {
    let rule = RetentionRule { events_max: Some(1_000), age_max: None };
    let mut config = RouterConfig::default();
    config.retention.group = rule;
    let (mut desk, key) = talk(config, 2_100);
    assert_eq!(unread(&mut desk, &key, "ben"), (0, 1_101), "from 1,000 on it is kept");
    assert_eq!(mark(&mut desk, &key, "ben", &read(500)), (500, 500, 1_101));
    assert_eq!(mark(&mut desk, &key, "ben", &read(1_500)), (1_500, 1_500, 600));
}

/// Subscribes an edge; what it is told comes to the desk.
fn subscribe(desk: &mut Desk, key: &ConversationKey, edge: u16) {
    let ask = SubscribeAsk { after: None, events_max: 1, bytes_max: 1 };
    let asked = desk.put("ana", edge, key, &What::Subscribe(ask));
    desk.run();
    assert!(matches!(desk.answer(asked), Some(Answer::Subscribed(_))));
}

/// What was told to this edge: whose marks, and how far they have read.
fn told(desk: &mut Desk, edge: u16) -> Vec<Vec<(String, u64)>> {
    let all = std::mem::take(&mut desk.marks).into_iter().filter(|(to, _)| *to == EdgeId(edge));
    all.map(|(_, now)| now.marks.into_iter().map(|marks| (marks.user, marks.read)).collect()).collect()
}

#[test]
fn changes_are_told_at_once_and_then_once_a_second_together() {
    let (mut desk, key) = talk(RouterConfig::default(), 9);
    subscribe(&mut desk, &key, 4);
    say(&mut desk, &key, "ben", 20, 1);
    assert_eq!(told(&mut desk, 4), [[]; 0], "the message says it");
    mark(&mut desk, &key, "cleo", &read(1));
    assert_eq!(told(&mut desk, 4), [[("cleo".to_owned(), 1)]]);
    mark(&mut desk, &key, "cleo", &read(2));
    mark(&mut desk, &key, "ana", &read(10));
    mark(&mut desk, &key, "cleo", &read(5));
    mark(&mut desk, &key, "cleo", &read(4));
    assert_eq!(told(&mut desk, 4), [[]; 0]);
    desk.pass(SECOND * 9 / 10);
    assert_eq!(told(&mut desk, 4), [[]; 0]);
    desk.pass(SECOND / 10);
    assert_eq!(told(&mut desk, 4), [[("ana".to_owned(), 10), ("cleo".to_owned(), 5)]]);
    desk.pass(SECOND * 2);
    assert_eq!(told(&mut desk, 4), [[]; 0]);
    assert_eq!(desk.held().marking, 0, "nothing is left behind");
}

#[test]
fn in_a_large_group_each_is_told_of_their_own_and_none_of_what_was_delivered() {
    let names: Vec<String> = (0..101).map(|at| format!("u{at:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    for (count, own) in [(100, false), (101, true)] {
        let key = ConversationKey { conversation: places().swap_remove(count % 2 + 2).key.conversation, ..key.clone() };
        desk.ask("u000", &key, &group(&names[..count]));
        say(&mut desk, &key, "u000", 0, 2);
        let asked =
            desk.put("u000", 7, &key, &What::Subscribe(SubscribeAsk { after: None, events_max: 1, bytes_max: 1 }));
        desk.run();
        assert!(matches!(desk.answer(asked), Some(Answer::Subscribed(_))));
        let delivered = What::Mark(MarkAsk { read: Some(1), delivered: Some(2) });
        assert_eq!(mark(&mut desk, &key, "u009", &delivered), (1, 1, 1));
        let [(_, now)] = &std::mem::take(&mut desk.marks)[..] else { panic!("told once") };
        assert_eq!((now.own, now.marks.len()), (own, 1));
    }
}

#[test]
fn who_has_seen_a_message_is_told_with_the_time() {
    let (mut desk, key) = talk(RouterConfig::default(), 9);
    let began = desk.now.wall_ms;
    for (seq, name) in [(3, "ben"), (6, "ben"), (5, "cleo"), (9, "ben")] {
        desk.now.wall_ms += 1_000;
        mark(&mut desk, &key, name, &read(seq));
    }
    let seen = |desk: &mut Desk, seq, after| {
        let page = marks(desk, &key, Some(seq), after, 2);
        let all = page
            .marks
            .into_iter()
            .map(|it| (it.user, it.passed_ms.map(|ms| ms.saturating_sub(began)), it.passed_earlier));
        (all.collect::<Vec<_>>(), page.more)
    };
    for _ in 0..2 {
        let ana = |earlier| ("ana".to_owned(), Some(0), earlier);
        let ben = |ms| ("ben".to_owned(), Some(ms), false);
        assert_eq!(seen(&mut desk, 4, None), (vec![ana(true), ben(2_000)], true));
        assert_eq!(seen(&mut desk, 4, Some("ben")), (vec![("cleo".to_owned(), Some(3_000), false)], false));
        assert_eq!(seen(&mut desk, 7, None), (vec![ana(true), ben(4_000)], false));
        desk.pass(SECOND);
        desk.kill();
    }
}
