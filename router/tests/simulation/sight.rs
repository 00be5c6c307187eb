//! Who sees who is online in a conversation of two: neither of them before it is both's, nor while one has blocked the other.

use std::time::Duration;

use switchyard_cluster::home::{Decision, HomeAsk};
use switchyard_cluster::link::{Answer, Ask, CreateAsk, Request};
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{Parted, PresenceAsk, Seen, WatchAsk};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::ConversationKind;
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::{Effect, Input};

use crate::ask::What;
use crate::clients::{places, roles_of, tenant};
use crate::desk::{Desk, code, group, send};
use crate::timeline::user;

const NOT_FOUND: Option<ErrorCode> = Some(ErrorCode::NotFound);

fn home(name: &str) -> Home {
    Home { key: ConversationKey::home(&tenant("t"), &user(name)), user: user(name) }
}

/// Everybody is there.
fn desk(requests: bool) -> Desk {
    let mut desk = Desk::new(RouterConfig { requests, ..RouterConfig::default() });
    for name in ["ana", "ben", "dan", "gus"] {
        let Home { key, user } = home(name);
        let from = Asker { edge: EdgeId(0), session: u64::MAX, request: 0, ticket: 0, roles: Roles::NONE };
        let ask = Ask::Presence(PresenceAsk::Sessions(1));
        desk.feed(Input::Request(Request { from, key, user, ask }));
    }
    desk
}

/// A conversation of these kinds that is there, and of whom.
fn of_two(desk: &mut Desk, kind: ConversationKind) -> (ConversationKey, [&'static str; 2]) {
    let (word, names) = match kind {
        ConversationKind::Direct => ("direct", ["ana", "ben"]),
        ConversationKind::CustomerSeller => ("customer_seller", ["ana", "ben"]),
        _ => ("internal", ["dan", "gus"]),
    };
    let [a, b] = names.map(user);
    let conversation = ConversationId::direct(&tenant("t"), word, "", &a, &b);
    let key = ConversationKey { tenant: tenant("t"), conversation };
    let create = CreateAsk { kind, members: vec![a, b], name: None, avatar: None, context: None };
    for name in names {
        // What they are is known from their homes.
        let told = desk.ask_home_with(roles_of(&user(name)), name, HomeAsk::Roles { issued_ms: 1 });
        assert_eq!(code(&told), None);
    }
    assert_eq!(code(&desk.ask(names[0], &key, &What::Create(create))), None, "{kind:?}");
    (key, names)
}

/// Puts a question that is answered later.
fn put(desk: &mut Desk, by: &str, edge: u16, key: &ConversationKey, ask: Ask) -> Asker {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(2_000_000);
    let request = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let from = Asker { edge: EdgeId(edge), session: 9, request, ticket: 0, roles: roles_of(&user(by)) };
    desk.feed(Input::Request(Request { from, key: key.clone(), user: user(by), ask }));
    from
}

fn watch_of(of: &str) -> Ask {
    Ask::Watch(Box::new(WatchAsk { home: home(of), turn: 1 }))
}

fn watch(desk: &mut Desk, by: &str, key: &ConversationKey, of: &str) -> Answer {
    let from = put(desk, by, 3, key, watch_of(of));
    desk.run();
    desk.answer(from).expect("it is answered")
}

fn count(desk: &mut Desk, by: &str, key: &ConversationKey) -> Seen {
    let from = put(desk, by, 3, key, Ask::Count);
    desk.run();
    desk.pass(Duration::ZERO);
    match desk.answer(from).expect("it is answered") {
        Answer::Presence { now, .. } => now.seen,
        other => panic!("not counted: {other:?}"),
    }
}

fn sees(answer: &Answer) -> bool {
    match answer {
        Answer::Presence { now, of_two: true } => matches!(now.seen, Seen::User { online: true, .. }),
        Answer::Refused(refusal) if refusal.code == ErrorCode::NotFound => false,
        other => panic!("{other:?}"),
    }
}

fn decide(desk: &mut Desk, name: &str, decision: Decision) {
    assert_eq!(code(&desk.ask_home(name, HomeAsk::Decide(decision))), None);
}

#[test]
fn neither_of_a_request_sees_the_other_until_it_is_accepted() {
    for by_message in [false, true] {
        let mut desk = desk(true);
        let (key, _) = of_two(&mut desk, ConversationKind::Direct);
        let stranger = format!("{:?}", watch(&mut desk, "mallory", &key, "ben"));
        for step in ["pending", "declined"] {
            for (by, of) in [("ana", "ben"), ("ben", "ana")] {
                let answer = watch(&mut desk, by, &key, of);
                assert_eq!((code(&answer), format!("{answer:?}")), (NOT_FOUND, stranger.clone()), "{step} {by}");
                assert_eq!(count(&mut desk, by, &key), Seen::Online(1), "{step} {by}");
            }
            if step == "pending" {
                assert_eq!(code(&desk.ask("ben", &key, &What::Decline)), None);
            }
        }
        let accept = if by_message { send("b", "hello", None) } else { What::Accept };
        assert_eq!(code(&desk.ask("ben", &key, &accept)), None);
        for (by, of) in [("ana", "ben"), ("ben", "ana")] {
            assert!(sees(&watch(&mut desk, by, &key, of)), "{by}");
        }
        desk.pass(RouterConfig::default().offline_after * 2);
        assert_eq!(count(&mut desk, "ana", &key), Seen::Online(2));
    }
}

#[test]
fn a_block_of_either_ends_it_for_both_and_before_it_is_answered() {
    use ConversationKind::{CustomerSeller, Direct, Internal};
    for kind in [Direct, CustomerSeller, Internal] {
        for turn in [false, true] {
            let mut desk = desk(false);
            let (key, [mut by, mut of]) = of_two(&mut desk, kind);
            if turn {
                (by, of) = (of, by);
            }
            assert!(sees(&watch(&mut desk, by, &key, of)) && sees(&watch(&mut desk, of, &key, by)), "{kind:?}");
            assert_eq!(count(&mut desk, of, &key), Seen::Online(2));
            desk.presence.clear();
            decide(&mut desk, by, Decision::Block(user(of)));
            let mut parted = std::mem::take(&mut desk.parted);
            parted.sort_by(|(_, a), (_, b)| a.watcher.cmp(&b.watcher));
            let one =
                |home_of: &str, watcher: &str| (EdgeId(3), Parted { home: home(home_of), watcher: user(watcher) });
            let mut expected = vec![one(by, of), one(of, by)];
            expected.sort_by(|(_, a), (_, b)| a.watcher.cmp(&b.watcher));
            assert_eq!(parted, expected, "{kind:?}");
            desk.pass(Duration::from_millis(1));
            let counts: Vec<_> = desk.presence.drain(..).map(|(_, now)| now.seen).collect();
            assert_eq!(counts, [Seen::Online(1)], "each sees oneself alone");
            for (by, of) in [(by, of), (of, by)] {
                assert_eq!(code(&watch(&mut desk, by, &key, of)), NOT_FOUND, "{kind:?} {by}");
                assert_eq!(code(&desk.ask(by, &key, &send("x", "text", None))), Some(ErrorCode::Forbidden), "{kind:?}");
            }
            // Whatever became of the process since.
            desk.kill();
            assert_eq!(code(&watch(&mut desk, of, &key, by)), NOT_FOUND, "{kind:?}");
            decide(&mut desk, by, Decision::Unblock(user(of)));
            assert!(matches!(watch(&mut desk, of, &key, by), Answer::Presence { .. }), "{kind:?}");
            assert_eq!(code(&desk.ask(of, &key, &send("y", "text", None))), None, "{kind:?}");
        }
    }
}

#[test]
fn nobody_founds_a_conversation_of_two_across_a_block() {
    use ConversationKind::{CustomerSeller, Direct, Internal};
    for kind in [Direct, CustomerSeller, Internal] {
        for turn in [false, true] {
            let mut desk = desk(false);
            let (word, mut names) = match kind {
                Direct => ("direct", ["ana", "ben"]),
                CustomerSeller => ("customer_seller", ["ana", "ben"]),
                _ => ("internal", ["dan", "gus"]),
            };
            for name in names {
                desk.ask_home_with(roles_of(&user(name)), name, HomeAsk::Roles { issued_ms: 1 });
            }
            let [a, b] = names.map(user);
            let conversation = ConversationId::direct(&tenant("t"), word, "", &a, &b);
            let key = ConversationKey { tenant: tenant("t"), conversation };
            let create = CreateAsk { kind, members: vec![a, b], name: None, avatar: None, context: None };
            if turn {
                names.reverse();
            }
            decide(&mut desk, names[0], Decision::Block(user(names[1])));
            for name in names {
                let answer = desk.ask(name, &key, &What::Create(create.clone()));
                assert_eq!(code(&answer), Some(ErrorCode::Forbidden), "{kind:?} {name}");
            }
            decide(&mut desk, names[0], Decision::Unblock(user(names[1])));
            assert_eq!(code(&desk.ask(names[1], &key, &What::Create(create.clone()))), None, "{kind:?}");
        }
    }
}

#[test]
fn a_group_tells_it_whoever_has_blocked_whom() {
    let mut desk = desk(true);
    let key = places().swap_remove(2).key;
    desk.ask("ana", &key, &group(&["ana", "ben", "cleo"]));
    decide(&mut desk, "ana", Decision::Block(user("ben")));
    for (by, of) in [("ana", "ben"), ("ben", "ana")] {
        assert!(matches!(watch(&mut desk, by, &key, of), Answer::Presence { of_two: false, .. }), "{by}");
    }
}

#[test]
fn a_block_is_not_answered_before_both_homes_have_told_their_edges() {
    let mut desk = desk(false);
    let (key, _) = of_two(&mut desk, ConversationKind::Direct);
    assert!(sees(&watch(&mut desk, "ana", &key, "ben")) && sees(&watch(&mut desk, "ben", &key, "ana")));
    // What one of the homes is told waits, each in turn.
    for held in ["ana", "ben"] {
        let blocking = desk.put_home("ana", HomeAsk::Decide(Decision::Block(user("ben"))));
        let is_held = |effect: &Effect| match effect {
            Effect::Tell(message) => match &**message {
                switchyard_cluster::routers::RouterMessage::Part(part) => part.parted.home == home(held),
                _ => false,
            },
            _ => false,
        };
        let mut kept = Vec::new();
        while let Some(effect) = desk.wanted.pop_front() {
            if is_held(&effect) {
                kept.push(effect);
                continue;
            }
            let done = desk.perform(effect, crate::disk::Fate::Stored);
            desk.feed(done);
        }
        assert_eq!(kept.len(), 1);
        assert!(desk.answer(blocking).is_none(), "sessions may still be told of {held}");
        desk.wanted.extend(kept);
        desk.run();
        assert_eq!(code(&desk.answer(blocking).expect("it is answered")), None);
    }
}
