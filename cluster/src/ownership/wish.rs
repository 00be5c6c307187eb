//! The wish: which router should have a shard, by rendezvous hashing over those that live. It decides who claims what a dead
//! one had, and what is moved; routers that see different ones for a while wish different things, which costs a claim
//! that is refused.

use std::time::Duration;

use switchyard_protocol::owner::{Incarnation, weight};
use switchyard_protocol::shard::Shard;

use super::Ownership;

/// Among whom shards are shared out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wish {
    routers: Vec<(Incarnation, String)>,
}

impl Wish {
    /// Who should have it; of two at one address the later number, for one of them is dead. Nobody, if there is nobody.
    pub(super) fn of(&self, shard: Shard) -> Option<Incarnation> {
        let heaviest = self.routers.iter().max_by_key(|(incarnation, address)| (weight(shard, address), *incarnation));
        heaviest.map(|(incarnation, _)| *incarnation)
    }
}

impl Ownership {
    /// Over all that live, also the newest: for shards that nobody serves.
    pub(super) fn wish(&self) -> Wish {
        self.wish_among(self.now.mono)
    }

    /// Over those that have been there for a while: for shards that somebody serves well.
    pub(super) fn settled_wish(&self) -> Wish {
        self.wish_among(self.now.mono.saturating_sub(self.config.newcomer))
    }

    fn wish_among(&self, met_until: Duration) -> Wish {
        let heard_since = self.now.mono.saturating_sub(self.config.silence_max);
        let others = self.peers.candidates(heard_since, met_until);
        let own = (!self.draining).then_some((self.own.incarnation, self.own.address.as_str()));
        Wish { routers: others.chain(own).map(|(incarnation, address)| (incarnation, address.to_owned())).collect() }
    }
}
