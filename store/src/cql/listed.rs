//! The conversations of a user, which lie in parts: see [`super::parts`].

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{Membership, ProjectionError};

use super::Inner;
use super::parts::{self, Home, List, NAMELESS, READ_AT_A_TIME};
use super::projections::{failed, stored};
use super::requests::Failed;
use super::value::Value;

impl Inner {
    pub(super) async fn conversations_of(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Vec<Membership>, ProjectionError> {
        let (last, first) = self.conversations_in(tenant, user, 0).await?;
        let others = (1..=last).map(|part| self.conversations_in(tenant, user, part));
        let others: Vec<_> = stream::iter(others).buffered(READ_AT_A_TIME).try_collect().await?;
        let others = others.into_iter().map(|(_, rows)| rows);
        let newest = parts::newest([first].into_iter().chain(others)).into_iter();
        let present = newest.filter_map(|(conversation, Value { at, bytes })| {
            bytes.map(|value| Membership { conversation, at, value })
        });
        Ok(present.collect())
    }

    /// Those of one part, and what is left there of others; part 0 says which one is the last.
    async fn conversations_in(
        &self,
        tenant: &TenantId,
        user: &UserId,
        part: i64,
    ) -> Result<(i64, Vec<(ConversationId, Value)>), ProjectionError> {
        let mut last = 0;
        let each = |(id, value, at): (Vec<u8>, Bytes, i64)| {
            if id == NAMELESS {
                last = at;
                return Ok(None);
            }
            // Without its id there is no telling which one it is.
            let id = <[u8; 16]>::try_from(id)
                .map_err(|_| ProjectionError::Unavailable("not a conversation's id".to_owned()))?;
            let conversation = ConversationId::from_bytes(id);
            let key = ConversationKey { tenant: tenant.clone(), conversation };
            Ok(Some((conversation, stored(&key, &KeyBuf::user_conversation(&key, user), value)?)))
        };
        let (statements, requests) = (&self.statements, &self.requests);
        let (tenant, user) = (tenant.as_str(), user.as_str());
        let found = match part {
            0 => requests.all(&statements.conversations_of_user, (tenant, user), each).await,
            _ => requests.all(&statements.conversations_of_user_in, (tenant, user, part), each).await,
        };
        let rows = found.map_err(failed)?.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        Ok((last, rows))
    }

    /// Writes that a user is a member, or that they are none any more.
    pub(super) async fn put_conversation_of(
        &self,
        home: &Home,
        user: &UserId,
        key: &ConversationKey,
        at: Seq,
        value: Bytes,
    ) -> Result<(), Failed> {
        let (statements, requests) = (&self.statements, &self.requests);
        let list = List::Conversations(&key.tenant, user);
        let (tenant, user, name) = (key.tenant.as_str(), user.as_str(), key.conversation.as_bytes().as_slice());
        let (part, at) = (self.part_to_write(home, list).await?, at as i64);
        match part {
            0 => requests.execute(&statements.put_conversation_of_user, (tenant, user, name, &value, at)).await?,
            _ => {
                let values = (tenant, user, part, name, &value, at);
                requests.execute(&statements.put_conversation_of_user_in, values).await?
            }
        };
        let count = async |rows| match part {
            0 => requests.count(&statements.count_conversations_of_user, (tenant, user, rows)).await,
            _ => requests.count(&statements.count_conversations_of_user_in, (tenant, user, part, rows)).await,
        };
        self.look_at_part((list, part), &value, count).await;
        Ok(())
    }
}
