//! The shard machine: all conversations of the shards that one worker owns, as a pure function of time and events.
//!
//! It is told what happened ([`Input`]) and says what to do ([`Effect`]); it reads no clock, touches no socket and no
//! store. Effects are in order, and `Append`s of one conversation never overlap.

mod activity;
mod conversation;
mod epochs;
mod home;
mod io;
mod reading;
mod request;
mod rights;
mod ticket;
mod writing;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use switchyard_cluster::link::{Answer, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1;
use switchyard_store::{Batch, Mark};

use crate::config::RouterConfig;
use activity::marks::Marking;
use activity::presence::Presence;
pub(crate) use activity::presence::{BEGAN, SEEN, SeenMark, group_of};
use activity::typing::Typing;
use conversation::Conversation;
pub use conversation::replay::{Recorded, Replay, ReplayError};
pub use conversation::retention::Older;
pub(crate) use conversation::retention::droppable;
use epochs::Epochs;
pub use home::HomeRead;
use home::Homes;
pub(crate) use home::log::record as home_record;
pub use io::{CommitOutcome, Effect, Input, LoadFailed, Projection, ReadFailed, Written};
pub use reading::plan::{ReadPlan, ReadResult, Reader};
use reading::survey::Surveys;
pub(crate) use rights::blocks::Stand;
pub use rights::blocks::Welcome;
use rights::told_roles::TellingRoles;
pub use rights::told_roles::{ToldRoles, known_roles};
pub use ticket::Ticket;
pub(crate) use writing::dedupe::row_hash;
use writing::pacing::Pacing;
use writing::silence::Silence;
pub(crate) use writing::targets::Reactor;
pub use writing::targets::TargetRead;

/// Requests that may wait for one conversation to be loaded; of their bytes as many as may wait in one that is.
const LOADING_REQUESTS_MAX: usize = 1_000;

/// Conversations that leave memory in one turn, at most; the rest goes in the next ones.
const EVICTIONS_PER_TURN_MAX: usize = 256;

/// How long to wait before an append with an unknown outcome is repeated.
const REPEAT_AFTER: Duration = Duration::from_millis(200);

/// When a client is told to come again after the store refused its message.
const REFUSED_RETRY_MS: u64 = 1_000;

/// When a client is told to come again after a queue was full.
const BUSY_RETRY_MS: u64 = 250;

/// The record of a conversation is written again after so many events, so that loading it replays no more.
const RECORD_EVERY: u64 = 1_000;

/// Where a conversation stands.
#[derive(Debug)]
enum Slot {
    /// Being read from the store. Behind a pointer, for there is a slot for each conversation and few are being read.
    Loading(Box<Loading>),
    /// In memory.
    Loaded(Box<Conversation>),
    /// Out of memory, but these edges have readers.
    Parked(Vec<EdgeId>),
}

impl Slot {
    /// Whether a batch is in flight.
    fn writes(&self) -> bool {
        let Self::Loaded(conversation) = self else { return false };
        conversation.pipeline.as_ref().is_some_and(|pipeline| pipeline.in_flight.is_some())
    }
}

/// What waits for a conversation to be read.
#[derive(Debug, Default)]
struct Loading {
    waiting: Vec<Request>,
    /// Bytes of what they ask.
    bytes: usize,
    edges: Vec<EdgeId>,
    /// What homes ask of it.
    surveys: Vec<u64>,
    /// Somebody among them has something to say.
    hurried: bool,
}

impl Loading {
    /// Has it read before others, if it is not already.
    fn hurry(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.hurried, true) {
            out.push(Effect::Hurry(key.clone()));
        }
    }
}

/// All conversations that one worker owns.
#[derive(Debug)]
pub struct Machine {
    config: RouterConfig,
    /// Numbers this process among all that ever served this store: presence tells by it who was there in which.
    process: u64,
    epochs: Epochs,
    /// Keys the hashes of client ids, so that nobody can aim for collisions.
    seed: u64,
    slots: HashMap<ConversationKey, Slot, foldhash::fast::RandomState>,
    /// Loaded conversations, with the time at which each is next looked at for eviction.
    idle: VecDeque<(Duration, ConversationKey)>,
    /// Conversations with work that waits for a batch; sealed at the end of the turn, so that all that arrived in one
    /// turn goes in one batch.
    ready: Vec<ConversationKey>,
    /// Large conversations that wait after a fan-out.
    pacing: Pacing,
    silence: Silence,
    typing: Typing,
    marking: Marking,
    homes: Homes,
    presence: Presence,
    surveys: Surveys,
    telling_roles: TellingRoles,
    /// Work to be tried again at a time.
    repeats: VecDeque<(Duration, Repeat)>,
    loaded: usize,
    created: u64,
    /// Effects that still have to be answered.
    busy: usize,
}

/// What a machine keeps in memory, counted: a test tells by it that nothing is left behind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Held {
    /// Conversations that are loaded, being loaded or parked.
    pub conversations: usize,
    /// Conversations with work under way.
    pub busy: usize,
    /// Places in the queue of those that are looked at for eviction.
    pub idle: usize,
    /// Conversations in which somebody types, or that an edge has open.
    pub typing: usize,
    /// Conversations with marks to be stored or told.
    pub marking: usize,
    /// Homes of users.
    pub homes: usize,
    /// Users who are online, or of whom something is to be told or stored, and conversations that are counted.
    pub presence: usize,
    /// Questions of homes that are not answered.
    pub surveys: usize,
}

/// Work that the store did not take.
#[derive(Debug)]
enum Repeat {
    Append(Batch),
    Project(ConversationKey, Box<Projection>),
    Raise(Vec<Mark>),
    KeepRoles(Vec<ToldRoles>),
}

impl Machine {
    /// One that owns no shard yet, in a process of this number, which is higher than that of every process before. `seed`
    /// should be random; the same seed and inputs give the same effects.
    pub fn new(config: RouterConfig, process: u64, seed: u64) -> Self {
        Self {
            config,
            process,
            epochs: Epochs::default(),
            seed,
            slots: HashMap::default(),
            idle: VecDeque::new(),
            ready: Vec::new(),
            pacing: Pacing::default(),
            silence: Silence::default(),
            typing: Typing::default(),
            marking: Marking::default(),
            homes: Homes::default(),
            presence: Presence::default(),
            surveys: Surveys::default(),
            telling_roles: TellingRoles::default(),
            repeats: VecDeque::new(),
            loaded: 0,
            created: 0,
            busy: 0,
        }
    }

    /// Takes in what happened; appends what to do.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        let before = out.len();
        if !matches!(input, Input::Request(_) | Input::Unsure(_) | Input::Told(_) | Input::Owned(_)) {
            self.busy = self.busy.saturating_sub(1);
        }
        match input {
            Input::Owned(shards) => shards.into_iter().for_each(|(shard, epoch)| self.epochs.own(shard, epoch)),
            Input::Request(request) => self.request(now, request, out),
            Input::Unsure(request) if request.ask.is_answered() => refuse(request.from, unsure(), out),
            Input::Unsure(request) => self.request(now, request, out),
            Input::Committed { key, outcome } => {
                self.silence.ended(now, self.config.unknown_after);
                self.committed(now, &key, outcome.by(self.config.rules), out);
            }
            Input::Projected { key, result } => self.projected(now, &key, result, out),
            Input::Loaded { key, result } => self.loaded(now, key, result, out),
            Input::Read { ticket, result } => self.read_done(now, *ticket, result, out),
            Input::Raised(result) => self.raised(now, result, out),
            Input::RolesKept { told, result } => self.roles_kept(now, told, result, out),
            Input::HomeLoaded { home, result } => self.home_loaded(now, &home, result, out),
            Input::SeenLoaded { home, result } => self.seen_loaded(&home, result, out),
            Input::Told(message) => self.told(now, message, out),
            Input::Decoyed { to, failed } => refuse(to, failed.map_or(Refusal::NOT_FOUND, strangers_refusal), out),
        }
        self.count(now, &out[before..]);
    }

    /// Counts what has to be answered before the machine is at rest, and what the store is given.
    fn count(&mut self, now: Now, effects: &[Effect]) {
        let mut batches = 0;
        let answered = |effect: &&Effect| match effect {
            Effect::Answer { .. } | Effect::Publish { .. } | Effect::Typing { .. } | Effect::Marks { .. } => false,
            Effect::Tell(_) | Effect::Listed { .. } | Effect::Presence { .. } | Effect::Parted { .. } => false,
            Effect::Hurry(_) => false,
            Effect::Append(_) => {
                batches += 1;
                true
            }
            Effect::Project { .. } | Effect::Load { .. } | Effect::Read { .. } => true,
            Effect::Decoy { .. } | Effect::LoadHome { .. } | Effect::LoadSeen { .. } | Effect::Raise(_) => true,
            Effect::KeepRoles(_) => true,
        };
        self.busy += effects.iter().filter(answered).count();
        self.silence.appended(now, batches, self.config.unknown_after);
    }

    /// Ends a turn: makes batches of what waits and does what is due. Called after every round of [`handle`](Self::handle).
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let before = out.len();
        while self.repeats.front().is_some_and(|(at, _)| *at <= now.mono) {
            out.extend(self.repeats.pop_front().map(|(_, repeat)| match repeat {
                Repeat::Append(batch) => Effect::Append(batch),
                Repeat::Project(key, projection) => Effect::Project { key, projection },
                Repeat::Raise(marks) => Effect::Raise(marks),
                Repeat::KeepRoles(told) => Effect::KeepRoles(told),
            }));
        }
        self.pace(now);
        let mut ready = std::mem::take(&mut self.ready);
        for key in ready.drain(..) {
            self.seal(now, &key, out);
        }
        self.ready = ready;
        for _ in 0..EVICTIONS_PER_TURN_MAX {
            match self.idle.front() {
                Some((at, _)) if *at <= now.mono => {}
                _ => break,
            }
            if let Some((at, key)) = self.idle.pop_front() {
                self.look_at_idle(now, at, key, out);
            }
        }
        self.tell_typing(now, out);
        self.store_marks(now, out);
        self.tell_marks(now, out);
        self.tick_homes(now, out);
        self.write_roles(out);
        self.tick_presence(now, out);
        self.tell_silence(now, out);
        self.count(now, &out[before..]);
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        let repeat = self.repeats.front().map(|(at, _)| *at);
        let idle = self.idle.front().map(|(at, _)| *at);
        let told = self.typing.deadline().into_iter().chain(self.marking.deadline()).chain(self.homes.deadline());
        let told = told.chain(self.presence.deadline()).chain(self.silence.deadline());
        repeat.into_iter().chain(idle).chain(self.pacing.deadline()).chain(told).min()
    }

    /// In which epoch a shard is this router's; nothing if it is not.
    pub fn epoch_of(&self, shard: Shard) -> Option<u64> {
        self.epochs.of(shard)
    }

    /// Conversations in memory.
    pub fn loaded_conversations(&self) -> usize {
        self.loaded
    }

    /// Whether no batch is in flight and nothing waits to be written: what was asked is answered.
    pub fn at_rest(&self) -> bool {
        let stored = self.marking.is_stored() && self.presence.rows_due().is_none() && self.telling_roles.is_stored();
        self.repeats.is_empty() && self.pacing.idle() && self.busy == 0 && stored
    }

    /// What is in memory. Walks all conversations.
    pub fn held(&self) -> Held {
        let busy = self.slots.values().filter(|slot| match slot {
            Slot::Loading(_) => true,
            Slot::Loaded(conversation) => conversation.pipeline.as_ref().is_some_and(|pipeline| !pipeline.idle()),
            Slot::Parked(_) => false,
        });
        Held {
            conversations: self.slots.len(),
            busy: busy.count(),
            idle: self.idle.len(),
            typing: self.typing.len(),
            marking: self.marking.len(),
            homes: self.homes.len(),
            presence: self.presence.len(),
            surveys: self.surveys.len(),
        }
    }

    /// Messages committed since the start.
    pub fn messages_created(&self) -> u64 {
        self.created
    }

    /// Who asked for the events of the batch that is under way there, in their order.
    pub fn askers(&self, key: &ConversationKey) -> Vec<Asker> {
        let pipeline = match self.slots.get(key) {
            Some(Slot::Loaded(conversation)) => conversation.pipeline.as_deref(),
            _ => self.homes.pipeline(key),
        };
        let batch = pipeline.and_then(|pipeline| pipeline.in_flight.as_ref());
        batch.map(|batch| batch.events.iter().map(|sealed| sealed.pending.asker).collect()).unwrap_or_default()
    }

    /// Whether this names a conversation in memory, and not a home.
    pub fn is_conversation(&self, key: &ConversationKey) -> bool {
        self.slots.contains_key(key)
    }

    fn repeat(&mut self, now: Now, repeat: Repeat) {
        self.repeats.push_back((now.mono + REPEAT_AFTER, repeat));
    }

    /// Has the conversation's waiting work sealed at the end of the turn.
    fn ready(&mut self, key: &ConversationKey) {
        if let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) {
            conversation.ready(key, &mut self.ready);
        }
    }

    fn loaded_mut(&mut self, key: &ConversationKey) -> Option<&mut Conversation> {
        match self.slots.get_mut(key) {
            Some(Slot::Loaded(conversation)) => Some(conversation),
            _ => None,
        }
    }
}

fn refuse(to: Asker, refusal: Refusal, out: &mut Vec<Effect>) {
    out.push(Effect::Answer { to, answer: Answer::Refused(refusal) });
}

fn succeed(to: Asker, result: v1::reply::Result, out: &mut Vec<Effect>) {
    out.push(Effect::Answer { to, answer: Answer::Result(Box::new(result)) });
}

fn busy(message: &'static str) -> Refusal {
    Refusal { retry_after_ms: Some(BUSY_RETRY_MS), ..Refusal::new(ErrorCode::Overloaded, message) }
}

/// What whoever asks hears while it is not known whether the shard is still this router's. Nothing was done.
fn unsure() -> Refusal {
    busy("it is not known now who owns this conversation")
}

fn read_refusal(failed: ReadFailed) -> Refusal {
    match failed {
        ReadFailed::Corrupt => Refusal::new(ErrorCode::Internal, "what is stored there is damaged"),
        ReadFailed::Unavailable => busy("the store does not answer now"),
    }
}

/// What somebody hears who is not known to be a member: damage would tell that there is something.
fn strangers_refusal(failed: ReadFailed) -> Refusal {
    match failed {
        ReadFailed::Corrupt => Refusal::NOT_FOUND,
        ReadFailed::Unavailable => read_refusal(failed),
    }
}
