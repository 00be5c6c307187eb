//! B6 and A3: the list of one's own conversations, and sessions that read all of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{ConversationKind, List};
use switchyard_client::{Error, Event, Events};

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, error_code, keys};
use crate::site::Site;

/// A page of the list; its conversations and the cursor.
fn page(plain: &mut Plain, ask: &Value) -> (Vec<Value>, Option<String>) {
    let mut data = plain.done("list", ask);
    let cursor = data.get("cursor").and_then(Value::as_str).map(str::to_owned);
    let expected: &[&str] =
        if cursor.is_some() { &["conversations", "cursor", "more"] } else { &["conversations", "more"] };
    assert_eq!(keys(&data), expected);
    assert_eq!(data["more"], cursor.is_some(), "there is a cursor where there is more");
    let Value::Array(entries) = data["conversations"].take() else { panic!("no list: {data}") };
    (entries, cursor)
}

/// The ids of a list that fits one page, in its order.
fn ids(plain: &mut Plain, ask: &Value) -> Vec<String> {
    let (entries, cursor) = page(plain, ask);
    assert_eq!(cursor, None);
    entries.iter().map(id).collect()
}

fn id(entry: &Value) -> String {
    entry["conversation"]["id"].as_str().expect("an id").to_owned()
}

/// A session that reads all conversations; the welcome's data.
fn all(site: &Site, user: &str) -> (Plain, Value) {
    let mut plain = Plain::connect(site);
    let data = plain.done("hello", &json!({"token": site.token(user), "device": "phone", "subscribe": "all"}));
    (plain, data)
}

/// What was subscribed, with the heads.
fn heads(data: &Value) -> Vec<(String, u64)> {
    let list = data["subscribed"].as_array().expect("a list");
    let head = |one: &Value| {
        assert!(one.get("error").is_none(), "{one}");
        (one["conversation"].as_str().expect("an id").to_owned(), one["head"].as_u64().expect("a number"))
    };
    list.iter().map(head).collect()
}

/// Lists until the list is this, for what one did oneself is there at once and what others did soon.
fn soon(plain: &mut Plain, wanted: &[&str]) {
    loop {
        if ids(plain, &json!({})) == wanted {
            return;
        }
    }
}

#[test]
fn b6_the_newest_activity_comes_first_with_the_last_message() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    assert_eq!(ids(&mut alice, &json!({})), [""; 0]);
    let direct = alice.direct("bob");
    alice.later();
    let group = alice.group("Zürich", &["bob", "carol"]);
    assert_eq!(ids(&mut alice, &json!({})), [&*group, &*direct]);
    alice.later();
    let sent = alice.send(&direct, "a1", "hello");

    let (entries, _) = page(&mut alice, &json!({}));
    assert_eq!(entries.iter().map(id).collect::<Vec<_>>(), [&*direct, &*group]);
    assert_eq!(keys(&entries[0]), ["activity_ms", "conversation", "last", "peer"]);
    assert_eq!(keys(&entries[1]), ["activity_ms", "conversation"], "it has no message");
    let detail = alice.done("get", &json!({"conversation": direct}));
    assert_eq!(entries[0]["conversation"], detail["conversation"]);
    assert_eq!(entries[0]["last"], sent["message"]);
    assert_eq!(entries[0]["activity_ms"], sent["message"]["time_ms"]);
    assert_eq!(entries[0]["peer"], "bob");

    let mut bob = Plain::open(&site, "bob");
    let (entries, _) = page(&mut bob, &json!({"limit": 1}));
    assert_eq!((entries[0]["peer"].as_str(), &entries[0]["last"]), (Some("alice"), &sent["message"]));
    // A change is activity too, and no message.
    alice.later();
    alice.done("update", &json!({"conversation": group, "name": "Zurich"}));
    let (entries, _) = page(&mut bob, &json!({}));
    assert_eq!(entries.iter().map(id).collect::<Vec<_>>(), [&*group, &*direct]);
    assert_eq!(entries[0]["conversation"]["role"], "member");
    assert!(!alice.has_event() && !bob.has_event(), "nobody asked to be told");
}

#[test]
fn b6_250_conversations_come_page_by_page_and_after_a_restart() {
    const COUNT: usize = 250;
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let made: Vec<String> = (0..COUNT).map(|n| alice.group(&format!("group {n}"), &["bob"])).collect();
    // Some have newer activity than those behind them.
    let mut order: Vec<String> = made.iter().rev().cloned().collect();
    alice.later();
    for at in [7, 120, 249] {
        alice.send(&made[at], "a1", "again");
        order.retain(|other| *other != made[at]);
        order.insert(0, made[at].clone());
    }
    for restarted in [false, true] {
        let mut seen = Vec::new();
        let mut ask = json!({"limit": 1_000});
        loop {
            let (entries, cursor) = page(&mut alice, &ask);
            assert!(entries.len() <= 100, "a page has a limit");
            seen.extend(entries.iter().map(|entry| (entry["activity_ms"].as_u64().expect("a time"), id(entry))));
            match cursor {
                Some(cursor) => ask = json!({"limit": 100, "cursor": cursor}),
                None => break,
            }
        }
        assert!(seen.is_sorted_by(|one, next| one.0 >= next.0), "newest first");
        let listed: BTreeSet<&String> = seen.iter().map(|(_, id)| id).collect();
        assert_eq!((seen.len(), listed), (COUNT, made.iter().collect()), "each once");
        // Those that happened in one millisecond have no order of their own.
        let newest: Vec<&String> = seen.iter().take(3).map(|(_, id)| id).collect();
        assert_eq!(newest.iter().copied().collect::<BTreeSet<_>>(), order.iter().take(3).collect(), "{restarted}");
        if !restarted {
            site.kill();
            site.start_again();
            alice = Plain::open(&site, "alice");
        }
    }
    let (entries, cursor) = page(&mut alice, &json!({}));
    assert_eq!((entries.len(), cursor.is_some()), (50, true), "two screens if nothing else is said");
}

#[test]
fn b6_kind_name_and_state_narrow_it() {
    let site = Site::without_requests();
    let mut alice = Plain::open(&site, "alice");
    let direct = alice.direct("Bob");
    let street = alice.group("Die STRASSE", &["bob"]);
    alice.later();
    let other = alice.group("other", &["bob"]);
    let list = |plain: &mut Plain, ask: Value| ids(plain, &ask);
    assert_eq!(list(&mut alice, json!({"kind": "direct"})), [&*direct]);
    assert_eq!(list(&mut alice, json!({"kind": "group"})), [&*other, &*street]);
    assert_eq!(list(&mut alice, json!({"name": "strasse"})), [&*street]);
    assert_eq!(list(&mut alice, json!({"name": "E S"})), [&*street]);
    assert_eq!(list(&mut alice, json!({"name": "bOB"})), [&*direct], "a direct one is called as the other");
    assert_eq!(list(&mut alice, json!({"name": "alice"})), [""; 0]);
    assert_eq!(list(&mut alice, json!({"state": "closed"})), [""; 0]);
    alice.done("close", &json!({"conversation": street}));
    assert_eq!(list(&mut alice, json!({"state": "closed"})), [&*street]);
    assert_eq!(list(&mut alice, json!({"state": "open"})), [&*other, &*direct]);
    assert_eq!(list(&mut alice, json!({"state": "open", "kind": "group", "name": "o"})), [&*other]);
    alice.done("reopen", &json!({"conversation": street}));
    assert_eq!(list(&mut alice, json!({"state": "closed"})), [""; 0]);
    assert_eq!(list(&mut alice, json!({"state": null, "kind": null})).len(), 3);
}

#[test]
fn b6_who_goes_lists_it_no_more_and_who_comes_does() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("room", &["bob", "carol"]);
    soon(&mut bob, &[&group]);
    alice.done("remove", &json!({"conversation": group, "member": "bob"}));
    soon(&mut bob, &[]);
    alice.done("add", &json!({"conversation": group, "members": ["bob"]}));
    soon(&mut bob, &[&group]);
    bob.done("leave", &json!({"conversation": group}));
    assert_eq!(ids(&mut bob, &json!({})), [""; 0], "what one did oneself is there at once");
    assert_eq!(ids(&mut alice, &json!({})), [&*group]);
}

#[test]
fn b6_a_page_is_cut_by_its_bytes_and_goes_on_where_it_ended() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let made: BTreeSet<String> = (0..10)
        .map(|n| {
            let group = alice.group(&format!("group {n}"), &[]);
            // In JSON six times as long, so that the edge has to cut what the home let through.
            alice.send(&group, "a1", &"\u{1}".repeat(20_000));
            group
        })
        .collect();
    let (mut seen, mut pages, mut ask) = (Vec::new(), 0, json!({"limit": 10}));
    loop {
        let (entries, cursor) = page(&mut alice, &ask);
        pages += 1;
        assert!(!entries.is_empty(), "one always fits");
        seen.extend(entries.iter().map(id));
        let Some(cursor) = cursor else { break };
        ask = json!({"limit": 10, "cursor": cursor});
    }
    assert_eq!((seen.len(), seen.into_iter().collect::<BTreeSet<_>>()), (10, made), "each once");
    assert!(pages > 2, "{pages} pages");
}

#[test]
fn b6_n44_bad_lists_are_refused() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    for n in 0..3 {
        alice.group(&format!("group {n}"), &[]);
    }
    let (_, cursor) = page(&mut alice, &json!({"limit": 1}));
    let cursor = cursor.expect("there are more");
    let mut spoilt = cursor.clone();
    spoilt.replace_range(20..21, if &cursor[20..21] == "0" { "1" } else { "0" });
    let mut mallory = Plain::open(&site, "mallory");
    assert_eq!(mallory.refused("list", &json!({"cursor": cursor})), "BAD_REQUEST", "it is another user's");
    let bad = [
        json!({"cursor": ""}),
        json!({"cursor": spoilt}),
        json!({"cursor": cursor[1..]}),
        json!({"cursor": cursor.to_uppercase()}),
        json!({"cursor": "x".repeat(100_000)}),
        json!({"cursor": cursor, "kind": "group"}),
        json!({"cursor": 7}),
        json!({"kind": "support"}),
        json!({"kind": 1}),
        json!({"state": "archived"}),
        json!({"name": ""}),
        json!({"name": "x".repeat(257)}),
        json!({"name": "a\u{0}"}),
        json!({"limit": -1}),
        json!({"limit": "all"}),
    ];
    for ask in bad {
        assert_eq!(alice.refused("list", &ask), "BAD_REQUEST", "{ask}");
    }
    let (entries, _) = page(&mut alice, &json!({"cursor": cursor}));
    assert_eq!(entries.len(), 2, "the cursor is as good as before");
}

#[test]
fn n13_another_tenants_user_of_the_same_name_lists_nothing() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let group = alice.group("room", &["bob"]);
    let mut other = Plain::connect(&site);
    let token = site.token_of("other", "alice");
    let data = other.done("hello", &json!({"token": token, "subscribe": "all"}));
    assert_eq!((heads(&data), &data["all"]["total"]), (Vec::new(), &json!(0)));
    assert_eq!(ids(&mut other, &json!({})), [""; 0]);
    alice.done("add", &json!({"conversation": group, "members": ["carol"]}));
    alice.send(&group, "a1", "hello");
    assert!(!other.has_event());
    assert_eq!(ids(&mut alice, &json!({})), [&*group]);
}

#[test]
fn a3_all_conversations_are_read_on_every_device_also_those_that_come() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let first = alice.direct("bob");
    alice.send(&first, "a1", "one");
    let devices = [all(&site, "bob"), all(&site, "bob")];
    let [mut phone, mut laptop] = devices.map(|(plain, data)| {
        assert_eq!(heads(&data), [(first.clone(), 1)]);
        assert_eq!(data["all"], json!({"total": 1}));
        plain
    });
    alice.send(&first, "a2", "two");
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.event("message")["message"]["text"], "two");
    }

    // He is added to one while he is there.
    let group = alice.group("room", &["bob"]);
    for device in [&mut phone, &mut laptop] {
        let event = device.event("listed");
        assert_eq!(keys(&event), ["conversation", "event", "listed"]);
        assert_eq!(keys(&event["listed"]), ["added", "head", "removed"]);
        assert_eq!((&event["conversation"], &event["listed"]["head"]), (&json!(group), &json!(0)));
        let entry = &event["listed"]["added"];
        assert_eq!((&entry["conversation"]["name"], &entry["conversation"]["id"]), (&json!("room"), &json!(group)));
    }
    alice.send(&group, "a3", "three");
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.event("message")["message"]["text"], "three");
    }

    // And put out.
    alice.done("remove", &json!({"conversation": group, "member": "bob"}));
    for device in [&mut phone, &mut laptop] {
        let mut events = [device.any_event(), device.any_event()];
        events.sort_by_key(|event| event["event"].to_string());
        assert_eq!(events[0]["event"], "listed");
        assert_eq!(events[0]["listed"], json!({"removed": true}));
        assert_eq!((&events[1]["event"], &events[1]["members"]["removed"]), (&json!("members"), &json!(["bob"])));
    }
    alice.send(&group, "a4", "not for him");
    assert!(!phone.has_event() && !laptop.has_event());

    // While one device is away, he is added to another.
    drop(laptop);
    let third = alice.group("third", &["bob"]);
    assert_eq!(phone.event("listed")["conversation"], json!(third));
    let (mut laptop, data) = all(&site, "bob");
    let expected = BTreeSet::from([(first, 2), (third.clone(), 0)]);
    assert_eq!(heads(&data).into_iter().collect::<BTreeSet<_>>(), expected);
    alice.send(&third, "a5", "five");
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.event("message")["message"]["text"], "five");
    }
}

#[test]
fn a3_subscribe_takes_all_as_well_and_only_who_asked_is_told() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let (mut bob, mut other) = (Plain::open(&site, "bob"), Plain::open(&site, "bob"));
    let group = alice.group("room", &["bob"]);
    let data = bob.done("subscribe", &json!({"all": true}));
    assert_eq!(keys(&data), ["all", "subscribed"]);
    assert_eq!(heads(&data), [(group.clone(), 0)]);
    // Again it is the same.
    assert_eq!(bob.done("subscribe", &json!({"all": true})), data);
    assert_eq!(bob.refused("subscribe", &json!({"all": true, "conversations": [group]})), "BAD_REQUEST");
    // One's own new conversation comes as well.
    let own = bob.group("own", &[]);
    assert_eq!(bob.event("listed")["conversation"], json!(own));
    bob.send(&own, "b1", "note");
    assert_eq!(bob.event("message")["message"]["text"], "note");
    // One that is given up stays so.
    bob.done("unsubscribe", &json!({"conversations": [group]}));
    alice.send(&group, "a1", "not read");
    assert!(!bob.has_event() && !other.has_event());
}

#[test]
fn a3_after_a_restart_all_are_read_again() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let made: BTreeSet<String> = (0..30).map(|n| alice.group(&format!("group {n}"), &["bob"])).collect();
    site.kill();
    site.start_again();
    let (mut bob, data) = all(&site, "bob");
    assert_eq!(heads(&data).into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), made);
    assert_eq!(data["all"]["total"], 30);
    let mut alice = Plain::open(&site, "alice");
    let one = made.first().expect("thirty");
    alice.send(one, "a1", "back");
    assert_eq!(bob.event("message")["message"]["text"], "back");
}

#[test]
fn a3_of_more_than_a_session_may_read_it_reads_the_newest() {
    const COUNT: usize = 1_030;
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let mut made = Vec::new();
    for from in (0..COUNT).step_by(50) {
        let ids: Vec<u64> = (from..COUNT.min(from + 50))
            .map(|n| alice.post("create", &json!({"kind": "group", "members": ["bob"], "name": format!("{n}")})))
            .collect();
        for id in ids {
            let reply = alice.reply(id);
            made.push(reply["data"]["conversation"]["id"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned());
        }
    }
    // The oldest becomes the newest.
    alice.send(&made[0], "a1", "awake");
    let (mut bob, data) = all(&site, "bob");
    let subscribed = heads(&data);
    assert_eq!((subscribed.len(), &data["all"]["total"]), (1_000, &json!(COUNT)));
    assert_eq!(subscribed[0], (made[0].clone(), 1), "the newest comes first");
    alice.send(&made[0], "a2", "seen");
    assert_eq!(bob.event("message")["message"]["text"], "seen");
    // There is no room for one more: it is told, and not read.
    let more = alice.group("more", &["bob"]);
    let event = bob.event("listed");
    assert_eq!((&event["conversation"], event["listed"].get("head")), (&json!(more), None));
    let reply = bob.done("subscribe", &json!({"conversations": [more]}));
    assert_eq!(error_code(&reply["subscribed"][0]["error"]), "BAD_REQUEST");
}

/// The next event of the client, which is a message; its text.
async fn text(events: &mut Events) -> String {
    match events.next().await {
        Some(Event::Message(message)) => message.text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn b6_the_sdk_lists_page_by_page() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let alice = client(&site, form, "alice");
        let mut made = BTreeSet::new();
        for n in 0..5 {
            made.insert(alice.create_group(&format!("group {n}"), &["bob"]).await.expect("made").conversation.id);
        }
        let direct = alice.create_direct("bob", None).await.expect("made").conversation.id;
        let sent = alice.send(&direct, "hello").await.expect("stored").message;
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = alice.list(List { limit: 2, cursor, ..List::default() }).await.expect("a page");
            seen.extend(page.conversations);
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        assert_eq!((seen[0].last.as_ref(), seen[0].peer.as_deref()), (Some(&sent), Some("bob")));
        let ids: BTreeSet<String> =
            seen.iter().skip(1).filter_map(|entry| Some(entry.conversation.as_ref()?.id.clone())).collect();
        assert_eq!((seen.len(), ids), (6, made));
        let groups =
            List { kind: Some(ConversationKind::Group.into()), name: Some("GROUP 3".into()), ..List::default() };
        assert_eq!(alice.list(groups).await.expect("a page").conversations.len(), 1);
        let bad = alice.list(List { cursor: Some("nonsense".into()), ..List::default() }).await;
        assert!(matches!(bad, Err(Error::Rejected { code: Some(ErrorCode::BadRequest), .. })), "{bad:?}");
        alice.close().await;
    });
}

#[test]
fn a3_the_sdk_reads_all_and_goes_on_after_a_restart() {
    in_both_forms(|form| async move {
        let mut site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let first = alice.create_direct("bob", None).await.expect("made").conversation.id;
        alice.send(&first, "before").await.expect("stored");
        let all = bob.subscribe_all().await.expect("he is known");
        let heads: Vec<_> = all.subscribed.iter().map(|one| (one.conversation.clone(), one.head)).collect();
        assert_eq!((heads, all.all.map(|all| all.total)), (vec![(first.clone(), 1)], Some(1)));
        let mut events = bob.events();
        alice.send(&first, "one").await.expect("stored");
        assert_eq!(text(&mut events).await, "one");
        let group = alice.create_group("room", &["bob"]).await.expect("made").conversation.id;
        match events.next().await {
            Some(Event::Listed { conversation, entry: Some(entry), head: Some(0) }) => {
                assert_eq!(
                    (conversation, entry.conversation.and_then(|it| it.name)),
                    (group.clone(), Some("room".into()))
                );
            }
            other => panic!("{other:?}"),
        }
        alice.send(&group, "two").await.expect("stored");
        assert_eq!(text(&mut events).await, "two");

        // What is sent while he is away he gets when he is back, each once; and what he was added to meanwhile he is told.
        site.kill();
        site.start_again();
        let other = client(&site, form, "alice");
        let (sent, added) = (other.send(&first, "three").await, other.create_group("new", &["bob"]).await);
        let (sent, added) = (sent.expect("stored").message, added.expect("made").conversation.id);
        let (mut texts, mut listed) = (Vec::new(), Vec::new());
        while texts.is_empty() || listed.is_empty() {
            match events.next().await {
                Some(Event::Message(message)) => texts.push((message.seq, message.text)),
                Some(Event::Listed { conversation, .. }) => listed.push(conversation),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((texts, listed), (vec![(sent.seq, "three".to_owned())], vec![added.clone()]));
        other.send(&added, "four").await.expect("stored");
        assert_eq!(text(&mut events).await, "four");
        other.remove(&added, "bob").await.expect("she may");
        let mut ended = (false, false);
        while ended != (true, true) {
            match events.next().await {
                Some(Event::Unlisted { conversation }) if conversation == added => ended.0 = true,
                Some(Event::Ended { conversation, .. }) if conversation == added => ended.1 = true,
                Some(Event::Members { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        bob.close().await;
    });
}
