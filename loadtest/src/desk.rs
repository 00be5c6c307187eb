//! A client that waits for each answer: for measurements of one user at a time, where the loop of [`crate::engine`] would only
//! be in the way. The protobuf form.

use std::io;
use std::net::TcpStream;

use anyhow::{Context as _, bail};
use prost::Message as _;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::v1::{self, ServerFrame, client_frame::Request, reply, server_frame};
use tungstenite::client::{ClientRequestBuilder, client};
use tungstenite::http::Uri;
use tungstenite::{Message, WebSocket};

/// A connected user.
#[derive(Debug)]
pub struct Desk {
    socket: WebSocket<TcpStream>,
    next: u64,
}

impl Desk {
    /// Connects; nobody has said hello yet.
    pub fn connect(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().context("--target")?;
        let host = uri.host().unwrap_or_default().to_owned();
        let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(80)))?;
        stream.set_nodelay(true)?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(Form::Proto.subprotocol());
        let (socket, _) = client(request, stream).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { socket, next: 0 })
    }

    /// Says hello.
    pub fn hello(&mut self, token: String, subscribe_all: bool) -> anyhow::Result<v1::Welcome> {
        let subscribe = subscribe_all.then(|| v1::Subscriptions { all: true, conversations: Vec::new() });
        let hello = v1::Hello { token, device: "loadtest".to_owned(), subscribe };
        match self.ask(Request::Hello(hello))? {
            reply::Result::Welcome(welcome) => Ok(welcome),
            other => bail!("the answer to hello is {other:?}"),
        }
    }

    /// One request, and its answer.
    pub fn ask(&mut self, request: Request) -> anyhow::Result<reply::Result> {
        let mut results = self.ask_all([request])?;
        results.pop().context("one answer")
    }

    /// Requests at once, and their answers in the same order. An error is one.
    pub fn ask_all(&mut self, requests: impl IntoIterator<Item = Request>) -> anyhow::Result<Vec<reply::Result>> {
        let first = self.next + 1;
        for request in requests {
            self.next += 1;
            let frame = frame::encode_client(Form::Proto, self.next, request);
            self.socket.write(Message::Binary(frame))?;
        }
        self.socket.flush()?;
        let mut results = vec![None; (self.next + 1 - first) as usize];
        let mut missing = results.len();
        while missing > 0 {
            let Message::Binary(bytes) = self.socket.read()? else { continue };
            let Some(server_frame::Frame::Reply(reply)) = ServerFrame::decode(bytes)?.frame else { continue };
            if let Some(reply::Result::Error(error)) = &reply.result {
                bail!("a request was refused: {}: {}", error.code, error.message);
            }
            let place = reply.id.checked_sub(first).and_then(|at| results.get_mut(at as usize));
            let place = place.filter(|place| place.is_none()).context("an answer to nothing that was asked")?;
            *place = reply.result;
            missing -= 1;
        }
        Ok(results.into_iter().flatten().collect())
    }
}
