//! How a client is set up, and where its tokens come from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use switchyard_protocol::frame::Form;

use crate::core::Settings;
use crate::trust::Trust;

/// Events that may wait for the application, by default: a page of resume. More are fetched when there is room.
pub(crate) const EVENTS_MAX: usize = 512;

/// How long [`Client::close`](crate::Client::close) waits for what is unsent, by default.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Everything that a client needs to know.
#[derive(Clone)]
pub struct ClientConfig {
    /// `wss://host/v1/ws`, or `ws://host:port/v1/ws` where the way there is safe without TLS.
    pub url: String,
    /// Who vouches for the server of a `wss://` address.
    pub trust: Trust,
    /// Protobuf or JSON on the wire; the same for the application.
    pub form: Form,
    /// Asked when there is no token, and again when it runs out.
    pub token: Arc<dyn TokenProvider>,
    /// What the core may be told.
    pub settings: Settings,
    /// Events that may wait to be read. When so many wait, the rest stays with the server until there is room again.
    pub events_max: usize,
    /// How long [`Client::close`](crate::Client::close) waits for what is unsent.
    pub close_timeout: Duration,
}

impl ClientConfig {
    /// The defaults, for this address and these tokens.
    pub fn new(url: impl Into<String>, token: impl TokenProvider + 'static) -> Self {
        Self {
            url: url.into(),
            trust: Trust::default(),
            form: Form::Proto,
            token: Arc::new(token),
            settings: Settings::default(),
            events_max: EVENTS_MAX,
            close_timeout: CLOSE_TIMEOUT,
        }
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not now: the provider is asked again after a pause.
    #[error("no token now: {0}")]
    Later(String),
    /// Never: the user logged out, say. The client closes, even while it is online.
    #[error("no token: {0}")]
    Never(String),
}

/// A token on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Where tokens come from. Each call should give a token that is still good for a while: the client keeps it across
/// reconnects and calls again only when the server warns that it runs out or no longer takes it.
///
/// Closures are providers: `|| async { fetch_token().await }`.
pub trait TokenProvider: Send + Sync {
    /// A token. May take its time; the client is not held up by it, and asks again if it takes too long.
    fn token(&self) -> TokenFuture;
}

impl<F, T> TokenProvider for F
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<String, TokenError>> + Send + 'static,
{
    fn token(&self) -> TokenFuture {
        Box::pin(self())
    }
}

/// The same token each time. When it runs out, the client closes.
#[derive(Clone)]
pub struct StaticToken(String);

impl StaticToken {
    /// This token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl TokenProvider for StaticToken {
    fn token(&self) -> TokenFuture {
        let token = self.0.clone();
        Box::pin(async move { Ok(token) })
    }
}
