//! What operators look at: health, readiness, and metrics that move with what happens.

use std::net::TcpStream;

use serde_json::json;

use crate::plain::{JSON, Plain, keys};
use crate::process::get;
use crate::raw::Raw;
use crate::site::Site;

/// The value of a series, 0 if it is not there yet.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap_or("0");
    line.trim().parse().unwrap_or_else(|_| panic!("{series}: {line:?}"))
}

/// The metrics, once this series has this value: what is counted is handed over a moment after the answer.
fn metrics_with(site: &Site, series: &str, expected: f64) -> String {
    const LOOKS: usize = 1_000;
    let ops = site.ops().to_string();
    let mut metrics = String::new();
    for _ in 0..LOOKS {
        let (status, body) = get(&ops, "/metrics");
        assert_eq!(status, 200);
        if value(&body, series) == expected {
            return body;
        }
        metrics = body;
    }
    panic!("{series}is not {expected}: {metrics}");
}

#[test]
fn h1_health_readiness_and_metrics() {
    let site = Site::dev();
    let (public, ops) = (site.address().to_string(), site.ops().to_string());
    for path in ["/health", "/healthz", "/readyz"] {
        assert_eq!(get(&public, path).0, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&ops, path).0, 200, "{path}");
    }
    assert_eq!(get(&public, "/metrics").0, 404);

    let (mut alice, mut bob) = (Plain::open(&site, "alice"), Plain::open(&site, "bob"));
    let conversation = alice.direct("bob");
    bob.done("subscribe", &json!({"conversations": [conversation]}));
    alice.send(&conversation, "a1", "hi");
    alice.send(&conversation, "a2", "hi");
    alice.send(&conversation, "a2", "hi");
    bob.event("message");
    Plain::connect(&site).refused("hello", &json!({"token": "x"}));

    let mut carol = Plain::open(&site, "carol");
    carol.done("subscribe", &json!({"all": true}));
    alice.group("room", &["carol"]);
    carol.event("listed");

    metrics_with(&site, "websocket_connections_active ", 3.0);
    metrics_with(&site, "notifications_pushed_total{kind=\"listing_added\"} ", 1.0);
    metrics_with(&site, "edge_authentication_failures_total{reason=\"malformed\"} ", 1.0);
    metrics_with(&site, "conversations_loaded ", 2.0);
    let metrics = metrics_with(&site, "chat_messages_created_total ", 2.0);
    assert!(metrics.contains("http_requests_total{") && metrics.contains("http_request_duration_seconds"));
    for name in [
        "commit_batch_rows",
        "commit_duration_seconds",
        "fsync_duration_seconds",
        "edge_queue_bytes",
        "edge_connections_closed_total{reason=\"slow\"}",
        "process_open_fds",
        "process_max_fds",
        "switchyard_build_info{",
    ] {
        assert!(metrics.contains(name), "{name} is missing: {metrics}");
    }
    // Conversations live on several workers, and each counts its own.
    for n in 0..15 {
        alice.direct(&format!("friend{n}"));
    }
    metrics_with(&site, "conversations_loaded ", 17.0);
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        assert!(!line.contains("alice") && !line.contains(&conversation), "labels name nobody: {line}");
    }
}

#[test]
fn h6_who_asks_it_to_end_loses_nothing_and_clients_are_told_when_to_move() {
    let mut site = Site::dev();
    let mut alice = Plain::open(&site, "alice");
    let conversation = alice.direct("bob");
    let ids: Vec<u64> = (0..50)
        .map(|n| {
            let client_id = format!("a{n}");
            alice.post("send", &json!({"conversation": conversation, "client_id": client_id, "text": "hi"}))
        })
        .collect();
    site.ask_to_end();
    let drain = alice.event("drain");
    assert_eq!(keys(&drain), ["after_max_ms", "after_min_ms", "event"]);
    assert!(drain["after_min_ms"].as_u64() <= drain["after_max_ms"].as_u64(), "{drain}");
    // What was under way is finished and answered.
    for id in ids {
        assert_eq!(alice.reply(id)["ok"], true);
    }
    drop(alice);
    assert!(site.ended().success());
    site.start_again();
    let page = Plain::open(&site, "bob").done("history", &json!({"conversation": conversation, "limit": 200}));
    assert_eq!(page["messages"].as_array().map(Vec::len), Some(50));
}

#[test]
fn h6_whoever_is_still_there_is_served_by_all_workers_until_it_goes() {
    const CONVERSATIONS: usize = 16;
    const ROUNDS: usize = 10;
    let env = [("SWITCHYARD__SERVER__WORKERS", "2"), ("SWITCHYARD__SERVER__DRAIN_DEADLINE", "5m")];
    let mut site = Site::with_env(&env);
    // A single client is at the door of one worker; its conversations lie on both.
    let mut alice = Plain::open(&site, "alice");
    let conversations: Vec<String> = (0..CONVERSATIONS).map(|n| alice.direct(&format!("friend{n}"))).collect();
    site.ask_to_end();
    alice.event("drain");
    for round in 0..ROUNDS {
        for conversation in &conversations {
            let sent = alice.send(conversation, &format!("a{round}"), "still there?");
            assert_eq!(sent["message"]["text"], "still there?");
        }
    }
    drop(alice);
    assert!(site.ended().success());
}

#[test]
fn h1_a_proxy_that_keeps_its_connections_for_the_next_client_is_told_that_this_one_ends() {
    let site = Site::dev();
    let mut raw = Raw::connect(&site);
    assert!(raw.send(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"));
    let head = raw.head().to_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("\r\nconnection: close\r\n"), "{head}");
    // And it does end, without the client's doing; so an upgrade comes on a new connection, where it is understood.
    assert!(String::from_utf8_lossy(&raw.rest()).contains("\"ok\":true"));
    Raw::connect(&site).upgrade(JSON, "");
}

#[test]
fn h1_who_says_nothing_on_the_operations_port_is_cut_off_and_keeps_nobody_else_out() {
    const SILENT: usize = 130;
    let site = Site::dev();
    let connect = || Raw::on(TcpStream::connect(site.ops()).expect("the kernel takes it"));
    let mut silent: Vec<Raw> = (0..SILENT).map(|_| connect()).collect();
    for raw in &mut silent {
        assert!(raw.send(b"GET /metrics HTTP/1.1\r\nHost: "));
    }
    assert_eq!(get(&site.ops().to_string(), "/readyz").0, 200);
    let first = silent.first_mut().expect("some");
    first.rest();
}
