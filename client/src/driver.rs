//! The task behind a client: it carries inputs to the core and does what the core says. It decides nothing.
//!
//! Inputs, in one loop: commands of the application, the token provider, the connection, the core's timer, and room in
//! the application's queue of events.
//!
//! **Invariant:** nothing in the loop waits for the application or for the network.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use switchyard_protocol::limits::FRAME_BYTES_MAX;
use switchyard_protocol::v1::{ClientFrame, reply};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{Instant, Sleep};

use crate::config::{ClientConfig, TokenError, TokenFuture};
use crate::core::{Call, Connection, Core, Effect, From, Input, Loss, NoToken, Ticket};
use crate::error::{Closed, Error};
use crate::event::{Event, State};
use crate::socket::{self, Address, Incoming, NotAFrame, Socket};

/// Commands that are taken before the others in the loop get their turn.
const COMMAND_BATCH_MAX: usize = 64;

/// As good as never, and still a time that every clock can hold.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// Who waits for an answer.
pub(crate) type Waiter = oneshot::Sender<Result<reply::Result, Error>>;

/// What the application's handles ask of the task.
#[derive(Debug)]
pub(crate) enum Command {
    /// `room` is what the request takes of the bytes that may wait.
    Submit {
        call: Call,
        timeout: Option<Duration>,
        waiter: Waiter,
        room: OwnedSemaphorePermit,
    },
    Subscribe {
        conversation: String,
        from: From,
        waiter: Waiter,
    },
    SubscribeAll {
        waiter: Waiter,
    },
    Unsubscribe {
        conversation: String,
        waiter: Waiter,
    },
    Open {
        conversations: Vec<String>,
        waiter: Waiter,
    },
    Typing {
        conversation: String,
        on: bool,
        waiter: Waiter,
    },
    Watch {
        users: Vec<String>,
        conversation: Option<String>,
        waiter: Waiter,
    },
    Unwatch {
        users: Vec<String>,
        conversation: Option<String>,
        all: bool,
        waiter: Waiter,
    },
    Mark {
        conversation: String,
        read: u64,
        delivered: u64,
        waiter: Waiter,
    },
    Close {
        patience: Duration,
    },
}

/// The task's ends of the channels to the application.
pub(crate) struct Channels {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) state: watch::Sender<State>,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Box<Socket>, Loss>> + Send>>;

enum Link {
    None,
    Connecting(Connection, Connecting),
    Open(Connection, Box<Socket>),
}

/// What woke the loop.
enum Wake {
    Commands,
    Timer,
    Token(Result<String, TokenError>),
    Connected(Connection, Result<Box<Socket>, Loss>),
    Incoming(Connection),
    Room,
    /// Every handle is gone.
    Abandoned,
}

pub(crate) struct Driver {
    core: Core,
    config: ClientConfig,
    address: Address,
    channels: Channels,
    begun: Instant,
    timer: Pin<Box<Sleep>>,
    timer_set: bool,
    token: Option<TokenFuture>,
    link: Link,
    waiters: HashMap<Ticket, (Waiter, Option<OwnedSemaphorePermit>)>,
    tickets: u64,
    frame_bytes_max: usize,
    effects: Vec<Effect>,
    commands: Vec<Command>,
    incoming: Vec<Incoming>,
    unsendable: Vec<u64>,
}

impl Driver {
    pub(crate) fn new(config: ClientConfig, address: Address, channels: Channels) -> Self {
        let begun = Instant::now();
        Self {
            core: Core::new(config.settings.clone(), rand::random()),
            config,
            address,
            channels,
            begun,
            timer: Box::pin(tokio::time::sleep_until(begun)),
            timer_set: false,
            token: None,
            link: Link::None,
            waiters: HashMap::new(),
            tickets: 0,
            frame_bytes_max: FRAME_BYTES_MAX,
            effects: Vec::new(),
            commands: Vec::new(),
            incoming: Vec::new(),
            unsendable: Vec::new(),
        }
    }

    /// Runs until the core has closed for good.
    pub(crate) async fn run(mut self) {
        self.give(Input::Room(self.channels.events.capacity()));
        self.give(Input::Open);
        while !self.core.is_closed() {
            match self.next().await {
                Wake::Commands => self.take_commands(),
                Wake::Timer => {
                    self.timer_set = false;
                    self.give(Input::Tick);
                }
                Wake::Token(result) => self.take_token(result),
                Wake::Connected(connection, result) => self.take_connected(connection, result),
                Wake::Incoming(connection) => self.take_incoming(connection),
                Wake::Room => self.give(Input::Room(self.channels.events.capacity())),
                Wake::Abandoned => self.give(Input::Close(Duration::ZERO)),
            }
        }
        // Whoever sent a command just now is told by the core that it is over.
        self.channels.commands.close();
        while let Ok(command) = self.channels.commands.try_recv() {
            self.commands.push(command);
        }
        self.take_commands();
    }

    /// Waits for whatever comes first. Everything in it can be dropped and asked again.
    async fn next(&mut self) -> Wake {
        let (link, incoming) = (&mut self.link, &mut self.incoming);
        let network = async {
            match link {
                Link::None => pending().await,
                Link::Connecting(connection, connecting) => Wake::Connected(*connection, connecting.await),
                Link::Open(connection, socket) => {
                    poll_fn(|context| socket.poll(context, incoming)).await;
                    Wake::Incoming(*connection)
                }
            }
        };
        let token = async {
            match &mut self.token {
                Some(token) => token.await,
                None => pending().await,
            }
        };
        let events = &self.channels.events;
        // Waiting for half the queue, so that catching up is not one event at a time.
        let enough = events.max_capacity().div_ceil(2);
        let room = async {
            if self.core.is_stalled() && events.reserve_many(enough).await.is_ok() {
                Wake::Room
            } else {
                pending().await
            }
        };
        tokio::select! {
            wake = network => wake,
            taken = self.channels.commands.recv_many(&mut self.commands, COMMAND_BATCH_MAX) => {
                if taken == 0 { Wake::Abandoned } else { Wake::Commands }
            }
            result = token => Wake::Token(result),
            () = &mut self.timer, if self.timer_set => Wake::Timer,
            wake = room => wake,
        }
    }

    fn take_commands(&mut self) {
        for command in std::mem::take(&mut self.commands) {
            let (input, waiter, room) = match command {
                Command::Submit { call, timeout, waiter, room } => {
                    (Input::Submit { ticket: self.next_ticket(), call, timeout }, waiter, Some(room))
                }
                Command::Subscribe { conversation, from, waiter } => {
                    (Input::Subscribe { ticket: self.next_ticket(), conversation, from }, waiter, None)
                }
                Command::SubscribeAll { waiter } => (Input::SubscribeAll { ticket: self.next_ticket() }, waiter, None),
                Command::Unsubscribe { conversation, waiter } => {
                    (Input::Unsubscribe { ticket: self.next_ticket(), conversation }, waiter, None)
                }
                Command::Open { conversations, waiter } => {
                    (Input::Show { ticket: self.next_ticket(), conversations }, waiter, None)
                }
                Command::Typing { conversation, on, waiter } => {
                    (Input::Typing { ticket: self.next_ticket(), conversation, on }, waiter, None)
                }
                Command::Watch { users, conversation, waiter } => {
                    (Input::Watch { ticket: self.next_ticket(), users, conversation }, waiter, None)
                }
                Command::Unwatch { users, conversation, all, waiter } => {
                    (Input::Unwatch { ticket: self.next_ticket(), users, conversation, all }, waiter, None)
                }
                Command::Mark { conversation, read, delivered, waiter } => {
                    (Input::Mark { ticket: self.next_ticket(), conversation, read, delivered }, waiter, None)
                }
                Command::Close { patience } => {
                    self.give(Input::Close(patience));
                    continue;
                }
            };
            self.waiters.insert(Ticket(self.tickets), (waiter, room));
            self.give(input);
        }
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn take_token(&mut self, result: Result<String, TokenError>) {
        self.token = None;
        let result = result.map_err(|error| {
            tracing::warn!(%error, "the token provider failed");
            match error {
                TokenError::Later(_) => NoToken::Later,
                TokenError::Never(why) => NoToken::Never(why),
            }
        });
        self.give(Input::Token(result));
    }

    fn take_connected(&mut self, connection: Connection, result: Result<Box<Socket>, Loss>) {
        match result {
            Ok(socket) => {
                self.link = Link::Open(connection, socket);
                self.give(Input::Connected(connection));
            }
            Err(loss) => {
                self.link = Link::None;
                self.give(Input::Disconnected(connection, loss));
            }
        }
    }

    fn take_incoming(&mut self, connection: Connection) {
        let room = self.channels.events.capacity();
        if self.core.room() < room {
            self.give(Input::Room(room));
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        for item in incoming.drain(..) {
            let input = match item {
                Incoming::Sign => Input::Heard(connection),
                Incoming::Lost(loss) => {
                    // A frame before it may have made the core leave this connection for another one already.
                    if matches!(self.link, Link::Open(open, _) if open == connection) {
                        self.link = Link::None;
                    }
                    Input::Disconnected(connection, loss)
                }
                Incoming::Frame(message) => {
                    match socket::decode(self.config.form, message, |id| self.core.expected_reply(id)) {
                        Ok(frame) => Input::Received(connection, frame),
                        Err(NotAFrame::Late) => Input::Heard(connection),
                        Err(NotAFrame::Malformed) => {
                            tracing::warn!("the server sent what is not a frame");
                            Input::Heard(connection)
                        }
                    }
                }
            };
            self.give(input);
        }
        self.incoming = incoming;
    }

    /// Hands one input to the core and does what it says, until it says nothing more.
    fn give(&mut self, input: Input) {
        self.step(input);
        while let Some(id) = self.unsendable.pop() {
            self.step(Input::Unsendable(id));
        }
    }

    fn step(&mut self, input: Input) {
        let now = self.begun.elapsed();
        let mut effects = std::mem::take(&mut self.effects);
        self.core.handle(now, input, &mut effects);
        for effect in effects.drain(..) {
            self.act(effect);
        }
        self.effects = effects;
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::RequestToken => self.token = Some(self.config.token.token()),
            Effect::Connect(connection) => {
                self.link = Link::Connecting(connection, Box::pin(Socket::connect(self.address.clone())));
            }
            Effect::SendFrame(connection, frame) => self.send(connection, frame),
            Effect::Disconnect(_) => {
                if let Link::Open(_, socket) = std::mem::replace(&mut self.link, Link::None) {
                    socket.close();
                }
            }
            Effect::Deliver(event) => {
                // The core counts the room, so there is some unless every reader is gone.
                let _ = self.channels.events.try_send(event);
            }
            Effect::Complete(ticket, result) => {
                if let Some((waiter, room)) = self.waiters.remove(&ticket) {
                    // Whoever hears of it finds the room free.
                    drop(room);
                    // Nobody may be waiting any more.
                    let _ = waiter.send(result);
                }
            }
            Effect::State(state) => {
                if let State::Online(welcome) = &state
                    && let Some(max) =
                        welcome.limits.as_ref().and_then(|limits| usize::try_from(limits.frame_bytes_max).ok())
                    && max > 0
                {
                    self.frame_bytes_max = max;
                }
                self.channels.state.send_replace(state);
            }
            Effect::WakeAt(at) => {
                self.timer.as_mut().reset(self.begun + at.min(FAR));
                self.timer_set = true;
            }
        }
    }

    fn send(&mut self, connection: Connection, frame: ClientFrame) {
        let Link::Open(open, socket) = &mut self.link else { return };
        let Some(request) = frame.request else { return };
        if *open != connection {
            return;
        }
        let encoded = socket::encode(self.config.form, frame.id, request);
        if encoded.len() > self.frame_bytes_max {
            self.unsendable.push(frame.id);
        } else {
            socket.send(self.config.form, encoded);
        }
    }
}

impl Drop for Driver {
    /// If the task is stopped from outside (its runtime ends), nobody may wait for ever.
    fn drop(&mut self) {
        self.channels.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed(_));
            if open {
                *state = State::Closed(Closed::Application);
            }
            open
        });
    }
}
