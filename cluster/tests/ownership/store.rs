//! Writes: they reach replicas one by one, and the greater row wins.

use super::promises::Broken;
use super::rules::{Protocol, Rule};
use super::state::{Cell, Phase, QUORUM, REPLICAS, ROUTERS, ROWS, Set, State, WRITES, Write};
use super::step::{Outcomes, Step};

impl Protocol {
    /// How many replicas make a write known.
    pub(crate) fn write_quorum(&self) -> usize {
        if self.has(Rule::WriteAtQuorum) { QUORUM } else { 1 }
    }

    /// Each write may reach each replica.
    pub(crate) fn arrivals(&self, state: &State, out: &mut Outcomes) {
        for (at, &write) in state.under_way().iter().enumerate() {
            for replica in (0..REPLICAS).filter(|replica| write.left.has(*replica)) {
                let mut after = *state;
                self.arrive(&mut after, at, replica);
                self.put(Step::Arrives { write, replica }, after, Ok(()), out);
            }
        }
    }

    /// A write reaches a replica.
    pub(crate) fn arrive(&self, state: &mut State, at: usize, replica: usize) {
        let write = state.writes[at];
        state.writes[at].left.remove(replica);
        for (offset, cell) in write.cells.iter().take(usize::from(write.count)).enumerate() {
            let there = &mut state.replicas[replica][usize::from(write.start) + offset];
            *there = if self.has(Rule::EpochTimestamps) { (*there).max(*cell) } else { *cell };
        }
    }

    /// A step leads there, if nothing is broken by it. Whoever waits for a write goes on at once when it is at a quorum:
    /// waiting longer allows nothing more.
    pub(crate) fn put(&self, step: Step, mut after: State, so_far: Result<(), Broken>, out: &mut Outcomes) {
        let result = so_far.and_then(|()| self.settle(&mut after)).and_then(|()| after.stays());
        out.push((step, result.map(|()| after)));
    }

    fn settle(&self, state: &mut State) -> Result<(), Broken> {
        for router in 0..ROUTERS {
            let waits = matches!(state.routers[router].phase, Phase::Writing | Phase::Rewriting | Phase::Erasing);
            if waits && state.reached(state.routers[router].epoch) >= self.write_quorum() {
                self.written(state, router)?;
            }
        }
        Ok(())
    }
}

impl State {
    /// How many replicas all writes of this epoch have reached that somebody waits for.
    pub(crate) fn reached(&self, epoch: u8) -> usize {
        let waited_for = self.under_way().iter().filter(|write| write.epoch == epoch && !write.abandoned);
        waited_for.map(|write| REPLICAS - write.left.len()).min().unwrap_or(REPLICAS)
    }

    /// Sends these cells. Returns where the write lies: one that is under way with the same bytes is the same one.
    pub(crate) fn send(&mut self, epoch: u8, start: usize, cells: &[Cell]) -> usize {
        let mut write =
            Write { epoch, start: start as u8, count: cells.len() as u8, left: Set::ALL, ..Write::default() };
        write.cells[..cells.len().min(ROWS)].copy_from_slice(cells);
        let same = |other: &Write| (other.epoch, other.start, other.cells) == (write.epoch, write.start, write.cells);
        if let Some(at) = self.under_way().iter().position(same) {
            self.writes[at].abandoned = false;
            return at;
        }
        let at = usize::from(self.writing);
        assert!(at < WRITES, "more than {WRITES} writes are on their way: the bounds are too wide");
        self.writes[at] = write;
        self.writing += 1;
        at
    }

    /// Nobody waits for the writes of this epoch any more.
    pub(crate) fn abandon(&mut self, epoch: u8) {
        for write in self.under_way_mut().iter_mut().filter(|write| write.epoch == epoch) {
            write.abandoned = true;
        }
    }
}
