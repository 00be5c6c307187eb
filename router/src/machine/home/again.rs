//! Homes that could not read what their edges are to be told, or missed a notice: they try again by themselves, soon at first and
//! less often as long as it fails, and not all at once.

use std::collections::BTreeSet;
use std::time::Duration;

use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;

/// How long after it failed first it is tried again; each time after that twice as long.
const FIRST_AFTER: Duration = Duration::from_millis(250);

/// The longest time between two tries: people wait to be shown what came.
const LONGEST: Duration = Duration::from_secs(4);

/// Homes that try again at a time: each asks owners, or reads its rows.
const AT_ONCE_MAX: usize = 64;

/// How long the next ones wait after so many.
const PAUSE: Duration = Duration::from_millis(20);

/// All that try again.
#[derive(Debug, Default)]
pub(super) struct Again {
    due: BTreeSet<(Duration, ConversationKey)>,
    /// How many were taken of those that may be at a time.
    taken: usize,
    /// Nothing is taken before.
    open_at: Duration,
}

/// What a home knows of it.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// When it is next tried.
    at: Option<Duration>,
    /// How often it has failed since it last succeeded.
    failures: u32,
}

impl Retry {
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Its time has come.
    pub(super) fn taken(&mut self) {
        self.at = None;
    }
}

impl Again {
    /// When the next is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| self.open_at.max(*at))
    }

    /// Something failed.
    pub(super) fn failed(&mut self, now: Now, key: &ConversationKey, retry: &mut Retry) {
        retry.failures += 1;
        self.put(now, key, retry);
    }

    /// Something is to be tried, unless it is going to be.
    pub(super) fn put(&mut self, now: Now, key: &ConversationKey, retry: &mut Retry) {
        if retry.at.is_none() {
            let doubled = 1_u32.checked_shl(retry.failures.saturating_sub(1)).unwrap_or(u32::MAX);
            let at = now.mono + FIRST_AFTER.saturating_mul(doubled).min(LONGEST);
            retry.at = Some(at);
            self.due.insert((at, key.clone()));
        }
    }

    /// One whose time has come.
    pub(super) fn take(&mut self, now: Now) -> Option<ConversationKey> {
        if self.open_at > now.mono {
            return None;
        }
        if self.due.first().is_none_or(|(at, _)| *at > now.mono) {
            self.taken = 0;
            return None;
        }
        if self.taken >= AT_ONCE_MAX {
            (self.taken, self.open_at) = (0, now.mono + PAUSE);
            return None;
        }
        self.taken += 1;
        self.due.pop_first().map(|(_, key)| key)
    }

    /// A home leaves memory.
    pub(super) fn forget(&mut self, key: &ConversationKey, retry: &Retry) {
        if let Some(at) = retry.at {
            self.due.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use switchyard_protocol::id::{TenantId, UserId};

    use super::*;

    fn key(name: &str) -> ConversationKey {
        ConversationKey::home(&TenantId::new("t").expect("a valid id"), &UserId::new(name).expect("a valid id"))
    }

    fn now(ms: u64) -> Now {
        Now { mono: Duration::from_millis(ms), wall_ms: 0 }
    }

    #[test]
    fn what_fails_is_tried_soon_and_less_often_as_long_as_it_fails() {
        let (mut again, mut retry, key, mut at) = (Again::default(), Retry::default(), key("ann"), 0);
        let mut waits = Vec::new();
        for _ in 0..40 {
            again.failed(now(at), &key, &mut retry);
            again.failed(now(at), &key, &mut retry);
            let due = u64::try_from(again.deadline().expect("it is tried").as_millis()).expect("soon");
            assert!(again.take(now(due - 1)).is_none());
            assert_eq!(again.take(now(due)).as_ref(), Some(&key));
            assert!(again.take(now(due)).is_none(), "once");
            retry.taken();
            waits.push(due - at);
            at = due;
        }
        assert_eq!((waits[0], waits[1], waits[39]), (250, 1_000, 4_000));
        retry.succeeded();
        again.put(now(at), &key, &mut retry);
        assert_eq!(again.deadline(), Some(Duration::from_millis(at + 250)));
        again.forget(&key, &retry);
        assert_eq!(again.deadline(), None);
    }

    #[test]
    fn many_do_not_try_all_at_once() {
        let mut again = Again::default();
        for n in 0..1_000 {
            again.put(now(0), &key(&format!("user {n}")), &mut Retry::default());
        }
        let (mut ms, mut taken) = (250, Vec::new());
        while let Some(due) = again.deadline() {
            ms = ms.max(u64::try_from(due.as_millis()).expect("soon"));
            let before = taken.len();
            while let Some(key) = again.take(now(ms)) {
                taken.push(key);
            }
            assert!(taken.len() - before <= AT_ONCE_MAX);
        }
        assert_eq!((taken.len(), ms), (1_000, 250 + 15 * 20));
    }
}
