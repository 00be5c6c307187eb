//! The load harness as a program against a broker: each way to get tokens, and what it measures of the broker's process.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::keys::Key;
use crate::site::{ISSUER, Setup, Site, TENANT};

/// The result of a run that goes well.
fn result(site: &Site, arguments: &[&str]) -> Value {
    let program = Path::new(env!("CARGO_BIN_EXE_switchyard")).with_file_name("loadtest");
    let mut command = Command::new(&program);
    command.args(["--quiet", "--warm", "0", "--secs", "0.3", "--json", "-", "--target", &site.url()]).args(arguments);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo build -p switchyard-loadtest` makes it", program.display())
    });
    assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(result["oracle"]["ok"], true, "{result}");
    result
}

fn are_numbers(result: &Value, names: &[&str]) {
    let metrics = &result["metrics"];
    for name in names {
        assert!(metrics[name].as_f64().is_some(), "{name}: {metrics}");
    }
}

#[test]
fn it_measures_the_process_that_it_is_told_of() {
    let site = Site::dev();
    let (secret, pid) = (site.data().join("dev-secret"), site.pid().to_string());
    let own = ["--secret-file", secret.to_str().expect("text"), "--tenant", TENANT, "--issuer", ISSUER];
    let run = |words: &[&str]| result(&site, &[words, &own, &["--server-pid", &pid]].concat());
    let idle = run(&["idle", "--connections", "20"]);
    are_numbers(&idle, &["cpu_ms_per_connect", "idle_cpu_ms_per_s", "rss_mb_empty", "rss_mb", "rss_kb_per_conn"]);
    are_numbers(&idle, &["server_cpu_s", "rss_peak_mb", "rss_mb_after"]);
    assert!(idle["metrics"]["cpu_ms_per_connect"].as_f64() > Some(0.0), "{idle}");
    let pairs = run(&["pairs", "--pairs", "2", "--window", "1"]);
    are_numbers(&pairs, &["cpu_us_per_msg", "cpu_us_per_delivery", "server_cpu_s"]);
    assert!(pairs["metrics"]["cpu_us_per_msg"].as_f64() > Some(0.0), "{pairs}");
}

#[test]
fn a_command_gives_it_tokens() {
    let site = Site::dev();
    let data = site.data().to_str().expect("text");
    assert!(!data.contains(' '), "the command's words are split at spaces");
    let command = format!("{} token --data {data}", env!("CARGO_BIN_EXE_switchyard"));
    let pairs = result(&site, &["pairs", "--pairs", "2", "--window", "1", "--token-command", &command]);
    assert!(pairs["oracle"]["acked_checked"].as_u64() > Some(0), "{pairs}");
}

#[test]
fn a_key_file_gives_it_tokens() {
    let key = Key::new();
    let site = Site::start(&Setup {
        config: Some(
            "[auth]\nsecret = \"\"\n\
             [[auth.issuers]]\nissuer = \"https://login.example\"\ntenant = \"t\"\naudience = \"*\"\njwks_file = \"DIR/keys.json\"\n",
        ),
        files: &[("keys.json", &json!({"keys": [key.jwk("k1")]}).to_string())],
        ..Setup::default()
    });
    let file = site.dir().join("key.pem");
    fs::write(&file, key.pem()).expect("it is written");
    let own = ["--key-file", file.to_str().expect("text"), "--kid", "k1", "--issuer", "https://login.example"];
    let pairs = result(&site, &[&["pairs", "--pairs", "2", "--window", "1"][..], &own].concat());
    assert!(pairs["oracle"]["acked_checked"].as_u64() > Some(0), "{pairs}");
}
