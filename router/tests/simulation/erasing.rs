//! Erasing: who may, what is under way meanwhile, and that a process which was killed in between leaves it to the next.

use std::time::Duration;

use switchyard_cluster::link::{AnnotateAsk, Annotation, Answer, HistoryAsk, MarkAsk, PageFrom, SubscribeAsk};
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Held};
use switchyard_store::{Row, Seq};

use crate::ask::What;
use crate::clients::{STRANGER, places};
use crate::desk::{Desk, code, group, send};
use crate::disk::{FORGOTTEN, Fate};

const NOT_FOUND: Option<ErrorCode> = Some(ErrorCode::NotFound);

fn key() -> ConversationKey {
    places().swap_remove(2).key
}

/// A group with messages and marks.
fn talk() -> (Desk, ConversationKey) {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    for at in 0..3 {
        assert_eq!(code(&desk.ask("ana", &key, &send(&format!("m{at}"), "text", None))), None);
    }
    assert_eq!(code(&desk.ask("ben", &key, &read(1))), None);
    desk.pass(Duration::from_secs(2));
    (desk, key)
}

fn read(seq: u64) -> What {
    What::Mark(MarkAsk { read: Some(seq), delivered: None })
}

/// What is left of it.
fn left(desk: &Desk, key: &ConversationKey) -> Vec<String> {
    let inner = desk.disk.inner();
    let rows = &inner.rows[key];
    let mut left = Vec::new();
    for (seq, blob) in rows.blobs.iter().enumerate() {
        let row = Row::decode(key, seq as Seq, blob).expect("it is intact");
        // The founding keeps what kind it was.
        if row.body.len() > if seq == 0 { 2 } else { 0 } {
            left.push(format!("row {seq}"));
        }
    }
    if rows.first + 1 < rows.blobs.len() as u64 {
        left.push("rows".to_owned());
    }
    left.extend(inner.marks.values().filter(|(at, _)| *at < FORGOTTEN).map(|(at, _)| format!("a mark at {at}")));
    left.extend(inner.members.iter().filter(|(_, (_, value))| value.is_some()).map(|((_, user), _)| user.to_string()));
    left
}

#[test]
fn only_an_admin_erases_and_then_there_is_nothing_in_memory_or_on_the_disk() {
    let (mut desk, key) = talk();
    assert_eq!(code(&desk.ask("ben", &key, &What::Erase)), Some(ErrorCode::Forbidden));
    assert_eq!(code(&desk.ask(STRANGER, &key, &What::Erase)), NOT_FOUND);
    assert_eq!(code(&desk.ask("ana", &key, &What::Erase)), None);
    assert_eq!(left(&desk, &key), Vec::<String>::new());
    for name in ["ana", "ben", STRANGER] {
        assert_eq!(code(&desk.ask(name, &key, &What::Get)), NOT_FOUND);
    }
    assert_eq!(code(&desk.ask("ana", &key, &What::Erase)), NOT_FOUND);
    assert_eq!(code(&desk.ask("ana", &key, &group(&["ana", "ben"]))), NOT_FOUND, "its id is not given again");
    desk.pass(Duration::from_secs(600));
    assert_eq!(desk.held(), Held::default());
}

#[test]
fn a_group_that_nobody_wrote_in_is_erased_too() {
    let (mut desk, key) = (Desk::new(RouterConfig::default()), key());
    desk.ask("ana", &key, &group(&["ana"]));
    assert_eq!(code(&desk.ask("ana", &key, &What::Erase)), None);
    assert_eq!(left(&desk, &key), Vec::<String>::new());
    desk.kill();
    assert_eq!(code(&desk.ask("ana", &key, &What::Get)), NOT_FOUND);
}

#[test]
fn what_is_read_and_sent_meanwhile_tells_nothing() {
    let (mut desk, key) = talk();
    let page = desk.put("ben", 1, &key, &What::History(HistoryAsk { from: PageFrom::Newest, limit: 9 }));
    let missed = SubscribeAsk { after: Some(0), events_max: 9, bytes_max: 9_000 };
    let resumed = desk.put("ben", 1, &key, &What::Subscribe(missed));
    let erased = desk.put("ana", 0, &key, &What::Erase);
    let sent = desk.put("ben", 1, &key, &send("late", "text", None));
    // Its event is stored before the reads come back.
    let at = desk.wanted.iter().position(|effect| matches!(effect, Effect::Append(_))).expect("it is stored");
    let append = desk.wanted.remove(at).expect("it is there");
    let done = desk.perform(append, Fate::Stored);
    desk.feed(done);
    desk.run();
    for asker in [page, resumed, sent] {
        assert_eq!(code(&desk.answer(asker).expect("answered")), NOT_FOUND);
    }
    assert!(matches!(desk.answer(erased), Some(Answer::Result(_))));
    assert_eq!(left(&desk, &key), Vec::<String>::new());
}

#[test]
fn readers_get_its_last_event_as_such_and_nothing_after_it() {
    let (mut desk, key) = talk();
    let live = What::Subscribe(SubscribeAsk { after: None, events_max: 9, bytes_max: 9_000 });
    desk.put("ben", 1, &key, &live);
    desk.run();
    desk.ask("ana", &key, &What::Erase);
    desk.ask("ana", &key, &send("late", "text", None));
    let told: Vec<_> = desk.published.iter().map(|(edge, event)| (*edge, event.seq, event.last)).collect();
    assert_eq!(told, [(EdgeId(1), 4, true)]);
}

#[test]
fn a_mark_on_its_way_does_not_come_back() {
    let (mut desk, key) = talk();
    assert_eq!(code(&desk.ask("ana", &key, &read(3))), None);
    desk.ask("ben", &key, &read(2));
    desk.now.mono += Duration::from_secs(1);
    let erased = desk.put("ana", 0, &key, &What::Erase);
    let at = desk.wanted.iter().position(|effect| matches!(effect, Effect::Raise(_))).expect("marks are stored");
    let raise = desk.wanted.remove(at).expect("it is there");
    desk.run();
    assert!(matches!(desk.answer(erased), Some(Answer::Result(_))));
    let done = desk.perform(raise, Fate::Stored);
    desk.feed(done);
    desk.run();
    assert_eq!(left(&desk, &key), Vec::<String>::new());
}

#[test]
fn a_process_that_is_killed_in_between_leaves_it_to_the_next() {
    // So many of its projections are written before: none, the listings with the record, all.
    for written in 0..3 {
        let (mut desk, key) = talk();
        desk.projections = Some(Vec::new());
        let erased = desk.put("ana", 0, &key, &What::Erase);
        desk.run();
        for _ in 0..written {
            let effect = desk.projections.as_mut().and_then(Vec::pop).expect("it is to be written");
            let done = desk.perform(effect, Fate::Stored);
            desk.feed(done);
            desk.run();
        }
        assert_eq!(desk.answer(erased).is_some(), written > 0, "it is answered when nobody is listed");
        assert_eq!(left(&desk, &key).is_empty(), written == 2);
        desk.kill();
        desk.projections = None;
        for name in ["ben", "ana", STRANGER] {
            assert_eq!(code(&desk.ask(name, &key, &What::Get)), NOT_FOUND, "{written}");
        }
        assert_eq!(left(&desk, &key), Vec::<String>::new(), "{written}");
        let blobs = desk.disk.inner().rows[&key].blobs.clone();
        desk.kill();
        assert_eq!(code(&desk.ask("ana", &key, &What::Get)), NOT_FOUND);
        assert_eq!(desk.disk.inner().rows[&key].blobs, blobs, "once is enough");
    }
}

#[test]
fn a_record_reaches_a_deletion_only_once_it_is_certain_that_the_text_stays_away() {
    let (mut desk, key) = talk();
    let recorded = |desk: &Desk| desk.disk.inner().records[&key].0;
    desk.disk.inner().faults.barrier = 1_000;
    assert_eq!(
        code(&desk.ask("ana", &key, &What::Annotate(AnnotateAsk { target: 1, change: Annotation::Delete }))),
        None
    );
    // Another owner may have taken over, whose row has the text: it is to look again.
    assert!(recorded(&desk) < 4);
    desk.disk.inner().faults.barrier = 0;
    desk.pass(Duration::from_secs(1));
    assert_eq!(recorded(&desk), 4);
    assert!(!left(&desk, &key).contains(&"row 1".to_owned()));
}
