//! Adoption of what owners before have left: rows that nobody confirmed, in whole batches and in parts of them; what it gives
//! beside the head, and what it costs.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::cql::Cql;
use switchyard_store::{Batch, Damage, Direction, Log, ReadError, ReadRange, Row, Seq};

use crate::support::{adopt, append, batch, bodies, bodies_to, conversation, store};

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
    assert_eq!(adopt(&store, &key, 3, 0), Ok(Some(4)));
    let adopted = ["first 0", "first 1", "first 2", "second 3", "second 4"];
    assert_eq!(bodies_to(&store, &key, 4), adopted);
    // A whole batch of an earlier owner follows, if it was not replaced: it may have been acknowledged.
    append(&store, batch(&key, 3, 5, 1, "third"));
    append(&store, batch(&key, 1, 6, 2, "first"));
    assert_eq!(adopt(&store, &key, 4, 4), Ok(Some(7)));
    let now = [&adopted[..], &["third 5", "first 6", "first 7"]].concat();
    assert_eq!(bodies(&store, &key), now);
    // Whatever any of them still has on its way changes nothing.
    append(&store, batch(&key, 1, 5, 2, "late"));
    append(&store, batch(&key, 2, 0, 8, "late"));
    append(&store, batch(&key, 3, 6, 2, "late"));
    assert_eq!(bodies(&store, &key), now);
    assert_eq!(adopt(&store, &key, 5, 0), Ok(Some(7)));
    assert_eq!(bodies(&store, &key), now);
}

#[test]
fn rows_before_the_first_batch_are_no_beginning() {
    let store = store();
    let key = conversation("no beginning");
    append(&store, batch(&key, 1, 1, 2, "without a founding"));
    assert_eq!(adopt(&store, &key, 2, 0), Ok(None));
    append(&store, batch(&key, 2, 0, 1, "founding"));
    assert_eq!(bodies_to(&store, &key, 0), ["founding 0"]);
}

#[test]
fn an_owner_that_was_replaced_adopts_nothing() {
    let store = store();
    let key = conversation("replaced");
    append(&store, batch(&key, 7, 0, 3, "seventh"));
    let refused = adopt(&store, &key, 6, 0);
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
    let heads: Vec<_> = heads.into_iter().map(|adopted| adopted.map(|adopted| adopted.map(|it| it.head))).collect();
    assert_eq!(heads, vec![Ok(Some(99)); 20]);
    let sent = store.statements_sent() - before;
    assert!(sent <= 2 * 6, "{sent} statements: two adoptions at most, where some asked after the first was done");
}

/// Adopts from a number that is known; the bodies of what is given, and the statements that it took.
fn given(store: &Cql, key: &ConversationKey, epoch: u64, at_least: Seq) -> (Vec<String>, u64) {
    let before = store.statements_sent();
    let adopted = block_on(store.adopt(key, epoch, at_least)).expect("it is adopted").expect("rows are there");
    let sent = store.statements_sent() - before;
    assert_eq!(adopted.newest.last().map(|(seq, _)| *seq), Some(adopted.head));
    let bodies = adopted.newest.iter().map(|(seq, blob)| Row::decode(key, *seq, blob).expect("it is intact").body);
    (bodies.map(|body| String::from_utf8(body.to_vec()).expect("a text")).collect(), sent)
}

fn texts(text: &str, seqs: impl Iterator<Item = Seq>) -> Vec<String> {
    seqs.map(|seq| format!("{text} {seq}")).collect()
}

#[test]
fn an_adoption_costs_as_few_statements_as_it_can_and_gives_what_it_read() {
    // What the one writes it confirms nowhere, so that it notes nothing.
    let (store, writer) = (store(), store());
    let key = conversation("adoption's cost");
    append(&writer, batch(&key, 1, 0, 1, "x"));
    append(&writer, batch(&key, 1, 1, 20, "x"));
    // Bounds, rows, the same rows again, and a barrier; no note of so few.
    assert_eq!(given(&store, &key, 2, 0), (texts("x", 0..21), 4));
    // Where there is nothing above, they are read and nothing is written.
    assert_eq!(given(&store, &key, 2, 20), (texts("x", 20..21), 2));
    append(&writer, batch(&key, 2, 21, 3, "x"));
    assert_eq!(given(&store, &key, 3, 20), (texts("x", 20..24), 4));
    // From 32 on it is noted, so that the next owner begins there. What lies between that and what is known comes with it.
    append(&writer, batch(&key, 3, 24, 9, "x"));
    assert_eq!(given(&store, &key, 4, 20), (texts("x", 20..33), 5));
    assert_eq!(given(&store, &key, 5, 1), (texts("x", 1..33), 2));
    // If it is too far for one statement, it is left out.
    append(&writer, batch(&key, 5, 33, 100, "x"));
    let (rows, _) = given(&store, &key, 6, 32);
    assert_eq!(rows, texts("x", 32..133));
    assert_eq!(given(&store, &key, 7, 1), (texts("x", 132..133), 2));
}

#[test]
fn what_is_given_over_a_buckets_end_has_no_hole() {
    let (store, writer) = (store(), store());
    let key = conversation("given over buckets");
    for first in (0..1_000).step_by(100) {
        append(&writer, batch(&key, 1, first, 100, "x"));
    }
    append(&writer, batch(&key, 1, 1_000, 30, "x"));
    assert_eq!(given(&store, &key, 2, 990).0, texts("x", 990..1_030));
    assert_eq!(
        given(&store, &key, 3, 999).0,
        texts("x", 1_029..1_030),
        "the number that was noted lies in the next one"
    );
}

#[test]
fn damage_below_what_is_known_is_left_to_who_reads_it_and_above_is_an_error() {
    let (store, writer) = (store(), store());
    let key = conversation("given and damaged");
    let damaged = |epoch, seq| {
        let rows = vec![Bytes::from_static(b"\x01damaged")];
        append(&writer, Batch { key: key.clone(), epoch, first: seq, rows });
    };
    append(&writer, batch(&key, 1, 0, 40, "x"));
    assert_eq!(given(&store, &key, 2, 0).0, texts("x", 0..40));
    // The number 39 is noted.
    damaged(3, 20);
    assert_eq!(given(&store, &key, 3, 5).0, texts("x", 21..40), "what follows the damage");
    let range = ReadRange { from: 5, to: 39, direction: Direction::Forward, rows_max: 99, bytes_max: usize::MAX };
    let read = block_on(store.read(&key, range));
    let corrupt = |seq| ReadError::Corrupt { key: key.clone(), seq, reason: Damage::Checksum };
    assert_eq!(read, Err(corrupt(20)));
    append(&writer, batch(&key, 3, 40, 3, "x"));
    damaged(4, 41);
    assert_eq!(adopt(&store, &key, 4, 5), Err(corrupt(41)));
    damaged(5, 39);
    assert_eq!(adopt(&store, &key, 5, 5), Err(corrupt(39)));
}

#[test]
fn late_rows_of_owners_before_are_not_given() {
    let (store, writer) = (store(), store());
    let key = conversation("given and late");
    append(&writer, batch(&key, 1, 0, 40, "first"));
    assert_eq!(given(&store, &key, 2, 0).0, texts("first", 0..40));
    append(&writer, batch(&key, 2, 40, 2, "second"));
    // The first owner's, with the numbers that the second one took and beyond.
    append(&writer, batch(&key, 1, 30, 10, "late"));
    append(&writer, batch(&key, 1, 40, 5, "late"));
    let rows = [texts("first", 10..40), texts("second", 40..42)].concat();
    assert_eq!(given(&store, &key, 3, 10).0, rows);
    append(&writer, batch(&key, 1, 0, 45, "later"));
    assert_eq!(given(&store, &key, 4, 10).0, rows);
}
