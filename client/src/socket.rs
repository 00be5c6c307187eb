//! One WebSocket: connecting, frames to bytes and back. It decides nothing about the session.
//!
//! **Invariant:** reading and writing never wait for each other, so that a server that writes while it does not read
//! cannot bring both to a stop.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink as _, Stream as _};
use prost::Message as _;
use switchyard_protocol::frame::{Form, encode_client};
use switchyard_protocol::json::{ReplyKind, ServerDecodeError, decode_server};
use switchyard_protocol::v1::{ServerFrame, client_frame::Request};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::Request as Upgrade;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use crate::core::Loss;
use crate::error::Error;
use crate::trust::Trust;

/// Bytes of the read buffer: most frames are smaller, and a process may hold thousands of clients.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that are gathered before they are written in one go.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes of a message from the server. A page holds 256 KiB of bodies, which JSON may escape sixfold.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that are read before others get their turn.
const READ_BATCH_MAX: usize = 64;

/// Where to connect to, checked once.
#[derive(Clone)]
pub(crate) struct Address {
    upgrade: Upgrade,
    host: String,
    port: u16,
    connector: Connector,
}

/// What came from the server.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message that holds a frame, not decoded yet.
    Frame(Bytes),
    /// Something else that shows that the server lives.
    Sign,
    /// The end; nothing follows.
    Lost(Loss),
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    outgoing: VecDeque<Message>,
    flush: Flush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flush {
    Done,
    Needed,
    /// Writing failed; what the server said before may still be read.
    Broken,
}

impl Address {
    /// `trust` says whose certificates are taken for `wss://`.
    pub(crate) fn new(url: &str, form: Form, trust: &Trust) -> Result<Self, Error> {
        let bad = |why: String| Error::BadUrl(format!("{url}: {why}"));
        let mut upgrade = url.into_client_request().map_err(|error| bad(error.to_string()))?;
        let uri = upgrade.uri();
        let (connector, usual_port) = match uri.scheme_str() {
            Some("ws") => (Connector::Plain, 80),
            Some("wss") => (Connector::Rustls(trust.tls().map_err(|why| bad(why.to_string()))?), 443),
            _ => return Err(bad("expected ws:// or wss://".to_owned())),
        };
        let host = uri.host().ok_or_else(|| bad("there is no host".to_owned()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(usual_port);
        upgrade.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(form.subprotocol()));
        Ok(Self { upgrade, host, port, connector })
    }
}

impl Socket {
    /// Connects and upgrades. Takes as long as the network does: the caller sets the limit.
    pub(crate) async fn connect(address: Address) -> Result<Box<Self>, Loss> {
        let Address { upgrade, host, port, connector } = address;
        let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| {
            tracing::debug!(%host, port, %error, "not connected");
            Loss::Broken
        })?;
        tcp.set_nodelay(true).map_err(|_| Loss::Broken)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        match tokio_tungstenite::client_async_tls_with_config(upgrade, tcp, Some(config), Some(connector)).await {
            Ok((stream, _)) => Ok(Box::new(Self { stream, outgoing: VecDeque::new(), flush: Flush::Done })),
            Err(error) => Err(loss(&error)),
        }
    }

    /// Queues a message; [`Socket::poll`] writes it.
    pub(crate) fn send(&mut self, form: Form, encoded: Bytes) {
        self.outgoing.push_back(match form {
            Form::Proto => Message::Binary(encoded),
            Form::Json => match encoded.try_into() {
                Ok(text) => Message::Text(text),
                Err(_) => return debug_assert!(false, "JSON is UTF-8"),
            },
        });
    }

    /// Writes what waits as far as the network takes it, and reads what is there, in the order in which it came.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, into: &mut Vec<Incoming>) -> Poll<()> {
        if self.flush != Flush::Broken
            && let Poll::Ready(Err(error)) = self.poll_write(context)
        {
            tracing::debug!(%error, "cannot write");
            self.flush = Flush::Broken;
        }
        while into.len() < READ_BATCH_MAX {
            let Poll::Ready(item) = Pin::new(&mut self.stream).poll_next(context) else { break };
            match item {
                Some(Ok(Message::Binary(bytes))) => into.push(Incoming::Frame(bytes)),
                Some(Ok(Message::Text(text))) => into.push(Incoming::Frame(text.into())),
                Some(Ok(Message::Close(frame))) => {
                    // The library has queued its answer to the close.
                    let _ = Pin::new(&mut self.stream).poll_flush(context);
                    let loss = frame.map_or(Loss::Broken, |frame| Loss::Closed {
                        code: frame.code.into(),
                        reason: frame.reason.as_str().to_owned(),
                    });
                    into.push(Incoming::Lost(loss));
                    break;
                }
                Some(Ok(Message::Ping(_))) => {
                    // The library has queued the pong.
                    self.flush = Flush::Needed;
                    into.push(Incoming::Sign);
                }
                Some(Ok(_)) => into.push(Incoming::Sign),
                Some(Err(error)) => {
                    into.push(Incoming::Lost(loss(&error)));
                    break;
                }
                None => {
                    into.push(Incoming::Lost(Loss::Broken));
                    break;
                }
            }
        }
        if into.is_empty() && self.flush == Flush::Broken {
            // Only now: a close that says why may have been waiting to be read.
            into.push(Incoming::Lost(Loss::Broken));
        }
        if into.is_empty() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.outgoing.is_empty() {
            ready!(stream.as_mut().poll_ready(context))?;
            let Some(message) = self.outgoing.pop_front() else { break };
            stream.as_mut().start_send(message)?;
            self.flush = Flush::Needed;
        }
        if self.flush == Flush::Needed {
            ready!(stream.poll_flush(context))?;
            self.flush = Flush::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye if the network takes it at once, and lets go.
    pub(crate) fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
        let _ = self.stream.close(Some(frame)).now_or_never();
    }
}

/// Writes a request in this form.
pub(crate) fn encode(form: Form, id: u64, request: Request) -> Bytes {
    encode_client(form, id, request)
}

/// Why a message was not taken as a frame.
#[derive(Debug)]
pub(crate) enum NotAFrame {
    /// An answer to a request that nobody waits for any more.
    Late,
    /// The server does not speak this protocol.
    Malformed,
}

/// Reads a frame in this form. `expected` knows what each request asked for.
pub(crate) fn decode(
    form: Form,
    message: Bytes,
    expected: impl FnOnce(u64) -> Option<ReplyKind>,
) -> Result<ServerFrame, NotAFrame> {
    match form {
        Form::Proto => ServerFrame::decode(message).map_err(|_| NotAFrame::Malformed),
        Form::Json => {
            let text = std::str::from_utf8(&message).map_err(|_| NotAFrame::Malformed)?;
            decode_server(text, expected).map_err(|error| match error {
                ServerDecodeError::UnknownReply(_) => NotAFrame::Late,
                ServerDecodeError::Malformed(_) => NotAFrame::Malformed,
            })
        }
    }
}

fn loss(error: &WsError) -> Loss {
    tracing::debug!(%error, "connection lost");
    match error {
        WsError::Http(response) => Loss::Http(response.status().as_u16()),
        _ => Loss::Broken,
    }
}
