//! Sends that wait until it is known whether they were sent before: their order, their number, and who may learn of it.

use std::collections::HashSet;

use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Held, Input};

use crate::ask::What;
use crate::desk::{Desk, code, send, sent};
use crate::disk::Fate;
use crate::old;
use crate::timeline::user;

/// Events of the old group; none of them is in memory when it has been loaded.
const HEAD: u64 = 2_500;

fn desk() -> Desk {
    let desk = Desk::new(RouterConfig::default());
    old::put(&desk.disk, HEAD, HEAD);
    desk
}

/// Has the old group loaded, and nothing else known of it.
fn loaded() -> Desk {
    let mut desk = desk();
    desk.ask("ana", &old::key(), &What::Get);
    desk
}

/// Does the first effect of this kind; what follows from it waits to be fed.
fn perform(desk: &mut Desk, kind: impl Fn(&Effect) -> bool) -> Input {
    let at = desk.wanted.iter().position(kind).expect("it is wanted");
    let effect = desk.wanted.remove(at).expect("it was found");
    desk.perform(effect, Fate::Stored)
}

fn is_read(effect: &Effect) -> bool {
    matches!(effect, Effect::Read { .. })
}

fn number(desk: &mut Desk, asker: Asker) -> u64 {
    sent(&desk.answer(asker).expect("it is answered")).0.seq
}

#[test]
fn sends_of_one_user_keep_their_order_whatever_must_be_read_for_them() {
    for in_memory in [true, false] {
        let (mut desk, key) = (if in_memory { loaded() } else { desk() }, old::key());
        // Looked for far back, among the newest, not at all; and so on.
        let since = [Some(1), None, Some(HEAD), Some(900), Some(HEAD), None, Some(HEAD - 5), Some(HEAD)];
        let mine: Vec<_> = (0..)
            .zip(since)
            .map(|(at, since)| desk.put("cleo", 0, &key, &send(&format!("m{at}"), "text", since)))
            .collect();
        if !in_memory {
            let load = perform(&mut desk, |effect| matches!(effect, Effect::Load { .. }));
            desk.feed(load);
        }
        // Nobody else waits for that.
        let other = desk.put("ben", 0, &key, &send("b", "text", Some(HEAD)));
        let batch = perform(&mut desk, |effect| matches!(effect, Effect::Append(_)));
        desk.feed(batch);
        assert_eq!(number(&mut desk, other), HEAD + 1);
        // What is wanted last is done first, which is as bad as readers can do.
        while let Some(effect) = desk.wanted.pop_back() {
            let done = desk.perform(effect, Fate::Stored);
            desk.feed(done);
        }
        let numbers: Vec<_> = mine.iter().map(|asker| number(&mut desk, *asker)).collect();
        assert_eq!(numbers, (HEAD + 2..HEAD + 10).collect::<Vec<_>>(), "loaded before: {in_memory}");
    }
}

#[test]
fn the_newest_ids_are_read_once_for_all() {
    let (mut desk, key) = (loaded(), old::key());
    let askers: Vec<_> = (0..100)
        .map(|at| desk.put(["ana", "ben", "cleo"][at % 3], 0, &key, &send(&format!("m{at}"), "text", None)))
        .collect();
    assert_eq!(desk.wanted.iter().filter(|effect| is_read(effect)).count(), 1);
    let ids = perform(&mut desk, is_read);
    desk.feed(ids);
    assert!(!desk.wanted.iter().any(is_read), "memory knows them");
    desk.run();
    let numbers: HashSet<_> = askers.iter().map(|asker| number(&mut desk, *asker)).collect();
    assert_eq!(numbers.len(), 100);

    // From here on it does: every one of the newest thousand is found by its row alone, whoever asks.
    let newest = HEAD + 100;
    for (seq, duplicate) in [(newest - 999, true), (HEAD, true), (newest - 1_000, false)] {
        let name = old::MEMBERS[seq as usize % 3].0;
        let answer = desk.ask(name, &key, &send(&format!("old{seq}"), "text", None));
        assert_eq!(sent(&answer).1, duplicate, "{seq}");
        if duplicate {
            assert_eq!(sent(&answer).0.seq, seq);
        }
    }
    desk.put("ana", 0, &key, &send("new", "text", None));
    assert!(!desk.wanted.iter().any(is_read));
}

#[test]
fn ids_that_cannot_be_read_refuse_those_who_need_them_and_are_read_again() {
    let (mut desk, key) = (loaded(), old::key());
    let waiting: Vec<_> = (0..3).map(|at| desk.put("ana", 0, &key, &send(&format!("m{at}"), "text", None))).collect();
    let other = desk.put("ben", 0, &key, &send("b", "text", Some(HEAD)));
    let behind = desk.put("ana", 0, &key, &send("behind", "text", Some(HEAD)));
    desk.disk.inner().faults.read = 1_000;
    desk.run();
    desk.disk.inner().faults.read = 0;
    assert_eq!(code(&desk.answer(waiting[0]).expect("it is answered")), Some(ErrorCode::Overloaded));
    // Each that stood behind it has tried for itself.
    for asker in &waiting[1..] {
        assert_eq!(code(&desk.answer(*asker).expect("it is answered")), Some(ErrorCode::Overloaded));
    }
    assert_eq!((number(&mut desk, other), number(&mut desk, behind)), (HEAD + 1, HEAD + 2));
    assert!(sent(&desk.ask("ben", &key, &send("old2500", "text", None))).1);
    assert_eq!(sent(&desk.ask("ana", &key, &send("m0", "text", None))).0.seq, HEAD + 3);
}

#[test]
fn who_is_put_out_while_an_id_is_looked_for_learns_nothing() {
    // The newest ids are read, or a row that has the id; neither can be; the id is beyond all that can be told.
    let tries = [
        ("old2498", None, 0, false),
        ("old2498", None, 1, false),
        ("x", None, 0, true),
        ("x", Some(900), 1, true),
        ("x", Some(0), 1, false),
    ];
    for (client_id, since, reads, fails) in tries {
        let mut desk = Desk::new(RouterConfig::default());
        let head = if since == Some(0) { 12_100 } else { HEAD };
        old::put(&desk.disk, head, head);
        let key = old::key();
        desk.ask("ana", &key, &What::Get);
        let sender = "cleo";
        let asked = desk.put(sender, 0, &key, &send(client_id, "text", since));
        for _ in 0..reads {
            let done = perform(&mut desk, is_read);
            desk.feed(done);
        }
        desk.disk.inner().faults.read = if fails { 1_000 } else { 0 };
        let done = perform(&mut desk, is_read);
        desk.disk.inner().faults.read = 0;
        desk.put("ana", 0, &key, &What::Remove(user(sender)));
        desk.run();
        desk.feed(done);
        desk.run();
        let answer = desk.answer(asked).expect("it is answered");
        assert_eq!(code(&answer), Some(ErrorCode::NotFound), "{client_id} {since:?} {reads} {fails}: {answer:?}");
    }
}

#[test]
fn sends_that_wait_for_a_read_are_bounded_by_bytes() {
    let body = "x".repeat(64 * 1024);
    for in_memory in [true, false] {
        let (mut desk, key) = (if in_memory { loaded() } else { desk() }, old::key());
        let asked: Vec<_> =
            (0..100).map(|at| desk.put("ana", 0, &key, &send(&format!("m{at}"), &body, None))).collect();
        let refused = asked
            .iter()
            .filter(|asker| desk.answer(**asker).is_some_and(|answer| code(&answer) == Some(ErrorCode::Overloaded)));
        let taken = asked.len() - refused.count();
        assert!((60..70).contains(&taken), "four megabytes may wait, {taken} messages were taken");
        desk.run();
        assert_eq!(desk.disk.inner().rows[&key].blobs.len() as u64, HEAD + 1 + taken as u64);
    }
}

#[test]
fn lists_of_members_that_wait_are_bounded_by_bytes() {
    for in_memory in [true, false] {
        let (mut desk, key) = (if in_memory { loaded() } else { desk() }, old::key());
        let long = "x".repeat(120);
        let asked: Vec<_> = (0..200)
            .map(|at| {
                let users = (0..1_000).map(|of| user(&format!("{long}{:08}", at * 1_000 + of))).collect();
                desk.put("ana", 0, &key, &What::Add(users))
            })
            .collect();
        let early = asked.iter().filter(|asker| desk.answer(**asker).is_some()).count();
        assert!((160..180).contains(&early), "four megabytes may wait, {early} were refused");
        desk.run();
        assert_eq!(desk.held(), Held { conversations: 1, idle: 1, ..Held::default() });
    }
}
