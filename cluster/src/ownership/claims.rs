//! Claims: what may be claimed of a cell, all in one conditional transaction, and what came of it.
//!
//! A claim names the owner and the epoch that it ends, so one that is carried out late does nothing if anything has happened
//! since. Refused or unknown, the cell is read as a transaction: `(Y, e + 1)` is won, `(X, e)` is claimed again, and what
//! has moved is left out.

use std::collections::BTreeSet;

use switchyard_protocol::owner::{Cell, Claim, Holder, Incarnation};
use switchyard_protocol::shard::Shard;

use super::Ownership;
use super::event::{Answer, Effect, Level};
use super::shards::Standing;
use super::wish::Wish;

impl Ownership {
    /// What may be claimed of a cell that was just read.
    pub(super) fn claims(&mut self, cell: Cell) -> Vec<Claim> {
        let mut claims = Vec::new();
        let mut wish = None;
        for shard in cell.shards() {
            let known = *self.cells.known(shard);
            if !known.is_fresh {
                continue;
            }
            let to = match self.shards.standing(shard) {
                Standing::Leaving(epoch, to) => self.holds(known.holder, epoch).then_some(to),
                Standing::Returning(epoch) => self.holds(known.holder, epoch).then_some(self.own.incarnation),
                Standing::Owned(_) | Standing::Stopping(..) => None,
                Standing::Other => self.should_take(shard, known.holder, &mut wish),
            };
            claims.extend(to.map(|to| Claim { shard, from: known.holder, to }).filter(|claim| claim.held().is_some()));
        }
        claims
    }

    fn holds(&self, holder: Option<Holder>, epoch: switchyard_protocol::owner::Epoch) -> bool {
        holder == Some(Holder { incarnation: self.own.incarnation, epoch })
    }

    /// This router, if it should claim a shard that is not its own: nobody ever had it, or its owner's fence is applied; and
    /// either the wish is for this router, or whoever should have claimed it has not for too long.
    fn should_take(&mut self, shard: Shard, holder: Option<Holder>, wish: &mut Option<Wish>) -> Option<Incarnation> {
        let may_claim = self.sweep.claims_from.is_some_and(|from| self.now.mono >= from) && !self.draining;
        let own = self.own.incarnation;
        if let Some(Holder { incarnation, .. }) = holder {
            if incarnation == own {
                return None;
            }
            if !self.fencing.is_applied(incarnation) {
                if !self.peers.is_listed(incarnation) {
                    self.inspect(incarnation);
                }
                return None;
            }
        }
        if !may_claim {
            return None;
        }
        let now = self.now.mono;
        let wished = wish.get_or_insert_with(|| self.wish()).of(shard);
        let since = *self.cells.known(shard).claimable_since.get_or_insert(now);
        (wished == Some(own) || now.saturating_sub(since) >= self.config.sweep_every).then_some(own)
    }

    /// The transaction has ended.
    pub(super) fn claimed(&mut self, cell: Cell, claims: &[Claim], answer: &Answer) {
        self.cells.ended(cell);
        if !matches!(answer, Answer::Applied) {
            self.cells.want(cell, Level::Serial);
            return self.cells.pace(cell).failed(self.now.mono, &self.config, &mut self.random);
        }
        self.cells.pace(cell).succeeded();
        let mut given = BTreeSet::new();
        for claim in claims {
            let Some(holder) = claim.held() else { continue };
            self.cells.known(claim.shard).holder = Some(holder);
            if holder.incarnation == self.own.incarnation {
                self.take(claim.shard, holder.epoch);
            } else {
                self.release(claim.shard);
                given.insert(holder.incarnation);
            }
        }
        for incarnation in given {
            self.out.push(Effect::TellGiven { incarnation, cell });
        }
    }
}
