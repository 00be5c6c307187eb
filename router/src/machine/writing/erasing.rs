//! Erasing a conversation for all. The event that says so is its last, and from then on it has no members: everybody is answered as
//! if it had never been. What it was made of goes in two steps, which a load takes up where they were left: first the members'
//! listings and the record, which says from then on that it is erased; then everything else, and the event itself says at last
//! that nothing is left. So a conversation that is gone costs a record and a row or two, and no memory.

use switchyard_protocol::id::ConversationKey;

use crate::machine::conversation::{Conversation, Profile, State};
use crate::machine::writing::pipeline::Projecting;
use crate::machine::{Effect, Machine, Projection};

/// Whether a conversation is erased.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Erased {
    #[default]
    No,
    /// It is, and something of it may be left.
    Begun,
    /// Nothing is left.
    Cleared,
}

impl State {
    /// The event `next` is committed: nothing is left of what anybody could be told.
    pub(crate) fn commit_erase(&mut self, time_ms: u64) {
        let mut gone = Self::unborn();
        gone.profile = Profile { kind: self.profile.kind, created_ms: self.profile.created_ms, ..gone.profile };
        // What lies before is not to be read, and a timeline that is empty has nothing that could grow too old.
        gone.first_available = self.next.max(1);
        (gone.next, gone.ordinal, gone.time_ms) = (self.next + 1, self.ordinal, time_ms);
        gone.erased = Erased::Begun;
        gone.listing = std::mem::take(&mut self.listing);
        *self = gone;
    }
}

impl Conversation {
    /// Has cleared what is left of it, if it is erased and nothing of it is being written.
    pub(in crate::machine) fn clear_if_erased(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let head = self.state.head();
        let due = self.state.erased == Erased::Begun && self.recorded >= head;
        if due && !self.projecting() && !self.marked.is_storing() {
            let dropped = self.state.listing.all(key);
            let projection = Projection { clear: true, dropped, ..Projection::of_nothing(head) };
            out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
            let cleared = Projecting { clears: true, ..Projecting::of_nothing(head) };
            self.pipeline().projecting.push(cleared);
        }
    }
}

impl Machine {
    /// Goes on with erasing a conversation, if it is erased; once nothing of it is left, it leaves memory.
    pub(in crate::machine) fn go_on_erasing(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        match conversation.state.erased {
            Erased::No => {}
            Erased::Begun => conversation.clear_if_erased(key, out),
            Erased::Cleared => self.drop_unwanted(key),
        }
    }
}
