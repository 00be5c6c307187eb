//! A store in a cluster of ScyllaDB or Cassandra, shared by several routers: the traits of this crate in CQL. Nothing is used
//! that only one of the two has.
//!
#![doc = include_str!("tables.md")]

mod adopt;
mod append;
mod applied;
mod bounds;
mod checks;
mod clock;
mod connect;
mod counters;
mod datacenter;
mod decisions;
mod listed;
mod marks;
mod migrate;
mod noted;
mod number;
mod options;
mod outcome;
mod ownership;
mod parts;
mod projections;
mod read;
mod refused;
mod replicas;
mod requests;
mod runtime;
mod schema;
mod statements;
mod steps;
mod trim;
mod value;
#[cfg(test)]
mod value_judge;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;
use tokio::runtime::Handle;

use crate::BoxFuture;
use crate::epoch::{EpochError, Epochs};
use crate::log::{Adopted, BarrierError, Batch, Log, Outcome, ReadError, ReadRange, Seq};
use crate::quorum::{self, Fence};

pub use migrate::migrate;
pub use options::{Credentials, OpenError, Options, REQUEST_TIMEOUT, REQUESTS_MAX, THREADS, TRANSACTION_TIMEOUT, Tls};
pub use statements::Sent;

use requests::Requests;
use runtime::Threads;
use statements::Statements;

/// How long opening may take: connecting, preparing the statements and looking at what is there. The driver gives preparing no
/// time-out of its own.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// A store in a cluster of ScyllaDB or Cassandra, shared with other routers.
///
/// It implements all of this crate's traits. What is appended in it is committed by barriers of a router's start: until
/// it was told which ([`Ownership::serve`](crate::ownership::Ownership::serve)), no barrier succeeds.
pub struct Cql {
    inner: Arc<Inner>,
    threads: Threads,
}

/// What work that outlives its caller needs, too.
struct Inner {
    requests: Requests,
    statements: Statements,
    written: value::Written,
    fence: Fence,
    clocks: clock::Clocks,
    adoptions: adopt::Adoptions,
    noted: noted::Noted<(ConversationKey, bounds::Bound, Seq)>,
    parts: noted::Noted<parts::Part>,
    sizes: parts::Sizes,
    handle: Handle,
}

impl Cql {
    /// Connects to the cluster, whose schema must be there: see [`migrate()`]. May be called from anywhere, and blocks.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        options.check()?;
        let threads = Threads::start(options.threads).map_err(|error| OpenError::Options(error.to_string()))?;
        let handle = threads.handle().clone();
        let connecting = Self::connect(options.clone(), handle.clone());
        let inner = runtime::wait(&handle, async {
            let late = || OpenError::Unreachable(format!("it was not ready within {} s", OPEN_TIMEOUT.as_secs()));
            tokio::time::timeout(OPEN_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(late()))
        })?;
        Ok(Self { inner: Arc::new(inner), threads })
    }

    async fn connect(options: Options, handle: Handle) -> Result<Inner, OpenError> {
        let (session, options) = connect::connect(&options).await?;
        let statements = migrate::enter(&session, &options).await?;
        checks::check(&session, &options).await?;
        let requests = Requests::new(session, options.requests_max, options.request_timeout);
        datacenter::settle(&requests, &statements, &options).await?;
        Ok(Inner {
            requests,
            statements,
            written: value::Written::default(),
            fence: Fence::default(),
            clocks: clock::Clocks::default(),
            adoptions: adopt::Adoptions::default(),
            noted: noted::Noted::default(),
            parts: noted::Noted::default(),
            sizes: parts::Sizes::default(),
            handle,
        })
    }

    /// With parts of lists that hold so many rows, looked at by one of so many writes; for tests.
    #[cfg(feature = "contract")]
    #[must_use]
    pub fn with_parts_of(mut self, rows: i32, writes_per_count: u64) -> Self {
        let inner = Arc::get_mut(&mut self.inner).expect("nothing was asked of it yet");
        inner.sizes = parts::Sizes { rows, writes_per_count };
        self
    }

    /// Statements that were sent since it was opened. A batch is one.
    pub fn statements_sent(&self) -> u64 {
        self.statements_sent_by_table().iter().map(|sent| sent.count).sum()
    }

    /// The same by table, and by what they do with it.
    pub fn statements_sent_by_table(&self) -> Vec<Sent> {
        self.inner.statements.sent()
    }

    /// By how many milliseconds the clocks of most nodes are ahead of this machine's, or behind it, if that is more than
    /// 5 seconds.
    pub fn clock_off_ms(&self) -> Option<i64> {
        self.inner.clocks.off_ms(Instant::now())
    }
}

impl Log for Cql {
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        self.threads.within(quorum::append(&self.inner, batches))
    }

    fn overwrite<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        self.threads.within(quorum::overwrite(&self.inner, batches))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>> {
        self.threads.within(quorum::barrier(&self.inner))
    }

    fn read<'a>(
        &'a self,
        key: &'a ConversationKey,
        range: ReadRange,
    ) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>> {
        self.threads.within(self.inner.read_page(key, range))
    }

    fn head<'a>(&'a self, key: &'a ConversationKey, at_least: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>> {
        self.threads.within(async move { Ok(quorum::newest(&self.inner, key, at_least).await?.head) })
    }

    fn adopt<'a>(
        &'a self,
        key: &'a ConversationKey,
        epoch: u64,
        at_least: Seq,
    ) -> BoxFuture<'a, Result<Option<Adopted>, ReadError>> {
        self.threads.within(Inner::adopt(&self.inner, key, epoch, at_least))
    }

    fn trim<'a>(&'a self, key: &'a ConversationKey, below: Seq) -> BoxFuture<'a, Result<Seq, ReadError>> {
        self.threads.within(quorum::trim(&self.inner, key, None, below))
    }
}

impl Epochs for Cql {
    fn open_epoch(&self) -> BoxFuture<'_, Result<u64, EpochError>> {
        self.threads.within(self.inner.raise_epoch())
    }
}

/// A read's failure, as callers know it.
fn unread(error: requests::Failed) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
