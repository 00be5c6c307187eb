//! The transactions of ownership, as lightweight transactions: each is one statement, or one batch of one partition, and is
//! never repeated here.

use std::time::Instant;

use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use switchyard_protocol::owner::{Cell, Claim, Epoch, Holder, Incarnation, RouterRow, RouterState};
use switchyard_protocol::shard::Shard;

use crate::BoxFuture;
use crate::ownership::{LIVE_ROUTERS_MAX, Level, Outcome, Ownership, Unavailable};
use crate::transactions::are_in_order;

use super::applied::{self, Found, Transaction};
use super::requests::Failed;
use super::statements::Statement;
use super::{Cql, Inner, clock};

const LIVE: &str = "live";
const FENCED: &str = "fenced";

fn state(text: &str) -> Option<RouterState> {
    match text {
        LIVE => Some(RouterState::Live),
        FENCED => Some(RouterState::Fenced),
        _ => None,
    }
}

fn unavailable(error: impl ToString) -> Unavailable {
    Unavailable(error.to_string())
}

/// A row of the table of routers, from what is stored of it.
fn router_row(incarnation: i64, text: &str, address: &str, nonce: i64) -> Option<RouterRow> {
    Some(RouterRow {
        incarnation: Incarnation::new(u64::try_from(incarnation).ok()?)?,
        state: state(text)?,
        address: address.to_owned(),
        nonce: nonce as u64,
    })
}

/// A row of the table of owners.
fn holder(shard: i64, incarnation: i64, epoch: i64) -> Option<(Shard, Holder)> {
    let shard = Shard::new(u16::try_from(shard).ok()?)?;
    let incarnation = Incarnation::new(u64::try_from(incarnation).ok()?)?;
    let epoch = Epoch::new(u64::try_from(epoch).ok()?)?;
    Some((shard, Holder { incarnation, epoch }))
}

fn found_router(found: &Found) -> Option<RouterRow> {
    let number = |column| found.number(column);
    // An address that is empty may be told as nothing.
    let address = found.text("address").unwrap_or_default();
    router_row(number("incarnation")?, found.text("state")?, address, number("nonce")?)
}

fn found_holder(found: &Found) -> Option<(Shard, Holder)> {
    holder(found.number("shard")?, found.number("incarnation")?, found.number("epoch")?)
}

/// A transaction's outcome. Whatever is not an answer is unknown.
fn outcome<T>(answer: Result<Transaction, Failed>, refused: impl FnOnce(Vec<Found>) -> Option<T>) -> Outcome<T> {
    match answer {
        Ok(Transaction::Applied) => Outcome::Applied,
        Ok(Transaction::Refused(found)) => refused(found).map_or(Outcome::Unknown, Outcome::Refused),
        Err(error) => {
            tracing::debug!(%error, "a transaction's outcome is unknown");
            Outcome::Unknown
        }
    }
}

/// The fence read switched off, when the environment of a test asks for it.
#[cfg(feature = "test-no-fence")]
fn without_fence(row: RouterRow, level: Level) -> RouterRow {
    let is_off = level == Level::Quorum && std::env::var_os("SWITCHYARD_TEST_NO_FENCE").is_some();
    if is_off { RouterRow { state: RouterState::Live, ..row } } else { row }
}

/// The table of owners told late, by so many milliseconds, when the environment of a test asks for it: what it tells at a quorum are
/// hints, and nothing may depend on when they come.
#[cfg(feature = "test-no-fence")]
async fn told_late(level: Level) {
    let late = std::env::var("SWITCHYARD_TEST_LATE_OWNERS").ok().filter(|_| level == Level::Quorum);
    if let Some(ms) = late.and_then(|ms| ms.parse().ok()) {
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }
}

impl Inner {
    pub(super) async fn transaction(
        &self,
        statement: &Statement,
        values: impl SerializeRow,
    ) -> Result<Transaction, Failed> {
        applied::read(self.requests.execute(statement, values).await?)
    }

    async fn insert_router(&self, row: &RouterRow) -> Outcome<RouterRow> {
        let state = match row.state {
            RouterState::Live => LIVE,
            RouterState::Fenced => FENCED,
        };
        let values = (row.incarnation.number() as i64, state, row.address.as_str(), row.nonce as i64);
        let answer = self.transaction(&self.statements.insert_router, values).await;
        outcome(answer, |found| found.first().and_then(found_router))
    }

    async fn fence(&self, incarnation: Incarnation) -> Outcome<()> {
        let answer = self.transaction(&self.statements.fence_router, (incarnation.number() as i64,)).await;
        outcome(answer, |_| Some(()))
    }

    async fn claim(&self, cell: Cell, claims: &[Claim]) -> Outcome<Vec<(Shard, Holder)>> {
        if !are_in_order(cell, claims) {
            return Outcome::Refused(Vec::new());
        }
        let answer = self.claim_batch(cell, claims).await;
        let claimed = |shard: &Shard| claims.iter().any(|claim| claim.shard == *shard);
        outcome(answer, |found| {
            Some(found.iter().filter_map(found_holder).filter(|(shard, _)| claimed(shard)).collect())
        })
    }

    async fn claim_batch(&self, cell: Cell, claims: &[Claim]) -> Result<Transaction, Failed> {
        let cell = cell.number() as i8;
        let mut statements = Vec::with_capacity(claims.len());
        let mut values = Vec::with_capacity(claims.len());
        for claim in claims {
            let Some(held) = claim.held() else { continue };
            let shard = claim.shard.number() as i16;
            let (incarnation, epoch) = (held.incarnation.number() as i64, held.epoch.number() as i64);
            let (statement, bound) = match claim.from {
                None => (&self.statements.claim_first, Bound::First((cell, shard, incarnation, epoch))),
                Some(from) => {
                    let (was, before) = (from.incarnation.number() as i64, from.epoch.number() as i64);
                    let next = (incarnation, epoch, cell, shard, was, before);
                    (&self.statements.claim_next, Bound::Next(next))
                }
            };
            statements.push(BatchStatement::PreparedStatement((**statement).clone()));
            values.push(bound);
        }
        let mut batch = CqlBatch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(false);
        batch.set_request_timeout(self.statements.claim_next.get_request_timeout());
        applied::read(self.requests.batch(&self.statements.claim_next, &batch, values).await?)
    }

    async fn cell(&self, cell: Cell, level: Level) -> Result<Vec<(Shard, Holder)>, Unavailable> {
        let statement = match level {
            Level::Quorum => &self.statements.cell,
            Level::Serial => &self.statements.serial.cell,
        };
        let each = |(shard, incarnation, epoch): (i16, i64, i64)| holder(i64::from(shard), incarnation, epoch);
        let rows = self.requests.all(statement, (cell.number() as i8,), each).await.map_err(unavailable)?;
        #[cfg(feature = "test-no-fence")]
        told_late(level).await;
        rows.into_iter().collect::<Option<_>>().ok_or_else(|| unavailable("a row of the table of owners is damaged"))
    }

    pub(super) async fn router_row(
        &self,
        incarnation: Incarnation,
        level: Level,
    ) -> Result<Option<RouterRow>, Unavailable> {
        let statement = match level {
            Level::Quorum => &self.statements.router,
            Level::Serial => &self.statements.serial.router,
        };
        let number = incarnation.number() as i64;
        let asked_ms = clock::wall_ms();
        let answer = self.requests.execute(statement, (number,)).await.map_err(unavailable)?;
        let under_way = (asked_ms, clock::wall_ms());
        let node = answer.request_coordinator().node().host_id;
        let rows = answer.into_rows_result().map_err(unavailable)?;
        let row = rows.maybe_first_row::<(String, Option<String>, i64, i64)>().map_err(unavailable)?;
        let Some((text, address, nonce, said_ms)) = row else { return Ok(None) };
        self.clocks.heard(node, under_way, said_ms, Instant::now());
        let row = router_row(number, &text, &address.unwrap_or_default(), nonce);
        #[cfg(feature = "test-no-fence")]
        let row = row.map(|row| without_fence(row, level));
        row.map(Some).ok_or_else(|| unavailable("a row of the table of routers is damaged"))
    }

    async fn live_routers(&self) -> Result<Vec<RouterRow>, Unavailable> {
        let each = |(incarnation, text, address, nonce): (i64, String, Option<String>, i64)| {
            router_row(incarnation, &text, &address.unwrap_or_default(), nonce)
        };
        let rows = self.requests.first(&self.statements.live_routers, (), LIVE_ROUTERS_MAX, each);
        Ok(rows.await.map_err(unavailable)?.into_iter().flatten().collect())
    }
}

/// What is bound to the statements of a claim.
enum Bound {
    First((i8, i16, i64, i64)),
    Next((i64, i64, i8, i16, i64, i64)),
}

impl SerializeRow for Bound {
    fn serialize(
        &self,
        context: &scylla::serialize::row::RowSerializationContext<'_>,
        writer: &mut scylla::serialize::writers::RowWriter<'_>,
    ) -> Result<(), scylla::serialize::SerializationError> {
        match self {
            Self::First(values) => values.serialize(context, writer),
            Self::Next(values) => values.serialize(context, writer),
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

impl Ownership for Cql {
    fn insert_router<'a>(&'a self, row: &'a RouterRow) -> BoxFuture<'a, Outcome<RouterRow>> {
        self.threads.within(self.inner.insert_router(row))
    }

    fn fence(&self, incarnation: Incarnation) -> BoxFuture<'_, Outcome<()>> {
        self.threads.within(self.inner.fence(incarnation))
    }

    fn claim<'a>(&'a self, cell: Cell, claims: &'a [Claim]) -> BoxFuture<'a, Outcome<Vec<(Shard, Holder)>>> {
        self.threads.within(self.inner.claim(cell, claims))
    }

    fn cell(&self, cell: Cell, level: Level) -> BoxFuture<'_, Result<Vec<(Shard, Holder)>, Unavailable>> {
        self.threads.within(self.inner.cell(cell, level))
    }

    fn router(&self, incarnation: Incarnation, level: Level) -> BoxFuture<'_, Result<Option<RouterRow>, Unavailable>> {
        self.threads.within(self.inner.router_row(incarnation, level))
    }

    fn live_routers(&self) -> BoxFuture<'_, Result<Vec<RouterRow>, Unavailable>> {
        self.threads.within(self.inner.live_routers())
    }

    fn serve(&self, incarnation: Incarnation) {
        self.inner.fence.serve(incarnation);
    }
}
