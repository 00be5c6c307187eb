//! Staff who look on, who take part, and who are staff no more.

use serde_json::{Value, json};

use super::{make, open_as};
use crate::plain::Plain;
use crate::site::Site;

fn subscribe(plain: &mut Plain, conversation: &str) {
    let data = plain.done("subscribe", &json!({"conversations": [conversation]}));
    assert_eq!(data["subscribed"][0].get("error"), None, "{data}");
}

fn members(plain: &mut Plain, conversation: &str) -> Value {
    plain.done("members", &json!({"conversation": conversation}))["members"].take()
}

#[test]
fn b9_who_writes_takes_part_and_who_looks_on_leaves_no_trace() {
    let mut site = Site::dev();
    let (mut ann, mut dan) = (Plain::open(&site, "ann"), open_as(&site, "dan", "SUPPORT"));
    let mut mia = Plain::connect(&site);
    mia.done("hello", &json!({"token": site.token_as("mia", &["MANAGER"]), "subscribe": "all"}));
    let support = make(&mut ann, "customer_support", &[]);
    ann.send(&support, "a1", "help");
    subscribe(&mut ann, &support);
    for plain in [&mut dan, &mut mia] {
        subscribe(plain, &support);
        plain.done("mark", &json!({"conversation": support, "read": 1}));
        let page = plain.done("history", &json!({"conversation": support}));
        assert_eq!(page["messages"][0]["text"], "help");
        let unread = plain.done("unread", &json!({"conversations": [support]}));
        assert_eq!((&unread["total"], &unread["conversations"][0]["read"]), (&json!(0), &json!(0)));
    }
    let customer = json!({"user": "ann", "role": "member"});
    assert_eq!(members(&mut ann, &support), json!([customer]));
    assert!(!ann.has_event(), "nobody is told that somebody looks on");

    let mut phone = Plain::connect(&site);
    phone.done("hello", &json!({"token": site.token_as("dan", &["SUPPORT"]), "subscribe": "all"}));
    let sent = dan.send(&support, "d1", "how can I help?");
    assert_eq!(sent["message"]["seq"], 3);
    let event = ann.event("members");
    assert_eq!(event["members"]["added"], json!([{"user": "dan", "role": "moderator"}]));
    assert_eq!((&event["members"]["by"], &event["seq"]), (&json!("dan"), &json!(2)));
    assert_eq!(ann.event("message")["message"], sent["message"]);
    // From here on it is his as well: it counts for him what he has not read, and it is in his list.
    ann.send(&support, "a2", "the cup is broken");
    while phone.any_event()["event"] != "listed" {}
    let entry = dan.done("list", &json!({}))["conversations"][0].take();
    assert_eq!(entry["conversation"]["id"], support.as_str());
    assert_eq!((&entry["conversation"]["unread"], &entry["conversation"]["role"]), (&json!(1), &json!("moderator")));
    assert_eq!(mia.done("list", &json!({}))["conversations"], json!([]), "she looked on");
    // She is told of one that she is given.
    dan.done("add", &json!({"conversation": support, "members": ["mia", "sue"]}));
    let mut kinds: Vec<Value> = (0..5).map(|_| mia.any_event()["event"].take()).collect();
    kinds.sort_by_key(Value::to_string);
    assert_eq!(kinds, ["listed", "members", "members", "message", "message"]);
    let all = json!([customer, {"user": "dan", "role": "moderator"}, {"user": "mia", "role": "moderator"},
        {"user": "sue", "role": "member"}]);
    assert_eq!(members(&mut ann, &support), all);
    dan.done("leave", &json!({"conversation": support}));
    assert_eq!(ann.refused("leave", &json!({"conversation": support})), "FORBIDDEN", "it is hers for good");

    site.kill();
    site.start_again();
    let mut dan = open_as(&site, "dan", "SUPPORT");
    let resumed = dan.done("resume", &json!({"positions": [{"conversation": support, "seq": 0}]}));
    let events = resumed["conversations"][0]["events"].as_array().expect("a list").clone();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["message", "members", "message", "message", "members", "members"]);
    assert_eq!(dan.send(&support, "d1", "how can I help?")["duplicate"], true, "and he does not come back for it");
    assert_eq!(members(&mut dan, &support), json!([customer, all[2], all[3]]));
}

#[test]
fn a7_staff_who_look_on_are_seen_typing_and_see_who_types() {
    let site = Site::dev();
    let (mut ann, mut dan) = (Plain::open(&site, "ann"), open_as(&site, "dan", "SUPPORT"));
    let support = make(&mut ann, "customer_support", &[]);
    for plain in [&mut ann, &mut dan] {
        subscribe(plain, &support);
        plain.done("open", &json!({"conversations": [support]}));
    }
    dan.done("typing", &json!({"conversation": support, "on": true}));
    assert_eq!(ann.event("typing")["users"], json!(["dan"]));
    // Something happens there, and he types on.
    ann.send(&support, "a1", "hello?");
    ann.event("message");
    dan.event("message");
    ann.done("typing", &json!({"conversation": support, "on": true}));
    assert_eq!(dan.event("typing")["users"], json!(["ann"]));
    dan.done("typing", &json!({"conversation": support, "on": false}));
    assert_eq!(ann.event("typing")["users"], json!([]));
    dan.done("close", &json!({"conversation": support}));
    // Sessions that have not typed yet: what one says again within a second or so is not passed on.
    let (mut mia, mut tablet) = (open_as(&site, "mia", "MANAGER"), Plain::open(&site, "ann"));
    for plain in [&mut tablet, &mut mia] {
        subscribe(plain, &support);
        assert_eq!(plain.refused("typing", &json!({"conversation": support, "on": true})), "CLOSED");
    }
    let mut joe = Plain::open(&site, "joe");
    assert_eq!(joe.refused("typing", &json!({"conversation": support, "on": true})), "NOT_FOUND");
}

#[test]
fn n14_who_is_staff_no_more_sees_nothing_from_then_on() {
    let site = Site::dev();
    let mut ann = Plain::open(&site, "ann");
    let (looked_on, took_part) = (make(&mut ann, "customer_support", &[]), {
        let data = ann.done("create", &json!({"kind": "customer_support", "context": "order 7"}));
        data["conversation"]["id"].as_str().expect("an id").to_owned()
    });
    let mut dan = open_as(&site, "dan", "SUPPORT");
    dan.send(&took_part, "d1", "I am there for you");
    let own = dan.direct("ann");
    for conversation in [&looked_on, &took_part, &own] {
        subscribe(&mut dan, conversation);
    }
    // A new token of the same rank changes nothing.
    let renewed = dan.done("renew", &json!({"token": site.token_as("dan", &["MANAGER"])}));
    assert_eq!(renewed.get("ended"), None);
    for (n, conversation) in [&looked_on, &took_part, &own].into_iter().enumerate() {
        ann.send(conversation, &format!("a{n}"), "seen");
        assert_eq!(dan.event("message")["conversation"], conversation.as_str());
    }
    let mut renewed = dan.done("renew", &json!({"token": site.token("dan")}));
    let mut ended = renewed["ended"].as_array_mut().map(std::mem::take).expect("a list");
    ended.sort_by_key(Value::to_string);
    let mut expected = [json!(looked_on), json!(took_part)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(ended, expected);
    for (n, conversation) in [&looked_on, &took_part, &own].into_iter().enumerate() {
        ann.send(conversation, &format!("b{n}"), "not seen, but the last");
    }
    assert_eq!(dan.event("message")["conversation"], own.as_str(), "what is his own goes on");
    assert!(!dan.has_event());
    for conversation in [&looked_on, &took_part] {
        let one = json!({"conversation": conversation});
        for name in ["get", "history", "members", "leave", "close", "marks"] {
            assert_eq!(dan.refused(name, &one), "NOT_FOUND", "{name}");
        }
        let send = json!({"conversation": conversation, "client_id": "d1", "text": "I am there for you"});
        assert_eq!(dan.refused("send", &send), "NOT_FOUND", "not even what he had sent comes back");
        let data = dan.done("subscribe", &json!({"conversations": [conversation]}));
        assert_eq!(data["subscribed"][0]["error"]["code"], "NOT_FOUND");
    }
    let list = dan.done("list", &json!({}));
    let ids: Vec<&Value> =
        list["conversations"].as_array().expect("a list").iter().map(|it| &it["conversation"]["id"]).collect();
    assert_eq!(ids, [&json!(own)], "nor the last message in a list");
    // As staff again he finds both, and is a member where he was one.
    dan.done("renew", &json!({"token": site.token_as("dan", &["ADMIN"])}));
    for conversation in [&looked_on, &took_part] {
        subscribe(&mut dan, conversation);
    }
    let list = dan.done("list", &json!({"kind": "customer_support"}));
    assert_eq!(list["conversations"][0]["conversation"]["id"], took_part.as_str());
}

#[test]
fn n14_a_new_conversation_is_told_to_sessions_of_staff_alone() {
    let site = Site::dev();
    let mut ann = Plain::open(&site, "ann");
    let mut dan = open_as(&site, "dan", "SUPPORT");
    let [mut at_work, mut at_home] = [site.token_as("dan", &["SUPPORT"]), site.token("dan")].map(|token| {
        let mut plain = Plain::connect(&site);
        plain.done("hello", &json!({"token": token, "subscribe": "all"}));
        plain
    });
    // The newest word of what he is was that of a customer: he says again that he is staff.
    dan.done("renew", &json!({"token": site.token_as("dan", &["MANAGER"])}));
    let support = make(&mut ann, "customer_support", &[]);
    dan.send(&support, "d1", "hello");
    assert_eq!(at_work.event("listed")["conversation"], support.as_str());
    dan.send(&support, "d2", "are you there?");
    // The first one may lie before the head from which on it is told.
    while at_work.event("message")["message"]["text"] != "are you there?" {}
    assert!(!at_home.has_event());
    assert_eq!(at_home.done("list", &json!({}))["conversations"], json!([]));
}

#[test]
fn b3_only_staff_are_brought_into_an_internal_group() {
    let site = Site::dev();
    let (mut dan, _mia) = (open_as(&site, "dan", "SUPPORT"), open_as(&site, "mia", "MANAGER"));
    let (mut ann, _gus) = (Plain::open(&site, "ann"), open_as(&site, "gus", "ADMIN"));
    let made = dan.done("create", &json!({"kind": "internal", "members": ["mia"], "name": "room"}));
    let room = made["conversation"]["id"].as_str().expect("an id").to_owned();
    for members in [json!(["ann"]), json!(["gus", "ann"])] {
        assert_eq!(dan.refused("add", &json!({"conversation": room, "members": members})), "FORBIDDEN");
    }
    let members = |dan: &mut Plain| dan.done("members", &json!({"conversation": room}))["members"].clone();
    assert_eq!(members(&mut dan).as_array().map(Vec::len), Some(2), "all of them or none");
    assert_eq!(ann.refused("get", &json!({"conversation": room})), "NOT_FOUND");
    dan.done("add", &json!({"conversation": room, "members": ["gus"]}));
    assert_eq!(members(&mut dan).as_array().map(Vec::len), Some(3));
}
