//! Projections: each row is written by one statement with the event's number as its timestamp, so the newest stays whatever the order.
//! A member's two listings are two rows; the one by user is there when the write is answered, or the answer is an error. That one,
//! and decisions, lie in parts.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use switchyard_protocol::id::{ConversationKey, TenantId, UserId};

use crate::BoxFuture;
use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{
    ABOUT_BYTES_MAX, Decision, DecisionPlace, Membership, OVERLAY_BYTES_MAX, Overlay, ProjectionError, ProjectionWrite,
    Projections, RECORD_BYTES_MAX, Reactor, Record, StoredMember,
};

use super::bounds::Bound;
use super::number::{self, ABOVE_ALL};
use super::parts::Homes;
use super::requests::Failed;
use super::value::{self, Value};
use super::{Cql, Inner};

/// Rows whose overlays, and reactors, share a partition: a page of 50 lies in two at most, and a partition has 13 MB of the
/// largest overlays there are.
pub(super) const ANNOTATION_ROWS: u64 = 100;

/// Numbers of rows whose overlays are read without a look at how far there are any.
const FAR: u64 = 10 * ANNOTATION_ROWS;

/// Writes of one call that are under way at a time: what erases a group of ten thousand leaves room for everybody else.
const WRITTEN_AT_A_TIME: usize = 32;

/// Writes that are made with what was known of the homes' parts before them.
const WRITES_MAX: usize = 1_000;

/// The timestamp of a write, unless it is too large or has a number that there cannot be.
fn judge(at: Seq, bytes: usize, bytes_max: usize) -> Result<i64, ProjectionError> {
    if bytes > bytes_max {
        return Err(ProjectionError::TooLarge);
    }
    number::of_number(at).ok_or(ProjectionError::TooLarge)
}

pub(super) fn failed(error: Failed) -> ProjectionError {
    ProjectionError::Unavailable(error.to_string())
}

pub(super) fn damaged(key: &ConversationKey, reason: &str) -> ProjectionError {
    ProjectionError::Corrupt { key: key.clone(), reason: reason.to_owned() }
}

pub(super) fn stored(conversation: &ConversationKey, key: &KeyBuf, value: Bytes) -> Result<Value, ProjectionError> {
    value::decode(key, value).map_err(|reason| damaged(conversation, reason))
}

pub(super) fn conversation(key: &ConversationKey) -> (&str, &[u8]) {
    (key.tenant.as_str(), key.conversation.as_bytes().as_slice())
}

pub(super) fn user(key: &ConversationKey, name: &str) -> Result<UserId, ProjectionError> {
    UserId::new(name).map_err(|_| damaged(key, "not a user's id"))
}

impl Inner {
    async fn load(&self, key: &ConversationKey) -> Result<Option<Record>, ProjectionError> {
        let found = self.requests.one::<(Bytes,)>(&self.statements.conversation, conversation(key)).await;
        let Some((value,)) = found.map_err(failed)? else { return Ok(None) };
        let Value { at, bytes } = stored(key, &KeyBuf::conversation(key), value)?;
        Ok(bytes.map(|fields| Record { applied: at, fields }))
    }

    async fn members(&self, key: &ConversationKey) -> Result<Vec<StoredMember>, ProjectionError> {
        let each = |(name, value): (String, Bytes)| {
            let user = user(key, &name)?;
            let Value { at, bytes } = stored(key, &KeyBuf::member(key, &user), value)?;
            Ok(bytes.map(|value| StoredMember { user, at, value }))
        };
        let found = self.requests.all(&self.statements.members, conversation(key), each).await.map_err(failed)?;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    async fn overlays(&self, key: &ConversationKey, from: Seq, to: Seq) -> Result<Vec<Overlay>, ProjectionError> {
        let to = self.overlays_end(key, from, to).await?;
        let mut overlays = Vec::new();
        if from > to {
            return Ok(overlays);
        }
        for bucket in from / ANNOTATION_ROWS..=to / ANNOTATION_ROWS {
            let (tenant, conversation) = conversation(key);
            let range = (number::of_seq(bucket), number::of_seq(from), number::of_seq(to));
            let each = |(target, value): (i64, Bytes)| {
                let target = Seq::try_from(target).map_err(|_| damaged(key, "not a row's number"))?;
                let Value { at, bytes } = stored(key, &KeyBuf::overlay(key, target), value)?;
                Ok(bytes.map(|value| Overlay { target, at, value }))
            };
            let values = (tenant, conversation, range.0, range.1, range.2);
            let found = self.requests.all(&self.statements.overlays, values, each).await.map_err(failed)?;
            for overlay in found {
                overlays.extend(overlay?);
            }
        }
        Ok(overlays)
    }

    /// How far to look: as far as was asked for, or as far as there are any, if that is far.
    async fn overlays_end(&self, key: &ConversationKey, from: Seq, to: Seq) -> Result<Seq, ProjectionError> {
        if to.saturating_sub(from) <= FAR {
            return Ok(to);
        }
        Ok(to.min(self.bounds(key).await.map_err(failed)?.annotated))
    }

    async fn reactors(
        &self,
        key: &ConversationKey,
        user: &UserId,
        targets: &[Seq],
    ) -> Result<Vec<Option<Reactor>>, ProjectionError> {
        // Of each partition the lowest and the highest that are wanted.
        let mut wanted: HashMap<u64, (Seq, Seq)> = HashMap::new();
        for target in targets {
            let range = wanted.entry(target / ANNOTATION_ROWS).or_insert((*target, *target));
            *range = (range.0.min(*target), range.1.max(*target));
        }
        let reads = wanted.into_iter().map(|(bucket, (from, to))| async move {
            let (tenant, conversation) = conversation(key);
            let range = (number::of_seq(from), number::of_seq(to));
            let values = (tenant, conversation, number::of_seq(bucket), user.as_str(), range.0, range.1);
            let each = |(target, value): (i64, Bytes)| {
                let target = Seq::try_from(target).map_err(|_| damaged(key, "not a row's number"))?;
                let Value { at, bytes } = stored(key, &KeyBuf::reactor(key, target, user), value)?;
                Ok((target, Reactor { at, value: bytes }))
            };
            let found = self.requests.all(&self.statements.reactors, values, each).await.map_err(failed)?;
            found.into_iter().collect::<Result<Vec<_>, ProjectionError>>()
        });
        let found: HashMap<Seq, Reactor> = try_join_all(reads).await?.into_iter().flatten().collect();
        Ok(targets.iter().map(|target| found.get(target).cloned()).collect())
    }

    /// Nobody reads it again, so it does no harm if some of it comes back once the tombstones are forgotten.
    async fn drop_list(&self, list: &ConversationKey) -> Result<(), ProjectionError> {
        let (tenant, name) = conversation(list);
        let drop_one = |statement| self.requests.execute(statement, (ABOVE_ALL, tenant, name));
        let (members, marks) = (drop_one(&self.statements.drop_members), drop_one(&self.statements.drop_marks));
        futures_util::future::try_join(members, marks).await.map(drop).map_err(failed)
    }

    async fn write(&self, writes: &[ProjectionWrite]) -> Result<(), ProjectionError> {
        for write in writes {
            match write {
                ProjectionWrite::Conversation { at, record, .. } => judge(*at, record.len(), RECORD_BYTES_MAX)?,
                ProjectionWrite::Overlay { at, value, .. } => judge(*at, value.len(), OVERLAY_BYTES_MAX)?,
                ProjectionWrite::Listed { at, value, .. } => judge(*at, value.len(), RECORD_BYTES_MAX)?,
                ProjectionWrite::Decision { place, .. } if place.about.len() > ABOUT_BYTES_MAX => {
                    return Err(ProjectionError::TooLarge);
                }
                ProjectionWrite::Member { at, value, .. }
                | ProjectionWrite::Reactor { at, value, .. }
                | ProjectionWrite::Decision { at, value, .. } => {
                    judge(*at, value.as_ref().map_or(0, Bytes::len), RECORD_BYTES_MAX)?
                }
            };
        }
        for writes in writes.chunks(WRITES_MAX) {
            let mut homes = Homes::default();
            // Values are made in the order of the writes, for of two with the same number the first one is to stay.
            let writes: Vec<_> = writes.iter().map(|write| self.prepare_write(write, &mut homes)).collect();
            stream::iter(writes).buffer_unordered(WRITTEN_AT_A_TIME).try_collect::<()>().await.map_err(failed)?;
        }
        Ok(())
    }

    /// One write, whose value is made now, to be sent when it is polled.
    fn prepare_write<'a>(&'a self, write: &'a ProjectionWrite, homes: &mut Homes) -> BoxFuture<'a, Result<(), Failed>> {
        let (statements, requests) = (&self.statements, &self.requests);
        match write {
            ProjectionWrite::Conversation { key, at, record } => {
                let value = self.written.encode(KeyBuf::conversation(key), *at, Some(record));
                let (tenant, name) = conversation(key);
                Box::pin(async move {
                    let values = (tenant, name, value, *at as i64);
                    requests.execute(&statements.put_conversation, values).await.map(drop)
                })
            }
            ProjectionWrite::Listed { list, user, at, value } => {
                let value = self.written.encode(KeyBuf::member(list, user), *at, Some(value));
                let ((tenant, name), user) = (conversation(list), user.as_str());
                Box::pin(async move {
                    let values = (tenant, name, user, value, *at as i64);
                    requests.execute(&statements.put_member, values).await.map(drop)
                })
            }
            ProjectionWrite::Member { key, list, user, at, value } => {
                let listed = ConversationKey { tenant: key.tenant.clone(), conversation: *list };
                let by_conversation = self.written.encode(KeyBuf::member(&listed, user), *at, value.as_ref());
                let by_user = self.written.encode(KeyBuf::user_conversation(key, user), *at, value.as_ref());
                let home = homes.of(ConversationKey::home(&key.tenant, user));
                let tenant = key.tenant.as_str();
                Box::pin(async move {
                    let values = (tenant, list.as_bytes().as_slice(), user.as_str(), by_conversation, *at as i64);
                    let first = requests.execute(&statements.put_member, values);
                    let second = self.put_conversation_of(&home, user, key, *at, by_user);
                    futures_util::future::try_join(first, second).await.map(drop)
                })
            }
            ProjectionWrite::Overlay { key, target, at, value } => {
                let value = self.written.encode(KeyBuf::overlay(key, *target), *at, Some(value));
                let (tenant, name) = conversation(key);
                let group = *target / ANNOTATION_ROWS;
                let (bucket, target) = (number::of_seq(group), number::of_seq(*target));
                Box::pin(async move {
                    let last = group.saturating_mul(ANNOTATION_ROWS).saturating_add(ANNOTATION_ROWS - 1);
                    self.note_once(key, Bound::Annotated, last).await?;
                    let values = (tenant, name, bucket, target, value, *at as i64);
                    requests.execute(&statements.put_overlay, values).await.map(drop)
                })
            }
            ProjectionWrite::Reactor { key, target, user, at, value } => {
                let value = self.written.encode(KeyBuf::reactor(key, *target, user), *at, value.as_ref());
                let (tenant, name) = conversation(key);
                let (bucket, target) = (number::of_seq(*target / ANNOTATION_ROWS), number::of_seq(*target));
                Box::pin(async move {
                    let values = (tenant, name, bucket, user.as_str(), target, value, *at as i64);
                    requests.execute(&statements.put_reactor, values).await.map(drop)
                })
            }
            ProjectionWrite::Decision { place, at, value } => {
                let DecisionPlace { home, kind, about } = place;
                let value = self.written.encode(KeyBuf::decision(home, *kind, about), *at, value.as_ref());
                let home = homes.of(home.clone());
                Box::pin(async move { self.put_decision(&home, place, *at, value).await })
            }
        }
    }
}

impl Projections for Cql {
    fn load<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>> {
        self.threads.within(self.inner.load(key))
    }

    fn members<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>> {
        self.threads.within(self.inner.members(key))
    }

    fn conversations_of<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>> {
        self.threads.within(self.inner.conversations_of(tenant, user))
    }

    fn overlays<'a>(
        &'a self,
        key: &'a ConversationKey,
        from: Seq,
        to: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>> {
        self.threads.within(self.inner.overlays(key, from, to))
    }

    fn reactors<'a>(
        &'a self,
        key: &'a ConversationKey,
        user: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>> {
        self.threads.within(self.inner.reactors(key, user, targets))
    }

    fn decisions<'a>(&'a self, home: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>> {
        self.threads.within(self.inner.decisions(home))
    }

    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>> {
        self.threads.within(self.inner.decided(places))
    }

    fn drop_list<'a>(&'a self, list: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        self.threads.within(self.inner.drop_list(list))
    }

    fn write<'a>(&'a self, writes: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        self.threads.within(self.inner.write(writes))
    }
}
