//! Somebody who is removed from a group while their broker is stopped, and asks it all the same: what it says when it goes on
//! must not be from before. And a sender in that group whose message comes too late.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::{Message, WebSocket};

use super::Ground;
use super::broker::token;

/// How long any answer may take, and the end of a connection.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// What is said when the prober is out.
const SECRET: &str = "bob is gone";

/// One session, in the form that anybody can speak.
struct Session {
    socket: WebSocket<TcpStream>,
    next: u64,
}

impl Session {
    fn open(ground: &Ground, address: SocketAddr, user: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
        let request = ClientRequestBuilder::new(format!("ws://{address}/v1/ws").parse()?);
        let request = request.with_sub_protocol("switchyard.v1.json");
        let (socket, _) = tungstenite::client(request, stream).context("the broker takes no client")?;
        let mut session = Self { socket, next: 0 };
        session.done("hello", &json!({"token": token(ground, user)?}))?;
        Ok(session)
    }

    /// Asks, and waits for no answer.
    fn post(&mut self, name: &str, body: &Value) -> anyhow::Result<u64> {
        self.next += 1;
        self.socket.send(Message::text(json!({"id": self.next, name: body}).to_string()))?;
        Ok(self.next)
    }

    /// What a request that succeeds gives.
    fn done(&mut self, name: &str, body: &Value) -> anyhow::Result<Value> {
        let id = self.post(name, body)?;
        loop {
            let mut frame = self.frame()?;
            if frame["id"] == id {
                if frame["ok"] != true {
                    bail!("{name} was refused: {frame}");
                }
                return Ok(frame["data"].take());
            }
        }
    }

    fn frame(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.socket.read()? {
                Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                Message::Close(_) => bail!("the broker has said goodbye"),
                _ => {}
            }
        }
    }

    /// All that comes until the broker is gone.
    fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.frame().ok()).collect()
    }
}

/// See the module.
pub(super) struct Prober {
    conversation: Value,
    ann: Session,
    bob: Session,
}

/// What the broker that was replaced has said to them when it went on.
pub(super) struct Told {
    /// Answers to the one who was removed that are no refusals, and whatever has the secret in it.
    pub(super) bob: Vec<Value>,
    /// Acknowledgements of what came too late.
    pub(super) ann: Vec<Value>,
}

impl Prober {
    /// Both are members, and the prober reads what was said.
    pub(super) fn begin(ground: &Ground, address: SocketAddr) -> anyhow::Result<Self> {
        let mut ann = Session::open(ground, address, "probed-ann")?;
        let mut bob = Session::open(ground, address, "probing-bob")?;
        let group = ann.done("create", &json!({"kind": "group", "members": ["probing-bob"]}))?;
        let conversation = group["conversation"]["id"].clone();
        ann.done("send", &message(&conversation, "before"))?;
        let page = bob.done("history", &json!({"conversation": conversation, "limit": 50}))?;
        if page["messages"].as_array().is_none_or(|messages| messages.len() != 1) {
            bail!("a member does not read what was said: {page}");
        }
        Ok(Self { conversation, ann, bob })
    }

    /// Asks the broker and waits for no answer: one that is stopped sees it when it goes on.
    pub(super) fn asks(&mut self) -> anyhow::Result<()> {
        let conversation = &self.conversation;
        self.ann.post("send", &message(conversation, "too late"))?;
        self.bob.post("history", &json!({"conversation": conversation, "limit": 50}))?;
        for name in ["get", "members"] {
            self.bob.post(name, &json!({"conversation": conversation}))?;
        }
        self.bob.post("list", &json!({}))?;
        self.bob.post("send", &message(conversation, "I am still here"))?;
        Ok(())
    }

    /// At the broker that has taken over the prober is removed, and a secret is said.
    pub(super) fn is_removed(&self, ground: &Ground, address: SocketAddr) -> anyhow::Result<()> {
        let mut ann = Session::open(ground, address, "probed-ann")?;
        ann.done("remove", &json!({"conversation": self.conversation, "member": "probing-bob"}))?;
        ann.done("send", &message(&self.conversation, SECRET)).map(drop)
    }

    /// What the one before says until it is gone.
    pub(super) fn told(self) -> Told {
        let answered = |frame: &Value| frame["ok"] == true;
        let bob = self.bob.rest().into_iter().filter(|frame| answered(frame) || frame.to_string().contains(SECRET));
        let ann = self.ann.rest().into_iter().filter(answered);
        Told { bob: bob.collect(), ann: ann.collect() }
    }
}

fn message(conversation: &Value, text: &str) -> Value {
    json!({"conversation": conversation, "client_id": text, "kind": "TEXT", "text": text})
}
