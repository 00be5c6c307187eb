//! What is read of users' homes: the conversations of a user, what the user has decided, and for others whether they have been
//! blocked. The rows say it; where one is damaged, the log of its home does.

use std::collections::BTreeMap;

use futures_executor::block_on;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_store::{Decision, DecisionPlace, Membership, ProjectionError, ReadError, Row, Seq};

use super::rows::{failed, intact};
use super::touch::Reach;
use super::{Timelines, Touch};
use crate::decided::{Decided, HomeEvent, archive_of, archived_since, block_of};
use crate::machine::{HomeRead, ReadFailed, Stand, Welcome, home_record};
use crate::stored::{self, MemberRecord, RowKind};
use crate::timeline::damaged;

fn home_of(tenant: &TenantId, user: &UserId) -> Home {
    Home { key: ConversationKey::home(tenant, user), user: user.clone() }
}

/// Reads which conversations a user is in and, if it is wanted, what the user has decided. Events of the home's log whose rows
/// were not written are written now: whoever reads rows from here on sees what the home says.
pub fn load(store: &dyn Timelines, home: &Home, own: bool, touch: Touch) -> Result<Box<HomeRead>, ReadFailed> {
    let memberships = memberships(store, &home.key.tenant, &home.user)?;
    let mut read = HomeRead::default();
    for Membership { conversation, at, value } in memberships {
        read.rows.push((conversation, at));
        let joined = stored::decode::<MemberRecord>(&value).map_or(0, |member| member.joined);
        if joined > 0 {
            read.joined.insert(conversation, joined);
        }
    }
    if own {
        let (decided, replayed) = decided(store, home, touch).map_err(|error| failed(&error))?;
        (read.decided, read.replayed) = (Some(decided), replayed);
    }
    Ok(Box::new(read))
}

fn memberships(store: &dyn Timelines, tenant: &TenantId, user: &UserId) -> Result<Vec<Membership>, ReadFailed> {
    block_on(store.conversations_of(tenant, user)).map_err(|error| match error {
        ProjectionError::Corrupt { .. } => {
            tracing::error!(%error, "a user's list is damaged; run `switchyard verify`");
            ReadFailed::Corrupt
        }
        error => failed(&ReadError::Unavailable(error.to_string())),
    })
}

/// What the rows say, and the log above them, whose rows its owner writes; and whom those are about.
fn decided(store: &dyn Timelines, home: &Home, touch: Touch) -> Result<(Decided, Vec<UserId>), ReadError> {
    let record = intact(block_on(store.load(&home.key)))?.flatten();
    let applied = record.as_ref().map_or(0, |record| record.applied);
    let Some(reach) = block_on(touch.reach(store, &home.key, applied))? else { return Ok(Default::default()) };
    let rows = if record.is_some() { intact(block_on(store.decisions(&home.key)))? } else { None };
    let from_rows = rows.and_then(|rows| Decided::from_rows(rows, applied));
    let written = from_rows.is_some().then_some(applied);
    let mut decided = from_rows.unwrap_or_default();
    let (mut writes, mut users) = (Vec::new(), Vec::new());
    events(store, home, decided.next, &reach, |seq, row, event| {
        if Some(seq) == written {
            // The rows have what it did; from it comes its time.
            (decided.next, decided.time_ms) = (seq + 1, row.time_ms);
            return;
        }
        writes.push(event.write(home, seq));
        decided.apply(&event, row.time_ms);
        if let HomeEvent::Blocked(user) | HomeEvent::Unblocked(user) = event
            && !users.contains(&user)
        {
            users.push(user);
        }
    })?;
    if !writes.is_empty() && touch != Touch::Stranger {
        let unavailable = |error: String| ReadError::Unavailable(error);
        match block_on(store.write(&writes)).and_then(|()| block_on(store.write(&[home_record(home, reach.head())]))) {
            Ok(()) => {}
            // Whoever reads a damaged row asks the log.
            Err(error @ ProjectionError::Corrupt { .. }) => {
                tracing::error!(%error, "what a user has decided is damaged; run `switchyard verify`");
            }
            Err(error) => return Err(unavailable(error.to_string())),
        }
        block_on(store.barrier()).map_err(|error| unavailable(error.to_string()))?;
    }
    Ok((decided, users))
}

/// Goes through a home's log.
fn events(
    store: &dyn Timelines,
    home: &Home,
    mut next: Seq,
    reach: &Reach,
    mut each: impl FnMut(Seq, &Row, HomeEvent),
) -> Result<(), ReadError> {
    while next <= reach.head() {
        let page = reach.rows(store, &home.key, next)?;
        if page.is_empty() {
            return Err(damaged(&home.key, next));
        }
        for (seq, row) in page {
            let is_home = matches!(RowKind::parse(row.kind), Some((RowKind::Home, _)));
            let event = HomeEvent::decode(&row.body).filter(|_| is_home && seq == next);
            each(seq, &row, event.ok_or_else(|| damaged(&home.key, seq))?);
            next = seq + 1;
        }
    }
    Ok(())
}

/// A home, and somebody whom its user may have blocked.
type Towards<'a> = (Home, &'a UserId);

/// Whether the user of each of these homes has blocked this other one, and since which event.
fn stands(store: &dyn Timelines, towards: &[Towards<'_>]) -> Result<Vec<Stand>, ReadError> {
    if let Some(found) = block_on(stands_by_rows(store, towards))? {
        return Ok(found);
    }
    // One of them is damaged: the logs say it.
    towards.iter().map(|(home, user)| stand_by_log(store, home, user)).collect()
}

async fn stands_by_rows(store: &dyn Timelines, towards: &[Towards<'_>]) -> Result<Option<Vec<Stand>>, ReadError> {
    let places: Vec<DecisionPlace> = towards.iter().map(|(home, user)| block_of(home, user)).collect();
    let stand = |found: Option<Decision>| found.map(|found| (found.at, found.value.is_some()));
    Ok(intact(store.decided(&places).await)?.map(|found| found.into_iter().map(stand).collect()))
}

fn stand_by_log(store: &dyn Timelines, home: &Home, user: &UserId) -> Result<Stand, ReadError> {
    let Some(reach) = block_on(Touch::Stranger.reach(store, &home.key, 0))? else { return Ok(None) };
    let mut stand = None;
    events(store, home, 0, &reach, |seq, _, event| match event {
        HomeEvent::Blocked(blocked) if blocked == *user => stand = Some((seq, true)),
        HomeEvent::Unblocked(free) if free == *user => stand = Some((seq, false)),
        _ => {}
    })?;
    Ok(stand)
}

/// How two users stand to each other.
pub(super) fn pair(store: &dyn Timelines, tenant: &TenantId, [a, b]: &[UserId; 2]) -> Result<[Stand; 2], ReadError> {
    let found = stands(store, &[(home_of(tenant, a), b), (home_of(tenant, b), a)])?;
    let stand = |at: usize| found.get(at).copied().flatten();
    Ok([stand(0), stand(1)])
}

/// The same as the rows say it; nothing if one is damaged.
pub(super) async fn pair_by_rows(
    store: &dyn Timelines,
    tenant: &TenantId,
    [a, b]: &[UserId; 2],
) -> Result<Option<[Stand; 2]>, ReadError> {
    let found = stands_by_rows(store, &[(home_of(tenant, a), b), (home_of(tenant, b), a)]).await?;
    Ok(found.and_then(|found| found.try_into().ok()))
}

/// Whether a user may bring others into a conversation.
pub(super) fn welcome(
    store: &dyn Timelines,
    tenant: &TenantId,
    user: &UserId,
    others: &[UserId],
    of_two: bool,
) -> Result<Welcome, ReadError> {
    let blocked = |stand: &Stand| stand.is_some_and(|(_, blocked)| blocked);
    if of_two {
        for other in others {
            if stands(store, &[(home_of(tenant, user), other)])?.iter().any(blocked) {
                return Ok(Welcome::Blocking);
            }
        }
    }
    let towards: Vec<Towards<'_>> = others.iter().map(|other| (home_of(tenant, other), user)).collect();
    let any = stands(store, &towards)?.iter().any(blocked);
    Ok(if any { Welcome::Blocked } else { Welcome::Free })
}

/// Whether a user has archived a conversation since they joined it with this number.
pub(super) fn archived(
    store: &dyn Timelines,
    key: &ConversationKey,
    user: &UserId,
    joined: Seq,
) -> Result<bool, ReadError> {
    let home = home_of(&key.tenant, user);
    let place = archive_of(&home, key.conversation);
    let Some(found) = intact(block_on(store.decided(std::slice::from_ref(&place))))? else {
        let archived = decided(store, &home, Touch::Stranger)?.0.archived;
        return Ok(archived.get(&key.conversation).is_some_and(|since| joined <= *since));
    };
    let value = found.into_iter().flatten().next().and_then(|found| found.value);
    Ok(value.as_ref().and_then(archived_since).is_some_and(|since| joined <= since))
}

/// The conversations that two users are in.
pub(super) fn shared(
    store: &dyn Timelines,
    tenant: &TenantId,
    user: &UserId,
    other: &UserId,
) -> Result<Vec<ConversationId>, ReadError> {
    let of = |user: &UserId| -> Result<BTreeMap<ConversationId, Seq>, ReadError> {
        let rows = block_on(store.conversations_of(tenant, user));
        let rows = rows.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        Ok(rows.into_iter().map(|row| (row.conversation, row.at)).collect())
    };
    let (own, theirs) = (of(user)?, of(other)?);
    Ok(own.into_keys().filter(|conversation| theirs.contains_key(conversation)).collect())
}
