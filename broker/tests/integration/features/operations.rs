//! What operators look at: health, readiness, and metrics that move with what happens.

use serde_json::json;

use crate::plain::Plain;
use crate::process::get;
use crate::site::Site;

/// The value of a series, 0 if it is not there yet.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap_or("0");
    line.trim().parse().unwrap_or_else(|_| panic!("{series}: {line:?}"))
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

    let (status, metrics) = get(&ops, "/metrics");
    assert_eq!(status, 200);
    assert_eq!(value(&metrics, "websocket_connections_active "), 2.0, "{metrics}");
    assert_eq!(value(&metrics, "chat_messages_created_total "), 2.0, "a duplicate creates nothing: {metrics}");
    assert!(value(&metrics, "conversations_loaded ") >= 1.0, "{metrics}");
    assert_eq!(value(&metrics, "edge_authentication_failures_total{reason=\"malformed\"} "), 1.0, "{metrics}");
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
    for (_, line) in metrics.lines().enumerate().filter(|(_, line)| !line.starts_with('#')) {
        assert!(!line.contains("alice") && !line.contains(&conversation), "labels name nobody: {line}");
    }
}
