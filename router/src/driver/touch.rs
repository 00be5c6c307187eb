//! How far a log reaches, for whoever looks at it.

use futures_executor::block_on;
use switchyard_protocol::id::ConversationKey;
use switchyard_store::{ReadError, Seq};

use super::Timelines;

/// Who looks at a log, and what of it counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// Its owner, which makes its own in this epoch what owners before have left.
    Owner {
        /// The epoch.
        epoch: u64,
    },
    /// Somebody else: what is found may not be committed yet, and nothing may follow from it.
    Stranger,
}

impl Touch {
    /// The head, at least this number, which is known to be committed; nothing if there is no row.
    pub(super) fn head(
        self,
        store: &dyn Timelines,
        key: &ConversationKey,
        known: Seq,
    ) -> Result<Option<Seq>, ReadError> {
        match self {
            Self::Owner { epoch } => block_on(store.adopt(key, epoch, known)),
            Self::Stranger => block_on(store.head(key, known)),
        }
    }
}
