//! Members that are listed anew once as many have left as are there.

use std::time::Duration;

use switchyard_cluster::link::MarkAsk;
use switchyard_protocol::id::ConversationKey;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::Effect;

use crate::ask::What;
use crate::clients::places;
use crate::desk::{Desk, code, group, send};
use crate::disk;
use crate::marks::{mark, unread};
use crate::timeline::user;

const SECOND: Duration = Duration::from_secs(1);

/// A group of four in which three messages were said.
fn talk() -> (Desk, ConversationKey) {
    let mut desk = Desk::new(RouterConfig::default());
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
    let (mut desk, key) = talk();
    let all = ["ana", "ben", "cleo", "dan"].map(str::to_owned).to_vec();
    comes_and_goes(&mut desk, &key, 2);
    assert_eq!(lists(&desk), [(false, all.clone())]);
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

/// What becomes of the writes by which a list begins anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// They are done before the process is killed.
    Done,
    /// They never are.
    Lost,
    /// They are done when the next process has long begun, and said what it has to.
    Late,
}

/// What is said while the list begins anew is kept, whatever becomes of that; and what is said to the next process, too.
#[test]
fn what_is_said_meanwhile_is_kept_under_both_names() {
    for fate in [Fate::Done, Fate::Lost, Fate::Late] {
        let (mut desk, key) = talk();
        comes_and_goes(&mut desk, &key, 2);
        desk.projections = Some(Vec::new());
        desk.put("ana", 0, &key, &What::Remove(user("dan")));
        desk.run();
        let mut held = desk.projections.take().expect("they are held");
        assert!(matches!(&held[..], [Effect::Project { projection, .. }] if !projection.dropped.is_empty()));
        assert_eq!(mark(&mut desk, &key, "ben", &read(2)).0, 2);
        desk.pass(SECOND);
        if fate == Fate::Done {
            let done = desk.perform(held.remove(0), disk::Fate::Stored);
            desk.feed(done);
            desk.run();
        }
        desk.kill();
        assert_eq!(unread(&mut desk, &key, "ben").0, 2, "{fate:?}");
        assert_eq!(mark(&mut desk, &key, "cleo", &read(1)).0, 1);
        desk.pass(SECOND);
        if fate == Fate::Late {
            desk.perform(held.remove(0), disk::Fate::Stored);
        }
        for _ in 0..2 {
            desk.kill();
            assert_eq!((unread(&mut desk, &key, "ben").0, unread(&mut desk, &key, "cleo").0), (2, 1), "{fate:?}");
            assert!(code(&desk.ask("dan", &key, &What::Get)).is_some(), "he is out");
        }
        assert!(lists(&desk).iter().all(|(anew, _)| *anew), "{fate:?}: the list before is gone");
        assert_eq!(desk.disk.inner().violations, [""; 0]);
    }
}

/// The next process finds by the log which list it is, if the record cannot be read or there is none.
#[test]
fn a_conversation_that_is_rebuilt_from_its_log_finds_its_list() {
    let (mut desk, key) = talk();
    comes_and_goes(&mut desk, &key, 5);
    assert_eq!(mark(&mut desk, &key, "ben", &read(2)).0, 2);
    desk.pass(SECOND);
    for _ in 0..3 {
        let before: Vec<_> = desk.disk.inner().lists.keys().cloned().collect();
        desk.disk.inner().records.clear();
        desk.kill();
        assert_eq!(code(&desk.ask("ana", &key, &What::Get)), None);
        assert_eq!(desk.disk.inner().lists.keys().cloned().collect::<Vec<_>>(), before);
        comes_and_goes(&mut desk, &key, 5);
    }
}

/// Rows of members may be there before the record which says so: what is counted for the name follows from the events all the same.
#[test]
fn a_process_that_is_killed_between_members_and_record_names_the_same_list() {
    let lists = [false, true].map(|killed| {
        let (mut desk, key) = talk();
        for _ in 0..4 {
            desk.projections = killed.then(Vec::new);
            desk.put("ana", 0, &key, &What::Remove(user("dan")));
            desk.run();
            for effect in desk.projections.take().into_iter().flatten() {
                let Effect::Project { projection, .. } = effect else { continue };
                projection.members.iter().for_each(|write| desk.disk.inner().put(write));
                desk.kill();
            }
            assert_eq!(code(&desk.ask("ana", &key, &What::Add(vec![user("dan")]))), None);
        }
        let names: Vec<_> = desk.disk.inner().lists.keys().cloned().collect();
        names
    });
    assert_eq!(lists[0], lists[1]);
}

/// A load of a conversation of two reads no rows of members, of which there may as well be none.
#[test]
fn two_who_are_alone_are_known_by_the_record() {
    let mut desk = Desk::new(RouterConfig::default());
    let key = places().swap_remove(2).key;
    desk.ask("ana", &key, &group(&["ana", "ben"]));
    desk.ask("ana", &key, &send("a0", "hi", None));
    let left = |desk: &mut Desk, there: &[&str]| {
        desk.disk.inner().lists.clear();
        desk.kill();
        for name in ["ana", "ben", "cleo"] {
            assert_eq!(code(&desk.ask(name, &key, &What::Get)).is_none(), there.contains(&name), "{name} in {there:?}");
        }
    };
    left(&mut desk, &["ana", "ben"]);
    assert_eq!(unread(&mut desk, &key, "ben"), (0, 1));
    assert_eq!(code(&desk.ask("ana", &key, &What::Remove(user("ben")))), None);
    left(&mut desk, &["ana"]);
    // Of three it does not say it: they are found by their rows.
    assert_eq!(code(&desk.ask("ana", &key, &What::Add(vec![user("ben"), user("cleo")]))), None);
    left(&mut desk, &[]);
}
