//! Which message has which number in one timeline, as acks, live readers and at last the timeline itself say it.

use std::fmt;

use crate::letter::MessageKey;

use super::verdict::{Fault, Verdict};

/// Rows that all ledgers of a run may have: half a gigabyte. What is beyond is counted, not kept.
pub const RECORDS_MAX: u64 = 64 << 20;

/// How far a number may lie above the highest known before it is not believed: more than any burst between two accounts.
const JUMP_MAX: usize = 1 << 20;

const KNOWN: u64 = 1;
const ACKED: u64 = 2;
const FOUND: u64 = 4;
const FLAGS: u32 = 3;

/// Bits of a sender's count in a row: two messages of one sender that a row cannot tell apart lie as far apart as all rows
/// of a run.
const COUNT_BITS: u32 = 26;

/// Bits of the time in a row, and by what it is divided for them: a prime, so that whatever a wrong time is likely to be off
/// by, the rest is another one.
const TIME_BITS: u32 = 11;
const TIME_PRIME: u64 = 2_039;

/// What an account says of a message beside its place, in the 61 bits that a row has for it: all of its sender, the end of
/// its count, and a rest of its time. What else a message holds follows from the first two and is checked at sight.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Imprint(u64);

impl Imprint {
    /// Of this message, stored at that time.
    pub fn new(key: MessageKey, time_ms: u64) -> Self {
        let count = key.count() & ((1 << COUNT_BITS) - 1);
        let named = u64::from(key.sender()) << COUNT_BITS | count;
        Self((named << TIME_BITS) | (time_ms % TIME_PRIME))
    }
}

impl fmt::Debug for Imprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0 >> TIME_BITS;
        let (sender, count) = (named >> COUNT_BITS, named & ((1 << COUNT_BITS) - 1));
        write!(f, "message {count} of user {sender}, time {} modulo {TIME_PRIME}", self.0 & ((1 << TIME_BITS) - 1))
    }
}

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its number among all events.
    pub seq: u64,
    /// Its number among messages.
    pub ordinal: u64,
}

/// Who says what stands at a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Account {
    Ack,
    Reader,
    Timeline,
}

/// One timeline's rows.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Vec<u64>,
    /// Events that are no messages before the first message. They happen before a run's first send and never in it.
    shift: Option<u64>,
    acked_head: u64,
    unrecorded: u64,
    /// Events that are no messages happen all the time: how places lie to each other is the [`super::Story`]'s to say.
    mixed: bool,
}

impl Ledger {
    /// Of a timeline in which more than messages happens.
    pub fn mixed() -> Self {
        Self { mixed: true, ..Self::default() }
    }

    /// Something that is no message was acknowledged with this number.
    pub fn acked_change(&mut self, seq: u64) {
        self.acked_head = self.acked_head.max(seq);
    }

    /// The highest number acknowledged so far.
    pub fn acked_head(&self) -> u64 {
        self.acked_head
    }

    /// The highest number that anybody spoke of so far.
    pub fn known_head(&self) -> u64 {
        (self.rows.len() as u64).saturating_sub(1)
    }

    /// Messages that had no room.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded
    }

    /// An ack said that the message stands there.
    pub fn acked(&mut self, place: Place, imprint: Imprint, verdict: &mut Verdict) {
        self.acked_head = self.acked_head.max(place.seq);
        self.say(Account::Ack, place, Some(imprint), verdict);
    }

    /// A live reader said so.
    pub fn seen(&mut self, place: Place, imprint: Imprint, verdict: &mut Verdict) {
        self.say(Account::Reader, place, Some(imprint), verdict);
    }

    /// The message at a number, if it is known.
    pub fn known_at(&self, seq: u64) -> Option<Imprint> {
        let row = *self.rows.get(usize::try_from(seq).ok()?)?;
        (row & KNOWN != 0).then_some(Imprint(row >> FLAGS))
    }

    /// Whether the timeline has been seen to hold this number.
    pub(super) fn is_found(&self, seq: u64) -> bool {
        usize::try_from(seq).ok().and_then(|at| self.rows.get(at)).is_some_and(|row| row & FOUND != 0)
    }

    /// Writes an account down, and says whether it contradicts the earlier ones. `imprint` is `None` for a message
    /// that could not be identified.
    pub(super) fn say(
        &mut self,
        account: Account,
        place: Place,
        imprint: Option<Imprint>,
        verdict: &mut Verdict,
    ) -> bool {
        let shift = place.seq.wrapping_sub(place.ordinal);
        let misplaced = !self.mixed && *self.shift.get_or_insert(shift) != shift;
        if misplaced {
            verdict
                .add(Fault::Altered, 1, || format!("number {} has ordinal {} ({account:?})", place.seq, place.ordinal));
        }
        let Some(row) = self.row_mut(place.seq, verdict) else { return !misplaced };
        let before = *row;
        let known = (before & KNOWN != 0).then_some(Imprint(before >> FLAGS));
        let flag = match account {
            Account::Ack => ACKED,
            Account::Reader => 0,
            Account::Timeline => FOUND,
        };
        // What an ack said stands; else what was said first.
        let kept = match (known, imprint) {
            (Some(_), Some(imprint)) if account == Account::Ack && before & ACKED == 0 => Some(imprint),
            (Some(known), _) => Some(known),
            (None, imprint) => imprint,
        };
        let bits = kept.map_or(0, |imprint| imprint.0 << FLAGS | KNOWN);
        *row = bits | (before & (ACKED | FOUND)) | flag;
        let differs = matches!((known, imprint), (Some(known), Some(imprint)) if known != imprint);
        if differs && !misplaced {
            verdict.add(Fault::Altered, 1, || {
                format!("number {} is {known:?} by earlier accounts and {imprint:?} by {account:?}", place.seq)
            });
        }
        !differs && !misplaced
    }

    fn row_mut(&mut self, seq: u64, verdict: &mut Verdict) -> Option<&mut u64> {
        let at = usize::try_from(seq).ok()?;
        if at >= self.rows.len() {
            let jump = at - self.rows.len();
            if jump > JUMP_MAX || verdict.rows + jump as u64 >= RECORDS_MAX {
                self.unrecorded += 1;
                return None;
            }
            verdict.rows += jump as u64 + 1;
            self.rows.resize(at + 1, 0);
        }
        self.rows.get_mut(at)
    }

    /// After the timeline was read: what is missing in it. Frees the rows.
    pub(super) fn settle(&mut self, name: &str, verdict: &mut Verdict) {
        for (seq, &row) in self.rows.iter().enumerate() {
            verdict.acked_checked += u64::from(row & ACKED != 0);
            if row & KNOWN != 0 && row & FOUND == 0 {
                let how = if row & ACKED != 0 { "acknowledged" } else { "delivered" };
                verdict.add(Fault::Lost, 1, || format!("{how} number {seq} of {name} is not in the timeline"));
            }
        }
        verdict.unrecorded += self.unrecorded;
        verdict.rows -= self.rows.len() as u64;
        self.rows = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seq: u64) -> Place {
        Place { seq, ordinal: seq }
    }

    fn key(count: u64) -> Imprint {
        Imprint::new(MessageKey::new(1, count), 1_000)
    }

    #[test]
    fn accounts_that_agree_are_no_fault() {
        let (mut ledger, mut verdict) = (Ledger::default(), Verdict::default());
        ledger.seen(place(1), key(0), &mut verdict);
        ledger.acked(place(1), key(0), &mut verdict);
        ledger.acked(place(2), key(1), &mut verdict);
        assert!(ledger.say(Account::Timeline, place(1), Some(key(0)), &mut verdict));
        assert_eq!((verdict.faults(), ledger.acked_head()), (0, 2));
        ledger.settle("c", &mut verdict);
        assert_eq!((verdict.lost, verdict.acked_checked, verdict.rows), (1, 2, 0));
    }

    #[test]
    fn each_account_that_differs_counts_once() {
        let (mut ledger, mut verdict) = (Ledger::default(), Verdict::default());
        ledger.acked(place(1), key(0), &mut verdict);
        ledger.seen(place(1), key(7), &mut verdict);
        assert_eq!(verdict.altered, 1);
        ledger.seen(Place { seq: 2, ordinal: 1 }, key(1), &mut verdict);
        assert_eq!(verdict.altered, 2);
        assert_eq!(ledger.known_at(1), Some(key(0)), "the ack's word stands");
    }

    #[test]
    fn another_time_is_another_account() {
        let key = MessageKey::new(0xff_ffff, 7);
        for off in [1, 10, 1_000, 60_000, 3_600_000, 86_400_000] {
            assert_ne!(Imprint::new(key, 1_700_000_000_000), Imprint::new(key, 1_700_000_000_000 + off), "{off}");
        }
        let (mut ledger, mut verdict) = (Ledger::default(), Verdict::default());
        ledger.acked(place(1), Imprint::new(key, 5), &mut verdict);
        ledger.seen(place(1), Imprint::new(key, 6), &mut verdict);
        assert_eq!(verdict.altered, 1);
        assert_eq!(ledger.known_at(1), Some(Imprint::new(key, 5)), "nothing of it is cut off");
    }

    #[test]
    fn has_a_bound() {
        let (mut ledger, mut verdict) = (Ledger::default(), Verdict { rows: RECORDS_MAX - 10, ..Verdict::default() });
        ledger.acked(place(50), key(0), &mut verdict);
        ledger.acked(place(u64::MAX), key(0), &mut verdict);
        ledger.acked(place(3), key(0), &mut verdict);
        assert_eq!((ledger.unrecorded(), verdict.rows), (2, RECORDS_MAX - 6));
    }
}
