//! Rows 24 and 26: clients that send what nobody needs, and clients that never read.

use serde_json::json;

use crate::plain::{JSON, Plain};
use crate::process::get;
use crate::raw::{BINARY, FINAL, PING, PONG, Raw, TEXT, frame};
use crate::site::{Site, fresh};

#[test]
fn n24_floods_of_pings_pongs_and_empty_frames_are_cut_off() {
    let mut site = Site::dev();
    let memory = site.memory_kib();
    // Empty messages are no requests either, of which fewer are borne. None of these clients may come again.
    for (first, payload, expected) in [
        (FINAL | PING, &b"x"[..], 4504),
        (FINAL | PING, b"", 4504),
        (FINAL | PONG, b"", 4504),
        (FINAL | TEXT, b"", 4503),
        (FINAL | BINARY, b"", 4503),
    ] {
        let mut raw = Raw::open(&site, JSON, "alice");
        // It may hang up in the middle of them.
        raw.send(&frame(first, payload).repeat(10_000));
        assert_eq!(raw.goodbye(), expected, "{first:#x}");
    }
    site.unharmed(memory);
}

#[test]
fn n24_a_flood_of_requests_is_answered_with_a_limit_and_harms_nobody() {
    let mut site = Site::with_env(&[
        ("SWITCHYARD__BUDGETS__CONNECTION__REQUESTS_PER_SECOND", "50"),
        ("SWITCHYARD__BUDGETS__CONNECTION__REQUESTS_BURST", "100"),
    ]);
    let memory = site.memory_kib();
    let mut flood = Plain::open(&site, "alice");
    let ids: Vec<u64> = (0..5_000).map(|_| flood.post("ping", &json!({}))).collect();
    let refused = ids.into_iter().filter(|id| flood.reply(*id)["error"]["code"] == "RATE_LIMITED").count();
    assert!(refused > 4_000, "{refused} of 5,000 were refused");
    site.unharmed(memory);
}

#[test]
fn n26_a_reader_that_never_reads_is_closed_and_the_others_read_on() {
    const QUEUE: u64 = 128 * 1024;
    let mut site = Site::with_env(&[
        ("SWITCHYARD__SESSIONS__QUEUE_BYTES_MAX", "128KiB"),
        ("SWITCHYARD__SESSIONS__SLOW_TIMEOUT", "1s"),
        ("SWITCHYARD__SESSIONS__HEARTBEAT", "1s"),
    ]);
    let mut alice = Plain::open(&site, "alice");
    let names: Vec<String> = (0..10).map(|_| fresh("deaf")).collect();
    let members: Vec<&str> = names.iter().map(String::as_str).chain(["bob"]).collect();
    let group = alice.group("room", &members);
    // These take a subscription's answer and nothing after it; so little waits in the sockets that the rest is the broker's.
    let deaf: Vec<Raw> = names.iter().map(|name| never_reads(&site, name, &group)).collect();
    let mut bob = Plain::open(&site, "bob");
    bob.done("subscribe", &json!({"conversations": [group]}));
    let memory = site.memory_kib();

    let text = "x".repeat(60_000);
    let mut most = 0;
    let mut n = 0_u64;
    // Until all of them were closed for it.
    loop {
        alice.send(&group, &format!("a{n}"), &text);
        n += 1;
        assert_eq!(bob.event("message")["seq"], n, "an honest reader misses nothing");
        if n.is_multiple_of(20) {
            let metrics = get(&site.ops().to_string(), "/metrics").1;
            most = most.max(series(&metrics, "edge_queue_bytes"));
            if series(&metrics, "edge_connections_closed_total{reason=\"slow\"}") == deaf.len() as u64 {
                break;
            }
        }
    }
    // One frame may lie over the cap, for a queue takes whole frames.
    let cap = (deaf.len() as u64 + 2) * (QUEUE + 128 * 1024);
    assert!(most <= cap, "{most} bytes waited");
    drop(deaf);
    site.unharmed(memory);
}

fn series(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.trim().parse().unwrap_or_else(|_| panic!("{name}: {line}"))
}

/// A subscribed session whose receive window is as small as it can be.
fn never_reads(site: &Site, user: &str, conversation: &str) -> Raw {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(1).expect("a socket");
    socket.connect(&site.address().into()).expect("it listens");
    let mut raw = Raw::on(socket.into());
    raw.upgrade(JSON, &format!("Authorization: Bearer {}\r\n", site.token(user)));
    let subscribe = json!({"id": 1, "subscribe": {"conversations": [conversation]}});
    assert!(raw.frame(FINAL | TEXT, subscribe.to_string().as_bytes()));
    let (_, answer) = raw.next().expect("an answer");
    assert!(String::from_utf8_lossy(&answer).contains("\"ok\":true"));
    raw
}
