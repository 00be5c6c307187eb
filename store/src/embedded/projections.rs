//! Projections: a stored value is its event's number, whether anything is there, and the bytes, with a checksum over key
//! and all. Newest number wins, decided under one lock.
//!
//! ```text
//! value   version 1 (1) | CRC-32C (4) | number (8) | present (1) | bytes
//! ```

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fjall::{Keyspace, Slice};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use crate::BoxFuture;
use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{
    Membership, ProjectionError, ProjectionWrite, Projections, RECORD_BYTES_MAX, Record, StoredMember,
};

use super::commit::CommitError;
use super::engine::EngineFault;
use super::space::Purpose;
use super::{Embedded, blocking};

const VERSION: u8 = 1;

/// Bytes before what was written.
const HEADER_BYTES: usize = 14;

/// A stored value.
pub(super) struct Stored {
    pub(super) at: Seq,
    pub(super) bytes: Option<Bytes>,
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(key), &[VERSION]), rest)
}

fn encode(key: &[u8], at: Seq, bytes: Option<&Bytes>) -> Bytes {
    let mut value = BytesMut::with_capacity(HEADER_BYTES + bytes.map_or(0, Bytes::len));
    value.put_u8(VERSION);
    value.put_u32_le(0);
    value.put_u64_le(at);
    value.put_u8(u8::from(bytes.is_some()));
    value.extend_from_slice(bytes.map_or(&[], |bytes| bytes));
    let sum = checksum(key, &value[5..]);
    value[1..5].copy_from_slice(&sum.to_le_bytes());
    value.freeze()
}

/// Reads a value of this key, or says what is wrong with it.
pub(super) fn decode(key: &[u8], value: Slice) -> Result<Stored, &'static str> {
    let mut value = Bytes::from(value);
    if value.len() < HEADER_BYTES {
        return Err("cut short");
    }
    let version = value.get_u8();
    let sum = value.get_u32_le();
    if checksum(key, &value) != sum || version != VERSION {
        return Err("checksum mismatch");
    }
    let at = value.get_u64_le();
    let present = value.get_u8() != 0;
    Ok(Stored { at, bytes: present.then_some(value) })
}

fn fault(key: &ConversationKey, fault: impl Into<EngineFault>) -> ProjectionError {
    match fault.into() {
        EngineFault::Damage(reason) => ProjectionError::Corrupt { key: key.clone(), reason },
        EngineFault::Unavailable(reason) => ProjectionError::Unavailable(reason),
    }
}

fn damaged(key: &ConversationKey, reason: &str) -> ProjectionError {
    ProjectionError::Corrupt { key: key.clone(), reason: reason.to_owned() }
}

/// The newest values of one call, by tree and key.
struct Newest<'a> {
    store: &'a Embedded,
    values: HashMap<(&'static str, Vec<u8>), (&'a Keyspace, Seq, Bytes)>,
}

impl<'a> Newest<'a> {
    fn offer(
        &mut self,
        (name, tree): (&'static str, &'a Keyspace),
        conversation: &ConversationKey,
        key: &KeyBuf,
        at: Seq,
        bytes: Option<&Bytes>,
    ) -> Result<(), ProjectionError> {
        let key = key.as_slice();
        let slot = (name, key.to_vec());
        let newest = match self.values.get(&slot) {
            Some((_, newest, _)) => Some(*newest),
            None => match tree.get(key).map_err(|error| fault(conversation, error))? {
                Some(value) => Some(decode(key, value).map_err(|reason| damaged(conversation, reason))?.at),
                None => None,
            },
        };
        if newest.is_none_or(|newest| newest < at) {
            let value = encode(key, at, bytes);
            self.values.insert(slot, (tree, at, value));
        }
        Ok(())
    }

    fn commit(self) -> Result<(), ProjectionError> {
        if self.values.is_empty() {
            return Ok(());
        }
        let bytes = self.values.values().map(|(_, _, value)| value.len()).sum();
        let store = self.store;
        store
            .committer
            .commit(&store.engine, Purpose::Grow, bytes, self.values.len(), |batch| {
                for ((_, key), (tree, _, value)) in self.values {
                    batch.insert(tree, key, value);
                }
            })
            .map_err(|error| match error {
                CommitError::Full => ProjectionError::Full,
                CommitError::Closed | CommitError::Failed => ProjectionError::Unavailable("the disk failed".into()),
            })
    }
}

impl Embedded {
    fn write_newest(&self, writes: &[ProjectionWrite]) -> Result<(), ProjectionError> {
        let _one_at_a_time = self.projections_lock.lock().expect("nothing panics under this lock");
        let engine = &self.engine;
        let mut newest = Newest { store: self, values: HashMap::new() };
        for write in writes {
            match write {
                ProjectionWrite::Conversation { key, at, record } => {
                    check_size(record)?;
                    let place = KeyBuf::conversation(key);
                    newest.offer(("conversations", &engine.conversations), key, &place, *at, Some(record))?;
                }
                ProjectionWrite::Member { key, user, at, value } => {
                    value.as_ref().map_or(Ok(()), check_size)?;
                    let (member, of_user) = (KeyBuf::member(key, user), KeyBuf::user_conversation(key, user));
                    newest.offer(("members", &engine.members), key, &member, *at, value.as_ref())?;
                    newest.offer(("users", &engine.users), key, &of_user, *at, value.as_ref())?;
                }
            }
        }
        newest.commit()
    }

    fn load_record(&self, key: &ConversationKey) -> Result<Option<Record>, ProjectionError> {
        let place = KeyBuf::conversation(key);
        let Some(value) = self.engine.conversations.get(place.as_slice()).map_err(|error| fault(key, error))? else {
            return Ok(None);
        };
        let stored = decode(place.as_slice(), value).map_err(|reason| damaged(key, reason))?;
        Ok(stored.bytes.map(|fields| Record { applied: stored.at, fields }))
    }

    fn list_members(&self, key: &ConversationKey) -> Result<Vec<StoredMember>, ProjectionError> {
        let prefix = KeyBuf::conversation(key);
        let prefix = prefix.as_slice();
        let mut members = Vec::new();
        for guard in self.engine.members.prefix(prefix) {
            let (place, value) = guard.into_inner().map_err(|error| fault(key, error))?;
            let stored = decode(&place, value).map_err(|reason| damaged(key, reason))?;
            let Some(value) = stored.bytes else { continue };
            let user = place.strip_prefix(prefix).and_then(|user| std::str::from_utf8(user).ok());
            let user = user.and_then(|user| UserId::new(user).ok()).ok_or_else(|| damaged(key, "not a user's id"))?;
            members.push(StoredMember { user, at: stored.at, value });
        }
        Ok(members)
    }

    fn list_conversations(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Membership>, ProjectionError> {
        let prefix = KeyBuf::user(tenant, user);
        let prefix = prefix.as_slice();
        // Damage before a conversation is known is reported under the lowest id.
        let near =
            |id: [u8; 16]| ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes(id) };
        let mut conversations = Vec::new();
        for guard in self.engine.users.prefix(prefix) {
            let (place, value) = guard.into_inner().map_err(|error| fault(&near([0; 16]), error))?;
            let id: Option<[u8; 16]> = place.strip_prefix(prefix).and_then(|id| id.try_into().ok());
            let id = id.ok_or_else(|| damaged(&near([0; 16]), "not a conversation's id"))?;
            let stored = decode(&place, value).map_err(|reason| damaged(&near(id), reason))?;
            if let Some(value) = stored.bytes {
                conversations.push(Membership { conversation: ConversationId::from_bytes(id), at: stored.at, value });
            }
        }
        Ok(conversations)
    }
}

fn check_size(value: &Bytes) -> Result<(), ProjectionError> {
    if value.len() > RECORD_BYTES_MAX { Err(ProjectionError::TooLarge) } else { Ok(()) }
}

impl Projections for Embedded {
    fn load<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Option<Record>, ProjectionError>> {
        blocking(move || self.load_record(key))
    }

    fn members<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMember>, ProjectionError>> {
        blocking(move || self.list_members(key))
    }

    fn conversations_of<'a>(
        &'a self,
        tenant: &'a TenantId,
        user: &'a UserId,
    ) -> BoxFuture<'a, Result<Vec<Membership>, ProjectionError>> {
        blocking(move || self.list_conversations(tenant, user))
    }

    fn write<'a>(&'a self, writes: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        blocking(move || self.write_newest(writes))
    }
}
