//! The files, with what browsers must be told of them. A browser asks each time whether its copy is still good, so that a new
//! binary is a new page; the answer to that is short.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use switchyard_protocol::code::ErrorCode;

use crate::ops::http::error;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
/// What editors and compilers read; a browser shows it.
const TYPES: &str = "text/plain; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JSON: &str = "application/json";

/// The page takes nothing from elsewhere, runs nothing that is not a file of ours, is framed by nobody, and cannot even be
/// told to make markup of text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// For everything that is served here.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
];

/// For the SDK: pages of other origins may import it. Whether they may connect says `[origins]`.
const SDK_HEADERS: &[(&str, &str)] =
    &[("access-control-allow-origin", "*"), ("cross-origin-resource-policy", "cross-origin")];

/// A file that is part of the binary.
#[derive(Debug)]
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($folder:literal: $($name:literal $kind:expr),* $(,)?) => {
        &[$(Asset {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $name)),
        }),*]
    };
}

/// `/sdk/…`: what `client/js` holds for users.
const SDK: &[Asset] = assets! {"../client/js":
    "switchyard.js" JS, "switchyard.d.ts" TYPES, "all.js" JS, "calls.js" JS, "core.js" JS, "errors.js" JS, "limits.js" JS, "link.js" JS, "marks.js" JS,
    "outbox.js" JS, "presence.js" JS, "showing.js" JS, "subscriptions.js" JS, "timeline.js" JS, "timers.js" JS, "unsent.js" JS,
};

/// `/asyncapi.json`: what the live protocol is, for those who write a client of their own.
static DOCUMENT: Asset = Asset { name: "asyncapi.json", kind: JSON, bytes: switchyard_protocol::ASYNCAPI.as_bytes() };

/// `/page/…`, `/` for the first, and `/protocol` for the second.
const PAGE: &[Asset] = assets! {"page":
    "index.html" HTML, "protocol.html" HTML, "style.css" CSS, "chat.css" CSS, "protocol.css" CSS, "icon.svg" SVG, "theme.js" JS,
    "app.js" JS, "colours.js" JS, "composer.js" JS, "conversation.js" JS, "directory.js" JS, "dom.js" JS, "info.js" JS, "kinds.js" JS, "lines.js" JS,
    "list.js" JS, "login.js" JS, "mentions.js" JS, "naming.js" JS, "online.js" JS, "pins.js" JS, "progress.js" JS, "protocol.js" JS, "room.js" JS,
    "row.js" JS, "schema.js" JS, "seen.js" JS, "start.js" JS, "told.js" JS, "words.js" JS,
};

pub(super) fn routes() -> Router {
    let page = |headers: HeaderMap| async move { give(find(PAGE, "index.html"), &headers, &[]) };
    let protocol = |headers: HeaderMap| async move { give(find(PAGE, "protocol.html"), &headers, &[]) };
    let document = |headers: HeaderMap| async move { give(Some(&DOCUMENT), &headers, SDK_HEADERS) };
    Router::new()
        .route("/", get(page))
        .route("/protocol", get(protocol))
        .route("/asyncapi.json", get(document))
        .route("/page/{file}", get(|path, request| file(PAGE, &[], path, request)))
        .route("/sdk/{file}", get(|path, request| file(SDK, SDK_HEADERS, path, request)))
}

async fn file(
    folder: &'static [Asset],
    more: &'static [(&'static str, &'static str)],
    Path(name): Path<String>,
    request: Request,
) -> Response {
    give(find(folder, &name), request.headers(), more)
}

fn find(folder: &'static [Asset], name: &str) -> Option<&'static Asset> {
    folder.iter().find(|asset| asset.name == name)
}

fn give(asset: Option<&'static Asset>, asked: &HeaderMap, more: &'static [(&'static str, &'static str)]) -> Response {
    let Some(asset) = asset else {
        return error(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is nothing at this path");
    };
    let tag = asset.tag();
    let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS.iter().chain(more) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

impl Asset {
    /// Tells one build's file from another's.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

/// Whether the list of tags that a browser has names this one.
fn names(list: &HeaderValue, tag: &str) -> bool {
    list.to_str().is_ok_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}
