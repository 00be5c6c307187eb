//! What a router holds of a conversation. The rows are stored and adopted by the real protocol (`work.rs`); here is what is in memory.
//! Numbers begin with 1: number 1 is row 0.

use std::collections::BTreeSet;

use switchyard_protocol::owner::Epoch;
use switchyard_store::Batch;

use super::edges::Told;
use super::places::Message;
use super::replicas::left_in_bucket;
use super::rows::{Body, Row, key_of};
use super::rules::Removed;
use super::work::{Loaded, Whose};

/// Rows of a batch at most.
const BATCH_ROWS_MAX: u64 = 3;

/// What it is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// It is adopted.
    Loading,
    /// Nothing: it serves.
    Ready,
    /// So many batches are being stored.
    Writing(usize),
    /// A text is being erased.
    Erasing,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) number: usize,
    pub(crate) epoch: Epoch,
    /// Tells it from another one that was there before.
    pub(crate) life: u64,
    pub(crate) state: State,
    /// So many of the first rows are gone, or may be.
    pub(crate) gone: usize,
    /// The rows from number 1 on. Of those that are gone only the message is known.
    pub(crate) log: Vec<Row>,
    pub(crate) shown: usize,
    /// Messages for the next batch.
    pub(crate) waiting: Vec<Message>,
    pub(crate) ever_shown: bool,
    /// Old rows are being dropped.
    pub(crate) trims: bool,
    /// Edges that are told what comes.
    pub(crate) edges: BTreeSet<usize>,
}

impl Conversation {
    pub(crate) fn new(number: usize, epoch: Epoch, life: u64) -> Self {
        Self {
            number,
            epoch,
            life,
            state: State::Loading,
            gone: 0,
            log: Vec::new(),
            shown: 0,
            waiting: Vec::new(),
            ever_shown: false,
            trims: false,
            edges: BTreeSet::new(),
        }
    }

    pub(crate) fn whose(&self) -> Whose {
        Whose { conversation: self.number, epoch: self.epoch, life: self.life }
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Ready
    }

    /// What it shows.
    pub(crate) fn shown(&self) -> Vec<Row> {
        self.log[..self.shown].to_vec()
    }

    /// What it tells an edge whose readers have all up to this number.
    pub(crate) fn tells(&self, after: usize, answers: Option<u64>) -> Told {
        // Of what is gone nobody is told, and of the rest not what is there already.
        let after = if answers.is_some() { after.max(self.gone) } else { after };
        let new = self.log[..self.shown].iter().skip(after);
        let messages = new.map(|row| row.message).collect();
        Told { epoch: self.epoch, from: after + 1, messages, gone: self.gone, answers }
    }

    /// It is adopted: the rows are these, and of those that are gone the messages. Without one of the others nothing is known,
    /// and its number is given.
    pub(crate) fn loaded(&mut self, loaded: &Loaded, messages: &[u32]) -> Result<(), u64> {
        self.gone = loaded.gone as usize;
        let mut rows = loaded.rows.iter().peekable();
        for seq in 0..loaded.head.map_or(0, |head| head + 1) {
            let row = rows.next_if(|(at, _)| *at == seq).map(|(_, row)| *row);
            let known = messages.get(seq as usize).filter(|_| seq < loaded.gone);
            let row = row.or(known.map(|message| Row::known(*message)));
            self.log.push(row.ok_or(seq)?);
        }
        Ok(())
    }

    /// The number of this message among the rows that are kept.
    pub(crate) fn find(&self, message: u32) -> Option<usize> {
        let kept = self.log.iter().enumerate().skip(self.gone);
        kept.rev().find(|(_, row)| row.message == message).map(|(at, _)| at + 1)
    }

    /// The next batch, all of one bucket.
    pub(crate) fn append(&mut self, removed: Option<Removed>) -> Vec<Batch> {
        let left = left_in_bucket(self.log.len() as u64).min(BATCH_ROWS_MAX) as usize;
        let count = self.waiting.len().min(left);
        let messages: Vec<u32> = self.waiting.drain(..count).map(|message| message.number).collect();
        // Without that rule each row is a batch of its own, and all are in flight at once.
        let batch_rows = if removed == Some(Removed::OneInFlight) { 1 } else { BATCH_ROWS_MAX as usize };
        let (key, epoch) = (key_of(self.number), self.epoch.number());
        let mut batches = Vec::new();
        for messages in messages.chunks(batch_rows) {
            let first = self.log.len() as u64;
            let rows: Vec<_> = messages.iter().map(|message| Row::new(epoch, first, *message)).collect();
            let blobs = (first..).zip(&rows).map(|(seq, row)| row.encode(&key, seq)).collect();
            self.log.extend(rows);
            batches.push(Batch { key: key.clone(), epoch, first, rows: blobs });
        }
        self.state = State::Writing(batches.len());
        batches
    }

    /// A batch is confirmed. Whether it was the last one.
    pub(crate) fn committed(&mut self) -> bool {
        let State::Writing(left) = self.state else { return false };
        self.state = State::Writing(left - 1);
        left == 1
    }

    /// The text of this row is gone.
    pub(crate) fn erased(&mut self, seq: u64) {
        if let Some(row) = self.log.get_mut(seq as usize) {
            row.body = Body::Erased;
        }
    }

    /// What it waited for is there, and it shows all that it holds.
    pub(crate) fn said(&mut self) {
        self.shown = self.log.len();
        self.ever_shown = true;
        self.state = State::Ready;
    }

    /// Its batch was refused.
    pub(crate) fn give_up(&mut self) {
        self.log.truncate(self.shown);
        self.state = State::Ready;
    }
}
