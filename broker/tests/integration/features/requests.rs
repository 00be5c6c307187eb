//! B5: a direct conversation that somebody begins is a request to the other one, until they accept it or answer.

use serde_json::{Value, json};
use switchyard_client::Event;
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{ConversationState, List, RequestSide};

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, keys};
use crate::site::Site;

/// Conversations in this state on a user's list, each with whose request it is and whether it was declined.
fn in_state(plain: &mut Plain, state: &str) -> Vec<(Value, Value, Value)> {
    let page = plain.done("list", &json!({"state": state}));
    let entries = page["conversations"].as_array().expect("a list");
    let shown = entries.iter().map(|entry| &entry["conversation"]);
    shown.map(|it| (it["id"].clone(), it["request"].clone(), it["declined"].clone())).collect()
}

fn detail(plain: &mut Plain, conversation: &str) -> Value {
    plain.done("get", &json!({"conversation": conversation}))["conversation"].take()
}

/// Alice has asked bob, with a message.
fn asked(site: &Site) -> (Plain, Plain, String) {
    let (mut alice, bob) = (Plain::open(site, "alice"), Plain::open(site, "bob"));
    let direct = alice.direct("bob");
    alice.send(&direct, "a1", "may I?");
    (alice, bob, direct)
}

fn forbidden(plain: &mut Plain, name: &str, body: &Value) {
    assert_eq!(plain.refused(name, body), "FORBIDDEN", "{name}");
}

#[test]
fn b5_it_waits_on_both_lists_and_its_maker_is_told_nothing() {
    let site = Site::dev();
    let (mut alice, mut bob, direct) = asked(&site);
    assert_eq!(in_state(&mut bob, "pending"), [(json!(direct), json!("to_me"), Value::Null)]);
    assert_eq!(in_state(&mut alice, "pending"), [(json!(direct), json!("by_me"), Value::Null)]);
    assert_eq!((in_state(&mut bob, "open"), in_state(&mut alice, "open")), (vec![], vec![]));
    assert_eq!(bob.done("list", &json!({}))["conversations"].as_array().map(Vec::len), Some(1), "a list shows all");
    for plain in [&mut alice, &mut bob] {
        plain.done("subscribe", &json!({"conversations": [direct]}));
        plain.done("open", &json!({"conversations": [direct]}));
    }
    // What bob does without a word is his own affair.
    let marked = bob.done("mark", &json!({"conversation": direct, "delivered": 1}));
    assert_eq!(marked["marks"]["delivered"], 1);
    let marked = bob.done("mark", &json!({"conversation": direct, "read": 1}));
    assert_eq!((&marked["unread"], &marked["marks"]["read"]), (&json!(0), &json!(1)));
    assert_eq!(bob.done("typing", &json!({"conversation": direct, "on": true})), json!({}));
    let marks = |plain: &mut Plain, seq: Option<u64>| {
        let page = plain.done("marks", &json!({"conversation": direct, "seq": seq}));
        let marks = page["marks"].as_array().expect("a list").clone();
        marks.iter().map(|it| (it["user"].clone(), it["read"].clone(), it["delivered"].clone())).collect::<Vec<_>>()
    };
    let (hers, none, his) = (json!("alice"), json!(0), json!("bob"));
    assert_eq!(marks(&mut alice, None), [(hers.clone(), json!(1), json!(1)), (his.clone(), none.clone(), none)]);
    assert_eq!(marks(&mut alice, Some(1)), [(hers.clone(), json!(1), json!(1))]);
    assert_eq!(marks(&mut bob, None)[1], (his.clone(), json!(1), json!(1)), "he sees his own");
    assert_eq!(bob.event("marks")["marks"][0]["user"], "bob", "so do his other devices");
    // Once he accepts, she is told of it first, and of what he has read then.
    let accepted = bob.done("accept", &json!({"conversation": direct}));
    assert_eq!((keys(&accepted), &accepted["seq"]), (vec!["conversation", "seq"], &json!(2)));
    for plain in [&mut alice, &mut bob] {
        let event = plain.event("conversation");
        assert_eq!((&event["seq"], keys(&event["change"])), (&json!(2), vec!["accepted", "by", "time_ms"]));
        assert_eq!((&event["change"]["accepted"], &event["change"]["by"]), (&json!(true), &json!("bob")));
    }
    let told = alice.event("marks");
    assert_eq!((told["marks"].as_array().map(Vec::len), &told["marks"][0]["read"]), (Some(1), &json!(1)), "{told}");
    for on in [false, true] {
        bob.done("typing", &json!({"conversation": direct, "on": on}));
    }
    assert_eq!(alice.event("typing")["users"], json!(["bob"]));
    for plain in [&mut alice, &mut bob] {
        assert_eq!(in_state(plain, "open"), [(json!(direct), Value::Null, Value::Null)]);
        assert_eq!(in_state(plain, "pending"), []);
    }
    // Said again, it is so already.
    assert_eq!(bob.done("accept", &json!({"conversation": direct}))["seq"], 2);
    assert_eq!(bob.refused("decline", &json!({"conversation": direct})), "CONFLICT");
    forbidden(&mut alice, "accept", &json!({"conversation": direct}));
}

#[test]
fn b5_an_answer_accepts_it_and_that_outlives_a_kill() {
    let mut site = Site::dev();
    let (mut alice, mut bob, direct) = asked(&site);
    alice.send(&direct, "a2", "please");
    alice.done("subscribe", &json!({"conversations": [direct]}));
    assert_eq!(bob.send(&direct, "b1", "yes")["message"]["seq"], 3, "no event of its own");
    assert_eq!(alice.event("message")["message"]["text"], "yes");
    assert_eq!(detail(&mut alice, &direct)["request"], Value::Null);
    site.kill();
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    for plain in [&mut alice, &mut bob] {
        assert_eq!(in_state(plain, "open").len(), 1);
        assert_eq!(detail(plain, &direct)["request"], Value::Null);
    }
    assert_eq!(bob.refused("decline", &json!({"conversation": direct})), "CONFLICT");
}

#[test]
fn b5_who_was_declined_writes_no_more_until_the_other_wants_it_after_all() {
    let mut site = Site::dev();
    let (mut alice, mut bob, direct) = asked(&site);
    alice.done("subscribe", &json!({"conversations": [direct]}));
    let of = |more: Value| {
        let mut body = json!({"conversation": direct});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    assert_eq!(bob.done("decline", &of(json!({})))["seq"], 2);
    let told = alice.event("conversation");
    assert_eq!((&told["seq"], &told["change"]["accepted"]), (&json!(2), &json!(false)));
    assert_eq!(bob.done("decline", &of(json!({})))["seq"], 2, "said again, it is so already");
    let declined = |alice: &mut Plain, bob: &mut Plain| {
        let reply = alice.ask("send", &of(json!({"client_id": "a2", "text": "but"})));
        assert_eq!(reply["error"]["code"], "FORBIDDEN", "{reply}");
        assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("declined")), "{reply}");
        forbidden(alice, "edit", &of(json!({"seq": 1, "text": "but"})));
        forbidden(alice, "react", &of(json!({"seq": 1, "emoji": "?"})));
        forbidden(alice, "pin", &of(json!({"seq": 1})));
        forbidden(alice, "typing", &of(json!({"on": true})));
        forbidden(alice, "accept", &of(json!({})));
        forbidden(alice, "decline", &of(json!({})));
        // What was stored is answered as before.
        assert_eq!(alice.send(&direct, "a1", "may I?")["duplicate"], true);
        let again = alice.done("create", &json!({"kind": "direct", "members": ["bob"]}));
        assert_eq!(again["created"], false);
        let shown = &again["conversation"];
        assert_eq!((&shown["request"], &shown["declined"]), (&json!("by_me"), &json!(true)));
        assert_eq!(in_state(alice, "declined"), [(json!(direct), json!("by_me"), json!(true))]);
        assert_eq!(in_state(bob, "declined"), [(json!(direct), json!("to_me"), json!(true))]);
        assert_eq!(in_state(bob, "pending"), []);
    };
    declined(&mut alice, &mut bob);
    site.kill();
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    alice.done("subscribe", &json!({"conversations": [direct]}));
    declined(&mut alice, &mut bob);
    // One may take back what one has said.
    alice.done("delete", &of(json!({"seq": 1})));
    bob.done("accept", &of(json!({})));
    alice.send(&direct, "a3", "thank you");
    // Another pair: a message says the same.
    let mut carol = Plain::open(&site, "carol");
    let other = carol.direct("bob");
    bob.done("decline", &json!({"conversation": other}));
    bob.send(&other, "b1", "on second thought");
    carol.send(&other, "c1", "good");
}

#[test]
fn b5_only_whom_a_direct_conversation_goes_to_answers_it() {
    let site = Site::dev();
    let (mut alice, mut bob, direct) = asked(&site);
    let group = alice.group("team", &["bob"]);
    for name in ["accept", "decline"] {
        forbidden(&mut alice, name, &json!({"conversation": direct}));
        for plain in [&mut alice, &mut bob] {
            forbidden(plain, name, &json!({"conversation": group}));
        }
        let mut mallory = Plain::open(&site, "mallory");
        assert_eq!(mallory.refused(name, &json!({"conversation": direct})), "NOT_FOUND");
    }
    // Its maker closes it: there is nothing to be accepted, and still to be declined.
    alice.done("close", &json!({"conversation": direct}));
    assert_eq!(in_state(&mut bob, "closed"), [(json!(direct), json!("to_me"), Value::Null)]);
    assert_eq!(bob.refused("accept", &json!({"conversation": direct})), "CLOSED");
    bob.done("decline", &json!({"conversation": direct}));
    assert_eq!(in_state(&mut bob, "pending"), []);
}

#[test]
fn b5_where_there_are_no_requests_all_are_open_at_once() {
    let site = Site::without_requests();
    let (mut alice, mut bob, direct) = asked(&site);
    for plain in [&mut alice, &mut bob] {
        assert_eq!(in_state(plain, "open"), [(json!(direct), Value::Null, Value::Null)]);
    }
    alice.done("subscribe", &json!({"conversations": [direct]}));
    bob.done("mark", &json!({"conversation": direct, "read": 1}));
    assert_eq!(alice.event("marks")["marks"][0]["read"], 1);
    assert_eq!(bob.refused("decline", &json!({"conversation": direct})), "CONFLICT");
    for plain in [&mut alice, &mut bob] {
        plain.done("accept", &json!({"conversation": direct}));
    }
    assert!(!alice.has_event(), "it was so already");
}

#[test]
fn c6_the_total_is_of_all_conversations_and_requests_are_told_apart() {
    let mut site = Site::dev();
    let (mut alice, mut bob, direct) = asked(&site);
    let total = |plain: &mut Plain| {
        let data = plain.done("unread", &json!({"all": true}));
        assert_eq!(
            (keys(&data), &data["conversations"]),
            (vec!["conversations", "requests", "total", "unread"], &json!([]))
        );
        let number = |name: &str| data[name].as_u64().expect("a number");
        (number("total"), number("unread"), number("requests"))
    };
    assert_eq!((total(&mut alice), total(&mut bob)), ((0, 0, 0), (0, 0, 1)), "a request counts as one");
    let rooms: Vec<String> = (0..3).map(|n| alice.group(&format!("room {n}"), &["bob"])).collect();
    for n in 0..4 {
        alice.send(&rooms[0], &format!("r{n}"), "hello");
    }
    alice.send(&rooms[1], "r", "hello");
    assert_eq!((total(&mut alice), total(&mut bob)), ((0, 0, 0), (5, 2, 1)));
    bob.done("accept", &json!({"conversation": direct}));
    assert_eq!(total(&mut bob), (6, 3, 0));
    bob.done("mark", &json!({"conversation": rooms[0], "read": 3}));
    // Right at once on whatever device, and after a kill: a mark is stored within a second, and this waits for it.
    assert_eq!(total(&mut Plain::open(&site, "bob")), (3, 3, 0));
    site.ask_to_end();
    assert!(site.ended().success());
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    assert_eq!((total(&mut alice), total(&mut bob)), ((0, 0, 0), (3, 3, 0)));
    alice.done("erase", &json!({"conversation": rooms[1]}));
    assert_eq!(total(&mut bob), (2, 2, 0), "what was erased has nothing unread");
    alice.done("remove", &json!({"conversation": rooms[0], "member": "bob"}));
    assert_eq!(total(&mut bob), (1, 1, 0));
    let both = json!({"all": true, "conversations": [direct]});
    assert_eq!(bob.refused("unread", &both), "BAD_REQUEST");
    assert_eq!(total(&mut Plain::open(&site, "nobody")), (0, 0, 0));
    let elsewhere = site.token_of("elsewhere", "bob");
    assert_eq!(total(&mut Plain::open_with(&site, &elsewhere)), (0, 0, 0), "another tenant's bob is another one");
    let named = bob.done("unread", &json!({"conversations": [direct, rooms[2]]}));
    assert_eq!((keys(&named), &named["unread"]), (vec!["conversations", "total", "unread"], &json!(1)));
}

#[test]
fn b5_the_sdk_accepts_declines_and_counts() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| client(&site, form, user));
        let wanted = alice.create_direct("bob", None).await.expect("made").conversation;
        let side = |side: RequestSide| Some(i32::from(side));
        assert_eq!(wanted.request, side(RequestSide::ByMe));
        let unwanted = carol.create_direct("bob", None).await.expect("made").conversation.id;
        for (client, conversation) in [(&alice, &wanted.id), (&carol, &unwanted)] {
            client.send(conversation, "may I?").await.expect("stored");
        }
        let pending = List { state: Some(ConversationState::Pending.into()), ..List::default() };
        let waiting = bob.list(pending.clone()).await.expect("a page").conversations;
        let sides: Vec<_> = waiting.iter().map(|it| it.conversation.as_ref().and_then(|it| it.request)).collect();
        assert_eq!(sides, [side(RequestSide::ToMe); 2]);
        let counts = bob.unread_total().await.expect("counted");
        assert_eq!((counts.total, counts.unread, counts.requests), (0, 0, Some(2)));
        alice.subscribe(&wanted.id, None).await.expect("a member");
        let mut events = alice.events();
        bob.accept(&wanted.id).await.expect("it went to him");
        match events.next().await {
            Some(Event::Changed { change, .. }) => assert_eq!(change.accepted, Some(true)),
            other => panic!("{other:?}"),
        }
        bob.decline(&unwanted).await.expect("it went to him");
        let refused = carol.send(&unwanted, "but").await.expect_err("declined");
        assert_eq!(refused.code(), Some(ErrorCode::Forbidden), "{refused}");
        let counts = bob.unread_total().await.expect("counted");
        assert_eq!((counts.total, counts.unread, counts.requests), (1, 1, Some(0)));
        assert_eq!(bob.list(pending).await.expect("a page").conversations, []);
        let own = alice.accept(&wanted.id).await.expect_err("her own request");
        assert_eq!(own.code(), Some(ErrorCode::Forbidden), "{own}");
    });
}
