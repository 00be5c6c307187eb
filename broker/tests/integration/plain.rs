//! A client that anybody could write: JSON over a public WebSocket library, with the names of the protocol's document
//! and no code of ours.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use switchyard_client::protocol::frame::Form;
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{HandshakeError, Message, WebSocket};

use crate::binary;
use crate::site::Site;

/// The subprotocol of the JSON form.
pub(crate) const JSON: &str = "switchyard.v1.json";

/// Far longer than any answer takes; reached only by a fault.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Plain {
    socket: WebSocket<TcpStream>,
    next: u64,
    events: VecDeque<Value>,
    replies: HashMap<u64, Value>,
    /// Frames go over the wire in the binary form, translated by `binary.rs`; all else is the same.
    binary: bool,
}

impl Plain {
    /// A session of this user.
    pub(crate) fn open(site: &Site, user: &str) -> Self {
        Self::open_with(site, &site.token(user))
    }

    /// A session with this token in its hello.
    pub(crate) fn open_with(site: &Site, token: &str) -> Self {
        let mut plain = Self::connect(site);
        plain.done("hello", &json!({"token": token, "device": "phone"}));
        plain
    }

    /// An open WebSocket in this form, and nobody known.
    pub(crate) fn connect_in(site: &Site, form: Form) -> Self {
        let plain = Self::upgrade(site.address(), &[form.subprotocol()], &[]).expect("an upgrade");
        Self { binary: form == Form::Proto, ..plain }
    }

    /// An open WebSocket, and nobody known.
    pub(crate) fn connect(site: &Site) -> Self {
        Self::upgrade(site.address(), &[JSON], &[]).expect("an upgrade")
    }

    /// An open WebSocket, if it is granted; else the HTTP status and the body of the refusal.
    pub(crate) fn upgrade(
        address: SocketAddr,
        subprotocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, Value)> {
        let stream = TcpStream::connect(address).expect("it listens");
        Self::upgrade_on(stream, subprotocols, headers)
    }

    /// The same on a connection that is there.
    pub(crate) fn upgrade_on(
        stream: TcpStream,
        subprotocols: &[&str],
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, Value)> {
        stream.set_read_timeout(Some(GUARD)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        let address = stream.peer_addr().expect("connected");
        let mut request = ClientRequestBuilder::new(format!("ws://{address}/v1/ws").parse().expect("a URL"));
        for subprotocol in subprotocols {
            request = request.with_sub_protocol(*subprotocol);
        }
        for (name, value) in headers {
            request = request.with_header(*name, *value);
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                Ok(Self { socket, next: 0, events: VecDeque::new(), replies: HashMap::new(), binary: false })
            }
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let body = answer.body().as_deref().unwrap_or_default();
                Err((answer.status().as_u16(), serde_json::from_slice(body).unwrap_or_default()))
            }
            Err(other) => panic!("{other}"),
        }
    }

    /// Sends text as it is.
    pub(crate) fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("the broker is there");
    }

    /// Sends a request and does not wait; gives its id.
    pub(crate) fn post(&mut self, name: &str, body: &Value) -> u64 {
        self.next += 1;
        let text = json!({"id": self.next, name: body}).to_string();
        if self.binary {
            self.socket.send(Message::binary(binary::request(&text))).expect("the broker is there");
        } else {
            self.say(&text);
        }
        self.next
    }

    /// Sends requests that the broker gets at once; gives their ids.
    pub(crate) fn post_together(&mut self, requests: &[(&str, Value)]) -> Vec<u64> {
        let ids = requests.iter().map(|(name, body)| {
            self.next += 1;
            let text = json!({"id": self.next, *name: body}).to_string();
            self.socket.write(Message::text(text)).expect("there is room");
            self.next
        });
        let ids = ids.collect();
        self.socket.flush().expect("the broker is there");
        ids
    }

    /// The reply to this request. Events and other replies that come before it are kept.
    pub(crate) fn reply(&mut self, id: u64) -> Value {
        if let Some(reply) = self.replies.remove(&id) {
            return reply;
        }
        loop {
            let frame = self.frame();
            if frame.get("event").is_some() {
                self.events.push_back(frame);
                continue;
            }
            if frame["id"] == id {
                return frame;
            }
            self.keep_reply(frame);
        }
    }

    /// Sends a request and gives its whole reply.
    pub(crate) fn ask(&mut self, name: &str, body: &Value) -> Value {
        let id = self.post(name, body);
        self.reply(id)
    }

    /// Sends a request that succeeds; gives its data.
    pub(crate) fn done(&mut self, name: &str, body: &Value) -> Value {
        let mut reply = self.ask(name, body);
        assert_eq!(reply["ok"], true, "{name} {body}: {reply}");
        assert_eq!(keys(&reply), ["data", "id", "ok"]);
        reply["data"].take()
    }

    /// Sends a request that is refused; gives the code.
    pub(crate) fn refused(&mut self, name: &str, body: &Value) -> String {
        let reply = self.ask(name, body);
        code(&reply)
    }

    /// The next event of this kind, which is the next of all.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        let event = self.any_event();
        assert_eq!(event["event"], kind, "{event}");
        event
    }

    /// The next event. Replies that come before it are kept.
    pub(crate) fn any_event(&mut self) -> Value {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        loop {
            let frame = self.frame();
            if frame.get("event").is_some() {
                return frame;
            }
            self.keep_reply(frame);
        }
    }

    fn keep_reply(&mut self, reply: Value) {
        let id = reply["id"].as_u64().expect("a reply has an id");
        assert!(self.replies.insert(id, reply).is_none(), "request {id} was answered twice");
    }

    /// Whether an event has come that nobody took yet. A ping goes to and fro first, so that none is on its way.
    pub(crate) fn has_event(&mut self) -> bool {
        self.done("ping", &json!({}));
        !self.events.is_empty()
    }

    /// The next message. A signal, as that of a machine that was put to sleep, only interrupts the wait.
    fn read(&mut self) -> tungstenite::Result<Message> {
        loop {
            match self.socket.read() {
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// The next frame. The broker's heartbeat is none: it would hide for ever that nothing comes.
    pub(crate) fn frame(&mut self) -> Value {
        let began = Instant::now();
        loop {
            match self.read().expect("the broker is there") {
                Message::Binary(bytes) if self.binary => return binary::answer(bytes),
                Message::Text(text) if !self.binary => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) if began.elapsed() < GUARD => {}
                Message::Ping(_) | Message::Pong(_) => panic!("nothing came"),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads until the connection is cut, with or without a goodbye; gives the replies that came.
    pub(crate) fn cut(&mut self) -> Vec<Value> {
        let mut replies: Vec<Value> = std::mem::take(&mut self.replies).into_values().collect();
        loop {
            let frame = match self.read() {
                Ok(Message::Binary(bytes)) => binary::answer(bytes),
                Ok(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
                Ok(Message::Ping(_) | Message::Pong(_)) => continue,
                Ok(Message::Close(_)) | Err(_) => return replies,
                Ok(other) => panic!("{other:?}"),
            };
            if frame.get("event").is_none() {
                replies.push(frame);
            }
        }
    }

    /// Reads until the broker says goodbye; gives its code.
    pub(crate) fn goodbye(&mut self) -> u16 {
        loop {
            match self.read() {
                Ok(Message::Close(Some(frame))) => return frame.code.into(),
                Ok(Message::Close(None)) => panic!("a goodbye without a code"),
                Ok(_) => {}
                Err(error) => panic!("no goodbye: {error}"),
            }
        }
    }

    /// Asks until the broker's clock shows another millisecond: of two things in the same one, none is the newer.
    pub(crate) fn later(&mut self) {
        let time = |plain: &mut Self| plain.done("ping", &json!({}))["server_time_ms"].as_u64().expect("a time");
        let before = time(self);
        while time(self) <= before {}
    }

    /// Gets or makes the direct conversation with this user; gives its id.
    pub(crate) fn direct(&mut self, user: &str) -> String {
        let data = self.done("create", &json!({"kind": "direct", "members": [user]}));
        id_of(&data)
    }

    /// Makes a group with these members; gives its id.
    pub(crate) fn group(&mut self, name: &str, members: &[&str]) -> String {
        let data = self.done("create", &json!({"kind": "group", "members": members, "name": name}));
        id_of(&data)
    }

    /// Sends a text that is stored; gives the data.
    pub(crate) fn send(&mut self, conversation: &str, client_id: &str, text: &str) -> Value {
        let body = json!({"conversation": conversation, "client_id": client_id, "kind": "TEXT", "text": text});
        self.done("send", &body)
    }

    /// Sends `wagon 1` and so on, in this order.
    pub(crate) fn send_texts(&mut self, conversation: &str, numbers: RangeInclusive<u32>) {
        for n in numbers {
            self.send(conversation, &format!("wagon{n}"), &format!("wagon {n}"));
        }
    }

    /// Sends so many texts, several at a time.
    pub(crate) fn send_many(&mut self, conversation: &str, count: usize) {
        const AT_ONCE: usize = 100;
        for from in (0..count).step_by(AT_ONCE) {
            let ids: Vec<u64> = (from..count.min(from + AT_ONCE))
                .map(|n| {
                    let client_id = format!("many{n}");
                    self.post("send", &json!({"conversation": conversation, "client_id": client_id, "text": "again"}))
                })
                .collect();
            for id in ids {
                let reply = self.reply(id);
                assert_eq!(reply["ok"], true, "{reply}");
            }
        }
    }
}

/// The direct conversation of two who have accepted each other: the first one's session, and its id.
pub(crate) fn acquainted(site: &Site, one: &str, other: &str) -> (Plain, String) {
    let mut plain = Plain::open(site, one);
    let conversation = plain.direct(other);
    let ask = json!({"conversation": conversation});
    if plain.done("get", &ask)["conversation"]["request"] == "by_me" {
        Plain::open(site, other).done("accept", &ask);
    }
    (plain, conversation)
}

fn id_of(created: &Value) -> String {
    created["conversation"]["id"].as_str().expect("an id").to_owned()
}

/// The code of a reply that is a refusal of the documented form.
pub(crate) fn code(reply: &Value) -> String {
    assert_eq!(reply["ok"], false, "{reply}");
    assert_eq!(keys(reply), ["error", "id", "ok"]);
    error_code(&reply["error"])
}

/// The code of an error of the documented form.
pub(crate) fn error_code(error: &Value) -> String {
    let retry = error.get("retry_after_ms").is_some();
    let expected: &[&str] =
        if retry { &["code", "message", "number", "retry_after_ms"] } else { &["code", "message", "number"] };
    assert_eq!(keys(error), expected);
    let number = error["number"].as_u64().expect("a number");
    assert!(!retry || number < 2_000, "only what may succeed later says when: {error}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    error["code"].as_str().expect("a name").to_owned()
}

/// The names in an object, in their order.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let object: &Map<String, Value> = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}
