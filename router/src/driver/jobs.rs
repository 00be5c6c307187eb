//! What the readers have to do, in two lines. Loads that nobody waits for but readers stand in one of their own, so that whoever
//! has something to say need not wait until thousands who have come back after a take-over can read again. Within each line the
//! first one comes first, and neither keeps the other waiting for long.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use switchyard_cluster::mailbox::ROOM_KEPT_MAX;
use switchyard_cluster::party::{Asker, Home};
use switchyard_protocol::id::ConversationKey;
use switchyard_store::Mark;

use super::{Completions, Touch};
use crate::config::Cutoffs;
use crate::machine::{Projection, ReadPlan, Ticket, ToldRoles};

/// Jobs that may wait, in each of the two lines. Beyond it reads are refused. On a disk that is well under a second of work;
/// in a cluster it can be a minute of it.
const WAITING_MAX: usize = 65_536;

/// While jobs of both lines wait, one of so many is of those that only readers wait for.
const LATER_EVERY: u32 = 8;

/// One of them.
pub(super) enum Job {
    Load { key: ConversationKey, seed: u64, cutoffs: Cutoffs, touch: Touch },
    Read { key: ConversationKey, ticket: Box<Ticket>, plan: ReadPlan },
    Project { key: ConversationKey, projection: Box<Projection> },
    Raise(Vec<Mark>),
    Roles(Vec<ToldRoles>),
    Decoy { key: ConversationKey, to: Asker },
    Home { home: Home, own: bool, touch: Touch },
    Seen(Home, (u64, u64)),
}

impl Job {
    /// Whether, as long as nobody says otherwise, only readers wait for it.
    fn may_wait(&self) -> bool {
        match self {
            // A decoy costs what a load costs, in time too.
            Self::Load { .. } | Self::Decoy { .. } | Self::Home { .. } | Self::Seen(..) => true,
            Self::Read { .. } | Self::Project { .. } | Self::Raise(_) | Self::Roles(_) => false,
        }
    }

    /// Of which conversation it is a load, or the like of one.
    fn loads(&self) -> Option<&ConversationKey> {
        match self {
            Self::Load { key, .. } | Self::Decoy { key, .. } => Some(key),
            _ => None,
        }
    }
}

type Waiting = (Completions, Job);

/// All that wait.
#[derive(Default)]
pub(super) struct Jobs {
    now: VecDeque<Waiting>,
    /// With a hole where one was hurried.
    later: VecDeque<Option<Waiting>>,
    /// The number of the first of `later`, counted from the start.
    first: u64,
    /// By conversation, the number of the load that waits in `later`; of several decoys the last.
    loads: HashMap<ConversationKey, u64, foldhash::fast::RandomState>,
    /// Jobs taken since the last one of `later`.
    taken: u32,
}

impl Jobs {
    /// Puts one at the end of its line; gives it back if there is no room.
    pub(super) fn push(&mut self, to: &Completions, job: Job) -> Result<(), Job> {
        if job.may_wait() {
            if self.later.len() >= WAITING_MAX {
                return Err(job);
            }
            if let Some(key) = job.loads() {
                self.loads.insert(key.clone(), self.first + self.later.len() as u64);
            }
            self.later.push_back(Some((to.clone(), job)));
        } else {
            if self.now.len() >= WAITING_MAX {
                return Err(job);
            }
            self.now.push_back((to.clone(), job));
        }
        Ok(())
    }

    /// Somebody who has something to say waits for a conversation's load. Not one that has begun, or is done, is moved; nor one
    /// for which the other line has no room.
    pub(super) fn hurry(&mut self, key: &ConversationKey) {
        if self.now.len() >= WAITING_MAX {
            return;
        }
        let Some(number) = self.loads.remove(key) else { return };
        let place = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(job) = place.and_then(|at| self.later.get_mut(at)).and_then(Option::take) {
            self.now.push_back(job);
        }
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let is_laters = self.taken + 1 >= LATER_EVERY || self.now.is_empty();
        let later = if is_laters { self.pop_later() } else { None };
        if later.is_some() {
            self.taken = 0;
            return later;
        }
        self.taken = self.taken.saturating_add(1);
        self.now.pop_front()
    }

    fn pop_later(&mut self) -> Option<Waiting> {
        while let Some(job) = self.later.pop_front() {
            let number = self.first;
            self.first += 1;
            let Some((to, job)) = job else { continue };
            if let Some(key) = job.loads()
                && let Entry::Occupied(place) = self.loads.entry(key.clone())
                && *place.get() == number
            {
                place.remove();
            }
            return Some((to, job));
        }
        None
    }

    /// Gives back what a burst has needed. For when nothing waits.
    pub(super) fn rest(&mut self) {
        if self.now.capacity() > ROOM_KEPT_MAX {
            self.now = VecDeque::new();
        }
        if self.later.capacity() > ROOM_KEPT_MAX {
            self.later = VecDeque::new();
        }
        if self.loads.capacity() > ROOM_KEPT_MAX {
            self.loads = HashMap::default();
        }
    }
}
