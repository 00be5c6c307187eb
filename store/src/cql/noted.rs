//! What this process has noted, so that what needs it to be known does not cost a statement more each time.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::requests::Failed;

/// Notes that a quorum knows of.
pub(super) struct Noted<Note>(Mutex<HashSet<Note>>);

/// How many are remembered; then it is begun anew, and some are noted again.
const NOTED_MAX: usize = 4_096;

impl<Note> Default for Noted<Note> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Note: Hash + Eq> Noted<Note> {
    /// Notes it, unless that was done.
    pub(super) async fn once(
        &self,
        note: Note,
        noting: impl Future<Output = Result<(), Failed>>,
    ) -> Result<(), Failed> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&note) {
            return Ok(());
        }
        noting.await?;
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED_MAX {
            noted.clear();
        }
        noted.insert(note);
        Ok(())
    }
}
