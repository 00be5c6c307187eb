//! Marks: a stored value has the form of a projection's, with the mark in place of the event's number; so the highest stays.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};

use crate::BoxFuture;
use crate::key::KeyBuf;
use crate::log::Seq;
use crate::mark::{MARK_BYTES_MAX, Mark, Marks, StoredMark};
use crate::projection::ProjectionError;

use super::memory::gather::Tree;
use super::projections::{Newest, damaged, fault};
use super::value::decode;
use super::{Embedded, blocking};

impl Embedded {
    fn raise_marks(&self, marks: &[Mark]) -> Result<(), ProjectionError> {
        let _one_at_a_time = self.marks_lock.lock().expect("nothing panics under this lock");
        let mut newest = Newest::new(self);
        for Mark { key, user, kind, at, value } in marks {
            if value.len() > MARK_BYTES_MAX {
                return Err(ProjectionError::TooLarge);
            }
            newest.offer(key, (Tree::Marks, &KeyBuf::mark(key, *kind, user)), *at, Some(value), false)?;
        }
        newest.commit()
    }

    fn list_marks(&self, key: &ConversationKey) -> Result<Vec<StoredMark>, ProjectionError> {
        let prefix = KeyBuf::conversation(key);
        let prefix = prefix.as_slice();
        let values = self.values(Tree::Marks, prefix).map_err(|error| fault(key, error))?;
        values.into_iter().filter_map(|(place, value)| stored(key, prefix, &place, value).transpose()).collect()
    }

    /// A mark that went is remembered as a member's removal is: above whatever could still come.
    fn forget_marks(&self, key: &ConversationKey) -> Result<(), ProjectionError> {
        let _one_at_a_time = self.marks_lock.lock().expect("nothing panics under this lock");
        let mut newest = Newest::new(self);
        for mark in self.list_marks(key)? {
            newest.offer(key, (Tree::Marks, &KeyBuf::mark(key, mark.kind, &mark.user)), Seq::MAX, None, false)?;
        }
        newest.commit()
    }
}

/// A mark; nothing for one that went.
fn stored(
    key: &ConversationKey,
    prefix: &[u8],
    place: &[u8],
    value: Bytes,
) -> Result<Option<StoredMark>, ProjectionError> {
    let found = decode(place, value).map_err(|reason| damaged(key, reason))?;
    let Some(value) = found.bytes else { return Ok(None) };
    let (kind, user) =
        place.strip_prefix(prefix).and_then(<[u8]>::split_first).ok_or_else(|| damaged(key, "not a mark's key"))?;
    let user = std::str::from_utf8(user).ok().and_then(|user| UserId::new(user).ok());
    let user = user.ok_or_else(|| damaged(key, "not a user's id"))?;
    Ok(Some(StoredMark { user, kind: *kind, at: found.at, value }))
}

impl Marks for Embedded {
    fn marks<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<Vec<StoredMark>, ProjectionError>> {
        blocking(move || self.list_marks(key))
    }

    fn raise<'a>(&'a self, marks: &'a [Mark]) -> BoxFuture<'a, Result<(), ProjectionError>> {
        blocking(move || self.raise_marks(marks))
    }

    fn forget<'a>(&'a self, key: &'a ConversationKey) -> BoxFuture<'a, Result<(), ProjectionError>> {
        blocking(move || self.forget_marks(key))
    }
}
