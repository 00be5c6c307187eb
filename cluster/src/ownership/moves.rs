//! Planned moves. Only the owner gives a shard away: it stops taking in, finishes what is in flight, and claims for the other
//! one. From before that claim is sent it neither acknowledges nor answers in the shard and epoch, whatever becomes of
//! it; to go on, it claims the next epoch for itself.

use switchyard_protocol::owner::{Cell, Epoch};
use switchyard_protocol::shard::{SHARDS, Shard};

use super::config::MOVES_MAX;
use super::event::{Effect, Level};
use super::rules::Rule;
use super::shards::Standing;
use super::{Ownership, Phase};

impl Ownership {
    /// Begins to move what others should have, a few shards at a time.
    pub(super) fn balance(&mut self) {
        if !self.rebalance && !self.draining || self.shards.moving().len() >= MOVES_MAX {
            return;
        }
        let wish = if self.draining { self.wish() } else { self.settled_wish() };
        if self.balanced.as_ref() == Some(&wish) {
            self.rebalance = false;
            return;
        }
        let own = self.own.incarnation;
        let strange = self.shards.owned_from(0).filter_map(|(shard, epoch)| {
            let to = wish.of(shard).filter(|to| *to != own)?;
            Some((shard, epoch, to))
        });
        let room = MOVES_MAX.saturating_sub(self.shards.moving().len());
        let moves: Vec<_> = strange.take(room).collect();
        if moves.len() < room {
            (self.balanced, self.rebalance) = (Some(wish), false);
        }
        for (shard, epoch, to) in moves {
            self.shards.set(self.now.mono, shard, Standing::Stopping(epoch, to));
            self.out.push(Effect::StopShard { shard, epoch, within: self.config.finish_max });
        }
    }

    /// Nothing is in flight in it any more.
    pub(super) fn stopped(&mut self, shard: Shard, epoch: Epoch) {
        let Standing::Stopping(of, to) = self.shards.standing(shard) else { return };
        if of != epoch {
            return;
        }
        let leaves = self.is_worth_a_move(to);
        let standing = if leaves { Standing::Leaving(epoch, to) } else { Standing::Returning(epoch) };
        self.shards.set(self.now.mono, shard, standing);
        self.cells.want(Cell::of(shard), Level::Quorum);
    }

    /// Gives up moves that lead nowhere.
    pub(super) fn check_moves(&mut self) {
        let mut given_up = Vec::new();
        for (shard, began) in self.shards.moving() {
            if let Standing::Leaving(epoch, to) = self.shards.standing(*shard)
                && (self.now.mono >= *began + self.config.move_max || !self.is_worth_a_move(to))
            {
                given_up.push((*shard, epoch));
            }
        }
        for (shard, epoch) in given_up {
            // The claim may be carried out at any time, so this epoch is over.
            if self.rules.has(Rule::MoveTakesNewEpoch) {
                self.shards.set(self.now.mono, shard, Standing::Returning(epoch));
                self.cells.want(Cell::of(shard), Level::Quorum);
            } else {
                self.shards.set(self.now.mono, shard, Standing::Owned(epoch));
                self.out.push(Effect::Owned { shard, epoch });
            }
        }
    }

    /// When a move is to be given up.
    pub(super) fn moves_due(&self) -> std::time::Duration {
        let leaving = self
            .shards
            .moving()
            .iter()
            .filter(|(shard, _)| matches!(self.shards.standing(**shard), Standing::Leaving(..)));
        leaving.map(|(_, began)| *began + self.config.move_max).min().unwrap_or(std::time::Duration::MAX)
    }

    /// With everything moved away it fences itself, so that nobody has to suspect it.
    pub(super) fn drained(&mut self) {
        if self.draining && matches!(self.phase, Phase::Live) && self.shards.owned() == 0 {
            self.fence_off(self.own.incarnation);
        }
    }

    /// Whether this router may acknowledge what it has stored in this shard and epoch, and the store has confirmed.
    pub fn may_acknowledge(&self, shard: Shard, epoch: Epoch) -> bool {
        let standing = self.shards.standing(shard);
        let is_served = standing.is_served() || !self.rules.has(Rule::MoveStopsAcks);
        matches!(self.phase, Phase::Live) && is_served && standing.epoch() == Some(epoch)
    }

    /// In which epoch this router may answer for a shard (its head, the end of history, members, lists), as long as it is
    /// [sure](super::Sight); nothing if it may not: it is somebody else's, or being moved.
    pub fn may_answer(&self, shard: Shard) -> Option<Epoch> {
        let standing = self.shards.standing(shard);
        let is_served = standing.is_served() || !self.rules.has(Rule::MoveStopsAnswers);
        standing.epoch().filter(|_| matches!(self.phase, Phase::Live) && is_served)
    }
}

const _: () = assert!(MOVES_MAX <= SHARDS as usize);
