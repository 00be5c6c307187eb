//! Who may promote, demote, close and reopen, what is closed, and that all of it lasts.

use serde_json::{Value, json};
use switchyard_client::protocol::code::ErrorCode;
use switchyard_client::protocol::v1::{self, Role};
use switchyard_client::{Client, Draft, Error, Event};

use super::sdk::{client, in_both_forms, nameless};
use crate::plain::{Plain, keys};
use crate::site::Site;

/// One of the requests that change who is there, as what, and what it is called.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Promote(&'static str, Role),
    Demote(&'static str, Role),
    Close,
    Reopen,
    Add(&'static str),
    Remove(&'static str),
    Name,
    Leave,
}

impl Deed {
    async fn ask(self, client: &Client, conversation: &str) -> Result<v1::Changed, Error> {
        match self {
            Self::Promote(member, role) => client.promote(conversation, member, role).await,
            Self::Demote(member, role) => client.demote(conversation, member, role).await,
            Self::Close => client.close_conversation(conversation).await,
            Self::Reopen => client.reopen_conversation(conversation).await,
            Self::Add(user) => client.add(conversation, &[user]).await,
            Self::Remove(member) => client.remove(conversation, member).await,
            Self::Name => client.update(conversation, Some("ours"), None, None).await,
            Self::Leave => client.leave(conversation).await,
        }
    }
}

/// Yes.
const Y: Option<ErrorCode> = None;
/// No, by one's role.
const N: Option<ErrorCode> = Some(ErrorCode::Forbidden);
/// There is no such thing.
const X: Option<ErrorCode> = Some(ErrorCode::NotFound);
/// No, for it is closed.
const K: Option<ErrorCode> = Some(ErrorCode::Closed);
/// No, for somebody has to be admin.
const A: Option<ErrorCode> = Some(ErrorCode::Conflict);

/// What three people are answered.
type Answers = [Option<ErrorCode>; 3];

/// No, whoever asks.
const B: Option<ErrorCode> = Some(ErrorCode::BadRequest);

/// In the group alice is admin, ben moderator, cleo and eva are members. What alice, ben and cleo are answered in an open
/// group and in a closed one; a stranger is told of nothing.
const GROUP: [(Deed, Answers, Answers); 19] = [
    (Deed::Promote("eva", Role::Moderator), [Y, N, N], [K, N, N]),
    (Deed::Promote("eva", Role::Admin), [Y, N, N], [K, N, N]),
    (Deed::Promote("ben", Role::Moderator), [Y, N, N], [K, N, N]),
    (Deed::Promote("nobody", Role::Admin), [X, N, N], [K, N, N]),
    (Deed::Promote("eva", Role::Member), [B, B, B], [B, B, B]),
    (Deed::Demote("ben", Role::Member), [Y, N, N], [K, N, N]),
    (Deed::Demote("eva", Role::Moderator), [Y, N, N], [K, N, N]),
    (Deed::Demote("alice", Role::Moderator), [A, N, N], [K, N, N]),
    (Deed::Demote("nobody", Role::Member), [X, N, N], [K, N, N]),
    (Deed::Demote("alice", Role::Admin), [B, B, B], [B, B, B]),
    (Deed::Close, [Y, N, N], [Y, N, N]),
    (Deed::Reopen, [Y, N, N], [Y, N, N]),
    (Deed::Add("dan"), [Y, Y, N], [K, K, N]),
    (Deed::Remove("eva"), [Y, Y, N], [K, K, N]),
    // Oneself, too: going is always possible.
    (Deed::Remove("ben"), [Y, Y, N], [K, Y, N]),
    (Deed::Remove("alice"), [Y, N, N], [Y, K, N]),
    (Deed::Remove("nobody"), [X, X, N], [K, K, N]),
    (Deed::Name, [Y, Y, N], [K, K, N]),
    (Deed::Leave, [Y, Y, Y], [Y, Y, Y]),
];

/// In a direct conversation, for either of the two.
const DIRECT: [(Deed, Option<ErrorCode>); 9] = [
    (Deed::Promote("ben", Role::Moderator), N),
    (Deed::Demote("ben", Role::Member), N),
    (Deed::Close, Y),
    (Deed::Reopen, Y),
    (Deed::Add("dan"), N),
    (Deed::Remove("ben"), N),
    (Deed::Remove("alice"), N),
    (Deed::Name, N),
    (Deed::Leave, N),
];

fn code(answer: &Result<v1::Changed, Error>) -> Option<ErrorCode> {
    match answer {
        Ok(_) => None,
        Err(error) => Some(error.code().expect("the server refused it")),
    }
}

#[test]
fn b9_each_role_in_a_group_may_what_the_table_says_open_and_closed() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let people = ["alice", "ben", "cleo", "mallory"].map(|user| client(&site, form, user));
        let nowhere = "5".repeat(26);
        for (deed, open, closed) in GROUP {
            for (is_closed, answers) in [(false, open), (true, closed)] {
                for (at, person) in people.iter().enumerate() {
                    let group = people[0].create_group("team", &["ben", "cleo", "eva"]).await.expect("made");
                    let group = group.conversation.id;
                    people[0].promote(&group, "ben", Role::Moderator).await.expect("the admin may");
                    if is_closed {
                        people[0].close_conversation(&group).await.expect("the admin may");
                    }
                    let before = people[0].get(&group).await.expect("a member").head;
                    let answer = deed.ask(person, &group).await;
                    let said = format!("{at}: {deed:?}, closed {is_closed}: {answer:?}");
                    match answers.get(at) {
                        Some(expected) => assert_eq!(code(&answer), *expected, "{said}"),
                        None => assert_eq!(nameless(&answer), nameless(&deed.ask(person, &nowhere).await), "{said}"),
                    }
                    // Whoever went does not see it.
                    if let Ok(after) = people[0].get(&group).await {
                        assert!(answer.is_ok() || after.head == before, "{said}: it left a trace");
                    }
                }
            }
        }
    });
}

#[test]
fn b9_either_of_two_closes_and_reopens_and_nobody_has_a_role() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let [alice, ben, mallory] = ["alice", "ben", "mallory"].map(|user| client(&site, form, user));
        let id = alice.create_direct("ben", None).await.expect("made").conversation.id;
        for person in [&alice, &ben] {
            for (deed, expected) in DIRECT {
                let strange = [deed.ask(&mallory, &id).await, deed.ask(&mallory, &"5".repeat(26)).await];
                assert_eq!(nameless(&strange[0]), nameless(&strange[1]));
                assert_eq!(code(&deed.ask(person, &id).await), expected, "{deed:?}");
            }
        }
        alice.close_conversation(&id).await.expect("either may");
        assert_eq!(ben.send(&id, "hello?").await.expect_err("it is closed").code(), Some(ErrorCode::Closed));
        let again = alice.create_direct("ben", None).await.expect("the same");
        assert!(again.conversation.closed && !again.created);
        ben.reopen_conversation(&id).await.expect("either may");
        ben.send(&id, "hello").await.expect("it is open");
    });
}

#[test]
fn b2_b7_what_changes_is_told_and_a_closed_group_is_read_only() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let [alice, ben] = ["alice", "ben"].map(|user| client(&site, form, user));
        let group = alice.create_group("team", &["ben", "cleo"]).await.expect("made").conversation.id;
        ben.subscribe(&group, None).await.expect("a member");
        let mut events = ben.events();

        let changed = alice.promote(&group, "ben", Role::Admin).await.expect("the admin may");
        let Some(Event::Members { change, seq, .. }) = events.next().await else { panic!("a new role") };
        assert_eq!((seq, change.by.as_str()), (changed.seq, "alice"));
        assert_eq!(change.promoted, [v1::Member { user: "ben".into(), role: Role::Admin.into() }]);
        assert!(change.added.is_empty() && change.removed.is_empty());
        ben.demote(&group, "alice", Role::Member).await.expect("he is an admin now");
        let Some(Event::Members { change, .. }) = events.next().await else { panic!("a new role") };
        assert_eq!(change.promoted, [v1::Member { user: "alice".into(), role: Role::Member.into() }]);
        alice.send_with(Draft::text(&group, "kept").client_id("a1")).await.expect("a member");
        assert!(matches!(events.next().await, Some(Event::Message(_))));

        let closed = ben.close_conversation(&group).await.expect("the admin may");
        let Some(Event::Changed { change, seq, .. }) = events.next().await else { panic!("closed") };
        assert_eq!((seq, change.closed, change.name), (closed.seq, Some(true), None));
        assert_eq!(ben.close_conversation(&group).await.expect("it is so already").seq, closed.seq);

        assert!(alice.get(&group).await.expect("a member").closed);
        let refused = alice.send(&group, "too late").await.expect_err("it is closed");
        assert_eq!(refused.code(), Some(ErrorCode::Closed));
        assert_eq!(ben.add(&group, &["dan"]).await.expect_err("it is closed").code(), Some(ErrorCode::Closed));
        assert_eq!(ben.remove(&group, "cleo").await.expect_err("it is closed").code(), Some(ErrorCode::Closed));
        let context = ben.update(&group, None, None, Some("order 7")).await;
        assert_eq!(context.expect_err("it is closed").code(), Some(ErrorCode::Closed));
        // What was stored before is answered again, and everything can be read.
        let again = alice.send_with(Draft::text(&group, "kept").client_id("a1")).await.expect("it is stored");
        assert!(again.duplicate);
        let history = v1::History { conversation: group.clone(), ..v1::History::default() };
        assert_eq!(alice.history(history).await.expect("a member").messages, [again.message]);
        alice.subscribe(&group, Some(0)).await.expect("a member");
        alice.leave(&group).await.expect("anybody may go");
        assert!(matches!(events.next().await, Some(Event::Members { .. })));

        ben.reopen_conversation(&group).await.expect("the admin may");
        let Some(Event::Changed { change, .. }) = events.next().await else { panic!("reopened") };
        assert_eq!(change.closed, Some(false));
        ben.update(&group, None, None, Some("order 7")).await.expect("it is open");
        assert_eq!(ben.get(&group).await.expect("a member").context.as_deref(), Some("order 7"));
    });
}

#[test]
fn b2_roles_by_default_and_the_last_admin_stays() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let group = alice.group("team", &["bob"]);
    bob.done("subscribe", &json!({"conversations": [group]}));
    let promoted = alice.done("promote", &json!({"conversation": group, "member": "bob"}));
    assert_eq!(keys(&promoted), ["conversation", "seq"]);
    let event = bob.event("members");
    assert_eq!((&event["seq"], &event["members"]["by"]), (&promoted["seq"], &json!("alice")));
    assert_eq!(event["members"]["promoted"], json!([{"user": "bob", "role": "moderator"}]));
    // Who is it already, or more: answered as done, and nobody is told anything.
    for (member, role) in [("bob", json!("moderator")), ("alice", json!("moderator")), ("alice", json!(null))] {
        let body = json!({"conversation": group, "member": member, "role": role});
        assert_eq!(alice.done("promote", &body), promoted);
    }
    let demoted = alice.done("demote", &json!({"conversation": group, "member": "bob"}));
    assert_eq!(demoted["seq"].as_u64(), promoted["seq"].as_u64().map(|seq| seq + 1));
    assert_eq!(bob.event("members")["members"]["promoted"], json!([{"user": "bob", "role": "member"}]));

    let myself = json!({"conversation": group, "member": "alice"});
    let refused = alice.ask("demote", &myself);
    assert_eq!(refused["error"]["code"], "CONFLICT");
    assert!(refused["error"]["message"].as_str().is_some_and(|message| message.contains("last admin")), "{refused}");
    alice.done("promote", &json!({"conversation": group, "member": "bob", "role": "admin"}));
    alice.done("demote", &myself);
    assert_eq!(alice.refused("close", &json!({"conversation": group})), "FORBIDDEN");
    bob.done("close", &json!({"conversation": group}));
}

#[test]
fn b7_what_waits_behind_a_close_is_refused_and_closed_lasts_across_a_kill() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let group = alice.group("team", &["bob"]);
    alice.done("promote", &json!({"conversation": group, "member": "bob"}));
    let send = |id: &str| json!({"conversation": group, "client_id": id, "text": "x"});
    let one = json!({"conversation": group});
    // All at once, in this order.
    let asked = [
        alice.post("send", &send("a1")),
        alice.post("close", &one),
        alice.post("send", &send("a2")),
        alice.post("send", &send("a1")),
    ];
    let replies = asked.map(|id| alice.reply(id));
    let codes = replies.each_ref().map(|reply| reply["error"]["code"].clone());
    assert_eq!(codes, [Value::Null, Value::Null, json!("CLOSED"), Value::Null]);
    assert_eq!(replies[3]["data"]["message"], replies[0]["data"]["message"]);
    assert!(replies[2]["error"]["message"].as_str().is_some_and(|message| message.contains("closed")));

    site.kill();
    site.start_again();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let detail = bob.done("get", &one)["conversation"].take();
    assert_eq!((&detail["closed"], &detail["role"]), (&json!(true), &json!("moderator")));
    assert_eq!(bob.refused("send", &send("b1")), "CLOSED");
    assert_eq!(bob.refused("update", &json!({"conversation": group, "name": "x"})), "CLOSED");
    assert_eq!(bob.refused("reopen", &one), "FORBIDDEN");
    assert_eq!(alice.done("send", &send("a1"))["duplicate"], true);
    let resumed = bob.done("resume", &json!({"positions": [{"conversation": group, "seq": 0}]}));
    let events = resumed["conversations"][0]["events"].as_array().expect("a list").clone();
    let kinds: Vec<&Value> = events.iter().map(|event| &event["event"]).collect();
    assert_eq!(kinds, ["members", "message", "conversation"]);
    assert_eq!(keys(&events[2]["change"]), ["by", "closed", "time_ms"]);
    assert_eq!(events[2]["change"]["closed"], true);

    alice.done("reopen", &one);
    assert_eq!(bob.event("conversation")["change"]["closed"], false);
    bob.send(&group, "b1", "open again");
}
