//! What a router does with a conversation: adopt it, append, acknowledge, answer, drop, erase.

use super::promises::Broken;
use super::rules::{Parts, Protocol, Rule};
use super::state::{Body, Cell, PAIRS, Phase, QUORUM, REPLICAS, ROUTERS, ROWS, Router, Set, State};
use super::step::{Outcomes, Step};

impl Protocol {
    /// Everything that can happen.
    pub(crate) fn next(&self, state: &State, out: &mut Outcomes) {
        out.clear();
        self.arrivals(state, out);
        self.fences(state, out);
        self.claims(state, out);
        for at in 0..ROUTERS {
            self.begins(state, at, out);
            self.moves(state, at, out);
            match state.routers[at].phase {
                Phase::Idle => {}
                Phase::Reading => self.reads(state, at, out),
                Phase::Rewriting if !self.has(Rule::AdoptOnce) => self.adopts_again(state, at, out),
                Phase::Rewriting | Phase::Erasing => {}
                Phase::Confirming | Phase::ConfirmingErasure | Phase::ConfirmingHint | Phase::MovingConfirming => {
                    self.confirms(state, at, out);
                }
                Phase::Ready => self.serves(state, at, out),
                Phase::Writing => self.waits(state, at, out),
                Phase::Moving if !self.has(Rule::MoveStopsAnswers) => {
                    let mut after = *state;
                    after.routers[at].phase = Phase::MovingConfirming;
                    self.put(Step::Answers { router: at }, after, Ok(()), out);
                }
                Phase::Moving => {}
            }
        }
    }

    /// Who has won an epoch learns of it, reads a hint, and begins to read rows.
    fn begins(&self, state: &State, at: usize, out: &mut Outcomes) {
        for epoch in state.routers[at].epoch + 1..=self.bounds.epochs {
            if usize::from(state.won[usize::from(epoch)]) != at + 1 {
                continue;
            }
            for hint in usize::from(state.hint)..=self.highest_hint(state) {
                let mut after = *state;
                after.routers[at] = self.adoption(state, epoch, hint);
                self.put(Step::Adopts { router: at, epoch, hint }, after, Ok(()), out);
            }
        }
    }

    fn highest_hint(&self, state: &State) -> usize {
        let writing = |router: &&Router| matches!(router.phase, Phase::Writing | Phase::Rewriting);
        let early = state.routers.iter().filter(writing).map(|router| router.held).max().unwrap_or(0);
        usize::from(if self.has(Rule::HintAfterCommit) { state.head } else { state.head.max(early) })
    }

    fn adoption(&self, state: &State, epoch: u8, hint: usize) -> Router {
        let start = if self.has(Rule::BaseRow) { hint.saturating_sub(1) } else { hint };
        let mut router =
            Router { phase: Phase::Reading, epoch, hint: hint as u8, next: start as u8, ..Router::default() };
        // What lies below was committed: any quorum gives it. Without the rule about hints, somebody else's writes may.
        for row in 0..start {
            let written = state.routers.iter().map(|other| other.log[row].bare()).max().unwrap_or_default();
            let known = if row < usize::from(state.head) { state.shown[row] } else { written.message() };
            router.log[row] = Cell::new(0, 0, known).bare();
        }
        router.held = start as u8;
        router
    }

    /// An adoption asks a replica: for one row, or for all. When enough have answered, it takes what it may.
    fn reads(&self, state: &State, at: usize, out: &mut Outcomes) {
        let from = usize::from(state.routers[at].next);
        let to = if self.bounds.paged { (from + 1).min(self.bounds.rows) } else { self.bounds.rows };
        let needed = if self.has(Rule::ReadAtQuorum) { QUORUM } else { 1 };
        for replica in (0..REPLICAS).filter(|replica| !state.routers[at].asked.has(*replica)) {
            let mut after = *state;
            let router = &mut after.routers[at];
            router.asked.add(replica);
            for row in from..to {
                router.seen[row] = router.seen[row].max(state.replicas[replica][row]);
            }
            let mut result = Ok(());
            if router.asked.len() == needed {
                let mut row = from;
                while row < to && self.accepts(router, row) {
                    let cell = router.seen[row];
                    router.log[row] = if self.has(Rule::RewriteRaisesTimestamp) { cell.stamped(0, 0) } else { cell };
                    row += 1;
                }
                router.held = row as u8;
                router.next = row as u8;
                router.seen = [Cell::ABSENT; ROWS];
                router.asked = Set::default();
                if row < to || row == self.bounds.rows {
                    result = self.adopted(&mut after, at);
                }
            }
            self.put(Step::ReadsRows { router: at, replica }, after, result, out);
        }
    }

    /// Whether an adoption takes what it has seen in this row.
    fn accepts(&self, router: &Router, row: usize) -> bool {
        let (hint, cell) = (usize::from(router.hint), router.seen[row]);
        if !cell.is_there() {
            return false;
        }
        if row + 1 == hint {
            // The committed head itself.
            return true;
        }
        let read_from = if self.has(Rule::BaseRow) { hint.saturating_sub(1) } else { hint };
        let knows_before = row > read_from;
        !self.has(Rule::WholeBatches)
            || !knows_before
            || cell.batch().1 == row
            || router.log[row - 1].batch() == cell.batch()
    }

    /// An adoption has read what there is: what lies above the hint is written again.
    fn adopted(&self, state: &mut State, at: usize) -> Result<(), Broken> {
        let hint = usize::from(state.routers[at].hint);
        if usize::from(state.routers[at].held) < hint {
            if hint >= usize::from(state.hint) {
                return Err(Broken::HeadMissing { head: hint });
            }
            // The row was dropped, so a quorum has a newer hint: it begins anew, which is as if it had begun later. That is a
            // story of its own.
            state.routers[at] = Router { epoch: state.routers[at].epoch, ..Router::default() };
            return Ok(());
        }
        let router = &mut state.routers[at];
        router.next = 0;
        if !self.has(Rule::HintIsLowerBound) {
            router.held = hint as u8;
        }
        let held = usize::from(router.held);
        if held == hint || !self.has(Rule::Rewrite) {
            return self.confirm(state, at, Phase::Confirming);
        }
        router.phase = Phase::Rewriting;
        match self.bounds.parts {
            Parts::Whole => self.write_again(state, at, hint, held),
            Parts::AtOnce => (hint..held).for_each(|row| self.write_again(state, at, row, row + 1)),
            Parts::Ascending => {
                state.routers[at].next = 1;
                self.write_again(state, at, hint, hint + 1);
            }
        }
        Ok(())
    }

    fn write_again(&self, state: &mut State, at: usize, from: usize, to: usize) {
        let Router { epoch, log, .. } = state.routers[at];
        let mut cells = [Cell::ABSENT; ROWS];
        for row in from..to {
            let cell = if self.has(Rule::RewriteKeepsBatch) { log[row] } else { log[row].rebatched(epoch, row) };
            cells[row - from] = if self.has(Rule::RewriteRaisesTimestamp) { cell.stamped(epoch, 0) } else { cell };
        }
        state.send(epoch, from, &cells[..to - from]);
    }

    /// It gives its rewrite up as unknown, and begins once more in the same epoch.
    fn adopts_again(&self, state: &State, at: usize, out: &mut Outcomes) {
        for hint in usize::from(state.hint)..=usize::from(state.head) {
            let mut after = *state;
            let epoch = state.routers[at].epoch;
            after.abandon(epoch);
            after.routers[at] = self.adoption(state, epoch, hint);
            self.put(Step::AdoptsAgain { router: at, hint }, after, Ok(()), out);
        }
    }

    /// What a router waited for is at a quorum.
    pub(crate) fn written(&self, state: &mut State, at: usize) -> Result<(), Broken> {
        let router = state.routers[at];
        let (next, left) = (usize::from(router.hint + router.next), usize::from(router.held));
        match router.phase {
            Phase::Writing if !self.has(Rule::BarrierAfterWrite) => Ok(()),
            Phase::Rewriting if self.bounds.parts == Parts::Ascending && next < left => {
                state.routers[at].next += 1;
                self.write_again(state, at, next, next + 1);
                Ok(())
            }
            Phase::Erasing => self.confirm(state, at, Phase::ConfirmingErasure),
            _ => self.confirm(state, at, Phase::Confirming),
        }
    }

    /// Begins the fence read behind which something is said; or says it, without the rule.
    fn confirm(&self, state: &mut State, at: usize, phase: Phase) -> Result<(), Broken> {
        let rule = match (phase, state.routers[at].phase) {
            (Phase::ConfirmingErasure, _) => Rule::EraseBarrier,
            (Phase::ConfirmingHint, _) => Rule::DropBarrier,
            (_, Phase::Writing) => Rule::Barrier,
            _ => Rule::RewriteBarrier,
        };
        let router = &mut state.routers[at];
        router.asked = Set::default();
        router.began = 0;
        router.phase = phase;
        if self.has(rule) { Ok(()) } else { state.said(at) }
    }

    /// A replica says whether the router is fenced. One that hears it stops, which is no step.
    fn confirms(&self, state: &State, at: usize, out: &mut Outcomes) {
        let needed = if self.has(Rule::BarrierAtQuorum) { QUORUM } else { 1 };
        let router = state.routers[at];
        for replica in 0..REPLICAS {
            if router.asked.has(replica) || state.fenced[at].has(replica) {
                continue;
            }
            let mut after = *state;
            if router.asked.is_empty() {
                after.routers[at].began = state.head;
            }
            after.routers[at].asked.add(replica);
            let done = after.routers[at].asked.len() == needed;
            let result = if done { after.said(at) } else { Ok(()) };
            self.put(Step::ReadsFence { router: at, replica }, after, result, out);
        }
    }

    /// A batch is on its way.
    fn waits(&self, state: &State, at: usize, out: &mut Outcomes) {
        let router = state.routers[at];
        if !self.has(Rule::BarrierAfterWrite) {
            for replica in 0..REPLICAS {
                if router.asked.len() < QUORUM && !router.asked.has(replica) && !state.fenced[at].has(replica) {
                    let mut after = *state;
                    after.routers[at].asked.add(replica);
                    self.put(Step::ReadsFence { router: at, replica }, after, Ok(()), out);
                }
            }
            if router.asked.len() == QUORUM && state.reached(router.epoch) >= self.write_quorum() {
                let mut after = *state;
                after.routers[at].began = 0;
                let result = after.show(at);
                self.put(Step::Acknowledges { router: at }, after, result, out);
            }
        }
        if !self.has(Rule::SameBytes) {
            let mut after = *state;
            after.abandon(router.epoch);
            let kept = &mut after.routers[at];
            kept.log[usize::from(kept.shown)..].fill(Cell::ABSENT);
            *kept = Router { phase: Phase::Ready, held: kept.shown, asked: Set::default(), ..*kept };
            self.put(Step::GivesUp { router: at }, after, Ok(()), out);
        }
    }

    /// It serves: sends come, readers, and what clears old rows.
    fn serves(&self, state: &State, at: usize, out: &mut Outcomes) {
        let router = state.routers[at];
        if self.bounds.reads {
            let mut after = *state;
            after.routers[at].phase = Phase::Confirming;
            let stale = !self.has(Rule::FreshReads) && router.shown < state.head;
            let result = if stale { Err(Broken::Stale { head: usize::from(router.shown) }) } else { Ok(()) };
            self.put(Step::Answers { router: at }, after, result, out);
        }
        if self.bounds.evicts {
            for hint in usize::from(state.hint)..=usize::from(state.head) {
                let mut after = *state;
                after.routers[at] = self.adoption(state, router.epoch, hint);
                self.put(Step::AdoptsAgain { router: at, hint }, after, Ok(()), out);
            }
        }
        self.appends(state, at, out);
        if self.bounds.drops {
            self.drops(state, at, out);
        }
        if self.bounds.erases {
            self.erases(state, at, out);
        }
    }

    fn appends(&self, state: &State, at: usize, out: &mut Outcomes) {
        let free = self.bounds.rows - usize::from(state.routers[at].shown);
        let new = |state: &State, message| message <= state.named + 1 && self.takes(state, at, message);
        for one in (1..=self.bounds.messages).filter(|_| free >= 1) {
            if !new(state, one) {
                continue;
            }
            self.append(state, at, [one, 0], out);
            let mut named = *state;
            named.named = named.named.max(one);
            for two in (1..=self.bounds.messages).filter(|two| free >= 2 && *two != one) {
                if new(&named, two) {
                    self.append(state, at, [one, two], out);
                }
            }
        }
    }

    /// Whether a message is stored when it is sent, perhaps not for the first time.
    fn takes(&self, state: &State, at: usize, message: u8) -> bool {
        let router = state.routers[at];
        let kept = usize::from(state.dropped)..usize::from(router.shown);
        let is_known = || kept.into_iter().any(|row| router.log[row].message() == message);
        let is_expired = || message <= state.named && state.since[usize::from(message)] < state.dropped;
        let answered = self.has(Rule::Dedupe) && is_known();
        let refused = self.has(Rule::ExpiredRefused) && is_expired();
        !answered && !refused
    }

    fn append(&self, state: &State, at: usize, messages: [u8; 2], out: &mut Outcomes) {
        let mut after = *state;
        let router = &mut after.routers[at];
        let (epoch, start) = (router.epoch, usize::from(router.shown));
        let mut cells = [Cell::ABSENT; 2];
        let mut count = 0;
        for message in messages.into_iter().filter(|message| *message > 0) {
            // Without the rule, two batches of one row are on their way at once.
            let first = if self.has(Rule::OneInFlight) { start } else { start + count };
            cells[count] = Cell::new(epoch, first, message);
            router.log[start + count] = cells[count].bare();
            count += 1;
        }
        router.held = (start + count) as u8;
        router.phase = Phase::Writing;
        router.asked = Set::default();
        for message in messages.into_iter().filter(|message| *message > after.named) {
            after.since[usize::from(message)] = after.head;
        }
        after.named = after.named.max(messages[0]).max(messages[1]);
        if self.has(Rule::OneInFlight) {
            after.send(epoch, start, &cells[..count]);
        } else {
            (0..count).for_each(|row| {
                after.send(epoch, start + row, &cells[row..=row]);
            });
        }
        self.put(Step::Appends { router: at, messages }, after, Ok(()), out);
    }

    /// A hint comes to be at a quorum; what lies below it is dropped.
    fn drops(&self, state: &State, at: usize, out: &mut Outcomes) {
        let Router { epoch, shown, drops, .. } = state.routers[at];
        if shown > drops {
            let mut after = *state;
            after.hint = after.hint.max(shown);
            let result = self.confirm(&mut after, at, Phase::ConfirmingHint);
            self.put(Step::StoresHint { router: at }, after, result, out);
        }
        let below = if self.has(Rule::HintBeforeDrop) { drops } else { shown };
        let kept = u8::from(self.has(Rule::DropKeepsBase));
        for rows in usize::from(state.dropped) + 1..=usize::from(below.saturating_sub(kept)) {
            let mut after = *state;
            let gone = [Cell::ABSENT.with_body(Body::Dropped).stamped(epoch, 1); ROWS];
            let sent = after.send(epoch, 0, &gone[..rows]);
            after.writes[sent].abandoned = true;
            after.dropped = rows as u8;
            self.put(Step::Drops { router: at, rows }, after, Ok(()), out);
        }
    }

    /// A text is overwritten. Who does it reads the row first.
    fn erases(&self, state: &State, at: usize, out: &mut Outcomes) {
        let epoch = state.routers[at].epoch;
        for row in usize::from(state.dropped)..usize::from(state.routers[at].shown) {
            let mut tried = [Cell::ABSENT; 3];
            for (pair, (one, other)) in PAIRS.into_iter().enumerate() {
                let read = state.replicas[one][row].max(state.replicas[other][row]);
                if read.body() != Body::Text || tried.contains(&read) {
                    continue;
                }
                tried[pair] = read;
                let kept = if self.has(Rule::EraseKeepsBatch) { read } else { read.rebatched(epoch, row) };
                let overwrites = u8::from(self.has(Rule::EraseRaisesTimestamp));
                let mut after = *state;
                after.send(epoch, row, &[kept.with_body(Body::Erased).stamped(epoch, overwrites)]);
                after.routers[at].phase = Phase::Erasing;
                after.routers[at].next = row as u8;
                self.put(Step::Erases { router: at, row }, after, Ok(()), out);
            }
        }
    }
}

impl State {
    /// The fence read is behind it: the router says what it has to say.
    fn said(&mut self, at: usize) -> Result<(), Broken> {
        let Router { phase, next, shown, .. } = self.routers[at];
        match phase {
            Phase::ConfirmingErasure => self.erased.add(usize::from(next)),
            Phase::ConfirmingHint => self.routers[at].drops = shown,
            _ => {}
        }
        self.show(at)?;
        if phase == Phase::MovingConfirming {
            self.routers[at].phase = Phase::Moving;
        }
        Ok(())
    }
}
