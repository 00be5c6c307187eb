//! The scripted server: a socket that a test reads requests from and writes frames to, in either form.

use futures_util::{SinkExt as _, StreamExt as _};
use switchyard_client::protocol::frame::{self, Form};
use switchyard_client::protocol::v1::{self, ServerFrame, client_frame::Request, reply};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request as Upgrade, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The client's own path, so that what it asks for is seen.
const PATH: &str = "/v1/ws";

pub(crate) struct Server {
    listener: TcpListener,
    form: Form,
}

/// The server's end of one connection.
pub(crate) struct Peer<S = TcpStream> {
    stream: WebSocketStream<S>,
    form: Form,
}

impl Server {
    pub(crate) async fn start(form: Form) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"), form }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}{PATH}", self.listener.local_addr().expect("bound"))
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        self.listener.accept().await.expect("a connection").0
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer::over(self.accept_tcp().await, self.form).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Takes the upgrade that comes over this stream.
    pub(crate) async fn over(stream: S, form: Form) -> Self {
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let upgrade = |request: &Upgrade, mut response: Response| {
            assert_eq!(request.uri().path(), PATH);
            let asked = request.headers().get(SEC_WEBSOCKET_PROTOCOL).expect("a subprotocol");
            assert_eq!(asked, form.subprotocol());
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(form.subprotocol()));
            Ok(response)
        };
        let stream = tokio_tungstenite::accept_hdr_async(stream, upgrade).await.expect("an upgrade");
        Self { stream, form }
    }

    /// The next thing that the client says; none when it is gone.
    pub(crate) async fn next_message(&mut self) -> Option<Message> {
        self.stream.next().await.and_then(Result::ok)
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> (u64, Request) {
        loop {
            match self.next_message().await.expect("the client is still there") {
                Message::Binary(bytes) if self.form == Form::Proto => {
                    return frame::decode_client_proto(&bytes).expect("a request");
                }
                Message::Text(text) if self.form == Form::Json => {
                    return frame::decode_client_json(&text).expect("a request");
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next send. How far a conversation goes is asked for before the first send there: not far.
    pub(crate) async fn send(&mut self) -> (u64, v1::Send) {
        loop {
            match self.request().await {
                (id, Request::Send(send)) => return (id, send),
                (id, Request::Get(get)) => self.detail(id, &get).await,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Says that a conversation is there and empty.
    pub(crate) async fn detail(&mut self, id: u64, get: &v1::Get) {
        let conversation = v1::Conversation { id: get.conversation.clone(), ..v1::Conversation::default() };
        self.reply(id, reply::Result::Detail(v1::Detail { conversation: Some(conversation) })).await;
    }

    /// The next request, which is a resume.
    pub(crate) async fn resume(&mut self) -> (u64, Vec<v1::Position>) {
        match self.request().await {
            (id, Request::Resume(resume)) => (id, resume.positions),
            other => panic!("{other:?}"),
        }
    }

    /// Takes hello and answers it; gives the token.
    pub(crate) async fn welcome(&mut self, user: &str) -> String {
        let (id, Request::Hello(hello)) = self.request().await else { panic!("hello comes first") };
        let limits = v1::Limits { requests_in_flight_max: 32, frame_bytes_max: 131_072, ..v1::Limits::default() };
        let welcome = v1::Welcome {
            user: user.to_owned(),
            tenant: "t".to_owned(),
            heartbeat_ms: 25_000,
            limits: Some(limits),
            ..v1::Welcome::default()
        };
        self.reply(id, reply::Result::Welcome(welcome)).await;
        hello.token
    }

    pub(crate) async fn reply(&mut self, id: u64, result: reply::Result) {
        self.frame(&frame::reply(id, result)).await;
    }

    pub(crate) async fn resumed(&mut self, id: u64, pages: Vec<v1::ResumedConversation>) {
        self.reply(id, reply::Result::Resumed(v1::Resumed { conversations: pages })).await;
    }

    pub(crate) async fn event(&mut self, event: v1::Event) {
        self.frame(&frame::event(event)).await;
    }

    pub(crate) async fn frame(&mut self, frame: &ServerFrame) {
        let encoded = frame::encode_server(self.form, frame);
        self.raw(match self.form {
            Form::Proto => Message::Binary(encoded),
            Form::Json => Message::Text(encoded.try_into().expect("JSON is UTF-8")),
        })
        .await;
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("the client is still there");
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "why".into() };
        self.stream.close(Some(frame)).await.expect("the client is still there");
        while self.next_message().await.is_some() {}
    }
}
