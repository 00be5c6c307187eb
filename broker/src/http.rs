//! How both ports answer plain HTTP: one request for each connection, within a bounded time. Must not know what is asked.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

/// For a request's head, at most.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest a connection lives: a request and a short answer, however slow the line. As long as a handshake may take,
/// for as one its address counts it.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers the one request of this connection, and ends it.
pub(crate) async fn answer_one<S>(router: Router, stream: S) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // A connection that asks again may ask for a WebSocket, for which it must come in by the door: proxies keep theirs
        // open for whichever client comes next.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whoever takes longer has had its time.
    tokio::time::timeout(CONNECTION_TIMEOUT, connection).await.unwrap_or(Ok(()))
}
