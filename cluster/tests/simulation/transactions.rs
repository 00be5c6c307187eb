//! Calls about the tables of owners: transactions that are late, lost, repeated or unknown, and reads.

use std::rc::Rc;

use switchyard_cluster::ownership::{Call, Level};
use switchyard_store::quorum::Reached;

use super::plan::{MS, SECOND, Time};
use super::requests::Asker;
use super::rules::Removed;
use super::store::Reply;
use super::world::{Happening, World};

/// Where the store gives up.
const TIMEOUT: Time = SECOND;

impl World {
    /// Nothing is known in the end.
    fn unknown(&mut self, by: Asker) {
        let after = TIMEOUT + self.rng.below(200 * MS);
        self.reply(after, by, Reply::Failed(Reached::Perhaps));
    }

    /// The real code asks the store.
    pub(crate) fn ask_owners(&mut self, by: Asker, call: Call) {
        let is_cut = self.now < self.places[by.place].store_cut_until;
        if is_cut || self.rng.chance(self.plan.lost) {
            return self.unknown(by);
        }
        let there = self.latency();
        let call = Rc::new(call);
        match *call {
            Call::ReadRouter { incarnation, level: Level::Quorum } => {
                let now = self.now;
                if let Some(process) = self.process(by.place)
                    && process.machine.incarnation() == incarnation
                {
                    process.barriers.insert(by.id, now);
                }
                self.read_router(there, incarnation, false, by);
            }
            Call::ReadCell { .. } | Call::ReadRouter { .. } | Call::ListRouters => {
                self.after(there, Happening::Read { call, by });
            }
            Call::InsertRouter(_) | Call::Fence(_) | Call::Claim { .. } => self.send_transaction(there, call, by),
        }
    }

    fn send_transaction(&mut self, there: Time, call: Rc<Call>, by: Asker) {
        if self.rng.chance(self.plan.twice) {
            let again = self.rng.within(MS, 4 * SECOND);
            self.after(there + again, Happening::Transact { call: call.clone(), by: None });
            self.see("transactions carried out twice");
        }
        if self.rng.chance(self.plan.late) {
            let late = self.rng.within(SECOND, 8 * SECOND);
            self.after(late, Happening::Transact { call, by: None });
            self.see("transactions carried out late");
            return self.unknown(by);
        }
        if self.rng.chance(self.plan.untold) {
            self.after(there, Happening::Transact { call, by: None });
            self.see("transactions of which nobody was told");
            return self.unknown(by);
        }
        self.after(there, Happening::Transact { call, by: Some(by) });
    }

    pub(crate) fn transact(&mut self, call: &Call, by: Option<Asker>) {
        let quorum = self.quorum();
        let (now, judge) = (self.now, &mut self.judge);
        let decided = self.tables.transact(call, quorum, |shard, holder| judge.claimed(now, shard, holder));
        let decided = match decided {
            Ok(decided) => decided,
            Err(refused) => {
                if let Some(by) = by {
                    self.see("transactions refused");
                    let after = self.latency();
                    self.reply(after, by, Reply::Refused(refused));
                }
                return;
            }
        };
        if let (Some(Removed::FenceIsFinal), Call::Fence(incarnation)) = (self.removed, call) {
            let after = self.rng.below(SECOND);
            self.after(after, Happening::Forgets(*incarnation));
        }
        let mut learned = Vec::new();
        for replica in 0..3 {
            if let Some(after) = self.plan.learns_after(&mut self.rng) {
                learned.push(after);
                self.after(after, Happening::Learns { decided, replica });
            }
        }
        learned.sort_unstable();
        let Some(by) = by else { return };
        match learned.get(1) {
            Some(after) if *after < TIMEOUT => {
                // A quorum has it only then.
                let back = self.latency();
                self.reply(after + back, by, Reply::Done);
            }
            _ => {
                self.see("transactions known to one replica at most");
                self.unknown(by);
            }
        }
    }
}
