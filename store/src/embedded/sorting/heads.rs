//! The highest numbers of the conversations that were stored lately, so that what is new needs no look into the engine. In
//! memory only; what is not known is looked up.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use crate::log::Seq;

/// Conversations in one generation; two are remembered. 9 MB at most, and less where fewer are written.
const GENERATION_MAX: usize = 200_000;

/// Numbers by the hash of their conversation, under a key that nobody knows: among as many as there are here, two with the
/// same hash are not to be expected.
#[derive(Default)]
pub(in crate::embedded) struct Heads {
    hasher: RandomState,
    young: HashMap<u64, Seq>,
    old: HashMap<u64, Seq>,
}

impl Heads {
    pub(in crate::embedded) fn get(&self, conversation: &[u8]) -> Option<Seq> {
        let hash = self.hasher.hash_one(conversation);
        self.young.get(&hash).or_else(|| self.old.get(&hash)).copied()
    }

    pub(in crate::embedded) fn insert(&mut self, conversation: &[u8], head: Seq) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(self.hasher.hash_one(conversation), head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_the_oldest_are_not() {
        let mut heads = Heads::default();
        let conversation = |number: usize| number.to_le_bytes();
        for number in 0..2 * GENERATION_MAX {
            heads.insert(&conversation(number), number as Seq);
            heads.insert(b"busy", number as Seq);
        }
        assert_eq!(heads.get(b"busy"), Some(2 * GENERATION_MAX as Seq - 1));
        let newest = 2 * GENERATION_MAX - 1;
        assert_eq!(heads.get(&conversation(newest)), Some(newest as Seq));
        assert_eq!(heads.get(&conversation(0)), None);
        assert!(heads.young.len() + heads.old.len() <= 2 * GENERATION_MAX);
    }
}
