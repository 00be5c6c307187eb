//! One router and the embedded store: the same code as among many, with a file lock in place of the transactions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use switchyard_cluster::now::Now;
use switchyard_cluster::ownership::{Call, Config, Effect, Event, Ownership};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::{SHARDS, Shard};
use switchyard_router::driver::ownership::ask;
use switchyard_store::embedded::{Embedded, Options};

/// An incarnation, and what it owns.
struct Router {
    machine: Ownership,
    now: Duration,
    owned: BTreeMap<Shard, Epoch>,
    transactions: usize,
    ended: bool,
}

impl Router {
    fn new(seed: u64) -> Self {
        Self::with(Config::default(), seed)
    }

    /// One that shares with nobody.
    fn alone(seed: u64) -> Self {
        Self::with(Config { alone: true, ..Config::default() }, seed)
    }

    fn with(config: Config, seed: u64) -> Self {
        let machine = Ownership::new(config, "127.0.0.1:7070".to_owned(), seed);
        Self { machine, now: Duration::ZERO, owned: BTreeMap::new(), transactions: 0, ended: false }
    }

    /// Tells it of something, and does all that it wants done about it; no time passes.
    fn tell(&mut self, store: &Embedded, event: Event) {
        let (mut events, mut effects) = (vec![event], Vec::new());
        while let Some(event) = events.pop() {
            self.machine.handle(Now { mono: self.now, wall_ms: 0 }, event, &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Call { id, call } => {
                        let is_read =
                            matches!(call, Call::ReadCell { .. } | Call::ReadRouter { .. } | Call::ListRouters);
                        self.transactions += usize::from(!is_read);
                        events.push(Event::Answered { call: id, answer: block_on(ask(store, &call)) });
                    }
                    Effect::Owned { shard, epoch } => {
                        self.owned.insert(shard, epoch);
                    }
                    Effect::StopShard { shard, epoch, .. } => events.push(Event::ShardStopped { shard, epoch }),
                    Effect::Released { shard, .. } => {
                        self.owned.remove(&shard);
                    }
                    Effect::End => self.ended = true,
                    Effect::Heartbeat(_) | Effect::Probe { .. } | Effect::TellGiven { .. } => {}
                }
            }
        }
    }

    /// The highest and the lowest epoch in which it owns anything, if it owns everything.
    fn epochs(&self) -> (Epoch, Epoch) {
        assert_eq!(self.owned.len(), usize::from(SHARDS));
        (*self.owned.values().min().expect("many"), *self.owned.values().max().expect("many"))
    }
}

fn open(dir: &Path) -> Embedded {
    Embedded::open(dir, Options::default()).expect("the store opens")
}

#[test]
fn one_process_owns_everything_at_once_in_a_new_epoch_with_each_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut last = None;
    for seed in 0..3 {
        let store = open(dir.path());
        let mut router = Router::new(seed);
        router.tell(&store, Event::Tick);
        let (lowest, highest) = router.epochs();
        assert_eq!(lowest, highest);
        assert!(last < Some(lowest), "{last:?}, {lowest:?}");
        last = Some(highest);
        // The start, a fence of whoever was there before, and a claim for each cell.
        assert!(router.transactions <= 66, "{}", router.transactions);
    }
}

#[test]
fn an_incarnation_that_drains_fences_itself_and_the_next_one_owns_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (mut first, mut second) = (Router::new(1), Router::new(2));
    first.tell(&store, Event::Tick);
    second.tell(&store, Event::Tick);
    assert_eq!(second.owned.len(), 0, "they are another one's, which lives");
    // It hears of the second one by the table alone.
    for _ in 0..8 {
        first.now += Duration::from_secs(1);
        let probed = switchyard_cluster::ownership::Probed::Answered(second.machine.incarnation());
        first.tell(&store, Event::Probed { incarnation: second.machine.incarnation(), probed });
    }
    first.tell(&store, Event::Drain);
    assert!(first.ended && first.owned.is_empty());
    second.now += Duration::from_secs(8);
    second.tell(&store, Event::Tick);
    assert_eq!(second.epochs(), (Epoch::new(2).expect("low"), Epoch::new(2).expect("low")));
}

#[test]
fn one_that_is_alone_takes_over_what_another_has_which_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (mut first, mut second) = (Router::alone(1), Router::alone(2));
    first.tell(&store, Event::Tick);
    let (_, before) = first.epochs();
    second.tell(&store, Event::Tick);
    let (after, _) = second.epochs();
    assert!(before < after && !second.ended);
    first.now += Duration::from_secs(1);
    first.tell(&store, Event::Tick);
    assert!(first.ended, "its fence says so");
    // What is left of the first one is nobody whom the second would look for, and it stays.
    for _ in 0..20 {
        second.now += Duration::from_secs(1);
        second.tell(&store, Event::Tick);
    }
    assert!(!second.ended && second.epochs().0 == after);
}

#[test]
fn one_that_is_alone_gives_nothing_to_whoever_comes_and_does_not_fence_its_successor() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (mut first, mut second) = (Router::alone(1), Router::alone(2));
    first.tell(&store, Event::Tick);
    // It is there, and has come no further.
    let mut effects = Vec::new();
    second.machine.handle(Now { mono: Duration::ZERO, wall_ms: 0 }, Event::Tick, &mut effects);
    let Some(Effect::Call { id, call }) = effects.pop() else { panic!("a start") };
    let answer = block_on(ask(&store, &call));
    for _ in 0..30 {
        first.now += Duration::from_secs(1);
        first.tell(&store, Event::Tick);
    }
    assert!(!first.ended);
    first.epochs();
    second.tell(&store, Event::Answered { call: id, answer });
    assert!(!second.ended, "it was not fenced while it started");
    second.epochs();
}
