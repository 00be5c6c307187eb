//! Retention: an owner drops whole buckets, beside whatever else it does in the conversation. They lie below a hint that a quorum has, and
//! go behind a fence read that began when it had. Nobody repeats what fails: it is done again some time.

use std::rc::Rc;

use super::places::{Input, Trim};
use super::replicas::{BUCKET_ROWS, Hint, Row, Write};
use super::rules::Removed;
use super::world::{Happening, World, shard_of};

impl World {
    /// Old rows are to be dropped: some of those that may be.
    pub(crate) fn trim(&mut self, place: usize, number: usize) {
        let (removed, trim) = (self.removed, self.number());
        let is_cut = self.now < self.places[place].store_cut_until;
        let Some(process) = self.process(place) else { return };
        let (takes_in, process_number) = (process.machine.takes_in(shard_of(number)), process.number);
        let Some(conversation) = process.conversations.get(&number) else { return };
        let (epoch, gone) = (conversation.epoch, conversation.gone);
        // The hint is the first row that is kept; without that rule, the last one that is not.
        let kept = usize::from(removed != Some(Removed::DropKeepsBase));
        let droppable = conversation.shown.saturating_sub(kept) / BUCKET_ROWS;
        let buckets = self.rng.within(0, droppable as u64) as usize;
        if !takes_in || is_cut || buckets * BUCKET_ROWS <= gone {
            return;
        }
        let gone = buckets * BUCKET_ROWS;
        let hint = Hint { committed: gone + kept, gone };
        let Some(process) = self.process(place) else { return };
        process.trims.insert(number, Trim { number: trim, epoch, hint, have: 0 });
        if removed == Some(Removed::HintBeforeDrop) {
            self.wait_for_fence_of(place, number, Some(trim));
        } else {
            self.send_hint(number, hint, Some((place, process_number, trim)));
        }
    }

    /// A replica has the hint for which an owner waits.
    pub(crate) fn hint_arrived(&mut self, replica: usize, conversation: usize, by: (usize, u64, u64)) {
        let (place, process, number) = by;
        let Some(running) = self.process(place).filter(|running| running.number == process) else { return };
        let Some(trim) = running.trims.get_mut(&conversation).filter(|trim| trim.number == number) else { return };
        trim.have |= 1 << replica;
        if trim.have.count_ones() == 2 {
            let after = self.latency();
            self.bring(after, place, process, Input::HintStored(number));
        }
    }

    /// A quorum has it.
    pub(crate) fn hint_stored(&mut self, place: usize, number: u64) {
        let (removed, is_cut) = (self.removed, self.now < self.places[place].store_cut_until);
        let Some(process) = self.process(place) else { return };
        let found = process.trims.iter().find(|(_, trim)| trim.number == number);
        let Some((&conversation, _)) = found.filter(|_| !is_cut) else { return };
        if removed == Some(Removed::DropBarrier) {
            self.drop_rows(place, conversation, number);
        } else {
            self.wait_for_fence_of(place, conversation, Some(number));
        }
    }

    /// Drops what it was about to, if it is the owner yet.
    pub(crate) fn drop_rows(&mut self, place: usize, number: usize, trim: u64) {
        let Some(process) = self.process(place) else { return };
        let due = process.trims.get(&number).copied().filter(|due| due.number == trim);
        let Some(Trim { epoch, hint, .. }) = due else { return };
        process.trims.remove(&number);
        let (may_act, process_number) = (process.machine.may_acknowledge(shard_of(number), epoch), process.number);
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if !may_act || conversation.epoch != epoch {
            return;
        }
        let before = conversation.gone;
        conversation.gone = hint.gone.max(before);
        self.judge.dropped(number, hint.gone);
        self.see("drops");
        for bucket in before / BUCKET_ROWS..hint.gone / BUCKET_ROWS {
            let rows = vec![Row::dropped(); BUCKET_ROWS];
            let write = Rc::new(Write { conversation: number, from: bucket * BUCKET_ROWS + 1, rows });
            for replica in 0..3 {
                if let Some(after) = self.plan.arrives_after(&mut self.rng) {
                    let by = (place, process_number, trim);
                    self.after(after, Happening::RowsArrive { replica, write: write.clone(), by });
                }
            }
        }
    }
}
