//! Every request that names a conversation, a message or a user, by each of its fields that does: what somebody asks about what is
//! not theirs. The list is held against the protocol's own document, so that none is forgotten.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use switchyard_client::protocol::frame::Form;

use crate::plain::{Plain, error_code, keys};
use crate::site::Site;

/// Fields that name a conversation, or a message of one.
const NAMING: [&str; 5] = ["conversation", "conversations", "id", "reply_to", "subscribe"];

/// Fields that name users.
const USERS: [&str; 6] = ["user", "users", "member", "members", "mentions", "after"];

/// Fields that name nothing: they say what is wanted, or how. `after` is a number in `history`.
const OTHERS: [&str; 29] = [
    "after",
    "after_time_ms",
    "all",
    "archived",
    "attachments",
    "avatar",
    "before",
    "before_time_ms",
    "client_id",
    "context",
    "cursor",
    "delivered",
    "device",
    "emoji",
    "kind",
    "limit",
    "name",
    "on",
    "positions",
    "read",
    "remove",
    "role",
    "seq",
    "since",
    "state",
    "text",
    "token",
    "passed",
    "number",
];

type Ask = (&'static str, Value);

/// Everything that can be asked about a conversation.
fn about(conversation: &str) -> Vec<Ask> {
    let message = format!("{conversation}.1");
    vec![
        ("hello", json!({"subscribe": [conversation]})),
        ("get", json!({"conversation": conversation})),
        ("members", json!({"conversation": conversation})),
        ("history", json!({"conversation": conversation})),
        ("history", json!({"conversation": conversation, "before": 1_000_000})),
        ("history", json!({"conversation": conversation, "after_time_ms": 0})),
        ("history", json!({"id": message})),
        ("send", json!({"conversation": conversation, "client_id": "s1", "text": "let me in"})),
        ("send", json!({"conversation": conversation, "client_id": "s1", "text": "let me in", "since": 1_000_000})),
        ("send", json!({"conversation": conversation, "client_id": "s2", "text": "so?", "reply_to": message})),
        ("edit", json!({"id": message, "text": "mine"})),
        ("edit", json!({"conversation": conversation, "seq": 1, "text": "mine"})),
        ("edit", json!({"conversation": conversation, "seq": 1_000_000, "text": "mine"})),
        ("delete", json!({"id": message})),
        ("delete", json!({"conversation": conversation, "seq": 1})),
        ("react", json!({"id": message, "emoji": "+1"})),
        ("react", json!({"conversation": conversation, "seq": 1, "emoji": "+1"})),
        ("pin", json!({"id": message})),
        ("pin", json!({"conversation": conversation, "seq": 1, "remove": true})),
        ("add", json!({"conversation": conversation, "members": ["mallory"]})),
        ("remove", json!({"conversation": conversation, "member": "alice"})),
        ("leave", json!({"conversation": conversation})),
        ("update", json!({"conversation": conversation, "name": "mine"})),
        ("update", json!({"conversation": conversation, "context": "mine"})),
        ("promote", json!({"conversation": conversation, "member": "mallory", "role": "admin"})),
        ("demote", json!({"conversation": conversation, "member": "alice"})),
        ("close", json!({"conversation": conversation})),
        ("reopen", json!({"conversation": conversation})),
        ("archive", json!({"conversation": conversation})),
        ("unarchive", json!({"conversation": conversation})),
        ("erase", json!({"conversation": conversation})),
        ("accept", json!({"conversation": conversation})),
        ("decline", json!({"conversation": conversation})),
        ("subscribe", json!({"conversations": [conversation]})),
        ("resume", json!({"positions": [{"conversation": conversation, "seq": 0}]})),
        ("resume", json!({"positions": [{"conversation": conversation, "seq": 1_000_000}]})),
        ("unsubscribe", json!({"conversations": [conversation]})),
        ("open", json!({"conversations": [conversation]})),
        ("typing", json!({"conversation": conversation, "on": true})),
        ("typing", json!({"conversation": conversation, "on": false})),
        ("mark", json!({"conversation": conversation, "read": 1})),
        ("mark", json!({"conversation": conversation, "delivered": 1_000_000})),
        ("mark", json!({"id": message})),
        ("unread", json!({"conversations": [conversation]})),
        ("marks", json!({"conversation": conversation})),
        ("marks", json!({"id": message})),
        ("watch", json!({"conversation": conversation})),
        ("watch", json!({"conversation": conversation, "users": ["alice"]})),
        ("unwatch", json!({"conversation": conversation})),
    ]
}

/// Everything that can be asked about a user, by way of a conversation of one's own where it takes one.
fn about_user(user: &str, own: &str) -> Vec<Ask> {
    let message = format!("{own}.1");
    vec![
        ("block", json!({"user": user})),
        ("blocks", json!({"after": user})),
        ("unblock", json!({"user": user})),
        ("watch", json!({"users": [user]})),
        ("watch", json!({"conversation": own, "users": [user]})),
        ("unwatch", json!({"users": [user]})),
        ("remove", json!({"conversation": own, "member": user})),
        ("promote", json!({"conversation": own, "member": user, "role": "admin"})),
        ("demote", json!({"conversation": own, "member": user, "role": "member"})),
        ("members", json!({"conversation": own, "after": user})),
        ("marks", json!({"conversation": own, "after": user})),
        ("send", json!({"conversation": own, "client_id": "c9", "text": "hey", "mentions": [user]})),
        ("edit", json!({"id": message, "text": "hey", "mentions": [user]})),
        ("create", json!({"kind": "direct", "members": [user]})),
        ("create", json!({"kind": "customer_seller", "members": [user]})),
        ("create", json!({"kind": "group", "name": "g", "members": [user]})),
        ("add", json!({"conversation": own, "members": [user]})),
    ]
}

/// A user in both forms.
pub(super) struct Someone<'a> {
    site: &'a Site,
    token: String,
    sessions: [Plain; 2],
}

impl<'a> Someone<'a> {
    pub(super) fn of(site: &'a Site, token: &str) -> Self {
        let open = |form| {
            let mut plain = Plain::connect_in(site, form);
            plain.done("hello", &json!({"token": token}));
            plain
        };
        Self { site, token: token.to_owned(), sessions: [open(Form::Json), open(Form::Proto)] }
    }

    pub(super) fn has_event(&mut self) -> bool {
        self.sessions.iter_mut().any(Plain::has_event)
    }

    /// Asks everything about a conversation, in both forms; what comes of it. Its own name is all in which two answers may differ.
    pub(super) fn ask_about(&mut self, conversation: &str) -> Vec<Ask> {
        let mut ask_in = |form| self.ask_together(form, &about(conversation), conversation);
        let mut answers = ask_in(Form::Json);
        answers.extend(ask_in(Form::Proto));
        answers
    }

    /// Asks all of these and takes the answers then: that there is nothing is never said at once.
    fn ask_together(&mut self, form: Form, asks: &[Ask], named: &str) -> Vec<Ask> {
        let post = |(name, body): &Ask| (*name != "hello").then(|| self.session(form).post(name, body));
        let posted: Vec<Option<u64>> = asks.iter().map(post).collect();
        let answer = |((name, body), id): (&Ask, Option<u64>)| {
            let reply = match id {
                Some(id) => self.session(form).reply(id),
                None => self.hello(form, body),
            };
            (*name, unnamed(reply, named))
        };
        asks.iter().zip(posted).map(answer).collect()
    }

    /// Asks these one after the other.
    fn ask_all(&mut self, form: Form, asks: &[Ask], named: &str) -> Vec<Ask> {
        asks.iter().map(|(name, body)| (*name, unnamed(self.session(form).ask(name, body), named))).collect()
    }

    fn hello(&self, form: Form, body: &Value) -> Value {
        let mut body = body.clone();
        body["token"] = json!(self.token);
        let mut reply = Plain::connect_in(self.site, form).ask("hello", &body);
        // Which session it is and when are of no interest.
        reply["data"] = json!({"subscribed": reply["data"]["subscribed"]});
        reply
    }

    fn session(&mut self, form: Form) -> &mut Plain {
        let [json, proto] = &mut self.sessions;
        if form == Form::Json { json } else { proto }
    }
}

/// An answer without its number and without the name of what was asked about.
fn unnamed(mut reply: Value, named: &str) -> Value {
    reply["id"] = json!(0);
    serde_json::from_str(&reply.to_string().replace(named, "N")).expect("JSON")
}

/// The error in an answer about a conversation, its own or that of its one conversation.
pub(super) fn refusal(name: &str, reply: &Value) -> Option<String> {
    let error = match name {
        "subscribe" | "hello" => &reply["data"]["subscribed"][0]["error"],
        "open" => &reply["data"]["opened"][0]["error"],
        "resume" | "unread" => &reply["data"]["conversations"][0]["error"],
        "unsubscribe" | "unwatch" => return None,
        _ => &reply["error"],
    };
    Some(error_code(error))
}

/// The names of all fields in this schema of the document, however deep.
fn fields(document: &Value, schema: &Value, into: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let found = reference.strip_prefix('#').and_then(|place| document.pointer(place));
        return fields(document, found.expect("it leads somewhere"), into);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        into.insert(name.clone());
        fields(document, schema, into);
    }
    for schema in schema["oneOf"].as_array().into_iter().flatten().chain(schema.get("items")) {
        fields(document, schema, into);
    }
}

/// The names of all fields in a request, however deep.
fn said(body: &Value, into: &mut BTreeSet<String>) {
    for (name, value) in body.as_object().into_iter().flatten() {
        into.insert(name.clone());
        said(value, into);
    }
    for value in body.as_array().into_iter().flatten() {
        said(value, into);
    }
}

/// Whether some request of this name says this field.
fn is_tried(asks: &[Ask], name: &str, field: &str) -> bool {
    asks.iter().filter(|(tried, _)| *tried == name).any(|(_, body)| {
        let mut fields = BTreeSet::new();
        said(body, &mut fields);
        fields.contains(field)
    })
}

#[test]
fn n12_every_request_that_names_something_is_tried_with_what_is_not_ones_own() {
    let document: Value = serde_json::from_str(switchyard_client::protocol::ASYNCAPI).expect("JSON");
    let messages = document["components"]["messages"].as_object().expect("messages");
    let requests: Vec<&String> =
        messages.keys().filter(|name| messages.contains_key(&format!("{name}.reply"))).collect();
    assert!(requests.len() > 35, "{requests:?}");
    let (conversations, users) = (about("C"), about_user("U", "C"));
    let mut named = [0, 0];
    for name in requests {
        let schema = &messages[name]["payload"]["properties"][name.as_str()];
        assert!(schema.is_object(), "{name}: {:?}", keys(&messages[name]));
        let mut all = BTreeSet::new();
        fields(&document, schema, &mut all);
        for field in &all {
            let known = |of: &[&str]| of.contains(&field.as_str());
            assert!(known(&NAMING) || known(&USERS) || known(&OTHERS), "{name}: what does `{field}` name?");
            if known(&NAMING) {
                assert!(is_tried(&conversations, name, field), "{name}: nobody names a foreign one by `{field}`");
                named[0] += 1;
            }
            if known(&USERS) && (field != "after" || name != "history") {
                assert!(is_tried(&users, name, field), "{name}: nobody names a foreign user by `{field}`");
                named[1] += 1;
            }
        }
    }
    assert!(named[0] > 35 && named[1] >= 14, "{named:?}");
    // And nothing is tried that is not there.
    for (name, _) in conversations.iter().chain(&users) {
        assert!(messages.contains_key(*name), "{name}");
    }
}

#[test]
fn n12_n13_a_user_whom_one_does_not_know_is_answered_for_as_one_who_never_was() {
    let site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    alice.direct("zoe");
    let _bob = Plain::open(&site, "zoe");
    let _elsewhere = Plain::open_with(&site, &site.token_of("elsewhere", "zed"));
    let mut answers = Vec::new();
    // One who is there, one who is there in another tenant, and one who never was.
    for (at, user) in ["zoe", "zed", "zyx"].into_iter().enumerate() {
        let token = site.token(&format!("mallory{at}"));
        let mut mallory = Someone::of(&site, &token);
        let mut founder = Plain::open_with(&site, &token);
        let mut told = Vec::new();
        for form in [Form::Json, Form::Proto] {
            // Of a group whose members both are, they hear of each other: so each form has one in which they are not yet.
            let own = founder.group("own", &["eve"]);
            founder.send(&own, "m1", "hi");
            mallory.session(form).done("subscribe", &json!({"conversations": [own]}));
            for (name, reply) in mallory.ask_all(form, &about_user(user, &own), user) {
                let text = reply.to_string().replace(&own, "O").replace(&format!("mallory{at}"), "M");
                told.push((name, settled(serde_json::from_str(&text).expect("JSON"))));
            }
        }
        answers.push(told);
    }
    for (known, never) in answers[0].iter().chain(&answers[1]).zip(answers[2].iter().chain(&answers[2])) {
        assert_eq!(known, never, "it tells that the user is there");
    }
}

/// Without what is chosen at random or by the clock: ids of new conversations, and times.
fn settled(mut value: Value) -> Value {
    match &mut value {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                let inner = settled(value.take());
                *value = match name.as_str() {
                    "created_ms" | "time_ms" | "edited_ms" => json!("a time"),
                    "id" if inner.is_string() => json!("an id"),
                    _ => inner,
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = settled(item.take())),
        _ => {}
    }
    value
}
