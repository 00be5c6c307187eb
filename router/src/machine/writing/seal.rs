//! Sealing a batch: events get their numbers here, and with them their rows and the frames that tell of them, each made
//! once.

use bytes::{Bytes, BytesMut};
use prost::Message as _;
use switchyard_cluster::link::{SendAsk, SendExtra};
use switchyard_protocol::hot::{self, MessageView};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, Quote};
use switchyard_store::{BATCH_BYTES_MAX, BUCKET_ROWS, Batch, ROWS_MAX, RowRef};

use crate::decided::Decided;
use crate::machine::conversation::State;
use crate::machine::writing::pipeline::{InFlight, Pending, Sealed, SealedEvent, Work};
use crate::rules::Rules;
use crate::stored::{self, RichBody, RowKind, counts};
use crate::timeline::message_id;

/// Gives numbers to events and makes their rows and frames.
pub(in crate::machine) struct Sealer<'a> {
    key: &'a ConversationKey,
    batch: Batch,
    bytes: usize,
    time_ms: u64,
    ordinal: u64,
    pub(in crate::machine) events: Vec<Sealed>,
}

impl<'a> Sealer<'a> {
    pub(in crate::machine) fn new(key: &'a ConversationKey, epoch: u64, state: &State, wall_ms: u64) -> Self {
        Self {
            key,
            batch: Batch { key: key.clone(), epoch, first: state.next, rows: Vec::new() },
            bytes: 0,
            time_ms: wall_ms.max(state.time_ms),
            ordinal: state.ordinal,
            events: Vec::new(),
        }
    }

    /// For the log of a home.
    pub(in crate::machine) fn of_home(key: &'a ConversationKey, epoch: u64, decided: &Decided, wall_ms: u64) -> Self {
        Self {
            key,
            batch: Batch { key: key.clone(), epoch, first: decided.next, rows: Vec::new() },
            bytes: 0,
            time_ms: wall_ms.max(decided.time_ms),
            ordinal: 0,
            events: Vec::new(),
        }
    }

    fn next(&self) -> u64 {
        self.batch.first + self.batch.rows.len() as u64
    }

    pub(in crate::machine) fn has_room(&self, work: &Work) -> bool {
        let bytes = match work {
            Work::Message { send, .. } => send.bytes() + 512,
            Work::Annotate(ask) => ask.bytes() + 512,
            _ => 0,
        };
        // One change of a message at a time: the next one is judged by what this has made of it.
        let again = work
            .target()
            .is_some_and(|target| self.events.iter().any(|sealed| sealed.pending.work.target() == Some(target)));
        !again
            && self.batch.rows.len() < ROWS_MAX
            && self.bytes + bytes <= BATCH_BYTES_MAX
            && self.next() / BUCKET_ROWS == self.batch.first / BUCKET_ROWS
    }

    pub(in crate::machine) fn message(&mut self, pending: Pending, sender: Option<usize>) {
        let Work::Message { send, quote, .. } = &pending.work else { return };
        if let Some(extra) = &send.extra {
            let message = self.rich_message(send, extra, quote.as_deref(), &pending.user);
            return self.rich(pending, message, sender);
        }
        let seq = self.next();
        let kind = RowKind::of_message(send.kind, false);
        self.ordinal += u64::from(counts(kind));
        let row = RowRef {
            epoch: self.batch.epoch,
            first: self.batch.first,
            ordinal: self.ordinal,
            kind,
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
        let sender = sender.map(place);
        self.push(row, pending, SealedEvent::Message { frame: frame.freeze(), message_at, sender });
    }

    /// A message with what few have, as its readers see it.
    fn rich_message(&self, send: &SendAsk, extra: &SendExtra, quote: Option<&Quote>, sender: &UserId) -> v1::Message {
        let seq = self.next();
        v1::Message {
            id: message_id(self.key, seq),
            conversation: self.key.conversation.to_string(),
            seq,
            client_id: send.client_id().to_owned(),
            sender: sender.to_string(),
            kind: send.kind.into(),
            text: send.text().to_owned(),
            time_ms: self.time_ms,
            ordinal: self.ordinal + u64::from(counts(RowKind::of_message(send.kind, true))),
            reply_to: extra.reply_to.map(|seq| message_id(self.key, seq)),
            mentions: extra.mentions.iter().map(UserId::to_string).collect(),
            quote: quote.cloned(),
            ..v1::Message::default()
        }
    }

    fn rich(&mut self, pending: Pending, message: v1::Message, sender: Option<usize>) {
        let Work::Message { send, .. } = &pending.work else { return };
        let seq = self.next();
        let kind = RowKind::of_message(send.kind, true);
        self.ordinal += u64::from(counts(kind));
        let body = RichBody {
            text: message.text.clone(),
            reply_to: send.extra.as_ref().and_then(|extra| extra.reply_to),
            mentions: message.mentions.clone(),
        };
        let row = RowRef {
            epoch: self.batch.epoch,
            first: self.batch.first,
            ordinal: self.ordinal,
            kind,
            sender: pending.user.as_str(),
            client_id: send.client_id(),
            time_ms: self.time_ms,
            body: &stored::encode(&body),
        };
        let row = row.encode(self.key, seq);
        let len = message.encoded_len();
        let mut frame = BytesMut::with_capacity(hot::HEAD_BYTES_MAX + len);
        hot::put_event_head(self.key.conversation, seq, len, &mut frame);
        let message_at = frame.len();
        frame.extend_from_slice(&message.encode_to_vec());
        let sender = sender.map(place);
        self.push(row, pending, SealedEvent::Message { frame: frame.freeze(), message_at, sender });
    }

    pub(in crate::machine) fn control(&mut self, pending: Pending, kind: RowKind, body: &[u8], event: SealedEvent) {
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

    pub(in crate::machine) fn finish(self, rules: Rules) -> Option<(Batch, InFlight)> {
        if self.events.is_empty() {
            return None;
        }
        Some((self.batch, InFlight { time_ms: self.time_ms, events: self.events, unknown: false, rules }))
    }
}

/// A member's place, as it is kept with each message.
fn place(sender: usize) -> u32 {
    u32::try_from(sender).expect("a conversation has at most MEMBERS_MAX members")
}
