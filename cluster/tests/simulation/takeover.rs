//! How long a take-over takes: all shards of a dead owner, at the store's own pace.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use switchyard_cluster::now::Now;
use switchyard_cluster::ownership::config::{CELL_CALLS_MAX, FENCING_CALLS_MAX};
use switchyard_cluster::ownership::{Answer, Call, Config, Effect, Event, Heartbeat, Ownership, Probed};
use switchyard_protocol::owner::{Cell, Claim, Epoch, Incarnation, RouterRow, RouterState};
use switchyard_protocol::shard::{SHARDS, Shard};
use switchyard_store::rules::Rules;

use super::plan::{MS, SECOND, Time};
use super::rng::Rng;
use super::tables::Tables;

/// What a third of a small cluster owns.
const LOST: u16 = 1_408;

/// From the fence to the last claim.
const TIME_MAX: Time = 2 * SECOND;

fn router(number: u64) -> RouterRow {
    let incarnation = Incarnation::new(number).expect("not 0");
    RouterRow { incarnation, state: RouterState::Live, address: format!("r{number}:1"), nonce: number }
}

/// A dead router that owns so many shards, and a living one that owns the others and is about to go.
fn tables(dead: &RouterRow, other: &RouterRow) -> Tables {
    let mut tables = Tables::new(Rules::default());
    for row in [dead, other] {
        assert!(tables.transact(&Call::InsertRouter(row.clone()), [0, 1], |_, _| {}).is_ok());
    }
    for cell in Cell::all() {
        let to = |shard: Shard| {
            // In every cell some.
            let is_lost = shard.number() * 11 % 32 < 11 && shard.number() < LOST / 11 * 32;
            if is_lost { dead.incarnation } else { other.incarnation }
        };
        let claims = cell.shards().map(|shard| Claim { shard, from: None, to: to(shard) }).collect();
        let decided = tables.transact(&Call::Claim { cell, claims }, [0, 1], |_, _| {}).expect("nobody had them");
        (0..3).for_each(|replica| tables.learn(decided, replica));
    }
    tables
}

#[test]
fn all_shards_of_a_dead_owner_are_claimed_in_two_seconds() {
    let (dead, other) = (router(1), router(2));
    let mut tables = tables(&dead, &other);
    let mut rng = Rng::new(1);
    let mut machine = Ownership::new(Config::default(), "r3:1".to_owned(), 3);
    let mut queue = BinaryHeap::new();
    let (mut events, mut effects) = (vec![Event::Tick, Event::Redis { reachable: true }], Vec::new());
    let (mut now, mut number, mut under_way, mut most) = (0, 0_u64, 0, 0);
    let (mut fenced, mut done, mut owned) = (None, 0, HashSet::new());
    let mut answers = Vec::new();
    while owned.len() < usize::from(LOST) {
        assert!(now < 20 * SECOND, "{} shards are owned after 20 s", owned.len());
        for event in events.drain(..) {
            machine.handle(Now { mono: Duration::from_micros(now), wall_ms: now / MS }, event, &mut effects);
        }
        for effect in effects.drain(..) {
            let (after, event) = match effect {
                Effect::Call { id: call, call: what } => {
                    under_way += 1;
                    most = most.max(under_way);
                    let is_read = matches!(what, Call::ReadCell { .. } | Call::ReadRouter { .. } | Call::ListRouters);
                    let answer = if is_read {
                        tables.read(&what, [0, 1])
                    } else if let Ok(decided) = tables.transact(&what, [0, 1], |_, _| {}) {
                        (0..3).for_each(|replica| tables.learn(decided, replica));
                        Answer::Applied
                    } else {
                        Answer::Refused
                    };
                    if matches!(what, Call::Fence(_)) {
                        fenced = Some(now);
                    }
                    let after = if is_read { rng.within(MS, 3 * MS) } else { rng.within(10 * MS, 25 * MS) };
                    (after, Event::Answered { call, answer })
                }
                Effect::Probe { incarnation, .. } if incarnation == dead.incarnation => {
                    (SECOND, Event::Probed { incarnation, probed: Probed::Failed })
                }
                Effect::Probe { incarnation, .. } => {
                    (MS, Event::Probed { incarnation, probed: Probed::Answered(incarnation) })
                }
                Effect::Heartbeat(Heartbeat { beat, .. }) => {
                    let RouterRow { incarnation, address, .. } = other.clone();
                    (MS, Event::Heartbeat(Heartbeat { incarnation, address, beat, draining: true }))
                }
                Effect::Owned { shard, epoch } => {
                    assert_eq!(Some(epoch), Epoch::FIRST.next(), "the dead one had the first");
                    owned.insert(shard);
                    done = now;
                    continue;
                }
                effect => panic!("nothing else is to be done: {effect:?}"),
            };
            number += 1;
            queue.push(Reverse((now + after, number, answers.len())));
            answers.push(event);
        }
        let due = Time::try_from(machine.wakes_at().as_nanos().div_ceil(1_000)).unwrap_or(Time::MAX);
        match queue.peek() {
            Some(Reverse((at, _, place))) if *at <= due => {
                now = *at;
                let event = answers[*place].clone();
                under_way -= i32::from(matches!(event, Event::Answered { .. }));
                events.push(event);
                queue.pop();
            }
            _ => {
                now = due.max(now);
                events.push(Event::Tick);
            }
        }
    }
    let took = done - fenced.expect("a fence comes first");
    println!("{} of {SHARDS} shards in {} ms, {most} calls at once", owned.len(), took / MS);
    assert!(took <= TIME_MAX, "{} ms", took / MS);
    // Beside them a fence read and a listing.
    assert!(most as usize <= CELL_CALLS_MAX + FENCING_CALLS_MAX + 2, "{most} calls at once");
}
