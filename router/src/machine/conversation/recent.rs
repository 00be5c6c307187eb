//! The newest client ids of a conversation, by hash: one word per number, so that a send finds its first result without
//! reading the log. A hash that matches proves nothing; the row itself is read before anything is answered.

use std::collections::VecDeque;

use switchyard_protocol::limits::DEDUPE_RECENT;

/// A hash of (sender, client id); [`NO_ID`] for events that have none. The lowest bit is no part of it: once it is pushed, that
/// says whether the event is a message that counts.
pub(crate) type IdHash = u64;

/// Stands for an event that no client id can match.
pub(crate) const NO_ID: IdHash = 0;

/// The bit of a message that counts.
pub(crate) const COUNTS: IdHash = 1;

/// Hashes of the events `from..from + len`, a contiguous run that ends at the head.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    hashes: VecDeque<IdHash>,
    from: u64,
}

impl Recent {
    /// Knows nothing about events up to `head`.
    pub(crate) fn after(head: u64) -> Self {
        Self { hashes: VecDeque::new(), from: head + 1 }
    }

    /// The lowest number that is known; nothing below it was looked at.
    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    /// The next event was committed.
    pub(crate) fn push(&mut self, hash: IdHash) {
        if self.hashes.len() as u64 >= DEDUPE_RECENT {
            self.hashes.pop_front();
            self.from += 1;
        }
        self.hashes.push_back(hash);
    }

    /// Whether it reaches as far back as it ever does.
    pub(crate) fn full(&self) -> bool {
        self.hashes.len() as u64 >= DEDUPE_RECENT
    }

    /// The hashes of the events from `from` on were read. Takes those that lie right below what is known, as many as there
    /// is room for.
    pub(crate) fn extend_below(&mut self, from: u64, hashes: &[IdHash]) {
        let below = usize::try_from(self.from.saturating_sub(from)).unwrap_or(usize::MAX);
        // Shorter, and something nobody looked at lies between.
        let Some(below) = hashes.get(..below) else { return };
        let room = (DEDUPE_RECENT as usize).saturating_sub(self.hashes.len());
        for &hash in below.iter().rev().take(room) {
            self.hashes.push_front(hash);
            self.from -= 1;
        }
    }

    /// The newest number from `floor` up whose hash is this one.
    pub(crate) fn find(&self, hash: IdHash, floor: u64) -> Option<u64> {
        let skip = usize::try_from(floor.saturating_sub(self.from)).unwrap_or(usize::MAX);
        if skip >= self.hashes.len() {
            return None;
        }
        let at = self.hashes.range(skip..).rposition(|&known| (known ^ hash) & !COUNTS == 0)?;
        Some(self.from + (skip + at) as u64)
    }

    /// How many messages that count lie above this number, if it is known of all of them.
    pub(crate) fn counted_above(&self, seq: u64) -> Option<u64> {
        let skip = usize::try_from((seq + 1).checked_sub(self.from)?).ok().filter(|skip| *skip <= self.hashes.len())?;
        Some(self.hashes.range(skip..).map(|hash| hash & COUNTS).sum())
    }

    /// Lets go of memory that a burst needed.
    pub(crate) fn shrink(&mut self) {
        self.hashes.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_within_the_window_and_above_the_floor() {
        let mut recent = Recent::after(10);
        for hash in 1..=5 {
            recent.push(2 * hash);
        }
        assert_eq!(recent.find(6, 0), Some(13));
        assert_eq!(recent.find(6, 13), Some(13));
        assert_eq!(recent.find(6, 14), None);
        assert_eq!(recent.find(18, 0), None);
        assert_eq!(recent.find(6, u64::MAX), None);
    }

    #[test]
    fn what_is_read_joins_from_below_without_a_hole() {
        let of = |seqs: &[u64]| seqs.iter().map(|seq| 2 * seq).collect::<Vec<_>>();
        let mut recent = Recent::after(10);
        recent.push(22);
        recent.extend_below(5, &of(&[5, 6, 7, 8, 9]));
        assert_eq!(recent.from(), 11, "nobody looked at 10");
        recent.extend_below(5, &of(&[5, 6, 7, 8, 9, 10, 11]));
        assert_eq!(recent.from(), 5);
        for seq in 5..=11 {
            assert_eq!(recent.find(2 * seq, 0), Some(seq));
        }
        recent.extend_below(9, &of(&[90, 100]));
        assert_eq!((recent.from(), recent.find(180, 0)), (5, None), "it is known already");
        for seq in 12..DEDUPE_RECENT + 4 {
            recent.push(2 * seq);
        }
        assert!(!recent.full());
        recent.extend_below(1, &of(&[1, 2, 3, 4]));
        assert!(recent.full());
        assert_eq!((recent.from(), recent.find(6, 0)), (4, None), "there is room for one");
    }

    #[test]
    fn forgets_the_oldest() {
        let mut recent = Recent::after(0);
        for seq in 1..=DEDUPE_RECENT + 1 {
            recent.push(2 * seq);
        }
        assert_eq!(recent.from(), 2);
        assert_eq!(recent.find(2, 0), None);
        assert_eq!(recent.find(4, 0), Some(2));
    }

    #[test]
    fn counts_messages_above_a_number_that_it_reaches() {
        let mut recent = Recent::after(10);
        for hash in [22 | COUNTS, 24, NO_ID, 28 | COUNTS] {
            recent.push(hash);
        }
        let counted = [9, 10, 11, 12, 13, 14, 15].map(|seq| recent.counted_above(seq));
        assert_eq!(counted, [None, Some(2), Some(1), Some(1), Some(1), Some(0), None]);
        assert_eq!(recent.find(22, 0), recent.find(22 | COUNTS, 0), "it is the same id");
    }
}
