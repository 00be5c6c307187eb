//! Demo users: people without a password, for whom the page gets tokens. They exist on loopback alone, for the page that is
//! served there and for no other page that a browser of this machine may have open.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use switchyard_edge::admission::origin::{OriginPolicy, OriginVerdict};
use switchyard_edge::auth::{Claims, SharedSecret};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::UserId;

use crate::commands::now_ms;
use crate::ops::http::error;

/// One of them: what their tokens say.
struct DemoUser {
    id: &'static str,
    name: &'static str,
    roles: &'static [&'static str],
}

/// Customers, and a shop: somebody who sells, an agent of its support, and who leads the agents.
const USERS: &[DemoUser] = &[
    DemoUser { id: "alice", name: "Alice", roles: &["USER"] },
    DemoUser { id: "bob", name: "Bob", roles: &["USER"] },
    DemoUser { id: "carol", name: "Carol", roles: &["USER"] },
    DemoUser { id: "dave", name: "Dave", roles: &["SELLER"] },
    DemoUser { id: "erin", name: "Erin", roles: &["SUPPORT"] },
    DemoUser { id: "frank", name: "Frank", roles: &["MANAGER"] },
];

/// Bytes of a request: a name in an object.
const BODY_BYTES_MAX: usize = 1_024;

/// Makes what the own issuer's tokens say of a user.
type MakeClaims = Box<dyn Fn(UserId) -> Claims + Send + Sync>;

/// See the module.
pub struct DemoUsers {
    page: OriginPolicy,
    claims: MakeClaims,
    signing: RwLock<SharedSecret>,
}

impl DemoUsers {
    /// For the page at this address; their tokens are signed with this secret and say this.
    pub fn new(
        page: SocketAddr,
        signing: SharedSecret,
        claims: impl Fn(UserId) -> Claims + Send + Sync + 'static,
    ) -> Self {
        let page = OriginPolicy::default().with_page_at(page);
        Self { page, claims: Box::new(claims), signing: RwLock::new(signing) }
    }

    /// From now on with another secret.
    pub fn sign_with(&self, secret: SharedSecret) {
        *self.signing.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    fn token(&self, user: &str) -> Option<String> {
        let DemoUser { id, name, roles } = USERS.iter().find(|demo| demo.id == user)?;
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        let claims = Claims { name: Some((*name).to_owned()), roles, ..(self.claims)(UserId::new(id).ok()?) };
        let signing = self.signing.read().unwrap_or_else(PoisonError::into_inner).clone();
        signing.mint(claims, now_ms()).ok()
    }

    /// Whether it is the page that asks. A browser says so itself, and neither word can be put into its mouth: not by a page
    /// of another origin, and not by one whose name was made to lead to this machine.
    fn is_page(&self, headers: &HeaderMap) -> bool {
        let origins = headers.get_all(header::ORIGIN).iter().map(HeaderValue::as_bytes);
        let same_site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin");
        self.page.check(origins) == OriginVerdict::Allowed && same_site
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: String,
}

pub(super) fn routes(demo: Arc<DemoUsers>) -> Router {
    Router::new()
        .route("/demo/token", post(token).layer(middleware::from_fn_with_state(Arc::clone(&demo), for_the_page)))
        .route("/demo/users", get(users))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(demo)
}

/// Who there is to be: no secret.
async fn users() -> Response {
    let say = |DemoUser { id, name, roles }: &DemoUser| json!({"user": id, "name": name, "roles": roles});
    let users: Vec<_> = USERS.iter().map(say).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({"users": users}))).into_response()
}

async fn for_the_page(State(demo): State<Arc<DemoUsers>>, request: Request, next: Next) -> Response {
    if demo.is_page(request.headers()) {
        return next.run(request).await;
    }
    error(StatusCode::FORBIDDEN, ErrorCode::Forbidden, "demo users are for the page of this server")
}

async fn token(State(demo): State<Arc<DemoUsers>>, wanted: Result<Json<Wanted>, JsonRejection>) -> Response {
    let Ok(Json(wanted)) = wanted else {
        return error(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, "expected JSON: {\"user\": …}");
    };
    match demo.token(&wanted.user) {
        Some(token) => ([(header::CACHE_CONTROL, "no-store")], Json(json!({"token": token}))).into_response(),
        None => error(StatusCode::NOT_FOUND, ErrorCode::NotFound, "there is no such demo user"),
    }
}
