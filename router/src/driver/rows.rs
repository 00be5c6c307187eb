//! Rows as they are read: decoded, or an error that says where the damage is; and what a failed read is for a client. And rows as
//! they are written to erase what they say.

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::PAGE_BYTES_MAX;
use switchyard_store::{Batch, Direction, ProjectionError, ReadError, ReadRange, Row, RowRef, Seq};

use super::Timelines;
use crate::machine::ReadFailed;
use crate::rules::{Rule, Rules};

/// Rows read from the store at a time while a conversation is replayed or searched.
pub(super) const ROWS_PER_READ: usize = 512;

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

pub(super) fn rows_of(
    store: &dyn Timelines,
    key: &ConversationKey,
    range: ReadRange,
) -> Result<Vec<(Seq, Row)>, ReadError> {
    let blobs = block_on(store.read(key, range))?;
    blobs.into_iter().map(|(seq, blob)| decode(key, seq, &blob).map(|row| (seq, row))).collect()
}

pub(super) fn decode(key: &ConversationKey, seq: Seq, blob: &Bytes) -> Result<Row, ReadError> {
    Row::decode(key, seq, blob).map_err(|reason| ReadError::Corrupt { key: key.clone(), seq, reason })
}

/// What is written to take a row's text away. In all else it stays what it was: who adopts it later has to find it in its batch.
pub(super) fn with_body(rules: Rules, key: &ConversationKey, seq: Seq, row: &Row, body: &[u8]) -> Batch {
    let first = if rules.has(Rule::EraseKeepsBatch) { row.first } else { seq };
    let blob = RowRef { first, body, ..row.as_ref() }.encode(key, seq);
    Batch { key: key.clone(), epoch: row.epoch, first: seq, rows: vec![blob] }
}
