//! C5, C6: how far members have read and received, who is told, and what is unread: after reconnects and restarts, too.

use serde_json::{Value, json};
use switchyard_client::protocol::v1::{MarkPage, Marks, MemberMarks};
use switchyard_client::{Client, ClientConfig, Event, Events, StaticToken};

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, error_code, keys};
use crate::site::{Site, now};

/// A session that reads the conversation.
fn reader(site: &Site, user: &str, conversation: &str) -> Plain {
    let mut plain = Plain::open(site, user);
    plain.done("subscribe", &json!({"conversations": [conversation]}));
    plain
}

fn mark(plain: &mut Plain, conversation: &str, what: &str, seq: u64) -> Value {
    plain.done("mark", &json!({"conversation": conversation, what: seq}))
}

/// The next event says that this member has come so far.
fn sees(plain: &mut Plain, conversation: &str, user: &str, read: u64, delivered: u64) {
    let event = plain.event("marks");
    assert_eq!(keys(&event), ["conversation", "event", "marks"]);
    let marks = event["marks"].as_array().expect("a list");
    assert_eq!((&event["conversation"], marks.len()), (&json!(conversation), 1), "{event}");
    assert_eq!(keys(&marks[0]), ["delivered", "delivered_ms", "read", "read_ms", "user"]);
    let told = (&marks[0]["user"], marks[0]["read"].as_u64(), marks[0]["delivered"].as_u64());
    assert_eq!(told, (&json!(user), Some(read), Some(delivered)), "{event}");
}

/// What is unread, and up to where it is read.
fn unread(plain: &mut Plain, conversation: &str) -> (u64, u64) {
    let data = plain.done("unread", &json!({"conversations": [conversation]}));
    assert_eq!(keys(&data), ["conversations", "total", "unread"]);
    let one = &data["conversations"][0];
    assert_eq!(keys(one), ["conversation", "read", "unread"]);
    let detail = plain.done("get", &json!({"conversation": conversation}));
    let detail = &detail["conversation"];
    assert_eq!((&detail["unread"], &detail["read"]), (&one["unread"], &one["read"]));
    assert_eq!(data["total"], one["unread"]);
    (one["unread"].as_u64().expect("a number"), one["read"].as_u64().expect("a number"))
}

#[test]
fn c5_a_message_is_sent_then_delivered_then_read() {
    let site = Site::without_requests();
    let mut alice = Plain::open(&site, "alice");
    let direct = alice.direct("bob");
    alice.done("subscribe", &json!({"conversations": [direct]}));
    let (mut phone, mut tablet) = (reader(&site, "bob", &direct), reader(&site, "bob", &direct));
    let before = now() * 1_000;
    let id = alice.send(&direct, "a1", "hello")["message"]["id"].clone();
    for plain in [&mut alice, &mut phone, &mut tablet] {
        plain.event("message");
    }
    let marked = mark(&mut phone, &direct, "delivered", 1);
    assert_eq!(keys(&marked), ["conversation", "marks", "unread"]);
    assert_eq!(
        (&marked["unread"], &marked["marks"]["delivered"], &marked["marks"]["read"]),
        (&json!(1), &json!(1), &json!(0))
    );
    for plain in [&mut alice, &mut phone, &mut tablet] {
        sees(plain, &direct, "bob", 0, 1);
    }
    let marked = phone.done("mark", &json!({"id": id}));
    assert_eq!((&marked["unread"], &marked["marks"]["read"]), (&json!(0), &json!(1)));
    for plain in [&mut alice, &mut phone, &mut tablet] {
        sees(plain, &direct, "bob", 1, 1);
    }
    // Said again, or less of it, it is no news.
    mark(&mut tablet, &direct, "read", 1);
    mark(&mut tablet, &direct, "delivered", 0);
    let seen = alice.done("marks", &json!({"id": id}));
    assert_eq!(keys(&seen), ["marks", "more"]);
    let bob = &seen["marks"][1];
    assert_eq!((&bob["user"], &seen["more"]), (&json!("bob"), &json!(false)));
    let (delivered, read) = (bob["delivered_ms"].as_u64().expect("a time"), bob["passed_ms"].as_u64().expect("a time"));
    assert!(before <= delivered && delivered <= read && read < before + 120_000, "{bob}");
    // What bob writes moves his own mark; the message is all that is told of it.
    tablet.send(&direct, "b1", "hello, too");
    alice.event("message");
    let seen = alice.done("marks", &json!({"conversation": direct, "seq": 2}));
    assert_eq!((seen["marks"].as_array().map(Vec::len), &seen["marks"][0]["user"]), (Some(1), &json!("bob")));
    assert!(!alice.has_event());
}

#[test]
fn c6_unread_is_what_others_wrote_since() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let (direct, room) = (alice.direct("bob"), alice.group("room", &["bob"]));
    for n in 0..3 {
        alice.send(&direct, &format!("a{n}"), "hello");
    }
    alice.done("update", &json!({"conversation": room, "name": "a better one"}));
    alice.send(&room, "r1", "hello");
    let mut bob = Plain::open(&site, "bob");
    assert_eq!((unread(&mut alice, &direct), unread(&mut bob, &direct)), ((0, 3), (3, 0)));
    mark(&mut bob, &direct, "read", 1);
    let mut again = Plain::open(&site, "bob");
    assert_eq!(unread(&mut again, &direct), (2, 1), "on whatever device");
    let data = again.done("unread", &json!({"conversations": [direct, room, "X", direct]}));
    assert_eq!(data["total"], 5);
    assert_eq!(data["conversations"][1], json!({"conversation": room, "unread": 1, "read": 0}), "a name is no message");
    assert_eq!(error_code(&data["conversations"][2]["error"]), "NOT_FOUND");
    // What is deleted before it was read no longer counts; what was read before does not either.
    for seq in [1, 3] {
        alice.done("delete", &json!({"conversation": direct, "seq": seq}));
    }
    assert_eq!(unread(&mut bob, &direct), (1, 1));
    assert_eq!(mark(&mut bob, &direct, "read", 2)["unread"], 0);
    bob.send(&direct, "b1", "now I have read it");
    assert_eq!((unread(&mut bob, &direct), unread(&mut alice, &direct)), ((0, 6), (1, 3)));
    assert_eq!(
        bob.done("unread", &json!({"conversations": []})),
        json!({"conversations": [], "total": 0, "unread": 0})
    );
    // Who joins has not missed what was there before.
    alice.done("add", &json!({"conversation": room, "members": ["carol"]}));
    alice.send(&room, "r2", "welcome");
    let mut carol = Plain::open(&site, "carol");
    assert_eq!(unread(&mut carol, &room), (1, 3));
    // A closed conversation can be read, and so be marked.
    alice.done("close", &json!({"conversation": room}));
    assert_eq!(mark(&mut carol, &room, "read", 4)["unread"], 0);
}

#[test]
fn c6_marks_outlast_a_kill_a_second_later_and_an_orderly_end_at_once() {
    let mut site = Site::without_requests();
    let mut alice = Plain::open(&site, "alice");
    let direct = alice.direct("bob");
    alice.done("subscribe", &json!({"conversations": [direct]}));
    for n in 0..5 {
        alice.send(&direct, &format!("a{n}"), "hello");
        alice.event("message");
    }
    alice.done("delete", &json!({"conversation": direct, "seq": 5}));
    alice.event("deleted");
    let mut bob = Plain::open(&site, "bob");
    mark(&mut bob, &direct, "read", 2);
    sees(&mut alice, &direct, "bob", 2, 2);
    // This is told a second after the first, which is stored by then.
    mark(&mut bob, &direct, "delivered", 4);
    sees(&mut alice, &direct, "bob", 2, 4);
    site.kill();
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    let (left, read) = unread(&mut bob, &direct);
    assert_eq!((left, read), (2, 2), "of three one is deleted");
    assert_eq!(mark(&mut bob, &direct, "read", 3)["unread"], 1, "though memory begins anew");
    site.ask_to_end();
    assert!(site.ended().success());
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    assert_eq!((unread(&mut bob, &direct), unread(&mut alice, &direct)), ((1, 3), (0, 5)));
}

#[test]
fn c5_in_larger_groups_less_is_told() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let names: Vec<String> = (0..99).map(|n| format!("user{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (small, large) = (alice.group("small", &names[..32]), alice.group("large", &names));
    for room in [&small, &large] {
        alice.send(room, "a1", "hello");
    }
    let mut reads = reader(&site, "user01", &small);
    let mut bob = reader(&site, "user00", &small);
    // Of 33 members nobody is told what was delivered to whom, but what is read.
    let marked = mark(&mut bob, &small, "delivered", 1);
    assert_eq!((&marked["marks"]["delivered"], &marked["unread"]), (&json!(0), &json!(1)));
    mark(&mut bob, &small, "read", 1);
    sees(&mut reads, &small, "user00", 1, 1);
    sees(&mut bob, &small, "user00", 1, 1);
    // With 100 members all are told, with 101 each of their own.
    for plain in [&mut reads, &mut bob] {
        plain.done("subscribe", &json!({"conversations": [large]}));
    }
    mark(&mut bob, &large, "read", 1);
    sees(&mut reads, &large, "user00", 1, 1);
    sees(&mut bob, &large, "user00", 1, 1);
    alice.done("add", &json!({"conversation": large, "members": ["zoe"]}));
    alice.send(&large, "a2", "hello");
    let mut tablet = reader(&site, "user00", &large);
    for plain in [&mut reads, &mut bob] {
        plain.event("members");
        plain.event("message");
    }
    mark(&mut bob, &large, "read", 3);
    for own in [&mut bob, &mut tablet] {
        sees(own, &large, "user00", 3, 3);
    }
    assert!(!reads.has_event());
    // Who wants to know asks.
    let page = |plain: &mut Plain, after: &str| {
        let page = plain.done("marks", &json!({"conversation": large, "seq": 1, "after": after, "limit": 1}));
        (page["marks"][0]["user"].clone(), page["more"].clone())
    };
    assert_eq!(page(&mut reads, "a"), (json!("alice"), json!(true)));
    assert_eq!(page(&mut reads, "alice"), (json!("user00"), json!(false)));
}

#[test]
fn c5_who_was_put_out_neither_marks_nor_is_told() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let room = alice.group("room", &["bob", "carol"]);
    alice.send(&room, "a1", "hello");
    let (mut bob, mut carol) = (reader(&site, "bob", &room), reader(&site, "carol", &room));
    alice.done("remove", &json!({"conversation": room, "member": "bob"}));
    bob.event("members");
    carol.event("members");
    mark(&mut carol, &room, "read", 1);
    sees(&mut carol, &room, "carol", 1, 1);
    assert!(!bob.has_event());
    assert_eq!(bob.refused("mark", &json!({"conversation": room, "read": 1})), "NOT_FOUND");
    assert_eq!(bob.refused("marks", &json!({"conversation": room})), "NOT_FOUND");
    let marks = alice.done("marks", &json!({"conversation": room}));
    assert_eq!(marks["marks"].as_array().map(Vec::len), Some(2));
}

/// What is told of bob once he has read so far; messages and marks of others may come first.
async fn bobs_mark(events: &mut Events, read: u64) -> MemberMarks {
    loop {
        let marks = match events.next().await.expect("the client is open") {
            Event::Marks { marks, .. } => marks,
            Event::Message(_) => continue,
            other => panic!("{other:?}"),
        };
        let bob = marks.into_iter().find(|marks| marks.user == "bob" && marks.read >= read);
        if let Some(bob) = bob {
            return bob;
        }
    }
}

#[test]
fn c5_c6_over_the_sdk_what_was_said_last_outlasts_a_kill() {
    in_both_forms(|form| async move {
        let mut site = Site::without_requests();
        let alice = client(&site, form, "alice");
        let mut config = ClientConfig::new(site.url(), StaticToken::new(site.token("bob")));
        config.form = form;
        let bob = Client::connect(config).expect("a good address");
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        alice.subscribe(&id, None).await.expect("a member");
        let mut events = alice.events();
        for _ in 0..4 {
            alice.send(&id, "hello").await.expect("stored");
        }
        assert_eq!(bob.unread(&[&id]).await.expect("counted").total, 4);
        bob.mark_delivered(&id, 4).await.expect("open");
        bob.mark_read(&id, 1).await.expect("open");
        for seq in [2, 3] {
            bob.mark_read(&id, seq).await.expect("open");
        }
        // However they were said, the newest is told in the end.
        let told = bobs_mark(&mut events, 3).await;
        assert_eq!((told.read, told.delivered), (3, 4));
        site.kill();
        bob.mark_read(&id, 4).await.expect("open");
        site.start_again();
        bobs_mark(&mut events, 4).await;
        let counts = bob.unread(&[&id]).await.expect("counted");
        assert_eq!((counts.total, counts.conversations[0].read), (0, 4));
        let page: MarkPage = alice.seen(&id, 4, None).await.expect("a member");
        assert_eq!(page.marks.iter().map(|marks| &*marks.user).collect::<Vec<_>>(), ["alice", "bob"]);
        let all = Marks { conversation: id.clone(), ..Marks::default() };
        assert_eq!(alice.marks(all).await.expect("a member").marks.len(), 2);
        // A mark above the head is the application's mistake; it does no harm.
        bob.mark_read(&id, 99).await.expect("open");
        alice.send(&id, "bye").await.expect("stored");
        assert_eq!(bob.get(&id).await.expect("a member").unread, 1);
        let stranger = client(&site, form, "mallory");
        let refused = stranger.unread(&[&id]).await.expect("answered");
        assert!(refused.conversations[0].error.is_some());
        assert!(stranger.seen(&id, 1, None).await.is_err());
    });
}
