//! The world: virtual time, and everything that happens in it, one event after the other.

mod client;
mod deeds;
mod network;
mod server;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;
use std::time::Duration;

use switchyard_client::core::Call;
use switchyard_cluster::link::{Delivery, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::v1;
use switchyard_router::config::Cutoffs;
use switchyard_router::machine::{Input, ReadPlan, Ticket};
use switchyard_store::Batch;

use crate::device::Device;
use crate::disk::Disk;
use crate::oracle::Oracle;
use crate::places;
use crate::plan::{End, Plan, SECOND_US};
use crate::rng::Rng;
use crate::spoil::Spoil;
use crate::wire::Wire;
use server::Process;

/// When the clock of the wall starts.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;

/// Steps after which a run is taken to go round in circles.
const STEPS_MAX: u64 = 300_000;

/// How long after the trouble everything must have come to rest: silence of two heartbeats and a half, the longest
/// back-off, and the longest wait for an answer, some of them twice.
const CALM_US: u64 = 300 * SECOND_US;

/// Within this time SDKs have said all marks, also those that were refused for now, and owners have stored them.
const MARKS_SAID_US: u64 = 6 * SECOND_US;

/// Within this time everybody is told of those who came and went for good, however slowly they read.
const TOLD_US: u64 = 20 * SECOND_US;

/// How often it is looked whether everything has come to rest.
const LOOK_US: u64 = SECOND_US / 4;

/// What happens in a server process; forgotten when it ends.
#[derive(Debug)]
pub(crate) enum Inside {
    /// A door takes its turn.
    Door(usize),
    /// The owner takes its turn.
    Turn,
    Requests(usize, Vec<Request>),
    Deliveries(usize, Vec<Delivery>),
    /// The store does what it was asked.
    Mutation(u64),
    /// A barrier ends.
    Confirm(Batch),
    Load(ConversationKey, Cutoffs),
    Read(ConversationKey, Box<Ticket>, ReadPlan),
    Decoy(ConversationKey, Asker),
    LoadHome(switchyard_cluster::party::Home, bool),
    LoadSeen(switchyard_cluster::party::Home, u64, u64),
    KeepRoles(Vec<switchyard_router::machine::ToldRoles>),
    /// A completion arrives.
    Complete(Input),
}

/// Something that happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    /// In the process of this number.
    Inside(u64, Inside),
    /// A device's core wanted to be woken.
    Wake(usize, u64),
    /// A device's application does something.
    Deed(usize),
    /// A device hears of a new conversation.
    Join(usize, usize),
    /// A device's application takes its events.
    Take(usize, u64),
    /// A device's token provider answers.
    Token(usize, u64),
    /// A connection is made, or is not.
    Reach(u64),
    /// Bytes arrive at the server, or the end of them.
    ToServer(u64),
    /// The client's end takes what has come.
    ToClient(u64),
    Cut(u64),
    /// An end learns that the connection is gone.
    ResetClient(u64),
    ResetServer(u64),
    End(End),
    RoleEnds(usize),
    Start,
    Heal,
}

/// One run.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) disk: Arc<Disk>,
    pub(crate) oracle: Oracle,
    pub(crate) devices: Vec<Device>,
    /// Conversations that the applications know of: word of them goes around outside of the server.
    pub(crate) places: Vec<String>,
    process: Option<Process>,
    /// The number of the process that runs or ran last.
    life: u64,
    wires: BTreeMap<u64, Wire>,
    next_wire: u64,
    now_us: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    healed: bool,
    /// Nothing happens any more: answers are of the last moment.
    resting: bool,
    /// Everybody was told to go: nobody minds what is not answered.
    leaving: bool,
    steps: u64,
    /// What was met, for the test that everything is met.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) hash: Option<DefaultHasher>,
    pub(crate) verbose: bool,
    /// What is altered on the way, in a run that tries the judge.
    pub(crate) spoil: Option<Spoil>,
}

impl World {
    pub(crate) fn new(mut rng: Rng, plan: Plan, disk: Arc<Disk>) -> Self {
        crate::sockets::seed_chance(rng.fork());
        let devices = plan.devices.iter().enumerate().map(|(at, one)| Device::new(at, one, rng.next())).collect();
        Self {
            oracle: Oracle::new(Arc::clone(&disk), &plan.profile),
            devices,
            places: Vec::new(),
            process: None,
            life: 0,
            wires: BTreeMap::new(),
            next_wire: 0,
            now_us: 0,
            events: BTreeMap::new(),
            order: 0,
            healed: false,
            leaving: false,
            resting: false,
            steps: 0,
            seen: BTreeMap::new(),
            hash: None,
            verbose: false,
            spoil: None,
            rng,
            plan,
            disk,
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono: self.mono(), wall_ms: WALL_MS + self.now_us / 1_000 }
    }

    pub(crate) fn mono(&self) -> Duration {
        Duration::from_micros(self.now_us)
    }

    pub(crate) fn at(&mut self, in_us: u64, event: Event) {
        self.order += 1;
        self.events.insert((self.now_us + in_us, self.order), event);
    }

    pub(crate) fn inside(&mut self, in_us: u64, event: Inside) {
        let life = self.life;
        self.at(in_us, Event::Inside(life, event));
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Whether something happens that happens once in `times` while there is trouble.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        !self.healed && times != u64::MAX && self.rng.below(times) == 0
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
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

    /// Goes on until everything has come to rest after the trouble, or should have.
    pub(crate) fn run(&mut self) {
        self.start();
        self.found();
        if self.plan.profile.old_rows > 0 {
            self.announce(places::old_key().conversation.to_string());
        }
        for (at, end) in std::mem::take(&mut self.plan.ends_us) {
            self.at(at, Event::End(end));
        }
        for (user, role) in self.plan.roles.iter().enumerate() {
            if ["SUPPORT", "ADMIN"].contains(role) {
                self.oracle.staff(&places::user(user), true);
            }
        }
        if let Some((user, at)) = self.plan.role_ends {
            self.at(at, Event::RoleEnds(user));
        }
        self.at(self.plan.trouble_us, Event::Heal);
        for device in 0..self.devices.len() {
            self.open(device);
            let pause = self.rng.below(self.plan.devices[device].deed_pause_us_max);
            self.at(pause, Event::Deed(device));
        }
        let mut look_us = self.plan.trouble_us + LOOK_US;
        let end_us = self.plan.trouble_us + CALM_US;
        while self.intact() {
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            self.now_us = at;
            self.steps += 1;
            self.happen(event);
            if at > look_us {
                look_us = at + LOOK_US;
                let Some(unrest) = self.unrest() else { break };
                if at > end_us {
                    self.oracle.violations.push(format!("no rest after {CALM_US} us: {unrest}"));
                    return;
                }
            }
        }
        if self.intact() {
            if let Some(unrest) = self.unrest() {
                self.oracle.violations.push(format!("nothing will happen any more: {unrest}"));
            }
            self.list_all();
            self.one_goes();
            self.finish();
        }
    }

    /// Everybody lists, and once more with all that there is to read and to count: the first has conversations loaded, which
    /// may write rows again that a crash took, and what was said of marks is stored meanwhile. Then all is what the rows say.
    fn list_all(&mut self) {
        for round in 0..2 {
            self.resting = round > 0;
            if self.resting {
                self.go_on_for(MARKS_SAID_US);
            }
            for device in 0..self.devices.len() {
                (self.devices[device].list, self.devices[device].archived) = (None, None);
                for archived in [false, true] {
                    self.call(device, Call::List(v1::List { limit: 100, archived, ..v1::List::default() }), None);
                }
                self.call(device, Call::Blocks(v1::Blocks::default()), None);
                for name in if self.resting { self.places.clone() } else { Vec::new() } {
                    if self.oracle.is_member(&self.devices[device].user, &name) {
                        self.call(
                            device,
                            Call::Unread(v1::Unread { conversations: vec![name.clone()], all: false }),
                            None,
                        );
                        let history = v1::History { conversation: name, limit: 200, ..v1::History::default() };
                        self.call(device, Call::History(history), None);
                    }
                }
            }
            while self.intact() && self.devices.iter().any(|device| !device.waiting.is_empty()) {
                let Some(((at, _), event)) = self.events.pop_first() else { break };
                self.now_us = at;
                self.steps += 1;
                self.happen(event);
            }
        }
        for device in &self.devices {
            let inner = self.disk.inner();
            let rows = inner.members.iter().filter(|((_, user), (_, value))| *user == device.user && value.is_some());
            let rows: BTreeSet<String> = rows.map(|((key, _), _)| key.conversation.to_string()).collect();
            drop(inner);
            let user = &device.user;
            let rows: BTreeSet<String> = rows.into_iter().filter(|name| self.oracle.sees_listed(user, name)).collect();
            // One that has no connection just now gets no answer in time.
            let (Some(list), Some(archived)) = (&device.list, &device.archived) else { continue };
            if list.union(archived).cloned().collect::<BTreeSet<_>>() != rows {
                let problem = format!("{} lists {list:?} and {archived:?}, its rows are {rows:?}", device.name);
                self.oracle.violations.push(problem);
            }
            self.oracle.lists_are(&device.user, list, archived);
        }
    }

    /// One user goes, with all devices. Once that has lasted, those who watch know who is there and who is not.
    fn one_goes(&mut self) {
        let gone = self.rng.below(self.plan.users as u64) as usize;
        let own: Vec<usize> = (0..self.devices.len()).filter(|at| self.devices[*at].plan.user == gone).collect();
        self.leaving = true;
        own.iter().for_each(|device| self.close(*device));
        self.leaving = false;
        let offline_us = u64::try_from(self.plan.profile.config.offline_after.as_micros()).unwrap();
        // A door may learn of a connection that was cut before only by its silence.
        let silence_us = u64::try_from(self.plan.edge.timing.idle.as_micros()).unwrap();
        self.go_on_for(silence_us + offline_us + TOLD_US);
        let long_ago = self.mono().saturating_sub(Duration::from_micros(TOLD_US));
        let stays = |device: &Device| device.online_since.is_some_and(|since| since < long_ago);
        for watcher in self.devices.iter().filter(|device| device.plan.user != gone && stays(device)) {
            for (other, watched) in &watcher.watched {
                let (other, mut there) = (crate::timeline::user(other), None);
                if other == places::user(gone) {
                    there = Some(false);
                } else if self.devices.iter().any(|device| device.user == other && stays(device)) {
                    there = Some(true);
                }
                if let Some(there) = there {
                    self.oracle.presence_is(&watcher.user, &other, watched, there);
                    *self.seen.entry("it is known who is there").or_default() += 1;
                }
            }
        }
    }

    /// Lets time pass.
    fn go_on_for(&mut self, us: u64) {
        let end_us = self.now_us + us;
        while self.intact()
            && let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end_us
        {
            let ((at, _), event) = entry.remove_entry();
            self.now_us = at;
            self.steps += 1;
            self.happen(event);
        }
        self.now_us = end_us;
    }

    /// Everybody goes, and nothing is left in the process.
    fn finish(&mut self) {
        self.oracle.finish();
        self.note(|| "all go".into());
        self.leaving = true;
        for device in 0..self.devices.len() {
            self.close(device);
        }
        // An owner looks twice before it lets a conversation go.
        let patience =
            self.plan.profile.config.idle_after * 2 + self.plan.edge.timing.idle * 3 + Duration::from_secs(10);
        let end_us = self.now_us + u64::try_from(patience.as_micros()).unwrap();
        while self.intact() {
            let Some(((at, _), event)) = self.events.pop_first() else { break };
            if at > end_us {
                break;
            }
            self.now_us = at;
            self.steps += 1;
            self.happen(event);
        }
        self.note(|| "all have gone".into());
        if let Some(left) = self.left_behind() {
            self.oracle.violations.push(left);
        }
    }

    fn intact(&mut self) -> bool {
        let mut found = std::mem::take(&mut self.disk.inner().violations);
        self.oracle.violations.append(&mut found);
        if self.steps > STEPS_MAX {
            self.oracle.violations.push("it goes round in circles".into());
        }
        self.oracle.violations.is_empty()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Inside(life, inside) => {
                if life == self.life && self.process.is_some() {
                    self.inside_happens(inside);
                }
            }
            Event::Wake(device, start) => self.wake(device, start),
            Event::Deed(device) => self.deed(device),
            Event::Join(device, place) => self.join(device, place),
            Event::Take(device, start) => self.take_events(device, start),
            Event::Token(device, start) => self.token(device, start),
            Event::Reach(wire) => self.reach(wire),
            Event::ToServer(wire) => self.arrive_at_server(wire),
            Event::ToClient(wire) => self.arrive_at_client(wire),
            Event::Cut(wire) => self.cut(wire),
            Event::ResetClient(wire) => self.reset_client(wire),
            Event::ResetServer(wire) => self.reset_server(wire),
            Event::End(end) => self.end(end),
            Event::RoleEnds(user) => {
                self.saw("a role ends");
                self.oracle.staff(&places::user(user), false);
            }
            Event::Start => self.start(),
            Event::Heal => self.heal(),
        }
    }

    /// From here on nothing fails, and everybody says a last word.
    fn heal(&mut self) {
        self.note(|| "healed".into());
        self.healed = true;
        self.plan.profile.faults = crate::profile::Faults::default();
        self.plan.profile.slow_one_in = u64::MAX;
        self.disk.inner().faults = crate::profile::Faults::default();
        for wire in self.wires.values_mut() {
            wire.stalled_until = 0;
        }
        if self.process.is_none() {
            self.start();
        }
        for device in 0..self.devices.len() {
            self.last_words(device);
        }
    }

    /// Why not everything is at rest.
    fn unrest(&mut self) -> Option<String> {
        if !self.healed {
            return Some("there is trouble".into());
        }
        for device in &self.devices {
            if let Some(unrest) = device.unrest() {
                return Some(unrest);
            }
            let staff = self.oracle.is_staff(&device.user);
            if device
                .wire
                .and_then(|wire| self.wires.get(&wire))
                .is_some_and(|wire| wire.upgraded && wire.staff != staff)
            {
                return Some(format!("{} has another role by now", device.name));
            }
            for (name, seen) in device.reading() {
                if let Some(unrest) = self.oracle.unrest(&device.user, name, seen) {
                    return Some(format!("{} {unrest}", device.name));
                }
            }
        }
        if let Some(unrest) = self.misread() {
            return Some(unrest);
        }
        let busy = self.process.as_ref().is_none_or(|process| !process.machine.at_rest());
        busy.then(|| "the owner is busy".into())
    }
}
