//! What types cannot say: addresses, time-outs, origins, secrets and issuers, each reported by its key.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use switchyard_edge::admission::config::Budgets;

use crate::config::{Overrides, Settings, Source, secret};

fn resolve(text: Option<&str>, env: &[(&str, &str)], overrides: &Overrides) -> Result<Settings, Vec<String>> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = text.map(|text| {
        let path = dir.path().join("switchyard.toml");
        fs::write(&path, text).expect("it is written");
        path
    });
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let settings = Settings::resolve(&Source { file, env }, overrides);
    settings.map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    resolve(Some(text), &[], &Overrides::default()).map(|_| ()).expect_err("it is refused")
}

fn keys(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(": ").next().unwrap_or(line)).collect()
}

#[test]
fn without_a_configuration_it_is_development_on_loopback() {
    let settings = resolve(None, &[("SWITCHYARD__SERVER__WORKERS", "1")], &Overrides::default()).expect("it will do");
    assert!(settings.dev);
    let outside = Overrides { listen: Some(([0, 0, 0, 0], 7400).into()), ..Overrides::default() };
    let refused = resolve(None, &[], &outside).expect_err("not loopback");
    assert_eq!(keys(&refused), ["server.listen"]);
    assert!(refused[0].contains("default-config"), "{refused:?}");
}

#[test]
fn the_operations_port_is_for_this_machine_unless_the_configuration_says_more() {
    let secret = "[auth]\nsecret = \"2c4e6a8b0d1f3a5c7e9b2d4f6a8c0e1f\"\n";
    for address in ["0.0.0.0:7401", "[::]:7401", "192.0.2.1:7401"] {
        let text = format!("{secret}[server]\nops_listen = {address:?}\n");
        let lines = problems(&text);
        assert_eq!(keys(&lines), ["server.ops_listen"], "{lines:?}");
        assert!(lines[0].contains("ops.public = true"), "{lines:?}");
        let open = format!("{text}[ops]\npublic = true\n");
        assert!(resolve(Some(&open), &[], &Overrides::default()).is_ok(), "{address}");
    }
    let overrides = Overrides { ops_listen: Some(([0, 0, 0, 0], 7401).into()), ..Overrides::default() };
    let refused = resolve(Some(secret), &[], &overrides).expect_err("an option does not say so either");
    assert_eq!(keys(&refused), ["server.ops_listen"]);
    // Nothing opens it in development.
    let refused = resolve(None, &[("SWITCHYARD__OPS__PUBLIC", "true")], &overrides).expect_err("development");
    assert_eq!(keys(&refused), ["server.ops_listen"]);
}

#[test]
fn demo_users_are_for_this_machine_and_come_with_development_alone() {
    let secret = "[auth]\nsecret = \"2c4e6a8b0d1f3a5c7e9b2d4f6a8c0e1f\"\n";
    let (on, off) = (format!("{secret}[dev]\ndemo_users = true\n"), ("SWITCHYARD__DEV__DEMO_USERS", "false"));
    let has = |text: Option<&str>, env: &[(&str, &str)]| {
        resolve(text, env, &Overrides::default()).expect("it will do").demo_users()
    };
    assert!(has(None, &[]) && !has(None, &[off]), "development has them unless it is told otherwise");
    assert!(!has(Some(secret), &[]) && has(Some(&on), &[]), "a configuration has them if it says so");

    for address in ["0.0.0.0:7400", "[::]:7400", "192.0.2.1:7400"] {
        let lines = problems(&format!("{on}[server]\nlisten = {address:?}\n"));
        assert_eq!(keys(&lines), ["dev.demo_users"], "{lines:?}");
    }
    let outside = Overrides { listen: Some(([0, 0, 0, 0], 7400).into()), ..Overrides::default() };
    let refused = resolve(Some(&on), &[], &outside).expect_err("an option changes nothing about it");
    assert_eq!(keys(&refused), ["dev.demo_users"]);

    let dir = tempfile::tempdir().expect("a directory");
    let shared = dir.path().join("secret");
    fs::write(&shared, "51b0c8".repeat(8)).expect("it is written");
    let other = format!("[[auth.issuers]]\nissuer = \"i\"\ntenant = \"t\"\nsecret_file = {shared:?}\n");
    assert_eq!(
        keys(&problems(&format!("[dev]\ndemo_users = true\n{other}"))),
        ["dev.demo_users"],
        "nobody signs for them"
    );
}

#[test]
fn a_key_for_tokens_in_the_environment_is_a_configuration() {
    let env = [("SWITCHYARD__AUTH__SECRET", "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c")];
    let outside = Overrides { listen: Some(([0, 0, 0, 0], 7400).into()), ..Overrides::default() };
    assert!(!resolve(None, &env, &outside).expect("it has a key").dev);
    let short = resolve(None, &[("SWITCHYARD__AUTH__SECRET", "short")], &Overrides::default());
    assert_eq!(keys(&short.expect_err("too short")), ["auth.secret"]);
}

#[test]
fn missing_short_and_example_secrets_say_what_to_do_next() {
    for text in [
        String::new(),
        "[auth]\nsecret = \"too-short\"".to_owned(),
        format!("[auth]\nsecret = {:?}", secret::EXAMPLE),
        "[auth]\nsecret = \"a-secret-of-forty-bytes-but-change-me-okay\"".to_owned(),
        crate::config::DEFAULT_TOML.to_owned(),
    ] {
        let lines = problems(&text);
        assert_eq!(keys(&lines), ["auth.secret"], "{lines:?}");
        assert!(lines[0].contains("openssl rand -hex 32"), "{lines:?}");
    }
}

#[test]
fn everything_that_makes_no_sense_is_reported_at_once() {
    let lines = problems(
        r#"
        [server]
        ops_listen = "127.0.0.1:7400"
        drain_deadline = "0s"
        [auth]
        secret = "short"
        tenant = ""
        leeway = "1h"
        [auth.claims]
        user = ""
        [[auth.issuers]]
        issuer = "https://login.example"
        tenant = "t"
        [[auth.issuers]]
        issuer = "https://login.example"
        secret_file = "/no/such/file"
        [origins]
        allow = ["https://app.example.com", "*", "app.example.com"]
        [proxies]
        proxy_protocol = true
        [budgets.user]
        requests_burst = 0
        [sessions]
        idle_timeout = "30s"
        queue_bytes_max = "1KiB"
        [log]
        level = "x=y=z"
        "#,
    );
    let mut found = keys(&lines);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "auth.claims.user",
            "auth.issuers[0].jwks_file",
            "auth.issuers[1].issuer",
            "auth.issuers[1].secret_file",
            "auth.issuers[1].tenant",
            "auth.leeway",
            "auth.secret",
            "auth.tenant",
            "budgets.user.requests_burst",
            "log.level",
            "origins.allow",
            "origins.allow",
            "proxies.proxy_protocol",
            "server.drain_deadline",
            "server.ops_listen",
            "sessions.idle_timeout",
            "sessions.queue_bytes_max",
        ]
    );
}

#[test]
fn fewer_events_than_are_compared_with_a_send_cannot_be_kept() {
    let secret = "4f7ac1".repeat(8);
    let text = |events: u64| format!("[auth]\nsecret = {secret:?}\n[retention.group]\nevents_max = {events}\n");
    for events in [1, 999] {
        let lines = problems(&text(events));
        assert_eq!(keys(&lines), ["retention.group.events_max"]);
        assert!(lines[0].contains("at least 1000"), "{lines:?}");
    }
    for events in [0, 1_000] {
        assert!(resolve(Some(&text(events)), &[], &Overrides::default()).is_ok(), "{events}");
    }
    assert_eq!(
        keys(&problems("[retention.direct]\nevents_max = 7"))[..],
        ["retention.direct.events_max", "auth.secret"]
    );
}

#[test]
fn no_token_is_admitted_whose_session_would_end_at_once() {
    let with = |leeway: &str| format!("[auth]\nsecret = \"2c4e6a8b0d1f3a5c7e9b2d4f6a8c0e1f\"\nleeway = {leeway:?}\n");
    for good in ["0s", "500ms", "5s"] {
        assert!(resolve(Some(&with(good)), &[], &Overrides::default()).is_ok(), "{good}");
    }
    for long in ["5s 1ms", "1m"] {
        let lines = problems(&with(long));
        assert_eq!(keys(&lines), ["auth.leeway"], "{lines:?}");
        assert!(lines[0].contains("5s"), "{lines:?}");
    }
    let refused = resolve(None, &[("SWITCHYARD__AUTH__LEEWAY", "1m")], &Overrides::default());
    assert_eq!(keys(&refused.expect_err("in development neither")), ["auth.leeway"]);
}

#[test]
fn in_development_budgets_are_wide_but_those_that_were_given_count() {
    let budgets = |env: &[(&str, &str)]| resolve(None, env, &Overrides::default()).expect("it will do").budgets();
    let (wide, plain) = (Budgets::development(), Budgets::default());
    assert_eq!(budgets(&[]), wide);
    // The default's own number is a number, too.
    let found = budgets(&[("SWITCHYARD__BUDGETS__ADDRESS__HALF_OPEN", "200")]);
    assert_eq!(found, Budgets { address: plain.address.clone(), ..wide.clone() });
    assert!(!found.address.exempt_loopback);
    let found = budgets(&[("SWITCHYARD__BUDGETS__USER__CONNECTIONS", "3")]);
    assert_eq!((found.user.connections, found.user.requests_burst), (3, plain.user.requests_burst));
    assert_eq!((found.connection, found.address), (wide.connection, wide.address));
    let secret = ("SWITCHYARD__AUTH__SECRET", "2c4e6a8b0d1f3a5c7e9b2d4f6a8c0e1f");
    assert_eq!(budgets(&[secret]), plain, "this is no development");
}

#[test]
fn secrets_and_keys_come_from_files_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, text: &str| fs::write(path(name), text).expect("it is written");
    let (new, old) = ("9d41c7".repeat(8), "5e02ba".repeat(8));
    write("secrets", &format!("{new}\n{old}\n"));
    write("empty", "\n");
    write("jwks", "{}");
    let config = |file: &Path| format!("[auth]\nsecret_file = {file:?}\n");
    let settings = resolve(Some(&config(&path("secrets"))), &[], &Overrides::default()).expect("it will do");
    let tokens = settings.tokens().expect("they are configured");
    assert_eq!(tokens.signing.expect("the own secret").secret.expose(), new.as_bytes(), "the first line signs");

    assert_eq!(keys(&problems(&config(&path("empty")))), ["auth.secret_file"]);
    assert_eq!(keys(&problems(&config(&path("none")))), ["auth.secret_file"]);
    let both = format!("{}secret = {new:?}\n", config(&path("secrets")));
    assert_eq!(keys(&problems(&both)), ["auth.secret_file"]);
    let jwks =
        format!("[[auth.issuers]]\nissuer = \"i\"\ntenant = \"t\"\naudience = \"a\"\njwks_file = {:?}\n", path("jwks"));
    assert_eq!(keys(&problems(&jwks)), ["auth.issuers.jwks_file"], "the edge refuses a file without keys");
}

#[test]
fn secrets_with_names_come_from_a_key_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("secrets.json");
    let config = format!("[auth]\nsecret_file = {file:?}\n");
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let key = |kid: &str, k: &str| format!(r#"{{"kty":"oct","kid":"{kid}","k":"{k}"}}"#);
    let (new, old) = (text(&[1, 2].repeat(16)), text(&[3, 4].repeat(16)));
    let say = |keys: &str| fs::write(&file, format!("\n{{\"keys\":[{keys}]}}")).expect("it is written");

    say(&format!("{},{}", key("new", &new), key("old", &format!("{old}="))));
    let settings = resolve(Some(&config), &[], &Overrides::default()).expect("it will do");
    let signing = settings.tokens().expect("they are configured").signing.expect("the own secret");
    assert_eq!((signing.kid.as_deref(), signing.secret.expose()), (Some("new"), &[1, 2].repeat(16)[..]));

    let (rsa, none) = (r#"{"kty":"RSA","kid":"r","k":""}"#.to_owned(), String::new());
    let without_a_name = format!(r#"{{"kty":"oct","k":"{new}"}}"#);
    let as_text = format!("{:?}", key("new", &new));
    for (keys, wanted) in [
        (key("short", &text(&[1; 31])), "(kid \"short\") has 31 bytes"),
        (key("known", &text(super::super::secret::EXAMPLE.as_bytes())), "(kid \"known\") is the example"),
        (key("spoilt", "!!"), "(kid \"spoilt\") has a k that is not base64url"),
        (rsa, "(kid \"r\") is no HS256 secret"),
        (none, "is empty"),
        (without_a_name, "line 2 column"),
        (as_text, "line 2 column"),
        (format!("{},{}", key("new", &new), key("new", &old)), "two secrets are named new"),
    ] {
        say(&keys);
        let lines = problems(&config);
        assert!(lines.len() == 1 && lines[0].contains(wanted), "{keys}: {lines:?}");
        assert!(!lines[0].contains(&new) && lines[0].starts_with("auth.secret_file: "), "{lines:?}");
    }
}

#[test]
fn an_issuer_that_signs_for_others_too_needs_an_audience_or_a_word_that_any_will_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let (jwks, shared) = (dir.path().join("jwks"), dir.path().join("secret"));
    let x = data_encoding::BASE64URL_NOPAD.encode(&[7; 32]);
    let jwk = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{x}"}}]}}"#);
    fs::write(&jwks, jwk).expect("it is written");
    fs::write(&shared, "51b0c8".repeat(8)).expect("it is written");
    let issuer = |key: &str, file: &Path, audience: &str| {
        format!("[[auth.issuers]]\nissuer = \"i\"\ntenant = \"t\"\n{key} = {file:?}\naudience = {audience:?}\n")
    };
    let lines = problems(&issuer("jwks_file", &jwks, ""));
    assert_eq!(keys(&lines), ["auth.issuers[0].audience"], "{lines:?}");
    assert!(lines[0].contains("\"*\""), "{lines:?}");
    for (text, wanted) in [
        (issuer("jwks_file", &jwks, "switchyard"), Some("switchyard")),
        (issuer("jwks_file", &jwks, "*"), None),
        (issuer("secret_file", &shared, ""), None),
    ] {
        let settings = resolve(Some(&text), &[], &Overrides::default()).expect(&text);
        let tokens = settings.tokens().expect("they are configured");
        assert_eq!(tokens.config.issuers[0].audience.as_deref(), wanted, "{text}");
    }
}

#[test]
fn nothing_that_a_configuration_says_shows_a_secret() {
    let secret = "4f7ac1".repeat(8);
    let settings = resolve(Some(&format!("[auth]\nsecret = {secret:?}\n")), &[], &Overrides::default());
    let settings = settings.expect("it will do");
    assert!(!format!("{settings:?}").contains(&secret), "Debug shows the secret");
}
