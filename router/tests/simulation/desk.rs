//! One machine and a store that does at once what it is told: for tests that need a certain order of things.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use switchyard_cluster::home::{HomeAsk, ListedNow};
use switchyard_cluster::link::{Answer, Ask, CreateAsk, LiveEvent, MarksNow, Request, SendAsk, TypersNow};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::presence::{Parted, PresenceNow};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, ConversationKind, MessageKind, Role};
use switchyard_router::config::{Cutoffs, RouterConfig};
use switchyard_router::driver::{Touch, homes, load, read, roles, rows, seen};
use switchyard_router::machine::{CommitOutcome, Effect, Held, Input, Machine};

use crate::ask::What;
use crate::clients::{roles_of, tenant};
use crate::disk::{Disk, Done, Fate, Mutation};
use crate::profile::Faults;
use crate::rng::Rng;
use crate::timeline::user;

const SEED: u64 = 77;

/// The machine, what it wants done, and what it said.
pub(crate) struct Desk {
    pub(crate) machine: Machine,
    pub(crate) disk: Arc<Disk>,
    config: RouterConfig,
    pub(crate) now: Now,
    /// Effects that wait to be done; a test may hold them back.
    pub(crate) wanted: VecDeque<Effect>,
    /// Whether projections are to wait, here.
    pub(crate) projections: Option<Vec<Effect>>,
    pub(crate) answers: Vec<(Asker, Answer)>,
    pub(crate) published: Vec<(EdgeId, LiveEvent)>,
    pub(crate) typing: Vec<(EdgeId, TypersNow)>,
    pub(crate) marks: Vec<(EdgeId, MarksNow)>,
    pub(crate) listed: Vec<(EdgeId, ListedNow)>,
    pub(crate) presence: Vec<(EdgeId, PresenceNow)>,
    pub(crate) parted: Vec<(EdgeId, Parted)>,
    pub(crate) hurried: Vec<ConversationKey>,
    next_request: u64,
    epoch: u64,
}

/// A machine that owns everything, in the process and epoch of this number.
pub(crate) fn owner(config: &RouterConfig, epoch: u64, seed: u64) -> Machine {
    let mut machine = Machine::new(config.clone(), epoch, seed);
    let owned = Input::owns_all(Epoch::new(epoch).expect("there is such an epoch"));
    machine.handle(Now::default(), owned, &mut Vec::new());
    machine
}

impl Desk {
    pub(crate) fn new(config: RouterConfig) -> Self {
        Self {
            machine: owner(&config, 1, SEED),
            disk: Arc::new(Disk::new(Rng::new(1), Faults::default())),
            config,
            now: Now { mono: Duration::from_secs(1), wall_ms: 1_700_000_000_000 },
            wanted: VecDeque::new(),
            projections: None,
            answers: Vec::new(),
            published: Vec::new(),
            typing: Vec::new(),
            marks: Vec::new(),
            listed: Vec::new(),
            presence: Vec::new(),
            parted: Vec::new(),
            hurried: Vec::new(),
            next_request: 0,
            epoch: 1,
        }
    }

    /// Hands a request over; what follows from it waits.
    pub(crate) fn put(&mut self, name: &str, edge: u16, key: &ConversationKey, what: &What) -> Asker {
        self.put_from(name, edge, 1, key, what)
    }

    /// The same of this session.
    pub(crate) fn put_from(
        &mut self,
        name: &str,
        edge: u16,
        session: u64,
        key: &ConversationKey,
        what: &What,
    ) -> Asker {
        self.next_request += 1;
        let roles = roles_of(&user(name));
        let from = Asker { edge: EdgeId(edge), session, request: self.next_request, ticket: 0, roles };
        let request = Request { from, key: key.clone(), user: user(name), ask: what.to_ask() };
        self.feed(Input::Request(request));
        from
    }

    /// Asks and does all that follows; the answer.
    pub(crate) fn ask(&mut self, name: &str, key: &ConversationKey, what: &What) -> Answer {
        let from = self.put(name, 0, key, what);
        self.run();
        self.answer(from).expect("every request is answered")
    }

    /// The same with a token that says this.
    pub(crate) fn ask_with(&mut self, roles: Roles, name: &str, key: &ConversationKey, what: &What) -> Answer {
        self.request(roles, name, key.clone(), what.to_ask())
    }

    /// Asks the user's home with a token that says this.
    pub(crate) fn ask_home_with(&mut self, roles: Roles, name: &str, ask: HomeAsk) -> Answer {
        self.request(roles, name, ConversationKey::home(&tenant("t"), &user(name)), Ask::Home(ask))
    }

    fn request(&mut self, roles: Roles, name: &str, key: ConversationKey, ask: Ask) -> Answer {
        self.next_request += 1;
        let from = Asker { edge: EdgeId(0), session: 1, request: self.next_request, ticket: 0, roles };
        self.feed(Input::Request(Request { from, key, user: user(name), ask }));
        self.run();
        self.answer(from).expect("every request is answered")
    }

    /// Hands over a question to this user's home; what follows from it waits.
    pub(crate) fn put_home(&mut self, name: &str, ask: HomeAsk) -> Asker {
        self.next_request += 1;
        let roles = roles_of(&user(name));
        let from = Asker { edge: EdgeId(0), session: 1, request: self.next_request, ticket: 0, roles };
        let key = ConversationKey::home(&tenant("t"), &user(name));
        self.feed(Input::Request(Request { from, key, user: user(name), ask: Ask::Home(ask) }));
        from
    }

    /// Asks this user's home and does all that follows; the answer.
    pub(crate) fn ask_home(&mut self, name: &str, ask: HomeAsk) -> Answer {
        let from = self.put_home(name, ask);
        self.run();
        self.answer(from).expect("every request is answered")
    }

    /// The answer to a request, if it came.
    pub(crate) fn answer(&mut self, to: Asker) -> Option<Answer> {
        let at = self.answers.iter().position(|(asker, _)| *asker == to)?;
        Some(self.answers.swap_remove(at).1)
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &mut out);
        self.machine.tick(self.now, &mut out);
        self.take(out);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Answer { to, answer } => self.answers.push((to, answer)),
                Effect::Publish { edge, event } => self.published.push((edge, event)),
                Effect::Typing { edge, now } => self.typing.push((edge, *now)),
                Effect::Marks { edge, now } => self.marks.push((edge, *now)),
                Effect::Listed { edge, now } => self.listed.push((edge, *now)),
                Effect::Presence { edge, now } => self.presence.push((edge, *now)),
                Effect::Parted { edge, parted } => self.parted.push((edge, *parted)),
                Effect::Hurry(key) => self.hurried.push(key),
                other => self.wanted.push_back(other),
            }
        }
    }

    /// Does everything that is wanted, and what follows from it.
    pub(crate) fn run(&mut self) {
        while let Some(effect) = self.wanted.pop_front() {
            if let (Some(held), Effect::Project { .. }) = (&mut self.projections, &effect) {
                held.push(effect);
                continue;
            }
            let done = self.perform(effect, Fate::Stored);
            self.feed(done);
        }
        assert!(self.disk.inner().violations.is_empty(), "{:?}", self.disk.inner().violations);
    }

    /// Does one effect.
    pub(crate) fn perform(&mut self, effect: Effect, fate: Fate) -> Input {
        match effect {
            Effect::Append(batch) => {
                let key = batch.key.clone();
                self.disk.inner().hand_over(&batch);
                let id = self.disk.begin(Mutation::Append(batch.clone(), fate));
                self.disk.settle(id);
                self.disk.inner().told(&key);
                let outcome = match fate {
                    Fate::Stored => {
                        self.disk.inner().barrier(&batch, true);
                        CommitOutcome::Committed
                    }
                    Fate::Refused(refusal) => {
                        CommitOutcome::Refused { full: refusal == switchyard_store::Refusal::Full, batch }
                    }
                    _ => CommitOutcome::Unknown(batch),
                };
                Input::Committed { key, outcome }
            }
            Effect::Project { key, projection } => {
                let id = self.disk.begin(Mutation::Project(key, projection));
                match self.disk.settle(id) {
                    Some(Done::Project(key, result)) => Input::Projected { key, result },
                    other => unreachable!("a projection was done: {other:?}"),
                }
            }
            Effect::Load { key, cutoffs } => {
                let result = load::load(&*self.disk, &key, SEED, cutoffs, Touch::Owner { epoch: self.epoch });
                Input::Loaded { key, result }
            }
            Effect::Read { key, ticket, plan } => {
                let result = read::read(&*self.disk, &key, plan).map_err(|error| rows::failed(&error));
                Input::Read { ticket, result }
            }
            Effect::Decoy { key, to } => {
                let failed = load::load(&*self.disk, &key, 0, Cutoffs::default(), Touch::Stranger)
                    .err()
                    .map(|error| error.failed);
                Input::Decoyed { to, failed }
            }
            Effect::Raise(marks) => {
                let id = self.disk.begin(Mutation::Raise(marks));
                match self.disk.settle(id) {
                    Some(Done::Raise(_, result)) => Input::Raised(result),
                    other => unreachable!("marks were stored: {other:?}"),
                }
            }
            Effect::KeepRoles(told) => {
                let result = roles::keep(&*self.disk, &told);
                Input::RolesKept { told, result }
            }
            Effect::LoadHome { home, own } => {
                let result = homes::load(&*self.disk, &home, own, Touch::Owner { epoch: self.epoch });
                Input::HomeLoaded { home, result }
            }
            Effect::LoadSeen { home, process, began_ms } => {
                let result = seen::load(&*self.disk, &home, process, began_ms);
                Input::SeenLoaded { home, result }
            }
            Effect::Tell(message) => Input::Told(*message),
            Effect::Answer { .. }
            | Effect::Publish { .. }
            | Effect::Typing { .. }
            | Effect::Marks { .. }
            | Effect::Presence { .. }
            | Effect::Parted { .. }
            | Effect::Hurry(_)
            | Effect::Listed { .. } => {
                unreachable!("these are never wanted")
            }
        }
    }

    /// Lets time pass, and does what falls due.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now.mono + time;
        loop {
            self.run();
            match self.machine.deadline() {
                Some(at) if at <= until => self.now.mono = self.now.mono.max(at),
                _ => break,
            }
            self.turn();
        }
        self.now.mono = until;
    }

    /// A turn in which nothing comes.
    pub(crate) fn turn(&mut self) {
        let mut out = Vec::new();
        self.machine.tick(self.now, &mut out);
        self.take(out);
    }

    /// The process is killed, and another one with this configuration starts on what is on the disk.
    pub(crate) fn kill_and_configure(&mut self, config: RouterConfig) {
        self.config = config;
        self.kill();
    }

    /// The process is killed; what is on the disk stays.
    pub(crate) fn kill(&mut self) {
        self.kill_before(self.epoch + 1);
    }

    /// The same, and processes come and go to whom nobody comes, until the one of this number starts.
    pub(crate) fn kill_before(&mut self, process: u64) {
        self.epoch = process;
        self.machine = owner(&self.config, self.epoch, SEED);
        self.wanted.clear();
        self.answers.clear();
    }

    pub(crate) fn held(&self) -> Held {
        self.machine.held()
    }
}

/// A message to send.
pub(crate) fn send(client_id: &str, text: &str, since: Option<u64>) -> What {
    What::Send(SendAsk::new(client_id, text, MessageKind::Text, since))
}

/// A group to create; its creator is the first.
pub(crate) fn group(names: &[&str]) -> What {
    let members = names.iter().map(|name| user(name)).collect();
    What::Create(CreateAsk { kind: ConversationKind::Group, members, name: None, avatar: None, context: None })
}

/// The message and whether it was stored before.
pub(crate) fn sent(answer: &Answer) -> (v1::Message, bool) {
    match answer {
        Answer::Sent { message, duplicate } => (v1::Message::decode(&**message).expect("a message"), *duplicate),
        other => panic!("{other:?} is not a stored message"),
    }
}

/// The code of a refusal; nothing for a success.
pub(crate) fn code(answer: &Answer) -> Option<ErrorCode> {
    match answer {
        Answer::Refused(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// The role by which a detail was told.
pub(crate) fn role(answer: &Answer) -> Option<Role> {
    match answer {
        Answer::Result(result) => match &**result {
            v1::reply::Result::Detail(detail) => detail.conversation.as_ref().map(v1::Conversation::role),
            _ => None,
        },
        _ => None,
    }
}
