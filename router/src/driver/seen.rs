//! Reads when a user was there last.

use futures_executor::block_on;
use prost::Message as _;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::{ConversationKey, TenantId};
use switchyard_store::{ProjectionError, ReadError, StoredMark};

use super::{Timelines, rows};
use crate::machine::{BEGAN, ReadFailed, SEEN, SeenMark, group_of};

/// Groups of processes that are looked at for the one that began next. A tenant whom nobody came to for so many is told that who was
/// online then was there until the process began that is asked.
const GROUPS_MAX: usize = 10;

/// When the user was there last, if ever; asked by the process of this number, which began then. Only while the user is not
/// online.
pub fn load(store: &dyn Timelines, home: &Home, process: u64, began_ms: u64) -> Result<Option<u64>, ReadFailed> {
    let marks = marks(store, &home.key)?;
    let Some(seen) = marks.into_iter().find(|mark| mark.kind == SEEN && mark.user == home.user) else {
        return Ok(None);
    };
    let Ok(SeenMark { online_in }) = SeenMark::decode(seen.value) else {
        tracing::error!("when a user was seen last cannot be read; run `switchyard verify`");
        return Err(ReadFailed::Corrupt);
    };
    let Some(then) = online_in.filter(|then| *then != process) else { return Ok(Some(seen.at)) };
    // That process was killed: the next one of which anything is known tells until when it may have lived.
    let next = next(store, &home.key.tenant, then, process)?;
    Ok(Some(seen.at.max(next.unwrap_or(began_ms))))
}

/// When the first process after that one began that knew anybody of the tenant, looked for up to the asking process.
fn next(store: &dyn Timelines, tenant: &TenantId, then: u64, asking: u64) -> Result<Option<u64>, ReadFailed> {
    let first = group_of(then);
    for group in (first..=group_of(asking).max(first)).take(GROUPS_MAX) {
        let began = marks(store, &ConversationKey::beginnings(tenant, group))?;
        let began = began.into_iter().filter(|mark| mark.kind == BEGAN);
        let began = began.filter_map(|mark| Some((mark.user.as_str().parse::<u64>().ok()?, mark.at)));
        if let Some((_, at)) = began.filter(|(process, _)| *process > then).min() {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn marks(store: &dyn Timelines, key: &ConversationKey) -> Result<Vec<StoredMark>, ReadFailed> {
    block_on(store.marks(key)).map_err(|error| match error {
        ProjectionError::Corrupt { .. } => {
            tracing::error!(%error, "what is stored of presence is damaged; run `switchyard verify`");
            ReadFailed::Corrupt
        }
        error => rows::failed(&ReadError::Unavailable(error.to_string())),
    })
}
