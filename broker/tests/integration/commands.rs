//! Commands that do one thing and end: their output, their exit codes, and what they say to do next.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use switchyard_broker::config::{Overrides, Settings, Source};
use switchyard_edge::auth::Verifier;
use switchyard_store::embedded::{Embedded, Options};

use crate::process::{refused, run, said};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end of time")
}

#[test]
fn version_says_which_build_this_is() {
    let version: Value = serde_json::from_str(&said(&["version", "--json"])).expect("JSON");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["commit"].as_str().is_some_and(|commit| !commit.is_empty()));
    assert!(version["rustc"].as_str().is_some_and(|rustc| rustc.starts_with("rustc ")));
}

#[test]
fn the_printed_configuration_lacks_nothing_but_a_secret() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    let file_name = file.to_str().expect("text");
    let printed = said(&["default-config"]);
    fs::write(&file, &printed).expect("it is written");
    let (code, told) = refused(&["check-config", "--config", file_name]);
    assert_eq!((code, told.lines().count()), (2, 1), "{told}");
    assert!(told.starts_with("auth.secret: ") && told.contains("openssl rand -hex 32"), "{told}");

    let secret = "c3d1".repeat(16);
    let line = printed.lines().find(|line| line.starts_with("secret = ")).expect("the example");
    fs::write(&file, printed.replace(line, &format!("secret = {secret:?}"))).expect("it is written");
    assert_eq!(said(&["check-config", "--config", file_name]), "ok\n");

    let token = said(&["token", "--user", "ann", "--tenant", "t", "--role", "ADMIN", "--config", file_name]);
    let source = Source { file: Some(file), env: Vec::new() };
    let tokens = Settings::resolve(&source, &Overrides::default()).and_then(|settings| settings.tokens());
    let verifier = Verifier::new(&tokens.expect("it will do").config).expect("it will do");
    let identity = verifier.verify(token.trim_end(), now_ms()).expect("a good token");
    assert_eq!((identity.user.as_str(), identity.tenant.as_str()), ("ann", "t"));
    assert!(identity.has_role("ADMIN") && !identity.has_role("STAFF"));
    assert!(verifier.verify(token.trim_end(), now_ms() + 16 * 60 * 1_000).is_err(), "it lasts 15 minutes");
}

#[test]
fn every_mistake_is_a_line_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    fs::write(&file, "[server]\nlisten = \"x\"\nports = 1\n[auth]\nsecret = \"short\"\n[log]\nformat = \"xml\"\n")
        .expect("it is written");
    let file_name = file.to_str().expect("text");
    for arguments in [&["check-config", "--config", file_name][..], &["--config", file_name]] {
        let (code, told) = refused(arguments);
        assert_eq!(code, 2);
        let keys: Vec<&str> = told.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(keys, ["server.listen", "server.ports", "log.format", "auth.secret"], "{told}");
    }
}

#[test]
fn wrong_use_exits_2() {
    for arguments in [&["edge"][..], &["router"], &["admin"]] {
        let (code, told) = refused(arguments);
        assert_eq!(code, 2);
        assert!(told.contains("every role in one process"), "{told}");
    }
    assert_eq!(refused(&["--no-such-option"]).0, 2);
    assert_eq!(refused(&["token"]).0, 2);
    let (code, told) = refused(&["--listen", "0.0.0.0:0"]);
    assert_eq!(code, 2);
    assert!(told.starts_with("server.listen: ") && told.contains("default-config"), "{told}");
    let (code, told) = refused(&["token", "--user", "", "--ttl", "0s", "--data", "/no/such/directory"]);
    assert_eq!((code, told.lines().count()), (2, 2), "{told}");
}

#[test]
fn a_token_needs_a_secret_that_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("none");
    let (code, told) = refused(&["token", "--user", "ann", "--data", data.to_str().expect("text")]);
    assert_eq!(code, 2);
    assert!(told.contains("first"), "{told}");
    assert!(!data.exists(), "asking for a token makes nothing");
}

#[test]
fn tools_tell_apart_no_store_a_locked_one_and_a_whole_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let data_name = data.to_str().expect("text");
    let conversation = "0".repeat(26);
    assert!(said(&["migrate", "--data", data_name]).contains("no store yet"));
    assert_eq!(refused(&["verify", "--data", data_name, "--json"]).0, 4);

    let store = Embedded::open(&data, Options::default()).expect("a new store");
    for arguments in [
        &["verify", "--data", data_name][..],
        &["dump", "--conversation", &conversation, "--data", data_name],
        &["migrate", "--data", data_name],
    ] {
        let (code, told) = refused(arguments);
        assert_eq!(code, 4, "{arguments:?}: {told}");
        assert!(told.contains("in use") && told.contains("stop that process"), "{told}");
    }
    drop(store);

    let report: Value = serde_json::from_str(&said(&["verify", "--data", data_name, "--json"])).expect("JSON");
    assert_eq!(report, serde_json::json!({"ok": true, "conversations": 0, "events": 0, "homes": 0, "corrupt": []}));
    assert!(said(&["migrate", "--data", data_name]).contains("nothing more to do"));
    assert_eq!(said(&["dump", "--conversation", &conversation, "--data", data_name]), "");
    assert_eq!(refused(&["dump", "--conversation", "x", "--data", data_name]).0, 2);
    assert_eq!(said(&["dump", "--home", "alice", "--data", data_name]), "");
    assert_eq!(refused(&["dump", "--home", "", "--data", data_name]).0, 2);
    assert_eq!(refused(&["dump", "--data", data_name]).0, 2);
    assert_eq!(refused(&["dump", "--home", "a", "--conversation", &conversation, "--data", data_name]).0, 2);
}

#[test]
fn a_damaged_store_is_told_and_never_served() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_name = dir.path().to_str().expect("text");
    drop(Embedded::open(dir.path(), Options::default()).expect("a new store"));
    let markers: Vec<_> = find(dir.path(), "schema");
    let [marker] = &markers[..] else { panic!("one marker: {markers:?}") };
    fs::write(marker, "switchyard store schema 3 00000000\n").expect("it is written");

    let output = run(&["verify", "--data", data_name, "--json"]);
    assert_eq!(output.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert!(report["corrupt"][0]["reason"].as_str().is_some_and(|reason| reason.contains("checksum")), "{report}");
    let (code, told) = refused(&["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data_name]);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("switchyard verify"), "{told}");
}

/// The marker as a binary of another time has written it: too old to be read, and of a time to come.
#[test]
fn a_store_of_another_schema_exits_4_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_name = dir.path().to_str().expect("text");
    drop(Embedded::open(dir.path(), Options::default()).expect("a new store"));
    let markers = find(dir.path(), "schema");
    let [marker] = &markers[..] else { panic!("one marker: {markers:?}") };
    let conversation = "0".repeat(26);
    for (number, checksum) in [(1, "fb5d950f"), (99, "d9d06325")] {
        let line = format!("switchyard store schema {number} {checksum}\n");
        fs::write(marker, &line).expect("it is written");
        for arguments in [
            &["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data_name][..],
            &["verify", "--data", data_name],
            &["dump", "--conversation", &conversation, "--data", data_name],
            &["migrate", "--data", data_name],
        ] {
            let (code, told) = refused(arguments);
            assert_eq!(code, 4, "{arguments:?}: {told}");
            let next = "run a version of switchyard that reads it";
            assert!(told.contains(&format!("schema {number};")) && told.contains(next), "{arguments:?}: {told}");
        }
        assert_eq!(fs::read_to_string(marker).expect("it is there"), line, "nothing was changed");
    }
}

/// Files of this name below a directory.
fn find(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(find(&entry, name));
        } else if entry.file_name().is_some_and(|found| found == name) {
            found.push(entry);
        }
    }
    found
}
