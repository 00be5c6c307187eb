//! Loading a conversation: what its projections say, and the log above them.

use futures_executor::block_on;
use futures_util::future::{OptionFuture, join};
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::ReadError;

use super::rows::{failed, intact};
use super::touch::Reach;
use super::{Timelines, Touch, beginning, homes, present};
use crate::config::Cutoffs;
use crate::machine::{LoadFailed, Replay};
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
    let list = Replay::list(key, &record);
    // Of what was erased nobody is a member, however many were.
    let gone = Replay::is_erased(&record);
    // After the record, but not one after the other: what the record says of members and marks is there by then, and whatever
    // is newer, or is written meanwhile, follows from the log above it.
    let reach = touch.reach(store, key, record.applied);
    let members = OptionFuture::from((!gone).then(|| store.members(&list)));
    let marks = OptionFuture::from((!gone).then(|| store.marks(&list)));
    let people = async {
        let (members, marks) = join(members, marks).await;
        let members = members.map_or(Ok(Some(Vec::new())), intact)?;
        let marks = marks.map_or(Ok(None), intact)?.unwrap_or_default();
        let Some(members) = members else { return Ok((Replay::from_founding(seed, marks), None)) };
        let mut replay = Replay::from_record(key, seed, &record, members, marks)?;
        let pair = match replay.pair() {
            Some(pair) => read_pair(store, key, &mut replay, &pair).await.then_some(pair),
            None => None,
        };
        Ok::<_, ReadError>((replay, pair))
    };
    let (reach, people) = block_on(join(reach, people));
    let Some(reach) = reach? else { return Ok(None) };
    let (replay, pair) = people?;
    Ok(Some(Begun { replay, reach, pair }))
}

/// Reads how these two stand to each other, beside the log: who blocks meanwhile tells the conversation when it is loaded. What
/// fails here is read again in the end.
async fn read_pair(store: &dyn Timelines, key: &ConversationKey, replay: &mut Replay, pair: &[UserId; 2]) -> bool {
    let Ok(Some(stands)) = homes::pair_by_rows(store, &key.tenant, pair).await else { return false };
    replay.blocks(stands);
    true
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
