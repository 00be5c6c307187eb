//! The decisions of homes, which lie in parts: see [`super::parts`].

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{ABOUT_BYTES_MAX, Decision, DecisionPlace, ProjectionError};

use super::Inner;
use super::parts::{self, Home, List, NAMELESS_KIND, READ_AT_A_TIME};
use super::projections::{conversation, damaged, failed, stored};
use super::requests::Failed;
use super::value::Value;

impl Inner {
    pub(super) async fn decisions(&self, home: &ConversationKey) -> Result<Vec<Decision>, ProjectionError> {
        let (last, first) = self.decisions_in(home, 0).await?;
        let others = (1..=last).map(|part| self.decisions_in(home, part));
        let others: Vec<_> = stream::iter(others).buffered(READ_AT_A_TIME).try_collect().await?;
        let others = others.into_iter().map(|(_, rows)| rows);
        let newest = parts::newest([first].into_iter().chain(others)).into_iter();
        let standing = newest.filter_map(|((kind, about), Value { at, bytes })| {
            bytes.map(|value| Decision { kind, about, at, value: Some(value) })
        });
        Ok(standing.collect())
    }

    /// Those of one part, and what is left there of others; part 0 says which one is the last.
    async fn decisions_in(
        &self,
        home: &ConversationKey,
        part: i64,
    ) -> Result<(i64, Vec<((u8, Bytes), Value)>), ProjectionError> {
        let mut last = 0;
        let each = |(kind, about, value, at): (i16, Bytes, Bytes, i64)| {
            if kind == NAMELESS_KIND {
                last = at;
                return Ok(None);
            }
            let kind = u8::try_from(kind).map_err(|_| damaged(home, "not a kind of decision"))?;
            if about.len() > ABOUT_BYTES_MAX {
                return Err(damaged(home, "about too much"));
            }
            let value = stored(home, &KeyBuf::decision(home, kind, &about), value)?;
            Ok(Some(((kind, about), value)))
        };
        let (tenant, name) = conversation(home);
        let found = match part {
            0 => self.requests.all(&self.statements.decisions, (tenant, name), each).await,
            _ => self.requests.all(&self.statements.decisions_in, (tenant, name, part), each).await,
        };
        let rows = found.map_err(failed)?.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok((last, rows))
    }

    pub(super) async fn decided(&self, places: &[DecisionPlace]) -> Result<Vec<Option<Decision>>, ProjectionError> {
        try_join_all(places.iter().map(|place| self.decided_there(place))).await
    }

    async fn decided_there(&self, place: &DecisionPlace) -> Result<Option<Decision>, ProjectionError> {
        let DecisionPlace { home, kind, about } = place;
        if about.len() > ABOUT_BYTES_MAX {
            return Ok(None);
        }
        let (mut last, mut first) = (0, None);
        let ((tenant, name), number) = (conversation(home), i16::from(*kind));
        let each = |(kind, value, at): (i16, Bytes, i64)| {
            match kind {
                NAMELESS_KIND => last = at,
                _ => first = Some(of_place(place, value)?),
            }
            Ok(())
        };
        let found = self.requests.all(&self.statements.decision, (tenant, name, number, &**about), each).await;
        found.map_err(failed)?.into_iter().collect::<Result<(), ProjectionError>>()?;
        let others = (1..=last).map(|part| self.decision_in(place, part));
        let others: Vec<_> = stream::iter(others).buffered(READ_AT_A_TIME).try_collect().await?;
        let found = [first].into_iter().chain(others).map(|found| found.map(|value| ((), value)).into_iter().collect());
        let newest = parts::newest(found).into_values().next();
        Ok(newest.map(|Value { at, bytes }| Decision { kind: *kind, about: about.clone(), at, value: bytes }))
    }

    /// What a part says from 1 on.
    async fn decision_in(&self, place: &DecisionPlace, part: i64) -> Result<Option<Value>, ProjectionError> {
        let DecisionPlace { home, kind, about } = place;
        let ((tenant, name), kind) = (conversation(home), i16::from(*kind));
        let values = (tenant, name, part, kind, &**about);
        let found = self.requests.one::<(Bytes,)>(&self.statements.decision_in, values).await.map_err(failed)?;
        found.map(|(value,)| of_place(place, value)).transpose()
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
        let list = List::Decisions(&place.home);
        let (part, at) = (self.part_to_write(home, list).await?, at as i64);
        match part {
            0 => requests.execute(&statements.put_decision, (tenant, name, kind, about, &value, at)).await?,
            _ => requests.execute(&statements.put_decision_in, (tenant, name, part, kind, about, &value, at)).await?,
        };
        let count = async |rows| match part {
            0 => requests.count(&statements.count_decisions, (tenant, name, rows)).await,
            _ => requests.count(&statements.count_decisions_in, (tenant, name, part, rows)).await,
        };
        self.look_at_part((list, part), &value, count).await;
        Ok(())
    }
}

fn of_place(DecisionPlace { home, kind, about }: &DecisionPlace, value: Bytes) -> Result<Value, ProjectionError> {
    stored(home, &KeyBuf::decision(home, *kind, about), value)
}
