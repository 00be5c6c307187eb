//! Demo users: there where they are asked for, and nowhere else.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::plain::Plain;
use crate::process::{get, refused};
use crate::site::{Setup, Site};

const SECRET: &str = "[auth]\nsecret_file = \"DIR/secret\"\n";

fn configured(more: &str) -> Site {
    let text = format!("{SECRET}{more}");
    let files = [("secret", "4f7ac19be20d4f7ac19be20d4f7ac19b")];
    Site::start(&Setup { config: Some(&text), files: &files, ..Setup::default() })
}

/// Asks for a token as the page of this address does; gives the status and the body.
pub(crate) fn token(address: SocketAddr, user: &str) -> (u16, Value) {
    let body = format!("{{\"user\":{user:?}}}");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!("Host: {address}\r\nOrigin: http://{address}\r\nSec-Fetch-Site: same-origin");
    let length = body.len();
    let kind = "Content-Type: application/json";
    write!(stream, "POST /demo/token HTTP/1.1\r\n{head}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// A demo user comes in with such a token.
fn comes_in(site: &Site, user: &str) {
    let (status, body) = token(site.address(), user);
    assert_eq!(status, 200, "{body}");
    let mut plain = Plain::open_with(site, body["token"].as_str().expect("a token"));
    plain.direct("somebody");
}

#[test]
fn development_has_demo_users_unless_it_is_told_otherwise() {
    comes_in(&Site::dev(), "alice");
    let without = Site::with_env(&[("SWITCHYARD__DEV__DEMO_USERS", "false")]);
    assert_eq!(token(without.address(), "alice").0, 404);
}

#[test]
fn a_configured_broker_has_them_only_if_it_says_so() {
    let without = configured("");
    assert_eq!(token(without.address(), "alice").0, 404);
    let address = without.address().to_string();
    assert_eq!(get(&address, "/demo/users").0, 404);
    // The page is there all the same, and says that nobody can come in by it.
    assert_eq!(get(&address, "/").0, 200);

    let with = configured("[dev]\ndemo_users = true\n");
    comes_in(&with, "bob");
    assert_eq!(token(with.address(), "mallory").0, 404);
}

#[test]
fn beyond_loopback_the_start_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("switchyard.toml");
    let secret = "7b2e".repeat(16);
    fs::write(&file, format!("[auth]\nsecret = \"{secret}\"\n[dev]\ndemo_users = true\n")).expect("it is written");
    let file = file.to_str().expect("text");
    let data = dir.path().join("data");
    let data = data.to_str().expect("text");
    let (code, told) =
        refused(&["--config", file, "--listen", "0.0.0.0:0", "--ops-listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(code, 2);
    assert!(told.starts_with("dev.demo_users: ") && told.lines().count() == 1, "{told}");
}
