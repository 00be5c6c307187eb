//! A6: who is online is told to those who watch and share a conversation with them, and to nobody else; in one of two, neither
//! before it is both's, nor while one has blocked the other (B5, B9).

use serde_json::{Value, json};
use switchyard_client::protocol::v1::UserPresence;
use switchyard_client::{Client, ClientConfig, Event, StaticToken};

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, error_code, keys};
use crate::site::{Site, now};

/// Direct conversations are both's at once.
const OPEN: (&str, &str) = ("SWITCHYARD__CONVERSATIONS__REQUESTS", "off");

/// How long after their last session users count as online here.
const SOON: [(&str, &str); 2] = [OPEN, ("SWITCHYARD__PRESENCE__OFFLINE_AFTER", "300ms")];

/// So long that what follows a reconnect is not taken for the end.
const LATER: [(&str, &str); 2] = [OPEN, ("SWITCHYARD__PRESENCE__OFFLINE_AFTER", "2s")];

/// As soon, and a direct conversation is a request first.
const ASKED: [(&str, &str); 1] = [("SWITCHYARD__PRESENCE__OFFLINE_AFTER", "300ms")];

/// Watches these users; how it is with each.
fn watch(plain: &mut Plain, body: &Value) -> Vec<Value> {
    let data = plain.done("watch", body);
    assert_eq!(keys(&data), ["presence"]);
    data["presence"].as_array().expect("a list").clone()
}

/// Watches these users until it is so with them: whoever has come just now may be told of by an event instead.
fn sees(plain: &mut Plain, body: &Value, expected: &[Value]) {
    let mut seen = watch(plain, body);
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
    while seen != expected {
        let now = told(plain);
        let Some(one) = seen.iter_mut().find(|one| one["user"] == now["user"]) else { panic!("nobody watches {now}") };
        *one = now;
    }
}

/// Watches how many are online in a conversation until they are so many; who has come just now may be counted later.
fn counts(plain: &mut Plain, conversation: &str, expected: u64) {
    let answer = plain.done("watch", &json!({"conversation": conversation}));
    assert_eq!(answer["presence"], json!([]));
    let mut online = answer["counts"][0]["online"].clone();
    while online != expected {
        online = plain.event("presence")["counts"][0]["online"].take();
    }
}

fn online(user: &str) -> Value {
    json!({"user": user, "online": true})
}

/// Never seen, as far as the asker may know.
fn unseen(user: &str) -> Value {
    json!({"user": user, "online": false})
}

/// The next event says how it is with one user.
fn told(plain: &mut Plain) -> Value {
    let mut event = plain.event("presence");
    assert_eq!(keys(&event), ["event", "presence"]);
    assert_eq!(event["presence"].as_array().map(Vec::len), Some(1));
    event["presence"][0].take()
}

/// The next event says that this user has gone; when, in seconds since 1970.
fn gone(plain: &mut Plain, user: &str) -> u64 {
    let told = told(plain);
    assert_eq!((&told["user"], &told["online"]), (&json!(user), &json!(false)), "{told}");
    last_seen(&told)
}

fn last_seen(presence: &Value) -> u64 {
    presence["last_seen_ms"].as_u64().unwrap_or_else(|| panic!("never seen: {presence}")) / 1_000
}

#[test]
fn a6_several_devices_are_one_user_and_the_last_to_go_tells_when() {
    let site = Site::with_env(&SOON);
    let mut alice = Plain::open(&site, "alice");
    alice.direct("bob");
    sees(&mut alice, &json!({"users": ["bob", "alice", "bob"]}), &[unseen("bob"), online("alice")]);
    let before = now();
    let (phone, tablet) = (Plain::open(&site, "bob"), Plain::open(&site, "bob"));
    assert_eq!(told(&mut alice), online("bob"));
    drop(phone);
    drop(tablet);
    let at = gone(&mut alice, "bob");
    assert!((before..=now()).contains(&at), "{before} {at}");
    let again = watch(&mut alice, &json!({"users": ["bob"]}));
    assert_eq!(last_seen(&again[0]), at);
    alice.done("unwatch", &json!({"users": ["bob"]}));
    let _back = Plain::open(&site, "bob");
    // Whoever came back and is watched by nobody is told to nobody; watching again shows it.
    sees(&mut alice, &json!({"users": ["bob"]}), &[online("bob")]);
    assert!(!alice.has_event());
}

#[test]
fn a6_a_reconnect_is_no_news() {
    let site = Site::with_env(&LATER);
    let mut alice = Plain::open(&site, "alice");
    alice.direct("bob");
    alice.direct("carol");
    let (mut bob, carol) = (Plain::open(&site, "bob"), Plain::open(&site, "carol"));
    sees(&mut alice, &json!({"users": ["bob", "carol"]}), &[online("bob"), online("carol")]);
    for _ in 0..3 {
        drop(bob);
        bob = Plain::open(&site, "bob");
    }
    drop(carol);
    gone(&mut alice, "carol");
    // Whatever had been told of bob would have come before it.
    drop(bob);
    gone(&mut alice, "bob");
}

#[test]
fn a6_last_seen_survives_a_kill_and_whoever_was_there_then_was_there_until_then() {
    let mut site = Site::with_env(&LATER);
    let mut alice = Plain::open(&site, "alice");
    alice.direct("bob");
    alice.direct("carol");
    let (_bob, carol) = (Plain::open(&site, "bob"), Plain::open(&site, "carol"));
    sees(&mut alice, &json!({"users": ["bob", "carol"]}), &[online("bob"), online("carol")]);
    drop(carol);
    // It is told after two seconds, and stored within one.
    let went = gone(&mut alice, "carol");
    let before = now();
    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    let seen = watch(&mut alice, &json!({"users": ["bob", "carol"]}));
    assert_eq!(last_seen(&seen[1]), went);
    assert!((before..=now()).contains(&last_seen(&seen[0])), "{seen:?}");
    // Nobody could be there since that process began, however many begin after it.
    let carol = Plain::open(&site, "carol");
    assert_eq!(told(&mut alice), online("carol"));
    drop(carol);
    gone(&mut alice, "carol");
    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    assert_eq!(watch(&mut alice, &json!({"users": ["bob"]})), seen[..1]);
    let _bob = Plain::open(&site, "bob");
    assert_eq!(told(&mut alice), online("bob"));
}

#[test]
fn a6_through_a_group_it_lasts_as_long_as_both_are_members() {
    let site = Site::with_env(&SOON);
    let mut alice = Plain::open(&site, "alice");
    let room = alice.group("room", &["bob", "carol"]);
    let (bob, mut carol) = (Plain::open(&site, "bob"), Plain::open(&site, "carol"));
    let through = json!({"conversation": room, "users": ["bob", "dan"]});
    assert_eq!(alice.refused("watch", &through), "NOT_FOUND", "she does not read it");
    for plain in [&mut alice, &mut carol] {
        plain.done("subscribe", &json!({"conversations": [room]}));
        sees(plain, &through, &[online("bob"), unseen("dan")]);
    }
    alice.done("remove", &json!({"conversation": room, "member": "carol"}));
    assert_eq!(carol.event("members")["members"]["removed"], json!(["carol"]));
    assert_eq!(told(&mut carol), unseen("bob"));
    alice.event("members");
    drop(bob);
    gone(&mut alice, "bob");
    assert!(!carol.has_event());
    alice.done("remove", &json!({"conversation": room, "member": "bob"}));
    alice.event("members");
    assert_eq!(told(&mut alice), unseen("bob"));
    let mut bob = Plain::open(&site, "bob");
    assert!(!bob.has_event() && !alice.has_event());
    assert_eq!(watch(&mut alice, &through), [unseen("bob"), unseen("dan")]);
}

#[test]
fn a6_in_a_large_group_only_the_number_is_told() {
    let site = Site::with_env(&SOON);
    let mut alice = Plain::open(&site, "alice");
    let members: Vec<String> = (0..100).map(|n| format!("member{n}")).collect();
    let names: Vec<&str> = members.iter().map(String::as_str).collect();
    let room = alice.group("room", &names);
    alice.done("subscribe", &json!({"conversations": [room]}));
    let refused = watch(&mut alice, &json!({"conversation": room, "users": ["member1"]}));
    assert_eq!((&refused[0]["online"], error_code(&refused[0]["error"])), (&json!(false), "BAD_REQUEST".to_owned()));
    let first = Plain::open(&site, "member1");
    counts(&mut alice, &room, 2);
    let (_second, _stranger) = (Plain::open(&site, "member2"), Plain::open(&site, "mallory"));
    let count = |online: u64| json!({"event": "presence", "counts": [{"conversation": room, "online": online}]});
    assert_eq!(alice.event("presence"), count(3));
    drop(first);
    assert_eq!(alice.event("presence"), count(2));
    alice.done("unwatch", &json!({"conversation": room}));
    let _third = Plain::open(&site, "member3");
    let mut bob = Plain::open(&site, "member4");
    bob.done("subscribe", &json!({"conversations": [room]}));
    counts(&mut bob, &room, 4);
    assert!(!alice.has_event());
}

#[test]
fn a6_a_session_watches_200_at_most_and_bad_input_is_told() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let names: Vec<String> = (0..201).map(|n| format!("user{n}")).collect();
    for part in names.chunks(67) {
        let names: Vec<&str> = part.iter().map(String::as_str).collect();
        let room = alice.group("room", &names);
        alice.done("subscribe", &json!({"conversations": [room]}));
        let body = json!({"conversation": room, "users": part});
        let Some(last) = part.iter().find(|name| *name == "user200") else {
            assert_eq!(watch(&mut alice, &body).len(), 67);
            continue;
        };
        assert_eq!(alice.refused("watch", &body), "BAD_REQUEST", "none of them is watched");
        let rest: Vec<&String> = part.iter().filter(|name| *name != last).collect();
        assert_eq!(watch(&mut alice, &json!({"conversation": room, "users": rest})).len(), 66);
        assert_eq!(alice.refused("watch", &json!({"conversation": room, "users": [last]})), "BAD_REQUEST");
        assert_eq!(alice.refused("watch", &json!({"conversation": room})), "BAD_REQUEST");
        assert_eq!(watch(&mut alice, &json!({"conversation": room, "users": rest})).len(), 66, "those it watches");
        alice.done("unwatch", &json!({"users": ["user7"]}));
        assert_eq!(watch(&mut alice, &json!({"conversation": room, "users": [last]})), [unseen(last)]);
    }
    assert_eq!(alice.done("unwatch", &json!({"all": true})), json!({}));
    let long = "x".repeat(129);
    for body in [
        json!({}),
        json!({"users": []}),
        json!({"users": [""]}),
        json!({"users": [long]}),
        json!({"users": ["a\0b"]}),
        json!({"users": "bob"}),
        json!({"users": names}),
    ] {
        assert_eq!(alice.refused("watch", &body), "BAD_REQUEST", "{body}");
    }
    assert_eq!(alice.refused("unwatch", &json!({})), "BAD_REQUEST");
    assert_eq!(alice.refused("unwatch", &json!({"users": names})), "BAD_REQUEST");
}

#[test]
fn n12_n13_strangers_and_other_tenants_learn_nothing() {
    let site = Site::with_env(&SOON);
    let mut alice = Plain::open(&site, "alice");
    alice.direct("bob");
    assert_eq!(watch(&mut alice, &json!({"users": ["bob"]})), [unseen("bob")]);
    let mut mallory = Plain::open(&site, "mallory");
    let mut namesake = Plain::open_with(&site, &site.token_of("elsewhere", "alice"));
    namesake.direct("bob");
    for other in [&mut mallory, &mut namesake] {
        let expected = [unseen("bob"), unseen("nobody")];
        assert_eq!(watch(other, &json!({"users": ["bob", "nobody"]})), expected);
    }
    let bob = Plain::open(&site, "bob");
    assert_eq!(told(&mut alice), online("bob"));
    drop(bob);
    gone(&mut alice, "bob");
    for other in [&mut mallory, &mut namesake] {
        assert_eq!(watch(other, &json!({"users": ["bob"]})), [unseen("bob")]);
        assert!(!other.has_event());
    }
    let mut own = Plain::open_with(&site, &site.token_of("elsewhere", "bob"));
    assert_eq!(told(&mut namesake), online("bob"));
    assert!(!alice.has_event() && !own.has_event());
}

#[test]
fn b5_neither_of_a_request_sees_the_other_until_it_is_accepted_or_answered() {
    let site = Site::with_env(&ASKED);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let mut mallory = Plain::open(&site, "mallory");
    let count = |plain: &mut Plain, conversation: &str| {
        let data = plain.done("watch", &json!({"conversation": conversation}));
        data["counts"][0]["online"].clone()
    };
    for (peer, by_message) in [("bob", false), ("carol", true)] {
        let direct = alice.direct(peer);
        let mut other = Plain::open(&site, peer);
        for plain in [&mut alice, &mut other] {
            plain.done("subscribe", &json!({"conversations": [direct]}));
        }
        let stranger = watch(&mut mallory, &json!({"users": [peer]}));
        for declined in [false, true] {
            assert_eq!(watch(&mut alice, &json!({"users": [peer]})), stranger, "{declined}");
            assert_eq!(watch(&mut alice, &json!({"users": [peer], "conversation": direct})), stranger, "{declined}");
            assert_eq!(watch(&mut other, &json!({"users": ["alice"]})), [unseen("alice")], "{declined}");
            assert_eq!(count(&mut alice, &direct), 1, "each sees oneself alone");
            if !declined {
                other.done("decline", &json!({"conversation": direct}));
                alice.event("conversation");
                other.event("conversation");
            }
        }
        alice.done("unwatch", &json!({"all": true}));
        if by_message {
            other.send(&direct, "m1", "well, hello");
            alice.event("message");
        } else {
            other.done("accept", &json!({"conversation": direct}));
            alice.event("conversation");
        }
        sees(&mut alice, &json!({"users": [peer]}), &[online(peer)]);
        sees(&mut other, &json!({"users": ["alice"]}), &[online("alice")]);
        counts(&mut alice, &direct, 2);
        alice.done("unwatch", &json!({"all": true}));
    }
    assert!(!bob.has_event() && !mallory.has_event());
}

#[test]
fn n09_a_block_ends_what_is_watched_by_way_of_the_two_before_it_is_answered() {
    let site = Site::with_env(&SOON);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let mut tablet = Plain::open(&site, "bob");
    alice.direct("bob");
    let about = alice.done("create", &json!({"kind": "direct", "members": ["bob"], "context": "order 7"}));
    let about = about["conversation"]["id"].as_str().expect("an id").to_owned();
    let mut carol = Plain::open(&site, "carol");
    carol.direct("alice");
    sees(&mut carol, &json!({"users": ["alice"]}), &[online("alice")]);
    tablet.done("subscribe", &json!({"conversations": [about]}));
    for round in 0..3 {
        sees(&mut alice, &json!({"users": ["bob"]}), &[online("bob")]);
        sees(&mut bob, &json!({"users": ["alice"]}), &[online("alice")]);
        sees(&mut tablet, &json!({"users": ["alice"], "conversation": about}), &[online("alice")]);
        let (blocker, blocked) = if round == 1 { (&mut bob, "alice") } else { (&mut alice, "bob") };
        blocker.done("block", &json!({"user": blocked}));
        // On all devices, both ways; also when it is asked for anew, in whatever way.
        for (plain, other) in [(&mut alice, "bob"), (&mut bob, "alice"), (&mut tablet, "alice")] {
            assert_eq!(told(plain), unseen(other), "{round}");
            assert_eq!(watch(plain, &json!({"users": [other]})), [unseen(other)], "{round}");
        }
        assert_eq!(watch(&mut tablet, &json!({"users": ["alice"], "conversation": about})), [unseen("alice")]);
        // Whatever alice does now is told to carol alone.
        drop(std::mem::replace(&mut alice, carol));
        gone(&mut alice, "alice");
        carol = std::mem::replace(&mut alice, Plain::open(&site, "alice"));
        assert_eq!(told(&mut carol), online("alice"));
        assert!(!bob.has_event() && !tablet.has_event() && !alice.has_event(), "{round}");
        let (blocker, blocked) = if round == 1 { (&mut bob, "alice") } else { (&mut alice, "bob") };
        blocker.done("unblock", &json!({"user": blocked}));
        assert!(!bob.has_event() && !alice.has_event(), "it is asked for again");
    }
}

#[test]
fn b9_a_group_tells_it_whoever_has_blocked_whom() {
    let site = Site::with_env(&SOON);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    alice.direct("bob");
    let room = alice.group("room", &["bob"]);
    for plain in [&mut alice, &mut bob] {
        plain.done("subscribe", &json!({"conversations": [room]}));
    }
    let through = |user: &str| json!({"users": [user], "conversation": room});
    sees(&mut bob, &through("alice"), &[online("alice")]);
    alice.done("block", &json!({"user": "bob"}));
    assert!(!bob.has_event(), "that goes on");
    assert_eq!(watch(&mut alice, &through("bob")), [online("bob")]);
    drop(alice);
    gone(&mut bob, "alice");
    assert_eq!(watch(&mut bob, &json!({"users": ["alice"]})), [unseen("alice")], "by way of the two it is not told");
}

/// Reads until it is told of a user.
async fn next(events: &mut switchyard_client::Events) -> UserPresence {
    loop {
        if let Event::Presence(presence) = events.next().await.expect("it goes on") {
            return presence;
        }
    }
}

#[test]
fn a6_over_the_sdk_it_lasts_across_a_kill() {
    in_both_forms(|form| async move {
        let mut site = Site::with_env(&SOON);
        let mut config = ClientConfig::new(site.url(), StaticToken::new(site.token("alice")));
        config.form = form;
        let alice = Client::connect(config).expect("a good address");
        let room = alice.create_group("room", &["bob"]).await.expect("made").conversation.id;
        alice.subscribe(&room, None).await.expect("a member");
        let mut events = alice.events();
        let mut count = alice.watch_online(&room).await.expect("a member");
        while count != 1 {
            if let Event::Online { online, .. } = events.next().await.expect("it goes on") {
                count = online;
            }
        }
        alice.unwatch_online(&room).await.expect("open");
        let never = UserPresence { user: "bob".to_owned(), ..UserPresence::default() };
        assert_eq!(alice.watch_in(&room, &["bob"]).await.expect("a member")[0], never);
        let bob = client(&site, form, "bob");
        bob.ready().await.expect("welcome");
        assert!(next(&mut events).await.online);
        assert!(!bob.watch(&["alice"]).await.expect("answered")[0].online, "they have no direct conversation");
        site.kill();
        site.start_again();
        bob.ping().await.expect("it is back");
        bob.close().await;
        // It watches again by itself; whether it saw bob go, come and go again or only go is as it was in time.
        let last = loop {
            let presence = next(&mut events).await;
            let now = alice.watch_in(&room, &["bob"]).await.expect("a member");
            if !presence.online && !now[0].online {
                break presence;
            }
        };
        assert!(last.last_seen_ms.is_some());
        alice.unsubscribe(&room).await.expect("open");
        let stranger = client(&site, form, "mallory");
        assert_eq!(stranger.watch(&["bob"]).await.expect("answered"), [never]);
        assert!(stranger.watch_in(&room, &["bob"]).await.expect("answered")[0].error.is_some());
        assert!(stranger.watch_online(&room).await.is_err());
    });
}

#[test]
fn b5_over_the_sdk_who_accepts_or_is_unblocked_is_seen_without_asking() {
    in_both_forms(|form| async move {
        let site = Site::with_env(&ASKED);
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        bob.ready().await.expect("welcome");
        let direct = alice.create_direct("bob", None).await.expect("made").conversation.id;
        alice.subscribe_all().await.expect("open");
        let mut events = alice.events();
        let never = UserPresence { user: "bob".to_owned(), ..UserPresence::default() };
        assert_eq!(alice.watch(&["bob"]).await.expect("answered"), std::slice::from_ref(&never));
        bob.accept(&direct).await.expect("it is his to answer");
        assert!(next(&mut events).await.online);
        bob.block("alice").await.expect("blocked");
        assert_eq!(next(&mut events).await, never);
        bob.unblock("alice").await.expect("unblocked");
        bob.send(&direct, "hello again").await.expect("stored");
        assert!(next(&mut events).await.online);
        alice.block("bob").await.expect("blocked");
        assert_eq!(next(&mut events).await, never);
        alice.unblock("bob").await.expect("unblocked");
        assert!(next(&mut events).await.online);
    });
}
