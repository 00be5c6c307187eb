//! The README's first steps, as they stand there: each command goes through a shell, each line of the protocol over a
//! socket. `cargo` is played by a script that knows the README's commands alone and runs what was built for the tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::browser::Browser;
use crate::plain::Plain;
use crate::process::chat_path;
use crate::site::Site;
use crate::terminal::Terminal;

/// Stands for what the README leaves open.
const OPEN: &str = "\u{2026}";

/// Plays `cargo`, for the commands of the README and nothing else. Ports are free ones.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
"run --release")
    exec target/release/switchyard --ready-file ready.json ;;
"run --release -p switchyard-client --example chat -- "*)
    shift 7
    url=$(sed 's/.*"ws":"\([^"]*\)".*/\1/' ready.json)
    exec ./chat --url "$url" "$@" ;;
*)
    echo "cargo $*: not in the README" >&2
    exit 64 ;;
esac
"#;

/// The blocks between fences of the README: the language, and the text.
fn blocks() -> Vec<(String, String)> {
    let readme = include_str!("../../../README.md");
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in readme.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The shell block with this in it.
fn shell_block(part: &str) -> String {
    let found = blocks().into_iter().find(|(language, text)| language == "sh" && text.contains(part));
    found.unwrap_or_else(|| panic!("the README has no commands with {part:?}")).1
}

/// A directory that looks like the repository after a build.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(tempfile::tempdir().expect("a directory"));
        fs::create_dir_all(checkout.path().join("target/release")).expect("it is made");
        symlink(env!("CARGO_BIN_EXE_switchyard"), checkout.path().join("target/release/switchyard"))
            .expect("it is made");
        symlink(chat_path(), checkout.path().join("chat")).expect("it is made");
        let cargo = checkout.path().join("cargo");
        fs::write(&cargo, CARGO).expect("it is written");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("allowed");
        checkout
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs these lines in a shell.
    fn shell(&self, lines: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").expect("a path");
        let first = self.path().join("target/release");
        let path = format!("{}:{}:{path}", self.path().display(), first.display());
        // The last command takes the shell's place, so that ending the one ends the other.
        let (before, last) = lines.trim_end().rsplit_once('\n').unwrap_or(("", lines.trim_end()));
        command.args(["-e", "-c", &format!("{before}\nexec {last}")]);
        command.current_dir(self.path()).env("PATH", path);
        command.env("SWITCHYARD__SERVER__LISTEN", "127.0.0.1:0").env("SWITCHYARD__SERVER__OPS_LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

#[test]
fn two_people_chat_from_two_terminals_by_the_first_steps() {
    let checkout = Checkout::new();
    let start = shell_block("cargo run --release");
    let first = start.lines().next().expect("a command");
    assert!(first.starts_with("cargo run --release "), "the first of the two commands starts the broker: {first}");
    let broker = Terminal::run(checkout.shell(first));
    let ready: Value = serde_json::from_str(&broker.line()).expect("the ready line");
    assert_eq!((&ready["ready"], &ready["dev"]), (&true.into(), &true.into()));
    assert!(checkout.path().join("switchyard-data").is_dir(), "data lies where the README says");

    let mut alice = Terminal::run(checkout.shell(&shell_block("--user alice\"")));
    alice.say("hello bob");
    assert_eq!(alice.line(), "[1] alice: hello bob");
    let mut bob = Terminal::run(checkout.shell(&shell_block("--user bob\"")));
    assert_eq!(bob.line(), "[1] alice: hello bob");
    bob.say("hello alice");
    assert_eq!(alice.line(), "[2] bob: hello alice");
    assert_eq!(bob.line(), "[2] bob: hello alice");
    alice.end();
    bob.end();
}

#[test]
fn a_configuration_is_written_by_the_commands_of_the_readme() {
    let checkout = Checkout::new();
    let block = shell_block("default-config");
    let commands: Vec<&str> = block.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()).collect();
    let [print, secret, check, run] = commands[..] else { panic!("four commands: {commands:?}") };
    assert!(checkout.shell(print).status().expect("a shell").success());
    assert_eq!(secret, "openssl rand -hex 32");
    let file = checkout.path().join("switchyard.toml");
    let printed = fs::read_to_string(&file).expect("it is there");
    let example = printed.lines().find(|line| line.starts_with("secret = ")).expect("the example");
    assert_eq!(checkout.shell(check).status().expect("a shell").code(), Some(2), "the example is refused");
    fs::write(&file, printed.replace(example, &format!("secret = {:?}", "8c1f".repeat(16)))).expect("it is written");
    assert!(checkout.shell(check).status().expect("a shell").success());
    let broker = Terminal::run(checkout.shell(run));
    let ready: Value = serde_json::from_str(&broker.line()).expect("the ready line");
    assert_eq!(ready["dev"], false);
}

#[test]
fn the_protocols_example_is_what_the_broker_says() {
    let site = Site::dev();
    let dialogue =
        blocks().into_iter().find(|(_, text)| text.starts_with("> {\"id\":1,\"hello\"")).expect("it is there").1;
    let mut plain = Plain::connect(&site);
    let mut conversation = String::new();
    let mut requests = 0;
    let mut answered = 0;
    for line in dialogue.lines() {
        if let Some(request) = line.strip_prefix("> ") {
            if requests > answered {
                plain.reply(requests);
            }
            let request = first_json(request).to_string();
            let request = request.replace(&format!("eyJ{OPEN}"), &site.token("alice"));
            plain.say(&request.replace(OPEN, &conversation));
            requests += 1;
        } else if let Some(expected) = line.strip_prefix("< ") {
            // `,…` stands for fields that are not shown.
            let expected: Value = serde_json::from_str(&expected.replace(&format!(",{OPEN}"), "")).expect("JSON");
            let reply = plain.reply(requests);
            assert_shown(&expected, &reply);
            answered = requests;
            if let Some(id) = reply["data"]["conversation"]["id"].as_str() {
                id.clone_into(&mut conversation);
            }
        }
    }
    assert_eq!(requests, 4);
    // It said that events come live from here on.
    assert_eq!(plain.reply(requests)["ok"], true);
    let mut bob = Plain::open(&site, "bob");
    bob.send(&conversation, "b1", "hi");
    assert_eq!(plain.event("message")["message"]["text"], "hi");
}

/// As it stands there, in a page of the broker; only what it leaves to the reader's own server is filled in.
#[test]
fn the_browsers_example_does_what_it_says() {
    let site = Site::dev();
    let example = blocks().into_iter().find(|(language, _)| language == "js").expect("it is there").1;
    let (import, rest) = example.split_once('\n').expect("lines");
    assert_eq!(import, "import { connect } from \"http://127.0.0.1:7400/sdk/switchyard.js\";");
    let own = "(await fetch(\"/my/token\")).text()";
    assert!(rest.contains(own), "{rest}");
    let rest = rest.replace(own, "given[0]").replace("console.log(", "seen.push(");
    let browser = Browser::start();
    let window = browser.window(&site);
    let script = format!("const {{ connect }} = await import('/sdk/switchyard.js'); globalThis.seen = []; {rest}");
    window.run(&script, &[Value::from(site.token("alice"))]);
    window.until("seen.includes('alice: hello')", &[]);
    assert!(example.lines().count() <= 10, "ten lines are enough");
}

/// The JSON at the begin of a line that may go on with a remark.
fn first_json(line: &str) -> Value {
    serde_json::Deserializer::from_str(line).into_iter().next().expect("something").expect("JSON")
}

/// Everything that the README shows is in the answer, with that value unless it was left open.
fn assert_shown(expected: &Value, answer: &Value) {
    match expected {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_shown(value, answer.get(name).unwrap_or_else(|| panic!("{name} is not in {answer}")));
            }
        }
        Value::String(open) if open == OPEN => assert!(answer.as_str().is_some_and(|text| !text.is_empty())),
        other => assert_eq!(other, answer),
    }
}
