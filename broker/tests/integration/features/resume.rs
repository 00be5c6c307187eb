//! Resume: from any position of the stored timeline, with a notice where history was dropped, never silence.

use serde_json::{Value, json};

use crate::plain::{Plain, keys};
use crate::site::{Setup, Site};

/// Asks for all that follows a position, page by page; gives the numbers.
fn all_after(plain: &mut Plain, conversation: &str, after: u64) -> Vec<u64> {
    let (mut seqs, mut after) = (Vec::new(), after);
    loop {
        let body = json!({"positions": [{"conversation": conversation, "seq": after}]});
        let data = plain.done("resume", &body);
        let part = &data["conversations"][0];
        let events = part["events"].as_array().expect("a list");
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().expect("a number")));
        after = seqs.last().copied().unwrap_or(after);
        if part["more"] == false {
            return seqs;
        }
        assert!(!events.is_empty(), "more is to come: {part}");
    }
}

#[test]
fn i2_what_follows_a_position_comes_in_order_and_then_live() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    alice.send(&conversation, "a1", "one");
    let two = alice.send(&conversation, "a2", "two");
    let data = bob.done("resume", &json!({"positions": [{"conversation": conversation, "seq": 1}]}));
    assert_eq!(keys(&data), ["conversations"]);
    let part = &data["conversations"][0];
    assert_eq!(keys(part), ["conversation", "events", "first_available", "head", "more"]);
    assert_eq!((&part["head"], &part["more"]), (&json!(2), &json!(false)));
    let event = &part["events"][0];
    assert_eq!(keys(event), ["conversation", "event", "message", "seq"]);
    assert_eq!(event["message"], two["message"]);
    // It is subscribed by that.
    alice.send(&conversation, "a3", "three");
    assert_eq!(bob.event("message")["seq"], 3);
    // From the begin; more than one page.
    alice.send_many(&conversation, 700);
    assert_eq!(all_after(&mut Plain::open(&site, "bob"), &conversation, 0), (1..=703).collect::<Vec<_>>());
    assert_eq!(all_after(&mut Plain::open(&site, "bob"), &conversation, 703), [0; 0]);
}

#[test]
fn i2_what_was_missed_while_away_comes_once_also_across_a_kill() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let mut bob = Plain::open(&site, "bob");
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    alice.send(&conversation, "a1", "seen");
    let seen = bob.event("message")["seq"].as_u64().expect("a number");
    drop(bob);
    alice.send_many(&conversation, 40);
    site.kill();
    site.start_again();
    let mut alice = Plain::open(&site, "alice");
    alice.send(&conversation, "a2", "after the kill");
    let mut bob = Plain::open(&site, "bob");
    assert_eq!(all_after(&mut bob, &conversation, seen), (seen + 1..=seen + 41).collect::<Vec<_>>());
    alice.send(&conversation, "a3", "live");
    assert_eq!(bob.event("message")["seq"], seen + 42);
}

/// A broker that keeps about 1,000 events of a direct conversation, and one of 2,300 events.
fn trimmed() -> (Site, String, u64) {
    let env = [("SWITCHYARD__RETENTION__DIRECT__EVENTS_MAX", "1000")];
    let site = Site::start(&Setup { env: &env, ..Setup::default() });
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    alice.send_many(&conversation, 2_300);
    let detail = alice.done("get", &json!({"conversation": conversation}));
    let first = detail["conversation"]["first_available"].as_u64().expect("a number");
    assert!(first >= 1_000, "whole runs of 1,000 were dropped: {detail}");
    (site, conversation, first)
}

#[test]
fn i2_dropped_history_is_told_as_a_gap() {
    let (mut site, conversation, first) = trimmed();
    for restarted in [false, true] {
        if restarted {
            site.kill();
            site.start_again();
        }
        let mut bob = Plain::open(&site, "bob");
        let id = bob.post("resume", &json!({"positions": [{"conversation": conversation, "seq": 7}]}));
        let gap = bob.frame();
        let expected = json!({"event": "gap", "conversation": conversation, "first_available": first, "head": 2_300});
        assert_eq!(gap, expected, "it comes before the reply");
        let reply = bob.reply(id);
        let part = &reply["data"]["conversations"][0];
        assert_eq!((&part["first_available"], &part["events"][0]["seq"]), (&json!(first), &json!(first)));
        assert_eq!(all_after(&mut bob, &conversation, first - 1), (first..=2_300).collect::<Vec<_>>());
        assert!(!bob.has_event(), "nothing was missed by a position at the edge");

        let page = bob.done("history", &json!({"conversation": conversation, "before": first + 2}));
        let seqs: Vec<&Value> = page["messages"].as_array().expect("a list").iter().map(|m| &m["seq"]).collect();
        assert_eq!(seqs, [&json!(first + 1), &json!(first)]);
        assert_eq!(page["first_available"], first);
        let page = bob.done("history", &json!({"conversation": conversation, "after": 0, "limit": 1}));
        assert_eq!(page["messages"][0]["seq"], first);
    }
}

/// The lowest event of a conversation that this user is told of.
fn first_available(plain: &mut Plain, conversation: &str) -> u64 {
    let detail = plain.done("get", &json!({"conversation": conversation}));
    detail["conversation"]["first_available"].as_u64().expect("a number")
}

#[test]
fn i2_what_has_grown_too_old_is_dropped_although_nobody_writes_any_more() {
    // One is in use when its time comes, the other one is read anew by another process.
    for idle_after in ["50ms", "2m"] {
        let env =
            [("SWITCHYARD__RETENTION__DIRECT__AGE_MAX", "1ms"), ("SWITCHYARD__CONVERSATIONS__IDLE_AFTER", idle_after)];
        let mut site = Site::with_env(&env);
        let mut alice = Plain::open(&site, "alice");
        let conversation = alice.direct("bob");
        let group = alice.group("all of it", &["bob"]);
        for id in [&group, &conversation] {
            alice.send_many(id, 2_300);
        }
        if idle_after == "2m" {
            assert_eq!(first_available(&mut alice, &conversation), 1, "nobody has looked yet");
            site.kill();
            site.start_again();
            alice = Plain::open(&site, "alice");
        } else {
            let looks = (0..100_000).find(|_| first_available(&mut alice, &conversation) > 1);
            assert!(looks.is_some(), "it is in use, and nothing goes");
        }
        assert_eq!(first_available(&mut alice, &conversation), 1_000);
        let mut bob = Plain::open(&site, "bob");
        let id = bob.post("resume", &json!({"positions": [{"conversation": conversation, "seq": 7}]}));
        let gap = json!({"event": "gap", "conversation": conversation, "first_available": 1_000, "head": 2_300});
        assert_eq!(bob.frame(), gap);
        assert_eq!(bob.reply(id)["data"]["conversations"][0]["events"][0]["seq"], 1_000);
        let page = bob.done("history", &json!({"conversation": conversation, "after": 0, "limit": 1}));
        assert_eq!((&page["messages"][0]["seq"], &page["first_available"]), (&json!(1_000), &json!(1_000)));
        // The newest thousand stay, however old; and so does a conversation of another kind.
        assert_eq!(all_after(&mut bob, &conversation, 999), (1_000..=2_300).collect::<Vec<_>>());
        assert_eq!(all_after(&mut bob, &group, 0), (1..=2_300).collect::<Vec<_>>());
    }
}

#[test]
fn i2_a_message_whose_first_attempt_was_dropped_is_not_stored_again() {
    let (site, conversation, _) = trimmed();
    let mut alice = Plain::open(&site, "alice");
    let body = json!({"conversation": conversation, "client_id": "many0", "text": "again", "since": 0});
    assert_eq!(alice.refused("send", &body), "ID_EXPIRED");
}

#[test]
fn i5_a_reader_that_fell_behind_is_told_the_head_and_catches_up() {
    let site = Site::with_env(&[("SWITCHYARD__SESSIONS__QUEUE_BYTES_MAX", "131072")]);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    // Far more than its queue and the sockets between hold, while it reads nothing.
    let text = "x".repeat(60_000);
    const MESSAGES: u64 = 400;
    for n in 0..MESSAGES {
        alice.send(&conversation, &format!("a{n}"), &text);
    }
    let mut seen = Vec::new();
    let head = loop {
        let event = bob.any_event();
        match event["event"].as_str() {
            Some("message") => seen.push(event["seq"].as_u64().expect("a number")),
            Some("head") => {
                assert_eq!(keys(&event), ["conversation", "event", "head"]);
                break event["head"].as_u64().expect("a number");
            }
            _ => panic!("{event}"),
        }
    };
    let last = seen.last().copied().unwrap_or_default();
    assert!(head > last, "it says what was not sent: {head} after {last}");
    assert_eq!(seen, (1..=last).collect::<Vec<_>>(), "up to there nothing is missing");
    seen.extend(all_after(&mut bob, &conversation, last));
    assert_eq!(seen, (1..=MESSAGES).collect::<Vec<_>>());
}
