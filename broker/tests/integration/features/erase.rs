//! B2, B7: a group is deleted for all by its admin, and stays so whatever is killed when.

use serde_json::{Value, json};
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{ConversationChanged, Role};
use switchyard_client::{Ended, Event};

use super::sdk::{client, in_both_forms, nameless};
use crate::plain::{Plain, code, error_code, keys};
use crate::process::said;
use crate::site::Site;

/// What is not to be found again.
const SECRET: &str = "the secret of the group";

/// The ids of everything on a user's list.
fn listed(plain: &mut Plain) -> Vec<Value> {
    let page = plain.done("list", &json!({}));
    let entries = page["conversations"].as_array().expect("a list");
    entries.iter().map(|entry| entry["conversation"]["id"].clone()).collect()
}

/// What is left of it in the store, once the broker has ended; and that is whole.
fn left(site: &mut Site, conversation: &str) -> String {
    site.ask_to_end();
    assert!(site.ended().success());
    let rows = site.dump(&["--conversation", conversation]);
    if let Some(data) = site.on_disk() {
        let report: Value = serde_json::from_str(&said(&["verify", "--data", data, "--json"])).expect("JSON");
        assert_eq!(report["ok"], true, "{report}");
    }
    rows
}

/// A group with everything that may be in one.
fn lively_group(alice: &mut Plain, bob: &mut Plain) -> String {
    let group = alice.group("the secret name", &["bob", "carol"]);
    for n in 0..3 {
        let sent = alice.send(&group, &format!("a{n}"), SECRET);
        let id = &sent["message"]["id"];
        alice.done("edit", &json!({"id": id, "text": format!("{SECRET}, edited")}));
        bob.done("react", &json!({"id": id, "emoji": "+1"}));
    }
    bob.done("mark", &json!({"conversation": group, "read": 2}));
    alice.done("update", &json!({"conversation": group, "name": "another secret name"}));
    alice.done("remove", &json!({"conversation": group, "member": "carol"}));
    group
}

#[test]
fn b9_an_admin_erases_a_group_and_nobody_else_does() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let [alice, ben, cleo, mallory] = ["alice", "ben", "cleo", "mallory"].map(|user| client(&site, form, user));
        let group = alice.create_group("team", &["ben", "cleo"]).await.expect("made").conversation.id;
        alice.promote(&group, "ben", Role::Moderator).await.expect("the admin may");
        for other in [&ben, &cleo] {
            let refused = other.erase(&group).await.expect_err("no admin");
            assert_eq!(refused.code(), Some(ErrorCode::Forbidden), "{refused}");
        }
        let [strange, nothing] = [mallory.erase(&group).await, mallory.erase(&"5".repeat(26)).await];
        assert_eq!(nameless(&strange), nameless(&nothing));
        let direct = alice.create_direct("ben", None).await.expect("made").conversation.id;
        for either in [&alice, &ben] {
            let refused = either.erase(&direct).await.expect_err("it is the other's, too");
            assert_eq!(refused.code(), Some(ErrorCode::Forbidden), "{refused}");
        }
        // Closed or not.
        alice.close_conversation(&group).await.expect("the admin may");
        ben.subscribe(&group, None).await.expect("a member");
        let mut events = ben.events();
        let erased = alice.erase(&group).await.expect("the admin may");
        let Some(Event::Changed { seq, change, .. }) = events.next().await else { panic!("not told") };
        let expected = ConversationChanged { erased: Some(true), by: "alice".into(), ..ConversationChanged::default() };
        assert_eq!((seq, ConversationChanged { time_ms: 0, ..change }), (erased.seq, expected));
        let ended = Event::Ended { conversation: group.clone(), reason: Ended::Removed };
        assert_eq!(events.next().await, Some(ended));
        for person in [&alice, &ben] {
            assert_eq!(person.erase(&group).await.expect_err("it is gone").code(), Some(ErrorCode::NotFound));
            assert_eq!(person.get(&group).await.expect_err("it is gone").code(), Some(ErrorCode::NotFound));
        }
    });
}

#[test]
fn b7_everybody_is_told_then_nothing_is_left() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = lively_group(&mut alice, &mut bob);
    let other = alice.group("it stays", &["bob"]);
    bob.done("subscribe", &json!({"all": true}));
    let mut phone = Plain::open(&site, "bob");
    phone.done("subscribe", &json!({"conversations": [group]}));
    phone.done("open", &json!({"conversations": [group]}));
    let changed = alice.done("erase", &json!({"conversation": group}));
    assert_eq!(keys(&changed), ["conversation", "seq"]);
    let last = phone.event("conversation");
    assert_eq!((&last["seq"], &last["change"]["erased"]), (&changed["seq"], &json!(true)));
    assert_eq!(keys(&last["change"]), ["by", "erased", "time_ms"]);
    let seen = [bob.any_event(), bob.any_event()];
    let of = |kind: &str| seen.iter().find(|event| event["event"] == kind).unwrap_or_else(|| panic!("{seen:?}"));
    assert_eq!(of("conversation")["change"], last["change"]);
    let gone = json!({"event": "listed", "conversation": group, "listed": {"removed": true}});
    assert_eq!(*of("listed"), gone);
    assert!(!phone.has_event() && !bob.has_event(), "nothing follows");
    for who in [&mut alice, &mut bob] {
        assert_eq!(listed(who), [&*other]);
        assert_eq!(who.refused("erase", &json!({"conversation": group})), "NOT_FOUND", "once is enough");
    }
    // What the session read before, it reads no more; and it may read something else.
    assert_eq!(phone.refused("send", &json!({"conversation": group, "client_id": "p", "text": "?"})), "NOT_FOUND");
    phone.done("subscribe", &json!({"conversations": [other]}));
    alice.send(&other, "o1", "still here");
    assert_eq!(phone.event("message")["message"]["text"], "still here");
    let rows = left(&mut site, &group);
    assert!(rows.contains("\"erased\":true") && !rows.contains("secret"), "{rows}");
    let founding: Value = serde_json::from_str(rows.lines().next().expect("the first row")).expect("JSON");
    assert_eq!(founding["members"]["added"], json!([]), "nor who they were");
    if site.on_disk().is_some() {
        assert_eq!(rows.lines().count(), 2, "between them there is nothing: {rows}");
    }
}

#[test]
fn n44_what_was_erased_stays_so_when_the_broker_is_killed_at_any_moment() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let groups: Vec<String> = (0..24).map(|_| lively_group(&mut alice, &mut bob)).collect();
    // Each is asked for; the broker is killed while some are answered, some erased and some cleared.
    let asked: Vec<u64> = groups.iter().map(|group| alice.post("erase", &json!({"conversation": group}))).collect();
    let answered = 6;
    for id in &asked[..answered] {
        assert_eq!(alice.reply(*id)["ok"], true);
    }
    site.kill();
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let mut gone = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let body = json!({"conversation": group});
        let answers = [bob.ask("get", &body), alice.ask("get", &body)];
        let there: Vec<bool> = answers.iter().map(|reply| reply["ok"] == true).collect();
        assert!(there[0] == there[1] && !(there[0] && at < answered), "{at}: {answers:?}");
        if there[0] {
            // It is whole.
            let page = alice.done("history", &json!({"conversation": group}));
            let texts = page["messages"].as_array().expect("a list").iter().map(|message| message["text"].clone());
            assert_eq!(texts.collect::<Vec<_>>(), vec![json!(format!("{SECRET}, edited")); 3]);
        } else {
            assert!(answers.iter().all(|reply| code(reply) == "NOT_FOUND"), "{answers:?}");
            gone.push(group.clone());
        }
    }
    let kept: Vec<&String> = groups.iter().filter(|group| !gone.contains(group)).collect();
    for who in [&mut alice, &mut bob] {
        let mut ids = listed(who);
        ids.sort_by_key(Value::to_string);
        let mut expected: Vec<Value> = kept.iter().map(|group| json!(group)).collect();
        expected.sort_by_key(Value::to_string);
        assert_eq!(ids, expected);
        let data = who.done("resume", &json!({"positions": [{"conversation": gone[0], "seq": 0}]}));
        assert_eq!(error_code(&data["conversations"][0]["error"]), "NOT_FOUND");
    }
    // Having been asked for, they were cleared, too.
    for group in [&gone[0], &gone[gone.len() - 1]] {
        let rows = left(&mut site, group);
        assert!(!rows.contains("secret"), "{rows}");
        site.start_again();
    }
}

#[test]
fn sends_around_it_end_definitely() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("busy", &["bob"]);
    let mut replies = Vec::new();
    let mut post = |from: usize, bob: &mut Plain| {
        for n in from..from + 40 {
            let body = json!({"conversation": group, "client_id": format!("b{n}"), "text": "on its way"});
            replies.push(bob.post("send", &body));
        }
    };
    post(0, &mut bob);
    let erase = alice.post("erase", &json!({"conversation": group}));
    post(40, &mut bob);
    let erased = alice.reply(erase);
    let last = erased["data"]["seq"].as_u64().unwrap_or_else(|| panic!("{erased}"));
    let stored = replies.into_iter().filter(|id| {
        let reply = bob.reply(*id);
        if reply["ok"] == true {
            assert!(reply["data"]["message"]["seq"].as_u64() < Some(last), "nothing follows the last event: {reply}");
            return true;
        }
        assert_eq!(code(&reply), "NOT_FOUND", "{reply}");
        false
    });
    assert_eq!(stored.count() as u64, last - 1, "every number was told, or nothing was stored");
}
