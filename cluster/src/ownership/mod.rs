//! Who owns which shard, as pure code: what happens goes in with the time, what is to be done comes out. It knows neither
//! store nor network nor clock, and follows the model in `tests/ownership/` rule by rule; [`Rule`] has their names.
//!
//! One value lives in each router process, for one incarnation. Whoever drives it carries out its effects and tells it what came
//! of them; the transactions are those of the store's `ownership` trait, one [`Call`] each.
//!
//! ```text
//! incarnation  the start: a row of its own                     fence       confirms what is stored; how fresh answers are
//! suspicion    whom it takes for dead                          fencing     fences others, until that is applied
//! sweep        looks for what was missed                       cells       the table as it was read; what it makes this router own
//! claims       what may be claimed of a cell                   moves       gives shards away
//! wish         who should have which shard                     shards      what each shard is to this router
//! ```
//!
//! **Invariant:** nothing here is believed of a shard but what the store said: of claims, that they were applied, or a read
//! made as a transaction. Heartbeats, probes and what other routers say are reasons to look.
//!
//! **Invariant:** nothing that is answered, in whatever order or however often, makes it panic.

mod calls;
mod cells;
mod claims;
pub mod config;
mod event;
mod fence;
mod fencing;
mod incarnation;
mod moves;
mod random;
mod rules;
mod shards;
mod sight;
mod suspicion;
mod sweep;
#[cfg(test)]
mod tests;
mod wish;

use std::time::Duration;

use switchyard_protocol::owner::{Incarnation, RouterRow};
use switchyard_protocol::shard::Shard;

use crate::now::Now;

use calls::{Calls, Pace, Purpose};
use cells::Cells;
use fence::Fence;
use fencing::Fencing;
use incarnation::Starting;
use random::Random;
use rules::Rules;
use shards::Shards;
use suspicion::Peers;
use sweep::Sweep;
use wish::Wish;

pub use config::Config;
pub use event::{Answer, Call, CallId, Effect, Event, Heartbeat, Level, Probed};
pub use rules::Rule;
pub use sight::Sight;

/// Where in its life the incarnation is.
#[derive(Debug)]
enum Phase {
    /// Its row is not known to be in the table.
    Starting { next: Starting, pace: Pace },
    /// It may own shards.
    Live,
    /// It is fenced, for good.
    Ended,
}

/// See the module.
#[derive(Debug)]
pub struct Ownership {
    config: Config,
    rules: Rules,
    random: Random,
    now: Now,
    own: RouterRow,
    phase: Phase,
    calls: Calls,
    fence: Fence,
    fencing: Fencing,
    peers: Peers,
    sweep: Sweep,
    cells: Cells,
    shards: Shards,
    /// Whether somebody else may have to get shards of this router; and among whom they were shared out last.
    rebalance: bool,
    balanced: Option<Wish>,
    draining: bool,
    beat: u64,
    beat_at: Duration,
    out: Vec<Effect>,
}

impl Ownership {
    /// An incarnation that is yet to start, of a router that others reach at this address (at most
    /// [`ROUTER_ADDRESS_BYTES_MAX`](switchyard_protocol::owner::ROUTER_ADDRESS_BYTES_MAX)). All chance comes from the seed, so
    /// each start needs one of its own. The first [`Event`], whatever it is, begins it.
    pub fn new(config: Config, address: String, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let own = incarnation::fresh_row(address, || random.next());
        let phase = Self::beginning(&config);
        Self {
            config,
            rules: Rules::default(),
            random,
            now: Now::default(),
            own,
            phase,
            calls: Calls::default(),
            fence: Fence::default(),
            fencing: Fencing::default(),
            peers: Peers::default(),
            sweep: Sweep::default(),
            cells: Cells::new(),
            shards: Shards::new(),
            rebalance: false,
            balanced: None,
            draining: false,
            beat: 0,
            beat_at: Duration::ZERO,
            out: Vec::new(),
        }
    }

    /// The same with one rule taken away, to see what breaks. For test builds alone.
    #[cfg(feature = "test-rules")]
    pub fn without(mut self, rule: Option<Rule>) -> Self {
        self.rules.without = rule;
        self
    }

    /// The same in a cluster of only so many cells, which takes less time to play. For test builds alone.
    #[cfg(feature = "test-rules")]
    pub fn of_cells(mut self, cells: usize) -> Self {
        self.cells.only(cells);
        self
    }

    /// Which incarnation this is. It may change until the start is done: what is asked by a probe is answered with this.
    pub fn incarnation(&self) -> Incarnation {
        self.own.incarnation
    }

    /// Whether it has started and is not known to be fenced.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// How many shards are its own, those that it is about to move among them.
    pub fn owned_count(&self) -> usize {
        self.shards.owned()
    }

    /// Whether there is no shard that is not its own.
    pub fn has_all(&self) -> bool {
        self.owned_count() == self.cells.shards()
    }

    /// When the last read of the own fence that said `live` began: how old an answer can be that is given now.
    pub fn fence_seen(&self) -> Option<Now> {
        self.fence.seen()
    }

    /// Whether a shard's intake is open: it is owned, and not about to be moved.
    pub fn takes_in(&self, shard: Shard) -> bool {
        matches!(self.shards.standing(shard), shards::Standing::Owned(_)) && self.is_live()
    }

    /// Something happened. What is to be done about it is added to the effects, in order.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        self.now = Now { mono: now.mono.max(self.now.mono), wall_ms: now.wall_ms };
        if !matches!(self.phase, Phase::Ended) {
            self.happened(event);
        }
        if !matches!(self.phase, Phase::Ended) {
            self.go_on();
        }
        effects.append(&mut self.out);
    }

    /// When [`Event::Tick`] is due, if nothing happens before; compared with [`Now::mono`].
    pub fn wakes_at(&self) -> Duration {
        match &self.phase {
            Phase::Starting { next: Starting::Answer, .. } | Phase::Ended => Duration::MAX,
            Phase::Starting { pace, .. } => pace.not_before(),
            Phase::Live => [
                self.fence_due(),
                self.beat_at,
                self.sweep.due(),
                self.probe_due(),
                self.fencing.due(),
                self.moves_due(),
                self.cells.due(),
            ]
            .into_iter()
            .min()
            .unwrap_or(Duration::MAX),
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Answered { call, answer } => {
                if let Some(purpose) = self.calls.end(call) {
                    self.answered(purpose, answer);
                }
            }
            Event::Heartbeat(heartbeat) => self.heard(heartbeat),
            Event::Redis { reachable } => self.redis(reachable),
            Event::Probed { incarnation, probed } => self.probed(incarnation, probed),
            Event::Unreachable(incarnation) => self.unreachable(incarnation),
            Event::Given(cell) => self.cells.want(cell, Level::Serial),
            Event::ShardStopped { shard, epoch } => self.stopped(shard, epoch),
            Event::Drain => self.draining = true,
        }
    }

    /// An answer of another form than its call's is as good as none.
    fn answered(&mut self, purpose: Purpose, answer: Answer) {
        match (purpose, answer) {
            (Purpose::ListStart, Answer::Routers(rows)) => self.start_listed(Some(rows)),
            (Purpose::ListStart, _) => self.start_listed(None),
            (Purpose::Insert, answer) => self.inserted(&answer),
            (Purpose::ReadStart, Answer::Router(row)) => self.start_read(Some(row)),
            (Purpose::ReadStart, _) => self.start_read(None),
            (Purpose::OwnFence { began }, Answer::Router(row)) => self.fence_read(began, Some(row)),
            (Purpose::OwnFence { began }, _) => self.fence_read(began, None),
            (Purpose::List, Answer::Routers(rows)) => self.swept(Some(rows)),
            (Purpose::List, _) => self.swept(None),
            (Purpose::ReadCell(cell, level), Answer::Cell(rows)) => self.cell_read(cell, level, Some(rows)),
            (Purpose::ReadCell(cell, level), _) => self.cell_read(cell, level, None),
            (Purpose::Claim(cell, claims), answer) => self.claimed(cell, &claims, &answer),
            (Purpose::Inspect(incarnation), Answer::Router(row)) => self.inspected(incarnation, Some(row)),
            (Purpose::Inspect(incarnation), _) => self.inspected(incarnation, None),
            (Purpose::Fence(incarnation), answer) => self.fence_answered(incarnation, &answer),
            (Purpose::InsertFenced(incarnation), answer) => self.fenced_inserted(incarnation, &answer),
        }
    }

    /// Does what is due.
    fn go_on(&mut self) {
        self.start();
        if !matches!(self.phase, Phase::Live) {
            return;
        }
        self.read_fence();
        self.beat();
        self.probe();
        self.sweep();
        self.check_moves();
        self.balance();
        self.drained();
        self.go_on_fencing();
        self.go_on_with_cells();
    }

    fn beat(&mut self) {
        if self.now.mono >= self.beat_at {
            self.beat_at = self.now.mono + self.config.heartbeat_every;
            self.beat += 1;
            let RouterRow { incarnation, address, .. } = self.own.clone();
            let heartbeat = Heartbeat { incarnation, address, beat: self.beat, draining: self.draining };
            self.out.push(Effect::Heartbeat(heartbeat));
        }
    }

    fn call(&mut self, purpose: Purpose, call: Call) {
        let id = self.calls.begin(purpose);
        self.out.push(Effect::Call { id, call });
    }

    /// The end: this incarnation does nothing any more.
    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.calls.clear();
        self.out.push(Effect::End);
    }
}
