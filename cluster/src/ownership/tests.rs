//! What single events come to. That the promises hold is for `tests/simulation` to show.

use std::time::Duration;

use switchyard_protocol::owner::{Cell, Claim, Epoch, Holder, Incarnation, RouterRow, RouterState};
use switchyard_protocol::shard::Shard;

use crate::now::Now;

use super::random::Random;
use super::{Answer, Call, CallId, Config, Effect, Event, Heartbeat, Level, Ownership, Probed, Sight};

/// Another router.
const OTHER: u64 = 77;

/// An incarnation under test, and what it wanted done that nobody has done yet.
struct Bench {
    machine: Ownership,
    now: Duration,
    wall_ms: u64,
    effects: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        Self::of(Config::default())
    }

    fn of(config: Config) -> Self {
        let machine = Ownership::new(config, "here:1".to_owned(), 1);
        let mut bench = Self { machine, now: Duration::ZERO, wall_ms: 1_000_000, effects: Vec::new() };
        bench.tell(Event::Tick);
        bench
    }

    /// One that has just started.
    fn started() -> Self {
        let mut bench = Self::new();
        bench.answer(|call| matches!(call, Call::InsertRouter(_)), Answer::Applied);
        assert!(bench.machine.is_live());
        bench.tell(Event::Redis { reachable: true });
        bench
    }

    /// One that has read its fence for the first time, at once.
    fn live() -> Self {
        let mut bench = Self::started();
        bench.read_fence(RouterState::Live);
        bench
    }

    /// One that knows another router, which owns all of the first cell.
    fn beside_another() -> Self {
        let mut bench = Self::live();
        bench.answer(|call| *call == Call::ListRouters, Answer::Routers(vec![row(OTHER, RouterState::Live)]));
        bench.answer(|call| matches!(call, Call::ReadCell { cell, .. } if cell.number() == 0), first_cell(OTHER, 1));
        bench
    }

    fn tell(&mut self, event: Event) {
        let now = Now { mono: self.now, wall_ms: self.wall_ms };
        self.machine.handle(now, event, &mut self.effects);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall_ms += time.as_millis() as u64;
        self.tell(Event::Tick);
    }

    /// The call that was made, taken from what is to be done.
    fn take(&mut self, is_it: impl Fn(&Call) -> bool) -> (CallId, Call) {
        let found = self.effects.iter().position(|effect| matches!(effect, Effect::Call { call, .. } if is_it(call)));
        let Some(found) = found else { panic!("it is not among {:?}", self.effects) };
        match self.effects.remove(found) {
            Effect::Call { id, call } => (id, call),
            _ => unreachable!("it was one just now"),
        }
    }

    fn answer(&mut self, is_it: impl Fn(&Call) -> bool, answer: Answer) -> Call {
        let (id, call) = self.take(is_it);
        self.tell(Event::Answered { call: id, answer });
        call
    }

    fn wants(&self, is_it: impl Fn(&Effect) -> bool) -> bool {
        self.effects.iter().any(is_it)
    }

    fn own_row(&self, state: RouterState) -> Answer {
        Answer::Router(Some(RouterRow { incarnation: self.machine.incarnation(), ..row(OTHER, state) }))
    }

    fn read_fence(&mut self, state: RouterState) {
        let (own, answer) = (self.machine.incarnation(), self.own_row(state));
        self.answer(|call| *call == Call::ReadRouter { incarnation: own, level: Level::Quorum }, answer);
    }
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).expect("not 0")
}

fn row(number: u64, state: RouterState) -> RouterRow {
    RouterRow { incarnation: incarnation(number), state, address: "there:1".to_owned(), nonce: number }
}

fn holder(number: u64, epoch: u64) -> Holder {
    Holder { incarnation: incarnation(number), epoch: Epoch::new(epoch).expect("within limits") }
}

fn first_cell(number: u64, epoch: u64) -> Answer {
    let cell = Cell::new(0).expect("there are 64");
    Answer::Cell(cell.shards().map(|shard| (shard, holder(number, epoch))).collect())
}

fn is_insert(call: &Call) -> bool {
    matches!(call, Call::InsertRouter(_))
}

fn is_first_cell(call: &Call, of: Level) -> bool {
    matches!(call, Call::ReadCell { cell, level } if cell.number() == 0 && *level == of)
}

fn is_claim(call: &Call) -> bool {
    matches!(call, Call::Claim { .. })
}

#[test]
fn a_start_of_unknown_outcome_is_read_and_known_by_its_nonce() {
    let mut bench = Bench::new();
    let Call::InsertRouter(own) = bench.answer(is_insert, Answer::Unknown) else { panic!("a start") };
    bench.pass(Duration::from_secs(1));
    let is_read = |call: &Call| matches!(call, Call::ReadRouter { level: Level::Serial, .. });
    bench.answer(is_read, Answer::Router(None));
    bench.pass(Duration::from_secs(1));
    let Call::InsertRouter(again) = bench.answer(is_insert, Answer::Refused) else { panic!("a start") };
    assert_eq!(own, again, "the same row");
    bench.answer(is_read, Answer::Router(Some(own.clone())));
    assert!(bench.machine.is_live());
    assert_eq!(bench.machine.incarnation(), own.incarnation);
}

#[test]
fn a_number_that_somebody_has_is_not_taken() {
    let mut bench = Bench::new();
    let Call::InsertRouter(own) = bench.answer(is_insert, Answer::Refused) else { panic!("a start") };
    let theirs = RouterRow { nonce: own.nonce ^ 1, ..own.clone() };
    bench.answer(|call| matches!(call, Call::ReadRouter { .. }), Answer::Router(Some(theirs)));
    let Call::InsertRouter(other) = bench.answer(is_insert, Answer::Applied) else { panic!("a start") };
    assert_ne!(other.incarnation, own.incarnation);
    assert!(bench.machine.is_live());
}

#[test]
fn fenced_or_without_a_row_is_the_end() {
    for found in [None, Some(RouterState::Fenced)] {
        let mut bench = Bench::live();
        bench.pass(Duration::from_millis(500));
        let answer = found.map_or(Answer::Router(None), |state| bench.own_row(state));
        bench.answer(|call| matches!(call, Call::ReadRouter { .. }), answer);
        assert!(bench.wants(|effect| *effect == Effect::End));
        bench.effects.clear();
        bench.pass(Duration::from_secs(60));
        bench.tell(Event::Tick);
        assert_eq!(bench.effects, [], "it does nothing any more");
    }
}

/// This one, once it owns the first cell.
fn owning(mut bench: Bench) -> Bench {
    bench.answer(|call| *call == Call::ListRouters, Answer::Routers(Vec::new()));
    bench.answer(|call| is_first_cell(call, Level::Quorum), Answer::Cell(Vec::new()));
    bench.answer(is_claim, Answer::Applied);
    assert_eq!(bench.machine.owned_count(), 64);
    bench
}

#[test]
fn who_is_alone_lists_routers_until_it_has_all_shards() {
    let mut bench = Bench::of(Config { alone: true, ..Config::default() });
    let lists = |call: &Call| *call == Call::ListRouters;
    bench.answer(lists, Answer::Routers(vec![row(OTHER, RouterState::Fenced)]));
    bench.answer(is_insert, Answer::Applied);
    assert!(bench.machine.incarnation() > incarnation(OTHER), "above all that are there");
    bench.read_fence(RouterState::Live);
    bench.answer(lists, Answer::Routers(Vec::new()));
    for cell in Cell::all() {
        bench.answer(
            |call| matches!(call, Call::ReadCell { cell: read, .. } if *read == cell),
            Answer::Cell(Vec::new()),
        );
        assert!(!bench.machine.has_all());
        bench.answer(is_claim, Answer::Applied);
    }
    assert!(bench.machine.has_all());
    bench.effects.clear();
    bench.pass(Duration::from_secs(10));
    let is_list = |effect: &Effect| matches!(effect, Effect::Call { call, .. } if lists(call));
    assert!(!bench.wants(is_list));
    let (_, read) = bench.take(|call| is_first_cell(call, Level::Quorum));
    assert!(matches!(read, Call::ReadCell { .. }), "the cells are looked at as before");
}

#[test]
fn answers_end_with_the_last_fence_read_by_either_clock() {
    let shard = Shard::new(0).expect("below 4,096");
    let mut bench = owning(Bench::started());
    let sight = Sight::new(Config::default().fence_age_max);
    let answers = |bench: &Bench| {
        bench.machine.fence_seen().into_iter().for_each(|began| sight.seen(began));
        let is_sure = sight.is_sure(Now { mono: bench.now, wall_ms: bench.wall_ms });
        bench.machine.may_answer(shard).filter(|_| is_sure)
    };
    assert_eq!(answers(&bench), None, "the fence was not read yet");
    bench.read_fence(RouterState::Live);
    assert_eq!(answers(&bench), Some(Epoch::FIRST));
    bench.now += Duration::from_millis(2_000);
    assert_eq!(answers(&bench), Some(Epoch::FIRST));
    bench.now += Duration::from_millis(1);
    assert_eq!(answers(&bench), None);
    bench.now -= Duration::from_millis(1);
    bench.wall_ms += 2_001;
    assert_eq!(answers(&bench), None, "the machine was suspended");
    bench.wall_ms -= 2_001;
    sight.end();
    assert_eq!(answers(&bench), None, "it has ended");
}

#[test]
fn suspicion_takes_silence_and_a_failed_probe_and_somebody_in_reach() {
    let is_fence = |effect: &Effect| matches!(effect, Effect::Call { call: Call::Fence(_), .. });
    let probed = Event::Probed { incarnation: incarnation(OTHER), probed: Probed::Failed };
    for (redis, silent, expected) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut bench = Bench::beside_another();
        bench.tell(Event::Redis { reachable: redis });
        if silent {
            bench.pass(Duration::from_secs(4));
        } else {
            bench.tell(Event::Unreachable(incarnation(OTHER)));
        }
        assert!(bench.wants(|effect| matches!(effect, Effect::Probe { .. })));
        bench.tell(probed.clone());
        if !redis {
            // The one that had not been silent when that one began.
            bench.pass(Duration::from_secs(4));
            bench.tell(probed.clone());
        }
        assert_eq!(bench.wants(is_fence), expected, "Redis: {redis}, silent: {silent}");
    }
}

#[test]
fn another_one_at_its_address_proves_death_at_once() {
    let mut bench = Bench::beside_another();
    bench.tell(Event::Unreachable(incarnation(OTHER)));
    let probed = Probed::Answered(incarnation(OTHER + 1));
    bench.tell(Event::Probed { incarnation: incarnation(OTHER), probed });
    assert!(bench.wants(|effect| matches!(effect, Effect::Call { call: Call::Fence(_), .. })));
}

#[test]
fn heartbeats_that_come_again_say_nothing() {
    let mut bench = Bench::beside_another();
    let heartbeat = |beat| {
        let (incarnation, address) = (incarnation(OTHER), "there:1".to_owned());
        Event::Heartbeat(Heartbeat { incarnation, address, beat, draining: false })
    };
    bench.tell(heartbeat(1));
    bench.pass(Duration::from_secs(2));
    bench.tell(heartbeat(1));
    bench.pass(Duration::from_secs(2));
    assert!(bench.wants(|effect| matches!(effect, Effect::Probe { .. })), "nothing was heard for four seconds");
    bench.effects.clear();
    bench.tell(Event::Probed { incarnation: incarnation(OTHER), probed: Probed::Answered(incarnation(OTHER)) });
    bench.tell(heartbeat(2));
    bench.pass(Duration::from_secs(2));
    assert!(!bench.wants(|effect| matches!(effect, Effect::Probe { .. })));
}

/// A bench that has fenced the other router, by way of these answers.
fn fences(answers: &[Answer]) -> Bench {
    let mut bench = Bench::beside_another();
    bench.tell(Event::Unreachable(incarnation(OTHER)));
    let probed = Probed::Answered(incarnation(OTHER + 1));
    bench.tell(Event::Probed { incarnation: incarnation(OTHER), probed });
    for answer in answers {
        assert!(!bench.wants(|effect| matches!(effect, Effect::Call { call: Call::Claim { .. }, .. })));
        bench.pass(Duration::from_secs(2));
        bench.answer(|call| matches!(call, Call::Fence(_)) || is_insert(call), answer.clone());
    }
    bench
}

#[test]
fn a_fence_is_applied_before_anything_is_claimed() {
    for answers in [
        &[Answer::Applied][..],
        &[Answer::Unknown, Answer::Applied],
        // There is no row: one is put that says so, or there is one by then.
        &[Answer::Refused, Answer::Applied],
        &[Answer::Refused, Answer::Unknown, Answer::Applied],
        &[Answer::Refused, Answer::Refused, Answer::Applied],
    ] {
        let mut bench = fences(answers);
        bench.answer(|call| is_first_cell(call, Level::Quorum), first_cell(OTHER, 1));
        bench.answer(is_claim, Answer::Applied);
        assert_eq!(bench.machine.owned_count(), 64, "{answers:?}");
    }
    let mut bench = fences(&[Answer::Refused]);
    bench.pass(Duration::from_secs(2));
    let (_, call) = bench.take(is_insert);
    assert!(matches!(call, Call::InsertRouter(row) if row.state == RouterState::Fenced));
}

#[test]
fn who_is_only_seen_to_be_fenced_is_fenced_again() {
    let mut bench = Bench::live();
    bench.answer(|call| *call == Call::ListRouters, Answer::Routers(Vec::new()));
    bench.answer(|call| is_first_cell(call, Level::Quorum), first_cell(OTHER, 1));
    let is_inspection = |call: &Call| matches!(call, Call::ReadRouter { level: Level::Quorum, .. });
    bench.answer(is_inspection, Answer::Router(Some(row(OTHER, RouterState::Fenced))));
    assert!(!bench.wants(|effect| matches!(effect, Effect::Call { call: Call::Claim { .. }, .. })));
    bench.answer(|call| matches!(call, Call::Fence(_)), Answer::Applied);
    bench.answer(|call| is_first_cell(call, Level::Quorum), first_cell(OTHER, 1));
    bench.take(is_claim);
}

#[test]
fn a_refused_batch_is_read_again_and_goes_without_what_moved() {
    for refusal in [Answer::Refused, Answer::Unknown] {
        let mut bench = fences(&[Answer::Applied]);
        bench.answer(|call| is_first_cell(call, Level::Quorum), first_cell(OTHER, 1));
        let Call::Claim { claims, .. } = bench.answer(is_claim, refusal) else { panic!("a claim") };
        assert_eq!(claims.len(), 64);
        bench.pass(Duration::from_secs(1));
        let own = bench.machine.incarnation().number();
        let cell = Cell::new(0).expect("there are 64");
        // The first is won, the second is somebody else's, the third is as it was; the others say what cannot be any more.
        let rows = cell.shards().map(|shard| match shard.number() {
            0 => (shard, holder(own, 2)),
            1 => (shard, holder(OTHER + 5, 2)),
            _ => (shard, holder(OTHER, 1)),
        });
        bench.answer(|call| is_first_cell(call, Level::Serial), Answer::Cell(rows.collect()));
        let (_, call) = bench.take(is_claim);
        let Call::Claim { claims, .. } = call else { panic!("a claim") };
        assert_eq!(claims.len(), 62);
        let to = bench.machine.incarnation();
        assert!(claims.iter().all(|claim| *claim == Claim { from: Some(holder(OTHER, 1)), to, ..*claim }));
        assert_eq!(bench.machine.owned_count(), 1);
    }
}

#[test]
fn whatever_is_answered_nothing_panics() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut bench = Bench::new();
        for _ in 0..400 {
            let number = |random: &mut Random| 1 + random.next() % 3;
            let calls: Vec<CallId> = bench
                .effects
                .drain(..)
                .filter_map(|effect| match effect {
                    Effect::Call { id, .. } => Some(id),
                    _ => None,
                })
                .collect();
            let own = bench.machine.incarnation().number();
            let who = if random.next().is_multiple_of(2) { own } else { number(&mut random) };
            let state = if random.next().is_multiple_of(9) { RouterState::Fenced } else { RouterState::Live };
            let epoch = if random.next().is_multiple_of(20) {
                switchyard_protocol::owner::EPOCH_MAX
            } else {
                number(&mut random)
            };
            for call in calls.into_iter().chain([CallId(random.next() % 50)]) {
                let shard = Shard::new((random.next() % 4_096) as u16).expect("below 4,096");
                let answer = match random.next() % 8 {
                    0 => Answer::Applied,
                    1 => Answer::Refused,
                    2 => Answer::Unknown,
                    3 => Answer::Cell(vec![(shard, holder(who, epoch)); 3]),
                    4 => first_cell(who, epoch),
                    5 => Answer::Router(None),
                    6 => Answer::Router(Some(row(who, state))),
                    _ => Answer::Routers(vec![row(who, state), row(who, state)]),
                };
                bench.tell(Event::Answered { call, answer });
                bench.tell(Event::ShardStopped { shard, epoch: Epoch::FIRST });
            }
            if random.next().is_multiple_of(100) {
                bench.tell(Event::Drain);
            }
            bench.pass(Duration::from_millis(random.next() % 700));
        }
    }
}
