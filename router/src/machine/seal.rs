//! Sealing a batch: events get their numbers here, and with them their rows and the frames that tell of them, each made
//! once.

use bytes::{Bytes, BytesMut};
use switchyard_protocol::hot::{self, MessageView};
use switchyard_protocol::id::ConversationKey;
use switchyard_store::{BATCH_BYTES_MAX, BUCKET_ROWS, Batch, ROWS_MAX, RowRef};

use super::conversation::State;
use super::pipeline::{InFlight, Pending, Sealed, SealedEvent, Work};
use crate::stored::RowKind;

/// Gives numbers to events and makes their rows and frames.
pub(super) struct Sealer<'a> {
    key: &'a ConversationKey,
    batch: Batch,
    bytes: usize,
    time_ms: u64,
    ordinal: u64,
    pub(super) events: Vec<Sealed>,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(key: &'a ConversationKey, epoch: u64, state: &State, wall_ms: u64) -> Self {
        Self {
            key,
            batch: Batch { key: key.clone(), epoch, first: state.next, rows: Vec::new() },
            bytes: 0,
            time_ms: wall_ms.max(state.time_ms),
            ordinal: state.ordinal,
            events: Vec::new(),
        }
    }

    fn next(&self) -> u64 {
        self.batch.first + self.batch.rows.len() as u64
    }

    pub(super) fn has_room(&self, work: &Work) -> bool {
        let bytes = match work {
            Work::Message { send, .. } => send.bytes() + 512,
            _ => 0,
        };
        self.batch.rows.len() < ROWS_MAX
            && self.bytes + bytes <= BATCH_BYTES_MAX
            && self.next() / BUCKET_ROWS == self.batch.first / BUCKET_ROWS
    }

    pub(super) fn message(&mut self, pending: Pending) {
        let Work::Message { send, .. } = &pending.work else { return };
        let seq = self.next();
        self.ordinal += 1;
        let row = RowRef {
            epoch: self.batch.epoch,
            first: self.batch.first,
            ordinal: self.ordinal,
            kind: RowKind::of_message(send.kind),
            sender: pending.user.as_str(),
            client_id: send.client_id(),
            time_ms: self.time_ms,
            body: send.text().as_bytes(),
        };
        let view = MessageView {
            conversation: self.key.conversation,
            seq,
            client_id: send.client_id(),
            sender: pending.user.as_str(),
            kind: send.kind,
            text: send.text(),
            time_ms: self.time_ms,
            ordinal: self.ordinal,
        };
        let len = view.encoded_len();
        let mut frame = BytesMut::with_capacity(hot::HEAD_BYTES_MAX + len);
        hot::put_event_head(self.key.conversation, seq, len, &mut frame);
        let message_at = frame.len();
        view.encode(&mut frame);
        let row = row.encode(self.key, seq);
        self.push(row, pending, SealedEvent::Message { frame: frame.freeze(), message_at });
    }

    pub(super) fn control(&mut self, pending: Pending, kind: RowKind, body: &[u8], event: SealedEvent) {
        let seq = self.next();
        let row = RowRef {
            epoch: self.batch.epoch,
            first: self.batch.first,
            ordinal: self.ordinal,
            kind: kind as u32,
            sender: pending.user.as_str(),
            client_id: "",
            time_ms: self.time_ms,
            body,
        };
        let row = row.encode(self.key, seq);
        self.push(row, pending, event);
    }

    fn push(&mut self, row: Bytes, pending: Pending, event: SealedEvent) {
        self.bytes += row.len();
        self.batch.rows.push(row);
        self.events.push(Sealed { pending, event });
    }

    pub(super) fn finish(self) -> Option<(Batch, InFlight)> {
        if self.events.is_empty() {
            return None;
        }
        Some((self.batch, InFlight { time_ms: self.time_ms, events: self.events, unknown: false }))
    }
}
