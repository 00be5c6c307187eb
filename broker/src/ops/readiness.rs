//! Whether clients may come, and if not, why. Set by the roles, read by `/readyz`; while it is empty of reasons the
//! process is ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The part that has a reason until everything is served.
pub const START: &str = "start";

/// Reasons not to be ready, by the part that has them. Clones share them.
#[derive(Clone, Default, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready, since this part (`start`, `store`, `drain`) says so. It replaces the part's earlier reason.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.reasons_now().insert(part, why.into());
    }

    /// This part has no reason any more.
    pub fn ready(&self, part: &'static str) {
        self.reasons_now().remove(part);
    }

    /// Nothing is served yet.
    pub fn is_starting(&self) -> bool {
        self.reasons_now().contains_key(START)
    }

    /// The reasons now; none means ready.
    pub fn reasons(&self) -> BTreeMap<&'static str, String> {
        self.reasons_now().clone()
    }

    fn reasons_now(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
