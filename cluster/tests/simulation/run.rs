//! Runs seeds.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use switchyard_protocol::owner::CELL_SHARDS;

use super::judge::Broken;
use super::plan::PLACES;
use super::rules::Removed;
use super::world::{SHARDS_USED, Tracing, World, shard_of};

/// Seeds of the test command.
const SEEDS: u64 = 2_000;

/// Promises that a run broke, and how.
pub(crate) type Failures = Vec<(Broken, String)>;

/// What the runs came to see, and how often.
type Seen = BTreeMap<&'static str, u64>;

/// What a run comes to.
pub(crate) struct Outcome {
    pub(crate) broken: Failures,
    pub(crate) seen: Seen,
    pub(crate) hash: u64,
}

/// What all runs together must come to see.
const EVERYTHING: [&str; 33] = [
    "acknowledged",
    "adoptions",
    "adoptions of erased rows",
    "adoptions that write again",
    "answers",
    "clocks that jump",
    "conversations loaded again",
    "confirmed and not acknowledged",
    "drains",
    "drains that take too long",
    "drops",
    "erasures",
    "heartbeats told again",
    "kills",
    "machines suspended",
    "messages given to readers",
    "messages that edges had to ask for",
    "moves that leave something unknown",
    "processes paused",
    "questions that were not answered",
    "routers cut from Redis",
    "routers cut from routers",
    "routers cut from the store",
    "routers fenced",
    "routers replaced",
    "sends that are refused as too old",
    "times without Redis",
    "transactions carried out late",
    "transactions carried out twice",
    "transactions refused",
    "words of earlier epochs to edges",
    "words to edges that do not follow",
    "writes repeated",
];

pub(crate) fn simulate(seed: u64, removed: Option<Removed>, tracing: Tracing) -> Outcome {
    let mut world = World::new(seed, removed, tracing);
    world.run();
    if world.judge.broken.is_empty() {
        for number in 0..SHARDS_USED.len() {
            world.judge.stays(world.now, number, &world.rows[number]);
        }
        world.everything_is_served();
        world.everybody_has_read();
    }
    let broken = world.judge.broken.iter().map(|(at, broken, how)| (*broken, format!("{broken:?} at {at}: {how}")));
    Outcome { broken: broken.collect(), hash: world.hash(), seen: world.seen }
}

impl World {
    /// Long after the last fault, every shard has an owner that lives, and every conversation is served in full.
    fn everything_is_served(&mut self) {
        let processes = || self.places.iter().filter_map(|place| place.process.as_ref());
        let owned: Vec<usize> = processes().map(|process| process.machine.owned_count()).collect();
        let mut wrong = Vec::new();
        let left = if self.plan.config.alone { 1 } else { PLACES };
        if owned.iter().sum::<usize>() != self.plan.cells * usize::from(CELL_SHARDS) || owned.len() != left {
            wrong.push(format!("shards are owned: {owned:?}"));
        }
        for number in 0..SHARDS_USED.len() {
            let holder = self.tables.holder(shard_of(number));
            let serves = |conversation: &super::conversation::Conversation| {
                conversation.ever_shown && conversation.shown == self.judge.messages(number).len()
            };
            let served = processes().any(|process| {
                holder.is_some_and(|holder| holder.incarnation == process.machine.incarnation())
                    && process.conversations.get(&number).is_some_and(serves)
            });
            if !served {
                wrong.push(format!("conversation {number} of {holder:?} is not served"));
            }
        }
        for how in wrong {
            self.judge.breaks(self.now, Broken::Stuck, how);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Runs these seeds on all processors, until `enough` says so of one.
pub(crate) fn run_seeds(
    seeds: std::ops::Range<u64>,
    removed: Option<Removed>,
    enough: impl Fn(u64, &Outcome) -> bool + Sync,
) -> (Vec<(u64, Failures)>, Seen) {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let seen = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, removed, Tracing::Off)));
                    let Ok(outcome) = outcome else {
                        let panicked = vec![(Broken::Stuck, "it panicked".to_owned())];
                        failed.lock().unwrap().push((seed, panicked));
                        continue;
                    };
                    if enough(seed, &outcome) {
                        next.store(seeds.end, Ordering::Relaxed);
                    }
                    if !outcome.broken.is_empty() {
                        failed.lock().unwrap().push((seed, outcome.broken));
                    }
                    let mut seen = seen.lock().unwrap();
                    for (what, times) in outcome.seen {
                        *seen.entry(what).or_default() += times;
                    }
                }
            });
        }
    });
    (failed.into_inner().unwrap(), seen.into_inner().unwrap())
}

#[test]
fn promises_hold_whatever_fails() {
    let removed = std::env::var("SWITCHYARD_WITHOUT").ok().map(|name| Removed::named(&name));
    if let Some(seed) = number("SWITCHYARD_SEED") {
        let outcome = simulate(seed, removed, Tracing::Print);
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}", outcome.broken);
        return;
    }
    let seeds = number("SWITCHYARD_SEEDS").unwrap_or(SEEDS);
    let (failed, seen) = run_seeds(1..seeds + 1, removed, |_, _| false);
    for (seed, broken) in &failed {
        println!("SWITCHYARD_SEED={seed}: {broken:?}");
    }
    println!("{seeds} seeds: {seen:?}");
    assert!(failed.is_empty(), "{} seeds break promises; run one alone to see all that happened", failed.len());
    if seeds >= SEEDS {
        let unseen: Vec<_> = EVERYTHING.iter().filter(|what| !seen.contains_key(*what)).collect();
        assert!(unseen.is_empty(), "the runs never came to see {unseen:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 4, 5] {
        let [first, second] = [(); 2].map(|()| simulate(seed, None, Tracing::Hash).hash);
        assert_eq!(first, second, "seed {seed}");
        assert_ne!(first, simulate(seed + 10, None, Tracing::Hash).hash, "another seed gives another trace");
    }
}
