//! The decisions of homes, which lie in parts: see [`super::parts`].

use bytes::Bytes;
use futures_util::future::{self, FutureExt, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{ABOUT_BYTES_MAX, Decision, DecisionPlace, ProjectionError};

use super::Inner;
use super::parts::{self, Home, Homes, List, READ_AT_A_TIME};
use super::projections::{conversation, damaged, failed, stored};
use super::requests::Failed;
use super::value::Value;

impl Inner {
    pub(super) async fn decisions(&self, home: &ConversationKey) -> Result<Vec<Decision>, ProjectionError> {
        let bounds = self.bounds(home).map(|bounds| bounds.map_err(failed));
        let (bounds, first) = future::try_join(bounds, self.decisions_in(home, 0)).await?;
        let others = (1..=bounds.last_part(List::Decisions)).map(|part| self.decisions_in(home, part));
        let others: Vec<_> = stream::iter(others).buffered(READ_AT_A_TIME).try_collect().await?;
        let newest = parts::newest([first].into_iter().chain(others)).into_iter();
        let standing = newest.filter_map(|((kind, about), Value { at, bytes })| {
            bytes.map(|value| Decision { kind, about, at, value: Some(value) })
        });
        Ok(standing.collect())
    }

    /// Those of one part, and what is left there of others.
    async fn decisions_in(
        &self,
        home: &ConversationKey,
        part: i64,
    ) -> Result<Vec<((u8, Bytes), Value)>, ProjectionError> {
        let each = |(kind, about, value): (i16, Bytes, Bytes)| {
            let kind = u8::try_from(kind).map_err(|_| damaged(home, "not a kind of decision"))?;
            if about.len() > ABOUT_BYTES_MAX {
                return Err(damaged(home, "about too much"));
            }
            let value = stored(home, &KeyBuf::decision(home, kind, &about), value)?;
            Ok(((kind, about), value))
        };
        let (tenant, name) = conversation(home);
        let found = match part {
            0 => self.requests.all(&self.statements.decisions, (tenant, name), each).await,
            _ => self.requests.all(&self.statements.decisions_in, (tenant, name, part), each).await,
        };
        found.map_err(failed)?.into_iter().collect()
    }

    pub(super) async fn decided(&self, places: &[DecisionPlace]) -> Result<Vec<Option<Decision>>, ProjectionError> {
        let mut homes = Homes::default();
        let homes: Vec<_> = places.iter().map(|place| homes.of(place.home.clone())).collect();
        try_join_all(places.iter().zip(&homes).map(|(place, home)| self.decided_there(place, home))).await
    }

    async fn decided_there(&self, place: &DecisionPlace, home: &Home) -> Result<Option<Decision>, ProjectionError> {
        let DecisionPlace { kind, about, .. } = place;
        if about.len() > ABOUT_BYTES_MAX {
            return Ok(None);
        }
        let last = self.last_part(home, List::Decisions).map(|last| last.map_err(failed));
        let (last, first) = future::try_join(last, self.decision_in(place, 0)).await?;
        let others = (1..=last).map(|part| self.decision_in(place, part));
        let others: Vec<_> = stream::iter(others).buffered(READ_AT_A_TIME).try_collect().await?;
        let found = [first].into_iter().chain(others).map(|found| found.map(|value| ((), value)).into_iter().collect());
        let newest = parts::newest(found).into_values().next();
        Ok(newest.map(|Value { at, bytes }| Decision { kind: *kind, about: about.clone(), at, value: bytes }))
    }

    async fn decision_in(&self, place: &DecisionPlace, part: i64) -> Result<Option<Value>, ProjectionError> {
        let DecisionPlace { home, kind, about } = place;
        let ((tenant, name), number) = (conversation(home), i16::from(*kind));
        let (statements, requests) = (&self.statements, &self.requests);
        let found = match part {
            0 => requests.one::<(Bytes,)>(&statements.decision, (tenant, name, number, &**about)).await,
            _ => requests.one(&statements.decision_in, (tenant, name, part, number, &**about)).await,
        };
        let Some((value,)) = found.map_err(failed)? else { return Ok(None) };
        stored(home, &KeyBuf::decision(home, *kind, about), value).map(Some)
    }

    /// Writes a decision, or that it was taken back.
    pub(super) async fn put_decision(
        &self,
        home: &Home,
        place: &DecisionPlace,
        at: Seq,
        value: Bytes,
    ) -> Result<(), Failed> {
        let ((tenant, name), kind, about) = (conversation(&place.home), i16::from(place.kind), &*place.about);
        let (statements, requests) = (&self.statements, &self.requests);
        let (part, at) = (self.part_to_write(home, List::Decisions).await?, at as i64);
        match part {
            0 => requests.execute(&statements.put_decision, (tenant, name, kind, about, &value, at)).await?,
            _ => requests.execute(&statements.put_decision_in, (tenant, name, part, kind, about, &value, at)).await?,
        };
        let count = async |rows| match part {
            0 => requests.count(&statements.count_decisions, (tenant, name, rows)).await,
            _ => requests.count(&statements.count_decisions_in, (tenant, name, part, rows)).await,
        };
        self.look_at_part(home, (List::Decisions, part), &value, count).await;
        Ok(())
    }
}
