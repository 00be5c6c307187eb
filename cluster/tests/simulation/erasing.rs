//! Erasure: an owner puts another row in the place of one that it shows.

use super::conversation::State;
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
        conversation.state = State::Erasing;
        let whose = conversation.whose();
        let row = self.rng.within(first as u64, last as u64) - 1;
        let desk = self.desk(place, whose);
        self.begin(place, desk.erase(row));
    }

    /// It is done, if the row is there at all. It is written also if it is erased already, for who knows how many replicas have
    /// that.
    pub(crate) fn erased(&mut self, place: usize, number: usize, row: u64, is_there: bool) {
        let now = self.now;
        let Some(conversation) = self.process(place).and_then(|process| process.conversations.get_mut(&number)) else {
            return;
        };
        if !is_there {
            conversation.state = State::Ready;
            return self.append(place, number);
        }
        conversation.erased(row);
        self.said(place, number);
        self.judge.erased(now, number, row as usize + 1);
        self.see("erasures");
    }

    /// A reader of history is given one of so many rows, from the store.
    pub(crate) fn look_up(&mut self, conversation: usize, shown: usize) {
        if shown > 0 {
            let (number, quorum) = (self.rng.within(1, shown as u64) as usize, self.quorum());
            let read = self.rows[conversation].read(conversation, quorum, number as u64 - 1);
            self.judge.read(self.now, conversation, number, read);
        }
    }
}
