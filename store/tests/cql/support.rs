//! A keyspace for all tests of this binary, stores in it, and a look at it past the store.

use std::env;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId};
use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};
use switchyard_store::cql::{Cql, Options, migrate};
use switchyard_store::ownership::{self, Ownership};
use switchyard_store::{Batch, Direction, Log, Outcome, ReadError, ReadRange, Row, RowRef, Seq};

/// The environment's name for the cluster's contact points, with commas between them.
const CONTACT_POINTS: &str = "SWITCHYARD_TEST_CQL";

/// A busy machine may stand still for longer than the product waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of the keyspace of this run.
static OPTIONS: LazyLock<Options> = LazyLock::new(|| {
    let options = options_of(&format!("test_{}", since_1970()));
    migrate(&options).expect("the schema is made");
    options
});

fn since_1970() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos()
}

/// Of a keyspace that need not be there.
pub(crate) fn options_of(keyspace: &str) -> Options {
    let points = env::var(CONTACT_POINTS).unwrap_or_else(|_| {
        panic!(
            "{CONTACT_POINTS} is not set: run `cargo xtask test`, or start a cluster with `cargo xtask services` and set \
             the variable as it says"
        )
    });
    let points: Vec<String> = points.split(',').map(str::to_owned).collect();
    let replication = if points.len() < 3 { 1 } else { 3 };
    let (request_timeout, transaction_timeout) = (PATIENCE, PATIENCE);
    let options = Options::new(points, keyspace);
    Options { replication, accept_losses: true, request_timeout, transaction_timeout, ..options }
}

pub(crate) fn options() -> Options {
    OPTIONS.clone()
}

/// A start of a router that nobody else is.
pub(crate) fn incarnation() -> Incarnation {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(since_1970() as u64 >> 1));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Incarnation::new(number).expect("a time of this century")
}

pub(crate) fn live(incarnation: Incarnation) -> RouterRow {
    RouterRow { incarnation, state: RouterState::Live, address: "127.0.0.1:1".to_owned(), nonce: 7 }
}

/// A store of a router that is live.
pub(crate) fn store() -> Cql {
    let store = Cql::open(&options()).expect("the store opens");
    let incarnation = incarnation();
    let row = live(incarnation);
    assert_eq!(block_on(store.insert_router(&row)), ownership::Outcome::Applied);
    store.serve(incarnation);
    store
}

/// A conversation that nobody else has.
pub(crate) fn conversation(test: &str) -> ConversationKey {
    let tenant = TenantId::new(test).expect("a short name");
    ConversationKey { tenant, conversation: ConversationId::from_bytes(*b"a conversation's") }
}

/// A row with a body of its own.
pub(crate) fn row(key: &ConversationKey, epoch: u64, first: Seq, seq: Seq, body: &str) -> Bytes {
    let client_id = format!("c{seq}");
    let row = RowRef {
        epoch,
        first,
        ordinal: seq,
        kind: 1,
        sender: "ann",
        client_id: &client_id,
        time_ms: 1_700_000_000_000 + seq,
        body: body.as_bytes(),
    };
    row.encode(key, seq)
}

/// A batch of so many rows, whose bodies say this and their numbers.
pub(crate) fn batch(key: &ConversationKey, epoch: u64, first: Seq, rows: u64, text: &str) -> Batch {
    let rows = (first..first + rows).map(|seq| row(key, epoch, first, seq, &format!("{text} {seq}"))).collect();
    Batch { key: key.clone(), epoch, first, rows }
}

/// Appends a batch that must be stored.
pub(crate) fn append(store: &Cql, batch: Batch) {
    assert_eq!(block_on(store.append(&[batch])), [Outcome::Stored]);
}

/// Adopts, and the head.
pub(crate) fn adopt(store: &Cql, key: &ConversationKey, epoch: u64, at_least: Seq) -> Result<Option<Seq>, ReadError> {
    Ok(block_on(store.adopt(key, epoch, at_least))?.map(|adopted| adopted.head))
}

/// The bodies of all rows.
pub(crate) fn bodies(store: &Cql, key: &ConversationKey) -> Vec<String> {
    bodies_to(store, key, Seq::MAX)
}

/// The bodies of rows up to a number.
pub(crate) fn bodies_to(store: &Cql, key: &ConversationKey, to: Seq) -> Vec<String> {
    let range = ReadRange { from: 0, to, direction: Direction::Forward, rows_max: 1_000, bytes_max: usize::MAX };
    let rows = block_on(store.read(key, range)).expect("the rows are intact");
    let bodies = rows.iter().map(|(seq, blob)| Row::decode(key, *seq, blob).expect("the row is intact").body);
    bodies.map(|body| String::from_utf8(body.to_vec()).expect("a text")).collect()
}
