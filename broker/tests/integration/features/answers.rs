//! Every request is answered, in one of two forms: what was asked for, or a code. Here is each request, done well and in
//! every way badly.

use serde_json::{Value, json};

use crate::plain::{Plain, code, keys};
use crate::site::Site;

/// Requests and what each is refused with; `C` stands for a conversation that the asker is in, `G` for a group of which
/// they are a plain member, `X` for one that does not exist.
fn wrong_requests() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(129);
    vec![
        ("hello", json!({"token": "x"}), "BAD_REQUEST"),
        ("create", json!({}), "BAD_REQUEST"),
        ("create", json!({"kind": "party", "members": ["b"]}), "BAD_REQUEST"),
        ("create", json!({"kind": "direct", "members": []}), "BAD_REQUEST"),
        ("create", json!({"kind": "direct", "members": ["alice"]}), "BAD_REQUEST"),
        ("create", json!({"kind": "direct", "members": ["b", "c"]}), "BAD_REQUEST"),
        ("create", json!({"kind": "direct", "members": ["b"], "name": "us"}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": [""]}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": [long]}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": ["a\u{0}b"]}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": "bob"}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": [], "name": "x".repeat(257)}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": [], "avatar": "x".repeat(2_049)}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": [], "context": "x".repeat(257)}), "BAD_REQUEST"),
        ("create", json!({"kind": "group", "members": vec!["u"; 1_001]}), "BAD_REQUEST"),
        ("send", json!({}), "NOT_FOUND"),
        ("send", json!({"conversation": "C", "client_id": "a"}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": ""}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "text": "hi"}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": long, "text": "hi"}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": "x".repeat(65_537)}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": "a\u{0}"}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": 5}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": "x", "kind": "SONG"}), "BAD_REQUEST"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": "x", "kind": "SYSTEM"}), "FORBIDDEN"),
        ("send", json!({"conversation": "C", "client_id": "a", "text": "x", "since": 99}), "BAD_REQUEST"),
        ("send", json!({"conversation": "X", "client_id": "a", "text": "x"}), "NOT_FOUND"),
        ("history", json!({"conversation": "X"}), "NOT_FOUND"),
        ("history", json!({"conversation": "C", "before": 5, "after": 1}), "BAD_REQUEST"),
        ("history", json!({"conversation": "C", "before": -1}), "BAD_REQUEST"),
        ("history", json!({"conversation": "C", "before": 9_007_199_254_740_992_u64}), "BAD_REQUEST"),
        ("history", json!({"id": "nonsense"}), "NOT_FOUND"),
        ("resume", json!({"positions": [{"conversation": "C", "seq": u64::MAX}]}), "BAD_REQUEST"),
        ("resume", json!({"positions": vec![json!({"conversation": "C", "seq": 1}); 201]}), "BAD_REQUEST"),
        ("subscribe", json!({"conversations": vec!["C"; 201]}), "BAD_REQUEST"),
        ("subscribe", json!({"conversations": "C"}), "BAD_REQUEST"),
        ("unsubscribe", json!({"conversations": vec!["C"; 201]}), "BAD_REQUEST"),
        ("get", json!({"conversation": "X"}), "NOT_FOUND"),
        ("get", json!({"conversation": "no id at all"}), "NOT_FOUND"),
        ("get", json!([]), "BAD_REQUEST"),
        ("members", json!({"conversation": "X"}), "NOT_FOUND"),
        ("members", json!({"conversation": "C", "after": ""}), "BAD_REQUEST"),
        ("members", json!({"conversation": "C", "limit": -1}), "BAD_REQUEST"),
        ("add", json!({"conversation": "C", "members": ["carol"]}), "FORBIDDEN"),
        ("add", json!({"conversation": "C", "members": []}), "BAD_REQUEST"),
        ("add", json!({"conversation": "G", "members": ["dave"]}), "FORBIDDEN"),
        ("add", json!({"conversation": "X", "members": ["dave"]}), "NOT_FOUND"),
        ("remove", json!({"conversation": "C", "member": "bob"}), "FORBIDDEN"),
        ("remove", json!({"conversation": "G", "member": "bob"}), "FORBIDDEN"),
        ("remove", json!({"conversation": "G"}), "BAD_REQUEST"),
        ("leave", json!({"conversation": "C"}), "FORBIDDEN"),
        ("leave", json!({"conversation": "X"}), "NOT_FOUND"),
        ("update", json!({"conversation": "C", "name": "us"}), "FORBIDDEN"),
        ("update", json!({"conversation": "G", "name": "mine"}), "FORBIDDEN"),
        ("update", json!({"conversation": "G"}), "BAD_REQUEST"),
        ("update", json!({"conversation": "G", "name": ""}), "BAD_REQUEST"),
        ("update", json!({"conversation": "G", "context": "mine"}), "FORBIDDEN"),
        ("update", json!({"conversation": "G", "context": "x".repeat(257)}), "BAD_REQUEST"),
        ("update", json!({"conversation": "G", "context": "a\u{0}"}), "BAD_REQUEST"),
        ("update", json!({"conversation": "G", "context": 7}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "C", "member": "bob"}), "FORBIDDEN"),
        ("promote", json!({"conversation": "G", "member": "alice"}), "FORBIDDEN"),
        ("promote", json!({"conversation": "G", "member": "nobody"}), "FORBIDDEN"),
        ("promote", json!({"conversation": "G"}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "G", "member": ""}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "G", "member": null}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "G", "member": "bob", "role": "member"}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "G", "member": "bob", "role": "owner"}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "G", "member": "bob", "role": 2}), "BAD_REQUEST"),
        ("promote", json!({"conversation": "X", "member": "bob"}), "NOT_FOUND"),
        ("demote", json!({"conversation": "C", "member": "bob"}), "FORBIDDEN"),
        ("demote", json!({"conversation": "G", "member": "bob"}), "FORBIDDEN"),
        ("demote", json!({"conversation": "G"}), "BAD_REQUEST"),
        ("demote", json!({"conversation": "G", "member": "bob", "role": "admin"}), "BAD_REQUEST"),
        ("demote", json!({"conversation": "G", "member": "bob", "role": ""}), "BAD_REQUEST"),
        ("demote", json!({"conversation": "X", "member": "bob"}), "NOT_FOUND"),
        ("close", json!({"conversation": "G"}), "FORBIDDEN"),
        ("close", json!({"conversation": "X"}), "NOT_FOUND"),
        ("close", json!({}), "NOT_FOUND"),
        ("close", json!({"conversation": 5}), "BAD_REQUEST"),
        ("reopen", json!({"conversation": "G"}), "FORBIDDEN"),
        ("reopen", json!({"conversation": "X"}), "NOT_FOUND"),
        ("reopen", json!([]), "BAD_REQUEST"),
        ("renew", json!({"token": ""}), "AUTH_INVALID"),
        ("edit", json!({"id": "x", "text": "y"}), "NOT_FOUND"),
        ("open", json!({"conversations": vec!["C"; 9]}), "BAD_REQUEST"),
        ("open", json!({"conversations": "C"}), "BAD_REQUEST"),
        ("list", json!({"cursor": "nonsense"}), "BAD_REQUEST"),
        ("list", json!({"state": "gone"}), "BAD_REQUEST"),
        ("list", json!([]), "BAD_REQUEST"),
        ("subscribe", json!({"conversations": ["C"], "all": true}), "BAD_REQUEST"),
        ("typing", json!({"conversation": "C", "on": "yes"}), "BAD_REQUEST"),
        ("typing", json!({"conversation": "C", "on": true}), "NOT_FOUND"),
        ("typing", json!({"conversation": "X", "on": true}), "NOT_FOUND"),
        ("mark", json!({"conversation": "C"}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": 1_000_000}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "delivered": 1_000_000}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": -1}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": 1.5}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": 9_007_199_254_740_992_u64}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": u64::MAX}), "BAD_REQUEST"),
        ("mark", json!({"conversation": "C", "read": 0, "id": "C.1"}), "BAD_REQUEST"),
        ("mark", json!({"id": "C.x"}), "NOT_FOUND"),
        ("mark", json!({"conversation": "X", "read": 1}), "NOT_FOUND"),
        ("unread", json!({"conversations": "C"}), "BAD_REQUEST"),
        ("unread", json!({"conversations": vec!["C"; 201]}), "BAD_REQUEST"),
        ("marks", json!({"conversation": "C", "seq": -1}), "BAD_REQUEST"),
        ("marks", json!({"conversation": "C", "seq": 1, "id": "C.1"}), "BAD_REQUEST"),
        ("marks", json!({"conversation": "C", "after": ""}), "BAD_REQUEST"),
        ("marks", json!({"conversation": "X"}), "NOT_FOUND"),
        ("no_such_request", json!({}), "BAD_REQUEST"),
    ]
}

#[test]
fn a4_every_wrong_request_is_answered_with_its_code_and_the_session_goes_on() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let (direct, group) = (alice.direct("bob"), bob.group("bobs", &["alice"]));
    let nowhere = "0".repeat(26);
    let memory = site.memory_kib();
    for (name, body, expected) in wrong_requests() {
        let text = body.to_string();
        let text = text.replace("\"C\"", &format!("\"{direct}\"")).replace("\"G\"", &format!("\"{group}\""));
        let body: Value = serde_json::from_str(&text.replace("\"X\"", &format!("\"{nowhere}\""))).expect("JSON");
        assert_eq!(alice.refused(name, &body), expected, "{name} {body:.200}");
    }
    let page = alice.done("history", &json!({"conversation": direct}));
    assert_eq!(page["messages"], json!([]), "nothing that was refused is there");
    site.unharmed(memory);
}

#[test]
fn a4_a_conversation_among_several_is_answered_for_itself() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let (direct, nowhere) = (alice.direct("bob"), "0".repeat(26));
    let data = alice.done("subscribe", &json!({"conversations": [direct, nowhere, "?"]}));
    assert_eq!(keys(&data), ["subscribed"]);
    let heads: Vec<&Value> = data["subscribed"].as_array().expect("a list").iter().collect();
    assert_eq!(*heads[0], json!({"conversation": direct, "head": 0}));
    for (head, asked) in [(heads[1], nowhere.as_str()), (heads[2], "?")] {
        assert_eq!(head["conversation"], asked);
        assert_eq!(crate::plain::error_code(&head["error"]), "NOT_FOUND");
    }
    alice.send(&direct, "a1", "hi");
    let positions = json!([{"conversation": direct, "seq": 99}, {"conversation": direct, "seq": 0}]);
    let data = alice.done("resume", &json!({"positions": positions}));
    assert_eq!(data["conversations"][0]["error"]["code"], "BAD_REQUEST", "a position beyond the end: {data}");
    assert_eq!(data["conversations"][1]["events"].as_array().map(Vec::len), Some(1), "{data}");
}

#[test]
fn a4_frames_that_are_no_requests_are_answered_too() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    for text in [
        "",
        "x",
        "{}",
        "[]",
        "null",
        "{\"id\":3}",
        "{\"id\":\"3\",\"ping\":{}}",
        "{\"id\":-3,\"ping\":{}}",
        "{\"id\":3,\"ping\":{},\"get\":{}}",
        "{\"id\":3,\"ping\":null}",
        "{\"id\":3,\"id\":3,\"ping\":{}}",
    ] {
        if text.is_empty() {
            continue;
        }
        alice.say(text);
        let reply = alice.frame();
        assert_eq!(code(&reply), "BAD_REQUEST", "{text}");
    }
    alice.say("{\"id\":9007199254740993,\"ping\":{}}");
    assert_eq!(code(&alice.frame()), "BAD_REQUEST");
    assert_eq!(keys(&alice.done("ping", &json!({}))), ["server_time_ms"]);
}

#[test]
fn a4_an_unknown_request_is_named() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let reply = alice.ask("frobnicate", &json!({}));
    assert_eq!(reply["error"]["code"], "BAD_REQUEST");
    assert_eq!(reply["error"]["message"], "unknown request 'frobnicate'");
}

#[test]
fn a4_a_client_over_its_budget_is_told_when_to_come_again() {
    let site = Site::with_env(&[
        ("SWITCHYARD__BUDGETS__CONNECTION__REQUESTS_PER_SECOND", "1"),
        ("SWITCHYARD__BUDGETS__CONNECTION__REQUESTS_BURST", "5"),
    ]);
    let mut alice = Plain::open(&site, "alice");
    let ids: Vec<u64> = (0..50).map(|_| alice.post("ping", &json!({}))).collect();
    let replies: Vec<Value> = ids.into_iter().map(|id| alice.reply(id)).collect();
    let refused: Vec<&Value> = replies.iter().filter(|reply| reply["ok"] == false).collect();
    assert!(refused.len() >= 40, "{} of 50 were refused", refused.len());
    for reply in refused {
        assert_eq!(code(reply), "RATE_LIMITED");
        assert!(reply["error"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{reply}");
    }
    // Others have budgets of their own.
    assert_eq!(keys(&Plain::open(&site, "bob").done("ping", &json!({}))), ["server_time_ms"]);
}
