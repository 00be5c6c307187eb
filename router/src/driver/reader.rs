//! Threads that read the store and write projections: everything that may wait for a disk but is not the log. What they
//! read is turned into the live protocol's messages here, off the workers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_executor::block_on;
use futures_util::future::{OptionFuture, join};
use switchyard_cluster::home::Home;
use switchyard_cluster::link::{Asker, PageFrom};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::PAGE_BYTES_MAX;
use switchyard_protocol::v1;
use switchyard_store::{Direction, Mark, ProjectionError, ReadError, ReadRange, Row, Seq};

use super::jobs::{Job, Jobs};
use super::rest::Rest;
use super::touch::Reach;
use super::trouble::Trouble;
use super::{Completions, Timelines, Touch, beginning, homes, present, roles, seen};
use crate::config::Cutoffs;
use crate::machine::{
    Input, LoadFailed, Projection, ReadFailed, ReadPlan, ReadResult, Reader, Replay, Ticket, ToldRoles, Written,
    row_hash,
};
use crate::stored::counts;
use crate::timeline;

/// Rows read from the store at a time while a conversation is replayed or searched.
pub(super) const ROWS_PER_READ: usize = 512;

/// Bytes that a read for a page may bring, at least: so that a page which is nearly full does not go through a run of events
/// that are no messages one by one.
const READ_BYTES_MIN: usize = 4 * 1024;

static RAISING: Trouble = Trouble::of("marks are not stored; they will be again");
static PROJECTING: Trouble = Trouble::of("what follows from the log is not written; it will be again");

/// A handle to the readers; one per worker.
#[derive(Clone)]
pub struct Readers {
    shared: Arc<Shared>,
    seed: u64,
}

struct Shared {
    store: Arc<dyn Timelines>,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: Jobs,
    stopped: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    /// Starts `threads` of them. They end when [`stop`](Self::stop) was called and no job waits. `rest` is called once by
    /// each whenever nothing has come for some time.
    pub fn start(
        store: Arc<dyn Timelines>,
        threads: usize,
        rest: fn(),
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let shared = Arc::new(Shared { store, queue: Mutex::new(Queue::default()), ready: Condvar::new() });
        let handles = (0..threads.max(1))
            .map(|at| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("reader-{at}")).spawn(move || run(&shared, rest))
            })
            .collect::<std::io::Result<_>>()?;
        Ok((Self { shared, seed: 0 }, handles))
    }

    /// The same threads for a machine with this seed.
    pub(super) fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Lets the threads end once no job waits.
    pub fn stop(&self) {
        self.shared.queue().stopped = true;
        self.shared.ready.notify_all();
    }

    /// Loads a conversation for the owner of its shard in this epoch; it fails if there is none.
    pub(super) fn load(&self, to: &Completions, key: ConversationKey, cutoffs: Cutoffs, epoch: Option<u64>) {
        match epoch {
            Some(epoch) => self.submit(to, Job::Load { key, seed: self.seed, cutoffs, touch: Touch::Owner { epoch } }),
            None => to.post(&mut vec![Input::Loaded { key, result: Err(LoadFailed::unavailable()) }]),
        }
    }

    pub(super) fn read(&self, to: &Completions, key: ConversationKey, ticket: Box<Ticket>, plan: ReadPlan) {
        self.submit(to, Job::Read { key, ticket, plan });
    }

    pub(super) fn project(&self, to: &Completions, key: ConversationKey, projection: Box<Projection>) {
        self.submit(to, Job::Project { key, projection });
    }

    pub(super) fn raise(&self, to: &Completions, marks: Vec<Mark>) {
        self.submit(to, Job::Raise(marks));
    }

    pub(super) fn keep_roles(&self, to: &Completions, told: Vec<ToldRoles>) {
        self.submit(to, Job::Roles(told));
    }

    /// Lets the load of a conversation, or the decoy of this name, go before those that only readers wait for.
    pub(super) fn hurry(&self, key: &ConversationKey) {
        self.shared.queue().jobs.hurry(key);
    }

    pub(super) fn decoy(&self, completions: &Completions, key: ConversationKey, to: Asker) {
        self.submit(completions, Job::Decoy { key, to });
    }

    /// Loads a home for the owner of its shard in this epoch; it fails if there is none.
    pub(super) fn load_home(&self, to: &Completions, home: Home, own: bool, epoch: Option<u64>) {
        match epoch {
            Some(epoch) => self.submit(to, Job::Home { home, own, touch: Touch::Owner { epoch } }),
            None => to.post(&mut vec![Input::HomeLoaded { home, result: Err(ReadFailed::Unavailable) }]),
        }
    }

    pub(super) fn load_seen(&self, to: &Completions, home: Home, process: (u64, u64)) {
        self.submit(to, Job::Seen(home, process));
    }

    fn submit(&self, to: &Completions, job: Job) {
        let taken = self.shared.queue().jobs.push(to, job);
        match taken {
            Ok(()) => self.shared.ready.notify_one(),
            Err(job) => to.post(&mut vec![refused(job)]),
        }
    }
}

/// What a job comes to that found no room.
fn refused(job: Job) -> Input {
    match job {
        Job::Load { key, .. } => Input::Loaded { key, result: Err(LoadFailed::unavailable()) },
        Job::Read { ticket, .. } => Input::Read { ticket, result: Err(ReadFailed::Unavailable) },
        Job::Project { key, projection } => Input::Projected { key, result: Err(projection) },
        Job::Raise(marks) => Input::Raised(Err(marks)),
        Job::Roles(told) => Input::RolesKept { told, result: Err(ReadFailed::Unavailable) },
        Job::Decoy { to, .. } => Input::Decoyed { to, failed: Some(ReadFailed::Unavailable) },
        Job::Seen(home, _) => Input::SeenLoaded { home, result: Err(ReadFailed::Unavailable) },
        Job::Home { home, .. } => Input::HomeLoaded { home, result: Err(ReadFailed::Unavailable) },
    }
}

fn run(shared: &Shared, rest: fn()) {
    let store = &*shared.store;
    let mut rest = Rest::new(rest);
    while let Some((to, job)) = take(shared, &mut rest) {
        let done = match job {
            Job::Load { key, seed, cutoffs, touch } => {
                let result = load(store, &key, seed, cutoffs, touch);
                Input::Loaded { key, result }
            }
            Job::Read { key, ticket, plan } => {
                let result = read(store, &key, plan).map_err(|error| failed(&error));
                Input::Read { ticket, result }
            }
            Job::Project { key, projection } => {
                let result = project(store, &key, projection);
                Input::Projected { key, result }
            }
            Job::Raise(marks) => Input::Raised(raise(store, marks)),
            Job::Roles(told) => {
                let result = roles::keep(store, &told);
                Input::RolesKept { told, result }
            }
            Job::Decoy { key, to } => {
                // What it found is thrown away, its time is what counts.
                let failed = load(store, &key, 0, Cutoffs::default(), Touch::Stranger).err().map(|error| error.failed);
                Input::Decoyed { to, failed }
            }
            Job::Seen(home, (process, began_ms)) => {
                let result = seen::load(store, &home, process, began_ms);
                Input::SeenLoaded { home, result }
            }
            Job::Home { home, own, touch } => {
                let result = homes::load(store, &home, own, touch);
                Input::HomeLoaded { home, result }
            }
        };
        to.post(&mut vec![done]);
    }
}

fn take(shared: &Shared, rest: &mut Rest) -> Option<(Completions, Job)> {
    let mut queue = shared.queue();
    loop {
        if let Some(job) = queue.jobs.pop() {
            rest.disturbed();
            return Some(job);
        }
        queue.jobs.rest();
        if queue.stopped {
            return None;
        }
        queue = rest.wait(&shared.queue, &shared.ready, queue);
    }
}

/// Logs a failed read where it happened, and says as much of it as a client may know.
pub fn failed(error: &ReadError) -> ReadFailed {
    match error {
        ReadError::Corrupt { .. } => {
            tracing::error!(%error, "stored data is damaged; run `switchyard verify`");
            ReadFailed::Corrupt
        }
        ReadError::Unavailable(_) => {
            tracing::warn!(%error, "a read failed");
            ReadFailed::Unavailable
        }
    }
}

/// Reads what a conversation comes to; nothing if it does not exist.
pub fn load(
    store: &dyn Timelines,
    key: &ConversationKey,
    seed: u64,
    cutoffs: Cutoffs,
    touch: Touch,
) -> Result<Option<Box<Replay>>, LoadFailed> {
    let nobody = |error: ReadError| LoadFailed { failed: failed(&error), members: Vec::new() };
    let Some(Begun { mut replay, reach, pair }) = begin(store, key, seed, touch).map_err(nobody)? else {
        return Ok(None);
    };
    let read = go_through(store, key, &mut replay, &reach, cutoffs)
        .and_then(|()| catch_up(store, key, &mut replay, pair.as_ref()));
    if replay.is_home() {
        return Ok(None);
    }
    match read {
        Ok(()) => Ok(Some(Box::new(replay))),
        Err(error) => Err(LoadFailed { failed: failed(&error), members: replay.members() }),
    }
}

/// What the projections say of a conversation, and its log.
struct Begun {
    replay: Replay,
    reach: Reach,
    /// The two of whom it was read how they stand to each other.
    pair: Option<[UserId; 2]>,
}

fn begin(store: &dyn Timelines, key: &ConversationKey, seed: u64, touch: Touch) -> Result<Option<Begun>, ReadError> {
    let Some(record) = intact(block_on(store.load(key)))?.flatten() else {
        let Some(reach) = block_on(touch.reach(store, key, 0))? else { return Ok(None) };
        let marks = intact(block_on(store.marks(key)))?.unwrap_or_default();
        return Ok(Some(Begun { replay: Replay::from_founding(seed, marks), reach, pair: None }));
    };
    // Of what was erased nobody is a member, however many were.
    let gone = Replay::is_erased(&record);
    // After the record, but not one after the other: what the record says of members and marks is there by then, and whatever
    // is newer, or is written meanwhile, follows from the log above it.
    let reach = touch.reach(store, key, record.applied);
    let members = OptionFuture::from((!gone).then(|| store.members(key)));
    let marks = OptionFuture::from((!gone).then(|| store.marks(key)));
    let people = async {
        let (members, marks) = join(members, marks).await;
        let members = members.map_or(Ok(Some(Vec::new())), intact)?;
        let marks = marks.map_or(Ok(None), intact)?.unwrap_or_default();
        let Some(members) = members else { return Ok((Replay::from_founding(seed, marks), None)) };
        let mut replay = Replay::from_record(key, seed, &record, members, marks)?;
        let pair = match replay.pair() {
            Some(pair) => read_pair(store, key, &mut replay, &pair).await.then_some(pair),
            None => None,
        };
        Ok::<_, ReadError>((replay, pair))
    };
    let (reach, people) = block_on(join(reach, people));
    let Some(reach) = reach? else { return Ok(None) };
    let (replay, pair) = people?;
    Ok(Some(Begun { replay, reach, pair }))
}

/// Reads how these two stand to each other, beside the log: who blocks meanwhile tells the conversation when it is loaded. What
/// fails here is read again in the end.
async fn read_pair(store: &dyn Timelines, key: &ConversationKey, replay: &mut Replay, pair: &[UserId; 2]) -> bool {
    let Ok(Some(stands)) = homes::pair_by_rows(store, &key.tenant, pair).await else { return false };
    replay.blocks(stands);
    true
}

/// Replays the log above the record, and looks where it begins.
fn go_through(
    store: &dyn Timelines,
    key: &ConversationKey,
    replay: &mut Replay,
    reach: &Reach,
    cutoffs: Cutoffs,
) -> Result<(), ReadError> {
    let head = reach.head();
    while replay.from() <= head && !replay.is_home() {
        let rows = reach.rows(store, key, replay.from())?;
        if rows.is_empty() {
            return Err(timeline::damaged(key, replay.from()));
        }
        for (seq, row) in rows {
            replay.row(key, seq, &row)?;
        }
    }
    if replay.is_home() {
        return Ok(());
    }
    let before_ms = cutoffs.of(replay.kind());
    let (first, older) = beginning::find(store, key, replay.first_available(), head, before_ms)?;
    replay.begins(first, older);
    Ok(())
}

/// Reads the messages that events above the record changed, for their overlays may lag behind, and who of a pair has blocked
/// the other, if that was not read of these two.
fn catch_up(
    store: &dyn Timelines,
    key: &ConversationKey,
    replay: &mut Replay,
    read: Option<&[UserId; 2]>,
) -> Result<(), ReadError> {
    for (seq, reactors) in replay.changed() {
        if let Some(read) = present::target(store, key, seq, &reactors)? {
            replay.found(read);
        }
    }
    if let Some(pair) = replay.pair().filter(|pair| Some(pair) != read) {
        let stands = homes::pair(store, &key.tenant, &pair)?;
        replay.blocks(stands);
    }
    Ok(())
}

/// What a projection says; nothing if it is damaged, for then the log is replayed from the founding row on and the
/// projection written anew.
pub(super) fn intact<T>(read: Result<T, ProjectionError>) -> Result<Option<T>, ReadError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error @ ProjectionError::Corrupt { .. }) => {
            tracing::error!(%error, "a projection is damaged; the log is replayed");
            Ok(None)
        }
        Err(error) => Err(ReadError::Unavailable(error.to_string())),
    }
}

/// A run of decoded rows.
pub(super) fn rows(
    store: &dyn Timelines,
    key: &ConversationKey,
    from: Seq,
    to: Seq,
    direction: Direction,
    rows_max: usize,
) -> Result<Vec<(Seq, Row)>, ReadError> {
    rows_of(store, key, ReadRange { from, to, direction, rows_max, bytes_max: PAGE_BYTES_MAX })
}

fn rows_of(store: &dyn Timelines, key: &ConversationKey, range: ReadRange) -> Result<Vec<(Seq, Row)>, ReadError> {
    let blobs = block_on(store.read(key, range))?;
    blobs.into_iter().map(|(seq, blob)| decode(key, seq, &blob).map(|row| (seq, row))).collect()
}

pub(super) fn decode(key: &ConversationKey, seq: Seq, blob: &Bytes) -> Result<Row, ReadError> {
    Row::decode(key, seq, blob).map_err(|reason| ReadError::Corrupt { key: key.clone(), seq, reason })
}

/// Reads what a plan asks for.
pub fn read(store: &dyn Timelines, key: &ConversationKey, plan: ReadPlan) -> Result<ReadResult, ReadError> {
    match plan {
        ReadPlan::Messages { from, limit, first, head, reader } => {
            let (mut messages, mut more) = messages(store, key, from, limit, first, head)?;
            present::page(store, key, &reader, &mut messages)?;
            more |= present::cut(&mut messages, |message| message.text.len(), PAGE_BYTES_MAX);
            Ok(ReadResult::Messages { messages, more })
        }
        ReadPlan::Target { seq, reactor } => {
            let reactors: Vec<_> = reactor.into_iter().collect();
            Ok(ReadResult::Target(present::target(store, key, seq, &reactors)?.map(Box::new)))
        }
        ReadPlan::Events { from, to, events_max, bytes_max, reader } => {
            let range = ReadRange { from, to, direction: Direction::Forward, rows_max: events_max, bytes_max };
            let mut events = Vec::new();
            for (seq, blob) in block_on(store.read(key, range))? {
                events.push(timeline::event(key, seq, &decode(key, seq, &blob)?)?);
            }
            present::events(store, key, &reader, &mut events)?;
            present::cut(&mut events, present::event_text_len, bytes_max);
            Ok(ReadResult::Events(events))
        }
        ReadPlan::Find { from, to, sender, client_id, annotated } => {
            let mut next = from;
            while next <= to {
                let page = rows(store, key, next, to, Direction::Forward, ROWS_PER_READ)?;
                for (seq, row) in &page {
                    if row.client_id() == client_id && row.sender() == sender.as_str() {
                        let mut found: Vec<_> = timeline::message(key, *seq, row)?.into_iter().collect();
                        let reader = Reader { user: sender, annotated };
                        present::page(store, key, &reader, &mut found)?;
                        return Ok(ReadResult::Found(found.first().map(super::encode_message)));
                    }
                }
                match page.last() {
                    Some((seq, _)) => next = seq + 1,
                    None => break,
                }
            }
            Ok(ReadResult::Found(None))
        }
        ReadPlan::Welcome { user, others, of_two } => {
            homes::welcome(store, &key.tenant, &user, &others, of_two).map(ReadResult::Welcome)
        }
        ReadPlan::Archived { user, joined } => homes::archived(store, key, &user, joined).map(ReadResult::Archived),
        ReadPlan::Shared { user, other } => homes::shared(store, &key.tenant, &user, &other).map(ReadResult::Shared),
        ReadPlan::Ids { from, to, seed } => ids(store, key, from, to, seed),
        ReadPlan::Roles { users } => roles::of(store, &key.tenant, users),
        ReadPlan::Ordinal { seq, first, head } => ordinal(store, key, seq, first, head),
        ReadPlan::Older { first, end, before_ms } => {
            beginning::older(store, key, first, end, before_ms).map(ReadResult::Older)
        }
    }
}

/// How many messages that count there are up to a number. Where that is no longer kept, up to what is.
fn ordinal(
    store: &dyn Timelines,
    key: &ConversationKey,
    seq: Seq,
    first: Seq,
    head: Seq,
) -> Result<ReadResult, ReadError> {
    let page = rows(store, key, seq.max(first), head, Direction::Forward, 1)?;
    let (found, row) = page.first().ok_or_else(|| timeline::damaged(key, seq))?;
    let above = *found > seq && counts(row.kind);
    Ok(ReadResult::Ordinal(row.ordinal.saturating_sub(u64::from(above))))
}

/// Stores marks and confirms them. `Err` gives them back, to be repeated.
pub fn raise(store: &dyn Timelines, marks: Vec<Mark>) -> Result<(), Vec<Mark>> {
    let raised = block_on(store.raise(&marks)).map_err(|error| error.to_string());
    let confirmed = raised.and_then(|()| block_on(store.barrier()).map_err(|error| error.to_string()));
    match confirmed {
        Ok(()) => {
            RAISING.went_well();
            Ok(())
        }
        Err(error) => {
            RAISING.failed(error);
            Err(marks)
        }
    }
}

/// The hashes of the client ids in a range, as far as it is there.
fn ids(
    store: &dyn Timelines,
    key: &ConversationKey,
    mut from: Seq,
    to: Seq,
    seed: u64,
) -> Result<ReadResult, ReadError> {
    let mut hashes = Vec::new();
    let mut next = from;
    while next <= to {
        let page = rows(store, key, next, to, Direction::Forward, ROWS_PER_READ)?;
        let Some((first, _)) = page.first() else { break };
        if *first != next {
            // Retention passed by: what is left begins here.
            hashes.clear();
            from = *first;
        }
        hashes.extend(page.iter().map(|(_, row)| row_hash(seed, row)));
        next = from + hashes.len() as u64;
    }
    Ok(ReadResult::Ids { from, hashes })
}

/// A page of messages, and whether more follow in its direction: other events on the way are passed over, so that a page of
/// 50 is 50 messages, unless their bodies have more bytes than a page may.
fn messages(
    store: &dyn Timelines,
    key: &ConversationKey,
    from: PageFrom,
    limit: usize,
    first: Seq,
    head: Seq,
) -> Result<(Vec<v1::Message>, bool), ReadError> {
    let (mut low, mut high, direction) = match from {
        PageFrom::Newest => (first, head, Direction::Backward),
        PageFrom::Before(seq) => (first, seq.saturating_sub(1).min(head), Direction::Backward),
        PageFrom::After(seq) => (seq.saturating_add(1).max(first), head, Direction::Forward),
        PageFrom::BeforeTime(time_ms) => {
            let at = first_at_or_after(store, key, time_ms, first, head)?;
            (first, at - 1, Direction::Backward)
        }
        PageFrom::AfterTime(time_ms) => {
            let at = first_at_or_after(store, key, time_ms, first, head)?;
            (at, head, Direction::Forward)
        }
    };
    let mut messages = Vec::with_capacity(limit);
    let mut bytes = 0;
    while low <= high {
        // One more than is asked for tells whether there are more; the first row comes however large it is.
        let (rows_max, bytes_max) = (limit - messages.len() + 1, (PAGE_BYTES_MAX - bytes).max(READ_BYTES_MIN));
        let page = rows_of(store, key, ReadRange { from: low, to: high, direction, rows_max, bytes_max })?;
        let Some((last, _)) = page.last() else { break };
        match direction {
            Direction::Forward => low = last + 1,
            Direction::Backward => high = last - 1,
        }
        for (seq, row) in &page {
            let Some(message) = timeline::message(key, *seq, row)? else { continue };
            let full = messages.len() == limit || bytes + row.body.len() > PAGE_BYTES_MAX;
            if full && !messages.is_empty() {
                return Ok((messages, true));
            }
            bytes = (bytes + row.body.len()).min(PAGE_BYTES_MAX);
            messages.push(message);
        }
    }
    Ok((messages, false))
}

/// The lowest number whose event is not older than this, `head + 1` if there is none: times never go back within a
/// conversation, so it is found by halving.
fn first_at_or_after(
    store: &dyn Timelines,
    key: &ConversationKey,
    time_ms: u64,
    first: Seq,
    head: Seq,
) -> Result<Seq, ReadError> {
    let (mut low, mut high) = (first, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let page = rows(store, key, middle, middle, Direction::Forward, 1)?;
        // Retention may have passed it meanwhile: then it is older than anything that is left.
        if page.first().is_some_and(|(_, row)| row.time_ms >= time_ms) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// Writes members and marks before the record that says that they are there; then drops the rows that nothing needs any more.
///
/// `Err` gives the writes back, to be repeated.
pub fn project(
    store: &dyn Timelines,
    key: &ConversationKey,
    projection: Box<Projection>,
) -> Result<Written, Box<Projection>> {
    let write = || {
        if projection.clear {
            return super::clearing::clear(store, key, projection.through).map(|()| None);
        }
        if !projection.members.is_empty() {
            block_on(store.write(&projection.members)).map_err(|error| error.to_string())?;
        }
        if !projection.overlays.is_empty() {
            block_on(store.write(&projection.overlays)).map_err(|error| error.to_string())?;
        }
        if !projection.marks.is_empty() {
            block_on(store.raise(&projection.marks)).map_err(|error| error.to_string())?;
        }
        present::erase(store, key, &projection.erase)?;
        if let Some(record) = &projection.record {
            block_on(store.write(std::slice::from_ref(record))).map_err(|error| error.to_string())?;
        }
        if projection.members.is_empty() && projection.erase.is_empty() {
            return Ok(None);
        }
        // Somebody is told that they are listed, or expects a text to be gone: that must be as durable as the event itself.
        block_on(store.barrier()).map_err(|error| error.to_string())?;
        // Only now: whoever blocks after this finds the conversation listed.
        let pair = projection.pair.as_deref().map(|pair| homes::pair(store, &key.tenant, pair));
        pair.transpose().map_err(|error| error.to_string())
    };
    let blocks = match write() {
        Ok(blocks) => {
            PROJECTING.went_well();
            blocks
        }
        Err(error) => {
            PROJECTING.failed(error);
            return Err(projection);
        }
    };
    if let Some(below) = projection.trim_below
        && let Err(error) = block_on(store.trim(key, below))
    {
        // Only room on disk is lost: the record says already that those rows are gone.
        tracing::warn!(%error, conversation = %key.conversation, "retention could not drop old rows");
    }
    Ok(Written { through: projection.through, blocks })
}
