//! Loading a conversation: what its projections say, and the log above them.

use futures_executor::block_on;
use futures_util::future::{OptionFuture, join};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::ReadError;

use super::rows::{failed, intact};
use super::touch::Reach;
use super::{Timelines, Touch, beginning, homes, present};
use crate::config::Cutoffs;
use crate::machine::{LoadFailed, Recorded, Replay};
use crate::timeline;

/// Reads what a conversation comes to; nothing if it does not exist.
pub fn load(
    store: &dyn Timelines,
    key: &ConversationKey,
    seed: u64,
    cutoffs: Cutoffs,
    touch: Touch,
) -> Result<Option<Box<Replay>>, LoadFailed> {
    let nobody = |error: ReadError| LoadFailed { failed: failed(&error), members: Vec::new() };
    let Some(Begun { mut replay, reach, pair }) = begin(store, key, seed, touch).map_err(nobody)? else {
        return Ok(None);
    };
    let read = go_through(store, key, &mut replay, &reach, cutoffs)
        .and_then(|()| catch_up(store, key, &mut replay, pair.as_ref()));
    if replay.is_home() {
        return Ok(None);
    }
    match read {
        Ok(()) => Ok(Some(Box::new(replay))),
        Err(error) => Err(LoadFailed { failed: failed(&error), members: replay.members() }),
    }
}

/// What the projections say of a conversation, and its log.
struct Begun {
    replay: Replay,
    reach: Reach,
    /// The two of whom it was read how they stand to each other.
    pair: Option<[UserId; 2]>,
}

fn begin(store: &dyn Timelines, key: &ConversationKey, seed: u64, touch: Touch) -> Result<Option<Begun>, ReadError> {
    let loaded = intact(block_on(store.load(key)))?;
    let damaged = loaded.is_none();
    let Some(record) = loaded.flatten() else {
        let Some(reach) = block_on(touch.reach(store, key, 0))? else { return Ok(None) };
        let replay = if damaged {
            Replay::without_record(seed)
        } else {
            Replay::from_founding(seed, intact(block_on(store.marks(key)))?.unwrap_or_default())
        };
        return Ok(Some(Begun { replay, reach, pair: None }));
    };
    let applied = record.applied;
    let record = Recorded::read(key, &record)?;
    // After the record, but not one after the other: what the record says of members and marks is there by then, and whatever
    // is newer, or is written meanwhile, follows from the log above it.
    let (reach, people) = block_on(join(touch.reach(store, key, applied), people(store, key, seed, record)));
    let Some(reach) = reach? else { return Ok(None) };
    let (replay, pair) = people?;
    Ok(Some(Begun { replay, reach, pair }))
}

/// Reads who is there, as far as the record does not say it, how far they have come and, of two, how they stand to each other.
async fn people(
    store: &dyn Timelines,
    key: &ConversationKey,
    seed: u64,
    record: Recorded,
) -> Result<(Replay, Option<[UserId; 2]>), ReadError> {
    if record.is_erased() {
        // Of it nobody is a member, however many were.
        return Ok((Replay::from_record(key, seed, record, Vec::new())?, None));
    }
    let list = record.list(key);
    let marks = async { Ok::<_, ReadError>(intact(store.marks(&list).await)?.unwrap_or_default()) };
    let members = if record.has_members() { Some(Vec::new()) } else { intact(store.members(&list).await)? };
    let Some(members) = members else { return Ok((Replay::from_founding(seed, marks.await?), None)) };
    let mut replay = Replay::from_record(key, seed, record, members)?;
    let pair = replay.pair();
    let stands = OptionFuture::from(pair.as_ref().map(|pair| homes::pair_by_rows(store, &key.tenant, pair)));
    let (marks, stands) = join(marks, stands).await;
    replay.give_marks(key, marks?)?;
    // Beside the log: who blocks meanwhile tells the conversation when it is loaded. What failed is read again in the end.
    let Some(Ok(Some(stands))) = stands else { return Ok((replay, None)) };
    replay.blocks(stands);
    Ok((replay, pair))
}

/// Replays the log above the record, and looks where it begins.
fn go_through(
    store: &dyn Timelines,
    key: &ConversationKey,
    replay: &mut Replay,
    reach: &Reach,
    cutoffs: Cutoffs,
) -> Result<(), ReadError> {
    let head = reach.head();
    while replay.from() <= head && !replay.is_home() {
        let rows = reach.rows(store, key, replay.from())?;
        if rows.is_empty() {
            return Err(timeline::damaged(key, replay.from()));
        }
        for (seq, row) in rows {
            replay.row(key, seq, &row)?;
        }
    }
    if replay.is_home() {
        return Ok(());
    }
    let before_ms = cutoffs.of(replay.kind());
    let (first, older) = beginning::find(store, key, replay.first_available(), head, before_ms)?;
    replay.begins(first, older);
    Ok(())
}

/// Reads the messages that events above the record changed, for their overlays may lag behind, and who of a pair has blocked
/// the other, if that was not read of these two.
fn catch_up(
    store: &dyn Timelines,
    key: &ConversationKey,
    replay: &mut Replay,
    read: Option<&[UserId; 2]>,
) -> Result<(), ReadError> {
    for list in replay.unread_marks(key) {
        let marks = intact(block_on(store.marks(&list)))?.unwrap_or_default();
        replay.marks(key, &marks)?;
    }
    for (seq, reactors) in replay.changed() {
        if let Some(read) = present::target(store, key, seq, &reactors)? {
            replay.found(read);
        }
    }
    if let Some(pair) = replay.pair().filter(|pair| Some(pair) != read) {
        let stands = homes::pair(store, &key.tenant, &pair)?;
        replay.blocks(stands);
    }
    Ok(())
}
