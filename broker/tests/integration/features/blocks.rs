//! B5 and B9: users block others, in both forms, on all devices, and after a kill.

use serde_json::{Value, json};
use switchyard_client::Error;
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::List;

use super::sdk::{client, in_both_forms};
use crate::plain::{Plain, keys};
use crate::process::said;
use crate::site::Site;

fn block(plain: &mut Plain, user: &str) {
    assert_eq!(plain.done("block", &json!({"user": user})), json!({}));
}

fn unblock(plain: &mut Plain, user: &str) {
    assert_eq!(plain.done("unblock", &json!({"user": user})), json!({}));
}

fn message(conversation: &str, client_id: &str) -> Value {
    json!({"conversation": conversation, "client_id": client_id, "text": "hello"})
}

fn blocks(plain: &mut Plain) -> Value {
    plain.done("blocks", &json!({}))
}

#[test]
fn b5_a_block_ends_what_the_two_say_to_each_other_and_nothing_else() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let direct = alice.direct("bob");
    let about = alice.done("create", &json!({"kind": "direct", "members": ["bob"], "context": "order 7"}));
    let about = about["conversation"]["id"].as_str().expect("an id").to_owned();
    let group = alice.group("room", &["bob"]);
    let first = bob.send(&direct, "b1", "hi")["message"]["id"].clone();
    let own = alice.send(&direct, "a1", "ho")["message"]["id"].clone();

    block(&mut alice, "bob");
    block(&mut alice, "bob");
    assert_eq!(blocks(&mut alice), json!({"users": ["bob"], "more": false}));
    assert_eq!(blocks(&mut bob), json!({"users": [], "more": false}), "it is alice's");
    for conversation in [&direct, &about] {
        let texts = [&mut bob, &mut alice].map(|plain| {
            let reply = plain.ask("send", &message(conversation, "x1"));
            assert_eq!(reply["error"]["code"], "FORBIDDEN");
            reply["error"]["message"].as_str().expect("words").to_owned()
        });
        assert!(!texts[0].contains("unblock") && texts[1].contains("unblock"), "{texts:?}");
    }
    // What he would write by other ways.
    for (name, ask) in [
        ("edit", json!({"id": first, "text": "other words"})),
        ("react", json!({"id": own, "emoji": "+1"})),
        ("pin", json!({"id": own})),
        ("close", json!({"conversation": direct})),
    ] {
        assert_eq!(bob.refused(name, &ask), "FORBIDDEN", "{name}");
    }
    for (name, ask) in
        [("edit", json!({"id": own, "text": "other words"})), ("react", json!({"id": first, "emoji": "+1"}))]
    {
        assert_eq!(alice.refused(name, &ask), "FORBIDDEN", "{name}");
    }
    // What was said before is there, may be read, and taken away by whoever said it; a message that was sent is answered.
    for plain in [&mut alice, &mut bob] {
        let page = plain.done("history", &json!({"conversation": direct}));
        assert_eq!((page["messages"].as_array().map(Vec::len), &page["head"]), (Some(2), &json!(2)));
    }
    bob.done("mark", &json!({"conversation": direct, "read": 2}));
    alice.done("subscribe", &json!({"conversations": [direct, group]}));
    assert_eq!(bob.send(&direct, "b1", "hi")["duplicate"], true);
    bob.done("delete", &json!({"id": first}));
    assert_eq!(alice.event("deleted")["deleted"]["id"], first);
    // Their group goes on.
    bob.send(&group, "b2", "all here?");
    assert_eq!(alice.event("message")["message"]["text"], "all here?");
    alice.send(&group, "a2", "yes");
    assert_eq!(alice.event("message")["message"]["text"], "yes");
    assert!(!alice.has_event(), "nothing of what was refused is told");

    unblock(&mut alice, "bob");
    unblock(&mut alice, "bob");
    assert_eq!(blocks(&mut alice), json!({"users": [], "more": false}));
    bob.send(&direct, "b3", "again");
    assert_eq!(alice.event("message")["message"]["text"], "again");
    alice.send(&about, "a3", "and about the order");
}

#[test]
fn b9_a_block_refuses_invitations() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let there = bob.direct("alice");
    let room = bob.group("room", &["carol"]);
    block(&mut alice, "bob");
    let direct = |members: Value, context: &str| json!({"kind": "direct", "members": members, "context": context});
    let group = |members: Value| json!({"kind": "group", "name": "g", "members": members});
    // The conversation that is there is found as it is; no other one is made.
    assert_eq!(bob.direct("alice"), there);
    assert_eq!(bob.refused("create", &direct(json!(["alice"]), "order 8")), "FORBIDDEN");
    assert_eq!(alice.refused("create", &direct(json!(["bob"]), "order 9")), "FORBIDDEN");
    for ask in [group(json!(["alice"])), group(json!(["carol", "alice", "dan"]))] {
        let reply = bob.ask("create", &ask);
        assert_eq!(reply["error"]["code"], "FORBIDDEN");
        assert!(!reply["error"]["message"].as_str().expect("words").contains("alice"), "who it is is not told");
    }
    assert_eq!(bob.refused("add", &json!({"conversation": room, "members": ["alice"]})), "FORBIDDEN");
    assert_eq!(bob.refused("add", &json!({"conversation": room, "members": ["dan", "alice"]})), "FORBIDDEN");
    let members = bob.done("members", &json!({"conversation": room}));
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2), "all of them or none");
    let listed = |plain: &mut Plain| plain.done("list", &json!({}))["conversations"].as_array().map(Vec::len);
    assert_eq!(listed(&mut alice), Some(1));
    // Others may bring them together, and she may bring him.
    let mut carol = Plain::open(&site, "carol");
    bob.done("add", &json!({"conversation": room, "members": ["dan"]}));
    let both = carol.group("both", &["alice", "bob"]);
    bob.send(&both, "b1", "hi");
    alice.group("hers", &["bob"]);
    // No word tells a stranger that the group is there, nor who has blocked whom; and nobody is brought there.
    let (mut mallory, mut eve) = (Plain::open(&site, "mallory"), Plain::connect(&site));
    eve.done("hello", &json!({"token": site.token("eve"), "subscribe": "all"}));
    block(&mut alice, "mallory");
    block(&mut mallory, "dan");
    let nothing = mallory.ask("add", &json!({"conversation": "0".repeat(32), "members": ["eve"]}))["error"].clone();
    assert_eq!(nothing["code"], "NOT_FOUND");
    for members in [json!(["alice"]), json!(["dan"]), json!(["eve"]), json!(["eve", "alice"]), json!(["mallory"])] {
        let reply = mallory.ask("add", &json!({"conversation": room, "members": members}));
        assert_eq!(reply["error"], nothing, "{members}");
    }
    assert_eq!((listed(&mut eve), listed(&mut alice)), (Some(0), Some(3)));
    assert!(!eve.has_event());
    assert_eq!(bob.done("members", &json!({"conversation": room}))["members"].as_array().map(Vec::len), Some(3));

    unblock(&mut alice, "bob");
    bob.done("add", &json!({"conversation": room, "members": ["alice"]}));
    bob.done("create", &direct(json!(["alice"]), "order 8"));
}

/// Row 9, by a block: whoever writes on an open connection is stopped by the time that it is answered.
#[test]
fn n09_a_block_stops_a_live_sender_at_once() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let direct = alice.direct("bob");
    alice.done("subscribe", &json!({"conversations": [direct]}));
    let mut next = 0;
    for _ in 0..8 {
        // Many are under way when she blocks him.
        let burst: Vec<u64> = (0..30)
            .map(|_| {
                next += 1;
                bob.post("send", &message(&direct, &format!("b{next}")))
            })
            .collect();
        block(&mut alice, "bob");
        let head = alice.done("get", &json!({"conversation": direct}))["conversation"]["head"].clone();
        let stored = burst.iter().filter(|id| bob.reply(**id)["ok"] == true).count();
        assert_eq!(bob.refused("send", &message(&direct, "late")), "FORBIDDEN");
        let detail = alice.done("get", &json!({"conversation": direct}))["conversation"].clone();
        assert_eq!((&detail["head"], &detail["blocked"]), (&head, &json!(true)), "nothing came after the answer");
        for _ in 0..stored {
            alice.event("message");
        }
        assert!(!alice.has_event());
        unblock(&mut alice, "bob");
    }
}

#[test]
fn b5_who_types_is_seen_no_more_once_blocked() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let (direct, group) = (alice.direct("bob"), alice.group("room", &["bob"]));
    bob.done("accept", &json!({"conversation": direct}));
    let both = json!({"conversations": [group, direct]});
    alice.done("subscribe", &both);
    alice.done("open", &both);
    bob.done("subscribe", &both);
    for conversation in [&group, &direct] {
        bob.done("typing", &json!({"conversation": conversation, "on": true}));
        let told = alice.event("typing");
        assert_eq!((&told["conversation"], &told["users"]), (&json!(conversation), &json!(["bob"])));
    }
    block(&mut alice, "bob");
    // By itself it would be over after that in the group, which is over after six seconds.
    let told = alice.event("typing");
    assert_eq!((&told["conversation"], &told["users"]), (&json!(direct), &json!([])));
    bob.done("typing", &json!({"conversation": group, "on": false}));
    let told = alice.event("typing");
    assert_eq!((&told["conversation"], &told["users"]), (&json!(group), &json!([])));
    for user in ["bob", "alice"] {
        let mut device = Plain::open(&site, user);
        device.done("subscribe", &json!({"conversations": [direct]}));
        assert_eq!(device.refused("typing", &json!({"conversation": direct, "on": true})), "FORBIDDEN", "{user}");
    }
    assert!(!alice.has_event());
}

#[test]
fn b5_all_devices_see_it_and_lists_and_details_tell_it() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let (direct, group) = (alice.direct("bob"), alice.group("room", &["bob"]));
    let mut devices = [0, 1].map(|_| {
        let mut device = Plain::connect(&site);
        device.done("hello", &json!({"token": site.token("alice"), "subscribe": "all"}));
        device
    });
    for (name, blocked) in [("block", true), ("unblock", false)] {
        alice.done(name, &json!({"user": "bob"}));
        for device in &mut devices {
            let event = device.event("listed");
            assert_eq!((keys(&event["listed"]), &event["conversation"]), (vec!["changed", "removed"], &json!(direct)));
            let told = event["listed"]["changed"]["conversation"].get("blocked").cloned();
            assert_eq!(told, blocked.then_some(json!(true)), "{event}");
            assert!(!device.has_event());
            assert_eq!(device.done("blocks", &json!({}))["users"], if blocked { json!(["bob"]) } else { json!([]) });
        }
        for conversation in [&direct, &group] {
            let detail = alice.done("get", &json!({"conversation": conversation}));
            assert_eq!(detail["conversation"].get("blocked").is_some(), blocked && *conversation == direct);
        }
        let list = alice.done("list", &json!({}));
        let entries = list["conversations"].as_array().expect("a list");
        let marked = entries.iter().filter(|entry| entry["conversation"]["blocked"] == true);
        assert_eq!(marked.count(), usize::from(blocked));
        let mut bob = Plain::open(&site, "bob");
        let detail = bob.done("get", &json!({"conversation": direct}));
        assert!(detail["conversation"].get("blocked").is_none(), "he is not told by that");
    }
}

#[test]
fn b5_a_block_outlives_the_process() {
    let mut site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let direct = alice.direct("bob");
    bob.send(&direct, "b1", "hi");
    block(&mut alice, "bob");
    for name in ["carol", "dan"] {
        block(&mut alice, name);
    }
    unblock(&mut alice, "carol");
    for _ in 0..2 {
        site.kill();
        site.start_again();
        // The conversation first: nobody has asked the home for anything yet.
        let mut bob = Plain::open(&site, "bob");
        assert_eq!(bob.refused("send", &message(&direct, "b2")), "FORBIDDEN");
        let ask = json!({"kind": "group", "name": "g", "members": ["alice"]});
        assert_eq!(bob.refused("create", &ask), "FORBIDDEN");
        let mut alice = Plain::open(&site, "alice");
        assert_eq!(blocks(&mut alice), json!({"users": ["bob", "dan"], "more": false}));
    }
    let mut alice = Plain::open(&site, "alice");
    unblock(&mut alice, "bob");
    site.kill();
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    assert_eq!(bob.send(&direct, "b2", "at last")["message"]["seq"], 2);

    // Whoever looks into the store finds the home's log, and not as a conversation.
    site.kill();
    let lines = site.dump(&["--home", "alice"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let decided = |seq: usize| (lines[seq]["home"].clone(), lines[seq]["seq"].clone());
    assert_eq!((lines.len(), decided(4)), (5, (json!("alice"), json!(4))));
    assert_eq!((&lines[0]["block"], &lines[4]["unblock"]), (&json!({"user": "bob"}), &json!({"user": "bob"})));
    let Some(data) = site.on_disk() else { return };
    let report: Value = serde_json::from_str(&said(&["verify", "--json", "--data", data])).expect("JSON");
    assert_eq!(report, json!({"ok": true, "conversations": 1, "events": 2, "homes": 1, "corrupt": []}));
}

#[test]
fn b5_bad_blocks_are_refused_and_there_is_a_limit() {
    let site = Site::with_env(&[
        ("SWITCHYARD__BUDGETS__CONNECTION__REQUESTS_BURST", "5000"),
        ("SWITCHYARD__BUDGETS__USER__REQUESTS_BURST", "5000"),
    ]);
    let mut alice = Plain::open(&site, "alice");
    for name in ["block", "unblock"] {
        for bad in ["", "alice", "a\u{0}", &"x".repeat(129)] {
            assert_eq!(alice.refused(name, &json!({"user": bad})), "BAD_REQUEST", "{name} {bad:?}");
        }
        assert_eq!(alice.refused(name, &json!({})), "BAD_REQUEST");
        assert_eq!(alice.refused(name, &json!({"user": ["bob"]})), "BAD_REQUEST");
    }
    for bad in [json!({"after": ""}), json!({"after": "a\u{0}"}), json!({"limit": -1}), json!({"limit": "all"})] {
        assert_eq!(alice.refused("blocks", &bad), "BAD_REQUEST", "{bad}");
    }
    // Whoever does not exist can be blocked, for nobody knows who does; a number is a user's id.
    for n in 0..1_000 {
        let ask = if n == 7 { json!({"user": 7}) } else { json!({"user": format!("user {n}")}) };
        alice.done("block", &ask);
    }
    assert_eq!(alice.refused("block", &json!({"user": "one more"})), "CONFLICT");
    block(&mut alice, "user 999");
    let (mut all, mut ask) = (Vec::new(), json!({"limit": 300}));
    loop {
        let page = alice.done("blocks", &ask);
        all.extend(page["users"].as_array().expect("a list").clone());
        assert_eq!(page["more"], all.len() < 1_000);
        if page["more"] == false {
            break;
        }
        ask = json!({"limit": 300, "after": all.last()});
    }
    assert_eq!((all.len(), all.contains(&json!("7"))), (1_000, true));
    assert!(all.is_sorted_by_key(|user| user.to_string()), "in the order of their ids");
    unblock(&mut alice, "user 0");
    block(&mut alice, "one more");
}

#[test]
fn n13_a_block_is_of_ones_own_tenant() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let direct = alice.direct("bob");
    let mut namesake = Plain::open_with(&site, &site.token_of("elsewhere", "alice"));
    block(&mut namesake, "bob");
    assert_eq!(blocks(&mut alice), json!({"users": [], "more": false}));
    bob.send(&direct, "b1", "hi");
    let mut his = Plain::open_with(&site, &site.token_of("elsewhere", "bob"));
    assert_eq!(his.refused("create", &json!({"kind": "direct", "members": ["alice"]})), "FORBIDDEN");
}

#[test]
fn b5_the_sdk_blocks_in_both_forms() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let (alice, bob) = (client(&site, form, "alice"), client(&site, form, "bob"));
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        bob.send(&id, "hi").await.expect("stored");
        alice.block("bob").await.expect("blocked");
        let refused = |error: Result<_, Error>| error.err().and_then(|error| error.code());
        assert_eq!(refused(bob.send(&id, "hey").await.map(drop)), Some(ErrorCode::Forbidden));
        assert_eq!(refused(alice.send(&id, "hey").await.map(drop)), Some(ErrorCode::Forbidden));
        assert_eq!(refused(bob.create_group("g", &["alice"]).await.map(drop)), Some(ErrorCode::Forbidden));
        assert_eq!(refused(alice.block("alice").await), Some(ErrorCode::BadRequest));
        let page = alice.blocks(None, 0).await.expect("a page");
        assert_eq!((page.users, page.more), (vec!["bob".to_owned()], false));
        assert!(alice.get(&id).await.expect("a member").blocked && !bob.get(&id).await.expect("a member").blocked);
        let list = alice.list(List::default()).await.expect("a list");
        assert!(list.conversations.iter().all(|entry| entry.conversation.as_ref().is_some_and(|it| it.blocked)));
        alice.unblock("bob").await.expect("unblocked");
        bob.send(&id, "hey").await.expect("stored");
    });
}

/// A session of a user whose token names this role. Once it is open, everybody may know what the user is.
fn open_as(site: &Site, user: &str, role: &str) -> Plain {
    Plain::open_with(site, &site.token_as(user, &[role]))
}

#[test]
fn b9_a_block_reaches_every_conversation_of_two_and_no_desk() {
    let mut site = Site::without_requests();
    let (mut sue, mut dan) = (open_as(&site, "sue", "SELLER"), open_as(&site, "dan", "SUPPORT"));
    let (mut alice, mut gus) = (Plain::open(&site, "alice"), open_as(&site, "gus", "MANAGER"));
    let make = |plain: &mut Plain, kind: &str, members: Value| {
        let data = plain.done("create", &json!({"kind": kind, "members": members}));
        data["conversation"]["id"].as_str().expect("an id").to_owned()
    };
    let shop = make(&mut alice, "customer_seller", json!(["sue"]));
    let staff = make(&mut dan, "internal", json!(["gus"]));
    let desk = make(&mut alice, "customer_support", json!(["dan"]));
    block(&mut sue, "alice");
    block(&mut dan, "gus");
    block(&mut dan, "alice");
    for restart in [false, true] {
        if restart {
            site.kill();
            site.start_again();
            (sue, dan) = (open_as(&site, "sue", "SELLER"), open_as(&site, "dan", "SUPPORT"));
            (alice, gus) = (Plain::open(&site, "alice"), open_as(&site, "gus", "MANAGER"));
        }
        for (blocker, blocked, conversation) in [(&mut sue, &mut alice, &shop), (&mut dan, &mut gus, &staff)] {
            for plain in [&mut *blocker, &mut *blocked] {
                let code = plain.refused("send", &message(conversation, "x1"));
                assert_eq!(code, "FORBIDDEN", "{conversation}");
            }
            assert_eq!(blocked.refused("close", &json!({"conversation": conversation})), "FORBIDDEN");
            let detail = |plain: &mut Plain| plain.done("get", &json!({"conversation": conversation}));
            assert_eq!(detail(blocker)["conversation"]["blocked"], true);
            assert!(detail(blocked)["conversation"].get("blocked").is_none());
        }
        // Another one is not begun either, by neither of them.
        let again = json!({"kind": "customer_seller", "members": ["sue"], "context": "order 7"});
        assert_eq!(alice.refused("create", &again), "FORBIDDEN");
        let again = json!({"kind": "customer_seller", "members": ["alice"], "context": "order 7"});
        assert_eq!(sue.refused("create", &again), "FORBIDDEN");
        // Whom one of the support has blocked is helped all the same, by that one too.
        let id = format!("d{restart}");
        alice.send(&desk, &id, "help");
        dan.send(&desk, &id, "at once");
    }
    unblock(&mut sue, "alice");
    alice.send(&shop, "a1", "is it there again?");
    sue.send(&shop, "s1", "yes");
    unblock(&mut dan, "gus");
    gus.send(&staff, "g1", "well");
}
