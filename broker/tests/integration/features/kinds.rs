//! Kinds of conversations by role: who may be with whom, staff who look on and take part, administrators, and services.

mod rights;
mod services;
mod staff;

use serde_json::{Value, json};
use switchyard_client::Client;
use switchyard_client::protocol::frame::Form;
use switchyard_client::protocol::v1::{ConversationKind, Role};

use super::sdk::{client_with, in_both_forms};
use crate::plain::Plain;
use crate::site::Site;

/// A session of a user whose token names this role. Once it is open, everybody may know what the user is.
fn open_as(site: &Site, user: &str, role: &str) -> Plain {
    Plain::open_with(site, &site.token_as(user, &[role]))
}

/// The same over the SDK.
async fn client_as(site: &Site, form: Form, user: &str, role: &str) -> Client {
    let client = client_with(site, form, site.token_as(user, &[role]));
    client.ready().await.expect("welcome");
    client
}

/// Gets or makes the conversation of this kind; gives its id.
fn make(plain: &mut Plain, kind: &str, members: &[&str]) -> String {
    let data = plain.done("create", &json!({"kind": kind, "members": members}));
    assert_eq!(data["conversation"]["kind"], kind);
    data["conversation"]["id"].as_str().expect("an id").to_owned()
}

/// Ann is a customer and has said so, joe is one whose token says nothing, sue sells, dan is of the support, mia is a manager,
/// gus an administrator. Who may have a conversation of these kinds with whom, and as what each is in it.
type Pairing = (ConversationKind, &'static str, &'static [&'static str], Option<[Role; 2]>);

const M: Role = Role::Member;
const A: Role = Role::Moderator;

const PAIRINGS: [Pairing; 22] = [
    (ConversationKind::CustomerSeller, "ann", &["sue"], Some([M, M])),
    (ConversationKind::CustomerSeller, "sue", &["joe"], Some([M, M])),
    (ConversationKind::CustomerSeller, "ann", &["joe"], None),
    (ConversationKind::CustomerSeller, "ann", &["dan"], None),
    (ConversationKind::CustomerSeller, "sue", &["gus"], None),
    (ConversationKind::CustomerSeller, "ann", &["nobody-yet"], None),
    (ConversationKind::CustomerSeller, "sue", &["nobody-yet"], Some([M, M])),
    (ConversationKind::CustomerSupport, "ann", &["dan"], Some([M, A])),
    (ConversationKind::CustomerSupport, "mia", &["joe"], Some([A, M])),
    (ConversationKind::CustomerSupport, "joe", &["gus"], Some([M, A])),
    (ConversationKind::CustomerSupport, "ann", &["sue"], None),
    (ConversationKind::CustomerSupport, "sue", &["dan"], None),
    (ConversationKind::CustomerSupport, "dan", &["mia"], None),
    (ConversationKind::CustomerSupport, "dan", &["sue"], None),
    (ConversationKind::SellerSupport, "sue", &["mia"], Some([M, A])),
    (ConversationKind::SellerSupport, "gus", &["sue"], Some([A, M])),
    (ConversationKind::SellerSupport, "ann", &["dan"], None),
    (ConversationKind::SellerSupport, "dan", &["ann"], None),
    (ConversationKind::Internal, "dan", &["mia"], Some([M, M])),
    (ConversationKind::Internal, "gus", &["dan"], Some([M, M])),
    (ConversationKind::Internal, "dan", &["ann"], None),
    (ConversationKind::Internal, "sue", &["dan"], None),
];

const PEOPLE: [(&str, &str); 6] =
    [("ann", "USER"), ("joe", "READER"), ("sue", "SELLER"), ("dan", "SUPPORT"), ("mia", "MANAGER"), ("gus", "ADMIN")];

#[test]
fn b3_each_kind_is_between_those_whom_it_is_for_and_there_is_one_for_each_context() {
    in_both_forms(|form| async move {
        let site = Site::dev();
        let mut people = Vec::new();
        for (user, role) in PEOPLE {
            people.push((user, client_as(&site, form, user, role).await));
        }
        let person = |name: &str| people.iter().find(|(user, _)| *user == name).map(|(_, client)| client);
        for (kind, asker, others, expected) in PAIRINGS {
            let other = others[0];
            let made = person(asker).expect("they are there").create_of_kind(kind, Some(other), None).await;
            let said = format!("{kind:?} of {asker} with {other}: {made:?}");
            let Some([mine, theirs]) = expected else {
                let code = made.expect_err(&said).code();
                assert_eq!(code, Some(switchyard_client::protocol::code::ErrorCode::Forbidden), "{said}");
                continue;
            };
            let made = made.expect(&said);
            assert!(made.created && made.conversation.kind() == kind && made.conversation.role() == mine, "{said}");
            let asker = person(asker).expect("they are there");
            let elsewhere = asker.create_of_kind(kind, Some(other), Some("order 7")).await.expect("another context");
            assert!(elsewhere.created && elsewhere.conversation.id != made.conversation.id, "{said}");
            assert_eq!(elsewhere.conversation.context.as_deref(), Some("order 7"));
            // The other one asks for it, and finds it.
            let Some(client) = person(other) else { continue };
            let me = asker.ready().await.expect("welcome").user;
            let same = client.create_of_kind(kind, Some(&me), None).await.expect("the same");
            assert!(!same.created && same.conversation.id == made.conversation.id, "{said}: {same:?}");
            assert_eq!(same.conversation.role(), theirs, "{said}");
        }
    });
}

#[test]
fn b3_what_no_conversation_can_be_is_refused_before_anybody_is_looked_up() {
    let site = Site::dev();
    let (mut ann, mut dan) = (open_as(&site, "ann", "USER"), open_as(&site, "dan", "SUPPORT"));
    for (body, expected) in [
        (json!({"kind": "customer_seller", "members": []}), "BAD_REQUEST"),
        (json!({"kind": "customer_seller", "members": ["a", "b"]}), "BAD_REQUEST"),
        (json!({"kind": "customer_seller", "members": ["a"], "name": "n"}), "BAD_REQUEST"),
        (json!({"kind": "customer_support", "members": ["a", "b"]}), "BAD_REQUEST"),
        (json!({"kind": "internal", "members": []}), "BAD_REQUEST"),
        (json!({"kind": "internal", "members": ["a", "b"]}), "BAD_REQUEST"),
        (json!({"kind": "support", "members": ["a"]}), "BAD_REQUEST"),
        (json!({"kind": "CUSTOMER_SUPPORT", "members": []}), "BAD_REQUEST"),
        (json!({"kind": "internal", "members": ["dan"], "name": "us"}), "FORBIDDEN"),
    ] {
        assert_eq!(ann.refused("create", &body), expected, "{body}");
    }
    assert_eq!(dan.refused("create", &json!({"kind": "customer_support", "members": []})), "BAD_REQUEST");
    assert_eq!(dan.refused("create", &json!({"kind": "seller_support", "members": []})), "BAD_REQUEST");
    assert_eq!(ann.refused("create", &json!({"kind": "seller_support", "members": []})), "FORBIDDEN");
}

#[test]
fn b3_what_somebody_is_outlives_their_session_and_a_kill_and_the_newest_token_counts() {
    let mut site = Site::dev();
    let mut ann = Plain::open(&site, "ann");
    let seller = json!({"kind": "customer_seller", "members": ["sue"]});
    assert_eq!(ann.refused("create", &seller), "FORBIDDEN", "nobody knows that she sells");
    drop(open_as(&site, "sue", "SELLER"));
    site.kill();
    site.start_again();
    let mut ann = Plain::open(&site, "ann");
    let first = ann.done("create", &seller)["conversation"]["id"].clone();
    // She sells no more: her token says nothing of it, and she asks her home for her conversations.
    let mut sue = Plain::connect(&site);
    sue.done("hello", &json!({"token": site.token("sue"), "subscribe": "all"}));
    let other = json!({"kind": "customer_seller", "members": ["sue"], "context": "order 8"});
    assert_eq!(ann.refused("create", &other), "FORBIDDEN");
    assert_eq!(ann.done("create", &seller)["conversation"]["id"], first, "what there is stays");
    // And an older token of hers says nothing of what she is now.
    let claims = json!({"sub": "sue", "tenant": "default", "roles": "SELLER", "iss": crate::site::ISSUER,
        "iat": crate::site::now() - 60, "exp": crate::site::now() + 600});
    drop(Plain::open_with(&site, &site.sign(&claims)));
    assert_eq!(ann.refused("create", &other), "FORBIDDEN");
    // With a renewed token she is again, in the midst of a session.
    let claims = json!({"sub": "sue", "tenant": "default", "roles": ["SELLER"], "iss": crate::site::ISSUER,
        "iat": crate::site::now(), "exp": crate::site::now() + 600});
    sue.done("renew", &json!({"token": site.sign(&claims)}));
    sue.done("create", &json!({"kind": "customer_seller", "members": ["ann"], "context": "order 9"}));
}

#[test]
fn b6_lists_are_narrowed_to_each_kind_and_say_what_it_is_called() {
    let site = Site::dev();
    let (mut ann, _sue, mut dan) =
        (Plain::open(&site, "ann"), open_as(&site, "sue", "SELLER"), open_as(&site, "dan", "SUPPORT"));
    drop(open_as(&site, "mia", "MANAGER"));
    let seller = make(&mut ann, "customer_seller", &["sue"]);
    let body = json!({"kind": "customer_support", "members": [], "name": "A broken cup", "context": "order 7"});
    let support = ann.done("create", &body)["conversation"].take();
    assert_eq!((&support["name"], &support["context"]), (&json!("A broken cup"), &json!("order 7")));
    let support = support["id"].as_str().expect("an id").to_owned();
    dan.send(&support, "d1", "How can I help?");
    let pair = make(&mut dan, "internal", &["mia"]);
    dan.later();
    let team = dan.done("create", &json!({"kind": "internal", "members": ["mia"], "name": "the team"}));
    let team = team["conversation"]["id"].as_str().expect("an id").to_owned();
    let ids = |plain: &mut Plain, narrowed: Value| -> Vec<String> {
        let page = plain.done("list", &narrowed);
        let entries = page["conversations"].as_array().expect("a list").clone();
        entries.iter().map(|entry| entry["conversation"]["id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&mut ann, json!({"kind": "customer_seller"})), [&*seller]);
    assert_eq!(ids(&mut ann, json!({"kind": "customer_support"})), [&*support]);
    assert_eq!(ids(&mut ann, json!({"kind": "seller_support"})), [""; 0]);
    assert_eq!(ids(&mut ann, json!({"name": "SUE"})), [&*seller], "the other's name, as of a direct one");
    assert_eq!(ids(&mut ann, json!({"name": "broken"})), [&*support]);
    assert_eq!(ids(&mut dan, json!({"kind": "customer_support"})), [&*support], "he took it");
    assert_eq!(ids(&mut dan, json!({"kind": "internal"})), [&*team, &*pair]);
    assert_eq!(ids(&mut dan, json!({"kind": "internal", "name": "mia"})), [&*pair]);
    assert_eq!(ann.refused("list", &json!({"kind": "support"})), "BAD_REQUEST");
}
