//! What a seed decides beforehand: how slow and how faulty everything is, and what happens to whom, and when.

use std::time::Duration;

use switchyard_cluster::ownership::{Config, Rule};
use switchyard_protocol::owner::CELLS;
use switchyard_store::quorum::Sizes;

use super::replicas::BUCKET_ROWS;
use super::rng::Rng;
use super::rules::{Removed, StoreRule};

/// Microseconds.
pub(crate) type Time = u64;

pub(crate) const MS: Time = 1_000;
pub(crate) const SECOND: Time = 1_000 * MS;

/// Routers run at so many places.
pub(crate) const PLACES: usize = 3;

/// Something that happens to a place, or to all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The process does not run for so long. Its clocks go on.
    Pause { place: usize, time: Time },
    /// The machine does not: of its clocks, only that of the wall goes on.
    Suspend { place: usize, time: Time },
    /// The clock of the wall is set, by so many milliseconds.
    ClockJump { place: usize, by_ms: i64 },
    /// The store cannot be reached from there.
    CutStore { place: usize, time: Time },
    /// Nor Redis.
    CutRedis { place: usize, time: Time },
    /// Nor any other router, and it not by them.
    CutPeers { place: usize, time: Time },
    /// Neither can be reached, but the store can: it is taken for dead, and is not.
    CutOthers { place: usize, time: Time },
    /// Redis is gone for all.
    RedisGone { time: Time },
    /// Redis tells old heartbeats again.
    RedisRepeats,
    /// The process is killed; another one starts there later.
    Kill { place: usize, start_after: Time },
    /// It moves all its shards away, and ends; another one starts there later.
    Drain { place: usize, start_after: Time },
}

/// What a run is mostly about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A bit of everything.
    Mixed,
    /// Routers that are taken for dead and are not.
    Suspicion,
    /// Shards that are moved.
    Moves,
    /// Rows that reach few replicas.
    Rows,
    /// The same, of owners that come and go, and clients that send the same again and again: so that epochs leave different rows
    /// of one number behind, and the same message under different numbers.
    Orphans,
    /// Routers that want to be alone: each replaces all before it, and what was replaced stays away.
    Alone,
}

/// How slow and faulty things are. Chances are in a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    kind: Kind,
    pub(crate) config: Config,
    /// How many cells there are; conversations lie in the first two.
    pub(crate) cells: usize,
    /// Faults end here.
    pub(crate) calm_at: Time,
    /// By now everything must be served again.
    pub(crate) end_at: Time,
    /// A probe that fails takes so long.
    pub(crate) probe_max: Time,
    /// The longest way of a request or an answer, mostly.
    pub(crate) latency_max: Time,
    /// So many take up to a second.
    pub(crate) slow: u64,
    /// So many answers to fence reads of the store do.
    pub(crate) slow_fence: u64,
    /// Calls that are never carried out.
    pub(crate) lost: u64,
    /// Those that are, but nobody is told.
    pub(crate) untold: u64,
    /// Those that are carried out up to eight seconds late.
    pub(crate) late: u64,
    /// Those that are carried out twice.
    pub(crate) twice: u64,
    /// Times that a replica misses a transaction: for seconds, or until it is repaired.
    pub(crate) missed: u64,
    /// The same of rows.
    pub(crate) rows_missed: u64,
    /// Messages that Redis drops.
    pub(crate) redis_drops: u64,
    /// After so long nothing is known of a write; what fails is tried again after as long.
    pub(crate) repeat_after: Time,
    /// Time between two things that clients do in a conversation.
    pub(crate) client_every: Time,
    /// So many messages are not sent for the first time.
    pub(crate) sent_again: u64,
    /// So many of those things are erasures.
    pub(crate) erases: u64,
    /// And so many have old rows dropped.
    pub(crate) trims: u64,
    /// So many let the conversation leave memory.
    pub(crate) evicts: u64,
    /// So many loads know more than is noted.
    pub(crate) records: u64,
    /// How much goes together, and how often a hint is written.
    pub(crate) sizes: Sizes,
    pub(crate) faults: Vec<(Time, Fault)>,
}

/// The times of the real thing, so many times as fast: stories of takeovers are as long, and cost less to play.
fn config(faster: u32) -> Config {
    let real = Config::default();
    Config {
        fence_every: real.fence_every / faster,
        fence_age_max: real.fence_age_max / faster,
        heartbeat_every: real.heartbeat_every / faster,
        silence_max: real.silence_max / faster,
        probe_every: real.probe_every / faster,
        sweep_every: real.sweep_every / faster,
        settle: real.settle / faster,
        newcomer: real.newcomer / faster,
        finish_max: real.finish_max / faster,
        move_max: real.move_max / faster,
        ..real
    }
}

impl Plan {
    /// Without a rule, a run is mostly about what that rule is for.
    pub(crate) fn new(rng: &mut Rng, removed: Option<Removed>) -> Self {
        let any = *rng.pick(&[Kind::Mixed, Kind::Suspicion, Kind::Moves, Kind::Rows, Kind::Orphans, Kind::Alone]);
        let any = if any == Kind::Alone && removed.is_some() { Kind::Mixed } else { any };
        use Removed::{Code, Store};
        let kind = match removed {
            Some(
                Code(Rule::FenceAtQuorum)
                | Store(
                    StoreRule::BarrierAtQuorum
                    | StoreRule::BarrierAfterWrite
                    | StoreRule::RewriteBarrier
                    | StoreRule::DropBarrier,
                )
                | Removed::EraseBarrier
                | Removed::FenceIsFinal,
            ) => Kind::Suspicion,
            Some(Code(Rule::MoveStopsAcks | Rule::MoveStopsAnswers | Rule::MoveTakesNewEpoch)) => Kind::Moves,
            Some(Store(StoreRule::Rewrite | StoreRule::RewriteRaisesTimestamp | StoreRule::RewriteKeepsBatch)) => {
                Kind::Rows
            }
            Some(
                Store(
                    StoreRule::AdoptOnce
                    | StoreRule::BaseRow
                    | StoreRule::WholeBatches
                    | StoreRule::HintByOwner
                    | StoreRule::DropByOwner,
                )
                | Removed::OneInFlight,
            ) => Kind::Orphans,
            _ => any,
        };
        let faster = if kind == Kind::Mixed && rng.chance(400) { 1 } else { 8 };
        let is_whole = rng.chance(10);
        let bad = if kind == Kind::Mixed { rng.below(4) } else { 3 };
        let rate = |rng: &mut Rng, most: u64| rng.below(most * bad / 3 + 1);
        let mut plan = Self {
            kind,
            config: config(faster),
            cells: if is_whole { CELLS.into() } else { 2 },
            calm_at: if faster == 1 { 40 * SECOND } else { 12 * SECOND },
            end_at: if faster == 1 { 75 * SECOND } else { 24 * SECOND },
            probe_max: SECOND / Time::from(faster),
            latency_max: *rng.pick(&[2, 10, 10, 50]) * MS,
            slow: rate(rng, 80),
            slow_fence: 0,
            lost: rate(rng, 40),
            untold: rate(rng, 60),
            late: rate(rng, 60),
            twice: rate(rng, 60),
            missed: rate(rng, 150),
            rows_missed: rate(rng, 150),
            redis_drops: rate(rng, 200),
            repeat_after: rng.within(20, 600) * MS,
            client_every: rng.within(40, 400) * MS,
            sent_again: 300,
            erases: rng.within(0, 150),
            trims: rng.within(0, 150),
            evicts: rng.within(0, 80),
            records: 300,
            sizes: Sizes {
                bucket_rows: BUCKET_ROWS,
                page_rows: rng.within(1, 4),
                part_bytes: *rng.pick(&[1, 1, 60, 10_000]),
                note_every: *rng.pick(&[16, 3, 3, 2, 1]),
                given_rows: rng.within(1, 8) as usize,
                given_bytes: 10_000,
            },
            faults: Vec::new(),
        };
        match kind {
            Kind::Mixed => {}
            Kind::Alone => plan.config.alone = true,
            Kind::Suspicion => {
                // One is taken for dead by another one alone, which is cut off from it and misses its heartbeats.
                (plan.missed, plan.redis_drops) = (rng.within(100, 500), rng.within(0, 900));
                plan.config.sweep_every /= rng.within(1, 6) as u32;
                // Fences are read seldom, and takeovers are quick: what one replica alone knows is missed more often.
                let seldom = rng.within(1, 8) as u32;
                plan.config.fence_every *= seldom;
                plan.config.fence_age_max *= seldom;
                (plan.latency_max, plan.client_every) = (rng.within(1, 10) * MS, rng.within(40, 200) * MS);
                (plan.slow, plan.rows_missed) = (plan.slow / 4, plan.rows_missed / 4);
            }
            Kind::Moves | Kind::Orphans => {
                (plan.untold, plan.late) = (rng.within(0, 600), rng.within(0, 300));
                plan.rows_missed = rng.within(0, 500);
                plan.config.sweep_every /= rng.within(1, 8) as u32;
                plan.config.newcomer /= 4;
                plan.config.move_max /= rng.within(1, 4) as u32;
                plan.config.finish_max /= rng.within(1, 8) as u32;
                // What is given up before it can be done is tried for ever.
                plan.config.move_max = plan.config.move_max.max(2 * plan.config.finish_max);
            }
            Kind::Rows => plan.rows_missed = rng.within(200, 700),
        }
        if kind == Kind::Orphans {
            (plan.untold, plan.late) = (plan.untold / 6, plan.late / 6);
            (plan.rows_missed, plan.repeat_after) = (rng.within(400, 900), rng.within(100, 2_000) * MS);
            (plan.client_every, plan.sent_again) = (rng.within(10, 80) * MS, rng.within(300, 900));
            plan.sizes.page_rows = rng.within(1, 2);
            (plan.erases, plan.trims) = (plan.erases / 4, plan.trims / 4);
        }
        match removed {
            Some(Store(StoreRule::EraseRaisesTimestamp) | Removed::EraseKeepsBatch | Removed::EraseBarrier) => {
                plan.erases = rng.within(100, 500);
            }
            Some(
                Store(
                    StoreRule::HintBeforeDrop
                    | StoreRule::DropBarrier
                    | StoreRule::DropKeepsBase
                    | StoreRule::DropByOwner,
                )
                | Removed::ExpiredRefused,
            ) => (plan.trims, plan.sizes.note_every) = (rng.within(100, 500), rng.within(8, 32)),
            // What was begun early in a life comes again late in it.
            Some(Removed::FenceIsFinal) => plan.twice = rng.within(300, 1_000),
            // Hints end where others' rows begin.
            Some(Store(StoreRule::BaseRow)) => {
                (plan.sizes.note_every, plan.rows_missed) = (1, rng.within(300, 600));
                (plan.client_every, plan.sent_again) = (rng.within(20, 150) * MS, rng.within(600, 950));
            }
            // What was sent before a move comes after it.
            Some(Store(StoreRule::HintByOwner)) => {
                (plan.sizes.note_every, plan.repeat_after) = (rng.within(1, 3), rng.within(500, 2_000) * MS);
                plan.config.finish_max = plan.config.finish_max.min(Duration::from_millis(60));
                (plan.config.newcomer, plan.rows_missed) = (plan.config.newcomer / 8, rng.within(400, 800));
            }
            // Nobody else tells the owner before that another one has come.
            Some(Store(StoreRule::RewriteBarrier)) => {
                plan.rows_missed = rng.within(300, 800);
                (plan.config.fence_every, plan.config.fence_age_max) = (Duration::from_secs(2), Duration::from_secs(4));
            }
            // One replica alone knows of a fence, and few ask.
            Some(Code(Rule::FenceAtQuorum)) => {
                plan.missed = rng.within(400, 800);
                (plan.config.fence_every, plan.config.fence_age_max) = (Duration::from_secs(2), Duration::from_secs(4));
            }
            // Nor while such a read is under way.
            Some(Store(StoreRule::BarrierAfterWrite)) => {
                plan.slow_fence = rng.within(300, 900);
                (plan.config.fence_every, plan.config.fence_age_max) = (Duration::from_secs(2), Duration::from_secs(4));
                plan.rows_missed = rng.within(100, 500);
            }
            _ => {}
        }
        if removed.is_some() {
            (plan.evicts, plan.records) = (0, 0);
        }
        plan.slow_fence = plan.slow_fence.max(plan.slow);
        // There and back, as far as it is not slow.
        plan.repeat_after = plan.repeat_after.max(3 * plan.latency_max);
        let (first, last) = (plan.calm_at / 13, plan.calm_at * 3 / 4);
        let often = kind == Kind::Orphans || removed == Some(Store(StoreRule::RewriteBarrier));
        let most = if often { 40 } else { 14 };
        for _ in 0..rng.within(2, most) {
            let at = rng.within(first, last);
            let fault = plan.fault(rng);
            plan.faults.push((at, fault));
        }
        plan
    }

    /// The faults of calls end.
    pub(crate) fn calm(&mut self) {
        (self.slow, self.slow_fence, self.lost, self.untold, self.late, self.twice) = (0, 0, 0, 0, 0, 0);
        (self.missed, self.rows_missed, self.redis_drops, self.evicts) = (0, 0, 0, 0);
    }

    fn fault(&self, rng: &mut Rng) -> Fault {
        let place = rng.below(PLACES as u64) as usize;
        let time = rng.within(self.calm_at / 200, self.calm_at * 2 / 9);
        let start_after = rng.within(10 * MS, self.calm_at / 7);
        let which = match self.kind {
            Kind::Suspicion if rng.chance(800) => *rng.pick(&[0, 11, 11, 15, 20]),
            Kind::Moves if rng.chance(800) => rng.within(14, 19),
            Kind::Orphans if rng.chance(900) => *rng.pick(&[0, 15, 15, 18, 18]),
            Kind::Rows if rng.chance(600) => *rng.pick(&[0, 15, 20]),
            Kind::Alone => *rng.pick(&[0, 0, 5, 6, 7, 15, 15]),
            _ => rng.below(21),
        };
        match which {
            0..=4 => Fault::Pause { place, time },
            // The machines whose clocks stand still are others than those whose clocks are set back.
            5 => Fault::Suspend { place: 0, time },
            6 => Fault::ClockJump {
                place: rng.within(1, 2) as usize,
                by_ms: rng.within(0, 7_200_000) as i64 - 3_600_000,
            },
            7..=9 => Fault::CutStore { place, time },
            10 => Fault::CutRedis { place, time },
            11..=12 => Fault::CutPeers { place, time },
            13 => Fault::RedisGone { time },
            14 => Fault::RedisRepeats,
            15..=17 => Fault::Kill { place, start_after },
            18..=19 => Fault::Drain { place, start_after },
            _ => Fault::CutOthers { place, time },
        }
    }

    /// One way of something.
    pub(crate) fn latency(&self, rng: &mut Rng) -> Time {
        self.way(rng, self.slow)
    }

    /// The way back of a fence read of the store.
    pub(crate) fn fence_latency(&self, rng: &mut Rng) -> Time {
        self.way(rng, self.slow_fence)
    }

    fn way(&self, rng: &mut Rng, slow: u64) -> Time {
        if rng.chance(slow) { rng.within(100 * MS, SECOND) } else { rng.within(200, self.latency_max) }
    }

    /// When a replica learns of a transaction; perhaps never.
    pub(crate) fn learns_after(&self, rng: &mut Rng) -> Option<Time> {
        self.reaches_after(rng, self.missed)
    }

    /// When a row reaches a replica; perhaps never.
    pub(crate) fn arrives_after(&self, rng: &mut Rng) -> Option<Time> {
        self.reaches_after(rng, self.rows_missed)
    }

    fn reaches_after(&self, rng: &mut Rng, missed: u64) -> Option<Time> {
        match rng.chance(missed) {
            true if rng.chance(300) => None,
            true => Some(rng.within(100 * MS, 6 * SECOND)),
            false => Some(self.latency(rng)),
        }
    }
}
