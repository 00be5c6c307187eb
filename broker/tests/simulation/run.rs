//! Runs of seeds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::disk::Disk;
use crate::old;
use crate::plan::Plan;
use crate::rng::Rng;
use crate::spoil::Spoil;
use crate::world::World;

/// Seeds of a usual run: as many as take some seconds without optimisation.
const SEEDS: u64 = 2_000;

/// So much of each broken promise is printed.
const CHARS_PRINTED: usize = 1_000;

/// What some seed of a usual run must have met: else the runs are too tame to say anything.
const MET: &[&str] = &[
    "a client does not read",
    "a connection is cut",
    "a connection stalls",
    "a conversation comes",
    "a conversation goes",
    "a conversation is erased",
    "a conversation is put away",
    "a conversation is put back",
    "a gap is told for old age",
    "a gap is told for too many events",
    "a gap is told more than a thousand events wide",
    "a list is read",
    "a change of a message is rejected",
    "a message is deleted",
    "a message is edited",
    "a message is given up",
    "a message is rejected",
    "a message is forbidden",
    "a message is rejected where it is closed",
    "a message is sent again by the application",
    "a page is read",
    "a request is accepted",
    "a request is declined",
    "a role ends",
    "a service has posted",
    "a subscription ends",
    "a subscription is refused",
    "conversations are shown",
    "somebody is blocked",
    "somebody is blocked no more",
    "it is known who is there",
    "somebody comes or goes",
    "somebody is seen typing",
    "somebody is watched",
    "all conversations are read",
    "an emoji is given or taken away",
    "marks are told",
    "unread messages are counted",
    "an application is behind",
    "an application starts again",
    "an event gives way in a queue",
    "an event gives way on a link",
    "an outcome is unknown",
    "members or names change",
    "the process is drained",
    "the process is killed",
];

/// What a run came to.
struct Outcome {
    violations: Vec<String>,
    seen: BTreeMap<&'static str, u64>,
    hash: u64,
}

fn simulate(seed: u64, traced: bool, verbose: bool, spoil: Option<Spoil>) -> Outcome {
    let mut rng = Rng::new(seed);
    let plan = Plan::of(&mut rng);
    let disk = Arc::new(Disk::new(rng.fork(), plan.profile.faults.clone()));
    if verbose {
        println!("{plan:#?}");
    }
    let old_rows = plan.profile.old_rows;
    if old_rows > 0 {
        // Where the record is older, each load replays what lies between: that costs the run most of its time.
        let applied = if rng.chance(800) { old_rows } else { old::applied(old_rows, &mut rng) };
        old::put(&disk, old_rows, applied);
    }
    let mut world = World::new(rng, plan, disk);
    world.hash = traced.then(DefaultHasher::new);
    world.verbose = verbose;
    world.spoil = spoil;
    world.run();
    let hash = world.hash.as_ref().map_or(0, Hasher::finish);
    Outcome { violations: world.oracle.violations, seen: world.seen, hash }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on all cores; returns what was met.
fn run_seeds(seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, u64> {
    let next = AtomicU64::new(seeds.start);
    let seen = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() > 4 {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, false, false, None)));
                    let Ok(outcome) = outcome else {
                        failed.lock().unwrap().push((seed, vec!["it panicked".to_owned()]));
                        continue;
                    };
                    if !outcome.violations.is_empty() {
                        failed.lock().unwrap().push((seed, outcome.violations));
                    }
                    let mut seen = seen.lock().unwrap();
                    for (what, times) in outcome.seen {
                        *seen.entry(what).or_default() += times;
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for (seed, violations) in &failed {
        let shortened: Vec<String> = violations.iter().map(|what| what.chars().take(CHARS_PRINTED).collect()).collect();
        println!("SWITCHYARD_SEED={seed}: {}", shortened.join("\n    "));
    }
    assert!(failed.is_empty(), "promises are broken; run one seed alone to see all that happened");
    seen.into_inner().unwrap()
}

#[test]
fn promises_hold_from_application_to_application() {
    if let Some(seed) = number("SWITCHYARD_SEED") {
        let outcome = simulate(seed, false, true, None);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
        return;
    }
    let seeds = number("SWITCHYARD_SEEDS").unwrap_or(SEEDS);
    let seen = run_seeds(1..seeds + 1);
    println!("{seeds} seeds: {seen:#?}");
    if seeds >= SEEDS {
        for what in MET {
            assert!(seen.get(what).is_some_and(|times| *times > 0), "no seed met this: {what}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1..=10 {
        let (first, second) = (simulate(seed, true, false, None), simulate(seed, true, false, None));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_ne!(first.hash, simulate(seed + 10, true, false, None).hash, "another seed gives another trace");
    }
}

/// Faults put in on purpose, and what the judge says of each, of some seed of a usual run.
const FAULTS: &[(Spoil, &str)] = &[
    (Spoil::AltersTexts, "for certain) is"),
    (Spoil::AltersAcks, "and was told of"),
    (Spoil::RenamesSends, "and was told of"),
    (Spoil::MixesLists, "put away, and in the usual list too"),
    (Spoil::PutsBack, "put away: false"),
    (Spoil::Closes, "was erased when"),
    (Spoil::Unblocks, "are blocked, and this is stored"),
    (Spoil::Unblocks, "was told to have blocked"),
    (Spoil::Accepts, "a request is answered that did not wait for it, or not so"),
    (Spoil::LosesPresence, "is online: true, which is false"),
    (Spoil::LosesPresence, "is online: false, which is true"),
    (Spoil::InventsPresence, "may know nothing of them"),
];

#[test]
fn the_judge_finds_what_is_spoilt_on_purpose() {
    let missed: Vec<_> = FAULTS
        .iter()
        .filter(|(spoil, words)| {
            let says = |seed: &u64| {
                let outcome = catch_unwind(AssertUnwindSafe(|| simulate(*seed, false, false, Some(*spoil))));
                outcome.is_ok_and(|outcome| outcome.violations.iter().any(|what| what.contains(words)))
            };
            let found = (1..=SEEDS).find(says);
            println!("{spoil:?}: {words:?} is said of seed {found:?}");
            found.is_none()
        })
        .collect();
    assert!(missed.is_empty(), "of no seed is it said: {missed:?}");
}
