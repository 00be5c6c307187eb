//! A cluster whose nodes are known by certificates, and which asks its clients for a certificate and a password.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use serde_json::json;

use crate::plain::Plain;
use crate::process::switchyard;
use crate::site::{Setup, Site, Store};

/// The environment's name for the folder with all that a client of the cluster needs, as files.
const SECURED: &str = "SWITCHYARD_TEST_CQL_SECURED";

/// The environment of a broker that keeps everything there, with other values for some keys of `[store.cql]`; an empty one
/// is none.
fn told(keyspace: &str, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let dir: PathBuf = env::var_os(SECURED)
        .unwrap_or_else(|| {
            panic!("{SECURED} is not set: run `cargo xtask test`, or `cargo xtask services --secured`, which says it")
        })
        .into();
    let text = |name: &str| fs::read_to_string(dir.join(name)).expect("it is there");
    let file = |name: &str| dir.join(name).to_str().expect("text").to_owned();
    let all = [
        ("contact_points", text("contact_points")),
        ("keyspace", keyspace.to_owned()),
        ("replication", "1".to_owned()),
        ("accept_losses", "true".to_owned()),
        ("ca_file", file("ca.pem")),
        ("cert_file", file("client.pem")),
        ("key_file", file("client.key")),
        ("user", text("user")),
        ("password_file", file("password")),
    ];
    let changed = |key: &str| changes.iter().find(|(other, _)| *other == key).map(|(_, value)| (*value).to_owned());
    let all = all.map(|(key, value)| (key, changed(key).unwrap_or(value)));
    let used = all.into_iter().filter(|(_, value)| !value.is_empty());
    let named = used.map(|(key, value)| (format!("SWITCHYARD__STORE__CQL__{}", key.to_uppercase()), value));
    named.chain([("SWITCHYARD__STORE__KIND".to_owned(), "cql".to_owned())]).collect()
}

/// How `migrate` ends: its exit code, and what it says.
fn migrated(keyspace: &str, changes: &[(&str, &str)]) -> (i32, String) {
    let output = switchyard().arg("migrate").envs(told(keyspace, changes)).output().expect("the binary runs");
    (output.status.code().expect("it exits"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn who_shows_a_certificate_and_a_password_is_let_in() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let keyspace = format!("secured_{now}");
    assert_eq!(migrated(&keyspace, &[]).0, 0);
    let env = told(&keyspace, &[]);
    let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // What says where everything is kept is the environment.
    let mut site = Site::start(&Setup { env: &env, store: Store::Embedded, ..Setup::default() });
    let mut ann = Plain::open(&site, "ann");
    let conversation = ann.group("all of us", &["bob"]);
    let sent = ann.send(&conversation, "a1", "one");
    site.kill();
    site.start_again();
    let mut bob = Plain::open(&site, "bob");
    let page = bob.done("history", &json!({"conversation": conversation, "limit": 50}));
    assert_eq!(page["messages"], json!([sent["message"]]));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let wrong = dir.path().join("password");
    fs::write(&wrong, "guessed").expect("it is written");
    let client = told("any", &[]).into_iter().find(|(name, _)| name.ends_with("CERT_FILE")).expect("it is told").1;
    let cases = [
        (&[("user", ""), ("password_file", "")][..], 2, "store.cql.user: "),
        (&[("password_file", wrong.to_str().expect("text"))], 2, "store.cql.user: "),
        (&[("cert_file", ""), ("key_file", "")], 2, "store.cql.ca_file: "),
        (&[("ca_file", &client)], 2, "store.cql.ca_file: "),
        (&[("ca_file", ""), ("cert_file", ""), ("key_file", "")], 1, "store.cql.ca_file is set"),
    ];
    for (changes, code, part) in cases {
        let (ended, told) = migrated("nobody_makes_this", changes);
        assert!(ended == code && told.contains(part), "{changes:?}: {ended}: {told}");
    }
}
