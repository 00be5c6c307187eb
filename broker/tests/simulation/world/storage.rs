//! What the owner has done by threads of its own: appending and confirming, projections, reads. Each step takes its time
//! and may fail as the store's contract allows.

use switchyard_cluster::link::Delivery;
use switchyard_router::config::Cutoffs;
use switchyard_router::driver::{Touch, homes, load, read, roles, rows, seen};
use switchyard_router::machine::{CommitOutcome, Effect, Input};
use switchyard_store::{Batch, Outcome, Refusal};

use super::{Inside, World};
use crate::disk::{Done, Fate, Mutation};
use crate::profile::Faults;

impl World {
    pub(super) fn act(&mut self, effect: Effect) {
        let delay = self.plan.profile.delay_us(&mut self.rng);
        match effect {
            Effect::Append(batch) => {
                self.disk.inner().hand_over(&batch);
                let fate = self.fate();
                let id = self.disk.begin(Mutation::Append(batch, fate));
                self.inside(delay, Inside::Mutation(id));
            }
            Effect::Project { key, projection } => {
                let id = self.disk.begin(Mutation::Project(key, projection));
                self.inside(delay, Inside::Mutation(id));
            }
            Effect::Raise(marks) => {
                let id = self.disk.begin(Mutation::Raise(marks));
                self.inside(delay, Inside::Mutation(id));
            }
            Effect::Load { key, cutoffs } => self.inside(delay, Inside::Load(key, cutoffs)),
            Effect::Read { key, ticket, plan } => self.inside(delay, Inside::Read(key, ticket, plan)),
            Effect::Decoy { key, to } => self.inside(delay, Inside::Decoy(key, to)),
            Effect::Answer { to, answer } => self.deliver(to.edge, Delivery::Answer { to, answer }),
            Effect::Publish { edge, event } => self.deliver(edge, Delivery::Event(event)),
            Effect::Typing { edge, now } => self.deliver(edge, Delivery::Typing(now)),
            Effect::Marks { edge, now } => self.deliver(edge, Delivery::Marks(now)),
            Effect::Listed { edge, now } => self.deliver(edge, Delivery::Listed(now)),
            Effect::KeepRoles(told) => self.inside(delay, Inside::KeepRoles(told)),
            Effect::Presence { edge, now } => self.deliver(edge, Delivery::Presence(now)),
            // What is first here is left to chance.
            Effect::Hurry(_) => {}
            Effect::Parted { edge, parted } => self.deliver(edge, Delivery::Parted(parted)),
            Effect::LoadSeen { home, process, began_ms } => {
                self.inside(delay, Inside::LoadSeen(home, process, began_ms));
            }
            Effect::LoadHome { home, own } => self.inside(delay, Inside::LoadHome(home, own)),
            Effect::Tell(message) => self.hear(*message),
        }
    }

    fn fate(&mut self) -> Fate {
        let Faults { refused, unknown, .. } = self.plan.profile.faults;
        if self.rng.chance(refused) {
            return Fate::Refused(*self.rng.pick(&[Refusal::Full, Refusal::Closed]));
        }
        if self.rng.chance(unknown) {
            return *self.rng.pick(&[Fate::UnknownStored, Fate::UnknownLate, Fate::UnknownNever]);
        }
        Fate::Stored
    }

    pub(super) fn store_happens(&mut self, inside: Inside) {
        match inside {
            Inside::Mutation(id) => self.mutation(id),
            Inside::Confirm(batch) => self.confirm(batch),
            Inside::Load(key, cutoffs) => {
                let seed = self.process.as_ref().map_or(0, |process| process.machine_seed);
                let result = load::load(&*self.disk, &key, seed, cutoffs, Touch::Owner { epoch: self.life });
                self.complete(Input::Loaded { key, result });
            }
            Inside::Read(key, ticket, plan) => {
                let result = read::read(&*self.disk, &key, plan).map_err(|error| rows::failed(&error));
                self.complete(Input::Read { ticket, result });
            }
            Inside::Decoy(key, to) => {
                let failed = load::load(&*self.disk, &key, 0, Cutoffs::default(), Touch::Stranger)
                    .err()
                    .map(|error| error.failed);
                self.complete(Input::Decoyed { to, failed });
            }
            Inside::KeepRoles(told) => {
                let result = roles::keep(&*self.disk, &told);
                self.complete(Input::RolesKept { told, result });
            }
            Inside::LoadSeen(home, process, began_ms) => {
                let result = seen::load(&*self.disk, &home, process, began_ms);
                self.complete(Input::SeenLoaded { home, result });
            }
            Inside::LoadHome(home, own) => {
                let result = homes::load(&*self.disk, &home, own, Touch::Owner { epoch: self.life });
                self.complete(Input::HomeLoaded { home, result });
            }
            other => unreachable!("{other:?} is not the store's"),
        }
    }

    fn complete(&mut self, input: Input) {
        let delay = self.rng.within(1, 200);
        self.inside(delay, Inside::Complete(input));
    }

    fn mutation(&mut self, id: u64) {
        match self.disk.settle(id) {
            Some(Done::Append(batch, outcome, late)) => {
                if late {
                    let delay = self.plan.profile.delay_us(&mut self.rng) * self.rng.within(1, 20);
                    let id = self.disk.begin(Mutation::Late(batch.clone()));
                    self.inside(delay, Inside::Mutation(id));
                }
                let key = batch.key.clone();
                let outcome = match outcome {
                    Outcome::Stored => {
                        let delay = self.plan.profile.delay_us(&mut self.rng);
                        return self.inside(delay, Inside::Confirm(batch));
                    }
                    Outcome::Refused(refusal) => CommitOutcome::Refused { full: refusal == Refusal::Full, batch },
                    Outcome::Unknown => CommitOutcome::Unknown(batch),
                };
                self.complete(Input::Committed { key, outcome });
            }
            Some(Done::Project(key, result)) => self.complete(Input::Projected { key, result }),
            Some(Done::Raise(_, result)) => self.complete(Input::Raised(result)),
            Some(Done::Late) | None => {}
        }
    }

    fn confirm(&mut self, batch: Batch) {
        let confirmed = !self.rng.chance(self.plan.profile.faults.barrier);
        self.disk.inner().barrier(&batch, confirmed);
        self.oracle.stored(&batch.key);
        let key = batch.key.clone();
        let outcome = if confirmed { CommitOutcome::Committed } else { CommitOutcome::Unknown(batch) };
        self.complete(Input::Committed { key, outcome });
    }
}
