//! Promises about ownership: each transaction is carried out wholly or not at all, once, and a fence is for good.
//!
//! The two tables are shared by all cases, and perhaps with those who ran before on the same data, so each case has a cell of
//! its own and begins with what it finds there.

use std::time::{SystemTime, UNIX_EPOCH};

use switchyard_protocol::id::TenantId;
use switchyard_protocol::owner::{
    Cell, Claim, Epoch, Holder, Incarnation, ROUTER_ADDRESS_BYTES_MAX, RouterRow, RouterState,
};
use switchyard_protocol::shard::Shard;

use super::{Case, Subject, wait};
use crate::ownership::{Level, Outcome};

pub(super) const CASES: &[Case] = &[
    Case { name: "a router starts once", run: starts_once },
    Case { name: "routers are found as they were put", run: found_as_put },
    Case { name: "a fence is for good", run: fence_is_final },
    Case { name: "an absent router is fenced by a row", run: absent_is_fenced },
    Case { name: "one start of an incarnation wins", run: one_start_wins },
    Case { name: "a cell is claimed wholly or not at all", run: wholly_or_not },
    Case { name: "a claim names the epoch that it ends", run: names_the_epoch },
    Case { name: "a claim names the owner that it ends", run: names_the_owner },
    Case { name: "claims that make no sense are refused", run: senseless },
    Case { name: "one claim of an epoch wins", run: one_claim_wins },
    Case { name: "owners and fences are there after a restart", run: across_restarts },
];

/// A number that nobody has used on this data.
fn fresh(subject: &dyn Subject) -> Incarnation {
    let mut bits = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64) << 1;
    loop {
        let incarnation = Incarnation::of_random(bits);
        if router(subject, incarnation, Level::Serial).is_none() {
            return incarnation;
        }
        bits += 2;
    }
}

fn row(incarnation: Incarnation, nonce: u64) -> RouterRow {
    RouterRow { incarnation, state: RouterState::Live, address: "10.0.0.1:7070".to_owned(), nonce }
}

fn insert(subject: &dyn Subject, row: &RouterRow) -> Outcome<RouterRow> {
    wait(subject, subject.ownership().insert_router(row))
}

fn router(subject: &dyn Subject, incarnation: Incarnation, level: Level) -> Option<RouterRow> {
    wait(subject, subject.ownership().router(incarnation, level)).expect("nothing fails here")
}

/// A router that has started.
fn started(subject: &dyn Subject) -> Incarnation {
    let incarnation = fresh(subject);
    assert_eq!(insert(subject, &row(incarnation, 7)), Outcome::Applied);
    incarnation
}

fn fence(subject: &dyn Subject, incarnation: Incarnation) -> Outcome<()> {
    wait(subject, subject.ownership().fence(incarnation))
}

fn is_fenced(subject: &dyn Subject, incarnation: Incarnation) -> bool {
    [Level::Quorum, Level::Serial]
        .iter()
        .all(|&level| router(subject, incarnation, level).is_some_and(|row| row.state == RouterState::Fenced))
}

fn is_listed(subject: &dyn Subject, incarnation: Incarnation) -> bool {
    let rows = wait(subject, subject.ownership().live_routers()).expect("nothing fails here");
    assert!(rows.iter().all(|row| row.state == RouterState::Live), "{rows:?}");
    rows.iter().any(|row| row.incarnation == incarnation)
}

fn claim(subject: &dyn Subject, cell: Cell, claims: &[Claim]) -> Outcome<Vec<(Shard, Holder)>> {
    wait(subject, subject.ownership().claim(cell, claims))
}

/// Who holds the cell. Both levels say the same where nobody writes.
fn holders(subject: &dyn Subject, cell: Cell) -> Vec<(Shard, Holder)> {
    // In this order: the second may carry out what the first has not seen.
    let [serial, quorum] = [Level::Serial, Level::Quorum]
        .map(|level| wait(subject, subject.ownership().cell(cell, level)).expect("nothing fails here"));
    assert_eq!(quorum, serial);
    assert!(quorum.windows(2).all(|two| two[0].0 < two[1].0), "in order, each once: {quorum:?}");
    assert!(quorum.iter().all(|(shard, _)| Cell::of(*shard) == cell), "{quorum:?}");
    quorum
}

fn holder(subject: &dyn Subject, shard: Shard) -> Option<Holder> {
    holders(subject, Cell::of(shard)).into_iter().find(|(of, _)| *of == shard).map(|(_, holder)| holder)
}

/// The cell of a case, and its first shards.
fn cell(number: u8) -> (Cell, [Shard; 3]) {
    let cell = Cell::new(number).expect("there are 64");
    let mut shards = cell.shards();
    (cell, [(); 3].map(|()| shards.next().expect("a cell has 64")))
}

fn claim_of(subject: &dyn Subject, shard: Shard, to: Incarnation) -> Claim {
    Claim { shard, from: holder(subject, shard), to }
}

fn held(claim: &Claim) -> Holder {
    claim.held().expect("epochs are low here")
}

fn starts_once(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let incarnation = fresh(subject);
    assert_eq!(router(subject, incarnation, Level::Quorum), None);
    assert!(!is_listed(subject, incarnation));
    let first = row(incarnation, 1);
    assert_eq!(insert(subject, &first), Outcome::Applied);
    for nonce in [1, 2] {
        let refused = insert(subject, &RouterRow { address: "elsewhere:1".to_owned(), ..row(incarnation, nonce) });
        assert_eq!(refused, Outcome::Refused(first.clone()), "the one that is there, by its nonce");
    }
    assert_eq!(router(subject, incarnation, Level::Quorum), Some(first));
}

fn found_as_put(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    for (nonce, address) in [(u64::MAX, String::new()), (0, "n".repeat(ROUTER_ADDRESS_BYTES_MAX))] {
        let put = RouterRow { address, ..row(fresh(subject), nonce) };
        assert_eq!(insert(subject, &put), Outcome::Applied);
        for level in [Level::Quorum, Level::Serial] {
            assert_eq!(router(subject, put.incarnation, level).as_ref(), Some(&put));
        }
        assert!(is_listed(subject, put.incarnation));
        // Listings have a limit, which other runs on the same data must not come up against.
        assert_eq!(fence(subject, put.incarnation), Outcome::Applied);
        assert_eq!(
            router(subject, put.incarnation, Level::Serial),
            Some(RouterRow { state: RouterState::Fenced, ..put }),
            "nothing else of it changes"
        );
    }
}

fn fence_is_final(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let incarnation = started(subject);
    for _ in 0..2 {
        assert_eq!(fence(subject, incarnation), Outcome::Applied, "the form that is always true");
        assert!(is_fenced(subject, incarnation));
        assert!(!is_listed(subject, incarnation));
    }
    assert!(matches!(insert(subject, &row(incarnation, 9)), Outcome::Refused(row) if row.state == RouterState::Fenced));
    assert!(is_fenced(subject, incarnation));
}

fn absent_is_fenced(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let incarnation = fresh(subject);
    assert_eq!(fence(subject, incarnation), Outcome::Refused(()), "there is no row");
    assert_eq!(router(subject, incarnation, Level::Serial), None, "and none was made");
    let fenced = RouterRow { state: RouterState::Fenced, address: String::new(), ..row(incarnation, 3) };
    assert_eq!(insert(subject, &fenced), Outcome::Applied);
    assert!(is_fenced(subject, incarnation));
    assert!(!is_listed(subject, incarnation));
    assert_eq!(insert(subject, &row(incarnation, 4)), Outcome::Refused(fenced), "a late start finds it");
}

fn one_start_wins(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let incarnation = fresh(subject);
    let outcomes = at_once(|nonce| insert(subject, &row(incarnation, nonce)));
    let won: Vec<usize> = applied(&outcomes);
    let there = router(subject, incarnation, Level::Serial).expect("one of them");
    assert!(won.len() <= 1, "{outcomes:?}");
    assert!(won.iter().all(|nonce| there.nonce == *nonce as u64), "{outcomes:?}: {there:?}");
    assert_eq!(fence(subject, incarnation), Outcome::Applied);
}

/// What four do at the same time.
fn at_once<T: Send>(each: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn({
                    let each = &each;
                    move || each(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

/// Where it was carried out for sure. Whoever meets another one may be told that it is unknown.
fn applied<T: PartialEq>(outcomes: &[Outcome<T>]) -> Vec<usize> {
    outcomes.iter().enumerate().filter(|(_, outcome)| **outcome == Outcome::Applied).map(|(at, _)| at).collect()
}

fn wholly_or_not(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let (cell, shards) = cell(1);
    let [one, other] = [started(subject), started(subject)];
    let before = holders(subject, cell);
    let all: Vec<Claim> = cell.shards().map(|shard| claim_of(subject, shard, one)).collect();
    assert_eq!(claim(subject, cell, &all), Outcome::Applied, "a whole cell at once; before: {before:?}");
    let expected: Vec<_> = all.iter().map(|claim| (claim.shard, held(claim))).collect();
    assert_eq!(holders(subject, cell), expected);

    // One of three has moved, so none of them does.
    let three = shards.map(|shard| claim_of(subject, shard, other));
    let moved = claim_of(subject, shards[1], one);
    assert_eq!(claim(subject, cell, &[moved]), Outcome::Applied);
    let refused = claim(subject, cell, &three);
    let truth = holders(subject, cell);
    assert!(
        matches!(&refused, Outcome::Refused(found) if found.iter().all(|row| truth.contains(row))),
        "what it tells is so: {refused:?}"
    );
    assert_eq!(truth.iter().filter(|(_, holder)| holder.incarnation == other).count(), 0);
    // Without it they do.
    assert_eq!(claim(subject, cell, &[three[0], three[2]]), Outcome::Applied);
    assert_eq!(shards.map(|shard| holder(subject, shard)), [held(&three[0]), held(&moved), held(&three[2])].map(Some));
    retire(subject, &[one, other]);
}

/// Fences routers of a case, lest later listings be full of them.
fn retire(subject: &dyn Subject, routers: &[Incarnation]) {
    for incarnation in routers {
        assert_eq!(fence(subject, *incarnation), Outcome::Applied);
    }
}

fn names_the_epoch(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let (cell, [shard, ..]) = cell(2);
    let [one, other] = [started(subject), started(subject)];
    let first = claim_of(subject, shard, one);
    assert_eq!(claim(subject, cell, &[first]), Outcome::Applied);
    let again = claim_of(subject, shard, one);
    assert_eq!(claim(subject, cell, &[again]), Outcome::Applied, "its own shard, a new epoch");
    assert!(held(&again).epoch > held(&first).epoch);
    // The owner is the same, the epoch is not: a late claim.
    let late = Claim { shard, from: Some(held(&first)), to: other };
    assert!(matches!(claim(subject, cell, &[late]), Outcome::Refused(_)));
    assert!(matches!(claim(subject, cell, &[first]), Outcome::Refused(_)), "nor is one carried out twice");
    assert_eq!(holder(subject, shard), Some(held(&again)));
    retire(subject, &[one, other]);
}

fn names_the_owner(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let (cell, [shard, ..]) = cell(3);
    let [one, other] = [started(subject), started(subject)];
    let first = claim_of(subject, shard, one);
    assert_eq!(claim(subject, cell, &[first]), Outcome::Applied);
    let mistaken = Holder { incarnation: other, epoch: held(&first).epoch };
    assert!(matches!(claim(subject, cell, &[Claim { shard, from: Some(mistaken), to: other }]), Outcome::Refused(_)));
    let anew = Claim { shard, from: None, to: other };
    assert!(matches!(claim(subject, cell, &[anew]), Outcome::Refused(_)), "there is a row");
    assert_eq!(holder(subject, shard), Some(held(&first)));
    retire(subject, &[one, other]);
}

fn senseless(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let (cell, [shard, next, _]) = cell(4);
    let (_, [elsewhere, ..]) = self::cell(5);
    let router = started(subject);
    let before = [holders(subject, cell), holders(subject, Cell::of(elsewhere))];
    let good = claim_of(subject, next, router);
    let strange = claim_of(subject, elsewhere, router);
    let [last, never] = [u64::MAX, 0].map(|low| {
        let epoch = Epoch::new(low.clamp(1, switchyard_protocol::owner::EPOCH_MAX)).expect("within limits");
        Claim { shard, from: Some(Holder { incarnation: router, epoch }), to: router }
    });
    for claims in [&[][..], &[good, strange], &[good, good], &[good, last], &[good, never]] {
        assert!(matches!(claim(subject, cell, claims), Outcome::Refused(_)), "{claims:?}");
    }
    assert_eq!([holders(subject, cell), holders(subject, Cell::of(elsewhere))], before);
    retire(subject, &[router]);
}

fn one_claim_wins(subject: &mut dyn Subject, _: TenantId) {
    let subject = &*subject;
    let (cell, [shard, next, _]) = cell(6);
    let routers = [(); 4].map(|()| started(subject));
    for _ in 0..5 {
        let claims = routers.map(|router| [shard, next].map(|shard| claim_of(subject, shard, router)));
        let outcomes = at_once(|number| claim(subject, cell, &claims[number as usize]));
        let won = applied(&outcomes);
        assert!(won.len() <= 1, "{outcomes:?}");
        let rows = holders(subject, cell);
        let now = [shard, next].map(|shard| rows.iter().find(|row| row.0 == shard).map(|row| row.1));
        if let [won] = won[..] {
            assert_eq!(now, [0, 1].map(|at| Some(held(&claims[won][at]))), "{outcomes:?}");
        }
        let [a, b] = now.map(|holder| holder.map(|holder| holder.incarnation));
        assert_eq!(a, b, "both or none: {outcomes:?}");
    }
    retire(subject, &routers);
}

fn across_restarts(subject: &mut dyn Subject, _: TenantId) {
    let (cell, [shard, next, free]) = cell(7);
    let [live, fenced] = [started(subject), started(subject)];
    let claims = [claim_of(subject, shard, live), claim_of(subject, next, fenced)];
    assert_eq!(claim(subject, cell, &claims), Outcome::Applied);
    assert_eq!(fence(subject, fenced), Outcome::Applied);
    let was = holder(subject, free);
    subject.reopen();
    let subject = &*subject;
    assert!(is_fenced(subject, fenced), "for good");
    for incarnation in [live, fenced] {
        assert!(matches!(insert(subject, &row(incarnation, 8)), Outcome::Refused(_)), "neither starts again");
    }
    // A store that one process has for itself may have fenced whoever was live, and say that another dead one holds the shard,
    // but in no epoch that was before.
    for claim in claims {
        let now = holder(subject, claim.shard).expect("it is held");
        let same = now == held(&claim);
        assert!(same || (now.epoch >= held(&claim).epoch && is_fenced(subject, now.incarnation)), "{now:?} {claim:?}");
    }
    let [was, now] = [was, holder(subject, free)].map(|holder| holder.map(|holder| holder.epoch));
    assert!(now >= was, "epochs never fall");
    let successor = started(subject);
    let again = claims.map(|claim| claim_of(subject, claim.shard, successor));
    assert_eq!(claim(subject, cell, &again), Outcome::Applied);
    for (before, after) in claims.iter().zip(&again) {
        assert!(held(after).epoch > held(before).epoch);
    }
    assert_eq!(fence(subject, live), Outcome::Applied, "it may have been live");
    retire(subject, &[successor]);
}
