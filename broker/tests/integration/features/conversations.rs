//! Conversations: made once, joined and left, and looked at.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::plain::{Plain, keys};
use crate::site::Site;

#[test]
fn b1_asking_again_gives_the_same_conversation() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let first = alice.done("create", &json!({"kind": "direct", "members": ["bob"]}));
    assert_eq!(keys(&first), ["conversation", "created"]);
    assert_eq!(first["created"], true);
    let conversation = &first["conversation"];
    let expected = [
        "closed",
        "created_ms",
        "first_available",
        "head",
        "id",
        "kind",
        "member_count",
        "pins",
        "read",
        "request",
        "role",
        "unread",
    ];
    assert_eq!(keys(conversation), expected);
    assert_eq!((&conversation["kind"], &conversation["member_count"]), (&json!("direct"), &json!(2)));

    let id = &conversation["id"];
    for (asker, other) in [(&mut alice, "bob"), (&mut bob, "alice")] {
        let again = asker.done("create", &json!({"kind": "direct", "members": [other]}));
        assert_eq!((&again["conversation"]["id"], &again["created"]), (id, &json!(false)));
        // The asker may name themselves too.
        let both = asker.done("create", &json!({"kind": "direct", "members": ["alice", "bob"]}));
        assert_eq!(&both["conversation"]["id"], id);
    }
    // Another context is another conversation, and a group is always a new one.
    let about = alice.done("create", &json!({"kind": "direct", "members": ["bob"], "context": "order:7"}));
    assert_ne!(&about["conversation"]["id"], id);
    assert_eq!(about["conversation"]["context"], "order:7");
    assert_ne!(alice.group("g", &["bob"]), alice.group("g", &["bob"]));
    // So is that of another tenant's people of the same names.
    let mut elsewhere = Plain::open_with(&site, &site.token_of("elsewhere", "alice"));
    let theirs = elsewhere.done("create", &json!({"kind": "direct", "members": ["bob"]}));
    assert_eq!(theirs["created"], true);
    assert_ne!(&theirs["conversation"]["id"], id);
}

#[test]
fn b1_both_at_once_get_the_same_conversation_and_one_made_it() {
    let site = Site::dev();
    for round in 0..10 {
        let (ann, ben) = (format!("ann{round}"), format!("ben{round}"));
        let start = Barrier::new(2);
        let ask = |user: &str, other: &str| {
            let mut plain = Plain::open(&site, user);
            start.wait();
            plain.done("create", &json!({"kind": "direct", "members": [other]}))
        };
        let answers: Vec<Value> = thread::scope(|scope| {
            let one = scope.spawn(|| ask(&ann, &ben));
            let other = scope.spawn(|| ask(&ben, &ann));
            [one, other].into_iter().map(|asker| asker.join().expect("an answer")).collect()
        });
        assert_eq!(answers[0]["conversation"]["id"], answers[1]["conversation"]["id"]);
        assert_ne!(answers[0]["created"], answers[1]["created"], "one of the two made it");
    }
}

/// The members of a conversation, each with their role.
fn members(plain: &mut Plain, conversation: &str) -> Vec<(String, String)> {
    let page = plain.done("members", &json!({"conversation": conversation}));
    assert_eq!(keys(&page), ["members", "more"]);
    assert_eq!(page["more"], false);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = page["members"].as_array().expect("a list");
    assert!(list.iter().all(|member| keys(member) == ["role", "user"]));
    list.iter().map(|member| (text(&member["user"]), text(&member["role"]))).collect()
}

fn roles(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(user, role)| ((*user).to_owned(), (*role).to_owned())).collect()
}

#[test]
fn b2_a_groups_admin_adds_and_removes_and_every_member_sees_it() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let mut carol = Plain::open(&site, "carol");
    let group = alice.group("team", &["bob"]);
    assert_eq!(members(&mut bob, &group), roles(&[("alice", "admin"), ("bob", "member")]));
    bob.done("subscribe", &json!({"conversations": [group]}));

    assert_eq!(carol.refused("get", &json!({"conversation": group})), "NOT_FOUND");
    let added = alice.done("add", &json!({"conversation": group, "members": ["carol", "bob"]}));
    assert_eq!(keys(&added), ["conversation", "seq"]);
    let event = bob.event("members");
    assert_eq!(keys(&event), ["conversation", "event", "members", "seq"]);
    assert_eq!((&event["conversation"], &event["seq"]), (&json!(group), &added["seq"]));
    let change = &event["members"];
    assert_eq!(keys(change), ["added", "by", "promoted", "removed", "time_ms"]);
    assert_eq!(change["added"], json!([{"user": "carol", "role": "member"}]), "bob was in already");
    assert_eq!((&change["by"], &change["removed"]), (&json!("alice"), &json!([])));
    carol.send(&group, "c1", "hello all");
    assert_eq!(bob.event("message")["message"]["sender"], "carol");

    assert_eq!(bob.refused("add", &json!({"conversation": group, "members": ["dave"]})), "FORBIDDEN");
    assert_eq!(bob.refused("remove", &json!({"conversation": group, "member": "carol"})), "FORBIDDEN");
    assert_eq!(alice.refused("remove", &json!({"conversation": group, "member": "dave"})), "NOT_FOUND");

    alice.done("remove", &json!({"conversation": group, "member": "carol"}));
    assert_eq!(bob.event("members")["members"]["removed"], json!(["carol"]));
    assert_eq!(carol.refused("history", &json!({"conversation": group})), "NOT_FOUND");
    let body = json!({"conversation": group, "client_id": "c2", "text": "still here?"});
    assert_eq!(carol.refused("send", &body), "NOT_FOUND");
    assert_eq!(members(&mut bob, &group), roles(&[("alice", "admin"), ("bob", "member")]));
}

#[test]
fn b2_plain_members_add_where_the_policy_lets_them() {
    let site = Site::with_env(&[("SWITCHYARD__CONVERSATIONS__MEMBERS_ADD", "true")]);
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("open", &["bob"]);
    bob.done("add", &json!({"conversation": group, "members": ["carol"]}));
    assert_eq!(bob.refused("remove", &json!({"conversation": group, "member": "carol"})), "FORBIDDEN");
    assert_eq!(members(&mut alice, &group).len(), 3);
}

#[test]
fn b2_the_last_admins_leaving_promotes_the_oldest_member() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let mut zoe = Plain::open(&site, "zoe");
    let group = alice.group("team", &[]);
    alice.done("add", &json!({"conversation": group, "members": ["zoe"]}));
    alice.done("add", &json!({"conversation": group, "members": ["bob"]}));
    zoe.done("subscribe", &json!({"conversations": [group]}));

    bob.done("leave", &json!({"conversation": group}));
    let left = zoe.event("members");
    assert_eq!((&left["members"]["removed"], &left["members"]["promoted"]), (&json!(["bob"]), &json!([])));
    alice.done("add", &json!({"conversation": group, "members": ["bob"]}));
    zoe.event("members");

    alice.done("leave", &json!({"conversation": group}));
    let left = zoe.event("members");
    assert_eq!(left["members"]["removed"], json!(["alice"]));
    assert_eq!(left["members"]["promoted"], json!([{"user": "zoe", "role": "admin"}]), "zoe came before bob");
    assert_eq!(members(&mut zoe, &group), roles(&[("bob", "member"), ("zoe", "admin")]));
    assert_eq!(alice.refused("get", &json!({"conversation": group})), "NOT_FOUND");

    // The heir has the rights that go with it; the last one may turn off the light.
    zoe.done("remove", &json!({"conversation": group, "member": "bob"}));
    zoe.done("leave", &json!({"conversation": group}));
    assert_eq!(zoe.refused("get", &json!({"conversation": group})), "NOT_FOUND");
}

#[test]
fn b8_detail_members_by_the_page_and_a_new_name_that_all_see() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let body =
        json!({"kind": "group", "members": ["bob", "carol", "dave"], "name": "team", "avatar": "https://a/1.png"});
    let id = alice.done("create", &body)["conversation"]["id"].as_str().expect("an id").to_owned();
    bob.done("subscribe", &json!({"conversations": [id]}));

    let detail = bob.done("get", &json!({"conversation": id}));
    assert_eq!(keys(&detail), ["conversation"]);
    let conversation = &detail["conversation"];
    let expected = [
        "avatar",
        "closed",
        "created_ms",
        "first_available",
        "head",
        "id",
        "kind",
        "member_count",
        "name",
        "pins",
        "read",
        "role",
        "unread",
    ];
    assert_eq!(keys(conversation), expected);
    assert_eq!((&conversation["name"], &conversation["role"]), (&json!("team"), &json!("member")));
    assert_eq!((&conversation["member_count"], &conversation["kind"]), (&json!(4), &json!("group")));

    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = bob.done("members", &json!({"conversation": id, "limit": 3, "after": after}));
        let users = page["members"].as_array().expect("a list").iter().map(|member| member["user"].clone());
        seen.extend(users);
        after = seen.last().expect("somebody").clone();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, ["alice", "bob", "carol", "dave"]);

    let changed = alice.done("update", &json!({"conversation": id, "name": "the team"}));
    let event = bob.event("conversation");
    assert_eq!(keys(&event), ["change", "conversation", "event", "seq"]);
    assert_eq!(event["seq"], changed["seq"]);
    assert_eq!(keys(&event["change"]), ["by", "name", "time_ms"], "the avatar stays");
    assert_eq!((&event["change"]["name"], &event["change"]["by"]), (&json!("the team"), &json!("alice")));
    alice.done("update", &json!({"conversation": id, "avatar": ""}));
    assert_eq!(bob.event("conversation")["change"]["avatar"], "");
    alice.done("update", &json!({"conversation": id, "context": "order 7"}));
    let event = bob.event("conversation");
    assert_eq!(keys(&event["change"]), ["by", "context", "time_ms"]);
    assert_eq!(event["change"]["context"], "order 7");
    let detail = bob.done("get", &json!({"conversation": id}));
    assert_eq!(detail["conversation"]["name"], "the team");
    assert_eq!(detail["conversation"]["context"], "order 7");
    alice.done("update", &json!({"conversation": id, "context": ""}));
    let detail = bob.done("get", &json!({"conversation": id}));
    assert!(detail["conversation"].get("context").is_none(), "it is taken away: {detail}");
    assert_eq!(bob.refused("update", &json!({"conversation": id, "name": "mine"})), "FORBIDDEN");
}
