//! A home tells its edges what came, also if it cannot at first: soon, and not by the next look at homes that nobody uses.

use std::time::Duration;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::id::ConversationKey;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Input};

use crate::ask::What;
use crate::clients::places;
use crate::desk::{Desk, code, group, send};
use crate::disk::Fate;
use crate::timeline::user;

const SOON: Duration = Duration::from_secs(5);

/// A group of ben's with a message, and an edge that wants all of ana's conversations. Homes are looked at after minutes.
fn desk() -> (Desk, ConversationKey) {
    let mut desk = Desk::new(RouterConfig { idle_after: Duration::from_secs(600), ..RouterConfig::default() });
    let key = places().swap_remove(2).key;
    assert_eq!(code(&desk.ask("ben", &key, &group(&["ben", "cleo"]))), None);
    assert_eq!(code(&desk.ask("ben", &key, &send("a", "text", None))), None);
    assert_eq!(code(&desk.ask_home("ana", HomeAsk::Watch)), None);
    (desk, key)
}

fn came(desk: &mut Desk) -> usize {
    desk.listed.drain(..).filter(|(_, now)| now.entry.is_some() && now.home.user == user("ana")).count()
}

#[test]
fn what_could_not_be_read_is_told_soon_after_it_can() {
    let (mut desk, key) = desk();
    assert_eq!(code(&desk.ask("ben", &key, &What::Add(vec![user("dan")]))), None);
    // The newest message is read for what a list shows.
    let adding = desk.put("ben", 0, &key, &What::Add(vec![user("ana")]));
    while let Some(effect) = desk.wanted.pop_front() {
        let fails = matches!(&effect, Effect::Read { ticket, .. } if format!("{ticket:?}").starts_with("Last"));
        desk.disk.inner().faults.read = if fails { 1_000 } else { 0 };
        let done = desk.perform(effect, Fate::Stored);
        desk.feed(done);
    }
    assert_eq!(code(&desk.answer(adding).expect("it is answered")), None);
    desk.disk.inner().faults.read = 1_000;
    desk.pass(Duration::from_secs(60));
    assert_eq!(came(&mut desk), 0, "it cannot be read");
    desk.disk.inner().faults.read = 0;
    desk.pass(SOON);
    assert_eq!(came(&mut desk), 1);
    desk.pass(SOON);
    assert_eq!(came(&mut desk), 0, "once");
}

#[test]
fn what_was_missed_is_read_soon() {
    let (mut desk, key) = desk();
    desk.put("ben", 0, &key, &What::Add(vec![user("ana")]));
    let mut lost = 0;
    while let Some(effect) = desk.wanted.pop_front() {
        let input = match effect {
            Effect::Tell(message) if matches!(*message, RouterMessage::Member(_)) => {
                lost += 1;
                Input::Told(RouterMessage::Missed)
            }
            effect => desk.perform(effect, Fate::Stored),
        };
        desk.feed(input);
    }
    assert_eq!((lost, came(&mut desk)), (1, 0));
    // The rows cannot be read at first.
    desk.disk.inner().faults.read = 1_000;
    desk.pass(SOON);
    desk.disk.inner().faults.read = 0;
    desk.pass(SOON);
    assert_eq!(came(&mut desk), 1);
}
