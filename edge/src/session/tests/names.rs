//! Where conversations lie in these tests: in the order in which they were read first.

use switchyard_protocol::id::{ConversationId, TenantId};

use crate::session::{Directory, Spot};

#[derive(Default)]
pub(super) struct Names(Vec<ConversationId>);

impl Directory for Names {
    fn spot(&self, _: &TenantId, conversation: ConversationId) -> Option<Spot> {
        self.find(conversation)
    }
}

impl Names {
    fn find(&self, conversation: ConversationId) -> Option<Spot> {
        self.0.iter().position(|name| *name == conversation).map(|at| Spot(at as u32))
    }

    /// Somebody reads it, perhaps for the first time.
    pub(super) fn put(&mut self, conversation: ConversationId) -> Spot {
        self.find(conversation).unwrap_or_else(|| {
            self.0.push(conversation);
            Spot(self.0.len() as u32 - 1)
        })
    }

    pub(super) fn name(&self, spot: Spot) -> ConversationId {
        self.0[spot.0 as usize]
    }
}
