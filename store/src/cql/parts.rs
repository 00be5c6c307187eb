//! Parts: two lists of a user's home hold for ever what went, as values that say so, and so grow with everything that ever was. Each lies
//! in parts, which are partitions: part 0 in a table of its own, as it was before there were others, and those from 1 on in a table
//! with the part in its key. Which part is written to says a row of part 0 that has no name, by its timestamp: so it only rises, and
//! whoever reads part 0 knows of the others.
//!
//! **Invariant:** a row lies in any part up to that one, and perhaps in several. Who reads looks into all of them, and takes of the
//! rows with one key the one with the highest number, of equals the lowest part's, which was written first. So who writes may
//! know a number of before; but no part is written to of which not a quorum knows.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::hash_map::HashMap;
use std::sync::Arc;

use switchyard_protocol::id::{ConversationKey, TenantId, UserId};
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_64;

use super::Inner;
use super::requests::{Failed, Requests};
use super::statements::Statements;
use super::value::Value;

/// Rows of a part; when it was found to have so many, the next one is written to.
const PART_ROWS: i32 = 10_000;

/// Of so many writes one counts the rows of its part, which is as much as a hundred reads.
const WRITES_PER_COUNT: u64 = 64;

/// Parts of one list that are read at a time.
pub(super) const READ_AT_A_TIME: usize = 8;

/// When the next part begins.
pub(super) struct Sizes {
    pub(super) rows: i32,
    pub(super) writes_per_count: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { rows: PART_ROWS, writes_per_count: WRITES_PER_COUNT }
    }
}

impl Sizes {
    /// Whether the write of this value counts. It has the time in it, so nobody can see to it that theirs never do.
    fn counts(&self, value: &[u8]) -> bool {
        xxh3_64(value).is_multiple_of(self.writes_per_count)
    }
}

/// A list that lies in parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum List<'a> {
    /// The conversations of a user.
    Conversations(&'a TenantId, &'a UserId),
    /// The decisions of a home.
    Decisions(&'a ConversationKey),
}

/// A part of somebody's list: of which list, and which one.
pub(super) type Part = (ConversationKey, Which, i64);

/// Which of a home's lists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Which {
    Conversations,
    Decisions,
}

/// The kind of a decision that is none: its row, which is about nothing, has the number of the last part as its timestamp.
pub(super) const NAMELESS_KIND: i16 = -1;

/// The name of a conversation that is none, for the same; and what such rows hold.
pub(super) const NAMELESS: &[u8] = &[];

impl List<'_> {
    fn part(self, part: i64) -> Part {
        match self {
            Self::Conversations(tenant, user) => (ConversationKey::home(tenant, user), Which::Conversations, part),
            Self::Decisions(home) => (home.clone(), Which::Decisions, part),
        }
    }

    /// Says that this is the last part, unless a later one is.
    pub(super) async fn say_last(self, part: i64, requests: &Requests, statements: &Statements) -> Result<(), Failed> {
        match self {
            Self::Conversations(tenant, user) => {
                let values = (tenant.as_str(), user.as_str(), NAMELESS, NAMELESS, part);
                requests.execute(&statements.put_conversation_of_user, values).await.map(drop)
            }
            Self::Decisions(ConversationKey { tenant, conversation }) => {
                let home = conversation.as_bytes().as_slice();
                let values = (tenant.as_str(), home, NAMELESS_KIND, NAMELESS, NAMELESS, part);
                requests.execute(&statements.put_decision, values).await.map(drop)
            }
        }
    }
}

/// The homes that some writes are about. Each is asked for its parts once, so of writes to the same row that have the same
/// number the first stays: they go to the same part.
#[derive(Default)]
pub(super) struct Homes(HashMap<ConversationKey, Arc<Home>>);

/// The last parts of one of them.
#[derive(Default)]
pub(super) struct Home {
    conversations: OnceCell<i64>,
    decisions: OnceCell<i64>,
}

impl Homes {
    pub(super) fn of(&mut self, key: ConversationKey) -> Arc<Home> {
        Arc::clone(self.0.entry(key).or_default())
    }
}

impl Inner {
    /// The part of this list that is written to: the last one.
    pub(super) async fn part_to_write(&self, home: &Home, list: List<'_>) -> Result<i64, Failed> {
        let last = match list {
            List::Conversations(..) => &home.conversations,
            List::Decisions(_) => &home.decisions,
        };
        let part = *last.get_or_try_init(|| self.last_part(list)).await?;
        if part > 0 {
            // Perhaps one node alone has said so, and others would not tell who reads next.
            self.note_part(list, part).await?;
        }
        Ok(part)
    }

    async fn last_part(&self, list: List<'_>) -> Result<i64, Failed> {
        let (requests, statements) = (&self.requests, &self.statements);
        let found = match list {
            List::Conversations(tenant, user) => {
                requests.one(&statements.last_part_of_conversations, (tenant.as_str(), user.as_str())).await?
            }
            List::Decisions(ConversationKey { tenant, conversation }) => {
                let home = conversation.as_bytes().as_slice();
                requests.one(&statements.last_part_of_decisions, (tenant.as_str(), home)).await?
            }
        };
        Ok(found.map_or(0, |(part,)| part))
    }

    /// After the write of a value to a part: counts its rows now and then, and sees to it that it does not grow much longer. What was to be
    /// written is there, so that this fails is no failure.
    pub(super) async fn look_at_part(
        &self,
        (list, part): (List<'_>, i64),
        value: &[u8],
        count: impl AsyncFnOnce(i32) -> Result<usize, Failed>,
    ) {
        if !self.sizes.counts(value) {
            return;
        }
        let looked = async {
            let rows = self.sizes.rows;
            if count(rows).await? < usize::try_from(rows).unwrap_or(usize::MAX) {
                return Ok(());
            }
            self.note_part(list, part + 1).await
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, ?list, part, "whether a part of a list is full cannot be found out");
        }
    }

    async fn note_part(&self, list: List<'_>, part: i64) -> Result<(), Failed> {
        self.parts.once(list.part(part), list.say_last(part, &self.requests, &self.statements)).await
    }
}

/// Of the rows of several parts, the lower ones first, one for each key: see the module.
pub(super) fn newest<K: Ord>(parts: impl IntoIterator<Item = Vec<(K, Value)>>) -> BTreeMap<K, Value> {
    let mut newest = BTreeMap::new();
    for (key, value) in parts.into_iter().flatten() {
        match newest.entry(key) {
            Entry::Vacant(place) => drop(place.insert(value)),
            Entry::Occupied(mut place) if place.get().at < value.at => drop(place.insert(value)),
            Entry::Occupied(_) => {}
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::value::Written;
    use super::*;

    fn value(at: u64, bytes: Option<&'static str>) -> Value {
        Value { at, bytes: bytes.map(|bytes| Bytes::from_static(bytes.as_bytes())) }
    }

    #[test]
    fn of_rows_with_one_key_the_highest_number_counts_and_of_equals_the_lowest_part() {
        let parts = [
            vec![("a", value(3, Some("first"))), ("b", value(9, None)), ("c", value(5, Some("first")))],
            vec![("a", value(4, None)), ("b", value(8, Some("late")))],
            vec![("a", value(4, Some("second"))), ("c", value(5, None)), ("d", value(0, Some("")))],
        ];
        let found = newest(parts).into_iter().map(|(key, value)| (key, value.at, value.bytes.is_some()));
        let expected = [("a", 4, false), ("b", 9, false), ("c", 5, true), ("d", 0, true)];
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    /// A row that is written again and again, too.
    #[test]
    fn one_in_so_many_writes_counts() {
        let (sizes, written) = (Sizes::default(), Written::default());
        let counted = (0..64_000).filter(|_| sizes.counts(&written.encode(b"a key", 7, None))).count();
        assert!((700..1_300).contains(&counted), "{counted} of 64,000");
    }
}
