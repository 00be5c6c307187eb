//! The program as scripts see it: exit codes, and the names in its result.

#[allow(dead_code, reason = "this program's tests need a part of it")]
mod support;

use std::process::{Command, Output};

use serde_json::Value;

fn loadtest(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(words.split_whitespace())
        .output()
        .expect("the program was built for this test")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

const FLOOR: &str = "floor --pairs 2 --warm 0 --secs 0.1 --json - --quiet";

#[test]
fn the_floor_reports_in_the_fixed_form() {
    let output = loadtest(FLOOR);
    assert_eq!(code(&output), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["schema"], "switchyard.loadtest/1");
    assert_eq!(report["scenario"], "floor");
    assert_eq!(report["oracle"], Value::Null);
    for name in ["target", "transport", "form", "params", "seed", "version", "commit", "machine"] {
        assert!(report.get(name).is_some(), "{name}");
    }
    let commit = report["commit"].as_str().expect("a text");
    let git = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"]).output();
    if git.is_ok_and(|git| git.status.success()) {
        let is_one = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_one, "{commit}");
    }
    let metrics = report["metrics"].as_object().expect("an object");
    let mut names: Vec<String> = [
        "sent acked unacked unknown refused disconnects retries acked_per_s deliveries_per_s connects_per_s all_back_s",
        "latency_from server_cpu_s cpu_us_per_msg cpu_us_per_delivery cpu_ms_per_connect idle_cpu_ms_per_s",
        "rss_mb_empty rss_mb rss_peak_mb rss_kb_per_conn client_cpu_pct client_lag_p99_ms other_cpu_pct",
        "generator_saturated",
    ]
    .iter()
    .flat_map(|names| names.split(' '))
    .map(str::to_owned)
    .collect();
    for what in ["ack", "delivery", "connect", "back"] {
        names.extend(["p50", "p99", "p999", "max"].map(|part| format!("{what}_{part}_ms")));
    }
    for name in names {
        assert!(metrics.contains_key(&name), "{name}");
    }
    assert!(metrics["acked"].as_u64() > Some(0) && metrics["cpu_us_per_msg"].is_f64());
}

#[test]
fn the_floor_of_a_room_delivers_to_all() {
    let output = loadtest("floor --members 10 --window 4 --by-delivery --warm 0 --secs 0.1 --json - --quiet");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let (acked, unacked) = (&report["metrics"]["acked"], &report["metrics"]["unacked"]);
    assert!(acked.as_u64() > Some(0), "{acked}");
    assert_eq!(unacked.as_u64(), Some(0));
}

#[test]
fn the_floor_of_pairs_goes_both_ways_too() {
    let output = loadtest("floor --pairs 3 --both --window 2 --by-delivery --warm 0 --secs 0.3 --json - --quiet");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let metrics = &report["metrics"];
    assert_eq!(report["params"]["both"], true);
    assert_eq!(metrics["unacked"].as_u64(), Some(0));
    // A message is under way until both have it: with one of the two deliveries, six windows of two would have been all.
    assert!(metrics["acked"].as_u64() > Some(12), "{metrics}");
}

#[test]
fn a_server_that_does_not_answer_fails_the_run() {
    use support::{Habits, Server};
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef\n").expect("it is ours");
    for (never_ack, expected) in [(false, 0), (true, 1)] {
        let server = Server::start(Habits { never_ack, ..Habits::default() });
        let (url, secret) = (server.url(), secret.path().display());
        let run = format!("pairs --pairs 1 --window 2 --warm 0 --secs 0.1 --drain 0.2 --quiet --target {url}");
        let output = loadtest(&format!("{run} --secret-file {secret}"));
        assert_eq!(code(&output), Some(expected), "{output:?}");
    }
}

#[test]
fn a_violation_has_a_code_of_its_own_and_what_was_not_looked_at_fails_the_run() {
    use support::{Habits, Server};
    let secret = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef\n").expect("it is ours");
    let invent = Habits { invent_at: 3, ..Habits::default() };
    // Farther from the start than the oracle's books reach.
    let far = Habits { numbers_after: 1 << 21, ..Habits::default() };
    for (habits, expected, line) in [(invent, 3, "violation"), (far, 1, "has not looked at everything")] {
        let server = Server::start(habits);
        let (url, secret) = (server.url(), secret.path().display());
        let run = format!("pairs --pairs 1 --rate 50 --warm 0 --secs 0.1 --drain 1 --quiet --target {url}");
        let output = loadtest(&format!("{run} --secret-file {secret} --json -"));
        assert_eq!(code(&output), Some(expected), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(line), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(report["oracle"]["ok"], false);
    }
}

/// The generator has one thread: while a token is made for a user who was told that theirs expires, nothing is sent.
#[test]
fn a_generator_that_is_late_says_so() {
    use support::{Habits, Server};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("token");
    let calls = folder.path().join("calls");
    let lines = format!(
        "part() {{ printf %s \"$1\" | base64 -w0 | tr +/ -_ | tr -d =; }}\n\
         echo >> {calls}\n\
         [ $(wc -l < {calls}) -le 2 ] || sleep 0.3\n\
         printf '%s.%s.AA' \"$(part '{{\"alg\":\"HS256\"}}')\" \"$(part \"{{\\\"sub\\\":\\\"$2\\\"}}\")\"\n",
        calls = calls.display()
    );
    std::fs::write(&script, lines).expect("it is ours");
    let server = Server::start(Habits { warn_at: 5, ..Habits::default() });
    let run = format!("pairs --pairs 1 --rate 100 --warm 0 --secs 0.5 --quiet --target {}", server.url());
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(run.split_whitespace())
        .args(["--token-command", &format!("sh {}", script.display())])
        .output()
        .expect("the program was built for this test");
    assert_eq!(code(&output), Some(4), "{output:?}");
}

#[test]
fn secrets_with_names_are_for_the_server_to_sign_with() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), r#"{"keys": []}"#).expect("it is ours");
    let output = loadtest(&format!("pairs --target ws://127.0.0.1:1/v1/ws --secret-file {}", file.path().display()));
    assert_eq!(code(&output), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-command"), "{output:?}");
}

#[test]
fn exit_codes_say_what_happened() {
    assert_eq!(code(&loadtest("no-such-scenario")), Some(2));
    assert_eq!(code(&loadtest(&format!("{FLOOR} --limit acked_per_s=5"))), Some(2));
    assert_eq!(code(&loadtest(&format!("{FLOOR} --rate 5 --window 5"))), Some(2));
    assert_eq!(code(&loadtest(&format!("{FLOOR} --rate 0"))), Some(2));
    assert_eq!(code(&loadtest("floor --members 0")), Some(2));
    assert_eq!(code(&loadtest("floor --members 2 --both")), Some(2), "a room has no pairs");
    assert_eq!(code(&loadtest("room --both --token-command x")), Some(2), "nor has this one");
    assert_eq!(code(&loadtest("pairs")), Some(2), "no way to get tokens");
    assert_eq!(code(&loadtest("pairs --target http://127.0.0.1:1/ --token-command x")), Some(2));
    assert_eq!(code(&loadtest("--help")), Some(0));
    assert_eq!(code(&loadtest("pairs --token-command /no/such/program --target ws://127.0.0.1:1/v1/ws")), Some(1));
    assert_eq!(code(&loadtest(&format!("{FLOOR} --limit acked_per_s>=1e12"))), Some(5));
    assert_eq!(code(&loadtest(&format!("{FLOOR} --limit acked_per_s>=1"))), Some(0));
}
