//! The log: the numbered rows of each conversation, which are the truth that everything else is derived from. The
//! trait and its contract only; no store is named here.

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::INTEGER_MAX;

use crate::BoxFuture;

/// A row's number in its conversation. 0 is the founding row, events count from 1.
pub type Seq = u64;

/// Rows in one batch: bounds how long one conversation holds the commit thread, and what adoption must read again.
pub const ROWS_MAX: usize = 100;

/// Bytes of all rows of one batch: at least three of the largest bodies, and far below what CQL stores warn about.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Rows that share a partition in a store that has partitions; a batch never crosses a multiple of it.
pub const BUCKET_ROWS: u64 = 1_000;

/// Consecutive rows of one conversation, stored wholly or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they go.
    pub key: ConversationKey,
    /// The writer's epoch. A store shared by several writers lets a higher one win.
    pub epoch: u64,
    /// The number of the first row; the others follow it without a hole.
    pub first: Seq,
    /// The rows as [`RowRef::encode`](crate::RowRef::encode) made them for exactly these numbers.
    pub rows: Vec<Bytes>,
}

impl Batch {
    /// Whether it keeps the rules that its fields say.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let rows = self.rows.len() as u64;
        if self.rows.len() > ROWS_MAX || self.rows.iter().map(Bytes::len).sum::<usize>() > BATCH_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let last = self.first.checked_add(rows.wrapping_sub(1)).filter(|_| rows > 0);
        match last {
            Some(last) if last <= INTEGER_MAX && last / BUCKET_ROWS == self.first / BUCKET_ROWS => Ok(()),
            _ => Err(Refusal::Malformed),
        }
    }
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every row is stored and readable. It is kept for certain only after the next barrier.
    Stored,
    /// Nothing of this attempt is or will ever be there.
    Refused(Refusal),
    /// Nobody knows. The same bytes must be appended again, until the answer is known, before the numbers are used for
    /// anything else in this epoch; a refusal of a repetition says nothing about the attempts before it.
    Unknown,
}

/// Why nothing of a batch was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No room on disk. Worth trying again later; reading goes on.
    #[error("the store is full")]
    Full,
    /// More than [`ROWS_MAX`] rows or [`BATCH_BYTES_MAX`] bytes.
    #[error("the batch is too large")]
    TooLarge,
    /// No rows, a number above [`INTEGER_MAX`], or a batch that crosses a bucket's end.
    #[error("the batch is malformed")]
    Malformed,
    /// The store is shutting down or has failed for good; this process will store nothing more.
    #[error("the store is closed")]
    Closed,
    /// The store did not take it now: too few of its copies are there, or it was busy for too long. Worth trying again.
    #[error("the store does not take it now")]
    Unavailable,
}

/// Why a barrier did not confirm what was stored before it. In every case the outcome of those batches is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarrierError {
    /// Another owner has taken over: stop, acknowledge nothing more.
    #[error("this owner is fenced")]
    Fenced,
    /// It could not be established; the barrier may be asked for again.
    #[error("the barrier could not be reached: {0}")]
    Unavailable(String),
    /// The disk refused to sync. What it keeps is unknowable from here on; a process in production has ended already.
    #[error("the disk failed: {0}")]
    Failed(String),
}

/// Which way a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest number up.
    Forward,
    /// From the highest number down.
    Backward,
}

/// A page of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRange {
    /// The lowest number wanted.
    pub from: Seq,
    /// The highest number wanted, itself included. It may lie above the head.
    pub to: Seq,
    /// Where to begin, and so which rows are left out when a limit cuts the page.
    pub direction: Direction,
    /// At most so many rows.
    pub rows_max: usize,
    /// Stop before the row that would exceed so many bytes of blobs; the first row is returned whatever its size.
    pub bytes_max: usize,
}

/// Why a read has no answer. Rows that are not certainly right are never part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What is stored there is not what was written.
    #[error("row {seq} of conversation {} is damaged: {reason}", key.conversation)]
    Corrupt {
        /// The conversation.
        key: ConversationKey,
        /// The first row that is wrong or missing.
        seq: Seq,
        /// In which way.
        reason: Damage,
    },
    /// The store does not answer now; ask again.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
}

/// In which way a stored row is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The blob fails its checksum, or belongs to another key.
    #[error("checksum mismatch")]
    Checksum,
    /// Too short to be a row.
    #[error("cut short")]
    Short,
    /// A form that this binary does not know.
    #[error("unknown row version {0}")]
    Version(u8),
    /// The checksum is right and the payload is not a row: it was written so.
    #[error("payload does not decode")]
    Payload,
    /// A number between two stored ones, or one known to be committed, is not there.
    #[error("missing")]
    Missing,
    /// Epoch, first or ordinal contradict the rows around it.
    #[error("inconsistent with its neighbours: {0}")]
    Inconsistent(&'static str),
    /// The store below reports damage of its own.
    #[error("the storage engine reports: {0}")]
    Engine(String),
}

/// What an owner has made its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The highest number.
    pub head: Seq,
    /// The newest rows, in order and without a hole, up to the head; maybe none, so that whoever goes through the log need not
    /// read them once more. Each is as [`Log::read`] would give it: intact, and written for its place. Bounded by the store, to a
    /// few hundred rows and KiB.
    pub newest: Vec<(Seq, Bytes)>,
}

impl Adopted {
    /// Of which the rows are to be read.
    pub fn of_head(head: Seq) -> Self {
        Self { head, newest: Vec::new() }
    }
}

/// The rows of all conversations.
///
/// **One batch in flight per conversation** is the caller's duty: until [`append`](Log::append) has answered for a
/// conversation (and `Unknown` is no answer), no other batch of it is given to the store.
pub trait Log: Send + Sync + 'static {
    /// Stores the batches and says for each, in the same order, what became of it.
    ///
    /// *Atomicity:* each batch is stored wholly or not at all, also across a crash; a reader sees none or all of its
    /// rows. Batches are independent of each other: one may be refused and the next stored.
    /// *Order:* batches of one call may be stored in any order. A batch given after another's answer is, after a
    /// crash, never there without it within one epoch of one conversation.
    /// *Durability:* none until a [`barrier`](Log::barrier) that began after the answer.
    /// *Repetition:* the same batch again, byte for byte, is harmless and answers anew. Other bytes under a stored number
    /// are for [`overwrite`](Log::overwrite): of two writes of one epoch to a number a shared store keeps whichever it likes.
    /// *Epochs:* in a store with several owners rows of a lower epoch lose against those of a higher one under the same number,
    /// whenever they come.
    /// *Cancellation:* dropping the future makes the outcome of every batch unknown.
    fn append<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>>;

    /// Puts other bytes in the place of stored rows, for erasing what they say. As [`append`](Log::append), but for this:
    ///
    /// Such a batch holds committed numbers alone, and may be given beside the one of its conversation that is in flight,
    /// one at a time. The rows keep the epoch and the first number that they have, or an owner to come would leave out what
    /// follows them. What is overwritten stays so, in a store with several owners also against a repetition of what was there
    /// that comes late. Rows that are not there any more need not be stored.
    fn overwrite<'a>(&'a self, batches: &'a [Batch]) -> BoxFuture<'a, Vec<Outcome>> {
        self.append(batches)
    }

    /// Makes what owners before this one have stored of a conversation its own, and returns the head and the newest rows, as far
    /// as it read them: nothing if there is no row. To be called once when a conversation is first touched in an epoch, before anything of it is answered or appended.
    ///
    /// `at_least` is a number known to be committed, or 0. Afterwards every row up to the head is committed, and no late write of an
    /// earlier epoch changes any; rows that were never committed and do not follow what is, are left out for good.
    /// In a store of one process there is nobody before: this is [`head`](Log::head), and no rows are given.
    /// *Damage:* a store that looks at the rows from the highest one that is known to be committed up answers
    /// [`ReadError::Corrupt`] if one of them is damaged. What is damaged below is not given, nor is what lies before it:
    /// [`read`](Log::read) tells.
    /// *Repetition:* harmless, but not while anything of the conversation is in flight. One that is dropped, or that failed,
    /// goes on by itself until it is known what became of its writes; a call of the same epoch joins it.
    fn adopt<'a>(
        &'a self,
        key: &'a ConversationKey,
        epoch: u64,
        at_least: Seq,
    ) -> BoxFuture<'a, Result<Option<Adopted>, ReadError>> {
        let _ = epoch;
        let head = self.head(key, at_least);
        Box::pin(async move { Ok(head.await?.map(Adopted::of_head)) })
    }

    /// Confirms what was `Stored` before this call *began*: it is kept, whatever happens next.
    ///
    /// Embedded: one synced write for all conversations and for all callers waiting; a failed sync ends the process. A
    /// shared store: a read of the fence, so an error means that nothing stored since the last success may be
    /// acknowledged. Covers [`Projections`](crate::Projections) writes of the same store too. May be asked for again.
    fn barrier(&self) -> BoxFuture<'_, Result<(), BarrierError>>;

    /// Whether other processes may store beside this one. Then what one waits for is another machine's answer, and batches
    /// are given as they come; else it is this machine's disk, which confirms many as fast as one.
    fn is_shared(&self) -> bool {
        false
    }

    /// A page: stored rows within the range, each with its number, in the order of the direction, without a hole.
    ///
    /// Rows below what [`trim`](Log::trim) left are skipped as if the range began above them (the founding row stays
    /// readable). A hole anywhere else, a blob that fails its checksum or one that was written under another key is
    /// [`ReadError::Corrupt`]; nothing is returned beside the error, so a caller that wants the rows before it asks for
    /// less. Fewer rows than `rows_max` may be returned (`bytes_max`); an empty page means that the range is empty.
    ///
    /// Sees every batch that was answered `Stored` before the call began; may see others, wholly.
    fn read<'a>(
        &'a self,
        key: &'a ConversationKey,
        range: ReadRange,
    ) -> BoxFuture<'a, Result<Vec<(Seq, Bytes)>, ReadError>>;

    /// The highest stored number, or nothing if not even a founding row is there.
    ///
    /// `at_least` is a number known to be committed (0 if none is): a bucketed store starts looking there, and a store
    /// that holds less answers [`ReadError::Corrupt`] with [`Damage::Missing`]. With 0 nothing is demanded.
    ///
    /// In a store with several owners there may be rows above the committed ones, left by those that were fenced: who owns
    /// the conversation asks [`adopt`](Log::adopt) instead.
    fn head<'a>(&'a self, key: &'a ConversationKey, at_least: Seq) -> BoxFuture<'a, Result<Option<Seq>, ReadError>>;

    /// Retention: drops the rows from 1 to below `below` and returns the lowest number from 1 up that is still there.
    ///
    /// A store may drop whole buckets only, so it may keep more than was asked; row 0 and the head's row always stay.
    /// Never brings rows back: a lower `below` than before changes nothing. Durable with the next barrier; after a crash
    /// before it, rows may be back, and the call is repeated. Readers at the same time see a row or the end of history,
    /// never a hole in the middle.
    fn trim<'a>(&'a self, key: &'a ConversationKey, below: Seq) -> BoxFuture<'a, Result<Seq, ReadError>>;
}
