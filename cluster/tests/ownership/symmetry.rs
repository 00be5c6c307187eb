//! States that differ in names alone are one: which replica is which, and which router. What no longer matters is forgotten.

use super::rules::{Protocol, Rule};
use super::state::{Cell, EPOCHS, Phase, QUORUM, REPLICAS, ROUTERS, Router, Set, State, Write};

impl Protocol {
    /// The state without what no longer matters.
    pub(crate) fn tidied(&self, mut state: State) -> State {
        for router in 0..ROUTERS {
            for epoch in 1..=usize::from(state.routers[router].epoch) {
                if usize::from(state.won[epoch]) == router + 1 {
                    state.won[epoch] = 0;
                }
            }
            if self.forgets_fenced() && state.is_done_for(router) {
                state.routers[router] = Router { epoch: state.routers[router].epoch, ..Router::default() };
            }
            if !matches!(state.routers[router].phase, Phase::Reading | Phase::Rewriting) {
                state.routers[router].hint = 0;
            }
        }
        if !self.bounds.drops {
            state.since = [0; 4];
        }
        self.forget_arrived(&mut state);
        state
    }

    /// Arrivals that change nothing are no arrivals, where nobody waits for them.
    fn forget_arrived(&self, state: &mut State) {
        let mut at = 0;
        while at < usize::from(state.writing) {
            let write = state.writes[at];
            let waited_for = !write.abandoned
                && state.routers.iter().any(|router| {
                    router.epoch == write.epoch
                        && matches!(router.phase, Phase::Writing | Phase::Rewriting | Phase::Erasing)
                });
            if self.has(Rule::EpochTimestamps) && (!waited_for || write.left.len() <= 1) {
                for replica in (0..REPLICAS).filter(|replica| write.left.has(*replica)) {
                    let there = &state.replicas[replica][usize::from(write.start)..];
                    let mut cells = write.cells.iter().take(usize::from(write.count)).zip(there);
                    if cells.all(|(cell, there)| there >= cell) {
                        state.writes[at].left.remove(replica);
                    }
                }
            }
            if state.writes[at].left.is_empty() {
                state.writing -= 1;
                let last = usize::from(state.writing);
                state.writes[at] = state.writes[last];
                state.writes[last] = Write::default();
            } else {
                at += 1;
            }
        }
        let served = |epoch: u8| state.routers.iter().any(|one| one.epoch == epoch && one.phase != Phase::Idle);
        let served: [bool; EPOCHS + 1] = std::array::from_fn(|epoch| served(epoch as u8));
        for write in state.under_way_mut() {
            if self.has(Rule::EpochTimestamps) && !served[usize::from(write.epoch).min(EPOCHS)] {
                write.abandoned = false;
            }
        }
        state.under_way_mut().sort_unstable();
    }

    /// One of all states that differ in names alone. Not always the same one, but then merely more states are looked at.
    pub(crate) fn canonical(&self, state: &State) -> State {
        let mut state = *state;
        if self.joins_claims() {
            let mut order = [0, 1, 2];
            order.sort_by_cached_key(|router| state.rank(*router));
            state = state.with_routers(order);
        }
        let mut order = [0, 1, 2];
        order.sort_by_cached_key(|replica| state.column(*replica));
        state.with_replicas(order)
    }
}

impl State {
    /// A quorum knows that it is fenced, and it waits for what it cannot get any more.
    fn is_done_for(&self, at: usize) -> bool {
        let (router, fenced) = (&self.routers[at], self.fenced[at]);
        let never = match router.phase {
            Phase::Confirming | Phase::ConfirmingErasure | Phase::ConfirmingHint => {
                router.asked.is_empty() || router.asked.0 & !fenced.0 != 0 || router.asked.0 & fenced.0 == 0
            }
            Phase::Writing | Phase::Erasing => true,
            _ => false,
        };
        fenced.len() >= QUORUM && never
    }

    fn rank(&self, at: usize) -> (Router, u8, usize, usize, bool) {
        let mut router = self.routers[at];
        let asked = router.asked.len();
        router.asked = Set::default();
        let won = self.won.iter().fold(0, |bits, winner| bits << 1 | u8::from(usize::from(*winner) == at + 1));
        (router, won, asked, self.fenced[at].len(), usize::from(self.owner) == at)
    }

    fn with_routers(&self, order: [usize; ROUTERS]) -> Self {
        let mut named = *self;
        let mut place = [0; ROUTERS];
        for (to, from) in order.into_iter().enumerate() {
            place[from] = to;
            named.routers[to] = self.routers[from];
            named.fenced[to] = self.fenced[from];
        }
        named.owner = place[usize::from(self.owner)] as u8;
        for winner in named.won.iter_mut().filter(|winner| **winner > 0) {
            *winner = place[usize::from(*winner) - 1] as u8 + 1;
        }
        named
    }

    fn column(&self, replica: usize) -> ([Cell; 3], [bool; ROUTERS], [bool; ROUTERS], Vec<bool>) {
        (
            self.replicas[replica],
            self.fenced.map(|learned| learned.has(replica)),
            std::array::from_fn(|at| self.routers[at].asked.has(replica)),
            self.under_way().iter().map(|write| write.left.has(replica)).collect(),
        )
    }

    fn with_replicas(&self, order: [usize; REPLICAS]) -> Self {
        let mut named = *self;
        let renamed = |set: Set| {
            let mut to = Set::default();
            (0..REPLICAS).filter(|place| set.has(order[*place])).for_each(|place| to.add(place));
            to
        };
        for (to, from) in order.into_iter().enumerate() {
            named.replicas[to] = self.replicas[from];
        }
        for learned in &mut named.fenced {
            *learned = renamed(*learned);
        }
        for router in &mut named.routers {
            router.asked = renamed(router.asked);
        }
        for write in named.under_way_mut() {
            write.left = renamed(write.left);
        }
        named
    }
}
