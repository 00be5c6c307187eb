//! Where conversations lie in the door's table of readers: a session keeps four bytes of each that it reads, in place of
//! the sixteen of its id.

use switchyard_protocol::id::{ConversationId, TenantId};

use super::context::Context;
use super::live::Live;
use crate::growth::growth;

/// Where a conversation lies among those of its tenant that are read on this edge. It stays there as long as somebody reads
/// it, unless the door says that it has [moved](super::Session::move_spots).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot(pub u32);

/// The table, as sessions know it.
pub trait Directory {
    /// Where this conversation lies; nothing if nobody reads it.
    fn spot(&self, tenant: &TenantId, conversation: ConversationId) -> Option<Spot>;
}

/// The list of what a session reads gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

impl Live {
    /// Where this conversation lies, if the session reads it.
    pub(super) fn spot(&self, conversation: ConversationId, cx: &Context<'_>) -> Option<Spot> {
        cx.directory.spot(&self.tenant, conversation).filter(|spot| self.subscriptions.contains(spot))
    }

    pub(super) fn reads(&mut self, spot: Spot) {
        if !self.subscriptions.contains(&spot) {
            if self.subscriptions.len() == self.subscriptions.capacity() {
                self.subscriptions.reserve_exact(growth(self.subscriptions.len()));
            }
            self.subscriptions.push(spot);
        }
    }

    pub(super) fn reads_no_more(&mut self, spot: Spot) {
        if let Some(at) = self.subscriptions.iter().position(|known| *known == spot) {
            self.subscriptions.swap_remove(at);
        }
        if self.subscriptions.len() * SHRINK_BELOW < self.subscriptions.capacity() {
            self.subscriptions.shrink_to_fit();
        }
    }
}
