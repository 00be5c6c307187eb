//! Requests that are upgrades, that are not, and that are refused; each also byte by byte.

use switchyard_protocol::frame::Form;

use super::*;

const GOOD: &str = "GET /v1/ws?x=1 HTTP/1.1\r\nHost: edge.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n\r\n";

fn good_with(fields: &str) -> String {
    GOOD.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"))
}

/// Reads a request whole and byte by byte, and asserts that both say the same.
fn read(input: impl AsRef<[u8]>) -> Result<Option<Request>, Refusal> {
    let input = input.as_ref();
    let whole = HeadReader::new().feed(input);
    let mut reader = HeadReader::new();
    let mut cut = Ok(None);
    for byte in input.chunks(1) {
        cut = reader.feed(byte);
        if !matches!(cut, Ok(None)) {
            break;
        }
    }
    assert!(reader.held_bytes() <= HEAD_BYTES_MAX);
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    whole
}

fn upgrade(input: impl AsRef<[u8]>) -> Upgrade {
    match read(input) {
        Ok(Some(Request::Upgrade(upgrade))) => *upgrade,
        other => panic!("not an upgrade: {other:?}"),
    }
}

fn http(input: impl AsRef<[u8]>) -> Http {
    match HeadReader::new().feed(input.as_ref()) {
        Ok(Some(Request::Http(http))) => *http,
        other => panic!("not an ordinary request: {other:?}"),
    }
}

fn refused(input: impl AsRef<[u8]>) -> Refusal {
    read(input).expect_err("refused")
}

#[test]
fn an_upgrade() {
    let upgrade = upgrade(good_with(
        "Origin: https://app.example\r\nauthorization: Bearer a.b.c\r\nCookie: a=1\r\nCookie: b=\u{fe}\r\n\
         X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, 10.0.0.3\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ));
    let head = &upgrade.head;
    assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_deref()), ("GET", "/v1/ws", Some("x=1")));
    assert_eq!(head.host.as_deref(), Some("edge.example"));
    assert_eq!(head.origin.as_deref(), Some("https://app.example"));
    assert_eq!(head.bearer.as_deref(), Some("a.b.c"));
    assert_eq!(head.cookie.as_deref(), Some("a=1; b=\u{fe}"));
    assert_eq!(head.forwarded_for.as_deref(), Some("10.0.0.1, 10.0.0.2, 10.0.0.3"));
    assert_eq!((upgrade.form(), upgrade.subprotocol), (Form::Json, None));
    let answer = String::from_utf8(upgrade.accept()).expect("text");
    assert!(!answer.contains("Extensions"), "n22: compression is never negotiated");
    let printed = format!("{upgrade:?}");
    assert!(!printed.contains("a.b.c") && !printed.contains("a=1") && !printed.contains("x=1"), "{printed}");
}

#[test]
fn the_client_orders_the_subprotocols_and_the_token_is_none() {
    let list = good_with(
        "Sec-WebSocket-Protocol: other, bearer.x.y.z,switchyard.v1.json\r\nSec-WebSocket-Protocol: switchyard.v1.proto",
    );
    let chosen = upgrade(list);
    assert_eq!(chosen.subprotocol, Some(Form::Json));
    assert_eq!(chosen.subprotocol_bearer.as_deref(), Some("x.y.z"));
    let answer = String::from_utf8(chosen.accept()).expect("text");
    assert!(answer.contains("Sec-WebSocket-Protocol: switchyard.v1.json\r\n"), "{answer}");
    assert!(!answer.contains("x.y.z"), "{answer}");

    let chosen = upgrade(good_with("Sec-WebSocket-Protocol: switchyard.v1.proto, switchyard.v1.json"));
    assert_eq!(chosen.form(), Form::Proto);
    let token_alone = refused(good_with("Sec-WebSocket-Protocol: bearer.x"));
    assert_eq!(token_alone.status, 400);
    assert!(token_alone.message.contains("offer the subprotocol switchyard.v1.proto or"), "{token_alone}");

    let refusal = refused(good_with("Sec-WebSocket-Protocol: chat, superchat"));
    assert_eq!(refusal.status, 400);
    assert!(refusal.message.contains("switchyard.v1.proto or switchyard.v1.json"), "{refusal}");
    assert_eq!(refused(good_with("Sec-WebSocket-Protocol: bearer.a, bearer.b")).status, 400);
}

#[test]
fn an_ordinary_request_keeps_all_its_bytes() {
    let input = "\r\nPOST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let request = http(input);
    assert_eq!((request.head.method.as_str(), request.head.path.as_str()), ("POST", "/v1/things"));
    assert_eq!(request.bytes, input.as_bytes());
    assert_eq!(http("GET / HTTP/1.0\r\n\r\n").head.host, None);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(http(chunked).bytes, chunked.as_bytes());
    let other = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(http(other).bytes, other.as_bytes());
    // The body may come with the head, in one read that is larger than any head.
    let large = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n{}", "x".repeat(60_000));
    assert_eq!(http(&large).bytes.len(), large.len());
}

#[test]
fn conditions_of_an_upgrade() {
    for (from, to) in [
        ("GET ", "POST "),
        ("HTTP/1.1", "HTTP/1.0"),
        ("keep-alive, Upgrade", "keep-alive"),
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PEC"),
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PE=="),
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PECA=="),
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJCgsMDQ4PECA="),
        ("AQIDBAUGBwgJCgsMDQ4PEC==", "AQIDBAUGBwgJC sMDQ4PEC=="),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Kee"),
        ("Host: edge.example\r\n", ""),
        ("Host: edge.example\r\n", "Host: edge.example\r\nHost: b\r\n"),
        ("Host: edge.example\r\n", "Host: a\r\nOrigin: https://a\r\nOrigin: https://b\r\n"),
    ] {
        let input = GOOD.replace(from, to);
        assert_ne!(input, GOOD);
        assert_eq!(refused(&input).status, 400, "{to:?} for {from:?}");
    }
    for version in ["Sec-WebSocket-Version: 8", "X-Version: 13"] {
        let refusal = refused(GOOD.replace("Sec-WebSocket-Version: 13", version));
        let answer = String::from_utf8(refusal.response()).expect("text");
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        assert!(answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
    }
}

#[test]
fn n29_smuggling_is_refused_for_every_request() {
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    for input in [
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        format!("{post}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        format!("{post}Content-Length: +5\r\n\r\n"),
        format!("{post}Content-Length: \r\n\r\n"),
        format!("{post}Content-Length: 5, 5\r\n\r\n"),
        format!("{post}Content-Length: 99999999999999999999999\r\n\r\n"),
        format!("{post}X: a\r\n b\r\n\r\n"),
        format!("{post}X : a\r\n\r\n"),
        format!("{post}X: a\nY: b\r\n\r\n"),
        format!("{post}X: a\r\n\n"),
        format!("{post}X: a\rY: b\r\n\r\n"),
        format!("{post}X: \0\r\n\r\n"),
        "GET / HTTP/1.1\nHost: a\n\n".into(),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(),
        "GET /\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}".into(),
        good_with("Content-Length: 1"),
        good_with("Transfer-Encoding: chunked"),
        GOOD.replace("\r\n", "\n"),
        good_with("X: a\r\n\tb"),
    ] {
        assert_eq!(refused(&input).status, 400, "{input:?}");
    }
    assert_eq!(HeadReader::new().feed(format!("{GOOD}\u{1}").as_bytes()).expect_err("frames too early").status, 400);
    upgrade(good_with("Content-Length: 0"));
}

#[test]
fn n29_a_large_head_is_refused_before_it_is_read() {
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(65_536));
    assert_eq!(refused(&large).status, 400);
    let mut reader = HeadReader::new();
    assert!(matches!(reader.feed(&large.as_bytes()[..HEAD_BYTES_MAX]), Ok(None)));
    assert!(reader.held_bytes() <= HEAD_BYTES_MAX);
    assert!(reader.feed(b"x").is_err());
    assert_eq!(reader.held_bytes(), 0);
    assert!(reader.feed(GOOD.as_bytes()).is_err(), "a refusal is final");

    let least = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let fits = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX - least));
    assert_eq!(http(&fits).bytes.len(), HEAD_BYTES_MAX);
    let over = fits.replace("X: ", "X: x");
    assert_eq!(refused(over).status, 400);
}

#[test]
fn n29_too_many_fields() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    http(fields(HEADERS_MAX));
    assert_eq!(refused(fields(HEADERS_MAX + 1)).status, 400);
}
