//! Corking: what a commit has to tell is kept back when the conversation's next batch follows at once, and told together
//! with it.
//!
//! In a lively conversation messages arrive while a batch is being stored, so that its people would be written to once
//! for each batch and every one of them would answer out of step with the others. Told together, two batches cost each
//! socket one write, and the answers to them arrive in step, in one batch. With both of 200 pairs sending one message at a
//! time it saved a quarter to a third of the CPU.
//!
//! At most one batch is kept back, for as long as one commit takes, and only if messages alone are concerned; an outcome
//! other than success, pacing or a next batch that comes to nothing ends it at once. Numbers and promises are not
//! touched: what is kept back is committed, and who asks for the head or for history meanwhile is told of it.

use crate::machine::Effect;
use crate::machine::conversation::Conversation;
use crate::machine::writing::pipeline::{InFlight, SealedEvent, Work};

impl Conversation {
    /// Whether what this batch, just committed, has to tell should wait for the next one.
    pub(in crate::machine) fn should_cork(&self, batch: &InFlight) -> bool {
        let messages_alone =
            |batch: &InFlight| batch.events.iter().all(|sealed| matches!(sealed.event, SealedEvent::Message { .. }));
        self.pipeline.as_ref().is_some_and(|pipeline| {
            pipeline.corked.is_empty()
                && pipeline.front().is_some_and(|next| matches!(next.work, Work::Message { .. }))
                && messages_alone(batch)
        })
    }

    /// Tells what was kept back.
    pub(in crate::machine) fn uncork(&mut self, out: &mut Vec<Effect>) {
        if let Some(pipeline) = &mut self.pipeline
            && !pipeline.corked.is_empty()
        {
            // A new list next time: the room of this one is as large as a batch.
            out.extend(std::mem::take(&mut pipeline.corked));
        }
    }
}
