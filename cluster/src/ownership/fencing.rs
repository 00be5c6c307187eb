//! Fencing others: the one form that is always true, until it is applied; and for a router without a row a row that says so.
//!
//! Nothing short of an applied fence lets a shard be claimed. Who was only *seen* to be fenced, by a read, is fenced once
//! more: one replica may know of it alone, and the owner would pass its barrier at the two others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchyard_protocol::owner::{Incarnation, RouterRow, RouterState};

use super::Ownership;
use super::calls::{Pace, Purpose};
use super::config::FENCING_CALLS_MAX;
use super::event::{Answer, Call, Level};
use super::rules::Rule;

/// The next step with a router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// It owns shards and is not among the live ones: look at its row.
    Inspect,
    /// Fence it.
    Fence,
    /// It has no row: put one.
    Insert,
}

#[derive(Clone, Copy, Debug)]
struct Work {
    step: Step,
    busy: bool,
    pace: Pace,
}

/// Routers that are being fenced, and those that were.
#[derive(Debug, Default)]
pub(super) struct Fencing {
    work: BTreeMap<Incarnation, Work>,
    busy: usize,
    /// By this router, and known to be applied.
    applied: BTreeSet<Incarnation>,
}

impl Fencing {
    /// Whether shards of this owner may be claimed.
    pub(super) fn is_applied(&self, incarnation: Incarnation) -> bool {
        self.applied.contains(&incarnation)
    }

    /// Whether it is known to be fenced, or about to be.
    pub(super) fn is_under_way(&self, incarnation: Incarnation) -> bool {
        self.is_applied(incarnation) || self.work.get(&incarnation).is_some_and(|work| work.step != Step::Inspect)
    }

    /// Forgets those that own nothing any more.
    pub(super) fn keep(&mut self, owns: impl Fn(Incarnation) -> bool) {
        self.applied.retain(|incarnation| owns(*incarnation));
    }

    /// When the next step is due.
    pub(super) fn due(&self) -> Duration {
        let idle = self.work.values().filter(|work| !work.busy);
        let due = idle.map(|work| work.pace.not_before()).min();
        due.filter(|_| self.busy < FENCING_CALLS_MAX).unwrap_or(Duration::MAX)
    }

    fn plan(&mut self, incarnation: Incarnation, step: Step) {
        let work = self.work.entry(incarnation).or_insert(Work { step, busy: false, pace: Pace::default() });
        if work.step == Step::Inspect && !work.busy {
            work.step = step;
        }
    }
}

impl Ownership {
    /// This router owns shards, and is not known to live.
    pub(super) fn inspect(&mut self, incarnation: Incarnation) {
        if incarnation != self.own.incarnation && !self.fencing.is_applied(incarnation) {
            self.fencing.plan(incarnation, Step::Inspect);
        }
    }

    /// This one shall never act again. Once that is begun it is gone through with, for the fence may be carried out at any time.
    pub(super) fn fence_off(&mut self, incarnation: Incarnation) {
        if self.fencing.is_applied(incarnation) {
            return;
        }
        if !self.rules.has(Rule::FenceBeforeClaim) {
            return self.fenced(incarnation);
        }
        self.fencing.plan(incarnation, Step::Fence);
    }

    /// Makes the calls that are due.
    pub(super) fn go_on_fencing(&mut self) {
        while self.now.mono >= self.fencing.due() {
            let due =
                self.fencing.work.iter_mut().find(|(_, work)| !work.busy && work.pace.not_before() <= self.now.mono);
            let Some((&incarnation, work)) = due else { return };
            work.busy = true;
            let step = work.step;
            self.fencing.busy += 1;
            match step {
                Step::Inspect => {
                    let call = Call::ReadRouter { incarnation, level: Level::Quorum };
                    self.call(Purpose::Inspect(incarnation), call);
                }
                Step::Fence => self.call(Purpose::Fence(incarnation), Call::Fence(incarnation)),
                Step::Insert => {
                    let nonce = self.random.next();
                    let row = RouterRow { incarnation, state: RouterState::Fenced, address: String::new(), nonce };
                    self.call(Purpose::InsertFenced(incarnation), Call::InsertRouter(row));
                }
            }
        }
    }

    /// The row of a router that was looked at; nothing if the read failed.
    pub(super) fn inspected(&mut self, incarnation: Incarnation, found: Option<Option<RouterRow>>) {
        match found {
            Some(Some(row)) if row.state == RouterState::Live => {
                self.step_ended(incarnation, None, false);
                self.fencing.work.remove(&incarnation);
                self.met(row);
            }
            Some(Some(_)) if !self.rules.has(Rule::FenceAtQuorum) => {
                self.step_ended(incarnation, None, false);
                self.fenced(incarnation);
            }
            Some(_) => self.step_ended(incarnation, Some(Step::Fence), false),
            None => self.step_ended(incarnation, None, true),
        }
    }

    /// A fence was applied, or there is no row, or nothing is known: then it is applied again.
    pub(super) fn fence_answered(&mut self, incarnation: Incarnation, answer: &Answer) {
        let known = matches!(answer, Answer::Applied | Answer::Refused);
        self.step_ended(incarnation, known.then_some(Step::Insert), !known);
        if matches!(answer, Answer::Applied) {
            self.fenced(incarnation);
        }
    }

    /// The row of an absent router was put; or there is one by now, which is fenced as any.
    pub(super) fn fenced_inserted(&mut self, incarnation: Incarnation, answer: &Answer) {
        let known = matches!(answer, Answer::Applied | Answer::Refused);
        self.step_ended(incarnation, Some(Step::Fence), !known);
        if matches!(answer, Answer::Applied) {
            self.fenced(incarnation);
        }
    }

    fn step_ended(&mut self, incarnation: Incarnation, next: Option<Step>, failed: bool) {
        let Some(work) = self.fencing.work.get_mut(&incarnation) else { return };
        if std::mem::take(&mut work.busy) {
            self.fencing.busy = self.fencing.busy.saturating_sub(1);
        }
        if failed {
            work.pace.failed(self.now.mono, &self.config, &mut self.random);
        }
        if let Some(next) = next {
            work.step = next;
        }
    }

    /// Its shards may be claimed.
    fn fenced(&mut self, incarnation: Incarnation) {
        self.fencing.work.remove(&incarnation);
        if incarnation == self.own.incarnation {
            return self.end();
        }
        self.fencing.applied.insert(incarnation);
        self.forget_peer(incarnation);
        self.look_at_all_cells();
    }
}
