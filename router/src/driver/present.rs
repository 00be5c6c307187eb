//! Messages in their present form: what their rows say, with what became of them since. Rows are read before overlays, and a
//! text is overwritten only once its overlay says so: whoever meets a row without its text learns why.

use std::collections::{BTreeMap, BTreeSet};

use futures_executor::block_on;
use switchyard_protocol::id::{ConversationKey, MessageId, UserId};
use switchyard_protocol::v1::{self, event::Body};
use switchyard_store::{Damage, Direction, Outcome, ProjectionError, ReadError, Seq};

use super::Timelines;
use super::rows::{rows, with_body};
use crate::annotation::{self, OverlayRecord, ReactorRecord};
use crate::machine::{Reactor, Reader, TargetRead};
use crate::rules::Rules;
use crate::stored::{self, RowKind};
use crate::timeline::{self, damaged};

/// Overlays by the numbers of their messages, each with the number of the event that it follows from.
type Overlays = BTreeMap<Seq, (Seq, OverlayRecord)>;

fn overlay_error(key: &ConversationKey, seq: Seq) -> impl Fn(ProjectionError) -> ReadError {
    let key = key.clone();
    move |error| match error {
        ProjectionError::Corrupt { reason, .. } => {
            ReadError::Corrupt { key: key.clone(), seq, reason: Damage::Engine(reason) }
        }
        error => ReadError::Unavailable(error.to_string()),
    }
}

/// The overlays of messages `from` to `to`.
fn overlays(store: &dyn Timelines, key: &ConversationKey, from: Seq, to: Seq) -> Result<Overlays, ReadError> {
    let read = block_on(store.overlays(key, from, to)).map_err(overlay_error(key, from))?;
    let decoded = read.into_iter().map(|overlay| {
        let record = stored::decode(&overlay.value).ok_or_else(|| damaged(key, overlay.target))?;
        Ok((overlay.target, (overlay.at, record)))
    });
    decoded.collect()
}

/// A message with its overlay, and what these users gave it; nothing if there is no message with this number.
pub(super) fn target(
    store: &dyn Timelines,
    key: &ConversationKey,
    seq: Seq,
    reactors: &[UserId],
) -> Result<Option<TargetRead>, ReadError> {
    let page = rows(store, key, seq, seq, Direction::Forward, 1)?;
    let Some((_, row)) = page.first().filter(|(found, _)| *found == seq) else { return Ok(None) };
    let Some(message) = timeline::message(key, seq, row)? else { return Ok(None) };
    let (at, overlay) = overlays(store, key, seq, seq)?.remove(&seq).unwrap_or_default();
    let mut known = Vec::with_capacity(reactors.len());
    for user in reactors {
        known.push((user.clone(), reactor(store, key, user, &[seq])?.pop().unwrap_or_default()));
    }
    Ok(Some(TargetRead { message, overlay, at, reactors: known }))
}

fn reactor(
    store: &dyn Timelines,
    key: &ConversationKey,
    user: &UserId,
    targets: &[Seq],
) -> Result<Vec<Reactor>, ReadError> {
    let first = targets.first().copied().unwrap_or(0);
    let read = block_on(store.reactors(key, user, targets)).map_err(overlay_error(key, first))?;
    let decoded = read.into_iter().zip(targets).map(|(reactor, target)| {
        let Some(reactor) = reactor else { return Ok(Reactor::default()) };
        let record = match reactor.value {
            Some(value) => stored::decode(&value).ok_or_else(|| damaged(key, *target))?,
            None => ReactorRecord::default(),
        };
        Ok(Reactor::stored(reactor.at, record))
    });
    decoded.collect()
}

/// Shows messages of a page, which lie side by side, as they are now.
pub(super) fn page(
    store: &dyn Timelines,
    key: &ConversationKey,
    reader: &Reader,
    messages: &mut [v1::Message],
) -> Result<(), ReadError> {
    let seqs = || messages.iter().map(|message| message.seq);
    if let (true, Some(low), Some(high)) = (reader.annotated, seqs().min(), seqs().max()) {
        let overlays = overlays(store, key, low, high)?;
        for message in &mut *messages {
            if let Some((_, overlay)) = overlays.get(&message.seq) {
                overlay.show(message);
            }
        }
    }
    finish(store, key, reader, &mut messages.iter_mut().collect::<Vec<_>>())
}

/// Shows events as they are now: an edited message is told in its present form wherever it is met.
pub(super) fn events(
    store: &dyn Timelines,
    key: &ConversationKey,
    reader: &Reader,
    events: &mut [v1::Event],
) -> Result<(), ReadError> {
    let mut known: BTreeMap<Seq, Option<v1::Message>> = BTreeMap::new();
    let spanned = events.first().map(|event| event.seq).zip(events.last().map(|event| event.seq));
    let near = match spanned {
        Some((low, high)) if reader.annotated => overlays(store, key, low, high)?,
        _ => Overlays::new(),
    };
    for event in &mut *events {
        match &mut event.body {
            Some(Body::Message(message)) => {
                if let Some((_, overlay)) = near.get(&message.seq) {
                    overlay.show(message);
                }
            }
            Some(Body::Updated(edited)) => {
                let seq = edited.seq;
                if let std::collections::btree_map::Entry::Vacant(place) = known.entry(seq) {
                    place.insert(present(store, key, seq)?);
                }
                // What retention has dropped is told by its place alone.
                event.body = known.get(&seq).cloned().flatten().map(Body::Updated);
            }
            _ => {}
        }
    }
    let messages = events.iter_mut().filter_map(|event| match &mut event.body {
        Some(Body::Message(message) | Body::Updated(message)) => Some(message),
        _ => None,
    });
    finish(store, key, reader, &mut messages.collect::<Vec<_>>())
}

/// Leaves as many of a list as have so many bytes of text, the first in any case: an edited message may be longer than the
/// row that was counted. Says whether some were left out.
pub(super) fn cut<T>(list: &mut Vec<T>, text_len: impl Fn(&T) -> usize, bytes_max: usize) -> bool {
    let mut bytes = 0;
    let fit = list.iter().take_while(|item| {
        bytes += text_len(item);
        bytes <= bytes_max
    });
    let fit = fit.count().max(1);
    let cut = fit < list.len();
    list.truncate(fit);
    cut
}

/// Bytes of an event's text.
pub(super) fn event_text_len(event: &v1::Event) -> usize {
    match &event.body {
        Some(Body::Message(message) | Body::Updated(message)) => message.text.len(),
        _ => 0,
    }
}

/// A message as it is now, but for its quote.
fn present(store: &dyn Timelines, key: &ConversationKey, seq: Seq) -> Result<Option<v1::Message>, ReadError> {
    let read = target(store, key, seq, &[])?;
    Ok(read.map(|TargetRead { mut message, overlay, .. }| {
        overlay.show(&mut message);
        message
    }))
}

/// Adds quotes, and says which emoji are the reader's own.
fn finish(
    store: &dyn Timelines,
    key: &ConversationKey,
    reader: &Reader,
    messages: &mut [&mut v1::Message],
) -> Result<(), ReadError> {
    let mut quotes: BTreeMap<Seq, Option<v1::Quote>> = BTreeMap::new();
    for message in &mut *messages {
        let answered = message.reply_to.as_deref().and_then(|id| MessageId::parse(id).ok()).map(|id| id.seq);
        let Some(seq) = answered else { continue };
        if let std::collections::btree_map::Entry::Vacant(place) = quotes.entry(seq) {
            place.insert(present(store, key, seq)?.as_ref().map(annotation::quote));
        }
        message.quote = quotes.get(&seq).cloned().flatten();
    }
    let given = messages.iter().filter(|message| !message.reactions.is_empty()).map(|message| message.seq);
    let given: Vec<Seq> = given.collect::<BTreeSet<_>>().into_iter().collect();
    if given.is_empty() {
        return Ok(());
    }
    let own: BTreeMap<Seq, Reactor> = given.iter().copied().zip(reactor(store, key, &reader.user, &given)?).collect();
    for message in messages {
        if let Some(own) = own.get(&message.seq) {
            own.record.show(message);
        }
    }
    Ok(())
}

/// Overwrites the texts of these rows, as far as they are still there.
pub(super) fn erase(store: &dyn Timelines, rules: Rules, key: &ConversationKey, seqs: &[Seq]) -> Result<(), String> {
    let mut batches = Vec::new();
    for &seq in seqs {
        let page = rows(store, key, seq, seq, Direction::Forward, 1).map_err(|error| error.to_string())?;
        let Some((_, row)) = page.first().filter(|(found, _)| *found == seq) else { continue };
        let kind = RowKind::parse(row.kind).map(|(kind, _)| kind);
        let Some(body) = kind.and_then(|kind| annotation::blank(kind, &row.body)) else { continue };
        if body != row.body {
            batches.push(with_body(rules, key, seq, row, &body));
        }
    }
    let outcomes = if batches.is_empty() { Vec::new() } else { block_on(store.overwrite(&batches)) };
    match outcomes.iter().find(|outcome| **outcome != Outcome::Stored) {
        None => Ok(()),
        Some(outcome) => Err(format!("a deleted text could not be overwritten: {outcome:?}")),
    }
}
