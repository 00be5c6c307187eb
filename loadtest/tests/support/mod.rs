//! A chat server that keeps everything in memory and does everything right, for the oracle to find nothing wrong with.
//! One thread a connection and one lock over all: simple enough to be believed.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, client_frame::Request, event, reply};
use tungstenite::handshake::server::{Request as Upgrade, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket, accept_hdr};

type Writer = Arc<Mutex<WebSocket<TcpStream>>>;

#[derive(Default)]
struct Conversation {
    members: Vec<String>,
    messages: Vec<v1::Message>,
    by_client_id: HashMap<(String, String), usize>,
    /// Acknowledged with the number after the next one, and stored once that is there.
    early: Option<v1::Message>,
    readers: Vec<(usize, Form, Writer)>,
}

#[derive(Default)]
struct State {
    conversations: HashMap<String, Conversation>,
    direct: HashMap<Vec<String>, String>,
}

impl Conversation {
    /// Keeps a message and tells its readers.
    fn store(&mut self, message: v1::Message) {
        let event = frame::event(event_of(&message));
        self.by_client_id.insert((message.sender.clone(), message.client_id.clone()), self.messages.len());
        self.messages.push(message);
        for (_, form, reader) in &self.readers {
            write(reader, *form, &event);
        }
    }
}

/// What a test has the server do on purpose.
#[derive(Clone, Copy, Default)]
pub(crate) struct Habits {
    /// Every so many sends are refused with `OVERLOADED`; 0 for none.
    pub(crate) refuse_every: u64,
    /// A refused message is stored all the same.
    pub(crate) store_refused: bool,
    /// Every connection is closed after so many requests; 0 for never.
    pub(crate) hang_up_after: u64,
    /// Every so many histories of a connection are refused with `OVERLOADED`; 0 for none.
    pub(crate) refuse_pages_every: u64,
    /// Sends are stored and delivered, but not answered.
    pub(crate) never_ack: bool,
    /// The message that would have this number gets the next one, and whatever comes after its ack gets this one; 0 for none.
    pub(crate) exchange_at: u64,
    /// The message with this number is not answered; 0 for none.
    pub(crate) silent_at: u64,
    /// Before the message that would have this number comes one that nobody has sent; 0 for none.
    pub(crate) invent_at: u64,
    /// The first message has the number after this one.
    pub(crate) numbers_after: u64,
    /// The sender of the message with this number is told that its token expires soon; 0 for none.
    pub(crate) warn_at: u64,
}

pub(crate) struct Server {
    addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(habits: Habits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let addr = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State::default()));
        thread::spawn(move || {
            for (link, stream) in listener.incoming().enumerate() {
                let (stream, state) = (stream.expect("a connection"), Arc::clone(&state));
                thread::spawn(move || Link::serve(link, stream, &state, habits));
            }
        });
        Self { addr }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.addr)
    }
}

struct Link<'a> {
    number: usize,
    form: Form,
    user: String,
    writer: Writer,
    state: &'a Mutex<State>,
    habits: Habits,
    sends: u64,
    histories: u64,
}

impl<'a> Link<'a> {
    #[allow(clippy::result_large_err, reason = "the library's signature")]
    fn serve(number: usize, stream: TcpStream, state: &'a Mutex<State>, habits: Habits) {
        stream.set_nodelay(true).expect("a socket");
        let mut form = Form::Proto;
        let choose = |request: &Upgrade, mut response: Response| {
            let asked = request.headers().get("sec-websocket-protocol").expect("a subprotocol").clone();
            form = Form::of_subprotocol(asked.to_str().expect("text")).expect("one of ours");
            let name = HeaderValue::from_static(form.subprotocol());
            response.headers_mut().insert("sec-websocket-protocol", name);
            Ok(response)
        };
        let Ok(mut socket) = accept_hdr(stream, choose) else { return };
        let clone = socket.get_ref().try_clone().expect("a socket");
        let writer = Arc::new(Mutex::new(WebSocket::from_raw_socket(clone, Role::Server, None)));
        let mut link = Self { number, form, user: String::new(), writer, state, habits, sends: 0, histories: 0 };
        let mut requests = 0;
        while let Ok(message) = socket.read() {
            let request = match &message {
                Message::Binary(bytes) => frame::decode_client_proto(bytes),
                Message::Text(text) => frame::decode_client_json(text),
                _ => continue,
            };
            let (id, request) = request.expect("the generator's frames are good");
            requests += 1;
            if habits.hang_up_after > 0 && requests > habits.hang_up_after {
                break;
            }
            let result = link.answer(id, request);
            if let Some(result) = result {
                let reply = frame::reply(id, result);
                write(&link.writer, link.form, &reply);
            }
        }
        let mut state = link.lock();
        for conversation in state.conversations.values_mut() {
            conversation.readers.retain(|(reader, ..)| *reader != number);
        }
        let _ = socket.get_ref().shutdown(std::net::Shutdown::Both);
    }

    fn lock(&self) -> MutexGuard<'a, State> {
        self.state.lock().expect("nobody panicked")
    }

    fn answer(&mut self, id: u64, request: Request) -> Option<reply::Result> {
        Some(match request {
            Request::Hello(hello) => {
                self.user = user_of(&hello.token);
                let limits = v1::Limits { requests_in_flight_max: 64, ..v1::Limits::default() };
                reply::Result::Welcome(v1::Welcome {
                    user: self.user.clone(),
                    limits: Some(limits),
                    ..v1::Welcome::default()
                })
            }
            Request::Create(create) => self.create(create),
            Request::Subscribe(subscribe) => {
                let mut state = self.lock();
                let subscribed =
                    subscribe.conversations.iter().map(|id| self.subscribe(&mut state, id)).collect::<Vec<_>>();
                reply::Result::Subscribed(v1::Subscribed { subscribed, all: None })
            }
            Request::Resume(resume) => self.resume(&resume, id)?,
            Request::Send(send) => self.send(send, id)?,
            Request::Renew(_) => reply::Result::Renewed(v1::Renewed::default()),
            Request::History(history) => {
                self.histories += 1;
                let every = self.habits.refuse_pages_every;
                if every > 0 && self.histories.is_multiple_of(every) {
                    reply::Result::Error(frame::error(ErrorCode::Overloaded, "no room", Some(1)))
                } else {
                    self.history(&history)
                }
            }
            _ => reply::Result::Error(frame::error(ErrorCode::BadRequest, "not in this server", None)),
        })
    }

    fn create(&self, create: v1::Create) -> reply::Result {
        let mut state = self.lock();
        let mut members = create.members;
        members.push(self.user.clone());
        members.sort();
        let number = state.conversations.len() as u128 + 1;
        let new = ConversationId::from_bytes(number.to_be_bytes()).to_string();
        let direct = create.kind == i32::from(v1::ConversationKind::Direct);
        let known = direct.then(|| state.direct.get(&members).cloned()).flatten();
        let created = known.is_none();
        let id = known.unwrap_or(new);
        if created {
            state.direct.insert(members.clone(), id.clone());
            state.conversations.insert(id.clone(), Conversation { members, ..Conversation::default() });
        }
        let conversation = Some(v1::Conversation { id, ..v1::Conversation::default() });
        reply::Result::Created(v1::Created { conversation, created })
    }

    fn head(&self, messages: &[v1::Message]) -> u64 {
        self.habits.numbers_after + messages.len() as u64
    }

    fn subscribe(&self, state: &mut State, id: &str) -> v1::SubscribedTo {
        let conversation = state.conversations.get_mut(id).expect("the generator asks for what it created");
        assert!(conversation.members.contains(&self.user), "the generator asks for its own");
        if conversation.readers.iter().all(|(reader, ..)| *reader != self.number) {
            conversation.readers.push((self.number, self.form, Arc::clone(&self.writer)));
        }
        v1::SubscribedTo { conversation: id.to_owned(), head: self.head(&conversation.messages), error: None }
    }

    /// Answers under the lock, so that no live event comes between the page and what follows it.
    fn resume(&self, resume: &v1::Resume, id: u64) -> Option<reply::Result> {
        const PAGE: usize = 7;
        let mut state = self.lock();
        let mut conversations = Vec::new();
        for position in &resume.positions {
            let head = self.subscribe(&mut state, &position.conversation).head;
            let messages = &state.conversations[&position.conversation].messages;
            let missed = &messages[(position.seq - self.habits.numbers_after) as usize..];
            conversations.push(v1::ResumedConversation {
                conversation: position.conversation.clone(),
                events: missed.iter().take(PAGE).map(event_of).collect(),
                head,
                first_available: 1,
                more: missed.len() > PAGE,
                error: None,
            });
        }
        let resumed = reply::Result::Resumed(v1::Resumed { conversations });
        write(&self.writer, self.form, &frame::reply(id, resumed));
        None
    }

    /// Answers and delivers under the lock, so that everybody sees the numbers rise.
    fn send(&mut self, send: v1::Send, id: u64) -> Option<reply::Result> {
        self.sends += 1;
        let refused = self.habits.refuse_every > 0 && self.sends.is_multiple_of(self.habits.refuse_every);
        if refused && !self.habits.store_refused {
            return Some(reply::Result::Error(frame::error(ErrorCode::Overloaded, "no room", Some(1))));
        }
        let mut state = self.lock();
        let conversation = state.conversations.get_mut(&send.conversation).expect("the generator's own");
        let key = (self.user.clone(), send.client_id.clone());
        let known = conversation.by_client_id.get(&key).copied();
        let mut next = conversation.messages.len() as u64 + 1;
        let message = if let Some(at) = known {
            conversation.messages[at].clone()
        } else {
            let mut message = v1::Message {
                conversation: send.conversation,
                client_id: send.client_id,
                sender: self.user.clone(),
                kind: send.kind,
                text: send.text,
                time_ms: 1,
                ..Default::default()
            };
            if next == self.habits.invent_at {
                let nobodys = v1::Message { client_id: later(&message.client_id), ..message.clone() };
                conversation.store(self.numbered(nobodys, next));
                next += 1;
            }
            let early = next == self.habits.exchange_at && conversation.early.is_none();
            message = self.numbered(message, next + u64::from(early));
            if early {
                conversation.early = Some(message.clone());
            } else {
                conversation.store(message.clone());
                if let Some(early) = conversation.early.take() {
                    conversation.store(early);
                }
            }
            message
        };
        let result = if refused {
            reply::Result::Error(frame::error(ErrorCode::Overloaded, "no room", Some(1)))
        } else {
            reply::Result::Sent(v1::Sent { duplicate: known.is_some(), message: Some(message.clone()) })
        };
        if message.ordinal == self.habits.warn_at {
            let expiring = event::Body::TokenExpiring(v1::TokenExpiring { in_ms: 60_000 });
            let event = v1::Event { body: Some(expiring), ..v1::Event::default() };
            write(&self.writer, self.form, &frame::event(event));
        }
        if !self.habits.never_ack && message.ordinal != self.habits.silent_at {
            write(&self.writer, self.form, &frame::reply(id, result));
        }
        None
    }

    /// The message with its place.
    fn numbered(&self, message: v1::Message, ordinal: u64) -> v1::Message {
        let seq = self.habits.numbers_after + ordinal;
        v1::Message { id: format!("{}.{seq}", message.conversation), seq, ordinal, ..message }
    }

    fn history(&self, history: &v1::History) -> reply::Result {
        let state = self.lock();
        let messages = &state.conversations[&history.conversation].messages;
        let limit = history.limit as usize;
        let page: Vec<_> = match history.before {
            Some(before) => messages.iter().rev().filter(|message| message.seq < before).take(limit).cloned().collect(),
            None => {
                let after = history.after.unwrap_or(0).saturating_sub(self.habits.numbers_after);
                messages.iter().skip(after as usize).take(limit).cloned().collect()
            }
        };
        reply::Result::Page(v1::Page { messages: page, first_available: 1, head: self.head(messages), more: false })
    }
}

fn event_of(message: &v1::Message) -> v1::Event {
    v1::Event {
        conversation: message.conversation.clone(),
        seq: message.seq,
        body: Some(event::Body::Message(message.clone())),
    }
}

/// The client id of a message that its sender has not come to.
fn later(client_id: &str) -> String {
    let (sender, _) = client_id.split_once('-').expect("a sender and a count");
    format!("{sender}-0fffffffff")
}

/// A reader that is gone finds out by itself.
fn write(writer: &Mutex<WebSocket<TcpStream>>, form: Form, frame: &v1::ServerFrame) {
    let bytes = frame::encode_server(form, frame);
    let message = match form {
        Form::Proto => Message::Binary(bytes),
        Form::Json => Message::Text(bytes.try_into().expect("JSON is text")),
    };
    let _ = writer.lock().expect("nobody panicked").send(message);
}

/// Whom a token names. This server believes it.
fn user_of(token: &str) -> String {
    use jsonwebtoken::dangerous::insecure_decode;
    let claims = insecure_decode::<serde_json::Value>(token).expect("a token").claims;
    claims["sub"].as_str().expect("a user").to_owned()
}
