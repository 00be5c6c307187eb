//! Lists of members that nobody reads any more. That one is, is said under a key of the meta tree; what it holds goes, with that
//! word, when the gather which has it is given to the engine.

use bytes::Bytes;
use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::projection::ProjectionError;

use super::memory::gather::{Draft, Gather, Put, Tree};
use super::space::Purpose;
use super::{Embedded, number};

/// What a key of the meta tree begins with if it says that a list goes.
const GONE: u8 = b'g';

/// Whether a key of the meta tree says that a list goes.
pub(super) fn is_dropped(key: &[u8]) -> bool {
    key.first() == Some(&GONE)
}

/// Whether this is such a key, and the value one that was written for it.
pub(super) fn is_sound(key: &[u8], value: &[u8]) -> bool {
    is_dropped(key) && number::decode(key, value).is_some()
}

/// The lists that go with this gather: what the keys of their members, and of marks, begin with.
pub(super) fn lists(gather: &Gather) -> impl Iterator<Item = &[u8]> {
    gather.values(Tree::Meta).keys().filter_map(|key| key.strip_prefix(&[GONE]))
}

impl Embedded {
    pub(super) fn drop_list_of(&self, list: &ConversationKey) -> Result<(), ProjectionError> {
        let key = Bytes::from([&[GONE], KeyBuf::conversation(list).as_slice()].concat());
        let value = number::encode(&key, 0);
        let committed = self.committer.commit(Purpose::Recover, &Draft::of(Put { tree: Tree::Meta, key, value }));
        committed.map_err(|error| ProjectionError::Unavailable(error.reason().to_owned()))
    }
}
