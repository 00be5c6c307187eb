//! The public conformance suite for WebSockets, Autobahn's cases by `kosoku`, against the echo server that is built from the
//! edge's own framing. Must not pass without the suite: a machine that lacks it is told how to get it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

#[allow(dead_code, reason = "an example has a main, which is of no use here")]
#[path = "../examples/ws_echo.rs"]
mod ws_echo;

/// Cases of the suite without those that are left out.
const CASES: usize = 295;

/// Cases that are left out: those of compression, which is never negotiated, and six messages of 4 MiB in more pieces
/// than the edge takes of one, which is policy.
const LEFT_OUT: [&str; 8] = ["12.*", "13.*", "9.3.1", "9.3.2", "9.3.3", "9.4.1", "9.4.2", "9.4.3"];

/// Cases at a time.
const PARALLEL: &str = "4";

/// What the suite may say of a case. `INFORMATIONAL` is for those that the standard leaves open.
const GOOD: [&str; 2] = ["OK", "INFORMATIONAL"];

/// What the suite found in one case.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Case {
    behavior: String,
    behavior_close: String,
}

/// Where `cargo xtask tools` puts the suite.
fn suite_path() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let suite = root.join("target/tools/python/bin/kosoku");
    assert!(suite.is_file(), "the conformance suite is not installed: run `cargo xtask tools`");
    suite
}

#[test]
fn the_public_suite_finds_nothing_wrong() {
    let suite = suite_path();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || ws_echo::echo(&listener));
    let reports = tempfile::tempdir().expect("a folder for the reports");
    let mut command = Command::new(suite);
    command.args(["-m", "fuzzingclient", "-p", PARALLEL, "-o"]).arg(reports.path());
    for section in LEFT_OUT {
        command.args(["-x", section]);
    }
    let output = command.arg(&address).stdin(Stdio::null()).output().expect("the suite runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    let index = std::fs::read(reports.path().join("index.json"))
        .unwrap_or_else(|error| panic!("no report ({error}): {}\n{said}\n{complaints}", output.status));
    let servers: BTreeMap<String, BTreeMap<String, Case>> = serde_json::from_slice(&index).expect("a report");
    let cases: Vec<(&String, &Case)> = servers.values().flatten().collect();
    let good = |case: &Case| [&case.behavior, &case.behavior_close].iter().all(|found| GOOD.contains(&found.as_str()));
    let bad: Vec<_> = cases.iter().filter(|(_, case)| !good(case)).collect();
    assert!(bad.is_empty(), "{} cases are not met: {bad:#?}", bad.len());
    assert_eq!(cases.len(), CASES, "the suite ran other cases than it should");
    assert!(output.status.success(), "{}: {said}\n{complaints}", output.status);
}
