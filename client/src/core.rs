//! The SDK's mind, without input or output: what happened goes in with the time, what is to be done comes out.
//!
//! [`Core::handle`] is the only door. It reads no clock, draws no chance but from its seed, starts nothing and waits for
//! nothing, so the same inputs at the same times give the same effects; a simulation can drive it as well as a socket.
//!
//! | file | what it decides |
//! |---|---|
//! | `link.rs` | tokens, connecting, welcome, silence, draining, closing |
//! | `calls.rs` | the application's requests: sending, repeating, giving up |
//! | `all.rs` | all conversations of the user |
//! | `subscriptions.rs` | whose events are wanted, and asking for them |
//! | `presence.rs` | who is watched, and what is told of them |
//! | `typing.rs` | what is shown, and who types there |
//! | `marks.rs` | how far this user has come, and others |
//! | `delivery.rs` | what the application is told, and when |
//! | `outbox.rs`, `timeline.rs`, `flights.rs`, `timers.rs`, `jitter.rs` | the state that these decide over |
//!
//! **Invariant:** nothing here iterates over a hash map, for its order would leak into the effects.

pub mod io;
pub mod limits;

mod all;
mod calls;
mod delivery;
mod flights;
mod jitter;
mod link;
mod marks;
mod outbox;
mod presence;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timeline;
mod timers;
mod typing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use switchyard_protocol::json::ReplyKind;
use switchyard_protocol::limits::{BODY_BYTES_MAX, HEARTBEAT_MS, POSITIONS_MAX};
use switchyard_protocol::v1::{ClientFrame, client_frame::Request, reply, server_frame};

pub use self::io::{Call, Connection, Effect, From, Input, Loss, NoToken, Ticket};

use self::all::All;
use self::flights::{Flights, Purpose};
use self::jitter::Jitter;
use self::link::{Link, Token};
use self::marks::Marking;
use self::outbox::{Known, Outbox};
use self::presence::Watching;
use self::timeline::Timeline;
use self::timers::{Timer, Timers};
use self::typing::Showing;
use crate::error::Error;
use crate::event::{Event, State};

/// A conversation's id, shared by all that speak of it.
pub(crate) type Name = Arc<str>;

/// What an application may choose about the core. The defaults are the numbers of [`limits`], with their reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This device's own name, for the user's other sessions.
    pub device: String,
    /// How long a request waits for its answer; a send is sent again after it.
    pub request_timeout: Duration,
    /// Requests that wait or are in flight, at most; one more is [`Error::TooManyPending`].
    pub pending_max: usize,
    /// Bytes of those requests.
    pub pending_bytes_max: usize,
    /// Sends in flight in one conversation. With 1, they are stored in the order in which they were submitted, whatever
    /// happens; see the crate's documentation.
    pub in_flight_per_conversation_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            device: String::new(),
            request_timeout: limits::REQUEST_TIMEOUT,
            pending_max: limits::PENDING_MAX,
            pending_bytes_max: limits::PENDING_BYTES_MAX,
            in_flight_per_conversation_max: limits::IN_FLIGHT_PER_CONVERSATION_MAX,
        }
    }
}

/// What the server said of its limits, or what holds until it did.
#[derive(Debug)]
struct ServerLimits {
    in_flight_max: usize,
    body_bytes_max: usize,
    positions_max: usize,
}

/// One client's state. See the module's documentation.
#[derive(Debug)]
pub struct Core {
    settings: Settings,
    now: Duration,
    effects: Vec<Effect>,
    jitter: Jitter,
    timers: Timers,
    woken_at: Option<Duration>,

    link: Link,
    connections: u64,
    attempt: u32,
    token: Option<Token>,
    token_asked: bool,
    /// User and tenant of the first welcome.
    identity: Option<(String, String)>,
    /// What the server calls the present connection's session.
    session: String,
    server: ServerLimits,
    heartbeat: Duration,
    heard_at: Duration,
    closing: bool,

    next_id: u64,
    flights: Flights,
    outbox: Outbox,
    /// How far conversations without a subscription go, and where others begin if they lost their beginning.
    known: BTreeMap<Name, Known>,

    timelines: BTreeMap<Name, Timeline>,
    /// Timelines whose fetch is queued, in order; each once.
    wanting: VecDeque<Name>,
    fetch_failures: u32,
    unsubscribing: BTreeSet<Name>,
    room: usize,
    /// Timelines that have something for the application, which has no room; each once.
    stalled: VecDeque<Name>,
    /// What the application must be told besides numbered events, and had no room for.
    notices: VecDeque<Event>,
    held_bytes: usize,
    showing: Showing,
    watching: Watching,
    marking: Marking,
    all: All,
}

impl Core {
    /// A client that has done nothing yet. `seed` decides all its random pauses.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            effects: Vec::new(),
            jitter: Jitter::new(seed),
            timers: Timers::default(),
            woken_at: None,
            link: Link::Idle,
            connections: 0,
            attempt: 0,
            token: None,
            token_asked: false,
            identity: None,
            session: String::new(),
            server: ServerLimits {
                in_flight_max: limits::IN_FLIGHT_UNTIL_WELCOME,
                body_bytes_max: BODY_BYTES_MAX,
                positions_max: POSITIONS_MAX,
            },
            heartbeat: Duration::from_millis(HEARTBEAT_MS),
            heard_at: Duration::ZERO,
            closing: false,
            next_id: 1,
            flights: Flights::default(),
            outbox: Outbox::new(settings.in_flight_per_conversation_max),
            known: BTreeMap::new(),
            timelines: BTreeMap::new(),
            wanting: VecDeque::new(),
            fetch_failures: 0,
            unsubscribing: BTreeSet::new(),
            room: 0,
            stalled: VecDeque::new(),
            notices: VecDeque::new(),
            held_bytes: 0,
            showing: Showing::default(),
            watching: Watching::default(),
            marking: Marking::default(),
            all: All::default(),
            settings,
        }
    }

    /// Takes in what happened by `now`, a time since any fixed moment, and appends what is to be done.
    pub fn handle(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        std::mem::swap(&mut self.effects, effects);
        self.take_in(input);
        self.run_due();
        self.pump();
        self.announce_wake();
        std::mem::swap(&mut self.effects, effects);
    }

    /// What a successful answer to this request holds: JSON replies do not say it themselves.
    pub fn expected_reply(&self, id: u64) -> Option<ReplyKind> {
        self.flights.kind(id)
    }

    /// Whether events wait for [`Input::Room`].
    pub fn is_stalled(&self) -> bool {
        let told = self.showing.is_stalled() || self.marking.is_stalled() || self.watching.is_stalled();
        told || !self.stalled.is_empty() || !self.notices.is_empty()
    }

    /// How many more events may be delivered before the next [`Input::Room`].
    pub fn room(&self) -> usize {
        self.room
    }

    /// Whether it has ended for good and needs no more input.
    pub fn is_closed(&self) -> bool {
        matches!(self.link, Link::Closed(_))
    }

    /// Requests that have no final answer yet.
    pub fn pending(&self) -> usize {
        self.outbox.len()
    }

    fn take_in(&mut self, input: Input) {
        match input {
            Input::Open => self.open(),
            Input::Tick => self.woken_at = None,
            Input::Token(result) => self.on_token(result),
            Input::Connected(connection) => self.on_connected(connection),
            Input::Disconnected(connection, loss) => self.on_disconnected(connection, loss),
            Input::Received(connection, frame) => {
                if self.link.is(connection) {
                    self.heard_at = self.now;
                    match frame.frame {
                        Some(server_frame::Frame::Reply(reply)) => self.on_reply(reply.id, reply.result),
                        Some(server_frame::Frame::Event(event)) => self.on_event(event),
                        None => {}
                    }
                }
            }
            Input::Heard(connection) => {
                if self.link.is(connection) {
                    self.heard_at = self.now;
                }
            }
            Input::Unsendable(id) => self.on_unsendable(id),
            Input::Submit { ticket, call, timeout } => self.submit(ticket, call, timeout),
            Input::Subscribe { ticket, conversation, from } => self.subscribe(ticket, &conversation, from),
            Input::SubscribeAll { ticket } => self.subscribe_all(ticket),
            Input::Unsubscribe { ticket, conversation } => self.unsubscribe(ticket, &conversation),
            Input::Show { ticket, conversations } => self.show(ticket, &conversations),
            Input::Typing { ticket, conversation, on } => self.typing(ticket, conversation, on),
            Input::Watch { ticket, users, conversation } => self.watch(ticket, &users, conversation.as_deref()),
            Input::Unwatch { ticket, users, conversation, all } => {
                self.unwatch(ticket, &users, conversation.as_deref(), all);
            }
            Input::Mark { ticket, conversation, read, delivered } => self.mark(ticket, &conversation, read, delivered),
            Input::Room(room) => self.on_room(room),
            Input::Close(patience) => self.close(patience),
        }
    }

    fn on_reply(&mut self, id: u64, result: Option<reply::Result>) {
        let Some(flight) = self.flights.remove(id) else { return };
        match flight.purpose {
            Purpose::Hello => self.on_welcome(result),
            Purpose::Renew => self.on_renewed(result),
            Purpose::Resume(asked) => self.on_resumed(self.still_for(id, asked, |(name, _)| name), result),
            Purpose::Subscribe(names) => self.on_subscribed(self.still_for(id, names, |name| name), result),
            Purpose::Unsubscribe(names) => self.on_unsubscribed(names, result),
            Purpose::Head(name) => self.on_head_known(&name, result),
            Purpose::All => self.on_all(result),
            Purpose::Show => self.on_shown(result),
            Purpose::Typing => {}
            Purpose::Watch(targets) => self.on_watched(targets, result),
            Purpose::Unwatch(over) => self.on_unwatched(over, result),
            Purpose::Mark(name) => self.on_marked(&name, result),
            Purpose::Marks(name) => self.on_missed_marks(&name, result),
            Purpose::Call(ticket) => self.on_answer(ticket, id, result),
        }
    }

    fn run_due(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Step => self.on_step_over(),
                Timer::Silence => self.on_silence(),
                Timer::Move => self.start_moving(),
                Timer::MoveNow => self.move_now(),
                Timer::Renew => self.renew_again(),
                Timer::Fetch | Timer::Unsubscribe | Timer::Show | Timer::Watch | Timer::Marks => {}
                Timer::Signs => self.follow_signs(),
                Timer::Mark(name) => self.mark_again(&name),
                Timer::All => self.ask_all_again(),
                Timer::Deadline(ticket) => self.give_up(ticket),
                Timer::Retry(ticket) => self.outbox.wait_again(ticket),
                Timer::Lane(name) => self.outbox.release(&name),
                Timer::Subscription(name) => self.fetch_again(&name),
                Timer::Close => self.finish(crate::error::Closed::Application),
            }
        }
        while let Some((id, purpose, sent_at)) = self.flights.pop_due(self.now) {
            if self.heard_at < sent_at {
                // Nothing at all came since it was asked: the connection is dead, whatever the heartbeat still allows.
                self.abandon();
                break;
            }
            match purpose {
                // The step's own timer covers hello, and nobody waits for the answers to the others.
                Purpose::Hello | Purpose::Unsubscribe(_) | Purpose::Typing | Purpose::Unwatch(_) => {}
                Purpose::Watch(targets) => self.watch_later(&targets, None),
                Purpose::Show => self.show_later(None),
                Purpose::Mark(name) => self.mark_later(&name, None),
                Purpose::Marks(name) => self.ask_marks_later(&name, None),
                Purpose::All => self.ask_all_later(None),
                Purpose::Renew => self.renew_later(),
                Purpose::Resume(asked) => {
                    let asked = self.still_for(id, asked, |(name, _)| name);
                    self.fetch_failed(asked.into_iter().map(|(name, _)| name).collect(), None);
                }
                Purpose::Subscribe(names) => self.fetch_failed(self.still_for(id, names, |name| name), None),
                Purpose::Head(name) => self.outbox.release(&name),
                Purpose::Call(ticket) => self.on_late(ticket, id),
            }
        }
        if self.flights.len() >= self.calls_in_flight_max() && self.flights.all_late() {
            // The server answers none of these, and takes no more before it does.
            self.abandon();
        }
    }

    /// Sends what may be sent now.
    fn pump(&mut self) {
        match &self.link {
            Link::Greeting { .. } => self.pump_fetches(),
            Link::Live { moving: false, .. } => {
                self.pump_fetches();
                self.pump_unsubscribes();
                self.pump_showing();
                self.pump_watches();
                self.pump_all();
                self.pump_calls();
                self.pump_marks();
            }
            Link::Live { moving: true, .. } if self.flights.is_empty() => self.move_now(),
            _ => {}
        }
        if self.closing && self.outbox.is_empty() && self.marking.is_said() && !self.is_closed() {
            self.finish(crate::error::Closed::Application);
        }
    }

    /// Sends a request on the present connection.
    fn request(&mut self, request: Request, purpose: Purpose) {
        let Some(connection) = self.link.connection() else { return };
        let id = self.next_id;
        self.next_id += 1;
        let kind = ReplyKind::of(&request);
        self.flights.insert(id, purpose, kind, self.now, self.settings.request_timeout);
        self.effects.push(Effect::SendFrame(connection, ClientFrame { id, request: Some(request) }));
    }

    /// So long from now.
    fn after(&self, time: Duration) -> Duration {
        self.now.saturating_add(time)
    }

    fn complete(&mut self, ticket: Ticket, result: Result<reply::Result, Error>) {
        self.effects.push(Effect::Complete(ticket, result));
    }

    fn say(&mut self, state: State) {
        self.effects.push(Effect::State(state));
    }

    /// Tells the driver when to come back, if that is sooner than it knows; coming too early does no harm.
    fn announce_wake(&mut self) {
        let next = match (self.timers.next(), self.flights.next_due()) {
            (Some(timer), Some(flight)) => timer.min(flight),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return,
        };
        if self.woken_at.is_none_or(|at| next < at || at <= self.now) {
            self.woken_at = Some(next);
            self.effects.push(Effect::WakeAt(next));
        }
    }
}
