//! Plain HTTP: health, readiness and metrics on the operations port; health and readiness on the public one, where every
//! other path is answered 404 as JSON. Each answer is counted by method, route and status.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::{counter, histogram};
use serde_json::json;
use switchyard_protocol::code::ErrorCode;

use super::exporter::Exporter;
use super::readiness::Readiness;
use crate::metrics::{HTTP_REQUEST_DURATION, HTTP_REQUESTS};
use crate::version::VERSION;

/// What Prometheus calls its text form.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The public port's HTTP, for connections that are no WebSocket: health, and what else is served there.
pub fn public_router(readiness: Readiness, more: Router) -> Router {
    counted(health_routes(readiness).route("/health", get(healthy)).merge(more))
}

/// The operations port's HTTP.
pub fn ops_router(readiness: Readiness, exporter: Exporter) -> Router {
    let metrics = Router::new().route("/metrics", get(render)).with_state(exporter);
    counted(health_routes(readiness).merge(metrics))
}

fn health_routes(readiness: Readiness) -> Router {
    Router::new().route("/healthz", get(healthy)).route("/readyz", get(ready)).with_state(readiness)
}

/// Adds the answers for what is not there, and counts everything.
fn counted(router: Router) -> Router {
    router
        .fallback(|| async { error(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            error(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, "this path does not take this method")
        })
        .layer(middleware::from_fn(count))
}

async fn healthy() -> Response {
    Json(json!({"ok": true, "version": VERSION})).into_response()
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let reasons = readiness.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": reasons.is_empty(), "reasons": reasons}))).into_response()
}

async fn render(State(exporter): State<Exporter>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], exporter.render()).into_response()
}

/// An error in the form that all answers have.
pub(crate) fn error(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    let error = json!({"code": code.name(), "number": code.number(), "message": message});
    (status, Json(json!({"ok": false, "error": error}))).into_response()
}

async fn count(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method_label(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    // Paths that a client made up would be labels without end.
    let route = path.as_ref().map_or("other", MatchedPath::as_str).to_owned();
    let status = response.status().as_u16().to_string();
    histogram!(HTTP_REQUEST_DURATION, "method" => method, "route" => route.clone()).record(started.elapsed());
    counter!(HTTP_REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
    response
}

/// The method, if it is a usual one: a client may make those up, too.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
