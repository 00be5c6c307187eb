//! What things cost, counted in statements: that does not depend on the machine.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, UserId};
use switchyard_store::cql::Cql;
use switchyard_store::{Batch, Direction, Log, Mark, Marks, Outcome, ProjectionWrite, Projections, ReadRange, Seq};

use crate::support::{batch, conversation, store};

/// The rows of the long timeline: 30 buckets.
const ROWS: u64 = 30_000;

fn cost<T>(store: &Cql, what: impl FnOnce() -> T) -> (T, u64) {
    let before = store.statements_sent();
    let done = what();
    (done, store.statements_sent() - before)
}

#[test]
fn a_page_costs_the_same_anywhere() {
    let store = store();
    let key = conversation("long");
    let batches: Vec<Batch> = (0..ROWS).step_by(100).map(|first| batch(&key, 1, first, 100, "x")).collect();
    for some in batches.chunks(20) {
        assert!(block_on(store.append(some)).iter().all(|outcome| *outcome == Outcome::Stored));
        block_on(store.barrier()).expect("it is live");
    }
    // Another router's, so that what the first one still notes is not counted.
    let store = self::store();
    let page = |from: Seq, direction| {
        let to = from + 49;
        let range = ReadRange { from, to, direction, rows_max: 50, bytes_max: usize::MAX };
        let (rows, sent) = cost(&store, || block_on(store.read(&key, range)).expect("the rows are intact"));
        assert_eq!(rows.len(), 50);
        sent
    };
    for direction in [Direction::Forward, Direction::Backward] {
        for from in [0, 1, 500, 950, 1_000, 14_321, 28_950, ROWS - 50] {
            assert_eq!(page(from, direction), 1, "{from} {direction:?}");
        }
        for from in [951, 999, 28_980] {
            assert_eq!(page(from, direction), 2, "{from} {direction:?}: over a bucket's end");
        }
    }
    // From the end down, where the reader does not know it.
    let newest =
        ReadRange { from: 0, to: Seq::MAX, direction: Direction::Backward, rows_max: 50, bytes_max: usize::MAX };
    let (rows, sent) = cost(&store, || block_on(store.read(&key, newest)).expect("the rows are intact"));
    assert_eq!(rows.first().map(|(seq, _)| *seq), Some(ROWS - 1));
    assert!(sent <= 12, "{sent} statements for the newest page");
    let (head, sent) = cost(&store, || block_on(store.head(&key, ROWS - 40)));
    assert_eq!(head, Ok(Some(ROWS - 1)));
    assert!(sent <= 3, "{sent} statements for a head of which much is known");
}

#[test]
fn messages_cost_a_statement_for_each_batch_and_one_for_all() {
    let store = store();
    let tenant = conversation("cheap").tenant;
    let keys = (0..40u8).map(|number| {
        let conversation = ConversationId::from_bytes([number; 16]);
        switchyard_protocol::id::ConversationKey { tenant: tenant.clone(), conversation }
    });
    let batches: Vec<Batch> = keys.map(|key| batch(&key, 1, 0, 10, "x")).collect();
    let (outcomes, sent) = cost(&store, || {
        let outcomes = block_on(store.append(&batches));
        block_on(store.barrier()).expect("it is live");
        outcomes
    });
    assert_eq!(outcomes, vec![Outcome::Stored; 40]);
    assert_eq!(sent, 41, "400 messages");
}

#[test]
fn nothing_is_written_for_each_member() {
    let store = store();
    let key = conversation("members");
    let user = |number: u32| UserId::new(&format!("user {number}")).expect("a short name");
    let members: Vec<_> = (0..250)
        .map(|number| {
            let value = Some(Bytes::from_static(b"in"));
            ProjectionWrite::Member { key: key.clone(), list: key.conversation, user: user(number), at: 0, value }
        })
        .collect();
    let ((), sent) = cost(&store, || block_on(store.write(&members)).expect("nothing fails here"));
    assert_eq!(sent, 500, "two listings each, once");
    let (found, sent) = cost(&store, || block_on(store.members(&key)).expect("nothing is damaged"));
    assert_eq!((found.len(), sent), (250, 3), "pages of 100");
    let marks: Vec<_> = (0..100)
        .map(|number| Mark { key: key.clone(), user: user(number), kind: 0, at: 5, value: Bytes::new() })
        .collect();
    let ((), sent) = cost(&store, || block_on(store.raise(&marks)).expect("nothing fails here"));
    assert_eq!(sent, 2, "a statement for 50");
    let outcome = block_on(store.append(&[batch(&key, 1, 0, 1, "to all")]));
    assert_eq!(outcome, [Outcome::Stored]);
}
