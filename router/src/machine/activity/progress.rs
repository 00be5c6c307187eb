//! How far one member has come: the marks themselves, with what makes unread a subtraction, and the newest moves of the
//! read mark. Pure data; who may move a mark and who is told is decided in `marks.rs`.
//!
//! A message moves its sender's mark, so this is on the way of every message: three words and a flag in the member's own
//! entry. What only those have who say that they have read lies behind a pointer.

use bytes::Bytes;
use switchyard_protocol::v1;

use crate::stored::{self, DeliveredMark, ReadMark};

/// Moves of a read mark that are kept, so that the time at which it passed one of the newest messages is known.
const STEPS_MAX: usize = 16;

/// An ordinal that no message has.
const UNKNOWN: u64 = u64::MAX;

/// The kind of a stored read mark.
pub(crate) const READ: u8 = 0;

/// The kind of a stored mark of what was delivered.
pub(crate) const DELIVERED: u8 = 1;

/// What is still to be done about a member's marks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Flags(u8);

impl Flags {
    /// The member said so, and it is not stored: that is due within a second.
    const READ_SAID: u8 = 1;
    const DELIVERED_SAID: u8 = 2;
    /// It follows from the log above the record: stored before the next record is.
    const MOVED: u8 = 4;
    /// Those who read the conversation do not know it.
    const UNTOLD: u8 = 8;

    fn take(&mut self, flag: u8) -> bool {
        let was = self.0 & flag != 0;
        self.0 &= !flag;
        was
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// Everything up to this number is read.
    read: u64,
    /// How many messages that count there are up to it.
    ordinal: u64,
    /// When it came to stand there; 0 if it has not moved since the member joined.
    read_ms: u64,
    said: Option<Box<Said>>,
    flags: Flags,
}

/// What a member has who has said so.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Said {
    delivered: u64,
    delivered_ms: u64,
    /// Moves of the read mark, oldest first: the numbers, and when.
    steps: Vec<(u64, u64)>,
    /// There were none before them.
    complete: bool,
}

impl Said {
    /// How far everything was delivered, as it is stored.
    fn mark(&self) -> (u8, u64, Bytes) {
        (DELIVERED, self.delivered, stored::encode(&DeliveredMark { ms: self.delivered_ms }))
    }

    fn step(&mut self, read: u64, ms: u64) {
        if self.steps.len() >= STEPS_MAX {
            self.steps.remove(0);
            self.complete = false;
        }
        self.steps.push((read, ms));
    }
}

/// When a read mark passed a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    pub(crate) ms: u64,
    /// At the latest then.
    pub(crate) earlier: bool,
}

impl Progress {
    /// That of somebody who joins with this event, up to which there are so many messages.
    pub(crate) fn joined(seq: u64, ordinal: u64) -> Self {
        Self { read: seq, ordinal, read_ms: 0, said: None, flags: Flags::default() }
    }

    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    pub(crate) fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// What is read is delivered.
    pub(crate) fn delivered(&self) -> u64 {
        self.said.as_ref().map_or(0, |said| said.delivered).max(self.read)
    }

    /// A message of the member's own was stored.
    pub(crate) fn sent(&mut self, seq: u64, ordinal: u64, ms: u64) {
        if seq <= self.read {
            // Replayed, and the member has said more since.
            return;
        }
        (self.read, self.ordinal, self.read_ms) = (seq, ordinal, ms);
        self.flags.0 |= Flags::MOVED;
        if let Some(said) = &mut self.said {
            said.step(seq, ms);
        }
    }

    /// The member has read so far, up to which there are so many messages. Only a higher mark changes anything.
    pub(crate) fn raise_read(&mut self, seq: u64, ordinal: u64, ms: u64) -> bool {
        if seq <= self.read {
            return false;
        }
        let ms = ms.max(self.read_ms);
        self.said().step(seq, ms);
        (self.read, self.ordinal, self.read_ms) = (seq, ordinal, ms);
        self.flags.0 |= Flags::READ_SAID | Flags::UNTOLD;
        true
    }

    /// So far everything has reached the member. Only a higher mark changes anything.
    pub(crate) fn raise_delivered(&mut self, seq: u64, ms: u64) -> bool {
        if seq <= self.delivered() {
            return false;
        }
        let said = self.said();
        (said.delivered, said.delivered_ms) = (seq, ms.max(said.delivered_ms));
        self.flags.0 |= Flags::DELIVERED_SAID | Flags::UNTOLD;
        true
    }

    /// What a member has who has said so. Of the moves before, only the last is known.
    fn said(&mut self) -> &mut Said {
        let (read, ms) = (self.read, self.read_ms);
        self.said.get_or_insert_with(|| {
            let steps = if ms > 0 { vec![(read, ms)] } else { Vec::new() };
            Box::new(Said { steps, complete: ms == 0, ..Said::default() })
        })
    }

    /// That of somebody who joined with this event and whose mark is not known, nor how many messages there are up to it.
    pub(crate) fn unknown(seq: u64) -> Self {
        Self::joined(seq, UNKNOWN)
    }

    /// One that is not known begins here; it is to be stored before the next record.
    pub(crate) fn begin_if_unknown(&mut self, seq: u64, ordinal: u64) {
        if self.ordinal == UNKNOWN {
            (self.read, self.ordinal) = (seq.max(self.read), ordinal);
            self.flags.0 |= Flags::MOVED;
        }
    }

    /// Has it stored before the next record.
    pub(crate) fn with_next_record(mut self) -> Self {
        self.flags.0 |= Flags::MOVED;
        self
    }

    /// When the mark passed this number, if it has.
    pub(crate) fn passed(&self, seq: u64) -> Option<Passed> {
        if self.read < seq {
            return None;
        }
        let found = self.said.as_ref().and_then(|said| {
            let at = said.steps.partition_point(|(read, _)| *read < seq);
            let (_, ms) = said.steps.get(at)?;
            Some(Passed { ms: *ms, earlier: at == 0 && !said.complete })
        });
        Some(found.unwrap_or(Passed { ms: self.read_ms, earlier: true }))
    }

    /// As others see it.
    pub(crate) fn shown(&self, user: &str) -> v1::MemberMarks {
        let said = self.said.as_ref().map(|said| (said.delivered, said.delivered_ms));
        let (delivered, delivered_ms) = said.filter(|said| said.0 >= self.read).unwrap_or((self.read, self.read_ms));
        v1::MemberMarks {
            user: user.to_owned(),
            read: self.read,
            read_ms: self.read_ms,
            delivered,
            delivered_ms,
            ..v1::MemberMarks::default()
        }
    }

    /// Whether others are to be told.
    pub(crate) fn is_untold(&self) -> bool {
        self.flags.0 & Flags::UNTOLD != 0
    }

    /// They are to be told once more, if the member has said anything.
    pub(crate) fn tell_again(&mut self) -> Option<()> {
        self.said.as_ref()?;
        self.flags.0 |= Flags::UNTOLD;
        Some(())
    }

    /// They were.
    pub(crate) fn told(&mut self) {
        self.flags.take(Flags::UNTOLD);
    }

    /// All marks that there are, by kind.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (u8, u64, Bytes)> + use<> {
        let delivered = self.said.as_deref().filter(|said| said.delivered > 0).map(Said::mark);
        [(READ, self.read, self.stored_read())].into_iter().chain(delivered)
    }

    /// What the member said and is not stored, by kind.
    pub(crate) fn take_said(&mut self) -> impl Iterator<Item = (u8, u64, Bytes)> + use<> {
        let read = self.flags.take(Flags::READ_SAID).then(|| (READ, self.read, self.stored_read()));
        let delivered = self.flags.take(Flags::DELIVERED_SAID).then_some(self.said.as_deref()).flatten();
        read.into_iter().chain(delivered.map(Said::mark))
    }

    /// The read mark, if it is to be stored before the next record.
    pub(crate) fn take_moved(&mut self) -> Option<(u8, u64, Bytes)> {
        self.flags.take(Flags::MOVED).then(|| (READ, self.read, self.stored_read()))
    }

    fn stored_read(&self) -> Bytes {
        let none = Said::default();
        let said = self.said.as_deref().unwrap_or(&none);
        stored::encode(&ReadMark {
            ordinal: self.ordinal,
            ms: self.read_ms,
            step_reads: said.steps.iter().map(|(read, _)| *read).collect(),
            step_ms: said.steps.iter().map(|(_, ms)| *ms).collect(),
            complete: said.complete,
        })
    }

    /// Takes up what is stored of a mark, if it is higher. `None`: it is not one.
    pub(crate) fn restore(&mut self, kind: u8, at: u64, value: &Bytes) -> Option<()> {
        match kind {
            READ => {
                let mark: ReadMark = stored::decode(value)?;
                if at < self.read {
                    // Of an earlier membership.
                    return Some(());
                }
                (self.read, self.ordinal, self.read_ms) = (at, mark.ordinal, mark.ms);
                if !mark.step_reads.is_empty() {
                    let said = self.said.get_or_insert_default();
                    said.steps = mark.step_reads.into_iter().zip(mark.step_ms).collect();
                    said.complete = mark.complete;
                }
            }
            DELIVERED => {
                let mark: DeliveredMark = stored::decode(value)?;
                if at > self.delivered() {
                    let said = self.said();
                    (said.delivered, said.delivered_ms) = (at, mark.ms);
                }
            }
            // Of a later version.
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(ms: u64, earlier: bool) -> Option<Passed> {
        Some(Passed { ms, earlier })
    }

    #[test]
    fn the_time_of_passing_is_known_for_the_newest_moves_and_bounded_for_others() {
        let mut progress = Progress::joined(3, 2);
        assert_eq!((progress.passed(4), progress.passed(3)), (None, passed(0, true)));
        for at in 4..=19 {
            assert!(progress.raise_read(2 * at, at, 100 * at));
        }
        assert_eq!(progress.passed(8), passed(400, false), "it was known where it began");
        assert_eq!((progress.passed(9), progress.passed(10)), (passed(500, false), passed(500, false)));
        progress.sent(41, 30, 9_000);
        assert_eq!((progress.passed(41), progress.passed(10)), (passed(9_000, false), passed(500, true)));
        assert_eq!(progress.passed(42), None);
    }

    #[test]
    fn what_is_stored_comes_back_and_a_lower_mark_changes_nothing() {
        let mut progress = Progress::joined(0, 0);
        progress.sent(2, 2, 50);
        assert!(progress.raise_delivered(9, 80));
        assert!(progress.raise_read(7, 5, 90));
        assert!(!progress.raise_read(7, 5, 95) && !progress.raise_delivered(9, 99));
        let stored: Vec<_> = progress.take_said().collect();
        assert_eq!(stored.iter().map(|(kind, at, _)| (*kind, *at)).collect::<Vec<_>>(), [(READ, 7), (DELIVERED, 9)]);
        assert_eq!(progress.take_said().count(), 0);
        let mut again = Progress::joined(0, 0);
        for (kind, at, value) in &stored {
            again.restore(*kind, *at, value).expect("it is one");
        }
        assert_eq!(again.shown("ann"), progress.shown("ann"));
        assert_eq!((again.passed(7), again.ordinal()), (progress.passed(7), 5));
        assert!(!again.raise_read(6, 4, 500));
        assert_eq!(again.restore(READ, 1, &Bytes::from_static(b"\xff")), None);
        // Of the messages that are replayed over it, those above it move it.
        again.sent(5, 4, 60);
        assert_eq!((again.read(), again.take_moved()), (7, None));
        again.sent(11, 8, 300);
        assert_eq!((again.read(), again.ordinal(), again.delivered()), (11, 8, 11));
        assert_eq!((again.passed(7), again.passed(9)), (passed(90, false), passed(300, false)));
        // Who joined anew has left the old marks behind.
        let mut anew = Progress::joined(12, 9);
        for (kind, at, value) in &stored {
            anew.restore(*kind, *at, value).expect("it is one");
        }
        assert_eq!(anew, Progress::joined(12, 9));
    }
}
