//! Retention: where a conversation begins, and the removal of what lies below.

use switchyard_protocol::id::ConversationKey;

use crate::key::KeyBuf;
use crate::log::{Damage, ReadError, Seq};

use super::Embedded;
use super::commit::CommitError;
use super::read::{corrupt, read_error};
use super::space::Purpose;
use super::{number, read};

/// Rows removed in one write batch.
const ROWS_AT_ONCE: usize = 1_000;

/// What a key of the meta tree begins with if it says where a conversation begins.
const BELOW: u8 = b'b';

pub(super) fn below_key(key: &ConversationKey) -> Vec<u8> {
    [&[BELOW], KeyBuf::conversation(key).as_slice()].concat()
}

impl Embedded {
    pub(super) fn trim_rows(&self, key: &ConversationKey, below: Seq) -> Result<Seq, ReadError> {
        let _one_at_a_time = self.trim_lock.lock().expect("nothing panics under this lock");
        let before = self.view().trimmed_below(key)?;
        let head = self.read_head(key, 0)?.unwrap_or(0);
        let below = below.min(head).max(before);
        if below > before {
            // First the boundary, so that no reader meets a hole; rows below it that a crash leaves are not read, and the
            // next trim removes them.
            let meta_key = below_key(key);
            let value = number::encode(&meta_key, below);
            self.committer
                .commit(&self.engine, Purpose::Recover, value.len(), 1, |batch| {
                    batch.insert(&self.engine.meta, meta_key, value);
                })
                .map_err(commit_error)?;
        }
        self.remove_rows(key, below)?;
        Ok(below)
    }

    /// Removes what is there from 1 to below `below`.
    fn remove_rows(&self, key: &ConversationKey, below: Seq) -> Result<(), ReadError> {
        if below <= 1 {
            return Ok(());
        }
        let mut row_keys = Vec::new();
        let mut rows = self.view().rows(key, 1..=below - 1);
        loop {
            row_keys.clear();
            for guard in rows.by_ref().take(ROWS_AT_ONCE) {
                let row_key = guard.key().map_err(|fault| read_error(key, 1, fault))?;
                read::seq_of(&row_key).ok_or_else(|| corrupt(key, 1, Damage::Engine("a foreign key".into())))?;
                row_keys.push(row_key);
            }
            if row_keys.is_empty() {
                return Ok(());
            }
            self.committer
                .commit(&self.engine, Purpose::Recover, 0, row_keys.len(), |batch| {
                    for row_key in row_keys.drain(..) {
                        batch.remove(&self.engine.log, row_key);
                    }
                })
                .map_err(commit_error)?;
        }
    }
}

fn commit_error(error: CommitError) -> ReadError {
    ReadError::Unavailable(
        match error {
            CommitError::Full => "the disk is full",
            CommitError::Closed | CommitError::Failed => "the disk failed",
        }
        .to_owned(),
    )
}
