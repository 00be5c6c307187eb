//! What the readers have to do, in two lines. Loads that nobody waits for but readers stand in one of their own, so that whoever
//! has something to say need not wait until thousands who have come back after a take-over can read again. Within each line the
//! first one comes first, and neither keeps the other waiting for long.
//!
//! Where some nodes of a cluster do not answer, a load of what lies on them holds its thread until it is given up: for 3 seconds
//! if that is its first statement, 5 if it is the adoption. So the loads of one line never hold all threads: pages, projections
//! and loads that somebody hurries have some of their own. Once the other nodes know who is gone, they refuse such loads at once.

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

/// Of the threads one of so many takes no job of the line in which only readers wait: see the module. A disk's few threads wait for
/// nobody, and take any.
const KEPT_OF: usize = 8;

/// From which line a job was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// That of what somebody waits for who has something to say.
    Now,
    /// That of what only readers wait for.
    Later,
}

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

/// One of them, and where it is posted what came of it.
pub(super) type Waiting = (Completions, Job);

/// All that wait.
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
    /// Jobs of `later` that hold a thread, and how many may.
    under_way: usize,
    under_way_max: usize,
}

impl Jobs {
    /// None yet, for so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            now: VecDeque::new(),
            later: VecDeque::new(),
            first: 0,
            loads: HashMap::default(),
            taken: 0,
            under_way: 0,
            under_way_max: threads - threads / KEPT_OF,
        }
    }

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

    /// The next one. When it has ended, [`ended`](Self::ended) is to be told.
    pub(super) fn pop(&mut self) -> Option<(Line, Waiting)> {
        let is_laters = self.taken.saturating_add(1) >= LATER_EVERY || self.now.is_empty();
        let later = if is_laters && self.under_way < self.under_way_max { self.pop_later() } else { None };
        if let Some(later) = later {
            self.taken = 0;
            self.under_way += 1;
            return Some((Line::Later, later));
        }
        self.taken = self.taken.saturating_add(1);
        self.now.pop_front().map(|job| (Line::Now, job))
    }

    /// One that was taken from this line has ended.
    pub(super) fn ended(&mut self, line: Line) {
        if line == Line::Later {
            self.under_way -= 1;
        }
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

    /// Gives back what a burst has needed, if nothing waits.
    pub(super) fn rest(&mut self) {
        if !self.now.is_empty() || !self.later.is_empty() {
            return;
        }
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

#[cfg(test)]
mod tests {
    use switchyard_cluster::mailbox::{Bell, Mailbox};
    use switchyard_protocol::id::{ConversationId, TenantId};

    use super::*;

    fn completions() -> Completions {
        let poll = mio::Poll::new().expect("the system has one");
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("one of its own");
        std::sync::Arc::new(Mailbox::new(std::sync::Arc::new(Bell::new(waker))))
    }

    fn key(number: u8) -> ConversationKey {
        let tenant = TenantId::new("acme").expect("a short name");
        ConversationKey { tenant, conversation: ConversationId::from_bytes([number; 16]) }
    }

    fn load(number: u8) -> Job {
        Job::Load { key: key(number), seed: 0, cutoffs: Cutoffs::default(), touch: Touch::Stranger }
    }

    /// The line from which each next job comes, until there is none for now.
    fn lines(jobs: &mut Jobs) -> Vec<Line> {
        std::iter::from_fn(|| jobs.pop().map(|(line, _)| line)).collect()
    }

    fn push(jobs: &mut Jobs, job: Job) {
        assert!(jobs.push(&completions(), job).is_ok(), "there is room");
    }

    #[test]
    fn loads_that_nobody_hurries_never_hold_all_threads() {
        let mut jobs = Jobs::new(16);
        (0..20).for_each(|number| push(&mut jobs, load(number)));
        assert_eq!(lines(&mut jobs), [Line::Later; 14], "two threads are kept");
        jobs.rest();
        push(&mut jobs, Job::Raise(Vec::new()));
        jobs.hurry(&key(19));
        assert_eq!(lines(&mut jobs), [Line::Now; 2]);
        jobs.ended(Line::Now);
        assert_eq!(lines(&mut jobs), []);
        jobs.ended(Line::Later);
        jobs.ended(Line::Later);
        assert_eq!(lines(&mut jobs), [Line::Later; 2], "as many as have ended");
    }

    #[test]
    fn a_few_threads_take_whatever_comes() {
        let mut jobs = Jobs::new(2);
        (0..4).for_each(|number| push(&mut jobs, load(number)));
        assert_eq!(lines(&mut jobs), [Line::Later; 2]);
    }
}
