//! The world: virtual time, the way of a request to the machine and of an effect to the store and back, and the process
//! that is killed. It does what the driver does, one step at a time.

mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{Answer, Ask, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{PresenceAsk, PresenceNow, Seen, WatchAsk};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_router::config::Cutoffs;
use switchyard_router::driver::{Touch, homes, load, read, roles, rows, seen};
use switchyard_router::machine::{Effect, Held, Input, Machine, ReadPlan, Ticket, ToldRoles};
use switchyard_store::Batch;

use crate::ask::What;
use crate::clients::{Chooser, Deed, Place, Session, tenant};
use crate::disk::Disk;
use crate::edges::Edges;
use crate::oracle::Oracle;
use crate::profile::{Faults, Profile};
use crate::rng::Rng;

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client does something.
    Client(usize),
    /// A request arrives.
    Request(Request),
    /// The store does what it was asked.
    Mutation(u64),
    /// A barrier ends.
    Confirm(Batch),
    Load(ConversationKey, Cutoffs),
    Read(ConversationKey, Box<Ticket>, ReadPlan),
    Decoy(ConversationKey, Asker),
    LoadHome(Home, bool),
    LoadSeen(Home, u64, u64),
    KeepRoles(Vec<ToldRoles>),
    /// The worker hears what it told itself.
    Told(RouterMessage),
    /// A completion arrives.
    Complete(Input),
    /// The worker takes its turn.
    Turn,
}

/// When the clock of the wall starts.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// Steps after which a run is taken to go round in circles.
const STEPS_MAX: u64 = 400_000;

/// One run.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) disk: Arc<Disk>,
    pub(crate) machine: Machine,
    pub(crate) oracle: Oracle,
    pub(crate) places: Vec<Place>,
    pub(crate) sessions: Vec<Session>,
    edges: Edges,
    now_us: u64,
    wall_back_ms: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    /// Events other than turns that are to come.
    live: usize,
    /// What each edge sends arrives in order.
    arrives_us: BTreeMap<EdgeId, u64>,
    /// So does what the router tells itself.
    told_us: u64,
    inputs: Vec<Input>,
    requests: VecDeque<Request>,
    next_turn: Option<u64>,
    effects: Vec<Effect>,
    epoch: u64,
    machine_seed: u64,
    fresh: u64,
    next_session: u64,
    /// Requests that the clients will still make.
    pub(crate) left: u64,
    steps: u64,
    pub(crate) hash: Option<DefaultHasher>,
    pub(crate) verbose: bool,
}

impl World {
    pub(crate) fn new(mut rng: Rng, profile: Profile, disk: Arc<Disk>, oracle: Oracle) -> Self {
        let machine_seed = rng.next();
        let machine = crate::desk::owner(&profile.config, 1, machine_seed);
        Self {
            left: profile.requests,
            places: crate::clients::places(),
            sessions: crate::clients::sessions(),
            edges: Edges::default(),
            now_us: 0,
            wall_back_ms: 0,
            events: BTreeMap::new(),
            order: 0,
            live: 0,
            arrives_us: BTreeMap::new(),
            told_us: 0,
            inputs: Vec::new(),
            requests: VecDeque::new(),
            next_turn: None,
            effects: Vec::new(),
            epoch: 1,
            machine_seed,
            fresh: 0,
            next_session: 100,
            steps: 0,
            hash: None,
            verbose: false,
            rng,
            profile,
            disk,
            machine,
            oracle,
        }
    }

    fn now(&self) -> Now {
        let wall_ms = WALL_MS + self.now_us / 1_000 - self.wall_back_ms;
        Now { mono: Duration::from_micros(self.now_us), wall_ms }
    }

    fn at(&mut self, in_us: u64, event: Event) {
        self.order += 1;
        if !matches!(event, Event::Turn) {
            self.live += 1;
        }
        self.events.insert((self.now_us + in_us, self.order), event);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.hash.is_none() && !self.verbose {
            return;
        }
        let line = format!("{:>12} {}", self.now_us, what());
        if self.verbose {
            println!("{line}");
        }
        if let Some(hash) = &mut self.hash {
            line.hash(hash);
        }
    }

    pub(crate) fn start_clients(&mut self) {
        for at in 0..self.sessions.len() {
            // Some come only when they want something.
            if self.rng.chance(700) {
                self.come(at);
            }
            let pause = self.rng.below(self.profile.pause_us_max);
            self.at(pause, Event::Client(at));
        }
    }

    /// Goes on until nothing is under way but time. False if a promise was broken.
    pub(crate) fn run(&mut self) -> bool {
        loop {
            let idle = self.live == 0 && self.inputs.is_empty() && self.requests.is_empty();
            if idle && self.machine.at_rest() {
                return self.intact();
            }
            if !self.step() {
                self.oracle.violations.push("nothing will happen any more, and the machine is not at rest".into());
                return false;
            }
            if !self.intact() {
                return false;
            }
        }
    }

    /// Goes on until the clients have done what they wanted; what they asked last is still under way. Or until a text was erased
    /// that the end of the process may bring back.
    pub(crate) fn run_clients(&mut self, last: bool) -> bool {
        while self.left > 0 {
            if !last && self.profile.cuts_erasures && self.disk.inner().may_forget_erasures() {
                return true;
            }
            if !self.step() || !self.intact() {
                return self.intact();
            }
        }
        true
    }

    /// All sessions go away.
    pub(crate) fn end_streams(&mut self) {
        for at in 0..self.sessions.len() {
            self.reconnect(at);
            self.go(at);
        }
    }

    /// Nothing is left in memory when everything was left alone for long enough.
    pub(crate) fn check_empty(&mut self) {
        let held = self.machine.held();
        if held != Held::default() || self.machine.loaded_conversations() != 0 || !self.machine.at_rest() {
            self.oracle.violations.push(format!("left in memory: {held:?}"));
        }
    }

    /// Goes on until nothing will happen any more.
    pub(crate) fn run_out(&mut self) -> bool {
        while self.intact() {
            if !self.step() {
                return true;
            }
        }
        false
    }

    /// Goes on for so long.
    pub(crate) fn pass(&mut self, time: Duration) -> bool {
        let end_us = self.now_us + u64::try_from(time.as_micros()).expect("a run is short");
        while self.intact() {
            match self.events.first_key_value() {
                Some(((at, _), _)) if *at <= end_us => self.step(),
                _ => return true,
            };
        }
        false
    }

    fn intact(&mut self) -> bool {
        let mut found = std::mem::take(&mut self.disk.inner().violations);
        self.oracle.violations.append(&mut found);
        if self.steps > STEPS_MAX {
            self.oracle.violations.push("it goes round in circles".into());
        }
        self.oracle.violations.is_empty()
    }

    fn step(&mut self) -> bool {
        let Some(((at, _), event)) = self.events.pop_first() else { return false };
        self.steps += 1;
        self.now_us = at;
        if !matches!(event, Event::Turn) {
            self.live -= 1;
        }
        match event {
            Event::Client(at) => self.client(at),
            Event::Request(request) => {
                self.requests.push_back(request);
                self.wake();
            }
            Event::Mutation(id) => self.mutation(id),
            Event::Confirm(batch) => self.confirm(batch),
            Event::Load(key, cutoffs) => {
                let seed = self.machine_seed;
                let result = load::load(&*self.disk, &key, seed, cutoffs, self.touch());
                self.complete(Input::Loaded { key, result });
            }
            Event::Read(key, ticket, plan) => {
                let result = read::read(&*self.disk, &key, plan).map_err(|error| rows::failed(&error));
                self.complete(Input::Read { ticket, result });
            }
            Event::Decoy(key, to) => {
                let failed = load::load(&*self.disk, &key, 0, Cutoffs::default(), Touch::Stranger)
                    .err()
                    .map(|error| error.failed);
                self.complete(Input::Decoyed { to, failed });
            }
            Event::LoadHome(home, own) => {
                let result = homes::load(&*self.disk, &home, own, self.touch());
                if own && result.is_ok() {
                    // It has confirmed what it wrote.
                    self.disk.inner().keep_decisions();
                }
                self.complete(Input::HomeLoaded { home, result });
            }
            Event::KeepRoles(told) => {
                let result = roles::keep(&*self.disk, &told);
                self.complete(Input::RolesKept { told, result });
            }
            Event::LoadSeen(home, process, began_ms) => {
                let result = seen::load(&*self.disk, &home, process, began_ms);
                self.complete(Input::SeenLoaded { home, result });
            }
            Event::Told(message) => {
                self.inputs.push(Input::Told(message));
                self.wake();
            }
            Event::Complete(input) => {
                self.inputs.push(input);
                self.wake();
            }
            Event::Turn => self.turn(at),
        }
        true
    }

    fn complete(&mut self, input: Input) {
        let delay = self.rng.within(1, 200);
        self.at(delay, Event::Complete(input));
    }

    fn wake(&mut self) {
        let delay = self.rng.below(100);
        self.turn_at(self.now_us + delay);
    }

    fn turn_at(&mut self, at: u64) {
        let at = at.max(self.now_us);
        if self.next_turn.is_none_or(|turn| turn > at) {
            self.next_turn = Some(at);
            self.at(at - self.now_us, Event::Turn);
        }
    }

    fn answered(&mut self, to: Asker, answer: &Answer) {
        if let Answer::Presence { now, .. } = answer
            && let Some(turn) = self.oracle.presence.unwanted(to.edge, now)
        {
            self.send_unwatch(to.edge, now, turn);
        }
        self.send_over();
        let granted = matches!(answer, Answer::Subscribed(_));
        if let Some(key) = self.edges.answered(to, granted) {
            self.unsubscribe(to.edge, key);
        }
    }

    /// Tells homes whom edges watch no more since sessions were refused, or parted from somebody.
    fn send_over(&mut self) {
        for (edge, Home { key, user }, turn) in self.oracle.presence.take_over() {
            let from = Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE };
            self.carry(Request { from, key, user, ask: Ask::Presence(PresenceAsk::Unwatch { turn }) });
        }
    }

    fn client(&mut self, at: usize) {
        if self.left == 0 {
            return;
        }
        self.come(at);
        let user = self.sessions[at].user.clone();
        let mut chooser = Chooser {
            wall_ms: WALL_MS + self.now_us / 1_000 - self.wall_back_ms,
            rng: &mut self.rng,
            oracle: &self.oracle,
            places: &self.places,
            large: self.profile.large,
            fresh: &mut self.fresh,
        };
        let mut away = false;
        match chooser.deed(&user) {
            Deed::Ask(key, asks) => {
                for what in asks {
                    self.ask(at, &key, what);
                }
            }
            Deed::Unread(key) => {
                let (edge, session) = (self.sessions[at].edge, self.sessions[at].session);
                if self.edges.unread(edge, &key, session) {
                    self.unsubscribe(edge, key);
                }
            }
            Deed::Home(ask) => self.ask_home(at, ask),
            Deed::Watch(key, watched) => self.ask_watch(at, &key, watched),
            Deed::Reconnect => {
                self.reconnect(at);
                away = self.rng.chance(500);
            }
        }
        if self.rng.chance(5) {
            // Somebody sets the clock.
            self.wall_back_ms = self.rng.below(60_000);
        }
        let mut pause = self.rng.below(self.profile.pause_us_max);
        if away {
            self.go(at);
            pause += self.rng.below(self.profile.config.offline_after.as_micros() as u64 * 2);
        }
        self.at(pause, Event::Client(at));
    }

    /// A client is there, if it was not.
    fn come(&mut self, at: usize) {
        if !std::mem::replace(&mut self.sessions[at].here, true) {
            self.count_session(at, 1);
        }
    }

    /// It is not there any more.
    fn go(&mut self, at: usize) {
        if std::mem::replace(&mut self.sessions[at].here, false) {
            self.count_session(at, -1);
        }
    }

    fn reconnect(&mut self, at: usize) {
        let (edge, session) = (self.sessions[at].edge, self.sessions[at].session);
        for key in self.edges.closed(edge, session) {
            self.unsubscribe(edge, key);
        }
        let user = self.sessions[at].user.clone();
        if self.oracle.homes.closed(edge, &user, session) {
            self.send_home(
                Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE },
                user,
                HomeAsk::Unwatch,
            );
        }
        for (home, turn) in self.oracle.presence.closed(edge, session) {
            let from = Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE };
            let Home { key, user } = home;
            self.carry(Request { from, key, user, ask: Ask::Presence(PresenceAsk::Unwatch { turn }) });
        }
        // The new session is there before the old one is known to be gone, or after.
        let (first, second) = if self.rng.chance(300) { (1, -1) } else { (-1, 1) };
        if self.sessions[at].here {
            self.count_session(at, first);
            self.count_session(at, second);
        }
        self.sessions[at].session = self.next_session;
        self.next_session += 1;
    }

    /// A session begins or ends.
    fn count_session(&mut self, at: usize, change: i32) {
        let (edge, user) = (self.sessions[at].edge, self.sessions[at].user.clone());
        let from = Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE };
        let key = ConversationKey::home(&tenant("t"), &user);
        self.carry(Request { from, key, user, ask: Ask::Presence(PresenceAsk::Sessions(change)) });
    }

    /// A client watches a user by way of a conversation.
    fn ask_watch(&mut self, at: usize, key: &ConversationKey, user: UserId) {
        self.left = self.left.saturating_sub(1);
        let session = &mut self.sessions[at];
        let from = session.asker();
        let asker = session.user.clone();
        let home = Home { key: ConversationKey::home(&tenant("t"), &user), user };
        let turn = self.oracle.ask_to_watch(from, &home, key, &asker);
        let ask = Ask::Watch(Box::new(WatchAsk { home, turn }));
        self.carry(Request { from, key: key.clone(), user: asker, ask });
    }

    fn send_unwatch(&mut self, edge: EdgeId, now: &PresenceNow, turn: u64) {
        let Seen::User { user, .. } = &now.seen else { return };
        let from = Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE };
        let ask = Ask::Presence(PresenceAsk::Unwatch { turn });
        self.carry(Request { from, key: now.key.clone(), user: user.clone(), ask });
    }

    /// A client asks.
    pub(crate) fn ask(&mut self, at: usize, key: &ConversationKey, what: What) {
        self.left = self.left.saturating_sub(1);
        let session = &mut self.sessions[at];
        let from = session.asker();
        let user = session.user.clone();
        if matches!(what, What::Subscribe(_)) {
            self.edges.asked(from, key);
        }
        self.send(from, key, user, what);
    }

    /// A client asks for something of its lists.
    pub(crate) fn ask_home(&mut self, at: usize, ask: HomeAsk) {
        self.left = self.left.saturating_sub(1);
        let session = &mut self.sessions[at];
        let from = session.asker();
        let user = session.user.clone();
        let step = match &ask {
            HomeAsk::Decide(decision) => self.oracle.blocks.asked(&user, decision),
            _ => 0,
        };
        self.oracle.homes.ask(from, &user, ask.clone(), step);
        self.send_home(from, user, ask);
    }

    fn send_home(&mut self, from: Asker, user: UserId, ask: HomeAsk) {
        let key = ConversationKey::home(&tenant("t"), &user);
        self.carry(Request { from, key, user, ask: Ask::Home(ask) });
    }

    fn unsubscribe(&mut self, edge: EdgeId, key: ConversationKey) {
        let from = Asker { edge, session: 0, request: 0, ticket: 0, roles: Roles::NONE };
        let user = self.sessions[0].user.clone();
        self.send(from, &key, user, What::Unsubscribe);
    }

    fn send(&mut self, from: Asker, key: &ConversationKey, user: UserId, what: What) {
        let ask = what.to_ask();
        self.oracle.ask(from, key, &user, what);
        self.carry(Request { from, key: key.clone(), user, ask });
    }

    fn carry(&mut self, request: Request) {
        let delay = self.rng.within(1, 300);
        let arrives = self.arrives_us.entry(request.from.edge).or_default();
        *arrives = (*arrives).max(self.now_us + delay);
        let in_us = *arrives - self.now_us;
        self.at(in_us, Event::Request(request));
    }

    /// The router tells itself something. Now and then a notice gives way.
    fn tell(&mut self, message: RouterMessage) {
        let gives_way = matches!(message, RouterMessage::Member(_)) && self.left > 0 && self.rng.chance(50);
        let message = match message {
            _ if gives_way => RouterMessage::Missed,
            // An owner whose store does not answer; what is told of blocks needs none.
            RouterMessage::Surveyed(mut surveyed) if self.rng.chance(self.profile.faults.survey) => {
                surveyed.unavailable = true;
                RouterMessage::Surveyed(surveyed)
            }
            other => other,
        };
        let delay = self.rng.within(1, 300);
        self.told_us = self.told_us.max(self.now_us + delay);
        self.at(self.told_us - self.now_us, Event::Told(message));
    }

    /// From here on nobody writes, and a process that starts now knows what is too old.
    pub(crate) fn judge_beginnings(&mut self) {
        self.oracle.begins_ms = Some(self.now().wall_ms);
    }

    /// From here on nothing fails.
    pub(crate) fn heal(&mut self) {
        self.profile.faults = Faults::default();
        self.disk.inner().faults = Faults::default();
    }

    fn touch(&self) -> Touch {
        Touch::Owner { epoch: self.epoch }
    }

    /// The process is killed, the power cut, and another process starts on what is there.
    pub(crate) fn crash(&mut self) {
        self.note(|| "crash".into());
        self.disk.crash(&mut self.rng);
        self.epoch += 1;
        self.machine_seed = self.rng.next();
        self.machine = crate::desk::owner(&self.profile.config, self.epoch, self.machine_seed);
        self.inputs.clear();
        self.requests.clear();
        self.effects.clear();
        self.next_turn = None;
        self.events.clear();
        self.live = 0;
        self.edges = Edges::default();
        for session in &mut self.sessions {
            session.session = self.next_session;
            session.here = false;
            self.next_session += 1;
        }
        self.oracle.crash();
    }
}
