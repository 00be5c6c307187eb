//! What a browser, and whoever pretends to be one, gets at the public port.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use switchyard_edge::auth::{AuthConfig, Claims, Secret, SharedSecret, Verifier};
use tower::ServiceExt;

use super::*;

/// Bytes of an answer that a test reads.
const ANSWER_MAX: usize = 1 << 20;

const PAGE: &str = "http://127.0.0.1:7400";

fn ask(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let (parts, body) = router.clone().oneshot(request).await.expect("it answers").into_parts();
        let body = to_bytes(body, ANSWER_MAX).await.expect("a body");
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("text"))
    })
}

fn secret() -> Secret {
    Secret::new("7b2e".repeat(16).into_bytes())
}

fn with_demo() -> Router {
    let signing = SharedSecret { kid: None, secret: secret() };
    routes(Some(Arc::new(DemoUsers::new(([127, 0, 0, 1], 7400).into(), signing, Claims::for_user))))
}

#[test]
fn files_say_what_they_are_and_what_they_may() {
    let router = routes(None);
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/app.js", "text/javascript; charset=utf-8"),
        ("/sdk/switchyard.js", "text/javascript; charset=utf-8"),
        ("/asyncapi.json", "application/json"),
        ("/sdk/switchyard.d.ts", "text/plain; charset=utf-8"),
    ] {
        let (status, headers, body) = ask(&router, "GET", path, &[], "");
        assert_eq!((status, headers["content-type"].to_str().expect("text")), (StatusCode::OK, kind), "{path}");
        assert!(!body.is_empty() && headers["x-content-type-options"] == "nosniff", "{path}");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");

        let tag = headers["etag"].to_str().expect("text").to_owned();
        let (status, headers, body) = ask(&router, "GET", path, &[("if-none-match", &format!("\"x\", W/{tag}"))], "");
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(headers["etag"], tag.as_str());
    }
    assert_eq!(ask(&router, "GET", "/sdk/switchyard.js", &[], "").1["access-control-allow-origin"], "*");
    for nothing in ["/sdk/nothing.js", "/sdk/..%2Fpackage.json", "/page/", "/sdk/package.json"] {
        assert_eq!(ask(&router, "GET", nothing, &[], "").0, StatusCode::NOT_FOUND, "{nothing}");
    }
}

/// A module that is not served would be missing in the browser alone.
#[test]
fn every_module_that_is_imported_is_served() {
    let router = routes(None);
    let mut pending = vec![("/sdk/", "switchyard.js".to_owned()), ("/page/", "app.js".to_owned())];
    let mut seen = Vec::new();
    while let Some((folder, name)) = pending.pop() {
        let (status, _, text) = ask(&router, "GET", &format!("{folder}{name}"), &[], "");
        assert_eq!(status, StatusCode::OK, "{folder}{name}");
        let imports = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
        for import in imports {
            if !seen.contains(&(folder, import.to_owned())) {
                seen.push((folder, import.to_owned()));
                pending.push((folder, import.to_owned()));
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn the_page_gets_tokens_of_demo_users_and_of_nobody_else() {
    let router = with_demo();
    let json = ("content-type", "application/json");
    let get = |user: &str, headers: &[(&str, &str)]| {
        ask(&router, "POST", "/demo/token", &[headers, &[json]].concat(), &format!("{{\"user\":{user:?}}}"))
    };
    let (status, headers, body) = get("bob", &[("origin", PAGE), ("sec-fetch-site", "same-origin")]);
    assert_eq!((status, &headers["cache-control"]), (StatusCode::OK, &"no-store".parse().expect("a value")));
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let verifier = Verifier::new(&AuthConfig::development(secret())).expect("it will do");
    let identity = verifier.verify(body["token"].as_str().expect("a token"), crate::commands::now_ms()).expect("good");
    assert_eq!((identity.user.as_str(), identity.tenant.as_str()), ("bob", "default"));

    for (user, role) in [("carol", "USER"), ("dave", "SELLER"), ("erin", "SUPPORT"), ("frank", "MANAGER")] {
        let body: serde_json::Value = serde_json::from_str(&get(user, &[("origin", PAGE)]).2).expect("JSON");
        let token = body["token"].as_str().expect("a token");
        let identity = verifier.verify(token, crate::commands::now_ms()).expect("good");
        assert_eq!(identity.roles.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), [role], "{user}");
    }
    for nobody in ["dev", "", "alice ", "root"] {
        assert_eq!(get(nobody, &[("origin", PAGE)]).0, StatusCode::NOT_FOUND, "{nobody}");
    }
    let (status, _, body) = ask(&router, "POST", "/demo/token", &[("origin", PAGE), json], "[]");
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    let long = format!("{{\"user\":\"{}\"}}", "a".repeat(2_000));
    assert_eq!(ask(&router, "POST", "/demo/token", &[("origin", PAGE), json], &long).0, StatusCode::BAD_REQUEST);
    let (status, _, body) = ask(&router, "GET", "/demo/users", &[], "");
    let users: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let of_dave = serde_json::json!({"user": "dave", "name": "Dave", "roles": ["SELLER"]});
    assert!(status == StatusCode::OK && users["users"].as_array().is_some_and(|all| all.contains(&of_dave)), "{body}");
}

#[test]
fn other_pages_get_no_token() {
    let router = with_demo();
    let evil: &[&[(&str, &str)]] = &[
        &[],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:7401")],
        // A name that was made to lead to this machine.
        &[("origin", "http://evil.example:7400"), ("sec-fetch-site", "same-origin")],
        &[("origin", PAGE), ("sec-fetch-site", "cross-site")],
        &[("origin", PAGE), ("sec-fetch-site", "same-site")],
        &[("origin", PAGE), ("origin", "https://evil.example")],
    ];
    for headers in evil {
        let headers = [headers, &[("content-type", "application/json")][..]].concat();
        let (status, _, body) = ask(&router, "POST", "/demo/token", &headers, "{\"user\":\"alice\"}");
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?} {body}");
        assert!(!body.contains("eyJ"), "{body}");
    }
    for path in ["/demo/token", "/demo/users"] {
        let method = if path == "/demo/users" { "GET" } else { "POST" };
        assert_eq!(ask(&routes(None), method, path, &[("origin", PAGE)], "").0, StatusCode::NOT_FOUND, "{path}");
    }
}
