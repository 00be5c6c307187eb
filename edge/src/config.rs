//! What an operator can say about the edge, with defaults and their reasons. Data only: nothing is checked or done here.

use std::time::Duration;

use crate::admission::config::Budgets;
use crate::admission::origin::OriginPolicy;
use crate::admission::proxy::TrustedProxies;
use crate::session::SessionConfig;

/// All about one edge. The same for all its workers.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Web pages of which sites may connect.
    pub origins: OriginPolicy,
    /// Whose word on a client's address is taken.
    pub proxies: TrustedProxies,
    /// Whether these proxies begin each connection with a PROXY header; then nobody else may connect.
    pub proxy_protocol: bool,
    /// The HttpOnly cookie that may hold a token; it counts from an allowed origin alone.
    pub token_cookie: String,
    /// How much one address, user, connection or tenant may ask for.
    pub budgets: Budgets,
    /// Limits and times of sessions.
    pub session: SessionConfig,
    /// Times of connections.
    pub timing: Timing,
    /// Room of connections.
    pub room: Room,
}

/// Times of connections.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From accepting a connection to the end of its HTTP request head, at most.
    pub handshake: Duration,
    /// From the upgrade to a good `hello`, at most.
    pub hello: Duration,
    /// After so long without a word, a client is pinged.
    pub heartbeat: Duration,
    /// After so long without a word, it is closed.
    pub idle: Duration,
    /// A reader that takes nothing of what waits for it for so long is closed.
    pub slow: Duration,
    /// How long a closed connection is kept for its peer's goodbye.
    pub close: Duration,
}

/// Room of connections. Connections are counted over all workers of the process.
#[derive(Clone, Debug)]
pub struct Room {
    /// Connections at once; 0 leaves it to the limit of open files. Beyond, newcomers are closed at once.
    pub connections_max: usize,
    /// Connections at once that have not said who they are. Beyond, the oldest of them goes: an honest client is through
    /// within some round trips, so it is never the oldest of so many.
    pub half_open_max: usize,
    /// Bytes that may wait for one socket before events give way to head marks, and before it is not read any more.
    pub queue_bytes_max: usize,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            origins: OriginPolicy::default(),
            proxies: TrustedProxies::default(),
            proxy_protocol: false,
            token_cookie: "switchyard_token".to_owned(),
            budgets: Budgets::default(),
            session: SessionConfig::default(),
            timing: Timing::default(),
            room: Room::default(),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            idle: Duration::from_secs(60),
            slow: Duration::from_secs(30),
            close: Duration::from_secs(2),
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { connections_max: 0, half_open_max: 10_000, queue_bytes_max: 256 * 1024 }
    }
}
