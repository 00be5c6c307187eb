//! How far one connection has read its timeline, live and by resume: numbers rise by one, nothing is skipped, nothing
//! comes twice.

use super::verdict::{Fault, Verdict};

/// Holes that are remembered, to tell an event that comes late from one that comes twice.
const HOLES_MAX: usize = 1_024;

/// What a live event means for a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was not there before.
    Fresh,
    /// It was.
    Again,
    /// A resume is under way and will bring it.
    Skipped,
}

/// What an event of a resume's page means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paged {
    /// It was not there before.
    Fresh,
    /// It came live in the meantime.
    Known,
}

/// One reader of one timeline.
#[derive(Debug, Default)]
pub struct Reader {
    /// The number that must come next; 0 before the first subscription.
    next: u64,
    /// Where the first subscription began: what lies below is not the run's.
    base: u64,
    /// The position that the resume under way asked for.
    resuming: Option<u64>,
    /// The highest live number passed over meanwhile.
    skipped_to: u64,
    holes: Vec<u64>,
}

impl Reader {
    /// Reads from `head + 1` on.
    pub fn start(&mut self, head: u64) {
        self.next = head.saturating_add(1);
        self.base = head;
    }

    /// Whether this number was given after the reader had subscribed.
    pub fn is_of_the_run(&self, seq: u64) -> bool {
        self.started() && seq > self.base
    }

    /// Whether it has begun.
    pub fn started(&self) -> bool {
        self.next != 0
    }

    /// The last number that it has; where a resume begins.
    pub fn position(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Forgets the last `count` numbers, as a device that was switched off before it had stored them.
    pub fn rewind(&mut self, count: u64) {
        self.next = self.next.saturating_sub(count).max(1);
    }

    /// A resume was asked for.
    pub fn resume(&mut self) {
        self.resuming = Some(self.position());
        self.skipped_to = 0;
    }

    /// The connection is gone, and the resume with it.
    pub fn disconnected(&mut self) {
        self.resuming = None;
    }

    /// Whether a resume is under way.
    pub fn is_resuming(&self) -> bool {
        self.resuming.is_some()
    }

    /// A numbered event came live.
    pub fn live(&mut self, seq: u64, who: usize, verdict: &mut Verdict) -> Step {
        if seq == self.next {
            self.next += 1;
            return Step::Fresh;
        }
        if seq > self.next {
            if self.resuming.is_some() {
                self.skipped_to = self.skipped_to.max(seq);
                return Step::Skipped;
            }
            let missing = seq - self.next;
            verdict.add(Fault::Gap, missing, || format!("reader {who} got {seq} when {} was due", self.next));
            let room = HOLES_MAX.saturating_sub(self.holes.len());
            self.holes.extend((self.next..seq).take(room));
            self.next = seq.saturating_add(1);
            return Step::Fresh;
        }
        if let Some(at) = self.holes.iter().position(|&hole| hole == seq) {
            self.holes.swap_remove(at);
            verdict.fill_gap();
            verdict.add(Fault::OutOfOrder, 1, || format!("reader {who} got {seq} late"));
            return Step::Fresh;
        }
        // While a resume is under way, its page and the live events may overlap.
        if self.resuming.is_none() {
            verdict.add(Fault::Duplicate, 1, || format!("reader {who} got {seq} again"));
        }
        Step::Again
    }

    /// An event of the answer to the resume under way; they come in order, from the position that was asked for.
    pub fn paged(&mut self, seq: u64, who: usize, verdict: &mut Verdict) -> Paged {
        let Some(position) = self.resuming.as_mut() else { return Paged::Known };
        if seq <= *position {
            if let Some(at) = self.holes.iter().position(|&hole| hole == seq) {
                self.holes.swap_remove(at);
                verdict.fill_gap();
                verdict.add(Fault::OutOfOrder, 1, || format!("reader {who} got {seq} late in a page"));
                return Paged::Fresh;
            }
            verdict.add(Fault::Duplicate, 1, || format!("reader {who} got {seq} in a page after {position}"));
            return Paged::Known;
        }
        let missing = seq - *position - 1;
        verdict.add(Fault::Gap, missing, || format!("reader {who} got {seq} in a page after {position}"));
        let room = HOLES_MAX.saturating_sub(self.holes.len());
        self.holes.extend((*position + 1..seq).take(room));
        *position = seq;
        if seq < self.next {
            return Paged::Known;
        }
        self.next = seq.saturating_add(1);
        Paged::Fresh
    }

    /// The answer to the resume is over. True if another is needed: there is `more`, or what came meanwhile was passed
    /// over.
    pub fn resumed(&mut self, more: bool) -> bool {
        self.resuming = None;
        more || self.skipped_to >= self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(head: u64) -> Reader {
        let mut reader = Reader::default();
        reader.start(head);
        reader
    }

    #[test]
    fn each_kind_of_disorder_is_one_count_of_its_kind() {
        let (mut reader, mut verdict) = (started(0), Verdict::default());
        for seq in [1, 2, 4, 3, 5, 5, 8] {
            reader.live(seq, 0, &mut verdict);
        }
        assert_eq!((verdict.out_of_order, verdict.duplicates, verdict.gaps), (1, 1, 2));
        assert_eq!(reader.position(), 8);
    }

    #[test]
    fn a_resume_and_live_events_may_overlap_but_not_leave_a_hole() {
        let (mut reader, mut verdict) = (started(3), Verdict::default());
        reader.resume();
        assert_eq!(reader.live(9, 0, &mut verdict), Step::Skipped);
        assert_eq!(reader.live(4, 0, &mut verdict), Step::Fresh);
        assert_eq!(reader.paged(4, 0, &mut verdict), Paged::Known);
        assert_eq!(reader.paged(5, 0, &mut verdict), Paged::Fresh);
        assert!(reader.resumed(false), "9 was passed over");
        reader.resume();
        for seq in 6..=9 {
            assert_eq!(reader.paged(seq, 0, &mut verdict), Paged::Fresh);
        }
        assert!(!reader.resumed(false));
        assert_eq!(verdict.faults(), 0);
        reader.resume();
        reader.paged(11, 0, &mut verdict);
        assert_eq!(verdict.gaps, 1);
    }
}
