//! Where to connect to and how: the address, the upgrade request, the sizes of buffers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use switchyard_protocol::frame::Form;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::handshake::client::Request;
use tungstenite::http::Uri;
use tungstenite::protocol::WebSocketConfig;

/// Connections from one loopback address before the next is taken: well below the 28,000 ports that each has, so that
/// those of an earlier run, still waiting to be free, are not missed.
const PER_SOURCE: usize = 4_000;

/// Bytes of a read buffer: a dozen frames. The library fills it with zeros before each read; with 32 KB, a message cost a
/// third more.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes that are gathered before the library writes by itself: more than a turn's frames, so that a flush is one write.
const WRITE_BUFFER: usize = 256 * 1024;

/// The largest frame taken from a server: a page of the largest bodies, twice.
const FRAME_MAX: usize = 2 * 1024 * 1024;

/// A server to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    url: String,
    uri: Uri,
    addr: SocketAddr,
    form: Form,
    config: WebSocketConfig,
}

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Not `ws://host:port/path`.
    #[error("--target {0}: expected ws://HOST:PORT/v1/ws")]
    Url(String),
    /// No such host.
    #[error("--target {0}: {1}")]
    Address(String, std::io::Error),
}

impl Target {
    /// Reads the URL and looks its host up, once for all connections.
    pub fn new(url: &str, form: Form) -> Result<Self, TargetError> {
        let bad = || TargetError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("ws") {
            return Err(bad());
        }
        let host = uri.host().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(80);
        let addr = (host, port)
            .to_socket_addrs()
            .map_err(|error| TargetError::Address(url.to_owned(), error))?
            .next()
            .ok_or_else(bad)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        Ok(Self { url: url.to_owned(), uri, addr, form, config })
    }

    /// As it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The form that frames have on it.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The library's settings.
    pub fn config(&self) -> WebSocketConfig {
        self.config
    }

    /// A fresh upgrade request.
    pub fn request(&self) -> Request {
        use tungstenite::client::IntoClientRequest as _;
        ClientRequestBuilder::new(self.uri.clone())
            .with_sub_protocol(self.form.subprotocol())
            .into_client_request()
            .expect("the URL was read before, and the subprotocol's name is a token")
    }

    /// A socket on its way to the target. Loopback has a whole /8 of source addresses: slots take turns on them.
    pub fn dial(&self, slot: usize) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let IpAddr::V4(address) = self.addr.ip()
            && address.is_loopback()
            && slot >= PER_SOURCE
        {
            let source = Ipv4Addr::new(127, 0, 1, (slot / PER_SOURCE) as u8);
            socket.bind(&SockAddr::from(SocketAddr::from((source, 0))))?;
        }
        match socket.connect(&self.addr.into()) {
            Err(error) if !is_in_progress(&error) => return Err(error),
            _ => {}
        }
        Ok(TcpStream::from_std(socket.into()))
    }
}

fn is_in_progress(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
