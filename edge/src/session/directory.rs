//! Where conversations lie in the door's table of readers: a session keeps four bytes of each that it reads, in place of
//! the sixteen of its id.

use switchyard_protocol::id::{ConversationId, TenantId};

/// Where a conversation lies among those of its tenant that are read on this edge. It stays there as long as somebody reads
/// it, unless the door says that it has [moved](super::Session::move_spots).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot(pub u32);

/// The table, as sessions know it.
pub trait Directory {
    /// Where this conversation lies; nothing if nobody reads it.
    fn spot(&self, tenant: &TenantId, conversation: ConversationId) -> Option<Spot>;
}
