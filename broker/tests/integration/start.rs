//! Starting and ending: the ready line, both ports, the development secret, signals, and what is said when it cannot start.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use jsonwebtoken::{Algorithm, Header};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::keys::Key;
use crate::plain::{JSON, Plain, acquainted};
use crate::process::{Broker, get, refused, said, switchyard};
use crate::site::{Site, now, sign};

#[test]
fn it_says_when_it_is_ready_and_ends_when_asked() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (dir.path().join("data"), dir.path().join("ready.json"));
    let file_name = file.to_str().expect("text");
    let mut broker = Broker::start(&data, &["--ready-file", file_name]);

    let written: Value = serde_json::from_str(&fs::read_to_string(&file).expect("it is there")).expect("JSON");
    assert_eq!(written, broker.ready, "the file has what stdout has");
    assert_eq!((&written["ready"], &written["dev"], &written["quic"]), (&true.into(), &true.into(), &Value::Null));
    assert_eq!(written["data_dir"], data.to_str().expect("text"));
    assert_eq!(written["roles"], serde_json::json!(["edge", "router"]));
    let page = broker.wait_for("the page");
    assert!(page.trim_end().ends_with(broker.ready["page"].as_str().expect("an address")), "its link stands in {page}");
    let banner = broker.wait_for("a token");
    assert_eq!(banner.matches('.').count(), 2, "a token stands in {banner}");

    for port in ["page", "ops"] {
        assert_eq!(get(&broker.address(port), "/healthz").0, 200);
        assert_eq!(get(&broker.address(port), "/readyz").0, 200);
    }
    assert_eq!(get(&broker.address("page"), "/health").0, 200);
    assert_eq!(get(&broker.address("page"), "/metrics").0, 404, "metrics are not for the public");
    let (status, metrics) = get(&broker.address("ops"), "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("switchyard_build_info{"), "{metrics}");

    let mode = fs::metadata(data.join("dev-secret")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let data_name = data.to_str().expect("text");
    assert_eq!(said(&["token", "--user", "ann", "--data", data_name]).trim_end().matches('.').count(), 2);

    broker.signal(Signal::TERM);
    let (status, told) = broker.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(!file.exists(), "the ready file goes with the process");
}

#[test]
fn it_ends_when_asked_while_it_waits_for_its_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let silent = TcpListener::bind("127.0.0.1:0").expect("it listens");
    let node = silent.local_addr().expect("an address");
    let config = dir.path().join("config.toml");
    let text =
        format!("[store]\nkind = \"cql\"\n[store.cql]\ncontact_points = [\"{node}\"]\nrequest_timeout = \"1m\"\n");
    fs::write(&config, text + "[auth]\nsecret = \"not the secret of anybody, but one of some length\"\n")
        .expect("it is written");
    let mut command = switchyard();
    command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--config"]).arg(&config);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It asks the node, which never answers.
    let _asking = silent.accept().expect("it comes");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("asked to end before anything was served"), "{told}");
    assert!(output.stdout.is_empty(), "there is no ready line");
}

#[test]
fn json_logs_are_json_alone_and_hold_no_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(&dir.path().join("data"), &["--log-format", "json"]);
    broker.signal(Signal::INT);
    let (status, told) = broker.end();
    assert_eq!(status.code(), Some(0));
    assert!(told.lines().count() >= 3, "{told}");
    for line in told.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is an object");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    assert!(!told.contains("eyJ"), "no token in the logs: {told}");
}

#[test]
fn a_port_in_use_exits_3_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(&dir.path().join("one"), &[]);
    let data = dir.path().join("other");
    for (name, option, other) in [("page", "--listen", "--ops-listen"), ("ops", "--ops-listen", "--listen")] {
        let address = broker.address(name);
        let (code, told) = refused(&[option, &address, other, "127.0.0.1:0", "--data", data.to_str().expect("text")]);
        assert_eq!(code, 3, "{told}");
        let expected = format!("cannot listen on {address}: in use; stop the other process or use {option}");
        assert!(told.lines().any(|line| line == expected), "{told}");
    }
}

#[test]
fn a_hang_up_reads_the_log_level_again_and_keeps_the_old_when_it_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    let write = |level: &str| {
        let text = format!("[auth]\nsecret = \"{}\"\n[log]\nlevel = {level:?}\n", "7b2e".repeat(16));
        fs::write(&file, text).expect("it is written");
    };
    write("warn");
    let mut broker = Broker::start(&dir.path().join("data"), &["--config", file.to_str().expect("text")]);
    assert_eq!(broker.ready["dev"], false);
    write("x=y=z");
    broker.signal(Signal::HUP);
    assert!(broker.wait_for("not reloaded").contains("log.level"));
    write("info");
    broker.signal(Signal::HUP);
    broker.wait_for("reloaded secrets");
    broker.signal(Signal::TERM);
    let (status, told) = broker.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("asked to end"), "information is logged now: {told}");
}

#[test]
fn a_hang_up_names_what_needs_a_restart_and_nothing_that_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    let write = |secret: &str, more: &str| {
        fs::write(&file, format!("[auth]\nsecret = \"{secret}\"\n{more}")).expect("it is written");
    };
    write(&"7b2e".repeat(16), "[server]\nworkers = 1\n");
    let mut broker = Broker::start(&dir.path().join("data"), &["--config", file.to_str().expect("text")]);
    // The command line goes before the file: what the file says of the address changes nothing. Defaults are no change.
    write(
        &"9c3f".repeat(16),
        "leeway = \"2s\"\ncookie = \"t\"\n[server]\nlisten = \"127.0.0.1:9\"\nworkers = 2\n\
         [budgets.user]\nconnections = 3\n[sessions]\nheartbeat = \"25s\"\n[log]\nlevel = \"info\"\n",
    );
    broker.signal(Signal::HUP);
    let told = broker.wait_for("need a restart");
    assert!(told.contains("keys=\"auth.cookie, budgets.user.connections, server.workers\""), "{told}");
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().0.code(), Some(0));
}

#[test]
fn a_hang_up_with_a_mistake_changes_nothing_at_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    fs::write(dir.path().join("secret"), "51b0".repeat(16)).expect("it is written");
    let start = format!("[auth]\nsecret = \"{}\"\n", "7b2e".repeat(16));
    fs::write(&file, format!("{start}[log]\nlevel = \"error\"\n")).expect("it is written");
    let mut broker = Broker::start(&dir.path().join("data"), &["--config", file.to_str().expect("text")]);
    // One issuer too many, which only all of them together show.
    let secret_file = dir.path().join("secret");
    let others: String = (0..63)
        .map(|n| format!("[[auth.issuers]]\nissuer = \"i{n}\"\ntenant = \"t\"\nsecret_file = {secret_file:?}\n"))
        .collect();
    fs::write(&file, format!("{start}{others}[log]\nlevel = \"info\"\n")).expect("it is written");
    let (code, told) = refused(&["check-config", "--config", file.to_str().expect("text")]);
    assert_eq!((code, told.split(": ").next()), (2, Some("auth.issuers")), "{told}");
    broker.signal(Signal::HUP);
    assert!(broker.wait_for("not reloaded").contains("auth.issuers"));
    broker.signal(Signal::TERM);
    let (status, told) = broker.end();
    assert_eq!((status.code(), told.as_str()), (Some(0), ""), "only errors are logged, as before");
}

/// What a token under the old one was good for, one under the new one is good for now, in the own issuer's file of secrets and
/// in another issuer's file of keys.
#[test]
fn a_hang_up_puts_the_secrets_and_keys_of_files_in_force() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, secret_file, key_file) =
        ["switchyard.toml", "secret", "keys.json"].map(|name| dir.path().join(name)).into();
    let config = format!(
        "[auth]\nsecret_file = {secret_file:?}\n\
         [[auth.issuers]]\nissuer = \"https://login.example\"\ntenant = \"t\"\naudience = \"*\"\njwks_file = {key_file:?}\n"
    );
    fs::write(&file, config).expect("it is written");
    let (old, new) = (("7b2e".repeat(16), Key::new()), ("9c3f".repeat(16), Key::new()));
    let write = |(secret, key): &(String, Key)| {
        fs::write(&secret_file, secret).expect("it is written");
        fs::write(&key_file, json!({"keys": [key.jwk("k1")]}).to_string()).expect("it is written");
    };
    let tokens = |(secret, key): &(String, Key)| {
        let own = json!({"sub": "ann", "tenant": "default", "iss": "switchyard", "exp": now() + 600});
        let others = json!({"sub": "ann", "iss": "https://login.example", "exp": now() + 600});
        [sign(&Header::new(Algorithm::HS256), &own, secret.as_bytes()), key.sign("k1", &others)]
    };
    write(&old);
    let mut broker = Broker::start(&dir.path().join("data"), &["--config", file.to_str().expect("text")]);
    let address = broker.address("ws").parse().expect("an address");
    let admits = |token: &String| {
        let upgraded = Plain::upgrade(address, &[JSON], &[("Authorization", &format!("Bearer {token}"))]);
        upgraded.map(drop).map_err(|(status, _)| status)
    };
    assert_eq!(tokens(&old).each_ref().map(admits), [Ok(()), Ok(())]);
    assert_eq!(tokens(&new).each_ref().map(admits), [Err(401), Err(401)]);
    write(&new);
    broker.signal(Signal::HUP);
    broker.wait_for("reloaded secrets");
    assert_eq!(tokens(&new).each_ref().map(admits), [Ok(()), Ok(())]);
    assert_eq!(tokens(&old).each_ref().map(admits), [Err(401), Err(401)]);
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().0.code(), Some(0));
}

#[test]
fn a_directory_in_use_exits_4_and_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(dir.path(), &[]);
    let data = dir.path().to_str().expect("text");
    let (code, told) = refused(&["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(code, 4, "{told}");
    let pid = broker.ready["pid"].to_string();
    assert!(told.contains("in use") && told.contains(&pid) && told.contains("--data"), "{told}");
}

#[test]
fn a_client_that_stays_holds_up_a_drain_until_a_second_signal() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("ready.json");
    let mut broker = Broker::start(dir.path(), &["--ready-file", file.to_str().expect("text")]);
    let token = said(&["token", "--user", "ann", "--data", dir.path().to_str().expect("text")]);
    let mut client = open_session(&broker.address("ws"), token.trim_end());
    broker.signal(Signal::TERM);
    broker.wait_for("draining");
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("drain") {
        let mut piece = [0; 256];
        let read = client.read(&mut piece).expect("the session lives while it is asked to move");
        assert!(read > 0, "closed without having been asked to move");
        heard.extend_from_slice(&piece[..read]);
    }
    broker.signal(Signal::TERM);
    let (status, told) = broker.end();
    assert_eq!(status.code(), Some(1), "{told}");
    assert!(told.contains("a second time"), "{told}");
    assert!(!file.exists(), "the ready file goes with the process");
}

/// Who does not go when asked is let go, within the deadline; what they were told is kept, is kept.
#[test]
fn a_client_that_ignores_a_drain_is_let_go_in_time_and_loses_nothing() {
    let mut site = Site::with_env(&[("SWITCHYARD__SERVER__DRAIN_DEADLINE", "10s")]);
    let (mut ann, conversation) = acquainted(&site, "ann", "bob");
    let mut silent = Plain::open(&site, "carol");
    // One that reads nothing and does not answer a goodbye.
    let deaf = open_session(&site.address().to_string(), &site.token("dave"));
    let message = |n: usize| json!({"conversation": conversation, "client_id": format!("a{n}"), "text": "still here"});
    ann.done("send", &message(0));
    site.ask_to_end();
    ann.event("drain");
    for n in 1..=20 {
        ann.post("send", &message(n));
    }
    let told = ann.cut();
    assert_eq!(silent.goodbye(), 4001, "it was let go by the server");
    assert_eq!(site.ended().code(), Some(0), "{}", site.log());
    drop(deaf);
    let acked: Vec<&Value> = told.iter().filter(|reply| reply["ok"] == true).collect();
    assert!(!acked.is_empty(), "a connection is served as long as it stands: {told:?}");
    site.start_again();
    let page = Plain::open(&site, "ann").done("history", &json!({"conversation": conversation, "limit": 100}));
    let kept = page["messages"].as_array().expect("a list");
    assert!(kept.iter().any(|message| message["client_id"] == "a0"), "{page}");
    for ack in acked {
        assert!(kept.contains(&ack["data"]["message"]), "{ack} is not in {page}");
    }
}

/// A WebSocket session in JSON form, on a bare socket that never says goodbye.
fn open_session(address: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: switchyard.v1.json\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let hello = br#"{"id":1,"hello":{"device":"phone","subscribe":[]}}"#;
    let length = u8::try_from(hello.len()).expect("a short frame");
    // A final text frame, masked with zeros.
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(hello);
    stream.write_all(head.as_bytes()).expect("it reads");
    let upgraded = read_to(&mut stream, b"\r\n\r\n");
    assert!(upgraded.starts_with("HTTP/1.1 101 "), "{upgraded}");
    stream.write_all(&frame).expect("it reads");
    let answer = read_to(&mut stream, b"}}");
    assert!(answer.contains("\"ok\":true"), "{answer}");
    stream
}

fn read_to(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(end) {
        stream.read_exact(&mut byte).unwrap_or_else(|e| panic!("{e} after {}", String::from_utf8_lossy(&answer)));
        answer.extend(byte);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
