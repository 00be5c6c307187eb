//! Adoption of what owners before have left: rows that nobody confirmed, in whole batches and in parts of them.

use futures_executor::block_on;
use switchyard_store::{Log, ReadError};

use crate::support::{append, batch, bodies, bodies_to, conversation, store};

#[test]
fn rows_that_follow_are_adopted_and_others_are_left_out() {
    let store = store();
    let key = conversation("adopted");
    append(&store, batch(&key, 1, 0, 3, "first"));
    // Never confirmed, and perhaps on one node alone when the second owner adopted: it did not see them, and wrote its own.
    append(&store, batch(&key, 1, 3, 4, "first"));
    append(&store, batch(&key, 2, 3, 2, "second"));
    assert_eq!(block_on(store.head(&key, 0)), Ok(Some(6)), "they are there still");
    // Row 5 is of a batch whose beginning was replaced, so it does not follow.
    assert_eq!(block_on(store.adopt(&key, 3, 0)), Ok(Some(4)));
    let adopted = ["first 0", "first 1", "first 2", "second 3", "second 4"];
    assert_eq!(bodies_to(&store, &key, 4), adopted);
    // A whole batch of an earlier owner follows, if it was not replaced: it may have been acknowledged.
    append(&store, batch(&key, 3, 5, 1, "third"));
    append(&store, batch(&key, 1, 6, 2, "first"));
    assert_eq!(block_on(store.adopt(&key, 4, 4)), Ok(Some(7)));
    let now = [&adopted[..], &["third 5", "first 6", "first 7"]].concat();
    assert_eq!(bodies(&store, &key), now);
    // Whatever any of them still has on its way changes nothing.
    append(&store, batch(&key, 1, 5, 2, "late"));
    append(&store, batch(&key, 2, 0, 8, "late"));
    append(&store, batch(&key, 3, 6, 2, "late"));
    assert_eq!(bodies(&store, &key), now);
    assert_eq!(block_on(store.adopt(&key, 5, 0)), Ok(Some(7)));
    assert_eq!(bodies(&store, &key), now);
}

#[test]
fn rows_before_the_first_batch_are_no_beginning() {
    let store = store();
    let key = conversation("no beginning");
    append(&store, batch(&key, 1, 1, 2, "without a founding"));
    assert_eq!(block_on(store.adopt(&key, 2, 0)), Ok(None));
    append(&store, batch(&key, 2, 0, 1, "founding"));
    assert_eq!(bodies_to(&store, &key, 0), ["founding 0"]);
}

#[test]
fn an_owner_that_was_replaced_adopts_nothing() {
    let store = store();
    let key = conversation("replaced");
    append(&store, batch(&key, 7, 0, 3, "seventh"));
    let refused = block_on(store.adopt(&key, 6, 0));
    assert!(matches!(refused, Err(ReadError::Unavailable(_))), "{refused:?}");
    assert_eq!(bodies(&store, &key), ["seventh 0", "seventh 1", "seventh 2"]);
}

#[test]
fn many_who_ask_at_once_adopt_once() {
    let store = store();
    let key = conversation("asked at once");
    append(&store, batch(&key, 1, 0, 100, "x"));
    block_on(store.barrier()).expect("it is live");
    // Another router's, so that what the first one still notes is not counted.
    let store = self::store();
    let before = store.statements_sent();
    let heads = block_on(futures_util::future::join_all((0..20).map(|_| store.adopt(&key, 2, 0))));
    assert_eq!(heads, vec![Ok(Some(99)); 20]);
    let sent = store.statements_sent() - before;
    assert!(sent <= 2 * 6, "{sent} statements: two adoptions at most, where some asked after the first was done");
}
