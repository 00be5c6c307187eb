//! Marks: the timestamp is the mark, so the highest stays. All of a conversation that are raised together are one statement.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use switchyard_protocol::id::ConversationKey;

use crate::BoxFuture;
use crate::key::KeyBuf;
use crate::mark::{MARK_BYTES_MAX, Mark, Marks, StoredMark};
use crate::projection::ProjectionError;

use super::number::{self, ABOVE_ALL};
use super::projections::{damaged, failed, stored, user};
use super::requests::Failed;
use super::value::Value;
use super::{Cql, Inner};

/// Marks in one statement: 200 KiB of the largest.
const MARKS_MAX: usize = 50;

/// Statements of one call that are under way at a time. Thousands whose sessions begin anew after a take-over leave a mark each,
/// a partition each: all at once they would stand before every statement of what people wait for.
const RAISED_AT_A_TIME: usize = 32;

/// A mark as it is bound: kind, user, value, timestamp.
type Bound<'a> = (i16, &'a str, Bytes, i64);

impl Inner {
    async fn marks(&self, key: &ConversationKey) -> Result<Vec<StoredMark>, ProjectionError> {
        let each = |(kind, name, value): (i16, String, Bytes)| {
            let kind = u8::try_from(kind).map_err(|_| damaged(key, "not a kind of mark"))?;
            let user = user(key, &name)?;
            let Value { at, bytes } = stored(key, &KeyBuf::mark(key, kind, &user), value)?;
            Ok(bytes.map(|value| StoredMark { user, kind, at, value }))
        };
        let values = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
        let found = self.requests.all(&self.statements.marks, values, each).await.map_err(failed)?;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    async fn raise(&self, marks: &[Mark]) -> Result<(), ProjectionError> {
        let mut by_conversation: BTreeMap<(&str, &[u8]), Vec<Bound<'_>>> = BTreeMap::new();
        for Mark { key, user, kind, at, value } in marks {
            let timestamp = number::of_number(*at).filter(|_| value.len() <= MARK_BYTES_MAX);
            let timestamp = timestamp.ok_or(ProjectionError::TooLarge)?;
            let value = self.written.encode(KeyBuf::mark(key, *kind, user), *at, Some(value));
            let place = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
            by_conversation.entry(place).or_default().push((i16::from(*kind), user.as_str(), value, timestamp));
        }
        let parts =
            by_conversation.iter().flat_map(|(place, marks)| marks.chunks(MARKS_MAX).map(|part| (*place, part)));
        let puts: Vec<_> = parts.map(|(place, part)| self.put_marks(place, part)).collect();
        stream::iter(puts).buffer_unordered(RAISED_AT_A_TIME).try_collect::<()>().await.map_err(failed)
    }

    /// A mark that went is remembered above whatever could still come.
    async fn forget(&self, key: &ConversationKey) -> Result<(), ProjectionError> {
        let marks = self.marks(key).await?;
        let gone: Vec<Bound<'_>> = marks
            .iter()
            .map(|mark| {
                let value = self.written.encode(KeyBuf::mark(key, mark.kind, &mark.user), u64::MAX, None);
                (i16::from(mark.kind), mark.user.as_str(), value, ABOVE_ALL)
            })
            .collect();
        let place = (key.tenant.as_str(), key.conversation.as_bytes().as_slice());
        try_join_all(gone.chunks(MARKS_MAX).map(|part| self.put_marks(place, part))).await.map(drop).map_err(failed)
    }

    async fn put_marks(&self, (tenant, conversation): (&str, &[u8]), marks: &[Bound<'_>]) -> Result<(), Failed> {
        let values: Vec<_> = marks
            .iter()
            .map(|(kind, user, value, timestamp)| (tenant, conversation, *kind, *user, value, *timestamp))
            .collect();
        let statement = &self.statements.put_mark;
        if let [value] = &values[..] {
            return self.requests.execute(statement, value).await.map(drop);
        }
        let each = BatchStatement::PreparedStatement((**statement).clone());
        let mut batch = CqlBatch::new_with_statements(BatchType::Unlogged, vec![each; values.len()]);
        batch.set_is_idempotent(true);
        self.requests.batch(statement, &batch, values).await.map(drop)
    }
}

impl Marks for Cql {
    fn marks<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>> {
        self.threads.within(self.inner.marks(key))
    }

    fn raise<'a>(&'a self, marks: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        self.threads.within(self.inner.raise(marks))
    }

    fn forget<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        self.threads.within(self.inner.forget(key))
    }
}
