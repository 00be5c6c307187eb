//! What an operator, a load balancer and a stranger get from both ports.

use axum::body::{Body, to_bytes};
use metrics::with_local_recorder;
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::ops::exporter;

/// Bytes of an answer that a test reads.
const ANSWER_MAX: usize = 1 << 20;

fn ask(router: &Router, method: &str, path: &str) -> (StatusCode, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
        let response = router.clone().oneshot(request).await.expect("it answers");
        let status = response.status();
        let body = to_bytes(response.into_body(), ANSWER_MAX).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    })
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn readiness_names_every_reason_while_health_stays_good() {
    let readiness = Readiness::default();
    let (_, exporter) = exporter::local();
    let routers = [public_router(readiness.clone(), Router::new()), ops_router(readiness.clone(), exporter)];
    for router in &routers {
        assert_eq!(ask(router, "GET", "/readyz").0, StatusCode::OK);
        readiness.not_ready("store", "the disk is full");
        readiness.not_ready("drain", "the process is ending");
        let (status, text) = ask(router, "GET", "/readyz");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(json_of(&text)["reasons"]["store"], "the disk is full");
        assert_eq!(json_of(&text)["reasons"].as_object().expect("an object").len(), 2);
        assert_eq!(ask(router, "GET", "/healthz").0, StatusCode::OK);
        readiness.ready("store");
        readiness.ready("drain");
    }
    assert_eq!(ask(&routers[0], "GET", "/health").0, StatusCode::OK);
}

#[test]
fn what_is_not_there_is_answered_as_json() {
    let router = public_router(Readiness::default(), Router::new());
    for path in ["/", "/nothing", "/metrics", "/v1/ws"] {
        let (status, text) = ask(&router, "GET", path);
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(json_of(&text)["error"]["code"], "NOT_FOUND");
        assert_eq!(json_of(&text)["ok"], false);
    }
    let (status, text) = ask(&router, "DELETE", "/health");
    assert_eq!(
        (status, json_of(&text)["error"]["code"].clone()),
        (StatusCode::METHOD_NOT_ALLOWED, "BAD_REQUEST".into())
    );
}

#[test]
fn requests_are_counted_with_bounded_labels() {
    let (recorder, exporter) = exporter::local();
    let router = ops_router(Readiness::default(), exporter);
    let text = with_local_recorder(&recorder, || {
        crate::metrics::describe_all();
        crate::metrics::set_build_info();
        for i in 0..20 {
            ask(&router, "GET", &format!("/made-up-{i}"));
            ask(&router, &format!("VERB{i}"), "/healthz");
        }
        ask(&router, "GET", "/healthz");
        let (status, text) = ask(&router, "GET", "/metrics");
        assert_eq!(status, StatusCode::OK);
        text
    });
    for line in [
        r#"http_requests_total{method="GET",route="other",status="404"} 20"#,
        r#"http_requests_total{method="other",route="/healthz",status="405"} 20"#,
        r#"http_requests_total{method="GET",route="/healthz",status="200"} 1"#,
        r#"http_request_duration_seconds_count{method="GET",route="/healthz"} 1"#,
        "# TYPE http_request_duration_seconds histogram",
        "# HELP process_open_fds Open file descriptors",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains(&format!("version=\"{VERSION}\"")), "{text}");
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse::<f64>().expect("a number")
    };
    assert!(value("process_resident_memory_bytes ") > 1e6);
    assert!(value("process_open_fds ") >= 1.0 && value("process_open_fds ") < value("process_max_fds "));
}
