//! The core's rules, each seen from outside: inputs at virtual times, effects looked at. No clock runs here.

mod all;
mod calls;
mod connection;
mod events;
mod marks;
mod model;
mod presence;
mod typing;

use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame;
use switchyard_protocol::v1::{self, ServerFrame, client_frame::Request, event::Body, reply};

use super::flights::Purpose;
use super::{Call, Connection, Core, Effect, From, Input, Loss, Settings, Ticket};
use crate::error::Error;
use crate::event::{Event, State};

/// A heartbeat that tests can count in.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// A core with a hand on its clock, and everything that it did.
struct Rig {
    core: Core,
    now: Duration,
    wake: Option<Duration>,
    /// The newest connection that the core asked for.
    connection: Connection,
    tickets: u64,
    in_flight_max: u64,
    /// Asked for a conversation's head before a first send, the server says this at once.
    head: Option<u64>,
}

/// What came out of one or more inputs.
#[derive(Debug, Default)]
struct Out(Vec<Effect>);

impl Rig {
    fn new() -> Self {
        Self::with(Settings::default(), 1)
    }

    fn with(settings: Settings, seed: u64) -> Self {
        let core = Core::new(settings, seed);
        let (now, connection) = (Duration::ZERO, Connection(0));
        let mut rig = Self { core, now, wake: None, connection, tickets: 0, in_flight_max: 32, head: Some(0) };
        rig.give(Input::Room(1_000));
        rig
    }

    /// A core that is online.
    fn online() -> Self {
        let mut rig = Self::new();
        rig.go_online();
        rig
    }

    fn give(&mut self, input: Input) -> Out {
        let mut effects = Vec::new();
        self.core.handle(self.now, input, &mut effects);
        for effect in &effects {
            match effect {
                Effect::WakeAt(at) => self.wake = Some(*at),
                Effect::Connect(connection) => self.connection = *connection,
                _ => {}
            }
        }
        let mut out = Out(effects);
        let Some(head) = self.head else { return out };
        for (id, request) in out.frames() {
            if let (Request::Get(get), Some(Purpose::Head(_))) = (request, self.core.flights.purpose(id)) {
                out.0.retain(|effect| !matches!(effect, Effect::SendFrame(_, frame) if frame.id == id));
                out.0.extend(self.reply(id, head_of(&get.conversation, head)).0);
            }
        }
        out
    }

    /// Lets time pass, waking the core when it wants to be woken.
    fn pass(&mut self, time: Duration) -> Out {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.wake.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.wake = None;
            all.extend(self.give(Input::Tick).0);
        }
        self.now = end;
        Out(all)
    }

    /// Lets time pass until the core wants a connection.
    fn pass_until_connect(&mut self) -> Out {
        let mut all = Vec::new();
        for _ in 0..1_000 {
            let Some(at) = self.wake else { break };
            let out = self.pass(at.saturating_sub(self.now));
            let connects = out.connects();
            all.extend(out.0);
            if connects > 0 {
                return Out(all);
            }
        }
        panic!("it never connected: {all:?}");
    }

    fn go_online(&mut self) -> Out {
        self.give(Input::Open);
        self.give(Input::Token(Ok("token".to_owned())));
        let mut out = self.connected();
        out.0.extend(self.welcome("alice").0);
        out
    }

    fn connected(&mut self) -> Out {
        self.give(Input::Connected(self.connection))
    }

    /// The server's welcome; hello is always the first request of a connection, so its id is the lowest in flight.
    fn welcome(&mut self, user: &str) -> Out {
        let limits = v1::Limits { requests_in_flight_max: self.in_flight_max, ..v1::Limits::default() };
        let welcome = v1::Welcome {
            user: user.to_owned(),
            tenant: "t".to_owned(),
            heartbeat_ms: u64::try_from(HEARTBEAT.as_millis()).expect("small"),
            limits: Some(limits),
            ..v1::Welcome::default()
        };
        let id = self.core.flights.lowest_id().expect("hello is on its way");
        self.reply(id, reply::Result::Welcome(welcome))
    }

    fn receive(&mut self, frame: ServerFrame) -> Out {
        self.give(Input::Received(self.connection, frame))
    }

    fn reply(&mut self, id: u64, result: reply::Result) -> Out {
        self.receive(frame::reply(id, result))
    }

    fn refuse(&mut self, id: u64, code: ErrorCode, retry_after_ms: Option<u64>) -> Out {
        self.reply(id, reply::Result::Error(frame::error(code, "because", retry_after_ms)))
    }

    fn event(&mut self, conversation: &str, seq: u64, body: Body) -> Out {
        self.receive(frame::event(v1::Event { conversation: conversation.to_owned(), seq, body: Some(body) }))
    }

    fn message(&mut self, conversation: &str, seq: u64) -> Out {
        self.receive(frame::event(message_event(conversation, seq)))
    }

    fn cut(&mut self) -> Out {
        self.give(Input::Disconnected(self.connection, Loss::Broken))
    }

    fn closed_with(&mut self, code: u16) -> Out {
        self.give(Input::Disconnected(self.connection, Loss::Closed { code, reason: "why".to_owned() }))
    }

    /// After a loss: waits for the next connection and greets.
    fn come_back(&mut self) -> Out {
        let mut out = self.pass_until_connect();
        out.0.extend(self.connected().0);
        out.0.extend(self.welcome("alice").0);
        out
    }

    fn submit(&mut self, call: Call) -> (Ticket, Out) {
        self.submit_within(call, None)
    }

    fn submit_within(&mut self, call: Call, timeout: Option<Duration>) -> (Ticket, Out) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        (ticket, self.give(Input::Submit { ticket, call, timeout }))
    }

    fn send(&mut self, conversation: &str, client_id: &str) -> (Ticket, Out) {
        self.submit(send(conversation, client_id))
    }

    fn subscribe(&mut self, conversation: &str, from: From) -> (Ticket, Out) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        (ticket, self.give(Input::Subscribe { ticket, conversation: conversation.to_owned(), from }))
    }

    /// Subscribed at `position`, which is the head.
    fn subscribed_at(&mut self, conversation: &str, position: u64) {
        let (_, out) = self.subscribe(conversation, From::After(position));
        let (id, _) = out.resume();
        self.reply(id, resumed(conversation, &[], position));
    }
}

impl Out {
    fn frames(&self) -> Vec<(u64, Request)> {
        let sent = |effect: &Effect| match effect {
            Effect::SendFrame(_, frame) => Some((frame.id, frame.request.clone().expect("a request"))),
            _ => None,
        };
        self.0.iter().filter_map(sent).collect()
    }

    fn sends(&self) -> Vec<(u64, v1::Send)> {
        let send = |(id, request)| match request {
            Request::Send(send) => Some((id, send)),
            _ => None,
        };
        self.frames().into_iter().filter_map(send).collect()
    }

    /// The only send.
    fn one_send(&self) -> (u64, v1::Send) {
        let sends = self.sends();
        assert_eq!(sends.len(), 1, "{self:?}");
        sends.into_iter().next().expect("one")
    }

    fn resumes(&self) -> Vec<(u64, Vec<(String, u64)>)> {
        let resume = |(id, request)| match request {
            Request::Resume(resume) => {
                Some((id, resume.positions.into_iter().map(|at| (at.conversation, at.seq)).collect()))
            }
            _ => None,
        };
        self.frames().into_iter().filter_map(resume).collect()
    }

    /// The only resume.
    fn resume(&self) -> (u64, Vec<(String, u64)>) {
        let resumes = self.resumes();
        assert_eq!(resumes.len(), 1, "{self:?}");
        resumes.into_iter().next().expect("one")
    }

    fn connects(&self) -> usize {
        self.0.iter().filter(|effect| matches!(effect, Effect::Connect(_))).count()
    }

    fn disconnects(&self) -> bool {
        self.0.iter().any(|effect| matches!(effect, Effect::Disconnect(_)))
    }

    fn asks_for_token(&self) -> bool {
        self.0.contains(&Effect::RequestToken)
    }

    fn delivered(&self) -> Vec<&Event> {
        fn event(effect: &Effect) -> Option<&Event> {
            match effect {
                Effect::Deliver(event) => Some(event),
                _ => None,
            }
        }
        self.0.iter().filter_map(event).collect()
    }

    /// The numbers of the delivered events.
    fn numbers(&self) -> Vec<u64> {
        self.delivered().into_iter().filter_map(Event::seq).collect()
    }

    fn answer(&self, ticket: Ticket) -> Option<&Result<reply::Result, Error>> {
        self.0.iter().find_map(|effect| match effect {
            Effect::Complete(answered, result) if *answered == ticket => Some(result),
            _ => None,
        })
    }

    /// The error that this ticket was answered with.
    fn error(&self, ticket: Ticket) -> &Error {
        match self.answer(ticket) {
            Some(Err(error)) => error,
            other => panic!("{ticket:?} was answered {other:?}"),
        }
    }

    fn states(&self) -> Vec<&State> {
        fn state(effect: &Effect) -> Option<&State> {
            match effect {
                Effect::State(state) => Some(state),
                _ => None,
            }
        }
        self.0.iter().filter_map(state).collect()
    }
}

fn send(conversation: &str, client_id: &str) -> Call {
    Call::Send(v1::Send {
        conversation: conversation.to_owned(),
        client_id: client_id.to_owned(),
        text: format!("text of {client_id}"),
        ..v1::Send::default()
    })
}

fn sent(conversation: &str, client_id: &str, seq: u64) -> reply::Result {
    let message = v1::Message {
        conversation: conversation.to_owned(),
        client_id: client_id.to_owned(),
        seq,
        ..v1::Message::default()
    };
    reply::Result::Sent(v1::Sent { duplicate: false, message: Some(message) })
}

fn head_of(conversation: &str, head: u64) -> reply::Result {
    let conversation = v1::Conversation { id: conversation.to_owned(), head, ..v1::Conversation::default() };
    reply::Result::Detail(v1::Detail { conversation: Some(conversation) })
}

fn message_event(conversation: &str, seq: u64) -> v1::Event {
    let message = v1::Message {
        conversation: conversation.to_owned(),
        seq,
        sender: "bob".to_owned(),
        text: format!("message {seq}"),
        ..v1::Message::default()
    };
    v1::Event { conversation: conversation.to_owned(), seq, body: Some(Body::Message(message)) }
}

fn page(conversation: &str, seqs: &[u64], head: u64) -> v1::ResumedConversation {
    v1::ResumedConversation {
        conversation: conversation.to_owned(),
        events: seqs.iter().map(|seq| message_event(conversation, *seq)).collect(),
        head,
        first_available: 1,
        more: seqs.last().is_some_and(|last| *last < head),
        error: None,
    }
}

fn resumed(conversation: &str, seqs: &[u64], head: u64) -> reply::Result {
    reply::Result::Resumed(v1::Resumed { conversations: vec![page(conversation, seqs, head)] })
}
