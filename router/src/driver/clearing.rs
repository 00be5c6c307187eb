//! What is left of an erased conversation is overwritten or dropped. Each step may be done again, and nothing is lost by it: a
//! process that is killed in between begins anew when the conversation is next loaded.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::{BUCKET_ROWS, Batch, Direction, Outcome, Row, Seq};

use super::Timelines;
use super::rows::{rows, with_body};
use crate::rules::{Rule, Rules};
use crate::stored::{self, Founding, RowKind};

/// Rows that are read and overwritten at a time.
const ROWS_AT_A_TIME: usize = 128;

/// Clears the conversation whose last event, with this number, erased it, and whose members were in these lists. Its record says
/// so already.
pub(super) fn clear(
    store: &dyn Timelines,
    rules: Rules,
    key: &ConversationKey,
    lists: &[ConversationKey],
    head: Seq,
) -> Result<(), String> {
    let confirm = || block_on(store.barrier()).map_err(|error| error.to_string());
    // The record is kept before anything goes that it was made of.
    confirm()?;
    for list in lists {
        block_on(store.forget(list)).map_err(|error| error.to_string())?;
    }
    let confirm = || if rules.has(Rule::EraseBarrier) { confirm() } else { Ok(()) };
    // A store may drop whole runs only: what it may have to keep says nothing any more.
    overwrite(store, rules, key, 0, 0)?;
    if let Some(before) = head.checked_sub(1).filter(|before| *before > 0) {
        overwrite(store, rules, key, head.saturating_sub(BUCKET_ROWS).max(1), before)?;
        block_on(store.trim(key, head)).map_err(|error| error.to_string())?;
    }
    confirm()?;
    // From here on nobody need look again.
    overwrite(store, rules, key, head, head)?;
    confirm()
}

/// Overwrites what these rows say, as far as they are still there.
fn overwrite(store: &dyn Timelines, rules: Rules, key: &ConversationKey, from: Seq, to: Seq) -> Result<(), String> {
    let mut next = from;
    while next <= to {
        let page = rows(store, key, next, to, Direction::Forward, ROWS_AT_A_TIME).map_err(|error| error.to_string())?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        next = last + 1;
        let batches: Vec<Batch> = page.iter().filter_map(|(seq, row)| blanked(rules, key, *seq, row)).collect();
        let outcomes = if batches.is_empty() { Vec::new() } else { block_on(store.overwrite(&batches)) };
        if let Some(outcome) = outcomes.iter().find(|outcome| **outcome != Outcome::Stored) {
            return Err(format!("an erased conversation's rows could not be overwritten: {outcome:?}"));
        }
    }
    Ok(())
}

/// A row with nothing in it, unless it has nothing already.
fn blanked(rules: Rules, key: &ConversationKey, seq: Seq, row: &Row) -> Option<Batch> {
    let body = match RowKind::parse(row.kind) {
        Some((RowKind::Founding, _)) => {
            let kind = stored::decode::<Founding>(&row.body).unwrap_or_default().kind;
            stored::encode(&Founding { kind, ..Founding::default() })
        }
        // An empty body is one of every other kind. That of the event itself says so that nothing is left.
        _ => Bytes::new(),
    };
    (body != row.body).then(|| with_body(rules, key, seq, row, &body))
}
