//! Adoption: what an owner does with a conversation that it touches for the first time in its epoch.
//!
//! There may be rows above the committed ones, left by owners before: stored on some nodes and never confirmed, or still on their way.
//! From a number known to be committed, its own row included, rows are taken as long as each begins its batch or is of the
//! same batch as the one before; what is taken is written again with this epoch's timestamp, byte for byte, so that nothing
//! of an earlier epoch can change it; then it is confirmed. Whatever was not taken is overwritten by what this owner appends.
//!
//! Each of these rules is needed: see ARCHITECTURE.md and `cluster/tests/ownership`. One more: until it is known what became of the
//! writes, the rows are not read again in this epoch, for they could read otherwise. So an adoption goes on by itself. It ends only
//! where that is known: all is stored, or what is not was refused for good each time that it was sent.
//!
//! What it read is given to who asked for it, for whoever adopts replays: the newest rows, up to a limit. What lies between the
//! number that the caller knows and the one that is noted is read with the rest where that costs no statement more.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::log::{Adopted, BarrierError, Damage, ReadError, Seq};
use crate::row::{Row, RowRef};
use crate::rules::Rule;

use super::{Bound, Bounds, Failure, Reached, Replicas, Sizes, Stamped, StoredRow, barrier, timestamp, unread};

/// Between attempts at writes whose outcome is unknown: at first, and at most.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The last row that was taken.
#[derive(Clone, Copy)]
struct Taken {
    seq: Seq,
    /// The epoch and the first number of its batch; nothing if the row was not looked at, which is against the rules.
    batch: Option<(u64, Seq)>,
}

impl Taken {
    fn of(key: &ConversationKey, stored: &StoredRow) -> Result<Self, ReadError> {
        let corrupt = |reason| ReadError::Corrupt { key: key.clone(), seq: stored.seq, reason };
        let row = Row::decode(key, stored.seq, &stored.row).map_err(corrupt)?;
        Ok(Self { seq: stored.seq, batch: Some((row.epoch, row.first)) })
    }

    /// Whether the row begins its batch, or is of the same one as the row before it.
    fn follows(&self, before: Option<Self>) -> bool {
        let begins = self.batch.is_some_and(|(_, first)| first == self.seq);
        begins || before.is_some_and(|before| before.batch.is_none() || before.batch == self.batch)
    }
}

/// Where an adoption begins.
struct Beginning {
    /// The highest row that is known to be committed; nothing if none is.
    base: Option<Taken>,
    bounds: Bounds,
    /// That row and those before it, as far as they were read.
    given: Given,
    /// From where on the page was read.
    read_from: Seq,
    page: Vec<StoredRow>,
}

/// The newest rows that were read, without a hole. Each is intact.
struct Given {
    rows: VecDeque<(Seq, Bytes)>,
    bytes: usize,
    sizes: Sizes,
}

impl Given {
    fn new(sizes: Sizes) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, sizes }
    }

    /// A row that is intact.
    fn push(&mut self, stored: &StoredRow) {
        if self.rows.back().is_some_and(|(seq, _)| seq + 1 != stored.seq) {
            *self = Self::new(self.sizes);
        }
        self.bytes += stored.row.len();
        self.rows.push_back((stored.seq, stored.row.clone()));
        while self.rows.len() > self.sizes.given_rows || self.bytes > self.sizes.given_bytes {
            let Some((_, row)) = self.rows.pop_front() else { break };
            self.bytes -= row.len();
        }
    }
}

/// See [`Log::adopt`](crate::Log::adopt). To be run to its end, whoever waits for it, and not twice at a time in one epoch.
pub async fn adopt<R: Replicas>(
    replicas: &R,
    key: &ConversationKey,
    epoch: u64,
    at_least: Seq,
) -> Result<Option<Adopted>, ReadError> {
    let (rules, sizes) = (replicas.rules(), replicas.sizes());
    let Some(timestamp) = timestamp::of_epoch(epoch, rules) else {
        return Err(unread(format_args!("there is no epoch {epoch}")));
    };
    let Beginning { mut base, bounds, mut given, mut read_from, mut page } = beginning(replicas, key, at_least).await?;
    // Rows of this epoch, too: an adoption before may have written them again and met no barrier.
    let mut unconfirmed = false;
    while rules.has(Rule::HintIsLowerBound) {
        let is_full = page.len() as u64 == sizes.page_rows;
        let mut taken = Vec::new();
        let mut all = true;
        let above = base.map_or(0, |base| base.seq + 1);
        // What lies below is known to be committed, and was looked at already.
        for stored in page.iter().filter(|stored| stored.seq >= above) {
            let next = base.map_or(0, |base| base.seq + 1);
            let row = if stored.seq == next { Some(Taken::of(key, stored)?) } else { None };
            let follows = |row: &Taken| row.follows(base) || !rules.has(Rule::WholeBatches);
            let Some(row) = row.filter(follows) else {
                all = false;
                break;
            };
            if timestamp::epoch_of(stored.timestamp) > epoch {
                return Err(unread("a later owner has written here"));
            }
            base = Some(row);
            given.push(stored);
            taken.push(stored);
        }
        unconfirmed |= !taken.is_empty();
        taken.retain(|stored| timestamp::epoch_of(stored.timestamp) < epoch);
        if rules.has(Rule::Rewrite) {
            rewrite(replicas, key, &taken, epoch, timestamp).await?;
        }
        let next = base.map_or(0, |base| base.seq + 1);
        let bucket_ends = next / sizes.bucket_rows > read_from / sizes.bucket_rows;
        let goes_on = bucket_ends || (is_full && all);
        if !goes_on {
            break;
        }
        page = replicas.rows(key, next, sizes.page_rows).await.map_err(unread)?;
        read_from = next;
    }
    if unconfirmed && rules.has(Rule::RewriteBarrier) {
        barrier(replicas).await.map_err(unread)?;
    }
    let Some(Taken { seq: head, .. }) = base else { return Ok(None) };
    // As seldom as while messages are stored: less than that the next owner reads and writes again in one statement.
    if unconfirmed
        && head >= bounds.committed + sizes.note_every
        && (replicas.owns(key, epoch) || !rules.has(Rule::HintByOwner))
        && let Err(error) = replicas.raise(key, &[(Bound::Committed, head)]).await
    {
        tracing::debug!(%error, "what was adopted was not noted");
    }
    Ok(Some(Adopted { head, newest: given.rows.into() }))
}

/// The highest row that is known to be committed, and the rows that were read with it. Nothing below it is looked at, but
/// to be given.
async fn beginning<R: Replicas>(replicas: &R, key: &ConversationKey, at_least: Seq) -> Result<Beginning, ReadError> {
    let sizes = replicas.sizes();
    let mut tried = None;
    loop {
        let bounds = replicas.bounds(key).await.map_err(unread)?;
        let from = at_least.max(bounds.committed).max(bounds.begins);
        let wanted = at_least.max(bounds.begins);
        let near = wanted / sizes.bucket_rows == from / sizes.bucket_rows && from - wanted < sizes.page_rows;
        let read_from = if near { wanted } else { from };
        let page = replicas.rows(key, read_from, sizes.page_rows).await.map_err(unread)?;
        let mut given = Given::new(sizes);
        if from == 0 {
            return Ok(Beginning { base: None, bounds, given, read_from, page });
        }
        if !replicas.rules().has(Rule::BaseRow) {
            return Ok(Beginning { base: Some(Taken { seq: from, batch: None }), bounds, given, read_from, page });
        }
        for stored in page.iter().filter(|stored| stored.seq < from) {
            match Taken::of(key, stored) {
                Ok(_) => given.push(stored),
                // Whoever wants it reads it, and meets the damage.
                Err(_) => given = Given::new(sizes),
            }
        }
        match page.iter().find(|stored| stored.seq == from) {
            Some(stored) => {
                let base = Some(Taken::of(key, stored)?);
                given.push(stored);
                return Ok(Beginning { base, bounds, given, read_from, page });
            }
            // It may have been dropped since, by an owner that was not fenced then and has said where it begins.
            None if tried != Some(from) => tried = Some(from),
            None => return Err(ReadError::Corrupt { key: key.clone(), seq: from, reason: Damage::Missing }),
        }
    }
}

/// Writes rows again with this timestamp, until it is known that they are stored. It fails only if it is known that those which are
/// not never will be, by what was sent until then; or if this router is fenced, which adopts nothing any more.
async fn rewrite<R: Replicas>(
    replicas: &R,
    key: &ConversationKey,
    rows: &[&StoredRow],
    epoch: u64,
    timestamp: i64,
) -> Result<(), ReadError> {
    let rules = replicas.rules();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fit = rest.iter().take_while(|stored| {
            bytes += stored.row.len();
            bytes <= replicas.sizes().part_bytes
        });
        let (part, others) = rest.split_at(fit.count().max(1));
        rest = others;
        let blobs: Vec<_> = part.iter().map(|stored| again(replicas, key, stored, epoch)).collect();
        let stamped = part.iter().zip(&blobs).map(|(stored, row)| {
            let timestamp = if rules.has(Rule::RewriteRaisesTimestamp) { timestamp } else { stored.timestamp };
            Stamped { seq: stored.seq, row, timestamp }
        });
        let stamped: Vec<_> = stamped.collect();
        let mut pause = PAUSE;
        // An attempt before may be stored yet, whatever becomes of those after it.
        let mut unknown = false;
        while let Err(error) = replicas.put(key, &stamped).await {
            match error.reached() {
                Reached::Never if !unknown => {
                    return Err(unread(format_args!("what is to be adopted is refused until this is mended: {error}")));
                }
                Reached::Never | Reached::Nobody => {}
                Reached::Perhaps => unknown = true,
            }
            if pause == PAUSE {
                tracing::warn!(%error, conversation = %key.conversation, "what was adopted is not stored yet; it is tried on");
            }
            if barrier(replicas).await == Err(BarrierError::Fenced) {
                return Err(unread(BarrierError::Fenced));
            }
            if !rules.has(Rule::AdoptOnce) {
                return Err(unread("it is begun anew"));
            }
            replicas.pause(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
    Ok(())
}

/// The bytes with which a row is written again: its own.
fn again<R: Replicas>(replicas: &R, key: &ConversationKey, stored: &StoredRow, epoch: u64) -> Bytes {
    if replicas.rules().has(Rule::RewriteKeepsBatch) {
        return stored.row.clone();
    }
    let row = Row::decode(key, stored.seq, &stored.row).expect("it was read");
    RowRef { epoch, first: stored.seq, ..row.as_ref() }.encode(key, stored.seq)
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;
    use switchyard_protocol::owner::Incarnation;

    use super::super::append;
    use super::super::double::{Double, batch, key};
    use super::*;
    use crate::log::Outcome;

    /// Rows 0 to 2, of the first owner.
    fn left_behind() -> Double {
        let replicas = Double::default();
        replicas.fence().serve(Incarnation::new(1).expect("a number"));
        assert_eq!(block_on(append(&replicas, &[batch(1, 0, 3)])), [Outcome::Stored]);
        replicas
    }

    /// Adopts them in the second epoch, one row at a time, while writes are answered so; the head, and how many were sent.
    fn adopted(replicas: &Double, puts: &[Result<(), Reached>]) -> (Result<Option<Seq>, ReadError>, usize) {
        let before = {
            let mut state = replicas.state();
            state.puts = puts.to_vec().into();
            state.puts_sent
        };
        let head = block_on(adopt(replicas, &key(), 2, 0)).map(|adopted| adopted.map(|adopted| adopted.head));
        assert!(replicas.state().puts.is_empty(), "{puts:?} are not all answered");
        (head, replicas.state().puts_sent - before)
    }

    const NOBODY: Result<(), Reached> = Err(Reached::Nobody);
    const NEVER: Result<(), Reached> = Err(Reached::Never);
    const PERHAPS: Result<(), Reached> = Err(Reached::Perhaps);

    #[test]
    fn what_is_refused_for_good_ends_it_and_may_be_tried_anew() {
        let replicas = left_behind();
        // Of each part it is known by itself what became of it.
        for puts in [&[NEVER][..], &[NOBODY, NOBODY, NEVER], &[PERHAPS, Ok(()), NEVER]] {
            let (head, sent) = adopted(&replicas, puts);
            assert!(matches!(&head, Err(ReadError::Unavailable(text)) if text.contains("refused")), "{head:?}");
            assert_eq!(sent, puts.len(), "nothing is sent after that");
        }
        assert_eq!(adopted(&replicas, &[]), (Ok(Some(2)), 2), "all but the one that is stored");
        assert_eq!(adopted(&replicas, &[]), (Ok(Some(2)), 0), "they are its own by now");
    }

    #[test]
    fn it_goes_on_after_an_attempt_that_nobody_knows_of_whatever_is_said_then() {
        for puts in [&[PERHAPS, NEVER][..], &[NOBODY, PERHAPS, NEVER, NOBODY, NEVER], &[Ok(()), PERHAPS, NEVER]] {
            let stored = puts.iter().filter(|put| put.is_ok()).count();
            assert_eq!(adopted(&left_behind(), puts), (Ok(Some(2)), puts.len() + 3 - stored), "{puts:?}");
        }
    }
}
