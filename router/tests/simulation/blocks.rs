//! Blocks in certain orders of things: what is under way when one comes, and what a process knows that comes after.

use std::time::Duration;

use switchyard_cluster::home::{BlocksAsk, Decision, HomeAsk};
use switchyard_cluster::link::Answer;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1::{self, reply};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Held, Input, ReadPlan};

use crate::ask::What;
use crate::clients::{all_blocks, places, tenant};
use crate::desk::{Desk, code, send, sent};
use crate::disk::Fate;
use crate::timeline::user;

const FORBIDDEN: Option<ErrorCode> = Some(ErrorCode::Forbidden);

fn block(name: &str) -> HomeAsk {
    HomeAsk::Decide(Decision::Block(user(name)))
}

fn unblock(name: &str) -> HomeAsk {
    HomeAsk::Decide(Decision::Unblock(user(name)))
}

fn desk() -> Desk {
    Desk::new(RouterConfig { idle_after: Duration::from_secs(1), ..RouterConfig::default() })
}

/// The direct conversation of ana and ben, and how it is created.
fn pair() -> (ConversationKey, What) {
    let place = places().swap_remove(0);
    (place.key, What::Create(place.create.expect("somebody creates it")))
}

/// One that is there.
fn with_pair() -> (Desk, ConversationKey) {
    let (mut desk, (key, create)) = (desk(), pair());
    assert_eq!(code(&desk.ask("ana", &key, &create)), None);
    (desk, key)
}

fn blocked(desk: &mut Desk, name: &str) -> Vec<String> {
    let answer = desk.ask_home(name, all_blocks());
    let Answer::Result(result) = answer else { panic!("{answer:?}") };
    let reply::Result::Blocks(v1::BlockPage { users, .. }) = *result else { panic!("{result:?}") };
    users
}

/// Does everything that is wanted but these effects, which are given back.
pub(crate) fn run_but(desk: &mut Desk, held: impl Fn(&Effect) -> bool) -> Vec<Effect> {
    let mut kept = Vec::new();
    while let Some(effect) = desk.wanted.pop_front() {
        if held(&effect) {
            kept.push(effect);
        } else {
            let done = desk.perform(effect, Fate::Stored);
            desk.feed(done);
        }
    }
    kept
}

fn appends_to(effect: &Effect, key: &ConversationKey) -> bool {
    matches!(effect, Effect::Append(batch) if batch.key == *key)
}

#[test]
fn n09_a_block_is_answered_once_nothing_is_under_way_that_did_not_know_of_it() {
    let (mut desk, key) = with_pair();
    let sending = desk.put("ben", 0, &key, &send("a", "text", None));
    let behind = desk.put("ben", 0, &key, &send("b", "text", None));
    let blocking = desk.put_home("ana", block("ben"));
    let append = run_but(&mut desk, |effect| appends_to(effect, &key)).swap_remove(0);
    assert!(desk.answer(blocking).is_none(), "a message of his may be stored at any moment");
    assert_eq!(blocked(&mut desk, "ana"), ["ben"]);
    desk.wanted.push_back(append);
    desk.run();
    sent(&desk.answer(sending).expect("it was stored"));
    assert_eq!(code(&desk.answer(behind).expect("it is answered")), FORBIDDEN);
    assert_eq!(code(&desk.answer(blocking).expect("it is answered")), None);
    assert_eq!(code(&desk.ask("ben", &key, &send("c", "text", None))), FORBIDDEN);
    assert_eq!(code(&desk.ask("ana", &key, &send("c", "text", None))), FORBIDDEN);
    // The first is answered as it was; that is nothing new.
    assert!(sent(&desk.ask("ben", &key, &send("a", "text", None))).1);
}

#[test]
fn a_block_that_owners_do_not_confirm_in_time_is_not_known_and_may_be_asked_for_again() {
    let (mut desk, key) = with_pair();
    desk.put("ben", 0, &key, &send("a", "text", None));
    let blocking = desk.put_home("ana", block("ben"));
    let append = run_but(&mut desk, |effect| appends_to(effect, &key)).swap_remove(0);
    desk.pass(Duration::from_secs(6));
    assert_eq!(code(&desk.answer(blocking).expect("it is answered")), Some(ErrorCode::UnknownOutcome));
    let again = desk.put_home("ana", block("ben"));
    desk.run();
    assert!(desk.answer(again).is_none(), "it is no more known than before");
    desk.wanted.push_back(append);
    desk.run();
    assert_eq!(code(&desk.answer(again).expect("it is answered")), None);
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.held(), Held::default(), "nothing is left behind");
}

#[test]
fn what_is_loaded_while_a_block_comes_knows_it() {
    // The load has read the rows before the block was written.
    let (mut desk, key) = with_pair();
    desk.pass(Duration::from_secs(10));
    let sending = desk.put("ben", 0, &key, &send("a", "text", None));
    let load = desk.wanted.pop_front().expect("a load");
    let loaded = desk.perform(load, Fate::Stored);
    let blocking = desk.put_home("ana", block("ben"));
    desk.run();
    assert!(desk.answer(blocking).is_none(), "what is being loaded does not know it");
    desk.feed(loaded);
    desk.run();
    assert_eq!(code(&desk.answer(blocking).expect("it is answered")), None);
    // He was first: it is as if his message had come before the block, which was answered after it.
    let first = code(&desk.answer(sending).expect("it is answered"));
    assert!(first.is_none() || first == FORBIDDEN);
    assert_eq!(code(&desk.ask("ben", &key, &send("b", "text", None))), FORBIDDEN);
}

#[test]
fn what_is_founded_while_a_block_comes_knows_it() {
    let (key, create) = pair();
    // Before its listings are written: the block is read with them. After that: the block finds the listings.
    for listed in [false, true] {
        let mut desk = desk();
        let creating = desk.put("ben", 0, &key, &create);
        let project = run_but(&mut desk, |effect| matches!(effect, Effect::Project { key: at, .. } if *at == key));
        let project = project.into_iter().next().expect("the listings are to be written");
        // He knows the name of a conversation that nobody was told of.
        let sending = desk.put("ben", 0, &key, &send("a", "text", None));
        desk.run();
        assert!(desk.answer(sending).is_none(), "nothing is stored before it is known who has blocked whom");
        if listed {
            let written = desk.perform(project, Fate::Stored);
            let blocking = desk.put_home("ana", block("ben"));
            desk.run();
            assert_eq!(code(&desk.answer(blocking).expect("it is answered")), None);
            desk.feed(written);
        } else {
            assert_eq!(code(&desk.ask_home("ana", block("ben"))), None);
            desk.wanted.push_back(project);
        }
        desk.run();
        assert_eq!(code(&desk.answer(creating).expect("it is answered")), None);
        assert_eq!(code(&desk.answer(sending).expect("it is answered")), FORBIDDEN, "{listed}");
    }
}

#[test]
fn a_block_holds_from_its_answer_on_wherever_the_process_was_killed() {
    let (key, _) = pair();
    // After so many steps; none of them is held to have been answered but the last.
    for steps in 0..12 {
        let (mut desk, _) = with_pair();
        desk.ask_home("ana", block("dan"));
        let blocking = desk.put_home("ana", block("ben"));
        for _ in 0..steps {
            let Some(effect) = desk.wanted.pop_front() else { break };
            let done = desk.perform(effect, Fate::Stored);
            desk.feed(done);
        }
        let answered = desk.answer(blocking).is_some();
        desk.kill();
        let first = code(&desk.ask("ben", &key, &send("a", "text", None)));
        assert!(!answered || first == FORBIDDEN, "{steps}");
        // Once the home was asked, it and the conversations say the same.
        let by_home = blocked(&mut desk, "ana").contains(&"ben".to_owned());
        assert!(!answered || by_home, "{steps}");
        let second = code(&desk.ask("ben", &key, &send("b", "text", None)));
        assert_eq!(second == FORBIDDEN, by_home, "{steps}");
        desk.ask_home("ana", unblock("ben"));
        assert_eq!(code(&desk.ask("ben", &key, &send("c", "text", None))), None, "{steps}");
    }
}

#[test]
fn a_block_of_unknown_outcome_is_repeated_as_it_was_and_said_to_be_unknown() {
    let (mut desk, key) = with_pair();
    let blocking = desk.put_home("ana", block("ben"));
    let home = ConversationKey::home(&tenant("t"), &user("ana"));
    let append = run_but(&mut desk, |effect| appends_to(effect, &home)).swap_remove(0);
    let unknown = desk.perform(append, Fate::UnknownStored);
    desk.feed(unknown);
    let behind = desk.put_home("ana", unblock("ben"));
    for _ in 0..100 {
        desk.now.mono += Duration::from_millis(100);
        let mut out = Vec::new();
        desk.machine.tick(desk.now, &mut out);
        for effect in out {
            match effect {
                Effect::Append(batch) => {
                    let done = desk.perform(Effect::Append(batch), Fate::UnknownNever);
                    desk.feed(done);
                }
                Effect::Answer { to, answer } => desk.answers.push((to, answer)),
                other => desk.wanted.push_back(other),
            }
        }
    }
    assert_eq!(code(&desk.answer(blocking).expect("it has waited too long")), Some(ErrorCode::UnknownOutcome));
    assert_eq!(code(&desk.answer(behind).expect("it has waited too long")), Some(ErrorCode::Overloaded));
    desk.pass(Duration::from_secs(1));
    assert_eq!(blocked(&mut desk, "ana"), ["ben"]);
    assert_eq!(code(&desk.ask("ben", &key, &send("a", "text", None))), FORBIDDEN);
}

/// Whoever is put out while it is read who takes their invitations is told what a stranger is, whatever was read.
#[test]
fn n12_who_was_put_out_meanwhile_does_not_learn_of_a_block() {
    for blocks in [false, true] {
        let place = places().swap_remove(2);
        let (mut desk, key, create) = (desk(), place.key, What::Create(place.create.expect("somebody creates it")));
        assert_eq!(code(&desk.ask("ana", &key, &create)), None);
        let promote = What::Promote { member: user("ben"), role: v1::Role::Moderator };
        assert_eq!(code(&desk.ask("ana", &key, &promote)), None);
        if blocks {
            assert_eq!(code(&desk.ask_home("dan", block("ben"))), None);
        }
        let add = What::Add(vec![user("dan")]);
        let adding = desk.put("ben", 0, &key, &add);
        let reads = run_but(&mut desk, |it| matches!(it, Effect::Read { plan: ReadPlan::Welcome { .. }, .. }));
        assert_eq!(reads.len(), 1);
        assert_eq!(code(&desk.ask("ana", &key, &What::Remove(user("ben")))), None);
        desk.wanted.extend(reads);
        desk.run();
        let late = desk.answer(adding).expect("it is answered");
        let stranger = desk.ask("ben", &key, &add);
        assert_eq!(
            (code(&late), format!("{late:?}")),
            (Some(ErrorCode::NotFound), format!("{stranger:?}")),
            "{blocks}"
        );
        assert_eq!(code(&desk.ask("dan", &key, &What::Get)), Some(ErrorCode::NotFound));
    }
}

#[test]
fn n12_a_home_is_no_conversation() {
    let (mut desk, key) = with_pair();
    let home = ConversationKey::home(&tenant("t"), &user("ana"));
    let asks = [What::Get, send("a", "text", None), What::Leave, What::Unread];
    let nobodys = ConversationKey { conversation: places()[5].key.conversation, ..key };
    let expected: Vec<_> = asks.iter().map(|what| format!("{:?}", desk.ask("ana", &nobodys, what))).collect();
    for decided in [false, true] {
        if decided {
            desk.ask_home("ana", block("ben"));
            desk.kill();
        }
        for name in ["ana", "ben"] {
            let answers: Vec<_> = asks.iter().map(|what| format!("{:?}", desk.ask(name, &home, what))).collect();
            assert_eq!(answers, expected, "{name}");
        }
    }
    // It is as good as before.
    assert_eq!(blocked(&mut desk, "ana"), ["ben"]);
}

#[test]
fn blocks_come_page_by_page() {
    let mut desk = desk();
    for name in ["eva", "ben", "dan", "cleo"] {
        desk.ask_home("ana", block(name));
    }
    let mut page = |after: Option<&str>| {
        let ask = BlocksAsk { after: after.map(user), limit: 2 };
        let answer = desk.ask_home("ana", HomeAsk::Blocks(Box::new(ask)));
        let Answer::Result(result) = answer else { panic!("{answer:?}") };
        let reply::Result::Blocks(page) = *result else { panic!("{result:?}") };
        (page.users, page.more)
    };
    let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    assert_eq!(page(None), (names(["ben", "cleo"]), true));
    assert_eq!(page(Some("cleo")), (names(["dan", "eva"]), false));
    assert_eq!(page(Some("eva")), (vec![], false));
}

#[test]
fn a_load_that_fails_leaves_a_block_to_the_next_one() {
    let (mut desk, key) = with_pair();
    desk.pass(Duration::from_secs(10));
    desk.put("ben", 0, &key, &What::Get);
    let Some(Effect::Load { key: loading, .. }) = desk.wanted.pop_front() else { panic!("a load") };
    let blocking = desk.put_home("ana", block("ben"));
    desk.run();
    desk.feed(Input::Loaded { key: loading, result: Err(switchyard_router::machine::LoadFailed::unavailable()) });
    desk.run();
    assert_eq!(code(&desk.answer(blocking).expect("it is answered")), None);
    assert_eq!(code(&desk.ask("ben", &key, &send("a", "text", None))), FORBIDDEN);
}
