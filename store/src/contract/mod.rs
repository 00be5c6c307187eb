//! The contract of the five traits as tests that any store can run unchanged. For tests alone: everything here panics
//! when a promise is broken.
//!
//! A store implements [`Subject`] and calls [`run`] on each of [`CASES`]. Each case works under a tenant of its own, so
//! that one store can serve them all.

mod adoption;
mod durability;
mod epochs;
mod marks;
mod ownership;
mod pages;
mod projections;
mod rows;
mod trim;

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use crate::log::{Batch, Direction, Log, Outcome, ReadError, ReadRange, Seq};
use crate::ownership::Ownership;
use crate::row::{Row, RowRef};
use crate::{BoxFuture, Epochs, Marks, Projections};

/// All that a store keeps, on one value.
pub trait Whole: Log + Projections + Marks + Epochs + Ownership {}

impl<Store: Log + Projections + Marks + Epochs + Ownership> Whole for Store {}

/// A store under test.
pub trait Subject: Sync {
    /// The store, as it is open now.
    fn store(&self) -> &dyn Whole;
    /// Its log.
    fn log(&self) -> &dyn Log {
        self.store()
    }
    /// Its projections.
    fn projections(&self) -> &dyn Projections {
        self.store()
    }
    /// Its marks.
    fn marks(&self) -> &dyn Marks {
        self.store()
    }
    /// Its epochs.
    fn epochs(&self) -> &dyn Epochs {
        self.store()
    }
    /// Its transactions of owners.
    fn ownership(&self) -> &dyn Ownership {
        self.store()
    }
    /// Runs a future to its end; called from several threads at once.
    fn block_on(&self, future: BoxFuture<'_, ()>);
    /// Closes the store and opens the same data again, as a restart would.
    fn reopen(&mut self);
}

/// One promise.
pub struct Case {
    /// What is promised.
    pub name: &'static str,
    run: fn(&mut dyn Subject, TenantId),
}

/// Every promise.
pub const CASES: &[&[Case]] = &[
    rows::CASES,
    pages::CASES,
    trim::CASES,
    projections::CASES,
    marks::CASES,
    epochs::CASES,
    ownership::CASES,
    adoption::CASES,
    durability::CASES,
];

/// Those of [`Ownership`] alone, for a store that keeps nothing else.
pub const OWNERSHIP: &[Case] = ownership::CASES;

/// Runs one case; panics if the promise is broken.
pub fn run(case: &Case, subject: &mut dyn Subject) {
    let tenant = TenantId::new(case.name).expect("a case's name is short");
    (case.run)(subject, tenant);
}

/// A future's value, through the subject's executor.
fn wait<'a, T: Send + 'a>(subject: &dyn Subject, future: BoxFuture<'a, T>) -> T {
    let mut value = None;
    subject.block_on(Box::pin(async { value = Some(future.await) }));
    value.expect("the executor runs futures to their end")
}

fn conversation(tenant: &TenantId, number: u8) -> ConversationKey {
    ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes([number; 16]) }
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a short name")
}

/// A row whose body tells where it belongs.
fn row(key: &ConversationKey, epoch: u64, first: Seq, seq: Seq, body: &[u8]) -> Bytes {
    let row = RowRef {
        epoch,
        first,
        ordinal: seq,
        kind: 1,
        sender: "ann",
        client_id: &format!("c{seq}"),
        time_ms: 1_700_000_000_000 + seq,
        body,
    };
    row.encode(key, seq)
}

/// A batch of so many rows with bodies of their own.
fn batch(key: &ConversationKey, first: Seq, rows: u64) -> Batch {
    let rows = (first..first + rows).map(|seq| row(key, 1, first, seq, format!("body {seq}").as_bytes())).collect();
    Batch { key: key.clone(), epoch: 1, first, rows }
}

/// Appends batches that must all be stored.
fn append(subject: &dyn Subject, batches: &[Batch]) {
    let outcomes = wait(subject, subject.log().append(batches));
    assert_eq!(outcomes, vec![Outcome::Stored; batches.len()]);
}

/// Appends rows `first` to `last` in batches that keep the rules.
fn fill(subject: &dyn Subject, key: &ConversationKey, first: Seq, last: Seq) {
    let mut next = first;
    while next <= last {
        let bucket_end = next - next % crate::log::BUCKET_ROWS + crate::log::BUCKET_ROWS;
        let end = (next + crate::log::ROWS_MAX as u64).min(bucket_end).min(last + 1);
        append(subject, &[batch(key, next, end - next)]);
        next = end;
    }
}

fn barrier(subject: &dyn Subject) {
    wait(subject, subject.log().barrier()).expect("nothing fails here");
}

fn range(from: Seq, to: Seq, direction: Direction, rows_max: usize) -> ReadRange {
    ReadRange { from, to, direction, rows_max, bytes_max: usize::MAX }
}

fn read(subject: &dyn Subject, key: &ConversationKey, range: ReadRange) -> Result<Vec<(Seq, Bytes)>, ReadError> {
    wait(subject, subject.log().read(key, range))
}

/// The numbers of a page, after each row was decoded and found to be the one written there.
fn page(subject: &dyn Subject, key: &ConversationKey, range: ReadRange) -> Vec<Seq> {
    let rows = read(subject, key, range).expect("the rows are intact");
    rows.into_iter()
        .map(|(seq, blob)| {
            let row = Row::decode(key, seq, &blob).expect("the row is intact");
            assert_eq!(row.body, format!("body {seq}").as_bytes());
            seq
        })
        .collect()
}

fn all(subject: &dyn Subject, key: &ConversationKey) -> Vec<Seq> {
    page(subject, key, range(0, Seq::MAX, Direction::Forward, usize::MAX))
}

fn head(subject: &dyn Subject, key: &ConversationKey, at_least: Seq) -> Result<Option<Seq>, ReadError> {
    wait(subject, subject.log().head(key, at_least))
}
