//! Retention: an owner drops whole buckets, beside whatever else it does in the conversation. Nobody repeats what fails: it is done
//! again some time.

use super::replicas::BUCKET_ROWS;
use super::rules::{Removed, StoreRule};
use super::world::{World, shard_of};

impl World {
    /// Old rows are to be dropped: some of those that may be.
    pub(crate) fn trim(&mut self, place: usize, number: usize) {
        let kept = usize::from(self.removed != Some(Removed::Store(StoreRule::DropKeepsBase)));
        let below = self.rng.next();
        let Some(process) = self.process(place) else { return };
        let takes_in = process.machine.takes_in(shard_of(number));
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        let below = below % (conversation.shown as u64 + 1);
        // What the protocol makes of it.
        let gone = below.min(conversation.shown.saturating_sub(kept) as u64) / BUCKET_ROWS * BUCKET_ROWS;
        if !takes_in || conversation.trims || gone as usize <= conversation.gone {
            return;
        }
        // From now on nobody counts on them.
        conversation.gone = gone as usize;
        conversation.trims = true;
        let whose = conversation.whose();
        let desk = self.desk(place, whose);
        self.begin(place, desk.trim(below));
    }

    /// It is done, or was given up.
    pub(crate) fn trimmed(&mut self, place: usize, number: usize, begins: Option<u64>) {
        let process = self.process(place);
        let Some(conversation) = process.and_then(|process| process.conversations.get_mut(&number)) else { return };
        conversation.trims = false;
        match begins {
            // Number 1 alone stays whatever is dropped.
            Some(begins) if begins > 1 => conversation.gone = conversation.gone.max(begins as usize),
            _ => self.see("drops that are given up"),
        }
    }
}
