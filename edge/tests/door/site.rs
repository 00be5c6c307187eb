//! A door on a worker of its own, with a stand-in for the owners, and clients to knock at it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use socket2::SockRef;
use switchyard_cluster::mesh;
use switchyard_cluster::now::Clock;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::trace::Instance;
use switchyard_cluster::worker::{Resident, Worker};
use switchyard_edge::auth::{AuthConfig, Claims, LEEWAY_DEFAULT, Secret, SharedVerifier, Verifier, mint};
use switchyard_edge::config::EdgeConfig;
use switchyard_edge::door::{Door, Drain, Place, Shared, bind};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::UserId;
use switchyard_protocol::json::{self, ReplyKind};
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply::Result as Reply, server_frame::Frame};
use tungstenite::handshake::client::generate_key;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use super::owner::{Owner, Seen};

pub(crate) const SECRET: &[u8] = b"a secret of these tests alone, thirty-two bytes and more";

/// No test waits for longer than this for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running door.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    pub(crate) seen: Receiver<Seen>,
    /// What was handed over to another server.
    pub(crate) handed_over: Arc<Mutex<Vec<(SocketAddr, String)>>>,
    /// What that is still counted for.
    pub(crate) places: Arc<Mutex<Vec<Place>>>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

/// What a site is, beside its configuration.
struct Setup {
    workers: usize,
    send_buffer: Option<usize>,
    leeway: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { workers: 1, send_buffer: None, leeway: LEEWAY_DEFAULT }
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(EdgeConfig::default())
    }

    pub(crate) fn with(config: EdgeConfig) -> Self {
        Self::build(config, &Setup::default())
    }

    /// A site whose kernel keeps few bytes for a reader that does not take them.
    pub(crate) fn with_send_buffer(config: EdgeConfig, bytes: usize) -> Self {
        Self::build(config, &Setup { send_buffer: Some(bytes), ..Setup::default() })
    }

    /// A site of several workers.
    pub(crate) fn with_workers(config: EdgeConfig, workers: usize) -> Self {
        Self::build(config, &Setup { workers, ..Setup::default() })
    }

    /// A site that believes issuers whose clocks are off by so much.
    pub(crate) fn with_leeway(leeway: Duration) -> Self {
        Self::build(EdgeConfig::default(), &Setup { leeway, ..Setup::default() })
    }

    fn build(config: EdgeConfig, setup: &Setup) -> Self {
        let auth = AuthConfig { leeway: setup.leeway, ..AuthConfig::development(Secret::new(SECRET)) };
        let verifier = Verifier::new(&auth).expect("a good configuration");
        let handed_over = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&handed_over);
        let places = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::clone(&places);
        let handover = move |mut socket: TcpStream, bytes: Vec<u8>, client: SocketAddr, place: Place| {
            held.lock().expect("no panic").push(place);
            socket.set_nonblocking(false).expect("a socket");
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nother");
            list.lock().expect("no panic").push((client, String::from_utf8(bytes).expect("text")));
        };
        let shared = Shared::new(config, Arc::new(SharedVerifier::new(verifier)), Arc::new(handover));
        let listeners = bind(SocketAddr::from(([127, 0, 0, 1], 0)), setup.workers).expect("a free port");
        let stop = Arc::new(AtomicBool::new(false));
        let (seen_by, seen) = channel();
        let clock = Clock::start();
        let workers: Vec<_> = listeners.sockets.iter().map(|_| Worker::new(clock).expect("a worker")).collect();
        let ends = mesh::join(&workers.iter().map(Worker::bell).collect::<Vec<_>>(), Instance::new([0; 6]));
        let mut threads = Vec::new();
        for (at, ((worker, (edge, router)), listener)) in
            workers.into_iter().zip(ends).zip(listeners.sockets).enumerate()
        {
            if let Some(bytes) = setup.send_buffer {
                // What is accepted inherits it.
                SockRef::from(&listener).set_send_buffer_size(bytes).expect("a socket");
            }
            let (shared, stop, seen_by) = (Arc::clone(&shared), Arc::clone(&stop), seen_by.clone());
            let id = EdgeId(u16::try_from(at).expect("few workers"));
            threads.push(std::thread::spawn(move || {
                let door = Door::new(shared, id, &worker, listener, edge).expect("a door");
                let mut residents: [Box<dyn Resident>; 2] = [Box::new(Owner::new(router, seen_by)), Box::new(door)];
                worker.run(&mut residents, &stop, || {}).expect("a poll");
            }));
        }
        let workers = threads;
        Self { address: listeners.address, shared, seen, handed_over, places, stop, workers }
    }

    /// Waits until the owner has seen this.
    pub(crate) fn wait_for(&self, wanted: &Seen) {
        while self.seen.recv_timeout(PATIENCE).expect("the owner sees it") != *wanted {}
    }

    /// Whether the owner has seen this by now.
    pub(crate) fn has_seen(&self, wanted: &Seen) -> bool {
        self.seen.try_iter().any(|seen| seen == *wanted)
    }

    /// Orders the door to go.
    pub(crate) fn drain(&self, drain: Drain) {
        self.stop.store(true, Ordering::Relaxed);
        self.shared.control().drain(drain);
    }

    /// Waits until the workers have ended.
    pub(crate) fn join(&mut self) {
        for worker in self.workers.drain(..) {
            worker.join().expect("the worker does not panic");
        }
    }

    /// A client that has said hello.
    pub(crate) fn client(&self, user: &str, form: Form) -> Client {
        let mut client = self.stranger(form);
        client.hello(user);
        client
    }

    /// A client that has said nothing.
    pub(crate) fn stranger(&self, form: Form) -> Client {
        Client::upgrade(self.tcp(), form, &[]).expect("an upgrade")
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).expect("the door listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        socket
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        self.drain(Drain { after_min: Duration::ZERO, after_max: Duration::ZERO, deadline: Duration::ZERO });
        for worker in self.workers.drain(..) {
            if worker.join().is_err() && !std::thread::panicking() {
                panic!("the worker panicked");
            }
        }
    }
}

/// A token for a user that lasts so long.
pub(crate) fn token_for(user: &str, ttl: Duration) -> String {
    token_from(user, ttl, Duration::ZERO)
}

/// A good token whose time is over, by a minute.
pub(crate) fn token_over(user: &str) -> String {
    token_from(user, Duration::from_secs(60), Duration::from_secs(120))
}

fn token_from(user: &str, ttl: Duration, ago: Duration) -> String {
    let mut claims = Claims::for_user(UserId::new(user).expect("a valid id"));
    claims.ttl = ttl;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") - ago;
    mint(SECRET, &claims, u64::try_from(now.as_millis()).expect("fits")).expect("a token")
}

pub(crate) fn token(user: &str) -> String {
    token_for(user, Duration::from_secs(600))
}

/// A client of either form.
pub(crate) struct Client {
    pub(crate) socket: WebSocket<TcpStream>,
    pub(crate) form: Form,
    next_id: u64,
    kinds: Vec<ReplyKind>,
    /// Events that came while a reply was awaited.
    pub(crate) events: std::collections::VecDeque<v1::Event>,
}

/// What a client reads.
#[derive(Debug)]
pub(crate) enum Read1 {
    Reply(u64, Reply),
    Event(v1::Event),
    Closed(Option<u16>),
}

impl Client {
    /// Upgrades a connection, with further header fields. `Err` has the status of the refusal.
    pub(crate) fn upgrade(stream: TcpStream, form: Form, fields: &[(&str, &str)]) -> Result<Self, u16> {
        let host = stream.peer_addr().expect("connected");
        let mut request = http_request(host, form);
        for (name, value) in fields {
            let name: tungstenite::http::HeaderName = name.parse().expect("a name");
            let value = tungstenite::http::HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(name, value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                Ok(Self { socket, form, next_id: 0, kinds: Vec::new(), events: std::collections::VecDeque::new() })
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("neither an upgrade nor a refusal: {error}"),
        }
    }

    pub(crate) fn send(&mut self, request: Request) -> u64 {
        self.next_id += 1;
        self.kinds.push(ReplyKind::of(&request));
        let bytes = frame::encode_client(self.form, self.next_id, request);
        let message = match self.form {
            Form::Proto => Message::Binary(bytes),
            Form::Json => Message::text(String::from_utf8(bytes.to_vec()).expect("JSON is UTF-8")),
        };
        self.socket.send(message).expect("the door reads");
        self.next_id
    }

    /// The next frame of any kind; control frames are answered in between.
    pub(crate) fn read(&mut self) -> Read1 {
        let message = loop {
            match self.socket.read() {
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(close)) => return Read1::Closed(close.map(|CloseFrame { code, .. }| code.into())),
                Ok(message) => break message,
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing came")
                }
                // By a signal, as that of a machine that was put to sleep.
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Read1::Closed(None),
            }
        };
        let frame = match message {
            Message::Binary(bytes) => v1::ServerFrame::decode(bytes).expect("a server's frame"),
            Message::Text(text) => {
                let kind = |id: u64| self.kinds.get(usize::try_from(id).ok()?.checked_sub(1)?).copied();
                json::decode_server(&text, kind).expect("a server's frame")
            }
            other => panic!("{other:?}"),
        };
        match frame.frame.expect("a kind") {
            Frame::Reply(reply) => Read1::Reply(reply.id, reply.result.expect("a result")),
            Frame::Event(event) => Read1::Event(event),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        let id = self.send(request);
        loop {
            match self.read() {
                Read1::Reply(to, reply) => {
                    assert_eq!(to, id, "answers come in order here: {reply:?}");
                    return reply;
                }
                Read1::Event(event) => self.events.push_back(event),
                Read1::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }

    pub(crate) fn event(&mut self) -> v1::Event {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.read() {
            Read1::Event(event) => event,
            other => panic!("not an event: {other:?}"),
        }
    }

    /// Reads until the server says goodbye, or cuts.
    pub(crate) fn closed(&mut self) -> Option<u16> {
        loop {
            if let Read1::Closed(code) = self.read() {
                return code;
            }
        }
    }

    pub(crate) fn hello(&mut self, user: &str) -> v1::Welcome {
        let hello = v1::Hello { token: token(user), ..Default::default() };
        match self.ask(Request::Hello(hello)) {
            Reply::Welcome(welcome) => welcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn group(&mut self, members: &[&str]) -> String {
        let create = v1::Create {
            kind: v1::ConversationKind::Group as i32,
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            ..Default::default()
        };
        match self.ask(Request::Create(create)) {
            Reply::Created(created) => created.conversation.expect("a conversation").id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn subscribe(&mut self, conversation: &str) -> u64 {
        let subscribe = v1::Subscribe { conversations: vec![conversation.to_owned()], all: false };
        match self.ask(Request::Subscribe(subscribe)) {
            Reply::Subscribed(mut subscribed) => {
                let one = subscribed.subscribed.pop().expect("one was asked for");
                assert_eq!((one.conversation.as_str(), one.error), (conversation, None));
                one.head
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn send_text(&mut self, conversation: &str, client_id: &str, text: &str) -> v1::Message {
        match self.ask(Request::Send(text_message(conversation, client_id, text))) {
            Reply::Sent(sent) => sent.message.expect("a message"),
            other => panic!("{other:?}"),
        }
    }

    /// The next event, which must be this conversation's message number `seq`.
    pub(crate) fn message(&mut self, seq: u64) -> v1::Message {
        let event = self.event();
        assert_eq!(event.seq, seq, "{event:?}");
        match event.body {
            Some(Body::Message(message)) => message,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn text_message(conversation: &str, client_id: &str, text: &str) -> v1::Send {
    v1::Send {
        conversation: conversation.to_owned(),
        client_id: client_id.to_owned(),
        text: text.to_owned(),
        ..Default::default()
    }
}

fn http_request(host: SocketAddr, form: Form) -> tungstenite::http::Request<()> {
    tungstenite::http::Request::builder()
        .uri(format!("ws://{host}/v1/ws"))
        .header("Host", host.to_string())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header("Sec-WebSocket-Protocol", form.subprotocol())
        .body(())
        .expect("a request")
}

/// The error that a reply must be.
pub(crate) fn error_of(reply: Reply) -> v1::Error {
    match reply {
        Reply::Error(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// Waits for what other threads bring about.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it does not come about");
        std::thread::yield_now();
    }
}

/// All that a raw connection says until it ends.
pub(crate) fn read_to_end(mut socket: impl Read) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut has said all that it will.
    let _ = socket.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
