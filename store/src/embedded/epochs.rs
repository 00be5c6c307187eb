//! The epoch: a number under a key of the meta tree, raised and confirmed before it is told, or anything is owned in it.

use bytes::Bytes;

use crate::EpochError;

use super::engine::EngineFault;
use super::memory::gather::{Draft, Put, Tree};
use super::space::Purpose;
use super::{Embedded, number};

const KEY: &[u8] = b"epoch";

/// Whether this is the key of the epoch, and the value one that was written for it.
pub(super) fn is_sound(key: &[u8], value: &[u8]) -> bool {
    key == KEY && number::decode(key, value).is_some()
}

impl Embedded {
    pub(super) fn raise_epoch(&self) -> Result<u64, EpochError> {
        let _one_at_a_time = self.epoch_lock.lock().expect("nothing panics under this lock");
        let epoch = self.synced_epoch()?.saturating_add(1);
        self.sync_epoch(epoch)?;
        Ok(epoch)
    }

    /// The highest epoch so far; 0 if there was none.
    pub(super) fn synced_epoch(&self) -> Result<u64, EpochError> {
        match self.value(Tree::Meta, KEY) {
            Ok(None) => Ok(0),
            Ok(Some(value)) => {
                number::decode(KEY, &value).ok_or_else(|| unavailable("the stored epoch fails its checksum"))
            }
            Err(EngineFault::Damage(reason) | EngineFault::Unavailable(reason)) => Err(unavailable(&reason)),
        }
    }

    /// Makes this the highest epoch, durably.
    pub(super) fn sync_epoch(&self, epoch: u64) -> Result<(), EpochError> {
        self.sync_meta(Bytes::from_static(KEY), number::encode(KEY, epoch))
    }

    /// Puts a value of the meta tree, durably. Room that is kept for a full disk may be used.
    pub(super) fn sync_meta(&self, key: Bytes, value: Bytes) -> Result<(), EpochError> {
        let put = Put { tree: Tree::Meta, key, value };
        self.committer.commit(Purpose::Recover, &Draft::of(put)).map_err(|error| unavailable(error.reason()))?;
        self.committer.barrier().map_err(|error| unavailable(&error.to_string()))
    }
}

fn unavailable(reason: &str) -> EpochError {
    EpochError::Unavailable(reason.to_owned())
}
