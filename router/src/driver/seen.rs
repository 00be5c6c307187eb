//! Reads when a user was there last.

use futures_executor::block_on;
use prost::Message as _;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::{ProjectionError, ReadError, StoredMark};

use super::{Timelines, rows};
use crate::machine::{BEGAN, ReadFailed, SEEN, SeenMark};

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
    let began = self::marks(store, &ConversationKey::beginnings(&home.key.tenant))?;
    let began = began.into_iter().filter(|mark| mark.kind == BEGAN);
    let began = began.filter_map(|mark| Some((mark.user.as_str().parse::<u64>().ok()?, mark.at)));
    let next = began.filter(|(process, _)| *process > then).min();
    Ok(Some(seen.at.max(next.map_or(began_ms, |(_, at)| at))))
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
