//! Everybody who looks sees a message as it is now: live, in history, by resume, where it is quoted, after a restart; and of
//! what was deleted nobody sees anything, nor does the disk.

use serde_json::{Value, json};
use switchyard_client::{Draft, Event};

use super::{id, page, resumed};
use crate::features::sdk::{client, in_both_forms};
use crate::plain::{Plain, keys};
use crate::process::said;
use crate::site::Site;

#[test]
fn c4_c9_what_becomes_of_a_message_is_told_live_in_both_forms() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let [alice, bob] = ["alice", "bob"].map(|user| client(&site, form, user));
        let group = alice.create_group("team", &["bob", "cleo"]).await.expect("made").conversation.id;
        let first = alice.send(&group, "helo").await.expect("stored").message;
        bob.subscribe(&group, None).await.expect("a member");
        let mut events = bob.events();

        alice.edit(&first.id, "hello", &["bob"]).await.expect("it is hers");
        match events.next().await {
            Some(Event::Updated { seq: 2, message, .. }) => {
                assert_eq!((message.id.as_str(), message.seq, message.text.as_str()), (&*first.id, 1, "hello"));
                assert_eq!((message.mentions.as_slice(), message.edited_ms.is_some()), (&["bob".to_owned()][..], true));
            }
            other => panic!("{other:?}"),
        }
        let draft = Draft::text(&group, "hello yourself").reply_to(&first.id).mentions(&["alice"]);
        let answer = bob.send_with(draft).await.expect("stored").message;
        let quote = answer.quote.clone().expect("what it answers");
        assert_eq!((quote.sender.as_str(), quote.text.as_str(), quote.deleted), ("alice", "hello", false));
        assert_eq!((answer.reply_to.as_deref(), answer.mentions.as_slice()), (Some(&*first.id), &["alice".into()][..]));
        match events.next().await {
            Some(Event::Message(message)) => assert_eq!(message, answer, "live it is what the sender was told"),
            other => panic!("{other:?}"),
        }
        bob.react(&first.id, "👍").await.expect("a member");
        alice.react(&first.id, "👍").await.expect("a member");
        bob.unreact(&first.id, "👍").await.expect("it is his");
        for (user, removed, count) in [("bob", false, 1), ("alice", false, 2), ("bob", true, 1)] {
            match events.next().await {
                Some(Event::Reacted { reacted, .. }) => {
                    assert_eq!((reacted.id.as_str(), reacted.emoji.as_str()), (&*first.id, "👍"));
                    assert_eq!((reacted.user.as_str(), reacted.removed, reacted.count), (user, removed, count));
                }
                other => panic!("{other:?}"),
            }
        }
        alice.pin(&first.id).await.expect("the admin may");
        match events.next().await {
            Some(Event::Changed { change, .. }) => assert_eq!(change.pinned.as_deref(), Some(&*first.id)),
            other => panic!("{other:?}"),
        }
        assert_eq!(bob.get(&group).await.expect("a member").pins, std::slice::from_ref(&first.id));
        alice.delete(&first.id).await.expect("it is hers");
        match events.next().await {
            Some(Event::Deleted { seq: 8, deleted, .. }) => {
                assert_eq!((deleted.id.as_str(), deleted.by.as_str()), (&*first.id, "alice"));
            }
            other => panic!("{other:?}"),
        }
        assert!(bob.get(&group).await.expect("a member").pins.is_empty(), "what is gone is pinned no more");
    });
}

#[test]
fn c4_an_event_in_json_has_the_documented_shape() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    let sent = alice.send(&conversation, "a1", "one");
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    alice.done("edit", &json!({"id": id(&sent), "text": "two"}));
    let updated = bob.event("updated");
    assert_eq!(keys(&updated), ["conversation", "event", "message", "seq"]);
    assert_eq!((&updated["seq"], &updated["message"]["seq"]), (&json!(2), &json!(1)));
    // The pair of conversation and number serves as well as the id.
    bob.done("react", &json!({"conversation": conversation, "seq": 1, "emoji": "+1"}));
    let reacted = bob.event("reacted");
    assert_eq!(keys(&reacted["reacted"]), ["count", "emoji", "id", "removed", "time_ms", "user"]);
    alice.done("delete", &json!({"conversation": conversation, "seq": 1}));
    let deleted = bob.event("deleted");
    assert_eq!(keys(&deleted["deleted"]), ["by", "id", "time_ms"]);
    let message = page(&mut bob, &conversation).remove(0);
    let expected =
        ["client_id", "conversation", "deleted", "id", "kind", "ordinal", "sender", "seq", "text", "time_ms"];
    assert_eq!((keys(&message).as_slice(), &message["text"]), (&expected[..], &json!("")));
}

#[test]
fn c9_the_present_form_is_read_wherever_a_message_is_met_and_after_a_restart() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("team", &["bob", "cleo"]);
    let first = alice.send(&group, "a1", "first");
    let body = json!({"conversation": group, "client_id": "b1", "text": "an answer", "reply_to": id(&first)});
    bob.done("send", &body);
    // Farther from it than what is read at once.
    alice.send_many(&group, 1_300);
    alice.done("edit", &json!({"id": id(&first), "text": "second", "mentions": ["cleo"]}));
    bob.done("react", &json!({"id": id(&first), "emoji": "👍"}));
    alice.done("react", &json!({"id": id(&first), "emoji": "👍"}));
    alice.done("react", &json!({"id": id(&first), "emoji": "🎉"}));
    alice.done("pin", &json!({"id": id(&first)}));
    let seen = |plain: &mut Plain, mine: [bool; 2]| {
        let oldest = plain.done("history", &json!({"conversation": group, "after": 0, "limit": 2}));
        let message = &oldest["messages"][0];
        assert_eq!((&message["text"], &message["mentions"]), (&json!("second"), &json!(["cleo"])));
        assert!(message["edited_ms"].is_u64() && message["pinned"] == true);
        let reactions =
            json!([{"emoji": "👍", "count": 2, "mine": mine[0]}, {"emoji": "🎉", "count": 1, "mine": mine[1]}]);
        assert_eq!(message["reactions"], reactions);
        let quote = &oldest["messages"][1]["quote"];
        assert_eq!(*quote, json!({"sender": "alice", "kind": "TEXT", "text": "second", "deleted": false}));
        let events = resumed(plain, &group);
        assert_eq!(events[0]["message"]["text"], "second", "who resumes from before it sees what it is now");
        let updated = events.iter().find(|event| event["event"] == "updated").expect("the edit has its number");
        assert_eq!(updated["message"]["reactions"], reactions);
        events.len()
    };
    let before = seen(&mut alice, [true, true]);
    assert_eq!(seen(&mut bob, [true, false]), before);
    // A second attempt at the first send is answered with what became of it.
    let again = json!({"conversation": group, "client_id": "a1", "text": "first", "since": 0});
    let again = alice.done("send", &again);
    assert_eq!((&again["duplicate"], &again["message"]["text"]), (&json!(true), &json!("second")));
    for _ in 0..2 {
        site.kill();
        site.start_again();
        let mut cleo = Plain::open(&site, "cleo");
        assert_eq!(seen(&mut cleo, [false, false]), before);
        assert_eq!(seen(&mut Plain::open(&site, "bob"), [true, false]), before);
    }
    // Nothing is counted twice by what was read again.
    let mut bob = Plain::open(&site, "bob");
    bob.done("react", &json!({"id": id(&first), "emoji": "👍"}));
    assert_eq!(seen(&mut bob, [true, false]), before);
}

#[test]
fn n44_what_was_deleted_is_nowhere() {
    const SECRET: &str = "the-first-secret-words";
    const EDITED: &str = "the-other-secret-words";
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    let first = alice.send(&conversation, "a1", SECRET);
    let body = json!({"conversation": conversation, "client_id": "b1", "text": "why?", "reply_to": id(&first)});
    bob.done("send", &body);
    alice.done("edit", &json!({"id": id(&first), "text": EDITED}));
    alice.done("delete", &json!({"id": id(&first)}));
    let nowhere = |plain: &mut Plain| {
        let page = page(plain, &conversation);
        assert_eq!((&page[0]["deleted"], &page[0]["text"]), (&json!(true), &json!("")));
        assert_eq!(page[1]["quote"], json!({"sender": "alice", "kind": "TEXT", "text": "", "deleted": true}));
        let events = resumed(plain, &conversation);
        let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
        assert_eq!(kinds, ["message", "message", "updated", "deleted"], "each number is told");
        let all = format!("{page:?} {events:?}");
        assert!(!all.contains("secret"), "{all}");
    };
    nowhere(&mut alice);
    nowhere(&mut bob);
    // Sent again under its id, it stays deleted.
    let again = alice.send(&conversation, "a1", SECRET);
    assert_eq!((&again["duplicate"], &again["message"]["deleted"]), (&json!(true), &json!(true)));
    assert_eq!(again["message"]["text"], "");
    site.kill();
    site.start_again();
    nowhere(&mut Plain::open(&site, "bob"));
    site.ask_to_end();
    assert!(site.ended().success());
    let rows = site.dump(&["--conversation", &conversation]);
    assert!(rows.contains("why?") && !rows.contains("secret"), "{rows}");
    let Some(data) = site.on_disk() else { return };
    let report: Value = serde_json::from_str(&said(&["verify", "--data", data, "--json"])).expect("JSON");
    assert_eq!(report["ok"], true, "{report}");
}

#[test]
fn two_devices_that_react_at_once_count_once() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let people: Vec<String> = (0..20).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = people.iter().map(String::as_str).collect();
    let group = alice.group("many", &names);
    let sent = alice.send(&group, "a1", "vote");
    let mut devices: Vec<Plain> = people.iter().chain(&people).map(|user| Plain::open(&site, user)).collect();
    let body = json!({"id": id(&sent), "emoji": "yes"});
    let asked: Vec<u64> = devices.iter_mut().map(|device| device.post("react", &body)).collect();
    for (device, asked) in devices.iter_mut().zip(asked) {
        assert_eq!(device.reply(asked)["ok"], true);
    }
    let message = page(&mut alice, &group).remove(0);
    assert_eq!(message["reactions"], json!([{"emoji": "yes", "count": 20, "mine": false}]));
    // Twenty changes were stored, and no more.
    assert_eq!(alice.done("get", &json!({"conversation": group}))["conversation"]["head"], 21);
}
