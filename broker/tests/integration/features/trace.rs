//! A request is found in the log by one name, wherever it went.

use serde_json::{Value, json};
use switchyard_client::Error;

use super::sdk::{client, in_both_forms};
use crate::plain::Plain;
use crate::site::{Setup, Site};

/// A broker that logs all of it, for programs.
fn site() -> Site {
    let env = [
        ("SWITCHYARD__LOG__LEVEL", "switchyard_edge=debug,switchyard_router=debug"),
        ("SWITCHYARD__LOG__FORMAT", "json"),
    ];
    Site::start(&Setup { env: &env, ..Setup::default() })
}

/// The lines of the log that this one says something of, in their order.
fn lines(site: &Site, field: &str, value: &str) -> Vec<Value> {
    let log = site.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line[field] == value).collect()
}

/// Who logged each, and what.
fn hops(lines: &[Value]) -> Vec<(&str, &str)> {
    lines
        .iter()
        .map(|line| {
            let target = line["target"].as_str().expect("who");
            (target.split("::").next().unwrap_or_default(), line["message"].as_str().expect("what"))
        })
        .collect()
}

#[test]
fn h1_a_request_is_found_at_every_hop_by_the_name_that_its_client_knows() {
    let mut site = site();
    let mut alice = Plain::connect(&site);
    let welcome = alice.done("hello", &json!({"token": site.token("alice")}));
    let session = welcome["session"].as_str().expect("a name").to_owned();
    let conversation = alice.direct("bob");
    let trace = |id: u64| format!("{session}/{id}");

    let id = alice.post("send", &json!({"conversation": conversation, "client_id": "a1", "text": "hi"}));
    let seq = alice.reply(id)["data"]["message"]["seq"].clone();
    let told = lines(&site, "trace", &trace(id));
    let (edge, router) = ("switchyard_edge", "switchyard_router");
    let (came, answered) = ((router, "a request has come"), (router, "a request is answered"));
    let (asked, told_client) = ((edge, "a request goes to its owner"), (edge, "a request is answered"));
    let (given, stored) = ((router, "an event goes to the store"), (router, "the store has answered"));
    assert_eq!(hops(&told), [asked, came, given, stored, answered, told_client]);
    assert!(told[..3].iter().all(|line| line["conversation"] == conversation.as_str()), "{told:?}");
    assert_eq!(told[2]["seq"], seq);
    assert_eq!(told[3]["outcome"], "stored");
    assert!(told[4..].iter().all(|line| line["code"] == "ok"), "{told:?}");

    // What is asked of the user's own home: nobody could tell from the log whose that is.
    let id = alice.post("block", &json!({"user": "eve"}));
    alice.reply(id);
    let told = lines(&site, "trace", &trace(id));
    assert_eq!(hops(&told), [asked, came, given, stored, answered, told_client]);
    assert!(told.iter().all(|line| line["conversation"].is_null()), "{told:?}");

    let id = alice.post("history", &json!({"conversation": conversation}));
    alice.reply(id);
    let told = lines(&site, "trace", &trace(id));
    assert_eq!(hops(&told), [asked, came, (router, "the store is read"), answered, told_client]);

    // One request for several conversations, with an owner each.
    let others = [conversation, alice.direct("carol"), alice.direct("dave")];
    let id = alice.post("subscribe", &json!({"conversations": others}));
    alice.reply(id);
    let told = lines(&site, "trace", &trace(id));
    assert_eq!(hops(&told).iter().filter(|hop| **hop == came).count(), 3, "{told:?}");
    assert_eq!(hops(&told).last(), Some(&told_client));

    drop(alice);
    site.ask_to_end();
    assert!(site.ended().success());
    let told = lines(&site, "session", &session);
    assert_eq!(hops(&told), [(edge, "a session begins"), (edge, "a session ends")]);
}

#[test]
fn h1_a_refusal_names_itself_to_the_application() {
    in_both_forms(|form| async move {
        let site = site();
        let (alice, mallory) = (client(&site, form, "alice"), client(&site, form, "mallory"));
        let id = alice.create_direct("bob", None).await.expect("made").conversation.id;
        let refused = mallory.get(&id).await.expect_err("a stranger");
        let Error::Rejected { trace: Some(trace), .. } = refused else { panic!("{refused:?}") };
        let told = lines(&site, "trace", &trace);
        let codes: Vec<&Value> = told.iter().map(|line| &line["code"]).filter(|code| !code.is_null()).collect();
        assert_eq!(codes, ["NOT_FOUND", "NOT_FOUND"], "what the owner and the edge say of it: {told:?}");
    });
}
