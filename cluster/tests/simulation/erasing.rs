//! Erasure: an owner puts another row in the place of one that it shows. It reads that row first, for its timestamp must be beaten;
//! the new one is repeated until it is at a quorum, and confirmed behind a fence read as any write.

use super::conversation::State;
use super::replicas::{Row, Write};
use super::world::{World, shard_of};

/// Most erasures are of one of so many rows: the last ones, above the hint perhaps.
const LATE_ROWS: usize = 4;

impl World {
    /// A text of this conversation is to be erased: one of the last, mostly.
    pub(crate) fn erase(&mut self, place: usize, number: usize) {
        let late = self.rng.chance(800);
        let Some(process) = self.process(place) else { return };
        let takes_in = process.machine.takes_in(shard_of(number));
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if !takes_in || !conversation.is_idle() || conversation.shown <= conversation.gone {
            return;
        }
        let last = conversation.shown;
        let kept = conversation.gone + 1;
        let first = if late { (last + 1).saturating_sub(LATE_ROWS).max(kept) } else { kept };
        let row = self.rng.within(first as u64, last as u64) as usize;
        if let Some(conversation) = self.process(place).and_then(|process| process.conversations.get_mut(&number)) {
            conversation.state = State::ReadingRow(row);
        }
        self.read_rows(place, number);
    }

    /// The row was read. It is written also if it is erased already, for who knows how many replicas have that.
    pub(crate) fn erase_row(&mut self, place: usize, number: usize, row: usize, found: Option<Row>) {
        let removed = self.removed;
        let Some(process) = self.process(place) else { return };
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        let Some(found) = found else {
            conversation.state = State::Ready;
            return self.append(place, number);
        };
        conversation.state = State::Erasing(row);
        let erased = found.erased(conversation.epoch, row, removed);
        self.write(place, Write { conversation: number, from: row, rows: vec![erased] });
    }

    /// A reader of history is given one of so many rows, from the store.
    pub(crate) fn look_up(&mut self, conversation: usize, shown: usize) {
        if shown > 0 {
            let (number, quorum) = (self.rng.within(1, shown as u64) as usize, self.quorum());
            let read = self.rows[conversation].read(quorum, number);
            self.judge.read(self.now, conversation, number, read);
        }
    }
}
