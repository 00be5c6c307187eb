//! A timeline read from 1 after the run, against its ledger.

use crate::letter::MessageKey;

use super::ledger::{Account, Imprint, Ledger, Place};
use super::verdict::{Fault, Verdict};

/// Which of one sender's messages were found in a timeline: a bit each.
#[derive(Debug, Default)]
pub struct Found(Vec<u64>);

impl Found {
    /// Marks the sender's `count`th message; false if it was marked before.
    pub fn mark(&mut self, count: u64) -> bool {
        let (word, bit) = ((count / 64) as usize, 1 << (count % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        match self.0.get_mut(word) {
            Some(bits) if *bits & bit == 0 => {
                *bits |= bit;
                true
            }
            _ => false,
        }
    }

    /// Whether it was found.
    pub fn has(&self, count: u64) -> bool {
        self.0.get((count / 64) as usize).is_some_and(|bits| bits >> (count % 64) & 1 == 1)
    }
}

/// One timeline being read.
#[derive(Debug, Default)]
pub struct Audit {
    /// The highest number read.
    last: u64,
    /// The same when the last page was asked for, and what was acknowledged or known then.
    asked_after: u64,
    acked_before: u64,
    known_before: u64,
    ordinal_max: u64,
    distinct: u64,
}

impl Audit {
    /// The number after which the next page begins.
    pub fn position(&self) -> u64 {
        self.last
    }

    /// A page is asked for.
    pub fn ask(&mut self, ledger: &Ledger) {
        self.acked_before = ledger.acked_head();
        self.known_before = ledger.known_head();
    }

    /// A page was read, and the timeline ends at `head` by it. Whether there is more to read: what came before the page
    /// moved it on, or somebody has spoken of higher numbers since it was asked for.
    pub fn more(&mut self, head: u64, ledger: &Ledger, name: &str, verdict: &mut Verdict) -> bool {
        let acked = self.acked_before;
        let stale = u64::from(head < acked);
        verdict.add(Fault::Stale, stale, || format!("{name} ends at {head} by history, but {acked} was acknowledged"));
        let moved = self.last > self.asked_after;
        self.asked_after = self.last;
        (moved && self.last < head) || ledger.known_head() > self.known_before
    }

    /// The next message. `key` says which one of ours it is, if it is one, stored at `time_ms`; `sound` whether it is as it was sent (if not,
    /// that has been counted); `found` are its sender's.
    #[allow(clippy::too_many_arguments, reason = "each is another's state, borrowed for one message")]
    pub fn message(
        &mut self,
        place: Place,
        key: Option<MessageKey>,
        time_ms: u64,
        sound: bool,
        ledger: &mut Ledger,
        found: Option<&mut Found>,
        verdict: &mut Verdict,
    ) {
        if ledger.is_found(place.seq) {
            verdict.add(Fault::Duplicate, 1, || format!("number {} stands twice in the timeline", place.seq));
            return;
        }
        if place.seq <= self.last {
            verdict.add(Fault::OutOfOrder, 1, || format!("number {} follows {} in a page", place.seq, self.last));
        }
        self.last = self.last.max(place.seq);
        self.ordinal_max = self.ordinal_max.max(place.ordinal);
        self.distinct += 1;
        let first = match (key, found) {
            (Some(key), Some(found)) => found.mark(key.count()),
            _ => true,
        };
        let imprint = key.map(|key| Imprint::new(key, time_ms));
        if sound && first {
            ledger.say(Account::Timeline, place, imprint, verdict);
        } else {
            // One fault is counted once: a message that was altered is expected to differ from its ledger.
            let mut unheard = Verdict { rows: verdict.rows, ..Verdict::default() };
            ledger.say(Account::Timeline, place, imprint, &mut unheard);
            verdict.rows = unheard.rows;
        }
        if !first && sound {
            verdict.add(Fault::Duplicate, 1, || format!("number {} holds a message stored before", place.seq));
        }
    }

    /// The end of the timeline: what is missing in it.
    pub fn finish(self, ledger: &mut Ledger, name: &str, verdict: &mut Verdict) {
        let missing = self.ordinal_max.saturating_sub(self.distinct);
        verdict.add(Fault::Gap, missing, || {
            format!("{name} has {} messages, but the last says it is number {}", self.distinct, self.ordinal_max)
        });
        ledger.settle(name, verdict);
        verdict.timelines_read += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `pages` of (number, count) against acks of 1..=4, and gives back the verdict.
    fn read(timeline: &[(u64, u64)]) -> Verdict {
        let (mut ledger, mut verdict) = (Ledger::default(), Verdict::default());
        for seq in 1..=4 {
            ledger.acked(Place { seq, ordinal: seq }, Imprint::new(MessageKey::new(0, seq), 1), &mut verdict);
        }
        let (mut audit, mut found) = (Audit::default(), Found::default());
        audit.ask(&ledger);
        for &(seq, count) in timeline {
            let place = Place { seq, ordinal: seq };
            let key = Some(MessageKey::new(0, count));
            audit.message(place, key, 1, true, &mut ledger, Some(&mut found), &mut verdict);
        }
        audit.more(4, &ledger, "c", &mut verdict);
        audit.finish(&mut ledger, "c", &mut verdict);
        verdict
    }

    #[test]
    fn a_timeline_is_read_on_while_it_moves_and_must_hold_what_was_acked_before() {
        let (mut ledger, mut verdict, mut audit) = (Ledger::default(), Verdict::default(), Audit::default());
        let place = |seq| Place { seq, ordinal: seq };
        let imprint = |count| Imprint::new(MessageKey::new(0, count), 1);
        ledger.acked(place(1), imprint(1), &mut verdict);
        audit.ask(&ledger);
        ledger.acked(place(2), imprint(2), &mut verdict);
        assert!(audit.more(1, &ledger, "c", &mut verdict), "the second came while the page was on its way");
        assert_eq!(verdict.stale, 0);
        audit.ask(&ledger);
        assert!(!audit.more(1, &ledger, "c", &mut verdict));
        assert_eq!(verdict.stale, 1);
    }

    #[test]
    fn each_fault_is_counted_as_its_kind() {
        let counts = |v: Verdict| [v.lost, v.duplicates, v.out_of_order, v.gaps, v.altered];
        assert_eq!(counts(read(&[(1, 1), (2, 2), (3, 3), (4, 4)])), [0, 0, 0, 0, 0]);
        assert_eq!(counts(read(&[(1, 1), (3, 3), (4, 4)])), [1, 0, 0, 1, 0], "a message is missing");
        assert_eq!(counts(read(&[(1, 1), (2, 2), (3, 3)])), [1, 0, 0, 0, 0], "the last one is missing");
        assert_eq!(counts(read(&[(1, 1), (2, 2), (2, 2), (3, 3), (4, 4)])), [0, 1, 0, 0, 0], "a row twice");
        assert_eq!(counts(read(&[(1, 1), (3, 3), (2, 2), (4, 4)])), [0, 0, 1, 0, 0], "two rows changed places");
        assert_eq!(counts(read(&[(1, 1), (2, 3), (3, 2), (4, 4)])), [0, 0, 0, 0, 2], "two messages changed numbers");
        assert_eq!(counts(read(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 2)])), [0, 1, 0, 0, 0], "stored twice");
    }
}
