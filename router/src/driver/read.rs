//! Carrying out the plans of reads: pages of messages and of events, and what else requests ask the store for.

use futures_executor::block_on;
use switchyard_cluster::link::PageFrom;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::PAGE_BYTES_MAX;
use switchyard_protocol::v1;
use switchyard_store::{Direction, ReadError, ReadRange, Seq};

use super::rows::{ROWS_PER_READ, decode, rows, rows_of};
use super::{Timelines, beginning, encode_message, homes, present, roles};
use crate::machine::{ReadPlan, ReadResult, Reader, row_hash};
use crate::stored::counts;
use crate::timeline;

/// Bytes that a read for a page may bring, at least: so that a page which is nearly full does not go through a run of events
/// that are no messages one by one.
const READ_BYTES_MIN: usize = 4 * 1024;

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
                        return Ok(ReadResult::Found(found.first().map(encode_message)));
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
