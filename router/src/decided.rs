//! What a user has decided for oneself, as the log of their home says it: whom they blocked, what they archived. The stored forms
//! of its events and of the rows that follow from them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::{ConversationId, UserId};
use switchyard_store::{Decision as StoredDecision, DecisionPlace, ProjectionWrite, Seq};

use crate::stored;

/// Kind of the rows that say who is blocked: each about a user.
const BLOCKED: u8 = 0;

/// Kind of the rows that say what is archived: each about a conversation.
const ARCHIVED: u8 = 1;

/// One event of a home's log, body of `RowKind::Home`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HomeEvent {
    /// This user is blocked.
    Blocked(UserId),
    /// This one no more.
    Unblocked(UserId),
    /// This conversation is archived.
    Archived {
        /// Which.
        conversation: ConversationId,
        /// A number of the conversation: whoever joined after it has not archived it.
        since: Seq,
    },
    /// This one no more.
    Unarchived(ConversationId),
}

/// The same as stored; one of them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct StoredEvent {
    #[prost(string, optional, tag = "1")]
    blocked: Option<String>,
    #[prost(string, optional, tag = "2")]
    unblocked: Option<String>,
    #[prost(bytes = "vec", optional, tag = "3")]
    archived: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    unarchived: Option<Vec<u8>>,
    #[prost(uint64, tag = "5")]
    since: u64,
}

/// What the row of an archived conversation says.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct ArchivedRecord {
    #[prost(uint64, tag = "1")]
    since: u64,
}

fn user(text: Option<String>) -> Option<UserId> {
    text.and_then(|text| UserId::new(&text).ok())
}

fn conversation(bytes: Option<Vec<u8>>) -> Option<ConversationId> {
    bytes.and_then(|bytes| Some(ConversationId::from_bytes(bytes.try_into().ok()?)))
}

impl HomeEvent {
    /// The body of its row.
    pub(crate) fn encode(&self) -> Bytes {
        let bytes = |id: &ConversationId| Some(id.as_bytes().to_vec());
        let event = match self {
            Self::Blocked(user) => StoredEvent { blocked: Some(user.to_string()), ..StoredEvent::default() },
            Self::Unblocked(user) => StoredEvent { unblocked: Some(user.to_string()), ..StoredEvent::default() },
            Self::Archived { conversation, since } => {
                StoredEvent { archived: bytes(conversation), since: *since, ..StoredEvent::default() }
            }
            Self::Unarchived(conversation) => StoredEvent { unarchived: bytes(conversation), ..StoredEvent::default() },
        };
        stored::encode(&event)
    }

    /// Reads the body of a row; nothing if it is not one.
    pub fn decode(body: &Bytes) -> Option<Self> {
        let StoredEvent { blocked, unblocked, archived, unarchived, since } = stored::decode(body)?;
        let archived = conversation(archived).map(|conversation| Self::Archived { conversation, since });
        user(blocked)
            .map(Self::Blocked)
            .or_else(|| user(unblocked).map(Self::Unblocked))
            .or(archived)
            .or_else(|| conversation(unarchived).map(Self::Unarchived))
    }

    /// The row of the store that follows from it, the event with this number of this home.
    pub(crate) fn write(&self, home: &Home, at: Seq) -> ProjectionWrite {
        let present = match self {
            Self::Blocked(_) => Some(Bytes::new()),
            Self::Archived { since, .. } => Some(stored::encode(&ArchivedRecord { since: *since })),
            Self::Unblocked(_) | Self::Unarchived(_) => None,
        };
        let place = match self {
            Self::Blocked(user) | Self::Unblocked(user) => block_of(home, user),
            Self::Archived { conversation, .. } | Self::Unarchived(conversation) => archive_of(home, *conversation),
        };
        ProjectionWrite::Decision { place, at, value: present }
    }
}

/// Where it lies whether a home's user has blocked another one.
pub(crate) fn block_of(home: &Home, user: &UserId) -> DecisionPlace {
    let about = Bytes::copy_from_slice(user.as_str().as_bytes());
    DecisionPlace { home: home.key.clone(), kind: BLOCKED, about }
}

/// Where it lies whether a home's user has archived a conversation.
pub(crate) fn archive_of(home: &Home, conversation: ConversationId) -> DecisionPlace {
    let about = Bytes::copy_from_slice(conversation.as_bytes());
    DecisionPlace { home: home.key.clone(), kind: ARCHIVED, about }
}

/// The number in the row of an archived conversation; nothing if it says another thing.
pub(crate) fn archived_since(value: &Bytes) -> Option<Seq> {
    stored::decode::<ArchivedRecord>(value).map(|record| record.since)
}

/// What the events of a home come to.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Decided {
    /// The number of the next event; the first is 0.
    pub(crate) next: Seq,
    /// The newest event's time.
    pub(crate) time_ms: u64,
    pub(crate) blocked: BTreeSet<UserId>,
    /// With the number that [`HomeEvent::Archived`] says.
    pub(crate) archived: BTreeMap<ConversationId, Seq>,
}

impl Decided {
    /// From the rows that were written up to the event with this number, which is still to be applied for its time. Nothing if a
    /// row is none.
    pub(crate) fn from_rows(rows: Vec<StoredDecision>, applied: Seq) -> Option<Self> {
        let mut decided = Self { next: applied, ..Self::default() };
        for StoredDecision { kind, about, value, .. } in rows {
            match kind {
                BLOCKED => {
                    decided.blocked.insert(UserId::new(std::str::from_utf8(&about).ok()?).ok()?);
                }
                ARCHIVED => {
                    let conversation = conversation(Some(about.to_vec()))?;
                    decided.archived.insert(conversation, archived_since(&value?)?);
                }
                // Of a later version.
                _ => {}
            }
        }
        Some(decided)
    }

    /// The number of the newest event, if there is one.
    pub(crate) fn head(&self) -> Option<Seq> {
        self.next.checked_sub(1)
    }

    /// The event `next` is committed.
    pub(crate) fn apply(&mut self, event: &HomeEvent, time_ms: u64) {
        match event {
            HomeEvent::Blocked(user) => {
                self.blocked.insert(user.clone());
            }
            HomeEvent::Unblocked(user) => {
                self.blocked.remove(user);
            }
            HomeEvent::Archived { conversation, since } => {
                self.archived.insert(*conversation, *since);
            }
            HomeEvent::Unarchived(conversation) => {
                self.archived.remove(conversation);
            }
        }
        self.next += 1;
        self.time_ms = self.time_ms.max(time_ms);
    }
}

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::{ConversationKey, TenantId};

    use super::*;

    #[test]
    fn events_are_read_back_and_come_to_what_their_rows_say() {
        let user = |name: &str| UserId::new(name).expect("a valid id");
        let id = |byte| ConversationId::from_bytes([byte; 16]);
        let tenant = TenantId::new("t").expect("a valid id");
        let home = Home { key: ConversationKey::home(&tenant, &user("ann")), user: user("ann") };
        let events = [
            HomeEvent::Blocked(user("bob")),
            HomeEvent::Archived { conversation: id(1), since: 7 },
            HomeEvent::Blocked(user("eve")),
            HomeEvent::Unblocked(user("bob")),
            HomeEvent::Archived { conversation: id(2), since: 0 },
            HomeEvent::Unarchived(id(1)),
        ];
        let (mut decided, mut rows) = (Decided::default(), BTreeMap::new());
        for (at, event) in (0..).zip(&events) {
            assert_eq!(HomeEvent::decode(&event.encode()).as_ref(), Some(event));
            let ProjectionWrite::Decision { place, at, value } = event.write(&home, at) else { panic!("{event:?}") };
            rows.insert((place.kind, place.about.clone()), (at, value));
            decided.apply(event, 5);
        }
        let standing = rows.into_iter().filter(|(_, (_, value))| value.is_some());
        let standing = standing.map(|((kind, about), (at, value))| StoredDecision { kind, about, at, value });
        let read = Decided::from_rows(standing.collect(), decided.next).expect("they are rows");
        assert_eq!((&read.blocked, &read.archived), (&decided.blocked, &decided.archived));
        assert_eq!((decided.blocked.len(), decided.archived.clone()), (1, BTreeMap::from([(id(2), 0)])));
        for wrong in [Bytes::new(), Bytes::from_static(b"\xff"), Bytes::from_static(b"\x1a\x01x")] {
            assert_eq!(HomeEvent::decode(&wrong), None);
        }
    }
}
