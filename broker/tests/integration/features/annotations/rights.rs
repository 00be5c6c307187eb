//! Who may change which message, and what is answered to what cannot be done.

use serde_json::{Value, json};

use super::{id, page};
use crate::plain::{Plain, code};
use crate::site::Site;

const EDIT: &str = "edit";
const DELETE: &str = "delete";
const REACT: &str = "react";
const PIN: &str = "pin";

/// Alice is admin, ben moderator, cleo and eva are members of the group. What each of the first three is answered who does
/// this to a message of that user, in an open group and in a closed one.
const GROUP: [(&str, &str, [&str; 3], [&str; 3]); 10] = [
    (EDIT, "alice", ["", "FORBIDDEN", "FORBIDDEN"], ["CLOSED", "FORBIDDEN", "FORBIDDEN"]),
    (EDIT, "cleo", ["FORBIDDEN", "FORBIDDEN", ""], ["FORBIDDEN", "FORBIDDEN", "CLOSED"]),
    (EDIT, "eva", ["FORBIDDEN"; 3], ["FORBIDDEN"; 3]),
    (DELETE, "alice", ["", "", "FORBIDDEN"], ["CLOSED", "CLOSED", "FORBIDDEN"]),
    (DELETE, "ben", ["", "", "FORBIDDEN"], ["CLOSED", "CLOSED", "FORBIDDEN"]),
    (DELETE, "cleo", [""; 3], ["CLOSED"; 3]),
    (DELETE, "eva", ["", "", "FORBIDDEN"], ["CLOSED", "CLOSED", "FORBIDDEN"]),
    (REACT, "eva", [""; 3], ["CLOSED"; 3]),
    (REACT, "alice", [""; 3], ["CLOSED"; 3]),
    (PIN, "eva", ["", "", "FORBIDDEN"], ["CLOSED", "CLOSED", "FORBIDDEN"]),
];

/// Asks for a change of a message; gives the whole reply.
fn change(plain: &mut Plain, deed: &str, message: &Value) -> Value {
    let mut body = json!({"id": message});
    match deed {
        EDIT => body["text"] = json!("changed"),
        REACT => body["emoji"] = json!("+1"),
        _ => {}
    }
    plain.ask(deed, &body)
}

fn answered(reply: &Value) -> String {
    if reply["ok"] == true { String::new() } else { code(reply) }
}

#[test]
fn b9_each_role_may_change_messages_as_the_table_says() {
    let site = Site::dev();
    let names = ["alice", "ben", "cleo", "eva"];
    let mut people = names.map(|user| Plain::open(&site, user));
    for (deed, author, open, closed) in GROUP {
        for (is_closed, answers) in [(false, open), (true, closed)] {
            for (at, expected) in answers.iter().enumerate() {
                let group = people[0].group("team", &["ben", "cleo", "eva"]);
                people[0].done("promote", &json!({"conversation": group, "member": "ben"}));
                let by = names.iter().position(|name| *name == author).expect("one of them");
                let sent = people[by].send(&group, "m1", "text");
                if is_closed {
                    people[0].done("close", &json!({"conversation": group}));
                }
                let head = |plain: &mut Plain| {
                    plain.done("get", &json!({"conversation": group}))["conversation"]["head"].clone()
                };
                let before = head(&mut people[0]);
                let reply = change(&mut people[at], deed, &id(&sent));
                assert_eq!(answered(&reply), *expected, "{} {deed} {author}'s, closed {is_closed}: {reply}", names[at]);
                let changed = head(&mut people[0]) != before;
                assert_eq!(changed, expected.is_empty(), "{} {deed} {author}'s: it left a trace or none", names[at]);
            }
        }
    }
}

#[test]
fn b9_in_a_direct_conversation_each_changes_their_own_and_either_pins() {
    let site = Site::dev();
    let (mut alice, mut ben) = (Plain::open(&site, "alice"), Plain::open(&site, "ben"));
    let conversation = alice.direct("ben");
    let sent = alice.send(&conversation, "a1", "text");
    for (deed, expected) in [(EDIT, "FORBIDDEN"), (DELETE, "FORBIDDEN"), (REACT, ""), (PIN, "")] {
        assert_eq!(answered(&change(&mut ben, deed, &id(&sent))), expected, "{deed}");
    }
    for deed in [EDIT, REACT, PIN, DELETE] {
        assert_eq!(answered(&change(&mut alice, deed, &id(&sent))), "", "{deed}");
    }
    for (deed, expected) in [(EDIT, "NOT_FOUND"), (REACT, "NOT_FOUND"), (PIN, "NOT_FOUND"), (DELETE, "")] {
        assert_eq!(answered(&change(&mut alice, deed, &id(&sent))), expected, "{deed} of what is deleted");
    }
    let reply_to = json!({"conversation": conversation, "client_id": "a2", "text": "t", "reply_to": id(&sent)});
    assert_eq!(ben.refused("send", &reply_to), "NOT_FOUND", "nobody answers what is deleted");
}

#[test]
fn bad_changes_are_refused_and_leave_nothing() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let (conversation, other) = (alice.direct("bob"), alice.direct("cleo"));
    let sent = alice.send(&conversation, "a1", "text");
    let elsewhere = alice.send(&other, "a1", "text");
    let message = id(&sent);
    let long = "x".repeat(65_537);
    let crowd: Vec<String> = (0..51).map(|n| format!("u{n}")).collect();
    for (request, body, expected) in [
        ("edit", json!({"id": message, "text": ""}), "BAD_REQUEST"),
        ("edit", json!({"id": message, "text": "a\u{0}b"}), "BAD_REQUEST"),
        ("edit", json!({"id": message, "text": long}), "BAD_REQUEST"),
        ("edit", json!({"id": message, "text": "t", "mentions": ["mallory"]}), "BAD_REQUEST"),
        ("edit", json!({"id": message, "text": "t", "mentions": crowd}), "BAD_REQUEST"),
        ("edit", json!({"text": "t"}), "BAD_REQUEST"),
        ("edit", json!({"conversation": conversation, "text": "t"}), "BAD_REQUEST"),
        ("edit", json!({"conversation": conversation, "seq": 2, "text": "t"}), "NOT_FOUND"),
        ("edit", json!({"conversation": conversation, "seq": 9_007_199_254_740_991_u64, "text": "t"}), "NOT_FOUND"),
        ("edit", json!({"conversation": conversation, "seq": 9_007_199_254_740_992_u64, "text": "t"}), "BAD_REQUEST"),
        ("edit", json!({"conversation": other, "id": message, "text": "t"}), "NOT_FOUND"),
        ("edit", json!({"seq": 2, "id": message, "text": "t"}), "NOT_FOUND"),
        ("edit", json!({"id": "nonsense", "text": "t"}), "NOT_FOUND"),
        ("edit", json!({"id": 7, "text": "t"}), "BAD_REQUEST"),
        ("delete", json!({}), "BAD_REQUEST"),
        ("delete", json!({"id": format!("{conversation}.2")}), "NOT_FOUND"),
        ("react", json!({"id": message, "emoji": ""}), "BAD_REQUEST"),
        ("react", json!({"id": message, "emoji": "x".repeat(65)}), "BAD_REQUEST"),
        ("react", json!({"id": message, "emoji": "a\u{7}"}), "BAD_REQUEST"),
        ("react", json!({"id": message}), "BAD_REQUEST"),
        ("pin", json!({"id": format!("{conversation}.0")}), "NOT_FOUND"),
    ] {
        assert_eq!(alice.refused(request, &body), expected, "{request} {body}");
    }
    let send = |extra: Value| {
        let mut body = json!({"conversation": conversation, "client_id": "a2", "text": "t"});
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        body
    };
    for (extra, expected) in [
        (json!({"reply_to": id(&elsewhere)}), "BAD_REQUEST"),
        (json!({"reply_to": "nonsense"}), "BAD_REQUEST"),
        (json!({"reply_to": format!("{conversation}.7")}), "NOT_FOUND"),
        (json!({"mentions": ["mallory"]}), "BAD_REQUEST"),
        (json!({"attachments": ["f"]}), "BAD_REQUEST"),
    ] {
        assert_eq!(alice.refused("send", &send(extra.clone())), expected, "{extra}");
    }
    assert_eq!(page(&mut alice, &conversation).len(), 1);
    assert_eq!(alice.done("get", &json!({"conversation": conversation}))["conversation"]["head"], 1);
}

#[test]
fn each_limit_is_told_as_a_conflict() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let sent = alice.send(&conversation, "a1", "text");
    let react = |n: usize| json!({"id": id(&sent), "emoji": format!("e{n}")});
    for n in 0..8 {
        alice.done("react", &react(n));
    }
    assert_eq!(alice.refused("react", &react(8)), "CONFLICT");
    alice.done("react", &json!({"id": id(&sent), "emoji": "e3", "remove": true}));
    alice.done("react", &react(8));
    for n in 0..100 {
        alice.done("edit", &json!({"id": id(&sent), "text": format!("edit {n}")}));
    }
    assert_eq!(alice.refused("edit", &json!({"id": id(&sent), "text": "one more"})), "CONFLICT");
    let kept = page(&mut alice, &conversation).remove(0);
    assert_eq!((&kept["text"], kept["reactions"].as_array().map(Vec::len)), (&json!("edit 99"), Some(8)));
    // What is so already is no change.
    let head = alice.done("edit", &json!({"id": id(&sent), "text": "edit 99"}))["seq"].clone();
    assert_eq!(alice.done("react", &react(8))["seq"], head);
    for n in 0..50 {
        let sent = alice.send(&conversation, &format!("p{n}"), "text");
        alice.done("pin", &json!({"id": id(&sent)}));
    }
    assert_eq!(alice.refused("pin", &json!({"id": id(&sent)})), "CONFLICT");
    let pins = alice.done("get", &json!({"conversation": conversation}))["conversation"]["pins"].clone();
    alice.done("pin", &json!({"id": pins[7], "remove": true}));
    alice.done("pin", &json!({"id": id(&sent)}));
    let pins = alice.done("get", &json!({"conversation": conversation}))["conversation"]["pins"].clone();
    assert_eq!((pins.as_array().map(Vec::len), &pins[49]), (Some(50), &id(&sent)));
}
