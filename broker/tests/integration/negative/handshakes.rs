//! Rows 1 to 3 and 29: requests for a WebSocket from pages that may not, and HTTP that two servers could read in two ways.

use serde_json::json;

use crate::plain::{JSON, Plain};
use crate::process::get;
use crate::raw::{Raw, upgrade_head};
use crate::site::Site;

const ALLOW: [(&str, &str); 1] = [("SWITCHYARD__ORIGINS__ALLOW", "https://app.example.com,https://*.shop.example")];

#[test]
fn n01_pages_of_foreign_origins_are_refused_before_anything_else() {
    let mut site = Site::with_env(&ALLOW);
    let memory = site.memory_kib();
    let bearer = format!("Bearer {}", site.token("alice"));
    for origin in [
        "https://evil.example",
        "null",
        "https://app.example.com.evil",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com@evil.example",
        "https://evil.example#https://app.example.com",
        "https://app.example.com/",
        "https://shop.example",
        "https://a.shop.example.evil",
        "https://evilshop.example",
        "file://",
        "",
    ] {
        let headers = [("Origin", origin), ("Authorization", bearer.as_str())];
        let (status, body) = Plain::upgrade(site.address(), &[JSON], &headers).err().expect(origin);
        assert_eq!((status, &body["error"]["code"]), (403, &json!("FORBIDDEN")), "{origin}");
    }
    let metrics = get(&site.ops().to_string(), "/metrics").1;
    assert!(metrics.contains("\nwebsocket_connections_active 0\n"), "{metrics}");
    for origin in ["https://app.example.com", "https://a.shop.example"] {
        let headers = [("Origin", origin), ("Authorization", bearer.as_str())];
        Plain::upgrade(site.address(), &[JSON], &headers).unwrap_or_else(|refusal| panic!("{origin}: {refusal:?}"));
    }
    site.unharmed(memory);
}

#[test]
fn n02_a_cookie_alone_counts_from_an_allowed_page_only() {
    let mut site = Site::with_env(&ALLOW);
    let memory = site.memory_kib();
    let cookie = format!("switchyard_token={}", site.token("alice"));
    let foreign = [("Origin", "https://evil.example"), ("Cookie", cookie.as_str())];
    assert_eq!(Plain::upgrade(site.address(), &[JSON], &foreign).err().expect("another site").0, 403);
    // Whoever sends no origin is no page; its cookie is nobody's word.
    let mut plain = Plain::upgrade(site.address(), &[JSON], &[("Cookie", &cookie)]).expect("a program");
    assert_eq!(plain.refused("ping", &json!({})), "AUTH_INVALID");
    assert_eq!(plain.goodbye(), 4501);
    site.unharmed(memory);
}

#[test]
fn n03_a_token_in_the_address_is_no_token_and_is_not_logged() {
    let mut site = Site::with_env(&[("SWITCHYARD__LOG__LEVEL", "trace")]);
    let memory = site.memory_kib();
    let token = site.token("alice");
    for name in ["token", "access_token", "bearer", "jwt", "ticket"] {
        let mut raw = Raw::connect(&site);
        let head = upgrade_head(&format!("Sec-WebSocket-Protocol: {JSON}\r\n"));
        assert!(raw.send(head.replace("/v1/ws ", &format!("/v1/ws?{name}={token} ")).as_bytes()));
        assert!(raw.head().starts_with("HTTP/1.1 101 "), "{name}");
        assert!(raw.frame(0x81, br#"{"id":1,"ping":{}}"#));
        let (_, answer) = raw.next().expect("an answer");
        assert!(String::from_utf8_lossy(&answer).contains("AUTH_INVALID"), "{name}");
        assert_eq!(raw.goodbye(), 4501, "{name}");
    }
    get(&site.address().to_string(), &format!("/health?token={token}"));
    site.unharmed(memory);
    let signature = token.rsplit('.').next().expect("three parts");
    assert!(!site.log().contains(signature), "the address is logged: {}", site.log());
}

#[test]
fn n29_http_that_could_be_read_in_two_ways_is_refused() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    let post = "POST /health HTTP/1.1\r\nHost: a\r\n";
    let smuggled = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let upgrade = upgrade_head("");
    let large = format!("X-Large: {}\r\n", "x".repeat(64 * 1024));
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (request, why) in [
        (format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n{smuggled}"), "TE and CL"),
        (format!("{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd{smuggled}"), "two lengths"),
        (format!("{post}Content-Length: +4\r\n\r\nabcd"), "a sign"),
        (format!("{post}Content-Length: 0x4\r\n\r\nabcd"), "hexadecimal"),
        ("GET /health HTTP/1.1\nHost: a\n\n".to_owned(), "bare line feeds"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX: 1\n\r\n".to_owned(), "one bare line feed"),
        ("GET /health HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n".to_owned(), "a bare carriage return"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n".to_owned(), "NUL"),
        ("GET /health HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n".to_owned(), "folding"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n".to_owned(), "a space before the colon"),
        ("GET /health HTTP/1.1\r\n\r\n".to_owned(), "no host"),
        ("GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), "two hosts"),
        ("GET /health HTTP/3.1\r\nHost: a\r\n\r\n".to_owned(), "a version of its own"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "HTTP/2"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\n{large}\r\n"), "a head of 64 KiB"),
        (format!("GET /health HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "100 fields"),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".to_owned(), "TLS"),
        (format!("{upgrade}{smuggled}"), "a request behind an upgrade"),
        (upgrade_head("Content-Length: 5\r\n"), "an upgrade with a body"),
        (upgrade_head("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "two keys"),
        (upgrade.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "no key"),
        (upgrade.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), "a short key"),
        (upgrade.replacen("GET", "POST", 1), "an upgrade by POST"),
    ] {
        let mut raw = Raw::connect(&site);
        raw.send(request.as_bytes());
        let status = raw.http_status();
        assert!(matches!(status, 400 | 405), "{why}: {status}");
    }
    let mut raw = Raw::connect(&site);
    raw.send(upgrade.replace("Version: 13", "Version: 8").as_bytes());
    assert_eq!(raw.http_status(), 426);
    let mut raw = Raw::connect(&site);
    raw.send(upgrade.replace("/v1/ws", "/v1/../ops").as_bytes());
    assert_eq!(raw.http_status(), 404);
    site.unharmed(memory);
}
