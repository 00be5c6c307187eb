//! A user's device: the SDK's core, and an application that remembers what it asked for and how far it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchyard_client::core::{Call, Core, Ticket};
use switchyard_edge::auth::{Claims, mint};
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1;

use crate::places;
use crate::plan::DevicePlan;

/// What signs the simulation's tokens.
pub(crate) const SECRET: &[u8] = b"a secret of the simulation, thirty-two bytes and more";

/// What a ticket stands for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Call(Call, When),
    /// For events; which subscription of that conversation it was.
    Subscribe(String),
    SubscribeAll,
    Unsubscribe,
    Show,
    Typing,
    Mark,
    Watch(String),
    Unwatch,
}

/// Somebody whom an application watches.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// Through which conversation; their direct one, if none is named.
    pub(crate) through: Option<String>,
    /// Its newest number when that was asked, if both were in it then.
    pub(crate) from: Option<u64>,
    /// What it shows; nothing before the answer.
    pub(crate) online: Option<bool>,
}

/// When something was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    /// The highest number that anybody had been told of where it is about.
    pub(crate) low: u64,
    /// Where the judge's clock stood.
    pub(crate) step: u64,
    /// On which connection it went out, if it did at once.
    pub(crate) wire: Option<u64>,
}

/// See the module.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) user: UserId,
    pub(crate) plan: DevicePlan,
    pub(crate) core: Core,
    /// How often it was started.
    pub(crate) start: u64,
    pub(crate) wire: Option<u64>,
    pub(crate) wake_at: Option<Duration>,
    pub(crate) waiting: BTreeMap<Ticket, Asked>,
    /// By conversation, the number that is expected next; nothing until a subscription from now on is confirmed.
    pub(crate) readings: BTreeMap<String, Option<u64>>,
    /// Events that the application has not taken.
    pub(crate) queue: usize,
    pub(crate) taking: bool,
    pub(crate) deeds_left: u64,
    /// Messages that may have been stored, to be sent again under their ids.
    pub(crate) unsure: Vec<v1::Send>,
    /// The conversations of the last list, and of the last one of what is archived.
    pub(crate) list: Option<BTreeSet<String>>,
    pub(crate) archived: Option<BTreeSet<String>>,
    /// How far it has said since it was started that its user has read.
    pub(crate) marked: BTreeMap<String, u64>,
    /// Where it shows that somebody types.
    pub(crate) typing: BTreeMap<String, Vec<String>>,
    /// Whom it watches.
    pub(crate) watched: BTreeMap<String, Watched>,
    /// Since when it has had a session, if it has one.
    pub(crate) online_since: Option<Duration>,
    /// Whether its newest token says that its user is staff.
    pub(crate) staff_by_token: bool,
    next_ticket: u64,
    messages: u64,
}

impl Device {
    pub(crate) fn new(number: usize, plan: &DevicePlan, seed: u64) -> Self {
        let user = places::user(plan.user);
        Self {
            name: format!("{user}{number}"),
            user,
            plan: plan.clone(),
            core: Core::new(plan.settings(number), seed),
            start: 0,
            wire: None,
            wake_at: None,
            waiting: BTreeMap::new(),
            readings: BTreeMap::new(),
            queue: 0,
            taking: false,
            deeds_left: plan.deeds,
            unsure: Vec::new(),
            list: None,
            archived: None,
            marked: BTreeMap::new(),
            typing: BTreeMap::new(),
            watched: BTreeMap::new(),
            online_since: None,
            staff_by_token: false,
            next_ticket: 0,
            messages: 0,
        }
    }

    /// The application's process is killed and started again: only what it had read is known.
    pub(crate) fn restart(&mut self, number: usize, seed: u64) -> BTreeMap<Ticket, Asked> {
        self.core = Core::new(self.plan.settings(number), seed);
        self.start += 1;
        self.wake_at = None;
        self.queue = 0;
        self.taking = false;
        self.typing.clear();
        self.marked.clear();
        self.watched.clear();
        self.online_since = None;
        std::mem::take(&mut self.waiting)
    }

    pub(crate) fn ticket(&mut self, asked: Asked) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiting.insert(ticket, asked);
        ticket
    }

    /// An id and a body that no other message has.
    pub(crate) fn message(&mut self, len: usize) -> (String, String) {
        self.messages += 1;
        let id = format!("{}.{}", self.name, self.messages);
        let mut text = format!("text of {id}");
        text.extend(std::iter::repeat_n('.', len));
        (id, text)
    }

    /// It reads this conversation no more: whom it watched through that, it watches no more.
    pub(crate) fn reads_no_more(&mut self, name: &str) {
        self.typing.remove(name);
        self.watched.retain(|_, watched| watched.through.as_deref() != Some(name));
    }

    pub(crate) fn room(&self) -> usize {
        self.plan.events_max - self.queue
    }

    pub(crate) fn token(&mut self, ttl: Duration, now_ms: u64, role: &str, staff: bool) -> String {
        self.staff_by_token = staff;
        let roles = vec![role.to_owned()];
        mint(SECRET, &Claims { ttl, roles, ..Claims::for_user(self.user.clone()) }, now_ms).unwrap()
    }

    /// Why it is not at rest, but for what it reads.
    pub(crate) fn unrest(&self) -> Option<String> {
        let name = &self.name;
        if let Some((ticket, asked)) = self.waiting.first_key_value() {
            return Some(format!("{name} waits for {ticket:?}: {asked:?}"));
        }
        if self.core.pending() > 0 {
            return Some(format!("the SDK of {name} keeps {} requests", self.core.pending()));
        }
        if let Some((conversation, users)) = self.typing.first_key_value() {
            return Some(format!("{name} shows for ever that {users:?} type in {conversation}"));
        }
        None
    }

    /// What it reads, and how far it has come.
    pub(crate) fn reading(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        self.readings.iter().map(|(name, next)| (name.as_str(), *next))
    }
}
