//! Writing what follows from the log: projections and marks. The log itself goes through the commit thread.

use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::Mark;

use super::trouble::Trouble;
use super::{Timelines, clearing, homes, present};
use crate::machine::{Projection, Recorded, Written};
use crate::rules::{Rule, Rules};

static RAISING: Trouble = Trouble::of("marks are not stored; they will be again");

static PROJECTING: Trouble = Trouble::of("what follows from the log is not written; it will be again");

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

/// Writes members and marks before the record that says that they are there; then drops the rows that nothing needs any more.
///
/// `Err` gives the writes back, to be repeated.
pub fn project(
    store: &dyn Timelines,
    rules: Rules,
    key: &ConversationKey,
    projection: Box<Projection>,
) -> Result<Written, Box<Projection>> {
    let write = || {
        if projection.clear {
            return clearing::clear(store, rules, key, &projection.dropped, projection.through).map(|()| None);
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
        present::erase(store, rules, key, &projection.erase)?;
        let confirm = || block_on(store.barrier()).map_err(|error| error.to_string());
        if !projection.erase.is_empty() && rules.has(Rule::EraseBarrier) {
            // The record says that nobody need look again: an owner that was fenced meanwhile must not say so, nor may a power
            // cut take the erasure and leave the record.
            confirm()?;
        }
        if let Some(record) = &projection.record {
            block_on(store.write(std::slice::from_ref(record))).map_err(|error| error.to_string())?;
        }
        if projection.members.is_empty() {
            return Ok(None);
        }
        // Somebody is told that they are listed: that must be as durable as the event itself.
        confirm()?;
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
    for list in dropped(store, key, &projection) {
        if let Err(error) = block_on(store.drop_list(list)) {
            // Only room on disk is lost, until the members are listed anew once more.
            tracing::warn!(%error, conversation = %key.conversation, "a list of members that is read no more was not dropped");
        }
    }
    if let Some(below) = projection.trim_below
        && let Err(error) = block_on(store.trim(key, below))
    {
        // Only room on disk is lost: the record says already that those rows are gone.
        tracing::warn!(%error, conversation = %key.conversation, "retention could not drop old rows");
    }
    Ok(Written { through: projection.through, blocks })
}

/// The lists of members that nobody reads from now on. What goes does not come back, so it is looked once more whether the record
/// that is stored names the list that was written.
fn dropped<'a>(store: &dyn Timelines, key: &ConversationKey, projection: &'a Projection) -> &'a [ConversationKey] {
    if projection.dropped.is_empty() || projection.clear {
        return &projection.dropped;
    }
    let record = block_on(store.load(key)).ok().flatten();
    let named = record.and_then(|record| Recorded::read(key, &record).ok()).map(|record| record.list(key));
    let written = projection.record.as_ref().and_then(|record| Recorded::of_write(key, record));
    let written = written.map(|record| record.list(key));
    if named.is_some() && named == written {
        return &projection.dropped;
    }
    tracing::warn!(conversation = %key.conversation, "the record names another list of members than was written; none is dropped");
    &[]
}
