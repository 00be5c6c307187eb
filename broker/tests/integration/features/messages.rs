//! Messages: acknowledged as they are stored, numbered without a gap, delivered to every device, read back by the page.

use std::thread;

use serde_json::{Value, json};

use crate::plain::{Plain, keys};
use crate::site::Site;

const MESSAGE_KEYS: [&str; 9] =
    ["client_id", "conversation", "id", "kind", "ordinal", "sender", "seq", "text", "time_ms"];

fn seqs(messages: &Value) -> Vec<u64> {
    let list = messages.as_array().expect("a list");
    list.iter().map(|message| message["seq"].as_u64().expect("a number")).collect()
}

#[test]
fn c1_a_send_is_answered_with_the_message_as_it_is_stored() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let sent = alice.send(&conversation, "a1", "hello \u{1F600} \"\\ \u{7} é");
    assert_eq!(keys(&sent), ["duplicate", "message"]);
    assert_eq!(sent["duplicate"], false);
    let message = &sent["message"];
    assert_eq!(keys(message), MESSAGE_KEYS);
    assert_eq!((&message["client_id"], &message["sender"]), (&json!("a1"), &json!("alice")));
    assert_eq!((&message["kind"], &message["conversation"]), (&json!("TEXT"), &json!(conversation)));
    assert_eq!(message["text"], "hello \u{1F600} \"\\ \u{7} é");
    assert_eq!((&message["seq"], &message["ordinal"]), (&json!(1), &json!(1)), "numbers begin with 1");

    for (client_id, kind) in [("k1", "IMAGE"), ("k2", "FILE"), ("k3", "VIDEO"), ("k4", "AUDIO")] {
        let body = json!({"conversation": conversation, "client_id": client_id, "kind": kind, "text": "x"});
        assert_eq!(alice.done("send", &body)["message"]["kind"], kind);
    }
    let largest = "x".repeat(65_536);
    assert_eq!(alice.send(&conversation, "big", &largest)["message"]["text"], largest);
}

#[test]
fn c1_sending_it_twice_stores_it_once() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let first = alice.send(&conversation, "a1", "hello");
    let again = alice.send(&conversation, "a1", "hello");
    assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &first["message"]));
    // Both at once, from two devices.
    let mut phone = Plain::open(&site, "alice");
    let body = json!({"conversation": conversation, "client_id": "a2", "text": "again"});
    let (one, other) = (alice.post("send", &body), phone.post("send", &body));
    let (one, other) = (alice.reply(one), phone.reply(other));
    assert_eq!(one["data"]["message"], other["data"]["message"]);
    assert_ne!(one["data"]["duplicate"], other["data"]["duplicate"]);
    // After the process was killed too.
    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    let again = alice.send(&conversation, "a1", "hello");
    assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &first["message"]));
    let page = alice.done("history", &json!({"conversation": conversation}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(2));
}

#[test]
fn c2_every_device_of_every_participant_gets_it_once() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let group = alice.group("team", &["bob", "carol"]);
    let names = ["alice", "alice", "bob", "bob", "carol"];
    let mut devices: Vec<Plain> = names.iter().map(|user| Plain::open(&site, user)).collect();
    for device in &mut devices {
        device.done("subscribe", &json!({"conversations": [group]}));
    }
    let mut idle = Plain::open(&site, "bob");
    let sent = alice.send(&group, "a1", "hello all");
    for device in &mut devices {
        let event = device.event("message");
        assert_eq!(keys(&event), ["conversation", "event", "message", "seq"]);
        assert_eq!((&event["conversation"], &event["seq"]), (&json!(group), &sent["message"]["seq"]));
        assert_eq!(event["message"], sent["message"], "live it is what the sender was told");
        assert_eq!(keys(&event["message"]), MESSAGE_KEYS);
        assert!(!device.has_event(), "once");
    }
    assert!(!idle.has_event(), "who did not ask for it gets nothing");
    let first = &mut devices[0];
    assert_eq!(first.done("unsubscribe", &json!({"conversations": [group]})), json!({}));
    alice.send(&group, "a2", "more");
    assert!(!first.has_event());
}

#[test]
fn c3_history_by_position_time_and_id() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    alice.send_many(&conversation, 130);
    let mut page = |body: Value| {
        let mut body = body;
        body["conversation"] = json!(conversation);
        let page = alice.done("history", &body);
        assert_eq!(keys(&page), ["first_available", "head", "messages", "more"]);
        assert_eq!(page["head"], 130);
        page
    };
    let newest = page(json!({}));
    assert_eq!(seqs(&newest["messages"]), (81..=130).rev().collect::<Vec<_>>(), "a page of 50, newest first");
    assert_eq!(seqs(&page(json!({"before": 81, "limit": 3}))["messages"]), [80, 79, 78]);
    assert_eq!(seqs(&page(json!({"before": 3}))["messages"]), [2, 1]);
    for (body, more) in [
        (json!({}), true),
        (json!({"limit": 130}), false),
        (json!({"before": 4, "limit": 2}), true),
        (json!({"before": 3, "limit": 2}), false),
        (json!({"after": 127, "limit": 2}), true),
        (json!({"after": 128, "limit": 2}), false),
        (json!({"after": 130}), false),
    ] {
        assert_eq!(page(body.clone())["more"], more, "{body}");
    }
    assert_eq!(seqs(&page(json!({"after": 100, "limit": 3}))["messages"]), [101, 102, 103], "oldest first");
    assert_eq!(seqs(&page(json!({"after": 130}))["messages"]), [0; 0]);
    assert_eq!(seqs(&page(json!({"after": 0, "limit": 1_000_000_000}))["messages"]).len(), 130);
    assert_eq!(seqs(&page(json!({"before": 1}))["messages"]), [0; 0]);

    let message = page(json!({"before": 61, "limit": 1}))["messages"][0].clone();
    let time = message["time_ms"].as_u64().expect("a time");
    let later = page(json!({"after_time_ms": time, "limit": 200}));
    let times = |page: &Value| -> Vec<u64> {
        let list = page["messages"].as_array().expect("a list");
        list.iter().map(|message| message["time_ms"].as_u64().expect("a time")).collect()
    };
    assert!(times(&later).iter().all(|other| *other >= time), "{time}: {:?}", times(&later));
    let earlier = page(json!({"before_time_ms": time, "limit": 200}));
    assert!(times(&earlier).iter().all(|other| *other <= time));
    assert!(times(&later).len() + times(&earlier).len() >= 129, "together they are all");

    let id = message["id"].as_str().expect("an id").to_owned();
    let by_id = alice.done("history", &json!({"id": id, "limit": 2}));
    assert_eq!(seqs(&by_id["messages"]), [59, 58], "what lies before the message of this id");
}

#[test]
fn a_page_that_its_bytes_cut_says_that_there_is_more() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let body = "x".repeat(64 * 1024);
    for at in 1..=9 {
        alice.send(&conversation, &format!("a{at}"), &body);
    }
    let mut read = |position: &str, mut at: u64| {
        let mut pages = Vec::new();
        loop {
            let page = alice.done("history", &json!({"conversation": conversation, position: at, "limit": 50}));
            pages.push(seqs(&page["messages"]));
            at = *pages.last().and_then(|page| page.last()).expect("there is a message in each");
            if page["more"] != true {
                return pages;
            }
        }
    };
    assert_eq!(read("after", 0), [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9]]);
    assert_eq!(read("before", 10), [vec![9, 8, 7, 6], vec![5, 4, 3, 2], vec![1]]);
    assert_eq!(read("after", 5), [[6, 7, 8, 9]], "what just fits is all there is");
}

/// In JSON a control character takes six bytes, so that a page may have to end before its bodies fill it.
#[test]
fn a_page_that_its_form_cuts_says_that_there_is_more() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    for at in 1..=12 {
        alice.send(&conversation, &format!("a{at}"), &"\u{1}".repeat(21_000));
    }
    let mut read = |position: &str, mut at: u64| {
        let mut found = Vec::new();
        loop {
            let page = alice.done("history", &json!({"conversation": conversation, position: at, "limit": 50}));
            found.extend(seqs(&page["messages"]));
            at = *found.last().expect("there is a message in each");
            if page["more"] != true {
                return found;
            }
        }
    };
    assert_eq!(read("after", 0), (1..=12).collect::<Vec<_>>());
    assert_eq!(read("before", 13), (1..=12).rev().collect::<Vec<_>>());
}

#[test]
fn i1_all_readers_see_one_order_without_a_gap() {
    let site = Site::dev();
    let names = ["u0", "u1", "u2", "u3"];
    let mut founder = Plain::open(&site, "u0");
    let group = founder.group("room", &names);
    const EACH: usize = 50;
    let live: Vec<Vec<(u64, String)>> = thread::scope(|scope| {
        let users: Vec<_> = names
            .iter()
            .map(|user| {
                let (site, group) = (&site, &group);
                let mut plain = Plain::open(site, user);
                plain.done("subscribe", &json!({"conversations": [group]}));
                (user, plain)
            })
            .collect();
        let threads: Vec<_> = users
            .into_iter()
            .map(|(user, mut plain)| {
                let group = &group;
                scope.spawn(move || {
                    for n in 0..EACH {
                        plain.send(group, &format!("{user}-{n}"), "x");
                    }
                    let all = names.len() * EACH;
                    (0..all)
                        .map(|_| {
                            let event = plain.event("message");
                            let client_id = event["message"]["client_id"].as_str().expect("text").to_owned();
                            (event["seq"].as_u64().expect("a number"), client_id)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it reads")).collect()
    });
    let numbers: Vec<u64> = live[0].iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>(), "contiguous");
    assert!(live.iter().all(|seen| *seen == live[0]), "all readers agree");
    for user in names {
        let own = live[0].iter().filter(|(_, id)| id.starts_with(user)).map(|(_, id)| id.clone());
        let expected: Vec<String> = (0..EACH).map(|n| format!("{user}-{n}")).collect();
        assert_eq!(own.collect::<Vec<_>>(), expected, "acknowledged before the next is sent: in that order");
    }
    let page = founder.done("history", &json!({"conversation": group, "after": 0, "limit": 200}));
    let read: Vec<&Value> = page["messages"].as_array().expect("a list").iter().collect();
    assert!(
        read.iter().zip(&live[0]).all(|(message, (seq, id))| message["seq"] == *seq && message["client_id"] == *id)
    );
    assert_eq!(read.len(), 200);
}
