//! The worker's turn, and what becomes of the effects: the part of the world that does what the driver does.

use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;
use switchyard_router::machine::{CommitOutcome, Effect, Input};
use switchyard_store::{Batch, Outcome, Refusal};

use super::{Event, World};
use crate::disk::{Done, Fate, Mutation};
use crate::profile::Faults;

impl World {
    /// One turn of the worker, in the order of the driver: completions, requests, tick.
    pub(super) fn turn(&mut self, at: u64) {
        if self.next_turn != Some(at) {
            return;
        }
        self.next_turn = None;
        let now = self.now();
        self.oracle.now_us = self.now_us;
        self.oracle.wall_ms = self.oracle.wall_ms.max(now.wall_ms);
        for input in std::mem::take(&mut self.inputs) {
            let committed = self.before_commit(&input);
            self.feed(now, input);
            if let Some((key, head)) = committed {
                self.oracle.hand_commit(&key, head);
            }
        }
        while let Some(request) = self.requests.pop_front() {
            self.oracle.hand(&request);
            self.feed(now, Input::Request(request));
        }
        let from = self.effects.len();
        self.machine.tick(now, &mut self.effects);
        self.observe(from);
        for effect in std::mem::take(&mut self.effects) {
            self.act(effect);
        }
        if let Some(deadline) = self.machine.deadline() {
            let at = u64::try_from(deadline.as_nanos().div_ceil(1_000)).expect("a run is short");
            // A deadline that has passed means another turn at once, as in the worker's loop.
            self.turn_at(at.max(self.now_us + 1));
        }
    }

    fn before_commit(&self, input: &Input) -> Option<(ConversationKey, u64)> {
        let Input::Committed { key, outcome } = input else { return None };
        let mut inner = self.disk.inner();
        inner.told(key);
        let durable = inner.rows.get(key).map_or(0, |rows| rows.durable);
        matches!(outcome, CommitOutcome::Committed).then(|| (key.clone(), durable - 1))
    }

    fn feed(&mut self, now: Now, input: Input) {
        self.note(|| format!("<- {input:?}"));
        let from = self.effects.len();
        self.machine.handle(now, input, &mut self.effects);
        self.observe(from);
    }

    fn observe(&mut self, from: usize) {
        for at in from..self.effects.len() {
            let line = (self.verbose || self.hash.is_some()).then(|| format!("-> {:?}", self.effects[at]));
            if let Some(line) = line {
                self.note(|| line);
            }
        }
        self.oracle.observe(&self.effects[from..]);
    }

    fn act(&mut self, effect: Effect) {
        let delay = self.profile.delay_us(&mut self.rng);
        match effect {
            Effect::Append(batch) => {
                self.disk.inner().hand_over(&batch);
                let fate = self.fate();
                let id = self.disk.begin(Mutation::Append(batch, fate));
                self.at(delay, Event::Mutation(id));
            }
            Effect::Project { key, projection } => {
                let id = self.disk.begin(Mutation::Project(key, projection));
                self.at(delay, Event::Mutation(id));
            }
            Effect::Raise(marks) => {
                let id = self.disk.begin(Mutation::Raise(marks));
                self.at(delay, Event::Mutation(id));
            }
            Effect::Load { key, cutoffs } => self.at(delay, Event::Load(key, cutoffs)),
            Effect::Read { key, ticket, plan } => self.at(delay, Event::Read(key, ticket, plan)),
            Effect::Decoy { key, to } => self.at(delay, Event::Decoy(key, to)),
            Effect::Answer { to, answer } => self.answered(to, &answer),
            Effect::KeepRoles(told) => self.at(delay, Event::KeepRoles(told)),
            Effect::LoadHome { home, own } => self.at(delay, Event::LoadHome(home, own)),
            Effect::Presence { edge, now } => {
                if let Some(turn) = self.oracle.presence.unwanted(edge, &now) {
                    self.send_unwatch(edge, &now, turn);
                }
            }
            Effect::LoadSeen { home, process, began_ms } => self.at(delay, Event::LoadSeen(home, process, began_ms)),
            Effect::Tell(message) => self.tell(*message),
            Effect::Parted { .. } => self.send_over(),
            // What is first here is left to chance.
            Effect::Hurry(_) => {}
            Effect::Publish { .. } | Effect::Typing { .. } | Effect::Marks { .. } | Effect::Listed { .. } => {}
        }
    }

    fn fate(&mut self) -> Fate {
        let Faults { refused, unknown, .. } = self.profile.faults;
        if self.rng.chance(refused) {
            return Fate::Refused(*self.rng.pick(&[Refusal::Full, Refusal::Closed]));
        }
        if self.rng.chance(unknown) {
            return *self.rng.pick(&[Fate::UnknownStored, Fate::UnknownLate, Fate::UnknownNever]);
        }
        Fate::Stored
    }

    pub(super) fn mutation(&mut self, id: u64) {
        match self.disk.settle(id) {
            Some(Done::Append(batch, outcome, late)) => {
                if late {
                    let delay = self.profile.delay_us(&mut self.rng) * self.rng.within(1, 20);
                    let id = self.disk.begin(Mutation::Late(batch.clone()));
                    self.at(delay, Event::Mutation(id));
                }
                let key = batch.key.clone();
                let outcome = match outcome {
                    Outcome::Stored => {
                        let delay = self.profile.delay_us(&mut self.rng);
                        return self.at(delay, Event::Confirm(batch));
                    }
                    Outcome::Refused(refusal) => CommitOutcome::Refused { full: refusal == Refusal::Full, batch },
                    Outcome::Unknown => CommitOutcome::Unknown(batch),
                };
                self.complete(Input::Committed { key, outcome });
            }
            Some(Done::Project(key, result)) => self.complete(Input::Projected { key, result }),
            Some(Done::Raise(marks, result)) => {
                if result.is_ok() {
                    self.oracle.marks_are_kept(&marks);
                }
                self.complete(Input::Raised(result));
            }
            Some(Done::Late) | None => {}
        }
    }

    pub(super) fn confirm(&mut self, batch: Batch) {
        let confirmed = !self.rng.chance(self.profile.faults.barrier);
        self.disk.inner().barrier(&batch, confirmed);
        let key = batch.key.clone();
        let outcome = if confirmed { CommitOutcome::Committed } else { CommitOutcome::Unknown(batch) };
        self.complete(Input::Committed { key, outcome });
    }
}
