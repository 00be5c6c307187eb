//! The world: what happens when, and to whom.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{Arguments, Write as _};
use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::fast::FixedState;
use switchyard_cluster::ownership::{Call, Heartbeat, Probed, Sight};
use switchyard_cluster::ownership::{Event, Ownership};
use switchyard_protocol::owner::{Cell, Incarnation};
use switchyard_protocol::shard::Shard;

use super::edges::{EDGES, Edges, Told};
use super::judge::Judge;
use super::places::{Input, Place, Process};
use super::plan::{MS, PLACES, Plan, SECOND, Time};
use super::replicas::{Replicated, Write};
use super::requests::{Asker, RouterRead, RowsRead};
use super::rng::Rng;
use super::rules::Removed;
use super::store::{Reply, Store};
use super::tables::{Decided, Tables};
use super::tasks::Tasks;

/// The shards of the conversations: some share a cell.
pub(crate) const SHARDS_USED: [u16; 4] = [0, 1, 70, 100];

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A process starts at this place.
    Start(usize),
    /// It is woken.
    Wake { place: usize, process: u64 },
    /// Something comes to it.
    Comes { place: usize, process: u64, input: Input },
    /// It goes on; perhaps with a clock that stood still.
    Resume { place: usize, stood_still: Time },
    /// A transaction is carried out.
    Transact { call: Rc<Call>, by: Option<Asker> },
    /// The row of a fenced router is deleted, without the rule that keeps it.
    Forgets(Incarnation),
    /// A replica learns what was decided.
    Learns { decided: Decided, replica: usize },
    /// A read at one moment.
    Read { call: Rc<Call>, by: Asker },
    /// Half a fence read.
    HalfRead { read: u64, replica: usize },
    /// A write comes to a replica; who waits for it is told.
    WriteArrives { replica: usize, conversation: usize, write: Rc<Write>, by: Asker },
    /// Half a read of rows.
    HalfRows { read: u64, replica: usize },
    /// A client does something.
    Client { conversation: usize },
    /// An edge asks.
    EdgeLooks { edge: usize, conversation: usize },
    /// It is told something.
    EdgeHears { edge: usize, conversation: usize, told: Told },
    /// A fault begins.
    Fault(usize),
    /// A process that drains has had its time.
    DrainDeadline { place: usize, process: u64, start_after: Time },
    /// Faults end.
    Calm,
}

/// See the module.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    pub(crate) removed: Option<Removed>,
    pub(crate) places: Vec<Place>,
    pub(crate) judge: Judge,
    pub(crate) edges: Edges,
    pub(crate) tables: Tables,
    pub(crate) rows: Vec<Replicated>,
    pub(crate) redis_gone_until: Time,
    pub(crate) heartbeats: Vec<Heartbeat>,
    /// Of each conversation the messages that were ever sent, and how many rows there were then.
    pub(crate) messages: Vec<Vec<usize>>,
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) router_reads: BTreeMap<u64, RouterRead>,
    pub(crate) row_reads: BTreeMap<u64, RowsRead>,
    numbers: u64,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    trace: Trace,
}

/// What is made of all that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tracing {
    Off,
    Hash,
    Print,
}

struct Trace {
    tracing: Tracing,
    hash: u64,
    line: String,
}

impl World {
    pub(crate) fn new(seed: u64, removed: Option<Removed>, tracing: Tracing) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng, removed);
        let age_max = plan.config.fence_age_max.as_micros() as Time;
        let mut world = Self {
            now: 0,
            rng,
            plan,
            removed,
            places: (0..PLACES).map(|_| Place::default()).collect(),
            judge: Judge::new(SHARDS_USED.len(), age_max),
            edges: Edges::new(Rng::new(!seed)),
            tables: Tables::new(Removed::rules_of_store(removed)),
            rows: vec![Replicated::default(); SHARDS_USED.len()],
            redis_gone_until: 0,
            heartbeats: Vec::new(),
            messages: vec![Vec::new(); SHARDS_USED.len()],
            seen: BTreeMap::new(),
            router_reads: BTreeMap::new(),
            row_reads: BTreeMap::new(),
            numbers: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            trace: Trace { tracing, hash: seed, line: String::new() },
        };
        let plan = format!("{:?}", world.plan);
        world.tell(format_args!("{plan}"));
        for place in 0..PLACES {
            let at = world.rng.below(2) * world.rng.below(world.plan.calm_at / 13);
            world.at(at, Happening::Start(place));
            if world.plan.config.alone {
                // Later ones, and some of them together.
                let again = world.rng.below(3) * world.plan.calm_at / 3;
                let later = world.rng.below(2) * world.rng.below(SECOND);
                world.at(again + later, Happening::Start(place));
            }
        }
        for fault in 0..world.plan.faults.len() {
            world.at(world.plan.faults[fault].0, Happening::Fault(fault));
        }
        world.at(world.plan.calm_at, Happening::Calm);
        for conversation in 0..SHARDS_USED.len() {
            world.at(SECOND, Happening::Client { conversation });
            for edge in 0..EDGES {
                world.at(SECOND, Happening::EdgeLooks { edge, conversation });
            }
        }
        world
    }

    /// Something to count.
    pub(crate) fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn hash(&self) -> u64 {
        self.trace.hash
    }

    pub(crate) fn is_traced(&self) -> bool {
        self.trace.tracing != Tracing::Off
    }

    /// A line of the trace.
    pub(crate) fn tell(&mut self, what: Arguments<'_>) {
        let Trace { tracing, hash, line } = &mut self.trace;
        if *tracing == Tracing::Off {
            return;
        }
        line.clear();
        let _ = write!(line, "{:>10.3} {what}", self.now as f64 / MS as f64);
        *hash = FixedState::with_seed(*hash).hash_one(&line);
        if *tracing == Tracing::Print {
            println!("{line}");
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn at(&mut self, at: Time, what: Happening) {
        let number = self.number();
        self.queue.push(Reverse((at.max(self.now), number)));
        self.happenings.insert(number, what);
    }

    pub(crate) fn after(&mut self, time: Time, what: Happening) {
        self.at(self.now + time, what);
    }

    pub(crate) fn latency(&mut self) -> Time {
        self.plan.latency(&mut self.rng)
    }

    /// Two of the three.
    pub(crate) fn quorum(&mut self) -> [usize; 2] {
        *self.rng.pick(&[[0, 1], [0, 2], [1, 2], [1, 0], [2, 0], [2, 1]])
    }

    /// Something comes to a process after a while.
    pub(crate) fn bring(&mut self, after: Time, place: usize, process: u64, input: Input) {
        self.after(after, Happening::Comes { place, process, input });
    }

    /// Runs to the end, or to the first promise that breaks.
    pub(crate) fn run(&mut self) {
        let until = self.plan.end_at;
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > until || !self.judge.broken.is_empty() {
                return;
            }
            self.now = at;
            let what = self.happenings.remove(&number).expect("each happens once");
            if self.is_traced() && !matches!(what, Happening::Wake { .. }) {
                let line = format!("{what:?}");
                self.tell(format_args!("{line}"));
            }
            self.happen(what);
            (0..PLACES).for_each(|place| self.go_on(place));
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Start(place) => self.start(place),
            Happening::Wake { place, process } => self.wake(place, process),
            Happening::Comes { place, process, input } => self.comes(place, process, input),
            Happening::Resume { place, stood_still } => self.resume(place, stood_still),
            Happening::Transact { call, by } => self.transact(&call, by),
            Happening::Forgets(incarnation) => {
                let quorum = self.quorum();
                let decided = self.tables.forget(incarnation, quorum);
                (0..3).for_each(|replica| self.tables.learn(decided, replica));
            }
            Happening::Learns { decided, replica } => self.tables.learn(decided, replica),
            Happening::Read { call, by } => {
                let quorum = self.quorum();
                let answer = self.tables.read(&call, quorum);
                let after = self.latency();
                self.reply(after, by, Reply::Owners(answer));
            }
            Happening::HalfRead { read, replica } => self.half_read(read, replica),
            Happening::WriteArrives { replica, conversation, write, by } => {
                self.write_arrives(replica, conversation, &write, by);
            }
            Happening::HalfRows { read, replica } => self.half_rows(read, replica),
            Happening::Client { conversation } => self.client(conversation),
            Happening::EdgeLooks { edge, conversation } => self.edge_looks(edge, conversation),
            Happening::EdgeHears { edge, conversation, told } => self.edge_hears(edge, conversation, told),
            Happening::Fault(number) => self.fault(number),
            Happening::DrainDeadline { place, process, start_after } => {
                self.drain_deadline(place, process, start_after);
            }
            Happening::Calm => {
                self.plan.calm();
                self.edges.lost = 0;
            }
        }
    }

    fn start(&mut self, place: usize) {
        if self.places[place].process.is_some() {
            return;
        }
        let (number, seed) = (self.number(), self.rng.next());
        let machine = Ownership::new(self.plan.config.clone(), format!("place-{place}:1"), seed);
        let machine = machine.without(self.removed.and_then(Removed::code)).of_cells(self.plan.cells);
        self.places[place].inbox.clear();
        self.places[place].process = Some(Process {
            number,
            machine,
            sight: Sight::new(self.plan.config.fence_age_max).without(self.removed.and_then(Removed::code)),
            wake_at: Time::MAX,
            conversations: BTreeMap::new(),
            stopping: BTreeMap::new(),
            tasks: Tasks::default(),
            store: Store::new(self.plan.sizes, Removed::rules_of_store(self.removed)),
            had_all: false,
            serves: false,
            writes: BTreeMap::new(),
            barriers: BTreeMap::new(),
            live_since: 0,
            start_after: None,
        });
        self.see("starts");
        self.machine(place, Event::Tick);
    }

    /// A probe goes to whoever is at that address.
    pub(crate) fn probe(&mut self, from: usize, incarnation: Incarnation, address: &str) {
        let to = (0..PLACES).find(|place| address == format!("place-{place}:1"));
        let is_cut = |place: usize| self.now < self.places[place].peers_cut_until;
        let answers = to.filter(|to| !is_cut(from) && !is_cut(*to) && !self.places[*to].paused);
        let process = answers.and_then(|to| self.places[to].process.as_ref());
        let who = process.map(|process| process.machine.incarnation());
        let (after, probed) = match who {
            Some(who) => (2 * self.latency(), Probed::Answered(who)),
            None => (self.plan.probe_max, Probed::Failed),
        };
        let Some(asker) = &self.places[from].process else { return };
        let asker = asker.number;
        self.bring(after, from, asker, Input::Machine(Event::Probed { incarnation, probed }));
    }

    /// A heartbeat goes to all others, unless Redis thinks otherwise.
    pub(crate) fn heartbeat(&mut self, from: usize, heartbeat: Heartbeat) {
        if self.plan.config.alone {
            return;
        }
        let gone = |world: &Self, place: usize| {
            world.now < world.redis_gone_until || world.now < world.places[place].redis_cut_until
        };
        let reachable = !gone(self, from);
        let number = self.places[from].process.as_ref().map_or(0, |process| process.number);
        self.bring(0, from, number, Input::Machine(Event::Redis { reachable }));
        if !reachable {
            return;
        }
        self.heartbeats.push(heartbeat.clone());
        for to in (0..PLACES).filter(|to| *to != from) {
            if !gone(self, to) && !self.rng.chance(self.plan.redis_drops) {
                self.send_heartbeat(to, heartbeat.clone());
            }
        }
    }

    pub(crate) fn send_heartbeat(&mut self, to: usize, heartbeat: Heartbeat) {
        let after = self.latency();
        let Some(process) = &self.places[to].process else { return };
        let process = process.number;
        self.bring(after, to, process, Input::Machine(Event::Heartbeat(heartbeat)));
    }

    /// One router tells another that it gave it shards.
    pub(crate) fn tell_given(&mut self, from: usize, incarnation: Incarnation, cell: Cell) {
        let is_it = |place: &Place| {
            let process = place.process.as_ref();
            process.is_some_and(|process| process.machine.incarnation() == incarnation)
        };
        let Some(to) = self.places.iter().position(is_it) else { return };
        let is_cut = [from, to].iter().any(|place| self.now < self.places[*place].peers_cut_until);
        if is_cut || self.rng.chance(self.plan.lost) {
            return;
        }
        let after = self.latency();
        let process = self.places[to].process.as_ref().map_or(0, |process| process.number);
        self.bring(after, to, process, Input::Machine(Event::Given(cell)));
    }
}

/// The shard of a conversation.
pub(crate) fn shard_of(conversation: usize) -> Shard {
    Shard::new(SHARDS_USED[conversation]).expect("below 4,096")
}
