//! What browsers get at the public port: the page on which two people chat, the JavaScript SDK, and, where they exist, a way
//! in for demo users. The files themselves lie in `broker/page` and `client/js`, and are part of the binary.

mod assets;
mod demo;

use std::sync::Arc;

use axum::Router;

pub use demo::DemoUsers;

/// The routes, with those of the demo users if there are any.
pub fn routes(demo: Option<Arc<DemoUsers>>) -> Router {
    let routes = assets::routes();
    match demo {
        Some(demo) => routes.merge(demo::routes(demo)),
        None => routes,
    }
}

#[cfg(test)]
mod tests;
