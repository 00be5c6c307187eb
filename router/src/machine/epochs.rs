//! In which epoch each shard is this router's: what its rows are stored under, so that those of an owner before it lose.

use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::{SHARDS, Shard};

/// The epochs of all shards; 0 of one that is not its own. An epoch fits in 30 bits.
#[derive(Debug)]
pub(super) struct Epochs(Box<[u32]>);

impl Default for Epochs {
    fn default() -> Self {
        Self(vec![0; SHARDS.into()].into())
    }
}

impl Epochs {
    /// The shard is its own, since this epoch.
    pub(super) fn own(&mut self, shard: Shard, epoch: Epoch) {
        if let Some(place) = self.0.get_mut(usize::from(shard.number())) {
            *place = u32::try_from(epoch.number()).unwrap_or(0);
        }
    }

    /// Since when it is; nothing if it is not.
    pub(super) fn of(&self, shard: Shard) -> Option<u64> {
        self.0.get(usize::from(shard.number())).filter(|epoch| **epoch > 0).map(|epoch| u64::from(*epoch))
    }
}
