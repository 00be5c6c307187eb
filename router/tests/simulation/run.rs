//! Runs of seeds.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{HistoryAsk, PageFrom};
use switchyard_router::rules::{Rule, Rules};

use crate::ask::What;
use crate::clients::{STRANGER, all_blocks, archived_list, whole_list};
use crate::disk::Disk;
use crate::old;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::rng::Rng;
use crate::standing;
use crate::world::World;

/// Seeds of a usual run: as many as take some seconds without optimisation.
const SEEDS: u64 = 3_000;

/// What the runs have to come across, for them to mean anything.
const EVERYTHING: [&str; 67] = [
    "accepted",
    "already",
    "annotated",
    "annotated already",
    "archived",
    "bad request",
    "begins later by age",
    "begins later by number",
    "a service is told how far it goes",
    "blocked",
    "came",
    "changed",
    "closed",
    "cleared",
    "closed again",
    "closed by admin",
    "conflict",
    "corked",
    "crash",
    "created",
    "created already",
    "declined",
    "decoy",
    "detail",
    "erased",
    "expired",
    "forbidden",
    "marked",
    "marks",
    "marks kept",
    "marks told",
    "list",
    "listed anew",
    "members",
    "no such member",
    "no such message",
    "not found",
    "not invited",
    "not seen for a block",
    "not seen in a request",
    "not watched",
    "offline",
    "online",
    "overloaded",
    "page",
    "parted",
    "published",
    "refused as blocked",
    "refused as closed",
    "reopened",
    "resumed",
    "role",
    "roles told",
    "sent",
    "sent again",
    "system",
    "took part",
    "shown otherwise",
    "unblocked",
    "unknown",
    "unread",
    "unread in all",
    "waits for an answer",
    "watched",
    "watched by one of two",
    "watching",
    "went",
];

/// So much of each broken promise is printed: bodies may be long.
const CHARS_PRINTED: usize = 1_000;

/// What a run came to.
struct Outcome {
    violations: Vec<String>,
    seen: BTreeMap<&'static str, u64>,
    hash: u64,
}

/// The world of a seed.
fn world(seed: u64, removed: Option<Rule>) -> World {
    let mut rng = Rng::new(seed);
    let mut profile = Profile::of(&mut rng);
    let disk = Arc::new(Disk::new(rng.fork(), profile.faults.clone()));
    if removed == Some(Rule::EraseBarrier) || seed.is_multiple_of(20) {
        // A text comes back only if the process is killed right after it went.
        (profile.crashes, profile.cuts_erasures) = (profile.crashes.max(4), true);
    }
    profile.config.rules = Rules::without(removed);
    disk.inner().rules = profile.config.rules;
    disk.inner().trusting = matches!(removed, Some(Rule::SameBytes | Rule::OneInFlight));
    let mut oracle = Oracle::new(Arc::clone(&disk), &profile);
    standing::tell_roles(&disk);
    if profile.old_rows > 0 {
        old::put(&disk, profile.old_rows, old::applied(profile.old_rows, &mut rng));
        oracle.given(&old::key(), profile.old_rows);
    }
    World::new(rng, profile, disk, oracle)
}

fn simulate(seed: u64, traced: bool, verbose: bool) -> Outcome {
    let mut world = world(seed, None);
    world.hash = traced.then(DefaultHasher::new);
    world.verbose = verbose;
    if verbose {
        println!("{:?}", world.profile);
    }
    live(&mut world);
    let hash = world.hash.as_ref().map_or(0, Hasher::finish);
    Outcome { violations: world.oracle.violations, seen: world.oracle.seen, hash }
}

/// What a run without this rule breaks.
pub(crate) fn broken_without(rule: Rule, seed: u64) -> Vec<String> {
    let mut world = world(seed, Some(rule));
    live(&mut world);
    world.oracle.violations
}

/// A life: clients and crashes, then quiet, then a last crash and a look at everything.
fn live(world: &mut World) -> bool {
    let lives = world.profile.crashes + 1;
    let requests = world.profile.requests;
    world.left = 0;
    for life in 0..lives {
        world.left += requests / lives;
        world.start_clients();
        let last = life + 1 == lives;
        if last {
            if !world.run_clients(last) {
                return false;
            }
            world.heal();
            // Whatever homes could not read, they have tried again by then.
            if !world.run() || !world.pass(Duration::from_secs(5)) || !world.run() || !ask_for_lists(world) {
                return false;
            }
            world.oracle.homes_are_rows();
            // Until whoever has gone is told to have.
            let lasts = world.profile.config.offline_after + Duration::from_millis(1_100);
            if !world.pass(lasts) || !world.run() {
                return false;
            }
            world.oracle.presence_is_true();
        } else {
            if !world.run_clients(last) {
                return false;
            }
            world.crash();
        }
    }
    world.oracle.quiet();
    world.oracle.records();
    world.end_streams();
    if !world.run_out() {
        return false;
    }
    world.oracle.quiet();
    world.check_empty();
    world.crash();
    world.judge_beginnings();
    look_at_everything(world) && world.run_out()
}

/// Everybody asks for a list, and once more: the first has conversations loaded, which may write rows again that a crash
/// took.
fn ask_for_lists(world: &mut World) -> bool {
    (0..2).all(|_| {
        for at in 0..world.sessions.len() {
            world.ask_home(at, whole_list());
            world.ask_home(at, archived_list());
            world.ask_home(at, all_blocks());
        }
        world.run()
    })
}

fn look_at_everything(world: &mut World) -> bool {
    let keys: Vec<_> = world.places.iter().map(|place| place.key.clone()).collect();
    for key in &keys {
        world.oracle.sync(key);
        let members = world.oracle.members(key);
        for at in 0..world.sessions.len() {
            let user = world.sessions[at].user.clone();
            if user.as_str() != STRANGER && !members.iter().any(|(member, _)| *member == user) {
                continue;
            }
            world.ask(at, key, What::Get);
            world.ask(at, key, What::Unread);
            world.ask(at, key, What::Members { after: None, limit: 100 });
            world.ask(at, key, What::History(HistoryAsk { from: PageFrom::Newest, limit: 200 }));
            world.ask(at, key, What::History(HistoryAsk { from: PageFrom::After(0), limit: 200 }));
        }
    }
    if !world.run() || !ask_for_lists(world) {
        return false;
    }
    for at in 0..world.sessions.len() {
        world.ask_home(at, HomeAsk::Unread);
    }
    if !world.run() {
        return false;
    }
    world.oracle.quiet();
    world.oracle.records();
    world.oracle.totals(&keys);
    world.oracle.nothing_is_left(&keys);
    world.oracle.listings(&keys);
    world.oracle.homes_are_rows();
    world.oracle.lists_are_memberships(&keys);
    world.oracle.decisions_stand();
    world.oracle.violations.is_empty()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs seeds on all cores; returns what was seen.
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
                    let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, false, false)));
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
fn promises_hold_whatever_fails() {
    if let Some(seed) = number("SWITCHYARD_SEED") {
        let outcome = simulate(seed, false, true);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
        return;
    }
    let seeds = number("SWITCHYARD_SEEDS").unwrap_or(SEEDS);
    let seen = run_seeds(1..seeds + 1);
    println!("{seeds} seeds: {seen:?}");
    if seeds >= SEEDS {
        let unseen: Vec<_> = EVERYTHING.iter().filter(|what| !seen.contains_key(*what)).collect();
        assert!(unseen.is_empty(), "the runs never came to see {unseen:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 4, 5] {
        let (first, second) = (simulate(seed, true, false), simulate(seed, true, false));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_ne!(first.hash, simulate(seed + 10, true, false).hash, "another seed gives another trace");
    }
}
