//! The users of a run, their conversations and what each connection is doing: decides what to send, and tells the
//! oracle what was heard. Sockets are [`Net`]'s, time comes in as an argument.
//!
//! Every user has one connection and one conversation; users of a conversation have neighbouring numbers, the publishers
//! first. Request ids are odd for sends (twice the message's count, plus one) and even for all else; those of changes have a
//! high bit of their own.

mod audit;
mod changes;
mod join;
mod marks;
mod mixed;
mod pages;
mod receive;
mod send;
mod session;
mod told;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::v1::{self, client_frame::Request};

use crate::frame::MessageRef;
use crate::letter::{self, Bodies, MessageKey};
use crate::measure::Meter;
use crate::mix::Mix;
use crate::net::Net;
use crate::oracle::{Audit, Ledger, Story, Verdict};
use crate::token::Tokens;

use self::mixed::Mixing;
use self::pages::Pages;
use self::receive::Memo;
pub use self::session::State;
use self::session::{Control, Session};

/// Refused messages that are remembered, to see that none of them is in a timeline.
const REFUSED_MAX: usize = 1 << 20;

/// Kinds of errors that are counted.
const REFUSALS_MAX: usize = 32;

/// What every message is: a send that names no kind is of this one.
const KIND: i32 = v1::MessageKind::Text as i32;

/// Connections in their handshake at once, unless told otherwise: fewer than a listener's queue holds.
const CONNECTING_MAX: usize = 256;

/// What conversations are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Direct ones of two; each sender has a window of its own.
    Pair,
    /// A group, whose senders share a window.
    Room,
}

/// What kind of conversations there are, and who does what in them.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What they are.
    pub kind: Kind,
    /// How many.
    pub conversations: usize,
    /// Users of each.
    pub members: usize,
    /// The first so many of them send.
    pub publishers: usize,
    /// Whether publishers read what is sent, too.
    pub publishers_read: bool,
    /// Further members of each, who never connect.
    pub absent: usize,
}

/// How messages follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// So many under way in each window; the next one follows when one is acknowledged.
    Acks(usize),
    /// The same, when its last reader has it.
    Deliveries(usize),
    /// At times of their own.
    Timed,
}

/// What a world is made of.
#[derive(Debug)]
pub struct Plan {
    /// Conversations and users.
    pub shape: Shape,
    /// How messages follow each other.
    pub flow: Flow,
    /// Bytes of a body.
    pub size: usize,
    /// Of bodies and choices.
    pub seed: u64,
    /// Begins every user's id, so that each run has users of its own.
    pub run: String,
    /// The form on the wire.
    pub form: Form,
    /// What people do beside writing.
    pub mix: Option<Mix>,
    /// Tokens.
    pub tokens: Tokens,
}

/// How far users go after they were greeted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Stay there.
    Greet,
    /// Create or find their conversation and subscribe to it.
    Join,
}

struct Conversation {
    id: String,
    members: Range<usize>,
    publishers: usize,
    /// Members that the server knows.
    added: usize,
    readers: u32,
    next_publisher: usize,
    ledger: Ledger,
    /// Where something is mixed in.
    story: Option<Box<Story>>,
    audit: Option<Audit>,
    /// Where the timeline ended when it was read.
    audited_to: u64,
    memo: Memo,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// Connect.
    Connect,
    /// Ask again what was put off.
    Ask,
    /// Send a held message again.
    Release(u64),
    /// The next message of the window that this sender's refused one was in.
    Launch,
    /// The server asked for the connection to move.
    Move,
    /// Ask for a held change again.
    Change(u64),
    /// A reader marks or lists.
    Tick,
}

/// Everything about users and conversations.
pub struct World {
    /// What was measured.
    pub meter: Meter,
    /// What was wrong.
    pub verdict: Verdict,
    /// Why the run cannot go on.
    pub fatal: Option<String>,
    /// The errors that messages and changes were answered with, in words, and how often.
    pub refusals: BTreeMap<String, u64>,
    /// Connections in their handshake at once.
    pub connecting_max: usize,
    /// Messages of the whole run at most; those that were refused are not counted.
    pub quota: u64,
    plan: Plan,
    bodies: Bodies,
    names: Vec<String>,
    sessions: Vec<Session>,
    conversations: Vec<Conversation>,
    stage: Stage,
    sending: bool,
    greeted: usize,
    joined: usize,
    connecting: usize,
    to_connect: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(u64, usize, Timer)>>,
    refused: Vec<MessageKey>,
    audits: usize,
    next_audit: usize,
    next_conversation: usize,
    last_away: Option<String>,
    launched: u64,
    pages: Pages,
    mixing: Option<Box<Mixing>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("tally", &self.meter.tally).finish_non_exhaustive()
    }
}

impl Shape {
    /// So many direct conversations in which one user sends and the other reads.
    pub fn pairs(conversations: usize) -> Self {
        Self { kind: Kind::Pair, conversations, members: 2, publishers: 1, publishers_read: false, absent: 0 }
    }

    /// The same, in which both send and read.
    pub fn both_ways(conversations: usize) -> Self {
        Self { publishers: 2, publishers_read: true, ..Self::pairs(conversations) }
    }

    /// One group that everybody reads.
    pub fn room(members: usize, publishers: usize) -> Self {
        Self { kind: Kind::Room, conversations: 1, members, publishers, publishers_read: true, absent: 0 }
    }

    /// One group of which only those who send are there, and nobody reads.
    pub fn absent(members: usize, publishers: usize) -> Self {
        let absent = members - publishers;
        Self { publishers_read: false, absent, ..Self::room(publishers, publishers) }
    }
}

impl World {
    /// Users and conversations as planned, none of them connected yet.
    pub fn new(plan: Plan) -> Self {
        let shape = plan.shape.clone();
        let users = shape.conversations * shape.members;
        let mut sessions = Vec::with_capacity(users);
        let mut conversations = Vec::with_capacity(shape.conversations);
        for number in 0..shape.conversations {
            let first = number * shape.members;
            let mut readers = 0;
            for member in 0..shape.members {
                let publishes = member < shape.publishers;
                let reads = !publishes || shape.publishers_read;
                readers += u32::from(reads);
                sessions.push(Session::new(number, publishes, reads, plan.mix.is_some()));
            }
            conversations.push(Conversation {
                id: String::new(),
                members: first..first + shape.members,
                publishers: shape.publishers,
                added: 0,
                readers,
                next_publisher: 0,
                ledger: if plan.mix.is_some() { Ledger::mixed() } else { Ledger::default() },
                story: plan.mix.map(|_| Box::default()),
                audit: None,
                audited_to: 0,
                memo: Memo::default(),
            });
        }
        let timelines = shape.conversations;
        let verdict = if plan.mix.is_some() { Verdict::of_mixed(timelines) } else { Verdict::of(timelines) };
        let mixing = plan.mix.map(|mix| Box::new(Mixing::new(mix)));
        Self {
            meter: Meter::default(),
            verdict,
            fatal: None,
            refusals: BTreeMap::new(),
            connecting_max: CONNECTING_MAX,
            quota: u64::MAX,
            bodies: Bodies::new(plan.seed, plan.size),
            names: (0..users).map(|user| format!("{}-{user}", plan.run)).collect(),
            plan,
            sessions,
            conversations,
            stage: Stage::Greet,
            sending: false,
            greeted: 0,
            joined: 0,
            connecting: 0,
            to_connect: VecDeque::new(),
            timers: BinaryHeap::new(),
            refused: Vec::new(),
            audits: 0,
            next_audit: 0,
            next_conversation: 0,
            last_away: None,
            launched: 0,
            pages: Pages::default(),
            mixing,
        }
    }

    /// Members of a conversation, with those who never connect.
    fn all_members(&self, conversation: usize) -> usize {
        self.conversations[conversation].members.len() + self.plan.shape.absent
    }

    /// The name of a conversation's member, counted from its first.
    fn member_name(&self, conversation: usize, member: usize) -> String {
        let members = &self.conversations[conversation].members;
        match members.clone().nth(member) {
            Some(slot) => self.names[slot].clone(),
            None => format!("{}-absent-{conversation}-{member}", self.plan.run),
        }
    }

    /// Users of the run.
    pub fn users(&self) -> usize {
        self.sessions.len()
    }

    /// Users that are greeted now.
    pub fn greeted(&self) -> usize {
        self.greeted
    }

    /// Users that are greeted and have all they subscribed to.
    pub fn joined(&self) -> usize {
        self.joined
    }

    /// Messages whose acks or deliveries are still expected.
    pub fn under_way(&self) -> u64 {
        self.meter.tally.open + self.meter.tally.undelivered + self.meter.tally.changes_open
    }

    /// Messages without an outcome that may have been stored.
    pub fn unsure(&self) -> u64 {
        let open = self.sessions.iter().filter_map(|session| session.outbox.as_ref()).flat_map(|outbox| outbox.open());
        open.filter(|(_, flight)| flight.sent && flight.is_unanswered()).count() as u64
    }

    /// Messages without an outcome whose sender's connection stands: the server has left them without an answer.
    pub fn unanswered(&self) -> u64 {
        let joined = self.sessions.iter().filter(|session| session.state == State::Joined);
        let open = joined.filter_map(|session| session.outbox.as_ref()).flat_map(|outbox| outbox.open());
        open.filter(|(_, flight)| flight.is_unanswered()).count() as u64 + self.changes_unanswered()
    }

    /// Measures what is still expected as what it is: not there yet.
    pub fn measure_open(&mut self, now: u64) {
        let meter = &mut self.meter;
        for outbox in self.sessions.iter().filter_map(|session| session.outbox.as_ref()) {
            for (_, flight) in outbox.open() {
                meter.never(flight.intended, flight.is_unanswered(), flight.remaining, now);
            }
        }
    }

    /// Whether messages are being sent.
    pub fn is_sending(&self) -> bool {
        self.sending
    }

    /// No new messages from now on.
    pub fn stop_sending(&mut self) {
        self.sending = false;
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// Does what is due.
    pub fn run_timers(&mut self, net: &mut Net, now: u64) {
        while let Some(&Reverse((at, slot, timer))) = self.timers.peek()
            && at <= now
        {
            self.timers.pop();
            match timer {
                Timer::Connect => self.want_connection(slot, net, now),
                Timer::Ask => self.advance(slot, net),
                Timer::Release(count) => self.release(slot, count, net),
                Timer::Launch => {
                    if self.sending && self.plan.flow != Flow::Timed {
                        self.launch_after(slot, now, net);
                    }
                }
                Timer::Move => self.move_away(slot, net, now),
                Timer::Change(id) => self.release_change(slot, id, net),
                Timer::Tick => self.tick(slot, net, now),
            }
        }
    }

    fn at(&mut self, when: u64, slot: usize, timer: Timer) {
        self.timers.push(Reverse((when, slot, timer)));
    }

    /// Sends a request other than `send`.
    fn request(&mut self, slot: usize, control: Control, request: Request, net: &mut Net) {
        let form = self.plan.form;
        let session = &mut self.sessions[slot];
        session.control_id += 2;
        session.control = Some(control);
        if let (Some(part), Some(mixing)) = (session.part.as_mut(), self.mixing.as_ref()) {
            part.asked_tick = mixing.tick;
        }
        net.send(slot, encode(form, session.control_id, request));
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.fatal.get_or_insert_with(|| why.into());
    }

    /// Which of our messages this is, and what is wrong with it; the conversation is the reader's.
    fn identify(&self, conversation: usize, message: &MessageRef<'_>) -> (Option<MessageKey>, Option<Flaw>) {
        let id = self.conversations[conversation].id.as_bytes();
        if message.conversation != id {
            return (None, Some(Flaw::Foreign));
        }
        let Some(key) = MessageKey::parse(message.client_id) else { return (None, Some(Flaw::Altered("client id"))) };
        let sender = key.sender() as usize;
        let Some(session) = self.sessions.get(sender) else { return (None, Some(Flaw::Altered("client id"))) };
        if session.conversation != conversation {
            return (None, Some(Flaw::Foreign));
        }
        if session.outbox.as_ref().is_none_or(|outbox| key.count() >= outbox.end()) {
            return (None, Some(Flaw::Invented));
        }
        let flaw = if message.sender != self.names[sender].as_bytes() {
            Some(Flaw::Altered("sender"))
        } else if message.kind != KIND {
            Some(Flaw::Altered("kind"))
        } else if (message.deleted || !self.bodies.matches(key, message.text))
            && !self.is_present(conversation, key, message)
        {
            Some(Flaw::Altered("body"))
        } else if !is_message_id(message.id, id, message.seq) {
            Some(Flaw::Altered("id"))
        } else {
            None
        };
        (Some(key), flaw)
    }

    /// Counts what [`World::identify`] found.
    fn blame(&mut self, flaw: Flaw, slot: usize, seq: u64, message: &MessageRef<'_>) {
        let fault = flaw.fault();
        self.verdict.add(fault, 1, || {
            let part = match flaw {
                Flaw::Altered(part) => part,
                Flaw::Foreign | Flaw::Invented => "message",
            };
            format!(
                "{part} of number {seq} as user {slot} got it, client id {:?}",
                String::from_utf8_lossy(message.client_id)
            )
        });
    }
}

/// What is wrong with one message by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    Altered(&'static str),
    Foreign,
    Invented,
}

impl Flaw {
    fn fault(self) -> crate::oracle::Fault {
        use crate::oracle::Fault;
        match self {
            Self::Altered(_) => Fault::Altered,
            Self::Foreign => Fault::Foreign,
            Self::Invented => Fault::Invented,
        }
    }
}

/// Whether `id` is `<conversation>.<seq>`.
fn is_message_id(id: &[u8], conversation: &[u8], seq: u64) -> bool {
    let Some(digits) = id.strip_prefix(conversation).and_then(|rest| rest.strip_prefix(b".")) else { return false };
    let mut number = 0_u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
    }
    number == seq && !digits.is_empty()
}

fn encode(form: Form, id: u64, request: Request) -> Bytes {
    frame::encode_client(form, id, request)
}

/// A random fraction of `span` that follows from the seed.
fn jitter(seed: u64, n: u64, span: u64) -> u64 {
    if span == 0 { 0 } else { letter::mix(seed, n) % span }
}

fn words(error: &v1::Error) -> String {
    format!("{}: {}", error.code, error.message)
}

/// Counts one more of this error, unless there are too many kinds of them.
fn count_refusal(refusals: &mut BTreeMap<String, u64>, error: &v1::Error) {
    let words = words(error);
    if refusals.len() < REFUSALS_MAX || refusals.contains_key(&words) {
        *refusals.entry(words).or_default() += 1;
    }
}
