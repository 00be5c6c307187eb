//! Orders of things that the simulation found to go wrong once, each on its own.

use std::time::Duration;

use switchyard_cluster::link::{Answer, SubscribeAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::v1;
use switchyard_router::config::{Retention, RetentionRule, RouterConfig};
use switchyard_router::machine::{Effect, Held, Input};

use crate::ask::What;
use crate::clients::{STRANGER, places, tenant};
use crate::desk::{Desk, code, group, role, send, sent};
use crate::disk::Fate;
use crate::old;
use crate::profile::OLD_AGE_MS;
use crate::timeline::user;

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

fn idle_soon() -> RouterConfig {
    RouterConfig { idle_after: Duration::from_secs(1), ..RouterConfig::default() }
}

const SUBSCRIBE: What = What::Subscribe(SubscribeAsk { after: Some(0), events_max: 9, bytes_max: 999 });

#[test]
fn members_are_listed_although_the_process_died_before_it_listed_them() {
    let (mut desk, key) = (Desk::new(idle_soon()), key());
    desk.put("ana", 0, &key, &group(&["ana", "ben"]));
    while !matches!(desk.wanted.front(), Some(Effect::Project { .. })) {
        let effect = desk.wanted.pop_front().expect("the founding is listed");
        let done = desk.perform(effect, Fate::Stored);
        desk.feed(done);
    }
    desk.kill();
    sent(&desk.ask("ana", &key, &send("a", "text", None)));
    // Out of memory, with a record that spares the next load the founding row.
    desk.pass(Duration::from_secs(10));
    assert_eq!(desk.held(), Held::default());
    assert!(role(&desk.ask("ben", &key, &What::Get)).is_some(), "ben is still a member");
    assert!(desk.disk.inner().members.contains_key(&(key, user("ben"))));
}

#[test]
fn an_edge_that_gave_up_while_missed_events_were_read_is_not_subscribed() {
    for loaded in [true, false] {
        let (mut desk, key) = (Desk::new(idle_soon()), key());
        desk.ask("ana", &key, &group(&["ana", "ben"]));
        sent(&desk.ask("ana", &key, &send("a", "text", None)));
        if !loaded {
            desk.pass(Duration::from_secs(10));
        }
        let subscribed = desk.put("ana", 4, &key, &SUBSCRIBE);
        desk.put("ana", 4, &key, &What::Unsubscribe);
        desk.run();
        assert!(desk.answer(subscribed).is_some(), "it is answered one way or another");
        sent(&desk.ask("ana", &key, &send("b", "text", None)));
        assert!(desk.published.is_empty(), "nobody there reads it");
        desk.pass(Duration::from_secs(10));
        assert_eq!(desk.held(), Held::default(), "nothing is kept for nobody");
    }
}

#[test]
fn n18_an_id_whose_row_retention_may_have_dropped_is_refused_not_stored_twice() {
    let rule = RetentionRule { events_max: Some(10), age_max: None };
    let config = RouterConfig { retention: Retention { group: rule, direct: rule }, ..idle_soon() };
    let mut desk = Desk::new(config);
    old::put(&desk.disk, 1_995, 1_100);
    let key = old::key();
    let (first, _) = sent(&desk.ask("cleo", &key, &send("mine", "text", Some(1_995))));
    // Of the newest thousand none goes, although ten are to be kept; then goes what lies below 2,000.
    for at in 0..1_010 {
        sent(&desk.ask("ana", &key, &send(&format!("fill{at}"), "text", None)));
        let (head, gone) = (1_997 + at, desk.disk.inner().rows[&key].first);
        assert!(gone <= head + 1 - 1_000, "at {head} all below {gone} is gone");
    }
    assert!(first.seq < desk.disk.inner().rows[&key].first);
    let again = desk.ask("cleo", &key, &send("mine", "text", Some(1_995)));
    assert_eq!(code(&again), Some(ErrorCode::IdExpired), "{again:?}");
    // The newest thousand are known without any head, from memory and from the disk.
    for restarted in [false, true] {
        assert!(sent(&desk.ask("ana", &key, &send("fill20", "text", None))).1, "restarted: {restarted}");
        desk.kill();
    }
    assert!(!sent(&desk.ask("cleo", &key, &send("fresh", "text", None))).1);
}

#[test]
fn what_retention_drops_is_said_although_it_was_slow_to_be_written() {
    let rule = RetentionRule { events_max: Some(10), age_max: None };
    let config = RouterConfig { retention: Retention { group: rule, direct: rule }, ..idle_soon() };
    let mut desk = Desk::new(config);
    old::put(&desk.disk, 1_990, 1_015);
    let key = old::key();
    desk.projections = Some(Vec::new());
    for at in 0..30 {
        desk.put("ana", 0, &key, &send(&format!("fill{at}"), "text", None));
        desk.pass(Duration::ZERO);
    }
    desk.pass(Duration::from_secs(10));
    desk.ask("ana", &key, &What::Get);
    let held = desk.projections.take().expect("they were held");
    desk.wanted.extend(held);
    desk.run();
    assert!(desk.disk.inner().rows[&key].first > 1, "retention did its work");
    let answer =
        desk.ask("ana", &key, &What::Subscribe(SubscribeAsk { after: Some(1), events_max: 3, bytes_max: 999 }));
    let Answer::Subscribed(answer) = answer else { panic!("{answer:?}") };
    let first = answer.missed.events[0].seq;
    assert!(answer.missed.first_available >= first, "the gap before {first} is said: {:?}", answer.missed);
}

/// The lowest event that this user is told of, and how many of the old group are on the disk no more.
fn beginning(desk: &mut Desk) -> (u64, u64) {
    let answer = desk.ask("ana", &old::key(), &What::Get);
    let Answer::Result(result) = answer else { panic!("{answer:?}") };
    let v1::reply::Result::Detail(detail) = *result else { panic!("{result:?}") };
    let first = desk.disk.inner().rows[&old::key()].first;
    (detail.conversation.map_or(0, |it| it.first_available), first)
}

#[test]
fn what_has_grown_too_old_goes_although_nobody_writes() {
    let rule = RetentionRule { events_max: None, age_max: Some(Duration::from_millis(OLD_AGE_MS - 999)) };
    let config = RouterConfig { retention: Retention { group: rule, direct: RetentionRule::default() }, ..idle_soon() };
    let mut desk = Desk::new(config);
    // The record follows from the newest event, and no other one of that number will take its place.
    old::put(&desk.disk, 3_500, 3_500);
    assert_eq!(beginning(&mut desk), (1, 1), "number 999 is just as old as it may be");
    desk.pass(Duration::from_secs(10));
    assert_eq!(desk.held(), Held::default(), "it has left memory");
    desk.now.wall_ms += 1;
    assert_eq!(beginning(&mut desk), (1_000, 1_000), "who loads it finds it so, and the rows go too");

    // It stays in memory from here on: it is looked at in due time.
    desk.now.wall_ms += 1_000;
    assert_eq!(beginning(&mut desk), (1_000, 1_000));
    desk.pass(Duration::from_millis(900));
    assert_eq!(beginning(&mut desk), (1_000, 1_000));
    desk.pass(Duration::from_millis(200));
    assert_eq!(desk.held().conversations, 1, "it was needed lately");
    assert_eq!(desk.disk.inner().rows[&old::key()].first, 2_000);

    // The newest thousand stay however old they are, with the rest of their runs.
    desk.now.wall_ms += 100_000_000_000;
    desk.pass(Duration::from_secs(10));
    assert_eq!(beginning(&mut desk), (2_000, 2_000));
    assert_eq!(sent(&desk.ask("cleo", &old::key(), &send("new", "text", None))).0.seq, 3_501);
    assert_eq!(desk.disk.inner().rows[&old::key()].blobs.len(), 3_502);

    // Whoever turns retention off gets nothing back: what is gone is still told as a gap.
    desk.kill_and_configure(idle_soon());
    assert_eq!(beginning(&mut desk), (2_000, 2_000));
    let missed = What::Subscribe(SubscribeAsk { after: Some(7), events_max: 3, bytes_max: 999 });
    let Answer::Subscribed(answer) = desk.ask("ben", &old::key(), &missed) else { panic!("ben is a member") };
    assert_eq!((answer.missed.first_available, answer.missed.events[0].seq), (2_000, 2_000));
}

#[test]
fn more_events_than_are_kept_go_with_the_next_load() {
    for (events_max, first) in [(1_600, 2_000), (2_601, 1), (600, 2_000)] {
        let rule = RetentionRule { events_max: Some(events_max), age_max: None };
        let retention = Retention { group: rule, direct: RetentionRule::default() };
        for applied in [0, 1_500, 3_600] {
            let mut desk = Desk::new(RouterConfig { retention, ..idle_soon() });
            old::put(&desk.disk, 3_600, applied);
            assert_eq!(beginning(&mut desk), (first, first), "{events_max}");
        }
    }
}

#[test]
fn one_unreadable_event_keeps_its_run_and_harms_nothing_else() {
    let rule = RetentionRule { events_max: None, age_max: Some(Duration::from_millis(1)) };
    let config = RouterConfig { retention: Retention { group: rule, direct: RetentionRule::default() }, ..idle_soon() };
    for (damaged, first) in [(999, 1), (1_999, 1_000)] {
        let mut desk = Desk::new(config.clone());
        old::put(&desk.disk, 3_500, 3_500);
        let mut inner = desk.disk.inner();
        let blob = &mut inner.rows.get_mut(&old::key()).expect("it was put there").blobs[damaged];
        *blob = blob.slice(..blob.len() - 1);
        drop(inner);
        assert_eq!(beginning(&mut desk), (first, first), "nobody can tell how old {damaged} is");
    }
}

#[test]
fn n12_probing_leaves_nothing_in_memory_and_tells_nothing() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let before = desk.held();
    for at in 0..500_u128 {
        let conversation = ConversationId::from_bytes((at << 64).to_be_bytes());
        let nothing = ConversationKey { tenant: tenant("t"), conversation };
        assert_eq!(code(&desk.ask(STRANGER, &nothing, &What::Get)), Some(ErrorCode::NotFound));
        assert_eq!(code(&desk.ask(STRANGER, &key, &What::Get)), Some(ErrorCode::NotFound));
    }
    assert_eq!(desk.held(), before);
    // A store that fails is no oracle either.
    desk.disk.inner().faults.read = 1_000;
    let nothing = ConversationKey { tenant: tenant("t"), conversation: ConversationId::from_bytes([0; 16]) };
    let answers = [&key, &nothing].map(|key| format!("{:?}", desk.ask(STRANGER, key, &What::Get)));
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn a_thousand_tries_at_one_id_are_bounded_and_told_alike() {
    let config = RouterConfig { unknown_after: Duration::ZERO, ..RouterConfig::default() };
    let (mut desk, key) = (Desk::new(config), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let first = desk.put("ana", 0, &key, &send("a", "text", Some(0)));
    let more: Vec<_> = (0..1_000).map(|_| desk.put("ana", 1, &key, &send("a", "text", Some(0)))).collect();
    let refused = more.iter().filter(|asker| desk.answer(**asker).is_some()).count();
    assert!(refused > 900, "only so many may wait, but {refused} were refused");
    // The store does not say what became of it: all are told so once, also who asks again.
    for attempt in 0..3 {
        let again = if attempt == 0 { first } else { desk.put("ana", 0, &key, &send("a", "text", Some(0))) };
        desk.now.mono += Duration::from_millis(200);
        let mut out = Vec::new();
        desk.machine.tick(desk.now, &mut out);
        desk.wanted.extend(out);
        let effect = desk.wanted.pop_front().expect("it is tried again");
        let done = desk.perform(effect, Fate::UnknownStored);
        desk.feed(done);
        let answered = std::mem::take(&mut desk.answers);
        assert!(answered.iter().all(|(_, answer)| code(answer) == Some(ErrorCode::UnknownOutcome)));
        assert!(answered.iter().any(|(asker, _)| *asker == again), "attempt {attempt}");
        assert_eq!(answered.len(), if attempt == 0 { 1_001 - refused } else { 1 }, "attempt {attempt}");
    }
    desk.now.mono += Duration::from_millis(200);
    let (message, duplicate) = sent(&desk.ask("ana", &key, &send("a", "text", Some(0))));
    assert_eq!((message.seq, duplicate), (1, true));
}

#[test]
fn a_strangers_decoy_is_about_something_that_does_not_exist() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let asked = desk.put(STRANGER, 0, &key, &What::Get);
    let Some(Effect::Decoy { key: decoy, to }) = desk.wanted.pop_front() else { panic!("a stranger costs a decoy") };
    assert_ne!(decoy, key, "a decoy is about something that does not exist");
    desk.feed(Input::Decoyed { to, failed: None });
    assert_eq!(desk.answer(asked).as_ref().and_then(code), Some(ErrorCode::NotFound));
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_taken_is_stored() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let asked: Vec<_> =
        (0..1_300).map(|at| desk.put("ana", 0, &key, &send(&format!("m{at}"), "text", Some(0)))).collect();
    let refused: Vec<_> = asked.iter().filter(|asker| desk.answer(**asker).is_some()).copied().collect();
    assert!((200..400).contains(&refused.len()), "a thousand may wait, {} were refused", refused.len());
    desk.run();
    let mut last = 0;
    for asker in asked.iter().filter(|asker| !refused.contains(asker)) {
        let (message, duplicate) = sent(&desk.answer(*asker).expect("it was taken"));
        assert_eq!((message.seq, duplicate), (last + 1, false), "in the order in which they came");
        last = message.seq;
    }
    assert_eq!(desk.disk.inner().rows[&key].blobs.len() as u64, last + 1, "what was refused is not there");
}

#[test]
fn large_bodies_are_bounded_by_bytes_and_go_in_batches_that_the_store_takes() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let body = "x".repeat(64 * 1024);
    let asked: Vec<_> = (0..100).map(|at| desk.put("ana", 0, &key, &send(&format!("m{at}"), &body, Some(0)))).collect();
    // The disk checks the size of each batch.
    desk.run();
    let stored = asked.iter().filter(|asker| desk.answer(**asker).is_some_and(|answer| code(&answer).is_none()));
    let stored = stored.count();
    assert!((60..80).contains(&stored), "four megabytes may wait, {stored} messages were taken");
    assert_eq!(desk.disk.inner().rows[&key].blobs.len(), stored + 1);
}

#[test]
fn n12_a_flood_at_a_conversation_that_is_being_read_is_bounded() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    let asked: Vec<_> = (0..1_500).map(|_| desk.put(STRANGER, 0, &key, &What::Get)).collect();
    let early = asked.iter().filter(|asker| desk.answer(**asker).is_some()).count();
    assert_eq!(early, 500, "what does not fit is refused at once");
    assert_eq!(desk.wanted.len(), 1, "it is read once for all");
    desk.run();
    assert_eq!(desk.answers.len(), 1_000);
    assert_eq!(desk.held(), Held::default());
}

/// A disk that stands still gives no outcome at all, not even an unknown one: who waits for it is answered all the same, once.
#[test]
fn whoever_waits_for_a_store_that_says_nothing_is_told_in_time() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    let unknown_after = RouterConfig::default().unknown_after;
    let first = desk.put("ana", 0, &key, &send("a", "text", Some(0)));
    let held: Vec<_> = desk.wanted.drain(..).collect();
    assert_eq!(held.len(), 1, "it is given to the store: {held:?}");
    // What comes later waits behind it.
    desk.now.mono += unknown_after / 2;
    let behind = desk.put("ben", 0, &key, &send("b", "text", Some(0)));
    assert!(desk.answers.is_empty(), "{:?}", desk.answers);
    assert!(desk.machine.deadline() <= Some(desk.now.mono + unknown_after / 2), "it wakes by itself");
    desk.now.mono += unknown_after / 2 + Duration::from_millis(1);
    desk.turn();
    assert_eq!(desk.answer(first).as_ref().and_then(code), Some(ErrorCode::UnknownOutcome));
    assert!(desk.answers.is_empty(), "the time of what is behind has not come: {:?}", desk.answers);
    desk.now.mono += unknown_after / 2;
    desk.turn();
    assert_eq!(desk.answer(behind).as_ref().and_then(code), Some(ErrorCode::Overloaded), "it was never given to it");
    // The disk goes on.
    desk.answers.clear();
    desk.wanted.extend(held);
    desk.run();
    assert!(desk.answers.is_empty(), "each was answered: {:?}", desk.answers);
    let (message, duplicate) = sent(&desk.ask("ana", &key, &send("a", "text", Some(0))));
    assert_eq!((message.seq, duplicate), (1, true));
    let (message, duplicate) = sent(&desk.ask("ben", &key, &send("b", "text", Some(0))));
    assert_eq!((message.seq, duplicate), (2, false));
}
