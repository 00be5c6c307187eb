//! What things cost, counted in statements: that does not depend on the machine.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_store::cql::Cql;
use switchyard_store::{
    Batch, DecisionPlace, Direction, Log, Mark, Marks, Outcome, ProjectionWrite, Projections, ReadRange, Seq,
};

use crate::support::{batch, conversation, store};

/// The rows of the long timeline: 30 buckets.
const ROWS: u64 = 30_000;

fn cost<T>(store: &Cql, what: impl FnOnce() -> T) -> (T, u64) {
    let before = store.statements_sent();
    let done = what();
    (done, store.statements_sent() - before)
}

/// Statements that did this with a table.
fn sent_to(store: &Cql, table: &str, operation: &str) -> u64 {
    let sent = store.statements_sent_by_table().into_iter();
    sent.filter(|sent| sent.table == table && sent.operation == operation).map(|sent| sent.count).sum()
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
        ConversationKey { tenant: tenant.clone(), conversation }
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
    // Some of them look whether a part is full.
    let counts = sent_to(&store, "conversation_of_user", "read") - 250;
    assert_eq!(sent - counts, 750, "two listings each, once, and where the user's lies");
    assert!(counts < 30, "{counts} of 250");
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

/// The first part says how many there are.
#[test]
fn lists_in_parts_cost_a_statement_for_each_part() {
    // Whoever writes counts each time, and whoever reads has noted nothing.
    let (store, writer) = (store(), store().with_parts_of(10, 1));
    let tenant = conversation("cost of parts").tenant;
    let user = UserId::new("ann").expect("a short name");
    let home = ConversationKey::home(&tenant, &user);
    let place = |about: u8| DecisionPlace { home: home.clone(), kind: 0, about: Bytes::copy_from_slice(&[about]) };
    let write = |store: &Cql, from: u8, to: u8| {
        for number in from..to {
            let key =
                ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes([number; 16]) };
            let list = key.conversation;
            let value = Some(Bytes::new());
            let member = ProjectionWrite::Member { key, list, user: user.clone(), at: 0, value };
            let decision = ProjectionWrite::Decision { place: place(number), at: 0, value: Some(Bytes::new()) };
            block_on(store.write(&[member, decision])).expect("nothing fails here");
        }
    };
    let read = |parts: u64, rows: usize| {
        let (found, sent) =
            cost(&store, || block_on(store.conversations_of(&tenant, &user)).expect("nothing is damaged"));
        assert_eq!((found.len(), sent), (rows, parts), "conversations in {parts} parts");
        let (found, sent) = cost(&store, || block_on(store.decisions(&home)).expect("nothing is damaged"));
        assert_eq!((found.len(), sent), (rows, parts), "decisions in {parts} parts");
        let places = [place(0), place(200), place(5)];
        let (found, sent) = cost(&store, || block_on(store.decided(&places)).expect("nothing is damaged"));
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(sent, 3 * parts, "certain decisions in {parts} parts");
    };
    let (_, sent) = cost(&writer, || write(&writer, 0, 9));
    assert_eq!(sent, 9 * 7, "a member and a decision: where each lies, three listings, and two counts");
    read(1, 9);
    let (_, sent) = cost(&writer, || write(&writer, 9, 10));
    assert_eq!(sent, 7 + 2, "it is noted that the next parts begin");
    write(&writer, 10, 25);
    read(3, 25);
    // Who has not noted it notes once that there are parts to write to.
    let next = self::store().with_parts_of(10, u64::MAX);
    let notes = || sent_to(&next, "conversation_of_user", "write") + sent_to(&next, "decision", "write");
    write(&next, 25, 26);
    assert_eq!(notes(), 2);
    write(&next, 26, 30);
    assert_eq!(notes(), 2, "the rows themselves lie elsewhere");
}
