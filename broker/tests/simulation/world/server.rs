//! A server process: its doors and the owner of all conversations, the links between them, and its ends: told to go, or
//! killed with everything that only it knew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use switchyard_cluster::link::{Delivery, Request};
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::routers::RouterMessage;
use switchyard_edge::auth::{AuthConfig, Secret, SharedVerifier, Verifier};
use switchyard_protocol::owner::Epoch;
use switchyard_router::machine::{Effect, Held, Input, Machine};

use super::{Event, Inside, World};
use crate::device::SECRET;
use crate::door::{Door, Drain, Ready, Shared};
use crate::link::{Link, Ways};
use crate::places;
use crate::plan::{End, SECOND_US};
use crate::sockets::TcpListener;

/// A door with what lies before and behind it.
pub(crate) struct Entrance {
    pub(crate) door: Door<Link>,
    link: Link,
    pub(crate) listener: TcpListener,
    pub(crate) newcomers: bool,
    /// Connections whose sockets have become ready, and whether for writing.
    pub(crate) ready: BTreeMap<u64, bool>,
    next_turn: Option<u64>,
    requests_at: u64,
    deliveries_at: u64,
}

/// See the module.
pub(crate) struct Process {
    pub(crate) machine: Machine,
    pub(super) machine_seed: u64,
    shared: Arc<Shared>,
    pub(crate) doors: Vec<Entrance>,
    pub(crate) listening: bool,
    pub(super) inputs: Vec<Input>,
    requests: VecDeque<(usize, Request)>,
    pub(super) effects: Vec<Effect>,
    pub(super) next_turn: Option<u64>,
}

impl World {
    /// A process starts on what is on the disk.
    pub(super) fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.note(|| "start".into());
        self.life += 1;
        let verifier = Verifier::new(&AuthConfig::development(Secret::new(SECRET))).unwrap();
        let shared = Shared::new(self.plan.edge.clone(), Arc::new(SharedVerifier::new(verifier)));
        let doors = (0..self.plan.doors).map(|number| {
            let (link, listener) = (Link::default(), TcpListener::default());
            *link.0.borrow_mut() = Ways::new(self.plan.requests_max, self.plan.event_bytes_max);
            let door = Door::new(Arc::clone(&shared), EdgeId(number), listener.clone(), link.clone());
            Entrance {
                door,
                link,
                listener,
                newcomers: false,
                ready: BTreeMap::new(),
                next_turn: None,
                requests_at: 0,
                deliveries_at: 0,
            }
        });
        let doors = doors.collect();
        let machine_seed = self.rng.next();
        let mut machine = Machine::new(self.plan.profile.config.clone(), self.life, machine_seed);
        let owned = Input::owns_all(Epoch::new(self.life).expect("there is such an epoch"));
        machine.handle(self.now(), owned, &mut Vec::new());
        self.process = Some(Process {
            machine,
            machine_seed,
            shared,
            doors,
            listening: true,
            inputs: Vec::new(),
            requests: VecDeque::new(),
            effects: Vec::new(),
            next_turn: None,
        });
    }

    pub(super) fn end(&mut self, end: End) {
        if self.healed || self.process.is_none() {
            return;
        }
        self.note(|| format!("{end:?}"));
        match end {
            End::Killed => {
                self.saw("the process is killed");
                self.process_ends();
            }
            End::Drained => {
                let after_max = self.rng.within(100_000, 2 * SECOND_US);
                let drain = Drain {
                    after_min: std::time::Duration::ZERO,
                    after_max: std::time::Duration::from_micros(after_max),
                    deadline: std::time::Duration::from_micros(after_max + 3 * SECOND_US),
                };
                let Some(process) = &mut self.process else { return };
                process.listening = false;
                process.shared.control().drain(drain);
                (0..process.doors.len()).for_each(|door| self.wake_door(door));
            }
        }
    }

    /// A process that was told to go ends when nobody is left and nothing is under way.
    fn end_when_empty(&mut self) {
        let Some(process) = &self.process else { return };
        let empty = process.doors.iter().all(|entrance| entrance.door.done());
        if !process.listening && empty && process.machine.at_rest() {
            self.note(|| "drained".into());
            self.saw("the process is drained");
            self.process_ends();
        }
    }

    fn process_ends(&mut self) {
        self.count_given_way();
        self.cut_all();
        self.process = None;
        self.disk.crash(&mut self.rng);
        self.oracle.crash();
        let pause = self.rng.within(10_000, 3 * SECOND_US);
        self.at(pause, Event::Start);
    }

    pub(super) fn inside_happens(&mut self, inside: Inside) {
        match inside {
            Inside::Door(door) => self.door_turn(door),
            Inside::Turn => self.turn(),
            Inside::Requests(door, requests) => {
                let Some(process) = &mut self.process else { return };
                process.requests.extend(requests.into_iter().map(|request| (door, request)));
                self.wake_owner();
            }
            Inside::Deliveries(door, deliveries) => {
                let Some(process) = &mut self.process else { return };
                process.doors[door].link.0.borrow_mut().deliveries.extend(deliveries);
                self.wake_door(door);
            }
            Inside::Complete(input) => {
                let Some(process) = &mut self.process else { return };
                process.inputs.push(input);
                self.wake_owner();
            }
            other => self.store_happens(other),
        }
        self.end_when_empty();
    }

    pub(super) fn wake_door(&mut self, door: usize) {
        let delay = self.rng.below(100);
        self.door_turn_at(door, self.now_us + delay);
    }

    fn door_turn_at(&mut self, door: usize, at: u64) {
        let now_us = self.now_us;
        let Some(process) = &mut self.process else { return };
        let entrance = &mut process.doors[door];
        let at = at.max(now_us);
        if entrance.next_turn.is_none_or(|turn| turn > at) {
            entrance.next_turn = Some(at);
            self.inside(at - now_us, Inside::Door(door));
        }
    }

    fn door_turn(&mut self, at: usize) {
        let (now, now_us) = (self.now(), self.now_us);
        let Some(process) = &mut self.process else { return };
        let entrance = &mut process.doors[at];
        if entrance.next_turn != Some(now_us) {
            return;
        }
        entrance.next_turn = None;
        let mut ready = Vec::new();
        for (id, writable) in std::mem::take(&mut entrance.ready) {
            let Some(wire) = self.wires.get(&id) else { continue };
            let pipe = wire.pipe.borrow();
            match pipe.slot {
                Some(slot) => ready.push(Ready {
                    slot,
                    readable: !pipe.arrived.is_empty(),
                    writable,
                    ended: pipe.ended || pipe.reset,
                }),
                // Not accepted yet: its readiness will be told when it is.
                None if !pipe.finished => drop(entrance.ready.insert(id, writable)),
                None => {}
            }
        }
        entrance.door.intake(std::mem::take(&mut entrance.newcomers), &ready, now);
        entrance.door.flush(now);
        let again = !entrance.ready.is_empty();
        let deadline = entrance.door.deadline();
        let mut ways = entrance.link.0.borrow_mut();
        let requests = std::mem::take(&mut ways.requests);
        ways.requests_waiting += requests.len();
        drop(ways);
        if !requests.is_empty() {
            let delay = self.rng.within(1, 300);
            entrance.requests_at = entrance.requests_at.max(now_us + delay);
            let in_us = entrance.requests_at - now_us;
            self.inside(in_us, Inside::Requests(at, requests));
        }
        if again {
            self.wake_door(at);
        }
        if let Some(deadline) = deadline {
            let due = u64::try_from(deadline.as_nanos().div_ceil(1_000)).unwrap();
            self.door_turn_at(at, due.max(now_us + 1));
        }
        self.carry(at);
    }

    /// What the owner tells itself, it hears in its next turn.
    pub(super) fn hear(&mut self, message: RouterMessage) {
        let Some(process) = &mut self.process else { return };
        process.inputs.push(Input::Told(message));
        self.wake_owner();
    }

    fn wake_owner(&mut self) {
        let delay = self.rng.below(100);
        self.turn_at(self.now_us + delay);
    }

    fn turn_at(&mut self, at: u64) {
        let now_us = self.now_us;
        let Some(process) = &mut self.process else { return };
        let at = at.max(now_us);
        if process.next_turn.is_none_or(|turn| turn > at) {
            process.next_turn = Some(at);
            self.inside(at - now_us, Inside::Turn);
        }
    }

    /// One turn of the owner, in the order of its driver: completions, requests, tick.
    fn turn(&mut self) {
        let (now, now_us) = (self.now(), self.now_us);
        let Some(process) = &mut self.process else { return };
        if process.next_turn != Some(now_us) {
            return;
        }
        process.next_turn = None;
        self.oracle.wall_ms = now.wall_ms;
        let mut inputs = std::mem::take(&mut process.inputs);
        for (door, request) in std::mem::take(&mut process.requests) {
            process.doors[door].link.0.borrow_mut().requests_waiting -= 1;
            inputs.push(Input::Request(request));
        }
        for input in inputs {
            self.note(|| format!("owner <- {input:?}"));
            if let Input::Committed { key, .. } = &input {
                self.disk.inner().told(key);
            }
            let Some(process) = &mut self.process else { return };
            process.machine.handle(now, input, &mut process.effects);
        }
        let Some(process) = &mut self.process else { return };
        process.machine.tick(now, &mut process.effects);
        let (effects, deadline) = (std::mem::take(&mut process.effects), process.machine.deadline());
        for effect in effects {
            self.note(|| format!("owner -> {effect:?}"));
            self.act(effect);
        }
        self.flush_links();
        if let Some(deadline) = deadline {
            let due = u64::try_from(deadline.as_nanos().div_ceil(1_000)).unwrap();
            self.turn_at(due.max(now_us + 1));
        }
    }

    pub(super) fn deliver(&mut self, edge: EdgeId, delivery: Delivery) {
        let Some(process) = &self.process else { return };
        process.doors[usize::from(edge.0)].link.0.borrow_mut().send(delivery);
    }

    fn flush_links(&mut self) {
        let now_us = self.now_us;
        for door in 0..usize::from(self.plan.doors) {
            let delay = self.rng.within(1, 300);
            let Some(process) = &mut self.process else { return };
            let entrance = &mut process.doors[door];
            let deliveries = entrance.link.0.borrow_mut().flush();
            if !deliveries.is_empty() {
                entrance.deliveries_at = entrance.deliveries_at.max(now_us + delay);
                let in_us = entrance.deliveries_at - now_us;
                self.inside(in_us, Inside::Deliveries(door, deliveries));
            }
        }
    }

    /// A connection that reads something else than its device does.
    pub(super) fn misread(&self) -> Option<String> {
        let process = self.process.as_ref()?;
        self.devices.iter().find_map(|device| {
            let wire = self.wires.get(&device.wire?).filter(|wire| wire.life == self.life && !wire.cut)?;
            let mut reads = process.doors[wire.door].door.reads(wire.pipe.borrow().slot?)?;
            reads.sort_unstable();
            let wanted = device.readings.keys().map(|name| places::key(name).conversation);
            let mut wanted: Vec<_> = wanted.collect();
            wanted.sort_unstable();
            (reads != wanted).then(|| format!("{} reads {wanted:?}, its session {reads:?}", device.name))
        })
    }

    fn count_given_way(&mut self) {
        let Some(process) = &self.process else { return };
        let links: u64 = process.doors.iter().map(|entrance| entrance.link.0.borrow().given_way).sum();
        let queues: u64 = process.doors.iter().map(|entrance| entrance.door.given_way()).sum();
        *self.seen.entry("an event gives way on a link").or_default() += links;
        *self.seen.entry("an event gives way in a queue").or_default() += queues;
    }

    /// What a process keeps although everybody has gone.
    pub(super) fn left_behind(&mut self) -> Option<String> {
        self.count_given_way();
        let process = self.process.as_ref()?;
        let held = process.machine.held();
        let doors: Vec<_> = process.doors.iter().map(|entrance| entrance.door.held()).collect();
        // Where the word that nobody reads any more found no room, the next event would remind of it.
        let told = process.doors.iter().all(|entrance| entrance.link.0.borrow().refused == 0);
        // Sessions are counted whatever found no room: what was not told is told later.
        // That nobody watches any more is not.
        let watched = self.seen.contains_key("somebody is watched");
        let counted = held.presence == 0 || watched && !told;
        let empty = (held == Held::default() || !told) && counted && doors.iter().all(|door| *door == (0, 0));
        (!empty).then(|| format!("left in memory: {held:?}, connections and readers {doors:?}, all was told: {told}"))
    }
}
