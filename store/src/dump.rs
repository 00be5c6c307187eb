//! Going through one conversation, whatever store it is in.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;

use crate::log::{Direction, Log, ReadError, ReadRange, Seq};
use crate::row::Row;

/// Rows that are read at a time.
const ROWS: usize = 256;

/// Bytes that are read at a time.
const BYTES: usize = 1024 * 1024;

/// A conversation's rows in order, from the founding one on, each checked; ends after the first error.
///
/// Where others store in it meanwhile, the last rows may be some that nobody has confirmed yet.
pub struct Dump<S> {
    store: S,
    key: ConversationKey,
    next: Option<Seq>,
    page: VecDeque<(Seq, Bytes)>,
}

impl<S: Log> Dump<S> {
    /// Of this conversation. It keeps the store.
    pub fn new(store: S, key: ConversationKey) -> Self {
        Self { store, key, next: Some(0), page: VecDeque::new() }
    }
}

impl<S: Log> Iterator for Dump<S> {
    type Item = Result<(Seq, Row), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            let range = ReadRange {
                from: self.next?,
                to: Seq::MAX,
                direction: Direction::Forward,
                rows_max: ROWS,
                bytes_max: BYTES,
            };
            match block_on(self.store.read(&self.key, range)) {
                Ok(rows) => self.page = rows.into(),
                Err(error) => {
                    self.next = None;
                    return Some(Err(error));
                }
            }
            self.next = self.page.back().and_then(|(last, _)| last.checked_add(1));
        }
        let (seq, blob) = self.page.pop_front()?;
        let row = Row::decode(&self.key, seq, &blob).map(|row| (seq, row));
        Some(row.map_err(|reason| ReadError::Corrupt { key: self.key.clone(), seq, reason }))
    }
}
