//! Rows 12 to 17: conversations of others. Whatever a stranger asks, it is answered as for one that does not exist.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::naming::{Someone, refusal};
use crate::plain::{Plain, error_code};
use crate::site::Site;

/// A conversation of alice and bob and a group of theirs, with a message in each.
fn theirs(alice: &mut Plain) -> [String; 2] {
    let conversations = [alice.direct("bob"), alice.group("ours", &["bob"])];
    for conversation in &conversations {
        alice.send(conversation, "a1", "secret");
    }
    conversations
}

/// A good name, of a conversation that does not exist.
fn nowhere() -> String {
    "5".repeat(25) + "0"
}

fn sees_nothing(alice: &mut Plain, conversations: &[String], other: &mut Someone<'_>) {
    let nowhere = other.ask_about(&nowhere());
    for (name, reply) in &nowhere {
        assert!(refusal(name, reply).is_none_or(|code| code == "NOT_FOUND"), "{name}: {reply}");
    }
    for conversation in conversations {
        let answers = other.ask_about(conversation);
        for (there, nowhere) in answers.iter().zip(&nowhere) {
            assert_eq!(there, nowhere, "it tells that the conversation exists");
        }
        alice.send(conversation, "a2", "still secret");
    }
    assert!(!other.has_event(), "nothing is delivered to them");
    for conversation in conversations {
        let page = alice.done("history", &json!({"conversation": conversation}));
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(2), "nothing of theirs is in it");
        let members = alice.done("members", &json!({"conversation": conversation}));
        assert_eq!(members["members"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn n12_a_stranger_gets_the_answer_for_what_does_not_exist() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversations = theirs(&mut alice);
    let memory = site.memory_kib();
    let mut mallory = Someone::of(&site, &site.token("mallory"));
    sees_nothing(&mut alice, &conversations, &mut mallory);
    let made = Plain::open(&site, "mallory").done("create", &json!({"kind": "direct", "members": ["alice"]}));
    assert_ne!(made["conversation"]["id"], conversations[0].as_str());
    site.unharmed(memory);
}

/// Of requests that came together, what is known at once is answered at once; that there is nothing is said later, whatever
/// it took to find out.
#[test]
fn n12_when_a_stranger_is_answered_tells_nothing() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let [direct, group] = theirs(&mut alice);
    drop(alice);
    // From here on nothing is in memory.
    site.kill();
    site.start_again();
    let mut mallory = Plain::open(&site, "mallory");
    let about = |conversation: &str| json!({"conversation": conversation});
    let began = Instant::now();
    let ids = mallory.post_together(&[
        ("get", about(&group)),
        ("history", about(&nowhere())),
        ("history", about(&group)),
        ("resume", json!({"positions": [{"conversation": group, "seq": 0}]})),
        ("subscribe", json!({"conversations": [direct]})),
        ("mark", json!({"conversation": nowhere(), "read": 1})),
        ("ping", json!({})),
    ]);
    assert_eq!(mallory.frame()["id"], ids[6], "the ping is answered first");
    for _ in 1..ids.len() {
        let answer = mallory.frame();
        assert!(began.elapsed() >= Duration::from_millis(24), "{answer} came too soon");
        let kind = if answer["id"] == ids[3] {
            "resume"
        } else if answer["id"] == ids[4] {
            "subscribe"
        } else {
            "get"
        };
        assert_eq!(refusal(kind, &answer).as_deref(), Some("NOT_FOUND"));
    }
}

#[test]
fn n13_people_of_the_same_names_in_another_tenant_are_strangers() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversations = theirs(&mut alice);
    let memory = site.memory_kib();
    for user in ["alice", "bob"] {
        let token = site.token_of("elsewhere", user);
        sees_nothing(&mut alice, &conversations, &mut Someone::of(&site, &token));
        let mut namesake = Plain::open_with(&site, &token);
        let message = json!({"conversation": conversations[0], "client_id": "x", "text": "y", "tenant": "default"});
        assert_eq!(namesake.refused("send", &message), "NOT_FOUND", "a tenant that is only claimed does not count");
    }
    // The tenant is part of every key: their own conversation is another one, and goes on beside it.
    let mut namesake = Plain::open_with(&site, &site.token_of("elsewhere", "alice"));
    let own = namesake.direct("bob");
    assert_eq!(namesake.send(&own, "a1", "ours")["message"]["seq"], 1);
    let mut stranger = Someone::of(&site, &site.token("alice"));
    sees_nothing(&mut namesake_of(&site, &own), std::slice::from_ref(&own), &mut stranger);
    site.unharmed(memory);
}

#[test]
fn n12_staff_are_strangers_where_there_is_no_support() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversations = theirs(&mut alice);
    let memory = site.memory_kib();
    for role in ["SELLER", "SUPPORT", "MANAGER"] {
        let mut staff = Someone::of(&site, &site.token_as(role, &[role]));
        sees_nothing(&mut alice, &conversations, &mut staff);
    }
    // Groups an administrator may end, and nothing else.
    let mut admin = Someone::of(&site, &site.token_as("root", &["ADMIN"]));
    sees_nothing(&mut alice, &conversations[..1], &mut admin);
    let nowhere = admin.ask_about(&nowhere());
    for (there, nowhere) in admin.ask_about(&conversations[1]).iter().zip(&nowhere) {
        assert!(matches!(there.0, "close" | "reopen" | "erase") || there == nowhere, "{there:?}");
    }
    site.unharmed(memory);
}

#[test]
fn n13_staff_and_services_of_another_tenant_are_strangers() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let mut bob = Plain::open_with(&site, &site.token_as("bob", &["SUPPORT"]));
    let support = alice.done("create", &json!({"kind": "customer_support", "members": ["bob"]}));
    let support = support["conversation"]["id"].as_str().expect("an id").to_owned();
    alice.send(&support, "a1", "secret");
    let [direct, group] = theirs(&mut alice);
    let conversations = [support, direct, group];
    let memory = site.memory_kib();
    for role in ["SUPPORT", "MANAGER", "ADMIN", "SERVICE"] {
        for name in ["bob", "somebody"] {
            let mut foreign = Someone::of(&site, &site.token_in("elsewhere", name, &[role]));
            sees_nothing(&mut alice, &conversations, &mut foreign);
        }
    }
    // The tenant's own staff see it, and what they are elsewhere means nothing here.
    bob.done("get", &json!({"conversation": conversations[0]}));
    let mut mia = Plain::open(&site, "mia");
    drop(Plain::open_with(&site, &site.token_in("elsewhere", "sue", &["SELLER"])));
    assert_eq!(mia.refused("create", &json!({"kind": "customer_seller", "members": ["sue"]})), "FORBIDDEN");
    site.unharmed(memory);
}

/// Bob of the other tenant, in their conversation.
fn namesake_of(site: &Site, own: &str) -> Plain {
    let mut bob = Plain::open_with(site, &site.token_of("elsewhere", "bob"));
    assert_eq!(bob.direct("alice"), own);
    bob
}

#[test]
fn n14_a_removed_member_gets_nothing_from_then_on() {
    let mut site = Site::dev();
    let (mut alice, mut carol) = (Plain::open(&site, "alice"), Plain::open(&site, "carol"));
    let mut phone = Plain::open(&site, "carol");
    let group = alice.group("team", &["bob", "carol"]);
    for device in [&mut carol, &mut phone] {
        device.done("subscribe", &json!({"conversations": [group]}));
    }
    alice.send(&group, "a1", "all of us");
    let removed = alice.done("remove", &json!({"conversation": group, "member": "carol"}));
    alice.send(&group, "a2", "without carol");
    for device in [&mut carol, &mut phone] {
        assert_eq!(device.event("message")["message"]["text"], "all of us");
        let last = device.event("members");
        assert_eq!((&last["seq"], &last["members"]["removed"]), (&removed["seq"], &json!(["carol"])));
        assert!(!device.has_event(), "nothing after the removal");
    }
    let mut removed = Someone::of(&site, &site.token("carol"));
    let nowhere = removed.ask_about(&nowhere());
    for (there, nowhere) in removed.ask_about(&group).iter().zip(&nowhere) {
        assert_eq!(there, nowhere, "an older position does not help");
    }
    // Taken in again, they read on.
    alice.done("add", &json!({"conversation": group, "members": ["carol"]}));
    carol.done("subscribe", &json!({"conversations": [group]}));
    alice.send(&group, "a3", "carol is back");
    assert_eq!(carol.event("message")["message"]["text"], "carol is back");
    let memory = site.memory_kib();
    site.unharmed(memory);
}

#[test]
fn n44_an_erased_group_is_answered_for_as_one_that_never_was() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("ours", &["bob"]);
    for n in 0..3 {
        alice.send(&group, &format!("a{n}"), "secret");
    }
    let memory = site.memory_kib();
    alice.done("erase", &json!({"conversation": group}));
    for round in 0..2 {
        let tokens = ["alice", "bob", "mallory"].map(|user| site.token(user));
        // Those too who see or may do what members may not.
        let roles = ["SERVICE", "ADMIN", "SUPPORT"].map(|role| site.token_as("somebody", &[role]));
        let foreign = [site.token_of("elsewhere", "alice")];
        for token in tokens.into_iter().chain(roles).chain(foreign) {
            let mut who = Someone::of(&site, &token);
            let nowhere = who.ask_about(&nowhere());
            assert_eq!(who.ask_about(&group), nowhere, "it tells that there was one, {round}");
            assert!(!who.has_event());
        }
        assert!(!alice.has_event() && !bob.has_event());
        if round == 0 {
            site.unharmed(memory);
            site.kill();
            site.start_again();
            (alice, bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
        }
    }
}

#[test]
fn n15_forged_ids_and_positions_name_nothing() {
    let mut site = Site::dev();
    let (mut alice, mut mallory) = (Plain::open(&site, "alice"), Plain::open(&site, "mallory"));
    let [theirs, _] = theirs(&mut alice);
    let own = mallory.direct("eve");
    mallory.send(&own, "m1", "mine");
    let memory = site.memory_kib();
    let real = mallory.done("history", &json!({"conversation": own}))["messages"][0]["id"].clone();
    let real = real.as_str().expect("an id").to_owned();
    for id in [
        format!("{theirs}.1"),
        format!("{theirs}.18446744073709551615"),
        real.replace(&own, &theirs),
        real.replace('.', ":"),
        format!("{real}.1"),
        format!("{real}x"),
        format!("../{real}"),
        format!("{own}.-1"),
        format!("{own}.99999999999999999999999"),
        own.clone(),
        real.to_uppercase(),
        "\u{1F600}".to_owned(),
        "x".repeat(10_000),
    ] {
        assert_eq!(mallory.refused("history", &json!({"id": id})), "NOT_FOUND", "{id:.80}");
    }
    // An id of one conversation in a request about another.
    assert_eq!(mallory.refused("history", &json!({"id": real, "conversation": theirs})), "NOT_FOUND");
    assert_eq!(mallory.refused("history", &json!({"id": format!("{theirs}.1"), "conversation": own})), "NOT_FOUND");
    let positions = json!([{"conversation": theirs, "seq": 1}, {"conversation": own, "seq": 0}]);
    let data = mallory.done("resume", &json!({"positions": positions}));
    assert_eq!(error_code(&data["conversations"][0]["error"]), "NOT_FOUND");
    assert_eq!(data["conversations"][1]["events"].as_array().map(Vec::len), Some(1), "the honest part is answered");
    site.unharmed(memory);
}

#[test]
fn n16_positions_beyond_the_end_below_zero_and_beyond_numbers() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    alice.send(&conversation, "a1", "hi");
    let memory = site.memory_kib();
    let mut at = |seq: Value| {
        let positions = json!({"positions": [{"conversation": conversation, "seq": seq}]});
        let reply = alice.ask("resume", &positions);
        if reply["ok"] == true { reply["data"]["conversations"][0]["error"].clone() } else { reply["error"].clone() }
    };
    for seq in [
        json!(2),
        json!(1_000_000_000),
        json!(9_007_199_254_740_991_u64),
        json!(9_007_199_254_740_992_u64),
        json!(u64::MAX),
        json!(-1),
        json!(i64::MIN),
        json!(1e300),
        json!(0.5),
        json!("1"),
        json!(null),
        json!([1]),
    ] {
        assert_eq!(error_code(&at(seq.clone())), "BAD_REQUEST", "{seq}");
    }
    assert_eq!(at(json!(1)), Value::Null, "the end itself is a position");
    for (name, seq) in [("before", json!(u64::MAX)), ("after", json!(-1)), ("before_time_ms", json!(1e300))] {
        assert_eq!(alice.refused("history", &json!({"conversation": conversation, name: seq})), "BAD_REQUEST");
    }
    site.unharmed(memory);
}

#[test]
fn n17_a_page_has_its_size_whatever_is_asked_for() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    alice.send_many(&conversation, 450);
    let memory = site.memory_kib();
    for limit in [json!(201), json!(1_000_000_000), json!(u32::MAX)] {
        let page = alice.done("history", &json!({"conversation": conversation, "limit": limit}));
        assert_eq!(page["messages"].as_array().map(Vec::len), Some(200), "{limit}");
    }
    for limit in [json!(-1), json!(1e10), json!(u64::MAX), json!("all"), json!(null)] {
        let body = json!({"conversation": conversation, "limit": limit});
        assert_eq!(alice.refused("history", &body), "BAD_REQUEST", "{limit}");
    }
    let data = alice.done("resume", &json!({"positions": vec![json!({"conversation": conversation, "seq": 0}); 200]}));
    let parts = data["conversations"].as_array().expect("a list");
    let events: usize = parts.iter().map(|part| part["events"].as_array().map_or(0, Vec::len)).sum();
    assert!(parts.len() == 200 && events <= 500, "{events} events in one answer");
    site.unharmed(memory);
}
