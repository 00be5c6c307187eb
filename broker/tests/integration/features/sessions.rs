//! Connections: who somebody is comes from the token alone, in whichever way it is brought, and can be renewed.

use serde_json::{Value, json};

use crate::plain::{JSON, Plain, code, keys};
use crate::site::{ISSUER, Setup, Site, TENANT, now};

#[test]
fn a1_hello_is_answered_with_who_is_there_and_what_the_limits_are() {
    let site = Site::dev();
    let mut plain = Plain::connect(&site);
    let token = site.token("alice");
    // What a client claims to be, beside its token, is of no interest.
    let welcome = plain.done("hello", &json!({"token": token, "device": "phone", "user": "bob", "tenant": "t"}));
    assert_eq!(keys(&welcome), ["heartbeat_ms", "limits", "server_time_ms", "session", "subscribed", "tenant", "user"]);
    assert_eq!((&welcome["user"], &welcome["tenant"]), (&json!("alice"), &json!(TENANT)));
    assert_eq!(welcome["heartbeat_ms"], 25_000);
    assert!(welcome["session"].as_str().is_some_and(|session| !session.is_empty()));
    assert!(welcome["server_time_ms"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
    assert_eq!(welcome["limits"]["body_bytes_max"], 65_536);
    assert_eq!(welcome["limits"]["page_messages_max"], 200);

    let conversation = plain.direct("bob");
    let body = json!({"conversation": conversation, "client_id": "a", "text": "hi", "sender": "bob", "user": "bob"});
    assert_eq!(plain.done("send", &body)["message"]["sender"], "alice");
}

#[test]
fn a1_hello_subscribes_what_it_names() {
    let site = Site::dev();
    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::connect(&site));
    let conversation = alice.direct("bob");
    let nowhere = "0".repeat(26);
    let hello = json!({"token": site.token("bob"), "device": "d", "subscribe": [conversation, nowhere]});
    let welcome = bob.done("hello", &hello);
    assert_eq!(welcome["subscribed"][0]["conversation"], json!(conversation));
    assert_eq!(welcome["subscribed"][0]["head"], 0);
    assert_eq!(welcome["subscribed"][1]["error"]["code"], "NOT_FOUND");
    alice.send(&conversation, "a1", "hi");
    assert_eq!(bob.event("message")["message"]["text"], "hi");
}

/// The user that an upgrade with these subprotocols and headers makes one.
fn who(site: &Site, subprotocols: &[&str], headers: &[(&str, &str)], hello: &Value) -> String {
    let mut plain = Plain::upgrade(site.address(), subprotocols, headers).expect("an upgrade");
    plain.done("hello", hello)["user"].as_str().expect("a name").to_owned()
}

#[test]
fn a1_the_token_comes_in_the_header_a_subprotocol_a_cookie_or_hello() {
    let site = Site::with_env(&[("SWITCHYARD__ORIGINS__ALLOW", "https://app.example")]);
    let token = site.token("alice");
    let (none, bearer) = (json!({}), format!("Bearer {token}"));
    assert_eq!(who(&site, &[JSON], &[("Authorization", &bearer)], &none), "alice");
    assert_eq!(who(&site, &[JSON, &format!("bearer.{token}")], &[], &none), "alice");
    assert_eq!(who(&site, &[JSON], &[], &json!({"token": token})), "alice");
    assert_eq!(who(&site, &[JSON], &[], &json!({"token": bearer})), "alice", "a leading Bearer is dropped");
    let cookie = format!("theme=dark; switchyard_token={token}");
    let from_page = [("Origin", "https://app.example"), ("Cookie", cookie.as_str())];
    assert_eq!(who(&site, &[JSON], &from_page, &none), "alice");
    // Who came with the upgrade may go without a hello.
    let mut plain = Plain::upgrade(site.address(), &[JSON], &[("Authorization", &bearer)]).expect("an upgrade");
    assert_eq!(plain.done("create", &json!({"kind": "direct", "members": ["bob"]}))["created"], true);
}

#[test]
fn a1_a_number_becomes_its_decimal_text() {
    let site = Site::dev();
    let claims = json!({"sub": 4711, "tenant": TENANT, "iss": ISSUER, "exp": now() + 600});
    let mut plain = Plain::connect(&site);
    assert_eq!(plain.done("hello", &json!({"token": site.sign(&claims)}))["user"], "4711");
}

#[test]
fn a1_without_a_good_token_nobody_gets_in() {
    let site = Site::dev();
    let mut silent = Plain::connect(&site);
    assert_eq!(silent.refused("ping", &json!({})), "AUTH_INVALID");
    assert_eq!(silent.goodbye(), 4501);
    let mut wrong = Plain::connect(&site);
    assert_eq!(wrong.refused("hello", &json!({"token": "a.b.c"})), "AUTH_INVALID");
    assert_eq!(wrong.goodbye(), 4501);
    let refused = Plain::upgrade(site.address(), &[JSON], &[("Authorization", "Bearer a.b.c")]);
    let (status, body) = refused.err().expect("refused");
    assert_eq!((status, &body["error"]["code"]), (401, &json!("AUTH_INVALID")));
}

#[test]
fn a9_a_session_is_warned_and_renews_its_token_without_reconnecting() {
    let site = Site::dev();
    let claims =
        |user: &str, left: u64| site.sign(&json!({"sub": user, "tenant": TENANT, "iss": ISSUER, "exp": now() + left}));
    let mut plain = Plain::open_with(&site, &claims("alice", 50));
    let warning = plain.event("token_expiring");
    assert_eq!(keys(&warning), ["event", "in_ms"]);
    assert!(warning["in_ms"].as_u64().is_some_and(|ms| ms <= 50_000), "{warning}");

    let renewed = plain.done("renew", &json!({"token": claims("alice", 900)}));
    assert_eq!(keys(&renewed), ["expires_at_ms"]);
    let until = renewed["expires_at_ms"].as_u64().expect("a time");
    assert!(until > (now() + 800) * 1_000);

    assert_eq!(plain.refused("renew", &json!({"token": claims("bob", 900)})), "FORBIDDEN");
    assert_eq!(plain.refused("renew", &json!({"token": "x"})), "AUTH_INVALID");
    let other = site.token_of("elsewhere", "alice");
    assert_eq!(plain.refused("renew", &json!({"token": other})), "FORBIDDEN");
    assert_eq!(plain.done("create", &json!({"kind": "direct", "members": ["bob"]}))["created"], true);
}

#[test]
fn e2_tokens_of_the_teams_own_issuer_are_good() {
    const SECRET: &str = "7b2e7b2e7b2e7b2e7b2e7b2e7b2e7b2e";
    let site = Site::start(&Setup {
        config: Some(
            "[auth]\nsecret = \"\"\n[auth.claims]\nuser = \"uid\"\n[[auth.issuers]]\nissuer = \"https://login.example\"\n\
             tenant = \"shop\"\naudience = \"chat\"\nsecret_file = \"DIR/secret\"\n",
        ),
        files: &[("secret", SECRET)],
        ..Setup::default()
    });
    let token = |audience: &str| {
        let claims = json!({"uid": 7, "iss": "https://login.example", "aud": audience, "exp": now() + 600});
        crate::site::sign(&jsonwebtoken::Header::default(), &claims, SECRET.as_bytes())
    };
    let mut plain = Plain::connect(&site);
    let welcome = plain.done("hello", &json!({"token": token("chat")}));
    assert_eq!((&welcome["user"], &welcome["tenant"]), (&json!("7"), &json!("shop")));
    let reply = Plain::connect(&site).ask("hello", &json!({"token": token("mail")}));
    assert_eq!(code(&reply), "AUTH_INVALID");
}
