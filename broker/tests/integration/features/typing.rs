//! A7: who types is told to those who have the conversation open, and to nobody else.

use serde_json::{Value, json};
use switchyard_client::{Client, ClientConfig, Event, StaticToken};

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, error_code, keys};
use crate::site::Site;

fn open(plain: &mut Plain, conversation: &str) -> Value {
    let mut data = plain.done("open", &json!({"conversations": [conversation]}));
    assert_eq!(keys(&data), ["opened"]);
    assert_eq!(data["opened"].as_array().map(Vec::len), Some(1));
    data["opened"][0].take()
}

fn types(plain: &mut Plain, conversation: &str, on: bool) {
    let data = plain.done("typing", &json!({"conversation": conversation, "on": on}));
    assert_eq!(data, json!({}));
}

/// The next event says that these type.
fn sees(plain: &mut Plain, conversation: &str, users: &[&str]) {
    let expected = json!({"event": "typing", "conversation": conversation, "users": users, "more": 0});
    assert_eq!(plain.event("typing"), expected);
}

/// A session that reads the conversation.
fn reader(site: &Site, user: &str, conversation: &str) -> Plain {
    let mut plain = Plain::open(site, user);
    plain.done("subscribe", &json!({"conversations": [conversation]}));
    plain
}

#[test]
fn a7_it_is_told_on_opening_then_as_it_changes() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let room = alice.group("room", &["bob", "carol"]);
    alice.done("subscribe", &json!({"conversations": [room]}));
    let (mut bob, mut carol) = (reader(&site, "bob", &room), reader(&site, "carol", &room));
    assert_eq!(open(&mut bob, &room), json!({"conversation": room, "users": [], "more": 0}));
    types(&mut alice, &room, true);
    sees(&mut bob, &room, &["alice"]);
    assert_eq!(open(&mut carol, &room), json!({"conversation": room, "users": ["alice"], "more": 0}));
    // Said again it is no news.
    types(&mut alice, &room, true);
    types(&mut alice, &room, false);
    for other in [&mut bob, &mut carol] {
        sees(other, &room, &[]);
    }
    assert!(!alice.has_event(), "she has it not open");
}

#[test]
fn a7_a_message_or_the_end_of_the_session_ends_it() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let direct = alice.direct("bob");
    alice.done("subscribe", &json!({"conversations": [direct]}));
    let mut bob = reader(&site, "bob", &direct);
    open(&mut bob, &direct);
    types(&mut alice, &direct, true);
    sees(&mut bob, &direct, &["alice"]);
    alice.send(&direct, "a1", "here it is");
    // The two come in either order: what is told waits for a second since the last time.
    let mut events = [bob.any_event(), bob.any_event()];
    events.sort_by_key(|event| event["event"].to_string());
    assert_eq!(events[0]["message"]["text"], "here it is");
    assert_eq!((&events[1]["event"], &events[1]["users"]), (&json!("typing"), &json!([])));
    types(&mut alice, &direct, true);
    sees(&mut bob, &direct, &["alice"]);
    drop(alice);
    sees(&mut bob, &direct, &[]);
}

#[test]
fn a7_a_users_other_device_sees_what_the_typing_one_does_not() {
    let site = Site::without_requests();
    let mut phone = Plain::open(&site, "alice");
    let direct = phone.direct("bob");
    phone.done("subscribe", &json!({"conversations": [direct]}));
    let (mut tablet, mut bob) = (reader(&site, "alice", &direct), reader(&site, "bob", &direct));
    for plain in [&mut phone, &mut tablet, &mut bob] {
        open(plain, &direct);
    }
    types(&mut phone, &direct, true);
    for other in [&mut tablet, &mut bob] {
        sees(other, &direct, &["alice"]);
    }
    assert!(!phone.has_event());
    types(&mut bob, &direct, true);
    sees(&mut phone, &direct, &["bob"]);
    sees(&mut tablet, &direct, &["alice", "bob"]);
    assert!(!bob.has_event(), "for bob it is as it was");
}

#[test]
fn a7_who_is_put_out_sees_nothing_after_it() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let room = alice.group("room", &["bob", "carol"]);
    alice.done("subscribe", &json!({"conversations": [room]}));
    let (mut bob, mut carol) = (reader(&site, "bob", &room), reader(&site, "carol", &room));
    for plain in [&mut bob, &mut carol] {
        open(plain, &room);
    }
    types(&mut bob, &room, true);
    sees(&mut carol, &room, &["bob"]);
    alice.done("remove", &json!({"conversation": room, "member": "bob"}));
    assert_eq!(carol.event("members")["members"]["removed"], json!(["bob"]));
    sees(&mut carol, &room, &[]);
    types(&mut alice, &room, true);
    sees(&mut carol, &room, &["alice"]);
    bob.event("members");
    assert!(!bob.has_event());
    assert_eq!(bob.refused("typing", &json!({"conversation": room, "on": true})), "NOT_FOUND");
    assert_eq!(error_code(&open(&mut bob, &room)["error"]), "NOT_FOUND");
}

#[test]
fn a7_over_the_sdk_it_lasts_across_a_reconnect() {
    in_both_forms(|form| async move {
        let mut site = Site::without_requests();
        let alice = client(&site, form, "alice");
        let mut config = ClientConfig::new(site.url(), StaticToken::new(site.token("bob")));
        config.form = form;
        let bob = Client::connect(config).expect("a good address");
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        for client in [&alice, &bob] {
            client.subscribe(&id, None).await.expect("a member");
        }
        let opened = bob.open(&[&id]).await.expect("answered");
        assert_eq!((opened.len(), opened[0].error.as_ref(), opened[0].users.len()), (1, None, 0));
        let mut events = bob.events();
        alice.typing(&id, true).await.expect("open");
        let told = |users: &[&str]| {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            Some(Event::Typing { conversation: id.clone(), users, more: 0 })
        };
        assert_eq!(events.next().await, told(&["alice"]));
        site.kill();
        site.start_again();
        assert_eq!(events.next().await, told(&[]), "it opened the conversation again");
        // Both are there again when a message has come through.
        alice.send(&id, "back").await.expect("stored");
        assert!(matches!(events.next().await, Some(Event::Message(_))));
        // Confirmed only when her subscription is back too.
        alice.subscribe(&id, None).await.expect("a member");
        alice.typing(&id, true).await.expect("open");
        assert_eq!(events.next().await, told(&["alice"]));
        let stranger = client(&site, form, "mallory");
        let opened = stranger.open(&[&id]).await.expect("answered");
        assert!(opened[0].error.is_some());
    });
}
