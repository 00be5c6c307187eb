//! Parts: two lists of a user's home hold for ever what went, as values that say so, and so grow with everything that ever was. Each lies
//! in parts, which are partitions: part 0 in a table of its own, as it was before there were others, and those from 1 on in a table
//! with the part in its key. Which part is written to is a bound of the home: it only rises.
//!
//! **Invariant:** a row lies in any part up to that one, and perhaps in several. Who reads looks into all of them, and takes of the
//! rows with one key the one with the highest number, of equals the lowest part's, which was written first. So who writes may
//! know a number of before; but no part is written to of which not a quorum knows.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::hash_map::HashMap;
use std::sync::Arc;

use switchyard_protocol::id::ConversationKey;
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_64;

use super::bounds::{Bound, Bounds};
use super::requests::Failed;
use super::value::Value;
use super::{Inner, number};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum List {
    /// The conversations of the home's user.
    Conversations,
    Decisions,
}

impl List {
    fn bound(self) -> Bound {
        match self {
            Self::Conversations => Bound::ConversationsPart,
            Self::Decisions => Bound::DecisionsPart,
        }
    }
}

/// The homes that some reads or writes are about. Each is asked for its parts once, so of writes to the same row that have the same
/// number the first stays: they go to the same part.
#[derive(Default)]
pub(super) struct Homes(HashMap<ConversationKey, Arc<Home>>);

/// One of them.
pub(super) struct Home {
    key: ConversationKey,
    bounds: OnceCell<Bounds>,
}

impl Homes {
    pub(super) fn of(&mut self, key: ConversationKey) -> Arc<Home> {
        let home = self.0.entry(key).or_insert_with_key(|key| {
            let bounds = OnceCell::new();
            Arc::new(Home { key: key.clone(), bounds })
        });
        Arc::clone(home)
    }
}

impl Inner {
    /// The part of this list that is written to: the last one.
    pub(super) async fn last_part(&self, home: &Home, list: List) -> Result<i64, Failed> {
        let bounds = home.bounds.get_or_try_init(|| self.bounds(&home.key)).await?;
        Ok(bounds.last_part(list))
    }

    /// The same, for who writes there.
    pub(super) async fn part_to_write(&self, home: &Home, list: List) -> Result<i64, Failed> {
        let part = self.last_part(home, list).await?;
        if part > 0 {
            // Perhaps one node alone has said so, and others would not tell who reads next.
            self.note_part(home, list, part).await?;
        }
        Ok(part)
    }

    /// After the write of a value to a part: counts its rows now and then, and sees to it that it does not grow much longer. What was to be
    /// written is there, so that this fails is no failure.
    pub(super) async fn look_at_part(
        &self,
        home: &Home,
        (list, part): (List, i64),
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
            self.note_part(home, list, part + 1).await
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, ?list, part, "whether a part of a list is full cannot be found out");
        }
    }

    async fn note_part(&self, home: &Home, list: List, part: i64) -> Result<(), Failed> {
        self.note_once(&home.key, list.bound(), part.unsigned_abs()).await
    }
}

impl Bounds {
    pub(super) fn last_part(&self, list: List) -> i64 {
        number::of_seq(match list {
            List::Conversations => self.conversations_part,
            List::Decisions => self.decisions_part,
        })
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
