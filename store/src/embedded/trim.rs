//! Retention: where a conversation begins. The boundary is stored and shown at once; the pages below it go when the gather that
//! holds it is given to the engine.

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::{ReadError, Seq};

use super::memory::gather::{Draft, Put, Tree};
use super::space::Purpose;
use super::{Embedded, number};

/// What a key of the meta tree begins with if it says where a conversation begins.
const BELOW: u8 = b'b';

pub(super) fn below_key(key: &ConversationKey) -> Bytes {
    Bytes::from([&[BELOW], KeyBuf::conversation(key).as_slice()].concat())
}

/// Whether a key of the meta tree says where a conversation begins.
pub(super) fn is_boundary(key: &[u8]) -> bool {
    key.first() == Some(&BELOW)
}

/// The conversation of such a key, and where it begins, unless the value fails its checksum.
pub(super) fn boundary<'a>(key: &'a [u8], value: &[u8]) -> Option<(&'a [u8], Option<Seq>)> {
    let conversation = key.strip_prefix(&[BELOW])?;
    Some((conversation, number::decode(key, value)))
}

/// Whether this is such a key, and the value one that was written for it.
pub(super) fn is_sound(key: &[u8], value: &[u8]) -> bool {
    boundary(key, value).is_some_and(|(_, below)| below.is_some())
}

impl Embedded {
    pub(super) fn trim_rows(&self, key: &ConversationKey, below: Seq) -> Result<Seq, ReadError> {
        let _one_at_a_time = self.trim_lock.lock().expect("nothing panics under this lock");
        let before = self.trimmed_below(key)?;
        let head = self.read_head(key, 0)?.unwrap_or(0);
        let below = below.min(head).max(before);
        if below > before {
            let meta_key = below_key(key);
            let value = number::encode(&meta_key, below);
            self.committer
                .commit(Purpose::Recover, &Draft::of(Put { tree: Tree::Meta, key: meta_key, value }))
                .map_err(|error| ReadError::Unavailable(error.reason().to_owned()))?;
        }
        Ok(below)
    }
}
