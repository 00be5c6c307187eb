//! What a router holds of a conversation: adopted by the design's rule 7, appended to by rule 8. Numbers begin with 1.

use std::collections::BTreeSet;

use switchyard_protocol::owner::Epoch;

use super::edges::Told;
use super::places::Message;
use super::replicas::{Body, Hint, Row, Write, left_in_bucket};
use super::rules::Removed;

/// Rows of a batch at most.
const BATCH_ROWS_MAX: usize = 3;

/// What it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Adoption: the hint.
    Hint,
    /// Adoption: a page of rows.
    Rows,
    /// Adoption: that what it wrote again is at a quorum.
    Rewriting,
    /// The fence read behind which it shows what it holds.
    Confirming,
    /// Nothing: it serves.
    Ready,
    /// That a batch is at a quorum.
    Writing,
    /// Erasure: the row of this number.
    ReadingRow(usize),
    /// Erasure: that this number's new row is at a quorum, and the fence read after it.
    Erasing(usize),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) number: usize,
    pub(crate) epoch: Epoch,
    pub(crate) state: State,
    hint: usize,
    /// The hint whose row was missing: it may have been dropped, and then there is a newer one.
    missed: Option<usize>,
    /// So many of the first rows are gone, or may be.
    pub(crate) gone: usize,
    /// The rows from number 1 on. Of those below the hint only the message is known.
    pub(crate) log: Vec<Row>,
    pub(crate) shown: usize,
    /// Messages for the next batch.
    pub(crate) waiting: Vec<Message>,
    /// Writes that are not known to be at a quorum.
    pub(crate) writes: BTreeSet<u64>,
    pub(crate) ever_shown: bool,
    /// Edges that are told what comes.
    pub(crate) edges: BTreeSet<usize>,
}

/// What an adoption comes to.
pub(crate) enum Adopted {
    /// The next page is to be read.
    More,
    /// The row of the hint is not there. The hint is to be read again.
    Dropped,
    /// It is not, and the hint is the same still.
    HeadMissing,
    /// These are to be written again; perhaps none.
    Rewrite(Vec<Write>),
}

impl Conversation {
    pub(crate) fn new(number: usize, epoch: Epoch) -> Self {
        Self {
            number,
            epoch,
            state: State::Hint,
            hint: 0,
            missed: None,
            gone: 0,
            log: Vec::new(),
            shown: 0,
            waiting: Vec::new(),
            writes: BTreeSet::new(),
            ever_shown: false,
            edges: BTreeSet::new(),
        }
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

    /// The hint is there. What lies below was committed, so any read gives it: `below` are those messages.
    pub(crate) fn hint_read(&mut self, hint: Hint, below: &[u32], removed: Option<Removed>) {
        (self.hint, self.gone) = (hint.committed, hint.gone);
        let known = self.hint.saturating_sub(usize::from(removed != Some(Removed::BaseRow))).min(below.len());
        self.log = below[..known].iter().map(|message| Row::known(*message)).collect();
        self.state = State::Rows;
    }

    /// From which number on is read next.
    pub(crate) fn next(&self) -> usize {
        if let State::ReadingRow(number) = self.state { number } else { self.log.len() + 1 }
    }

    /// How many rows are read at once: no more than this, and those of one bucket.
    pub(crate) fn page_rows(&self, rows_max: usize) -> usize {
        if self.state == State::Rows { rows_max.min(left_in_bucket(self.next())) } else { 1 }
    }

    /// A page was read. A row above the hint is accepted only if it begins its batch, or follows one of the same batch.
    pub(crate) fn page_read(&mut self, page: &[Option<Row>], removed: Option<Removed>) -> Adopted {
        for row in page {
            let number = self.log.len() + 1;
            let accepted = row.filter(Row::is_there).filter(|row| {
                // Of a row below what was read nothing is known.
                let any_batch = |last: &Row| removed == Some(Removed::WholeBatches) || last.epoch == 0;
                let same_batch = |last: &Row| any_batch(last) || (last.epoch, last.first) == (row.epoch, row.first);
                let is_lower_bound = removed != Some(Removed::HintIsLowerBound);
                number == self.hint
                    || is_lower_bound
                        && (row.first == number || number > self.hint && self.log.last().is_some_and(same_batch))
            });
            let Some(row) = accepted else { return self.all_read(removed) };
            self.log.push(row);
        }
        Adopted::More
    }

    fn all_read(&mut self, removed: Option<Removed>) -> Adopted {
        if self.log.len() < self.hint {
            let is_same = self.missed.replace(self.hint) == Some(self.hint);
            self.state = State::Hint;
            return if is_same { Adopted::HeadMissing } else { Adopted::Dropped };
        }
        let above = self.log.get(self.hint..).unwrap_or_default();
        let parts = above.iter().enumerate().map(|(at, row)| {
            let raises = removed != Some(Removed::RewriteRaisesTimestamp);
            let stamp = if raises { self.epoch.number() << 20 } else { row.stamp };
            let (number, mut row) = (self.hint + at + 1, Row { stamp, ..*row });
            if removed == Some(Removed::RewriteKeepsBatch) {
                (row.epoch, row.first) = (self.epoch.number(), number);
            }
            Write { conversation: self.number, from: number, rows: vec![row] }
        });
        let parts = if removed == Some(Removed::Rewrite) { Vec::new() } else { parts.collect() };
        self.state = if parts.is_empty() { State::Confirming } else { State::Rewriting };
        Adopted::Rewrite(parts)
    }

    /// Whether of the row of this number the message alone is known.
    pub(crate) fn is_below(&self, number: usize) -> bool {
        self.log.get(number - 1).is_some_and(|row| row.epoch == 0)
    }

    /// The number of this message among the rows that are kept.
    pub(crate) fn find(&self, message: u32) -> Option<usize> {
        let kept = self.log.iter().enumerate().skip(self.gone);
        kept.rev().find(|(_, row)| row.message == message).map(|(at, _)| at + 1)
    }

    /// The next batch, all of one bucket.
    pub(crate) fn append(&mut self, removed: Option<Removed>) -> Vec<Write> {
        let first = self.log.len() + 1;
        let count = self.waiting.len().min(BATCH_ROWS_MAX).min(left_in_bucket(first));
        let messages: Vec<u32> = self.waiting.drain(..count).map(|message| message.number).collect();
        // Without that rule each row is a batch of its own, and all are in flight at once.
        let batch_rows = if removed == Some(Removed::OneInFlight) { 1 } else { BATCH_ROWS_MAX };
        self.state = State::Writing;
        let mut writes = Vec::new();
        for messages in messages.chunks(batch_rows) {
            let from = self.log.len() + 1;
            let rows = messages.iter().map(|message| Row::new(self.epoch.number(), from, *message)).collect();
            self.log.extend(&rows);
            writes.push(Write { conversation: self.number, from, rows });
        }
        writes
    }

    /// What it waited for is there, and it shows all that it holds. Returns the number of which the text is gone.
    pub(crate) fn said(&mut self) -> Option<usize> {
        let erased = if let State::Erasing(number) = self.state { Some(number) } else { None };
        if let Some(row) = erased.and_then(|number| self.log.get_mut(number - 1)) {
            row.body = Body::Erased;
        }
        self.shown = self.log.len();
        self.ever_shown = true;
        self.state = State::Ready;
        erased
    }

    /// Whether an adoption that has read all takes a row above the hint of which the text is gone.
    pub(crate) fn takes_erased(&self) -> bool {
        let above = self.log.get(self.hint..).unwrap_or_default();
        self.state == State::Rewriting && above.iter().any(|row| row.body == Body::Erased)
    }

    /// Takes its batch for refused.
    pub(crate) fn give_up(&mut self) {
        self.log.truncate(self.shown);
        self.state = State::Ready;
        self.writes.clear();
    }
}
