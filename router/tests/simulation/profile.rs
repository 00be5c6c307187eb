//! What kind of run a seed is: how often each step of the store fails, how slow it is, what the router is told to do.

use std::time::Duration;

use switchyard_router::config::{Retention, RetentionRule, RouterConfig};
use switchyard_router::rules::Rules;

use crate::rng::Rng;

/// How long ago the events of the old group happened when a run begins: one a millisecond, from here on.
pub(crate) const OLD_AGE_MS: u64 = 100_000_000_000;

/// How often a step fails, in a thousand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// An append is refused.
    pub(crate) refused: u64,
    /// An append ends unknown.
    pub(crate) unknown: u64,
    /// A barrier fails after the append was stored.
    pub(crate) barrier: u64,
    /// A read of rows, heads, records or members finds no answer.
    pub(crate) read: u64,
    /// A projection write fails, with some of it written.
    pub(crate) project: u64,
    /// An owner cannot say what a home asks about conversations.
    pub(crate) survey: u64,
}

impl Faults {
    pub(crate) fn any(&self) -> bool {
        self.refused + self.unknown + self.barrier + self.read + self.project + self.survey > 0
    }
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) faults: Faults,
    pub(crate) config: RouterConfig,
    /// Requests that the clients make in all.
    pub(crate) requests: u64,
    /// How many times the process is killed.
    pub(crate) crashes: u64,
    /// Whether that is as soon as a text was erased of which it is not certain that it stays so.
    pub(crate) cuts_erasures: bool,
    /// One delay in so many is long: seconds instead of milliseconds.
    pub(crate) slow_one_in: u64,
    /// Longest pause of a client between two requests.
    pub(crate) pause_us_max: u64,
    /// Rows of a conversation that is there before anything happens; 0 for none.
    pub(crate) old_rows: u64,
    /// Whether bodies of many kilobytes are sent.
    pub(crate) large: bool,
}

impl Profile {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let mut faults = Faults::default();
        if rng.chance(700) {
            let mut level = |max: u64| if rng.chance(500) { rng.within(1, max) } else { 0 };
            faults = Faults {
                refused: level(200),
                unknown: level(400),
                barrier: level(300),
                read: level(150),
                project: level(400),
                survey: level(300),
            };
        }
        // About one seed in thirteen: they take much longer than the others.
        let old_rows = match rng.below(400) {
            0..8 => rng.within(960, 1_030),
            8..22 => rng.within(1_960, 2_030),
            22..30 => rng.within(2_960, 3_010),
            30 => rng.within(10_000, 12_100),
            _ => 0,
        };
        if old_rows > 0 && rng.chance(400) {
            // Retention that is slow to be written meets conversations that leave memory.
            faults.project = 700;
        }
        let often = if old_rows > 0 { 800 } else { 300 };
        let rule = |rng: &mut Rng| RetentionRule {
            events_max: rng.chance(often).then(|| *rng.pick(&[1, 10, 500, 1_000, 1_500])),
            age_max: rng.chance(often / 2).then(|| {
                // Of the old group all is too old, or its first so many events are when the run begins.
                let ages = [1, 1_000, OLD_AGE_MS - 500, OLD_AGE_MS - 995, OLD_AGE_MS - 1_990, OLD_AGE_MS - 5_500];
                Duration::from_millis(*rng.pick(&ages))
            }),
        };
        let config = RouterConfig {
            idle_after: Duration::from_millis(*rng.pick(&[5, 200, 2_000, 120_000])),
            retention: Retention { direct: rule(rng), group: rule(rng) },
            members_add: rng.chance(400),
            requests: rng.chance(800),
            unknown_after: Duration::from_millis(*rng.pick(&[0, 100, 1_000, 8_000])),
            offline_after: Duration::from_millis(*rng.pick(&[1, 300, 1_500])),
            readers: 1,
            rules: Rules::default(),
        };
        Self {
            faults,
            config,
            requests: rng.within(20, 250),
            crashes: if rng.chance(600) { rng.within(1, 4) } else { 0 },
            cuts_erasures: false,
            slow_one_in: *rng.pick(&[10, 50, 1_000, u64::MAX]),
            pause_us_max: *rng.pick(&[500, 5_000, 50_000, 1_000_000]),
            old_rows,
            large: rng.chance(50),
        }
    }

    /// How long something takes.
    pub(crate) fn delay_us(&self, rng: &mut Rng) -> u64 {
        if self.slow_one_in != u64::MAX && rng.below(self.slow_one_in) == 0 {
            return rng.within(10_000, 3_000_000);
        }
        match rng.below(4) {
            0 => rng.within(1, 50),
            1 | 2 => rng.within(50, 1_000),
            _ => rng.within(1_000, 8_000),
        }
    }
}
