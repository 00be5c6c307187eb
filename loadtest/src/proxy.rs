//! A proxy that stands between a generator and a server and does to the server's frames what a broken server might: to
//! test the oracle, and the oracle alone. Two threads a connection; not made for load.
//!
//! What is done to them is a [`Mutator`]'s, which sees every frame of every connection in the order they came.

mod sabotage;
mod spoil;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use prost::Message as _;
use switchyard_protocol::frame::Form;
use switchyard_protocol::v1::ServerFrame;
use tungstenite::client::{ClientRequestBuilder, client};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::http::{HeaderValue, Uri};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept_hdr};

pub use self::sabotage::{Deed, Sabotage, Spot};
pub use self::spoil::{Spoil, Spoilage};

/// Does something to a server's frames: for each, the frames that are passed on in its place.
pub trait Mutator: Send {
    /// A frame came on connection `link`, counted from 0 in the order of their arrival.
    fn mutate(&mut self, link: usize, frame: ServerFrame) -> Vec<ServerFrame>;
}

impl<F: FnMut(usize, ServerFrame) -> Vec<ServerFrame> + Send> Mutator for F {
    fn mutate(&mut self, link: usize, frame: ServerFrame) -> Vec<ServerFrame> {
        self(link, frame)
    }
}

/// A listening proxy. It works until the process ends.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
}

impl Proxy {
    /// Listens on a free port of loopback, and passes connections on to `upstream`, a WebSocket URL. The protobuf form
    /// alone.
    pub fn start(upstream: &str, mutator: impl Mutator + 'static) -> io::Result<Self> {
        let uri: Uri = upstream.parse().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let mutator: Arc<Mutex<dyn Mutator>> = Arc::new(Mutex::new(mutator));
        thread::spawn(move || {
            for (link, stream) in listener.incoming().enumerate() {
                let (Ok(stream), uri, mutator) = (stream, uri.clone(), Arc::clone(&mutator)) else { continue };
                thread::spawn(move || {
                    // A connection that fails is closed; the generator sees that, and no more need be known of it.
                    let _ = serve(link, stream, &uri, &mutator);
                });
            }
        });
        Ok(Self { addr })
    }

    /// Where a generator connects to.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.addr)
    }
}

fn serve(link: usize, stream: TcpStream, uri: &Uri, mutator: &Mutex<dyn Mutator>) -> Result<(), tungstenite::Error> {
    stream.set_nodelay(true)?;
    let mut down = accept_protocol(stream)?;
    let host = uri.host().unwrap_or_default();
    let server = TcpStream::connect((host, uri.port_u16().unwrap_or(80)))?;
    server.set_nodelay(true)?;
    let request = ClientRequestBuilder::new(uri.clone()).with_sub_protocol(Form::Proto.subprotocol());
    let (mut up, _) = client(request, server).map_err(|error| io::Error::other(error.to_string()))?;

    let mut to_server = WebSocket::from_raw_socket(up.get_ref().try_clone()?, Role::Client, None);
    let mut from_client = WebSocket::from_raw_socket(down.get_ref().try_clone()?, Role::Server, None);
    thread::spawn(move || {
        while let Ok(message) = from_client.read() {
            if message.is_binary() && to_server.send(message).is_err() {
                break;
            }
        }
        let _ = to_server.get_ref().shutdown(std::net::Shutdown::Both);
    });
    while let Ok(message) = up.read() {
        let Message::Binary(bytes) = message else { continue };
        let Ok(frame) = ServerFrame::decode(bytes) else { break };
        let frames = mutator.lock().map_err(|_| io::Error::other("a mutator failed"))?.mutate(link, frame);
        for frame in frames {
            down.write(Message::Binary(frame.encode_to_vec().into()))?;
        }
        down.flush()?;
    }
    down.get_ref().shutdown(std::net::Shutdown::Both)?;
    Ok(())
}

/// Takes a WebSocket connection that asks for the protobuf form.
#[allow(clippy::result_large_err, reason = "the library's signature")]
fn accept_protocol(stream: TcpStream) -> Result<WebSocket<TcpStream>, tungstenite::Error> {
    let name = HeaderValue::from_static("switchyard.v1.proto");
    let choose = |_: &Request, mut response: Response| {
        response.headers_mut().insert("sec-websocket-protocol", name);
        Ok(response)
    };
    accept_hdr(stream, choose).map_err(|error| io::Error::other(error.to_string()).into())
}
