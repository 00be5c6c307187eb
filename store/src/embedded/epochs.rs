//! The epoch: a number under a key of the meta tree, raised and confirmed before it is told.

use bytes::Bytes;

use crate::EpochError;

use super::engine::EngineFault;
use super::memory::gather::{Draft, Put, Tree};
use super::space::Purpose;
use super::{Embedded, number};

const KEY: &[u8] = b"epoch";

impl Embedded {
    pub(super) fn raise_epoch(&self) -> Result<u64, EpochError> {
        let _one_at_a_time = self.epoch_lock.lock().expect("nothing panics under this lock");
        let unavailable = |reason: &str| EpochError::Unavailable(reason.to_owned());
        let stored = match self.value(Tree::Meta, KEY) {
            Ok(None) => 0,
            Ok(Some(value)) => {
                number::decode(KEY, &value).ok_or_else(|| unavailable("the stored epoch fails its checksum"))?
            }
            Err(EngineFault::Damage(reason) | EngineFault::Unavailable(reason)) => return Err(unavailable(&reason)),
        };
        let epoch = stored + 1;
        let put = Put { tree: Tree::Meta, key: Bytes::from_static(KEY), value: number::encode(KEY, epoch) };
        self.committer.commit(Purpose::Recover, &Draft::of(put)).map_err(|error| unavailable(error.reason()))?;
        self.committer.barrier().map_err(|error| unavailable(&error.to_string()))?;
        Ok(epoch)
    }
}
