//! What a process knows of the store: the statements of the real protocol, each of which is posted and carried out by the world,
//! late or not at all. Nothing here knows a clock.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use switchyard_cluster::ownership::{Answer, Call};
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::owner::{Epoch, Incarnation, RouterRow};
use switchyard_store::BoxFuture;
use switchyard_store::ownership::Unavailable;
use switchyard_store::quorum::{Bound, Bounds, Failure, Fence, Reached, Replicas, Sizes, Stamped, StoredRow};
use switchyard_store::rules::Rules;

use super::replicas::{BUCKET_ROWS, Cell, Found, Read, Write};
use super::rows::conversation_of;
use super::tables::Refused;
use super::world::SHARDS_USED;

/// What a task asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Request {
    Read {
        conversation: usize,
        read: Read,
    },
    Write {
        conversation: usize,
        write: Write,
        adopts: bool,
    },
    /// The fence read of the log.
    Fence(Incarnation),
    /// A call about the tables of owners.
    Owners(Call),
    Pause(Duration),
}

/// Whom something is asked of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asks {
    Log,
    Owners,
    /// Nobody: it is a pause.
    Nobody,
}

impl Request {
    fn asks(&self) -> Asks {
        match self {
            Self::Pause(_) => Asks::Nobody,
            Self::Owners(_) => Asks::Owners,
            Self::Read { .. } | Self::Write { .. } | Self::Fence(_) => Asks::Log,
        }
    }
}

/// What it is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Found(Found),
    Router(Option<RouterRow>),
    /// What a read of the tables of owners says.
    Owners(Answer),
    Refused(Refused),
    Done,
    Failed(Reached),
}

/// Why there is no answer.
pub(crate) struct Failed(Reached);

impl fmt::Display for Failed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "no answer: {:?}", self.0)
    }
}

impl Failure for Failed {
    fn reached(&self) -> Reached {
        self.0
    }
}

/// Something that is not answered, or was and has not been heard.
struct Open {
    asks: Asks,
    waker: Option<Waker>,
    reply: Option<Reply>,
}

/// What is on its way between tasks and the world.
#[derive(Default)]
pub(crate) struct Mail {
    number: u64,
    pub(crate) posted: Vec<(u64, Request)>,
    open: BTreeMap<u64, Open>,
    pub(crate) spawned: Vec<BoxFuture<'static, ()>>,
    /// Things to count.
    pub(crate) seen: Vec<&'static str>,
    /// In which epoch the process owns which conversation.
    pub(crate) owned: [Option<Epoch>; SHARDS_USED.len()],
}

impl Mail {
    /// What a request was about; nothing if nobody waits for it.
    pub(crate) fn asked(&self, id: u64) -> Option<Asks> {
        self.open.get(&id).map(|open| open.asks)
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Store {
    mail: Arc<Mutex<Mail>>,
    fence: Arc<Fence>,
    sizes: Sizes,
    rules: Rules,
    /// It is an adoption that asks.
    adopts: bool,
}

impl Store {
    pub(crate) fn new(sizes: Sizes, rules: Rules) -> Self {
        Self { mail: Arc::default(), fence: Arc::default(), sizes, rules, adopts: false }
    }

    /// The same for an adoption.
    pub(crate) fn for_adoption(&self) -> Self {
        Self { adopts: true, ..self.clone() }
    }

    pub(crate) fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap()
    }

    /// Something to count.
    pub(crate) fn see(&self, what: &'static str) {
        self.mail().seen.push(what);
    }

    /// An answer has come; nobody may wait for it any more.
    pub(crate) fn answer(&self, id: u64, reply: Reply) {
        let waker = match self.mail().open.get_mut(&id) {
            Some(Open { waker, reply: answer @ None, .. }) => {
                *answer = Some(reply);
                waker.take()
            }
            _ => None,
        };
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn ask(&self, request: Request) -> Asked {
        let mut mail = self.mail();
        mail.number += 1;
        let id = mail.number;
        mail.open.insert(id, Open { asks: request.asks(), waker: None, reply: None });
        mail.posted.push((id, request));
        Asked { mail: self.mail.clone(), id }
    }

    async fn read(&self, key: &ConversationKey, read: Read) -> Result<Found, Failed> {
        match self.ask(Request::Read { conversation: conversation_of(key), read }).await {
            Reply::Found(found) => Ok(found),
            Reply::Failed(reached) => Err(Failed(reached)),
            reply => panic!("no answer to a read: {reply:?}"),
        }
    }

    async fn write(&self, key: &ConversationKey, write: Write) -> Result<(), Failed> {
        match self.ask(Request::Write { conversation: conversation_of(key), write, adopts: self.adopts }).await {
            Reply::Failed(reached) => Err(Failed(reached)),
            _ => Ok(()),
        }
    }

    /// All rows of a range that are there.
    pub(crate) async fn all(&self, key: &ConversationKey, from: u64, to: u64) -> Result<Vec<StoredRow>, Failed> {
        if from >= to {
            return Ok(Vec::new());
        }
        Ok(self.read(key, Read::Rows(from, to)).await?.rows(from))
    }
}

impl Replicas for Store {
    type Failed = Failed;

    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn rules(&self) -> Rules {
        self.rules
    }

    fn fence(&self) -> &Fence {
        &self.fence
    }

    fn owns(&self, key: &ConversationKey, epoch: u64) -> bool {
        self.mail().owned[conversation_of(key)].is_some_and(|owned| owned.number() == epoch)
    }

    async fn bounds(&self, key: &ConversationKey) -> Result<Bounds, Failed> {
        match self.read(key, Read::Bounds).await? {
            Found::Bounds(bounds) => Ok(bounds),
            found @ Found::Rows(_) => panic!("no bounds: {found:?}"),
        }
    }

    async fn raise(&self, key: &ConversationKey, bounds: &[(Bound, u64)]) -> Result<(), Failed> {
        let mut raised = Bounds::default();
        bounds.iter().for_each(|(bound, number)| *raised.of(*bound) = *number);
        self.write(key, Write::Bounds(raised)).await
    }

    async fn highest(&self, key: &ConversationKey, bucket: u64) -> Result<Option<u64>, Failed> {
        let rows = self.all(key, bucket * BUCKET_ROWS, (bucket + 1) * BUCKET_ROWS).await?;
        Ok(rows.last().map(|stored| stored.seq))
    }

    async fn rows(&self, key: &ConversationKey, from: u64, rows_max: u64) -> Result<Vec<StoredRow>, Failed> {
        let mut rows = self.all(key, from, (from / BUCKET_ROWS + 1) * BUCKET_ROWS).await?;
        rows.truncate(rows_max as usize);
        Ok(rows)
    }

    async fn put(&self, key: &ConversationKey, rows: &[Stamped<'_>]) -> Result<(), Failed> {
        if rows.is_empty() {
            return Ok(());
        }
        let cell = |row: &Stamped<'_>| (row.seq, Cell { timestamp: row.timestamp, row: Some(row.row.clone()) });
        self.write(key, Write::Rows(rows.iter().map(cell).collect())).await
    }

    async fn drop_bucket(&self, key: &ConversationKey, bucket: u64) -> Result<(), Failed> {
        self.write(key, Write::Drop(bucket)).await
    }

    async fn router(&self, incarnation: Incarnation) -> Result<Option<RouterRow>, Unavailable> {
        match self.ask(Request::Fence(incarnation)).await {
            Reply::Router(row) => Ok(row),
            reply => Err(Unavailable(format!("{reply:?}"))),
        }
    }

    async fn pause(&self, time: Duration) {
        self.ask(Request::Pause(time)).await;
    }

    fn spawn(&self, work: BoxFuture<'static, ()>) {
        self.mail().spawned.push(work);
    }
}

/// Waits for an answer.
pub(crate) struct Asked {
    mail: Arc<Mutex<Mail>>,
    id: u64,
}

impl Future for Asked {
    type Output = Reply;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let mut mail = self.mail.lock().unwrap();
        let Open { waker, reply, .. } = mail.open.get_mut(&self.id).expect("it is polled until it is answered");
        match reply.take() {
            Some(reply) => Poll::Ready(reply),
            None => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.mail.lock().unwrap().open.remove(&self.id);
    }
}
