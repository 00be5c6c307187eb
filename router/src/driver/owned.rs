//! What this process owns, as the thread that sees to it tells the workers: in which epoch each shard is theirs, and since
//! when that is known. Words that all threads share; nobody waits for anybody.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use switchyard_cluster::mailbox::Bell;
use switchyard_cluster::now::{Clock, Now};
use switchyard_cluster::ownership::Sight;
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::{SHARDS, Shard};

/// How long requests wait to be known for this router's before they are refused: a read of the fence takes a few
/// milliseconds, and a store that does not answer may take long.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// See the module.
pub struct Owned {
    clock: Clock,
    sight: Sight,
    /// By shard; 0 of those that are not its own.
    epochs: Box<[AtomicU32]>,
    /// Counts the changes of epochs.
    changes: AtomicU64,
    bells: Mutex<Vec<Arc<Bell>>>,
}

impl Owned {
    /// Nothing yet. Whatever is answered while the last read of the fence began longer ago than `age_max` is not certain.
    pub fn new(clock: Clock, age_max: Duration) -> Self {
        Self {
            clock,
            sight: Sight::new(age_max),
            epochs: (0..SHARDS).map(|_| AtomicU32::new(0)).collect(),
            changes: AtomicU64::new(0),
            bells: Mutex::default(),
        }
    }

    /// The shard is this process's, since this epoch.
    pub(super) fn own(&self, shard: Shard, epoch: Epoch) {
        if let (Some(place), Ok(epoch)) = (self.epochs.get(usize::from(shard.number())), u32::try_from(epoch.number()))
        {
            place.store(epoch, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    /// A read of the fence that began then said `live`.
    pub(super) fn seen(&self, began: Now) {
        self.sight.seen(began);
    }

    /// This process owns nothing any more, for good.
    pub(super) fn end(&self) {
        self.sight.end();
    }

    /// Has the workers look at once.
    pub(super) fn wake(&self) {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|bell| bell.ring());
    }

    /// Whether it is known at this moment that what is owned is owned.
    pub fn is_sure(&self) -> bool {
        self.is_sure_at(self.clock.now())
    }

    fn is_sure_at(&self, now: Now) -> bool {
        self.sight.is_sure(now)
    }
}

/// Whether requests wait for it to be known that they are this router's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiting {
    No,
    /// Until then.
    Until(Duration),
    /// They have waited long enough.
    Over,
}

/// What is owned, as one worker sees it.
pub(super) struct Title {
    owned: Arc<Owned>,
    changes: u64,
    waiting: Waiting,
    known: Vec<u32>,
}

impl Title {
    pub(super) fn new(owned: Arc<Owned>, bell: Arc<Bell>) -> Self {
        owned.bells.lock().unwrap_or_else(PoisonError::into_inner).push(bell);
        Self { owned, changes: 0, waiting: Waiting::No, known: vec![0; SHARDS.into()] }
    }

    /// Shards that have become this process's since this was asked last, and in which epochs.
    pub(super) fn changes(&mut self) -> Option<Vec<(Shard, Epoch)>> {
        let changes = self.owned.changes.load(Ordering::Acquire);
        if changes == self.changes {
            return None;
        }
        self.changes = changes;
        let mut changed = Vec::new();
        for ((number, place), known) in (0..).zip(&self.owned.epochs).zip(&mut self.known) {
            let epoch = place.load(Ordering::Relaxed);
            if epoch != *known
                && let (Some(shard), Some(epoch)) = (Shard::new(number), Epoch::new(epoch.into()))
            {
                *known = epoch.number() as u32;
                changed.push((shard, epoch));
            }
        }
        Some(changed)
    }

    /// Whether requests are taken: it is known whose they are, or they have waited for that long enough.
    pub(super) fn takes_in(&mut self, now: Now) -> bool {
        self.waiting = match self.waiting {
            _ if self.owned.is_sure_at(now) => Waiting::No,
            Waiting::No => Waiting::Until(now.mono + WAIT_MAX),
            Waiting::Until(end) if end <= now.mono => Waiting::Over,
            waiting => waiting,
        };
        !matches!(self.waiting, Waiting::Until(_))
    }

    /// Whether what is answered now is certain.
    pub(super) fn is_sure(&self) -> bool {
        self.owned.is_sure()
    }

    /// When requests that wait are refused.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.waiting {
            Waiting::Until(end) => Some(end),
            Waiting::No | Waiting::Over => None,
        }
    }
}
