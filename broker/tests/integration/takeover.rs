//! Brokers on a CQL store: what is kept outlives the process, the next one takes it over, and the one before neither acknowledges
//! nor answers any more, however long it was away.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::keyspace::Keyspace;
use crate::plain::Plain;
use crate::process::{refused, switchyard};
use crate::site::{Setup, Site, Store};

/// How old the last read of its fence may be when a broker answers.
const FENCE_AGE_MAX: Duration = Duration::from_secs(2);

/// The texts of a conversation's messages, oldest first.
fn texts(plain: &mut Plain, conversation: &str) -> Vec<String> {
    let page = plain.done("history", &json!({"conversation": conversation, "limit": 50}));
    let messages = page["messages"].as_array().expect("a list");
    messages.iter().rev().map(|message| message["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let keyspace = Arc::new(Keyspace::new());
    let mut site = Site::on(&keyspace);
    let mut ann = Plain::open(&site, "ann");
    let conversation = ann.group("all of us", &["bob"]);
    let sent = ann.send(&conversation, "a1", "one");
    ann.send(&conversation, "a2", "two");
    // Whoever looks into the store beside the broker sees it.
    let lines = site.dump(&["--conversation", &conversation]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| &line["event"]).collect::<Vec<_>>(), ["members", "message", "message"]);
    assert_eq!(lines[2]["message"]["text"], "two");
    site.kill();
    site.start_again();
    let (mut ann, mut bob) = (Plain::open(&site, "ann"), Plain::open(&site, "bob"));
    assert_eq!(texts(&mut bob, &conversation), ["one", "two"]);
    let again = ann.send(&conversation, "a1", "one");
    assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &sent["message"]));
    let three = ann.send(&conversation, "a3", "three");
    assert_eq!(three["message"]["seq"].as_u64(), sent["message"]["seq"].as_u64().map(|seq| seq + 2));
    assert_eq!(texts(&mut bob, &conversation), ["one", "two", "three"]);
}

#[test]
fn the_next_broker_takes_over_and_the_one_before_ends() {
    let keyspace = Arc::new(Keyspace::new());
    let mut first = Site::on(&keyspace);
    let mut ann = Plain::open(&first, "ann");
    let conversation = ann.group("all of us", &["bob"]);
    let one = ann.send(&conversation, "a1", "one");

    let second = Site::on(&keyspace);
    assert_eq!(first.ended().code(), Some(1));
    let told = first.log();
    assert!(told.contains("another broker has taken over"), "{told}");
    assert!(ann.cut().is_empty(), "nothing was asked, so nothing is answered");

    let (mut ann, mut bob) = (Plain::open(&second, "ann"), Plain::open(&second, "bob"));
    assert_eq!(texts(&mut bob, &conversation), ["one"]);
    let again = ann.send(&conversation, "a1", "one");
    assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &one["message"]));
    ann.send(&conversation, "a2", "two");
    assert_eq!(texts(&mut bob, &conversation), ["one", "two"]);
}

/// Messages that are sent while a broker stands still.
const MORE_MAX: usize = 100;

/// A broker is stopped with requests on their way to it; the next one takes over, and a member is removed there; then the
/// first one goes on. Gives what it acknowledges, of which the conversation has nothing, and what it tells the member that
/// was removed.
fn zombie(env: &[(&str, &str)]) -> (Vec<Value>, Vec<Value>) {
    let keyspace = Arc::new(Keyspace::new());
    let store = Store::Cql(Arc::clone(&keyspace));
    let mut first = Site::start(&Setup { env, store, ..Setup::default() });
    let (mut ann, mut bob) = (Plain::open(&first, "ann"), Plain::open(&first, "bob"));
    let conversation = ann.group("all of us", &["bob"]);
    ann.send(&conversation, "a1", "before");
    assert_eq!(texts(&mut bob, &conversation), ["before"]);
    let stopped = first.stop();
    // It does not see these before it goes on.
    ann.post("send", &json!({"conversation": conversation, "client_id": "a2", "kind": "TEXT", "text": "lost?"}));
    bob.post("history", &json!({"conversation": conversation, "limit": 50}));
    bob.post("get", &json!({"conversation": conversation}));
    bob.post("list", &json!({}));

    let second = Site::on(&keyspace);
    let mut admin = Plain::open(&second, "ann");
    admin.done("remove", &json!({"conversation": conversation, "member": "bob"}));
    let after = admin.send(&conversation, "a3", "after");
    let mut texts_now = vec!["before".to_owned(), "after".to_owned()];
    // What it last knew of its fence is good for so long; after that nothing that it says may be from before.
    while stopped.elapsed() <= FENCE_AGE_MAX {
        // Not so many that what was said before cannot be found any more.
        if texts_now.len() < MORE_MAX {
            let text = format!("more {}", texts_now.len());
            admin.send(&conversation, &text, &text);
            texts_now.push(text);
        } else {
            admin.done("get", &json!({"conversation": conversation}));
        }
    }
    first.signal(Signal::CONT);
    assert_eq!(first.ended().code(), Some(1));
    let answered = |replies: Vec<Value>| replies.into_iter().filter(|reply| reply["ok"] == true).collect();
    let (acknowledged, told) = (answered(ann.cut()), answered(bob.cut()));

    let (mut ann, mut bob) = (Plain::open(&second, "ann"), Plain::open(&second, "bob"));
    let newest = texts_now.len().saturating_sub(50);
    assert_eq!(texts(&mut ann, &conversation), texts_now[newest..]);
    assert_eq!(bob.refused("history", &json!({"conversation": conversation, "limit": 50})), "NOT_FOUND");
    let again = ann.send(&conversation, "a3", "after");
    assert_eq!((&again["duplicate"], &again["message"]), (&json!(true), &after["message"]));
    (acknowledged, told)
}

#[test]
fn one_that_was_stopped_neither_acknowledges_nor_answers_when_it_goes_on() {
    let (acknowledged, told) = zombie(&[]);
    assert_eq!(acknowledged, [Value::Null; 0], "an acknowledgement");
    assert_eq!(told, [Value::Null; 0], "a removed member was answered");
}

/// The negative control: without the fence read the same test finds a lost message, and who was removed is answered. It looks
/// at the table of owners now and then, too, and is told of it too late here: it might end before it answers.
#[test]
fn without_its_fence_it_would_do_both() {
    let env = [("SWITCHYARD_TEST_NO_FENCE", "1"), ("SWITCHYARD_TEST_LATE_OWNERS", "8000")];
    let (acknowledged, told) = zombie(&env);
    assert_eq!(acknowledged.len(), 1, "of one message that is not there, as was seen");
    assert!(!told.is_empty());
}

/// How a broker with this in its environment ends: its exit code, and the last line that it says.
fn ends(env: &[(String, String)], arguments: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = switchyard();
    command.args(arguments).envs(env.iter().map(|(name, value)| (name, value)));
    if arguments.is_empty() {
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(dir.path());
    }
    let output = command.output().expect("the binary runs");
    let told = String::from_utf8(output.stderr).expect("text");
    (output.status.code().expect("it exits"), told.lines().last().unwrap_or_default().to_owned())
}

/// The environment with other values for these keys of `[store.cql]`.
fn changed(keyspace: &Keyspace, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut env = keyspace.env();
    for (key, value) in changes {
        let name = format!("SWITCHYARD__STORE__CQL__{}", key.to_uppercase());
        env.retain(|(other, _)| *other != name);
        env.push((name, (*value).to_owned()));
    }
    env
}

#[test]
fn a_store_that_will_not_do_is_refused_and_says_what_to_do() {
    let keyspace = Keyspace::new();
    let cases = [
        (&[("keyspace", "nobody_made_this")][..], 4, "switchyard migrate"),
        (&[("accept_losses", "false")], 2, "store.cql.accept_losses: "),
        (&[("contact_points", "127.0.130.99:9")], 1, "store.cql.contact_points"),
        (&[("datacenter", "nowhere")], 2, "no data centre nowhere"),
    ];
    for (changes, code, part) in cases {
        let (ended, told) = ends(&changed(&keyspace, changes), &[]);
        assert!(ended == code && told.contains(part), "{changes:?}: {ended}: {told}");
    }
}

#[test]
fn a_schema_of_another_version_is_refused() {
    let keyspace = Keyspace::new();
    for name in ["schema", "schema_users"] {
        keyspace.change(&format!("UPDATE %.counters SET value = 99 WHERE name = '{name}' IF EXISTS"));
    }
    let (ended, told) = ends(&keyspace.env(), &[]);
    assert!(
        ended == 4 && told.contains("schema 99") && told.contains("run the version that has raised it"),
        "{ended}: {told}"
    );
}

#[test]
fn mistakes_about_a_cluster_are_named_by_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    let text = "[auth]\nsecret = \"51b0c851b0c851b0c851b0c851b0c851b0c8\"\n[store]\nkind = \"cql\"\n[store.cql]\n\
                contact_points = []\nkeyspace = \"1; DROP\"\nreplication = 0\nuser = \"ann\"\nkey_file = \"key.pem\"\n\
                request_timeout = \"0s\"\nrequests_max = 0\n";
    std::fs::write(&file, text).expect("it is written");
    let (code, told) = refused(&["check-config", "--config", file.to_str().expect("text")]);
    let mut keys: Vec<_> = told.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    keys.sort_unstable();
    let expected = ["cert_file", "contact_points", "keyspace", "password_file", "replication", "request_timeout"];
    let expected = expected.into_iter().chain(["requests_max"]).map(|key| format!("store.cql.{key}"));
    assert_eq!((code, keys), (2, expected.collect::<Vec<_>>().iter().map(String::as_str).collect()), "{told}");
}
