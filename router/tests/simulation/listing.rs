//! Members that are listed anew once as many have left as are there.

use std::time::Duration;

use switchyard_cluster::link::MarkAsk;
use switchyard_protocol::id::ConversationKey;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::Effect;

use crate::ask::What;
use crate::clients::places;
use crate::desk::{Desk, code, group, send};
use crate::marks::{mark, unread};
use crate::timeline::user;

const SECOND: Duration = Duration::from_secs(1);

/// A group of four in which three messages were said, and where members are listed anew once so many have left.
fn talk(relist_after: u64) -> (Desk, ConversationKey) {
    let mut desk = Desk::new(RouterConfig { relist_after, ..RouterConfig::default() });
    let key = places().swap_remove(2).key;
    desk.ask("ana", &key, &group(&["ana", "ben", "cleo", "dan"]));
    for number in 0..3 {
        desk.ask("ana", &key, &send(&format!("a{number}"), "hi", None));
    }
    (desk, key)
}

/// The lists in which there is anybody, and whom each has a row of.
fn lists(desk: &Desk) -> Vec<(bool, Vec<String>)> {
    let inner = desk.disk.inner();
    let mut lists: Vec<(bool, Vec<String>)> = Vec::new();
    for (list, user) in inner.lists.keys() {
        let anew = inner.list_of.contains_key(list);
        match lists.last_mut() {
            Some((last, users)) if *last == anew => users.push(user.to_string()),
            _ => lists.push((anew, vec![user.to_string()])),
        }
    }
    lists
}

fn read(seq: u64) -> What {
    What::Mark(MarkAsk { read: Some(seq), delivered: None })
}

fn comes_and_goes(desk: &mut Desk, key: &ConversationKey, times: usize) {
    for _ in 0..times {
        assert_eq!(code(&desk.ask("ana", key, &What::Remove(user("dan")))), None);
        assert_eq!(code(&desk.ask("ana", key, &What::Add(vec![user("dan")]))), None);
    }
}

#[test]
fn who_left_is_forgotten_once_as_many_have_left_as_are_there() {
    let (mut desk, key) = talk(2);
    let all = ["ana", "ben", "cleo", "dan"].map(str::to_owned).to_vec();
    comes_and_goes(&mut desk, &key, 2);
    assert_eq!(code(&desk.ask("ana", &key, &What::Remove(user("dan")))), None);
    // Three have left and three are there: one list is left, in which the last who went has a row that says so.
    assert_eq!(lists(&desk), [(true, all.clone())]);
    for _ in 0..2 {
        desk.kill();
        assert_eq!(unread(&mut desk, &key, "ben"), (0, 3));
        assert!(code(&desk.ask("dan", &key, &What::Get)).is_some(), "he is out");
    }
    assert_eq!(code(&desk.ask("ana", &key, &What::Add(vec![user("dan")]))), None);
    assert_eq!(lists(&desk), [(true, all)]);
    desk.kill();
    assert_eq!(unread(&mut desk, &key, "dan").1, 0, "what was said before is not his");
}

#[test]
fn far_fewer_than_are_there_are_kept() {
    let (mut desk, key) = talk(1_000);
    comes_and_goes(&mut desk, &key, 50);
    assert!(lists(&desk).iter().all(|(anew, _)| !anew));
}

/// What is said while the list begins anew is kept, whether or not it comes to be written.
#[test]
fn what_is_said_meanwhile_is_kept_under_both_names() {
    for written in [false, true] {
        let (mut desk, key) = talk(1);
        comes_and_goes(&mut desk, &key, 2);
        desk.projections = Some(Vec::new());
        desk.put("ana", 0, &key, &What::Remove(user("dan")));
        desk.run();
        let held = desk.projections.take().expect("they are held");
        assert!(matches!(&held[..], [Effect::Project { projection, .. }] if !projection.dropped.is_empty()));
        assert_eq!(mark(&mut desk, &key, "ben", &read(2)).0, 2);
        desk.pass(SECOND);
        for projection in held.into_iter().filter(|_| written) {
            let done = desk.perform(projection, crate::disk::Fate::Stored);
            desk.feed(done);
            desk.run();
        }
        desk.kill();
        assert_eq!(unread(&mut desk, &key, "ben").0, 2, "written: {written}");
        assert!(code(&desk.ask("dan", &key, &What::Get)).is_some(), "he is out");
        assert_eq!(code(&desk.ask("cleo", &key, &What::Get)), None);
    }
}
