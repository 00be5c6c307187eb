//! A cluster whose nodes are known by certificates, and which asks its clients for a certificate and a password.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use scylla::client::session_builder::SessionBuilder;
use serde_json::json;
use tokio::runtime::Builder;

use crate::plain::Plain;
use crate::process::switchyard;
use crate::site::{Setup, Site, Store};

/// The environment's name for the folder with all that a client of the cluster needs, as files.
const SECURED: &str = "SWITCHYARD_TEST_CQL_SECURED";

fn dir() -> PathBuf {
    let dir = env::var_os(SECURED).unwrap_or_else(|| {
        panic!("{SECURED} is not set: run `cargo xtask test`, or `cargo xtask services --secured`, which says it")
    });
    dir.into()
}

/// The environment of a broker that keeps everything there, with other values for some keys of `[store.cql]`; an empty one
/// is none.
fn told(keyspace: &str, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let dir = dir();
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
    ended(&["migrate"], keyspace, changes)
}

/// The same of another command.
fn ended(command: &[&str], keyspace: &str, changes: &[(&str, &str)]) -> (i32, String) {
    let output = switchyard().args(command).envs(told(keyspace, changes)).output().expect("the binary runs");
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

/// Says this as the role that may do everything.
fn by_hand(cql: &str) {
    let dir = dir();
    let pem = |name: &str| fs::read(dir.join(name)).expect("it is there");
    let text = |name: &str| fs::read_to_string(dir.join(name)).expect("it is there");
    let certificate = |name: &str| CertificateDer::from_pem_slice(&pem(name)).expect("one certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("it is one");
    let key = PrivateKeyDer::from_pem_slice(&pem("client.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("they are known").with_root_certificates(roots);
    let config = config.with_client_auth_cert(vec![certificate("client.pem")], key).expect("they belong together");
    let builder = SessionBuilder::new().known_node(text("contact_points")).user(text("user"), text("password"));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let session = builder.tls_context(Some(Arc::new(config))).build().await.expect("it is let in");
        session.query_unpaged(cql, ()).await.expect("it is carried out");
    });
}

#[test]
fn a_role_that_may_not_is_told_what_it_needs() {
    let keyspace = "made_for_somebody";
    assert_eq!(migrated(keyspace, &[]).0, 0);
    let dir = tempfile::tempdir().expect("a directory");
    let password = dir.path().join("password");
    fs::write(&password, "guest").expect("it is written");
    // A role for each case: a node remembers for a while what one may do that has come.
    let guest = |name: &'static str, granted: &[&str]| {
        by_hand(&format!("CREATE ROLE IF NOT EXISTS {name} WITH PASSWORD = 'guest' AND LOGIN = true"));
        granted.iter().for_each(|what| by_hand(&format!("GRANT SELECT ON {what} TO {name}")));
        [("user", name), ("password_file", password.to_str().expect("text"))]
    };
    let needs = |(code, told): (i32, String), what: &str| {
        assert!(code == 2 && told.contains("store.cql.user: ") && told.contains(what), "{code}: {told}");
    };
    let dump = |role: &[(&str, &str)], changes: &[(&str, &str)]| {
        ended(&["dump", "--home", "ann"], keyspace, &[role, changes].concat())
    };
    let strict = [("accept_losses", "false")];
    let stranger = guest("stranger", &[]);
    needs(migrated(keyspace, &stranger), "CREATE and ALTER on all keyspaces");
    needs(dump(&stranger, &[]), "SELECT and MODIFY");
    let rows = format!("KEYSPACE {keyspace}");
    let told = dump(&guest("reader", &[&rows]), &strict).1;
    assert!(told.contains("may not read system_views.settings"), "{told}");
    let reader = guest("reader_of_settings", &[&rows, "TABLE system_views.settings"]);
    let told = dump(&reader, &strict).1;
    assert!(told.contains("commitlog_sync is periodic") && !told.contains("may not"), "{told}");
    let (code, told) = dump(&reader, &[]);
    assert_eq!(code, 0, "{told}");
}
