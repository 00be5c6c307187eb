//! Conversations coming into memory and leaving it: what was read is taken up, and what nobody needs any more goes.

use std::time::Duration;

use switchyard_cluster::link::Refusal;
use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;

use crate::machine::conversation::Conversation;
use crate::machine::conversation::replay::Replayed;
use crate::machine::{Effect, LoadFailed, Loading, Machine, Replay, Slot, read_refusal, refuse, strangers_refusal};

impl Machine {
    /// Has a loaded conversation looked at for eviction in due time. It has one place in the queue.
    fn look_later(&mut self, now: Now, key: ConversationKey) {
        let at = now.mono + self.config.idle_after;
        if let Some(conversation) = self.loaded_mut(&key) {
            conversation.looked_at_ms = at.as_millis() as u64;
            self.idle.push_back((at, key));
        }
    }

    /// A conversation's turn to be looked at: out of memory with it, unless somebody needed it lately.
    pub(in crate::machine) fn look_at_idle(
        &mut self,
        now: Now,
        at: Duration,
        key: ConversationKey,
        out: &mut Vec<Effect>,
    ) {
        let idle_after = self.config.idle_after;
        let Some(conversation) = self.loaded_mut(&key) else { return };
        if conversation.looked_at_ms != at.as_millis() as u64 {
            // The place of one that left memory before; it has another now.
            return;
        }
        conversation.rest();
        // A mark that is not stored is known here alone.
        let needed = conversation.pipeline.is_some() || conversation.marked.is_unstored() || conversation.counted;
        if needed || conversation.touched + idle_after > now.mono {
            conversation.state.recent.shrink();
            self.look_at_age(now, &key, out);
            return self.look_later(now, key);
        }
        if conversation.state.born() && conversation.recorded < conversation.state.head() {
            // So that the next load has nothing to replay.
            let projection = conversation.projection(&key, true, None);
            out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
        }
        self.leave(key);
    }

    /// Takes a loaded conversation out of memory, but for the edges that have readers.
    fn leave(&mut self, key: ConversationKey) {
        let Some(conversation) = self.loaded_mut(&key) else { return };
        let edges = std::mem::take(&mut conversation.edges);
        self.loaded -= 1;
        if edges.is_empty() {
            self.slots.remove(&key);
        } else {
            self.slots.insert(key, Slot::Parked(edges));
        }
    }

    /// A conversation was read from the store: whoever waited for it goes on.
    pub(in crate::machine) fn loaded(
        &mut self,
        now: Now,
        key: ConversationKey,
        result: Result<Option<Box<Replay>>, LoadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Slot::Loading(loading)) = self.slots.remove(&key) else { return };
        let Loading { waiting, edges, surveys, .. } = *loading;
        let replay = match result {
            Ok(replay) => replay,
            Err(LoadFailed { failed, members }) => {
                for request in waiting.into_iter().filter(|request| request.ask.is_answered()) {
                    // Who is a member may be what could not be read: then nobody is told more than a stranger.
                    let member = members.contains(&request.user);
                    let refusal = if member { read_refusal(failed) } else { strangers_refusal(failed) };
                    refuse(request.from, refusal, out);
                }
                self.not_looked_at(&key, surveys, failed, out);
                if !edges.is_empty() {
                    self.slots.insert(key, Slot::Parked(edges));
                }
                return;
            }
        };
        let replayed = match replay {
            Some(replay) => replay.finish(),
            None => Replayed::unborn(),
        };
        let rule = self.config.retention.of(replayed.state.profile.kind);
        let mut conversation = Conversation::new(replayed.state, edges, replayed.recorded, now.mono);
        conversation.typed = self.typing.is_typed(&key);
        conversation.put_back(replayed.targets);
        conversation.catch_up(&key, &replayed.touched, replayed.older, rule, out);
        conversation.write_overlays(&key, out);
        conversation.clear_if_erased(&key, out);
        self.loaded += 1;
        self.slots.insert(key.clone(), Slot::Loaded(Box::new(conversation)));
        let mut wanted = false;
        for request in waiting {
            if self.is_strangers(&request) {
                // It has waited for a load as for one of nothing, though this one read more.
                refuse(request.from, Refusal::NOT_FOUND, out);
            } else {
                wanted |= request.ask.is_answered();
                self.request(now, request, out);
            }
        }
        if let Some(conversation) = self.loaded_mut(&key) {
            conversation.passing = !wanted && !surveys.is_empty();
        }
        for number in surveys {
            self.look(&key, number, out);
        }
        if wanted {
            self.drop_unborn(&key);
        } else {
            self.drop_unwanted(&key);
        }
        self.look_later(now, key);
    }

    /// Forgets a conversation that was read for strangers alone, or for lists: they shall not fill the memory with what nobody uses.
    /// What the load had to have written keeps it there for the usual time.
    pub(in crate::machine) fn drop_unwanted(&mut self, key: &ConversationKey) {
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.rest();
            if conversation.pipeline.is_none() {
                self.leave(key.clone());
            }
        }
    }

    /// Forgets a conversation that does not exist and that nobody is creating.
    pub(in crate::machine) fn drop_unborn(&mut self, key: &ConversationKey) {
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.rest();
            if !conversation.state.born() && conversation.pipeline.is_none() {
                self.slots.remove(key);
                self.loaded -= 1;
            }
        }
    }
}
