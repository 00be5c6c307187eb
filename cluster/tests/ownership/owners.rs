//! Who owns the shard: fences, claims and planned moves.

use super::promises::Broken;
use super::rules::{Protocol, Rule};
use super::state::{EPOCHS, Phase, QUORUM, REPLICAS, ROUTERS, Router, Set, State};
use super::step::{Outcomes, Step};

impl Protocol {
    /// Replicas learn of fences. The first one to learn is the transaction's beginning; it may end there.
    pub(crate) fn fences(&self, state: &State, out: &mut Outcomes) {
        let begun = state.fenced.iter().filter(|learned| !learned.is_empty()).count();
        for router in 0..ROUTERS {
            let learned = state.fenced[router];
            if learned.len() < QUORUM && (!learned.is_empty() || begun < self.bounds.fences) {
                for replica in (0..REPLICAS).filter(|replica| !learned.has(*replica)) {
                    let mut after = *state;
                    after.fenced[router].add(replica);
                    self.put(Step::LearnsOfFence { replica, router }, after, Ok(()), out);
                }
            }
            if !self.has(Rule::FenceIsFinal) && learned.len() >= QUORUM {
                let mut after = *state;
                after.fenced[router] = Set::default();
                self.put(Step::LivesAgain { router }, after, Ok(()), out);
            }
        }
    }

    /// Whether others may claim what this router owns.
    fn is_claimable(&self, state: &State, owner: usize) -> bool {
        let learned = state.fenced[owner].len();
        if !self.has(Rule::FenceBeforeClaim) {
            return self.bounds.fences > 0;
        }
        learned >= if self.has(Rule::FenceAtQuorum) { QUORUM } else { 1 }
    }

    /// Claims are carried out, or sent.
    pub(crate) fn claims(&self, state: &State, out: &mut Outcomes) {
        if self.joins_claims() {
            return self.joined_claims(state, out);
        }
        for ended in 1..usize::from(self.bounds.epochs) {
            for router in (0..ROUTERS).filter(|router| state.claims[ended].has(*router)) {
                let holds = (!self.has(Rule::ClaimIsConditional) || state.owners[ended] == state.owner)
                    && (!self.has(Rule::ClaimIsConditional)
                        || !self.has(Rule::ClaimNamesEpoch)
                        || usize::from(state.epoch) == ended);
                let is_so = (usize::from(state.owner), usize::from(state.epoch)) == (router, ended + 1);
                if !holds || is_so || usize::from(state.epoch) < ended {
                    continue;
                }
                let mut after = *state;
                let falls = ended < usize::from(state.epoch);
                after.win(router, ended as u8 + 1);
                if self.has_all(&[Rule::ClaimIsConditional, Rule::ClaimNamesEpoch]) {
                    after.claims[ended] = Set::default();
                }
                let result = if falls { Err(Broken::EpochAgain { epoch: ended as u8 + 1 }) } else { Ok(()) };
                self.put(Step::Claims { router, epoch: ended as u8 + 1 }, after, result, out);
            }
        }
        let owner = usize::from(state.owner);
        if state.epoch < self.bounds.epochs && self.is_claimable(state, owner) {
            for by in (0..ROUTERS).filter(|by| *by != owner) {
                self.send_claim(state, by, by, out);
            }
        }
    }

    /// A claim and its effect in one: whoever may send one now could have sent it long ago.
    fn joined_claims(&self, state: &State, out: &mut Outcomes) {
        if state.epoch >= self.bounds.epochs {
            return;
        }
        let owner = usize::from(state.owner);
        let moving = self.bounds.moves && state.owns(owner) && state.routers[owner].phase == Phase::Idle;
        for router in 0..ROUTERS {
            if moving || (router != owner && self.is_claimable(state, owner)) {
                let mut after = *state;
                after.win(router, state.epoch + 1);
                self.put(Step::Claims { router, epoch: state.epoch + 1 }, after, Ok(()), out);
            }
        }
    }

    fn send_claim(&self, state: &State, router: usize, by: usize, out: &mut Outcomes) {
        let ended = usize::from(state.epoch);
        if !state.claims[ended].has(router) {
            let mut after = *state;
            after.claim(router);
            self.put(Step::SendsClaim { router, by, epoch: state.epoch }, after, Ok(()), out);
        }
    }

    /// An owner moves its shard away.
    pub(crate) fn moves(&self, state: &State, at: usize, out: &mut Outcomes) {
        let router = state.routers[at];
        if !self.bounds.moves || !state.owns(at) || state.epoch >= self.bounds.epochs {
            return;
        }
        let stopped = Router { epoch: router.epoch, ..Router::default() };
        if self.joins_claims() {
            if router.phase != Phase::Idle {
                let mut after = *state;
                after.routers[at] = stopped;
                self.put(Step::Stops { router: at }, after, Ok(()), out);
            }
            return;
        }
        if !matches!(router.phase, Phase::Idle | Phase::Moving | Phase::MovingConfirming) {
            for to in (0..ROUTERS).filter(|to| *to != at) {
                let mut after = *state;
                after.claim(to);
                let acknowledges = matches!(router.phase, Phase::Writing | Phase::Confirming);
                if self.has(Rule::MoveStopsAcks) || !acknowledges {
                    let shows = matches!(router.phase, Phase::Ready | Phase::Writing);
                    let answers = shows && !self.has_all(&[Rule::MoveStopsAnswers, Rule::MoveTakesNewEpoch]);
                    after.routers[at] = if answers { router.moving() } else { stopped };
                }
                self.put(Step::SendsClaim { router: to, by: at, epoch: state.epoch }, after, Ok(()), out);
            }
        }
        if matches!(router.phase, Phase::Idle | Phase::Moving) {
            self.send_claim(state, at, at, out);
        }
        if router.phase == Phase::Moving && !self.has(Rule::MoveTakesNewEpoch) {
            let mut after = *state;
            after.routers[at].phase = Phase::Ready;
            self.put(Step::GoesOn { router: at }, after, Ok(()), out);
        }
    }
}

impl Router {
    /// It keeps what it showed, and forgets what was on its way.
    fn moving(&self) -> Self {
        let shown = usize::from(self.shown);
        let mut router =
            Self { phase: Phase::Moving, epoch: self.epoch, shown: self.shown, held: self.shown, ..Self::default() };
        router.log[..shown].copy_from_slice(&self.log[..shown]);
        router
    }
}

impl State {
    fn win(&mut self, router: usize, epoch: u8) {
        self.owner = router as u8;
        self.epoch = epoch;
        self.won[usize::from(epoch).min(EPOCHS)] = router as u8 + 1;
    }

    fn claim(&mut self, router: usize) {
        let ended = usize::from(self.epoch).min(EPOCHS);
        self.claims[ended].add(router);
        self.owners[ended] = self.owner;
    }
}
