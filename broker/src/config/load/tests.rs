//! What a person who writes a configuration meets: every mistake at once, by key; environment before file.

use std::io::Write;

use super::*;
use crate::config::units::Span;
use crate::config::{DEFAULT_TOML, LogFormat, secret};

fn from_text(text: &str, env: &[(&str, &str)]) -> Loaded {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("it is written");
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    load(&Source { file: Some(file.path().to_owned()), env })
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.0.iter().map(Problem::to_string).collect()
}

#[test]
fn the_printed_default_is_the_default_save_for_the_example_secret() {
    let loaded = from_text(DEFAULT_TOML, &[]);
    assert_eq!(lines(&loaded), [""; 0]);
    assert_eq!(loaded.config.auth.secret.0, secret::EXAMPLE);
    let mut expected = Config::default();
    expected.auth.secret.0 = secret::EXAMPLE.to_owned();
    assert_eq!(loaded.config, expected);
}

#[test]
fn the_printed_default_names_every_key() {
    // A key that the file does not name cannot be found by those who read it; an unknown one is refused with the list.
    for section in [
        "server",
        "ops",
        "auth",
        "auth.claims",
        "origins",
        "proxies",
        "budgets",
        "store",
        "retention.direct",
        "retention.group",
        "sessions",
        "conversations",
        "presence",
        "dev",
        "log",
    ] {
        let (parent, name) = section.split_once('.').unwrap_or(("", section));
        let written: Table = DEFAULT_TOML.parse().expect("it is TOML");
        let mut table = if parent.is_empty() { &written } else { written[parent].as_table().expect("a table") };
        table = table[name].as_table().expect("a table");
        let variable = format!("SWITCHYARD__{}__NO_SUCH_KEY", section.replace('.', "__").to_uppercase());
        let loaded = from_text("", &[(&variable, "1")]);
        let [problem] = &loaded.problems.0[..] else { panic!("one problem: {:?}", loaded.problems) };
        let known = problem.text.split("expected ").nth(1).expect("the list").split(" (").next().expect("the list");
        for key in known.split([',', ' ']).filter(|word| !word.is_empty() && *word != "or") {
            assert!(table.contains_key(key), "[{section}] {key} is not in the printed default");
        }
    }
}

#[test]
fn every_mistake_is_reported_at_once_by_its_key() {
    let loaded = from_text(
        r#"
        stray = 1
        [server]
        listen = "nowhere"
        workers = "four"
        listne = "127.0.0.1:1"
        drain_deadline = 20
        [auth]
        secret = 1234567890123456789
        leeway = "soon"
        [[auth.issuers]]
        issuer = "a"
        [[auth.issuers]]
        issuer = 7
        [retention.direct]
        age_max = "90d"
        events = 3
        [conversations]
        requests = "maybe"
        [log]
        format = "xml"
        [colours]
        red = true
        "#,
        &[("SWITCHYARD__SESSIONS__HEARTBEAT", "often"), ("SWITCHYARD__NOPE__KEY", "1"), ("OTHER", "x")],
    );
    let mut keys: Vec<&str> = loaded.problems.0.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "auth.issuers[1].issuer",
            "auth.leeway",
            "auth.secret",
            "colours",
            "conversations.requests",
            "log.format",
            "nope.key",
            "retention.direct.events",
            "server.drain_deadline",
            "server.listen",
            "server.listne",
            "server.workers",
            "sessions.heartbeat",
            "stray"
        ]
    );
    assert_eq!(loaded.config.retention.direct.age_max, Span::secs(90 * 86_400), "what was good is kept");
    let all = lines(&loaded).join("\n");
    assert!(!all.contains("1234567890"), "a secret's value is not shown: {all}");
    assert!(all.contains("SWITCHYARD__SESSIONS__HEARTBEAT"), "the variable is named: {all}");
    assert_eq!(all.lines().count(), keys.len(), "a line each: {all}");
}

#[test]
fn environment_goes_before_the_file_with_every_type() {
    let loaded = from_text(
        "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 1\n",
        &[
            ("SWITCHYARD__SERVER__LISTEN", "127.0.0.1:2"),
            ("SWITCHYARD__SERVER__WORKERS", "2"),
            ("SWITCHYARD__AUTH__SECRET", "12345678901234567890123456789012"),
            ("SWITCHYARD__AUTH__CLAIMS__USER", "uid"),
            ("SWITCHYARD__AUTH__ISSUERS", r#"[{issuer = "a", tenant = "t"}]"#),
            ("SWITCHYARD__ORIGINS__ALLOW", "https://a.example, https://b.example"),
            ("SWITCHYARD__PROXIES__PROXY_PROTOCOL", "true"),
            ("SWITCHYARD__PROXIES__TRUSTED", "10.0.0.0/8"),
            ("SWITCHYARD__STORE__FREE_BYTES_MIN", "1GiB"),
            ("SWITCHYARD__RETENTION__GROUP__EVENTS_MAX", "5000"),
            ("SWITCHYARD__LOG__FORMAT", "json"),
        ],
    );
    assert_eq!(lines(&loaded), [""; 0]);
    let config = loaded.config;
    assert_eq!((config.server.listen.port(), config.server.workers), (2, 2));
    assert_eq!(config.auth.secret.0, "12345678901234567890123456789012", "digits are text where text is due");
    assert_eq!((config.auth.claims.user.as_str(), config.auth.issuers[0].tenant.as_str()), ("uid", "t"));
    assert_eq!(config.origins.allow, ["https://a.example", "https://b.example"]);
    assert!(config.proxies.proxy_protocol);
    assert_eq!(config.proxies.trusted[0], "10.0.0.0/8");
    assert_eq!(config.store.free_bytes_min.0, 1 << 30);
    assert_eq!(config.retention.group.events_max, 5000);
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(loaded.given.contains("auth.secret") && !loaded.given.contains("auth.leeway"));
}

#[test]
fn a_file_that_is_no_toml_is_told_by_its_line() {
    let loaded = from_text("[server]\nlisten = \n", &[]);
    assert_eq!(loaded.problems.0.len(), 1);
    assert!(loaded.problems.0[0].key.ends_with(":2"), "{}", loaded.problems);
    let missing = load(&Source { file: Some("/no/such/file".into()), env: Vec::new() });
    assert_eq!(missing.problems.0[0].key, "--config");
}
