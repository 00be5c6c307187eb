//! Pacing of large conversations. While one fan-out is written, its readers answer and their answers gather; a batch made
//! at once would hold half of them, and so would every one after it: each reader's socket is then written twice as often as
//! it need be. So after a fan-out the next batch waits once more as long as the fan-out took. At a low rate nobody waits, as
//! nothing comes so soon.

use std::time::Duration;

use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;

use crate::machine::Machine;
use crate::machine::conversation::Conversation;

/// Members from which on a conversation is paced: below, a fan-out takes less than a sync of the disk.
const PACED_MEMBERS_MIN: usize = 64;

/// The longest wait: a turn that took longer than this was not one fan-out.
const PACE_MAX: Duration = Duration::from_millis(20);

/// The conversations that wait after a fan-out.
#[derive(Debug, Default)]
pub(in crate::machine) struct Pacing {
    /// Those whose fan-out is written in the turn that began then. Each has a beginning of its own: in a busy process
    /// another conversation's fan-out begins in every turn.
    fanning_out: Vec<(Duration, ConversationKey)>,
    /// Those that wait, and until when.
    waiting: Vec<(Duration, ConversationKey)>,
}

impl Pacing {
    /// A batch of this conversation was committed in this turn.
    pub(in crate::machine) fn committed(&mut self, now: Now, key: &ConversationKey, conversation: &mut Conversation) {
        let large = conversation.state.members.len() >= PACED_MEMBERS_MIN && !conversation.edges.is_empty();
        if large && !conversation.paced {
            conversation.paced = true;
            self.fanning_out.push((now.mono, key.clone()));
        }
    }

    pub(in crate::machine) fn deadline(&self) -> Option<Duration> {
        self.waiting.iter().chain(&self.fanning_out).map(|(at, _)| *at).min()
    }

    /// Whether nobody waits.
    pub(in crate::machine) fn idle(&self) -> bool {
        self.fanning_out.is_empty() && self.waiting.is_empty()
    }

    /// Those whose wait is over.
    fn due(&mut self, now: Now) -> Vec<ConversationKey> {
        let written = self.fanning_out.extract_if(.., |(began, _)| *began < now.mono);
        self.waiting.extend(written.map(|(began, key)| (now.mono + (now.mono - began).min(PACE_MAX), key)));
        self.waiting.extract_if(.., |(until, _)| *until <= now.mono).map(|(_, key)| key).collect()
    }
}

impl Machine {
    /// Lets those go on whose wait is over.
    pub(in crate::machine) fn pace(&mut self, now: Now) {
        if self.pacing.idle() {
            return;
        }
        for key in self.pacing.due(now) {
            if let Some(conversation) = self.loaded_mut(&key) {
                conversation.paced = false;
            }
            self.ready(&key);
        }
    }
}
