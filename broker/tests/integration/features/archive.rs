//! B7: users archive conversations for themselves.

use serde_json::{Value, json};
use switchyard_client::Event;
use switchyard_client::protocol::v1::List;

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, keys};
use crate::site::Site;

fn ids(plain: &mut Plain, ask: &Value) -> Vec<String> {
    let page = plain.done("list", ask);
    let entries = page["conversations"].as_array().expect("a list");
    let archived = ask["archived"] == true;
    entries
        .iter()
        .map(|entry| {
            assert_eq!(entry["conversation"].get("archived").is_some(), archived, "{entry}");
            entry["conversation"]["id"].as_str().expect("an id").to_owned()
        })
        .collect()
}

/// The list, and what is archived.
fn lists(plain: &mut Plain) -> [Vec<String>; 2] {
    [ids(plain, &json!({})), ids(plain, &json!({"archived": true}))]
}

#[test]
fn b7_what_is_archived_leaves_ones_own_list_and_stays_out_of_it() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let (direct, group) = (alice.direct("bob"), alice.group("room", &["bob"]));
    assert_eq!(alice.done("archive", &json!({"conversation": direct})), json!({}));
    alice.done("archive", &json!({"conversation": direct}));
    assert_eq!(lists(&mut alice), [vec![group.clone()], vec![direct.clone()]]);
    assert_eq!(ids(&mut alice, &json!({"kind": "group", "archived": true})), [""; 0]);
    let told = |plain: &mut Plain, conversation: &str| {
        plain.done("get", &json!({"conversation": conversation}))["conversation"].get("archived").cloned()
    };
    assert_eq!((told(&mut alice, &direct), told(&mut alice, &group)), (Some(json!(true)), None));
    assert_eq!((told(&mut bob, &direct), lists(&mut bob)[1].len()), (None, 0), "it is alice's");
    // A new message changes nothing about that, and is read as any other.
    alice.done("subscribe", &json!({"conversations": [direct]}));
    bob.send(&direct, "b1", "hi");
    assert_eq!(alice.event("message")["message"]["text"], "hi");
    assert_eq!(lists(&mut alice), [vec![group.clone()], vec![direct.clone()]]);
    let page = alice.done("list", &json!({"archived": true}));
    assert_eq!(page["conversations"][0]["conversation"]["unread"], 1);

    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    assert_eq!(told(&mut alice, &direct), Some(json!(true)), "the conversation was asked first");
    assert_eq!(lists(&mut alice), [vec![group.clone()], vec![direct.clone()]]);
    alice.done("unarchive", &json!({"conversation": direct}));
    alice.done("unarchive", &json!({"conversation": direct}));
    assert_eq!(lists(&mut alice), [vec![direct.clone(), group], vec![]]);
    assert_eq!(told(&mut alice, &direct), None);
}

#[test]
fn b7_other_devices_are_told() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let group = alice.group("room", &["bob"]);
    let mut laptop = Plain::connect(&site);
    laptop.done("hello", &json!({"token": site.token("alice"), "subscribe": "all"}));
    for (name, archived) in [("archive", Some(json!(true))), ("unarchive", None)] {
        alice.done(name, &json!({"conversation": group}));
        let event = laptop.event("listed");
        assert_eq!((keys(&event["listed"]), &event["conversation"]), (vec!["changed", "removed"], &json!(group)));
        let entry = &event["listed"]["changed"];
        assert_eq!(
            (entry["conversation"].get("archived"), &entry["conversation"]["name"]),
            (archived.as_ref(), &json!("room"))
        );
        // What changes nothing is not told.
        alice.done(name, &json!({"conversation": group}));
        assert!(!laptop.has_event());
    }
    // It is read all the time.
    alice.send(&group, "a1", "hello");
    assert_eq!(laptop.event("message")["message"]["text"], "hello");
}

#[test]
fn b7_leaving_ends_it() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let (left, put_out) = (alice.group("left", &["bob"]), alice.group("put out", &["bob"]));
    for restarted in [false, true] {
        for group in [&left, &put_out] {
            bob.done("archive", &json!({"conversation": group}));
        }
        bob.done("leave", &json!({"conversation": left}));
        alice.done("remove", &json!({"conversation": put_out, "member": "bob"}));
        while lists(&mut bob).iter().any(|list| !list.is_empty()) {}
        assert_eq!(bob.refused("archive", &json!({"conversation": left})), "NOT_FOUND");
        if restarted {
            site.kill();
            site.start_again();
            (alice, bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
        }
        for group in [&left, &put_out] {
            alice.done("add", &json!({"conversation": group, "members": ["bob"]}));
        }
        let both = loop {
            let [list, archived] = lists(&mut bob);
            assert_eq!(archived, [""; 0], "who comes again has it in the list");
            if list.len() == 2 {
                break list;
            }
        };
        for group in both {
            let detail = bob.done("get", &json!({"conversation": group}));
            assert!(detail["conversation"].get("archived").is_none());
        }
    }
}

#[test]
fn n12_n13_only_ones_own_can_be_archived() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let group = alice.group("room", &["bob"]);
    let mut mallory = Plain::open(&site, "mallory");
    let mut namesake = Plain::open_with(&site, &site.token_of("elsewhere", "alice"));
    for name in ["archive", "unarchive"] {
        for other in [&mut mallory, &mut namesake] {
            let answers = [group.as_str(), &"5".repeat(26), "x", ""].map(|conversation| {
                let mut reply = other.ask(name, &json!({"conversation": conversation}));
                reply["id"] = json!(0);
                reply
            });
            assert_eq!(answers[0]["error"]["code"], "NOT_FOUND");
            assert!(answers.iter().all(|answer| *answer == answers[0]), "it tells that there is one: {answers:?}");
        }
        assert_eq!(alice.refused(name, &json!({"conversation": 7})), "BAD_REQUEST");
    }
    assert_eq!(alice.refused("list", &json!({"archived": "yes"})), "BAD_REQUEST");
    let cursor = alice.done("list", &json!({"limit": 1}));
    assert_eq!(cursor["more"], false);
    assert_eq!(lists(&mut alice), [vec![group], vec![]]);
}

#[test]
fn b7_the_sdk_archives_in_both_forms() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let (alice, laptop) = (client(&site, form, "alice"), client(&site, form, "alice"));
        let id = alice.create_group("room", &["bob"]).await.expect("made").conversation.id;
        laptop.subscribe_all().await.expect("all");
        let mut events = laptop.events();
        alice.archive(&id).await.expect("archived");
        match events.next().await {
            Some(Event::Relisted { conversation, entry }) if conversation == id => {
                assert!(entry.conversation.expect("a conversation").archived);
            }
            other => panic!("{other:?}"),
        }
        assert!(alice.get(&id).await.expect("a member").archived);
        let count = |archived| {
            let alice = alice.clone();
            async move { alice.list(List { archived, ..List::default() }).await.expect("a list").conversations.len() }
        };
        assert_eq!((count(false).await, count(true).await), (0, 1));
        alice.unarchive(&id).await.expect("unarchived");
        assert_eq!((count(false).await, count(true).await), (1, 0));
    });
}
