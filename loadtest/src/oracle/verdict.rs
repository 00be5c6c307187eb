//! What was wrong: a count for each kind of fault, and the first few in words.

use serde::Serialize;

/// Faults told in words; the counts go on.
const FIRST_MAX: usize = 10;

/// The kinds of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Acknowledged or delivered, but not in the timeline.
    Lost,
    /// The same message or number twice: in a timeline, at a reader, or answered twice.
    Duplicate,
    /// A number that is not above one acknowledged before the message was sent, or a list that falls.
    OutOfOrder,
    /// A number that a reader never got, or an ordinal that a timeline does not have.
    Gap,
    /// Two accounts of one number differ, or a message is not as it was sent.
    Altered,
    /// An answer that lacks what had been acknowledged before it was asked for.
    Stale,
    /// A message of a conversation that is not the reader's.
    Foreign,
    /// Refused with a definite error, and yet in the timeline.
    RefusedVisible,
    /// In the timeline, and never sent; or a change that nobody asked for.
    Invented,
    /// A text that was deleted, shown again.
    Resurrected,
    /// Emoji counted otherwise than they were given.
    Miscounted,
    /// A mark below what it was.
    MarkBack,
    /// A count of unread messages that is not what the timeline gives.
    Unread,
    /// A list that does not show its conversation as it is.
    Listing,
}

/// Counts by kind; all zero is a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Nothing was wrong, every timeline was read, and every number was kept.
    pub ok: bool,
    /// Acknowledged messages looked for in the timelines.
    pub acked_checked: u64,
    /// See [`Fault::Lost`]; the following likewise.
    pub lost: u64,
    /// Messages or numbers that came twice.
    pub duplicates: u64,
    /// Numbers against the order of acks.
    pub out_of_order: u64,
    /// Numbers missing.
    pub gaps: u64,
    /// Contents that differ.
    pub altered: u64,
    /// Answers that lag.
    pub stale: u64,
    /// Deliveries to the wrong reader.
    pub foreign: u64,
    /// Refused and there.
    pub refused_visible: u64,
    /// There and never sent.
    pub invented: u64,
    /// Deleted texts that were shown. This and the following are `null` where nothing is mixed in.
    pub resurrected: Option<u64>,
    /// Emoji that were counted wrong.
    pub miscounted: Option<u64>,
    /// Marks that went back.
    pub marks_back: Option<u64>,
    /// Counts of unread messages that were wrong.
    pub unread_wrong: Option<u64>,
    /// Lists that were wrong.
    pub lists_wrong: Option<u64>,
    /// Acknowledged edits, deletions and emoji that were looked for.
    pub changes_checked: Option<u64>,
    /// Marks that were looked at, of one's own and of others.
    pub marks_checked: Option<u64>,
    /// Counts of unread messages that were compared.
    pub unread_checked: Option<u64>,
    /// Lists that were compared.
    pub lists_checked: Option<u64>,
    /// Live deliveries checked.
    pub deliveries_checked: u64,
    /// Timelines read from 1 to their end.
    pub timelines_read: u64,
    /// Timelines of the run.
    pub timelines: u64,
    /// Messages beyond the ledger's room, whose numbers were not kept.
    pub unrecorded: u64,
    /// Readers that had no last answer about their marks and lists.
    #[serde(skip)]
    pub(crate) unasked: u64,
    /// Rows that the run's ledgers have, against [`super::RECORDS_MAX`].
    #[serde(skip)]
    pub(super) rows: u64,
    /// The first few faults in words.
    pub first: Vec<String>,
}

impl Verdict {
    /// Of a run with so many timelines, none of them read yet.
    pub fn of(timelines: usize) -> Self {
        Self { timelines: timelines as u64, ..Self::default() }
    }

    /// The same of a run in which people do more than write.
    pub fn of_mixed(timelines: usize) -> Self {
        let none = Some(0);
        Self {
            resurrected: none,
            miscounted: none,
            marks_back: none,
            unread_wrong: none,
            lists_wrong: none,
            changes_checked: none,
            marks_checked: none,
            unread_checked: none,
            lists_checked: none,
            ..Self::of(timelines)
        }
    }

    /// Counts `count` faults of a kind.
    pub fn add(&mut self, fault: Fault, count: u64, words: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        // Where nothing is mixed in there is nothing to be wrong with it; were there, it would count.
        let (counter, name) = match fault {
            Fault::Resurrected => (self.resurrected.get_or_insert_default(), "a deleted text"),
            Fault::Miscounted => (self.miscounted.get_or_insert_default(), "emoji"),
            Fault::MarkBack => (self.marks_back.get_or_insert_default(), "a mark"),
            Fault::Unread => (self.unread_wrong.get_or_insert_default(), "unread"),
            Fault::Listing => (self.lists_wrong.get_or_insert_default(), "a list"),
            Fault::Lost => (&mut self.lost, "lost"),
            Fault::Duplicate => (&mut self.duplicates, "duplicate"),
            Fault::OutOfOrder => (&mut self.out_of_order, "out of order"),
            Fault::Gap => (&mut self.gaps, "gap"),
            Fault::Altered => (&mut self.altered, "altered"),
            Fault::Stale => (&mut self.stale, "stale"),
            Fault::Foreign => (&mut self.foreign, "foreign"),
            Fault::RefusedVisible => (&mut self.refused_visible, "refused and visible"),
            Fault::Invented => (&mut self.invented, "invented"),
        };
        *counter += count;
        if self.first.len() < FIRST_MAX {
            self.first.push(format!("{name}: {}", words()));
        }
    }

    /// Takes back a gap that was filled late.
    pub(super) fn fill_gap(&mut self) {
        self.gaps = self.gaps.saturating_sub(1);
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.lost
            + self.duplicates
            + self.out_of_order
            + self.gaps
            + self.altered
            + self.stale
            + self.foreign
            + self.refused_visible
            + self.invented
            + [self.resurrected, self.miscounted, self.marks_back, self.unread_wrong, self.lists_wrong]
                .into_iter()
                .flatten()
                .sum::<u64>()
    }

    /// Takes another run's counts in.
    pub fn absorb(&mut self, other: Self) {
        self.ok &= other.ok;
        self.acked_checked += other.acked_checked;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.gaps += other.gaps;
        self.altered += other.altered;
        self.stale += other.stale;
        self.foreign += other.foreign;
        self.refused_visible += other.refused_visible;
        self.invented += other.invented;
        for (own, theirs) in [
            (&mut self.resurrected, other.resurrected),
            (&mut self.miscounted, other.miscounted),
            (&mut self.marks_back, other.marks_back),
            (&mut self.unread_wrong, other.unread_wrong),
            (&mut self.lists_wrong, other.lists_wrong),
            (&mut self.changes_checked, other.changes_checked),
            (&mut self.marks_checked, other.marks_checked),
            (&mut self.unread_checked, other.unread_checked),
            (&mut self.lists_checked, other.lists_checked),
        ] {
            if let Some(theirs) = theirs {
                *own.get_or_insert_default() += theirs;
            }
        }
        self.deliveries_checked += other.deliveries_checked;
        self.timelines_read += other.timelines_read;
        self.timelines += other.timelines;
        self.unrecorded += other.unrecorded;
        self.unasked += other.unasked;
        let room = FIRST_MAX.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// What was not looked at, in words; `None` if everything was.
    pub fn missing(&self) -> Option<String> {
        let unread = self.timelines.saturating_sub(self.timelines_read);
        let parts = [
            (unread, "timelines were not read to their end"),
            (self.unrecorded, "numbers of messages were not kept"),
            (self.unasked, "readers had no last answer about their marks and lists"),
        ];
        let parts: Vec<_> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Draws the line: whether all was well.
    pub fn close(&mut self) {
        self.ok = self.faults() == 0 && self.missing().is_none();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_is_not_ok() {
        let closed = |change: fn(&mut Verdict)| {
            let mut verdict = Verdict { timelines_read: 2, ..Verdict::of(2) };
            change(&mut verdict);
            verdict.close();
            verdict.ok
        };
        assert!(closed(|_| {}));
        assert!(!closed(|verdict| verdict.timelines_read = 1));
        assert!(!closed(|verdict| verdict.unrecorded = 1));
        assert!(!closed(|verdict| verdict.unasked = 1));
        assert!(!closed(|verdict| verdict.add(Fault::Lost, 1, String::new)));
    }
}
