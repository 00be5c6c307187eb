//! Projections. Newest number wins, decided under one lock.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

use crate::BoxFuture;
use crate::key::KeyBuf;
use crate::log::Seq;
use crate::projection::{
    ABOUT_BYTES_MAX, Decision, DecisionPlace, Membership, OVERLAY_BYTES_MAX, Overlay, ProjectionError, ProjectionWrite,
    Projections, RECORD_BYTES_MAX, Reactor, Record, StoredMember,
};

use super::commit::CommitError;
use super::engine::EngineFault;
use super::journal::record::PAYLOAD_BYTES_MAX;
use super::memory::gather::{Draft, Put, Tree};
use super::space::Purpose;
use super::value::{decode, encode};
use super::{Embedded, blocking};

pub(super) fn fault(key: &ConversationKey, fault: impl Into<EngineFault>) -> ProjectionError {
    match fault.into() {
        EngineFault::Damage(reason) => ProjectionError::Corrupt { key: key.clone(), reason },
        EngineFault::Unavailable(reason) => ProjectionError::Unavailable(reason),
    }
}

pub(super) fn damaged(key: &ConversationKey, reason: &str) -> ProjectionError {
    ProjectionError::Corrupt { key: key.clone(), reason: reason.to_owned() }
}

/// The newest values of one call, by tree and key, in the order in which they were first offered.
pub(super) struct Newest<'a> {
    store: &'a Embedded,
    places: HashMap<(Tree, Bytes), usize>,
    values: Vec<Offered>,
}

/// The value that one step of a write leaves somewhere, if it is newer than what is there.
struct Offered {
    put: Put,
    at: Seq,
    /// Stored together with the one before.
    joined: bool,
}

impl<'a> Newest<'a> {
    pub(super) fn new(store: &'a Embedded) -> Self {
        Self { store, places: HashMap::new(), values: Vec::new() }
    }

    pub(super) fn offer(
        &mut self,
        conversation: &ConversationKey,
        (tree, key): (Tree, &KeyBuf),
        at: Seq,
        bytes: Option<&Bytes>,
        joined: bool,
    ) -> Result<(), ProjectionError> {
        let key = Bytes::copy_from_slice(key.as_slice());
        if let Some(place) = self.places.get(&(tree, key.clone())) {
            let offered = &mut self.values[*place];
            if offered.at < at {
                (offered.put.value, offered.at) = (encode(&key, at, bytes), at);
            }
            return Ok(());
        }
        let newest = match self.store.value(tree, &key).map_err(|error| fault(conversation, error))? {
            Some(value) => Some(decode(&key, value).map_err(|reason| damaged(conversation, reason))?.at),
            None => None,
        };
        if newest.is_none_or(|newest| newest < at) {
            let value = encode(&key, at, bytes);
            self.places.insert((tree, key.clone()), self.values.len());
            self.values.push(Offered { put: Put { tree, key, value }, at, joined });
        }
        Ok(())
    }

    pub(super) fn commit(self) -> Result<(), ProjectionError> {
        let mut draft = Draft::default();
        let mut values = self.values.into_iter().peekable();
        while let Some(first) = values.next() {
            let joined = values.next_if(|next| next.joined);
            let together: Vec<Put> = [first].into_iter().chain(joined).map(|offered| offered.put).collect();
            let bytes: usize = together.iter().map(Put::len).sum();
            if !draft.is_empty() && draft.payload() + bytes > PAYLOAD_BYTES_MAX {
                self.store.commit_values(&std::mem::take(&mut draft))?;
            }
            together.into_iter().for_each(|put| draft.put(put));
        }
        if draft.is_empty() { Ok(()) } else { self.store.commit_values(&draft) }
    }
}

impl Embedded {
    fn commit_values(&self, draft: &Draft<'_>) -> Result<(), ProjectionError> {
        self.committer.commit(Purpose::Grow, draft).map_err(|error| match error {
            CommitError::Full => ProjectionError::Full,
            CommitError::Closed | CommitError::Failed => ProjectionError::Unavailable(error.reason().to_owned()),
        })
    }

    fn write_newest(&self, writes: &[ProjectionWrite]) -> Result<(), ProjectionError> {
        let _one_at_a_time = self.projections_lock.lock().expect("nothing panics under this lock");
        let mut newest = Newest::new(self);
        for write in writes {
            match write {
                ProjectionWrite::Conversation { key, at, record } => {
                    check_size(record, RECORD_BYTES_MAX)?;
                    let place = KeyBuf::conversation(key);
                    newest.offer(key, (Tree::Conversations, &place), *at, Some(record), false)?;
                }
                ProjectionWrite::Member { key, list, user, at, value } => {
                    value.as_ref().map_or(Ok(()), |value| check_size(value, RECORD_BYTES_MAX))?;
                    let list = ConversationKey { tenant: key.tenant.clone(), conversation: *list };
                    let (member, of_user) = (KeyBuf::member(&list, user), KeyBuf::user_conversation(key, user));
                    newest.offer(key, (Tree::Members, &member), *at, value.as_ref(), false)?;
                    newest.offer(key, (Tree::Users, &of_user), *at, value.as_ref(), true)?;
                }
                ProjectionWrite::Listed { list, user, at, value } => {
                    check_size(value, RECORD_BYTES_MAX)?;
                    newest.offer(list, (Tree::Members, &KeyBuf::member(list, user)), *at, Some(value), false)?;
                }
                ProjectionWrite::Overlay { key, target, at, value } => {
                    check_size(value, OVERLAY_BYTES_MAX)?;
                    let place = KeyBuf::overlay(key, *target);
                    newest.offer(key, (Tree::Overlays, &place), *at, Some(value), false)?;
                }
                ProjectionWrite::Reactor { key, target, user, at, value } => {
                    value.as_ref().map_or(Ok(()), |value| check_size(value, RECORD_BYTES_MAX))?;
                    let place = KeyBuf::reactor(key, *target, user);
                    newest.offer(key, (Tree::Overlays, &place), *at, value.as_ref(), false)?;
                }
                ProjectionWrite::Decision { place, at, value } => {
                    value.as_ref().map_or(Ok(()), |value| check_size(value, RECORD_BYTES_MAX))?;
                    check_size(&place.about, ABOUT_BYTES_MAX)?;
                    let key = decision_key(place);
                    newest.offer(&place.home, (Tree::Decisions, &key), *at, value.as_ref(), false)?;
                }
            }
        }
        newest.commit()
    }

    fn load_record(&self, key: &ConversationKey) -> Result<Option<Record>, ProjectionError> {
        let place = KeyBuf::conversation(key);
        let found = self.value(Tree::Conversations, place.as_slice()).map_err(|error| fault(key, error))?;
        let Some(value) = found else { return Ok(None) };
        let stored = decode(place.as_slice(), value).map_err(|reason| damaged(key, reason))?;
        Ok(stored.bytes.map(|fields| Record { applied: stored.at, fields }))
    }

    /// The newest values of all keys with this beginning, in the order of the keys.
    pub(super) fn values(&self, tree: Tree, prefix: &[u8]) -> Result<BTreeMap<Bytes, Bytes>, EngineFault> {
        // Memory first: what moves meanwhile is seen here or there.
        let newer = self.memory.values(tree, prefix);
        let mut values = BTreeMap::new();
        for guard in self.engine.tree(tree).prefix(prefix) {
            let (key, value) = guard.into_inner()?;
            values.insert(Bytes::from(key), Bytes::from(value));
        }
        values.extend(newer);
        Ok(values)
    }

    fn list_members(&self, key: &ConversationKey) -> Result<Vec<StoredMember>, ProjectionError> {
        let prefix = KeyBuf::conversation(key);
        let prefix = prefix.as_slice();
        let mut members = Vec::new();
        for (place, value) in self.values(Tree::Members, prefix).map_err(|error| fault(key, error))? {
            let stored = decode(&place, value).map_err(|reason| damaged(key, reason))?;
            let Some(value) = stored.bytes else { continue };
            let user = place.strip_prefix(prefix).and_then(|user| std::str::from_utf8(user).ok());
            let user = user.and_then(|user| UserId::new(user).ok()).ok_or_else(|| damaged(key, "not a user's id"))?;
            members.push(StoredMember { user, at: stored.at, value });
        }
        Ok(members)
    }

    fn list_overlays(&self, key: &ConversationKey, from: Seq, to: Seq) -> Result<Vec<Overlay>, ProjectionError> {
        let (low, high) = (KeyBuf::overlay(key, from), KeyBuf::overlay(key, to));
        if low.as_slice() > high.as_slice() {
            return Ok(Vec::new());
        }
        // Memory first, as with a prefix.
        let newer = self.memory.values_within(Tree::Overlays, low.as_slice(), high.as_slice());
        let mut values = BTreeMap::new();
        let range = low.as_slice().to_vec()..=high.as_slice().to_vec();
        for guard in self.engine.tree(Tree::Overlays).range(range) {
            let (place, value) = guard.into_inner().map_err(|error| fault(key, error))?;
            values.insert(Bytes::from(place), Bytes::from(value));
        }
        values.extend(newer);
        let mut overlays = Vec::with_capacity(values.len());
        for (place, value) in values {
            let stored = decode(&place, value).map_err(|reason| damaged(key, reason))?;
            let target = place.last_chunk().ok_or_else(|| damaged(key, "not a row's number"))?;
            if let Some(value) = stored.bytes {
                overlays.push(Overlay { target: Seq::from_be_bytes(*target), at: stored.at, value });
            }
        }
        Ok(overlays)
    }

    fn find_reactors(
        &self,
        key: &ConversationKey,
        user: &UserId,
        targets: &[Seq],
    ) -> Result<Vec<Option<Reactor>>, ProjectionError> {
        let find = |target: &Seq| {
            let place = KeyBuf::reactor(key, *target, user);
            let found = self.value(Tree::Overlays, place.as_slice()).map_err(|error| fault(key, error))?;
            let Some(value) = found else { return Ok(None) };
            let stored = decode(place.as_slice(), value).map_err(|reason| damaged(key, reason))?;
            Ok(Some(Reactor { at: stored.at, value: stored.bytes }))
        };
        targets.iter().map(find).collect()
    }

    fn list_decisions(&self, home: &ConversationKey) -> Result<Vec<Decision>, ProjectionError> {
        let prefix = KeyBuf::conversation(home);
        let prefix = prefix.as_slice();
        let mut decisions = Vec::new();
        for (place, value) in self.values(Tree::Decisions, prefix).map_err(|error| fault(home, error))? {
            let stored = decode(&place, value).map_err(|reason| damaged(home, reason))?;
            let (kind, about) = place
                .strip_prefix(prefix)
                .and_then(<[u8]>::split_first)
                .ok_or_else(|| damaged(home, "not a decision's key"))?;
            if stored.bytes.is_some() {
                let about = place.slice_ref(about);
                decisions.push(Decision { kind: *kind, about, at: stored.at, value: stored.bytes });
            }
        }
        Ok(decisions)
    }

    fn find_decisions(&self, places: &[DecisionPlace]) -> Result<Vec<Option<Decision>>, ProjectionError> {
        let find = |place: &DecisionPlace| {
            check_size(&place.about, ABOUT_BYTES_MAX)?;
            let key = decision_key(place);
            let found = self.value(Tree::Decisions, key.as_slice()).map_err(|error| fault(&place.home, error))?;
            let Some(value) = found else { return Ok(None) };
            let stored = decode(key.as_slice(), value).map_err(|reason| damaged(&place.home, reason))?;
            let DecisionPlace { kind, about, .. } = place.clone();
            Ok(Some(Decision { kind, about, at: stored.at, value: stored.bytes }))
        };
        places.iter().map(find).collect()
    }

    fn list_conversations(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Membership>, ProjectionError> {
        let prefix = KeyBuf::user(tenant, user);
        let prefix = prefix.as_slice();
        // Damage before a conversation is known is reported under the lowest id.
        let near =
            |id: [u8; 16]| ConversationKey { tenant: tenant.clone(), conversation: ConversationId::from_bytes(id) };
        let mut conversations = Vec::new();
        for (place, value) in self.values(Tree::Users, prefix).map_err(|error| fault(&near([0; 16]), error))? {
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

fn decision_key(place: &DecisionPlace) -> KeyBuf {
    KeyBuf::decision(&place.home, place.kind, &place.about)
}

fn check_size(value: &Bytes, bytes_max: usize) -> Result<(), ProjectionError> {
    if value.len() > bytes_max { Err(ProjectionError::TooLarge) } else { Ok(()) }
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

    fn overlays<'a>(
        &'a self,
        key: &'a ConversationKey,
        from: Seq,
        to: Seq,
    ) -> BoxFuture<'a, Result<Vec<Overlay>, ProjectionError>> {
        blocking(move || self.list_overlays(key, from, to))
    }

    fn reactors<'a>(
        &'a self,
        key: &'a ConversationKey,
        user: &'a UserId,
        targets: &'a [Seq],
    ) -> BoxFuture<'a, Result<Vec<Option<Reactor>>, ProjectionError>> {
        blocking(move || self.find_reactors(key, user, targets))
    }

    fn decisions<'a>(&'a self, home: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<Decision>, ProjectionError>> {
        blocking(move || self.list_decisions(home))
    }

    fn decided<'a>(
        &'a self,
        places: &'a [DecisionPlace],
    ) -> BoxFuture<'a, Result<Vec<Option<Decision>>, ProjectionError>> {
        blocking(move || self.find_decisions(places))
    }

    fn drop_list<'a>(&'a self, list: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        blocking(move || self.drop_list_of(list))
    }

    fn write<'a>(&'a self, writes: &'a [ProjectionWrite]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        blocking(move || self.write_newest(writes))
    }
}
