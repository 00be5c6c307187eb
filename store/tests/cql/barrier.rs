//! The fence: whoever was replaced confirms nothing any more.

use futures_executor::block_on;
use switchyard_store::cql::Cql;
use switchyard_store::ownership::{Outcome, Ownership};
use switchyard_store::{BarrierError, Log, ReadError};

use crate::support::{append, batch, bodies, conversation, incarnation, live, options, store};

#[test]
fn a_fenced_router_confirms_nothing() {
    let other = store();
    let store = Cql::open(&options()).expect("the store opens");
    let unserved = block_on(store.barrier());
    assert!(matches!(unserved, Err(BarrierError::Unavailable(_))), "{unserved:?}");
    let (first, second) = (incarnation(), incarnation());
    store.serve(first);
    assert!(matches!(block_on(store.barrier()), Err(BarrierError::Unavailable(_))), "it has no row");
    assert_eq!(block_on(store.insert_router(&live(first))), Outcome::Applied);
    assert_eq!(block_on(store.barrier()), Ok(()));
    assert_eq!(block_on(other.fence(first)), Outcome::Applied);
    let key = conversation("fenced");
    append(&store, batch(&key, 1, 0, 1, "unconfirmed"));
    for _ in 0..3 {
        assert_eq!(block_on(store.barrier()), Err(BarrierError::Fenced));
    }
    let before = store.statements_sent();
    assert_eq!(block_on(store.barrier()), Err(BarrierError::Fenced));
    assert_eq!(store.statements_sent(), before, "that is for good, and not asked again");
    // Nor does it adopt, or drop, what the next owner may need.
    let adopted = block_on(store.adopt(&key, 2, 0));
    assert!(matches!(adopted, Err(ReadError::Unavailable(_))), "{adopted:?}");
    // The next start of the same process is another router.
    assert_eq!(block_on(store.insert_router(&live(second))), Outcome::Applied);
    store.serve(second);
    assert_eq!(block_on(store.barrier()), Ok(()));
}

/// What was adopted without a barrier is not taken for confirmed the second time, though it has the adopter's own epoch then.
#[test]
fn a_fenced_router_does_not_adopt_what_it_wrote_again_before() {
    let (before, next) = (store(), store());
    let store = Cql::open(&options()).expect("the store opens");
    let key = conversation("adopted twice");
    append(&before, batch(&key, 1, 0, 2, "never confirmed"));
    let adopted = block_on(store.adopt(&key, 2, 0));
    assert!(matches!(adopted, Err(ReadError::Unavailable(_))), "there is no barrier yet: {adopted:?}");
    let mine = incarnation();
    assert_eq!(block_on(store.insert_router(&live(mine))), Outcome::Applied);
    store.serve(mine);
    assert_eq!(block_on(next.fence(mine)), Outcome::Applied);
    let adopted = block_on(store.adopt(&key, 2, 0));
    assert!(matches!(adopted, Err(ReadError::Unavailable(_))), "{adopted:?}");
}

#[test]
fn a_fenced_router_drops_nothing() {
    let (store, other) = (store(), store());
    let key = conversation("fenced, and drops");
    for first in (0..1_100).step_by(100) {
        append(&store, batch(&key, 1, first, 100, "kept"));
    }
    let mine = incarnation();
    assert_eq!(block_on(store.insert_router(&live(mine))), Outcome::Applied);
    store.serve(mine);
    assert_eq!(block_on(other.fence(mine)), Outcome::Applied);
    let trimmed = block_on(store.trim(&key, 1_050));
    assert!(matches!(trimmed, Err(ReadError::Unavailable(_))), "{trimmed:?}");
    assert_eq!(bodies(&other, &key).len(), 1_000, "every row is there, as many as a page has");
}

#[test]
fn one_read_serves_all_who_wait() {
    let store = store();
    let round = || {
        let before = store.statements_sent();
        let answers = block_on(futures_util::future::join_all((0..500).map(|_| store.barrier())));
        assert_eq!(answers, vec![Ok(()); 500]);
        store.statements_sent() - before
    };
    // Who asks may be held up in the middle of it, and then they have not come at once.
    let sent = (0..10).map(|_| round()).min().expect("ten rounds");
    assert!(sent <= 3, "{sent} reads for 500 who came at once");
}
