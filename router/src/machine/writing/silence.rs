//! A store that says nothing. A batch whose outcome is unknown comes back and is told of; where a disk stands still, nothing comes
//! back. Whoever waits for it is answered within the time that was promised all the same. A disk that stands still does so
//! for all batches, so it is enough to look at them when none has had an outcome for that long.

use std::time::Duration;

use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;

use super::pipeline::Pipeline;
use super::send::{refuse_all, tell_unknown};
use crate::machine::{Effect, Machine, Slot, busy};

/// How often those who wait are looked at while the store says nothing, and how long it may always say nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the store was last heard of.
#[derive(Debug, Default)]
pub(in crate::machine) struct Silence {
    /// Batches that were given to it and have no outcome.
    under_way: usize,
    /// When those who wait are looked at, if there is nothing until then.
    look_at: Duration,
}

impl Silence {
    /// Batches were given to it.
    pub(in crate::machine) fn appended(&mut self, now: Now, batches: usize, unknown_after: Duration) {
        if self.under_way == 0 && batches > 0 {
            self.look_at = now.mono + unknown_after.max(LOOK_EVERY);
        }
        self.under_way += batches;
    }

    /// A batch has an outcome.
    pub(in crate::machine) fn ended(&mut self, now: Now, unknown_after: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.look_at = now.mono + unknown_after.max(LOOK_EVERY);
    }

    pub(in crate::machine) fn deadline(&self) -> Option<Duration> {
        (self.under_way > 0).then_some(self.look_at)
    }

    fn is_due(&mut self, now: Now) -> bool {
        let due = self.deadline().is_some_and(|at| at <= now.mono);
        if due {
            self.look_at = now.mono + LOOK_EVERY;
        }
        due
    }
}

impl Pipeline {
    /// Answers whoever has waited since before `then` for a batch that has no outcome, or behind it.
    pub(in crate::machine) fn tell_silence(&mut self, then: Duration, out: &mut Vec<Effect>) {
        let Some(in_flight) = &mut self.in_flight else { return };
        for sealed in &mut in_flight.events {
            tell_unknown(&mut sealed.pending, then, out);
        }
        for pending in self.take_older(then) {
            refuse_all(&pending, &busy("the store does not answer now"), out);
        }
    }
}

impl Machine {
    /// Answers those who have waited too long, if the store has said nothing for so long.
    pub(in crate::machine) fn tell_silence(&mut self, now: Now, out: &mut Vec<Effect>) {
        if !self.silence.is_due(now) {
            return;
        }
        let then = now.mono.saturating_sub(self.config.unknown_after);
        let mut waiting: Vec<ConversationKey> = Vec::new();
        waiting.extend(self.slots.iter().filter(|(_, slot)| slot.writes()).map(|(key, _)| key.clone()));
        // In an order that follows from what happened alone.
        waiting.sort_unstable();
        for key in &waiting {
            if let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) {
                conversation.pipeline().tell_silence(then, out);
            }
        }
        self.homes.tell_silence(then, out);
    }
}
