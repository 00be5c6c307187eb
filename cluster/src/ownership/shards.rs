//! What each shard is to this router.

use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_protocol::owner::{Epoch, Incarnation};
use switchyard_protocol::shard::{SHARDS, Shard};

/// What a shard is to this router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Standing {
    /// Somebody else's, or nobody's.
    #[default]
    Other,
    /// Its own, in this epoch.
    Owned(Epoch),
    /// Its own, and about to be moved: what is in flight is being finished.
    Stopping(Epoch, Incarnation),
    /// Given away: from here on, before the claim is sent, neither acknowledged nor answered in this epoch again, whatever
    /// becomes of the claim.
    Leaving(Epoch, Incarnation),
    /// The same, but this router wants it back, in the next epoch.
    Returning(Epoch),
}

impl Standing {
    /// The epoch in which it is, or was, this router's.
    pub(super) fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Other => None,
            Self::Owned(epoch) | Self::Stopping(epoch, _) | Self::Leaving(epoch, _) | Self::Returning(epoch) => {
                Some(epoch)
            }
        }
    }

    /// Whether it is served.
    pub(super) fn is_served(self) -> bool {
        matches!(self, Self::Owned(_) | Self::Stopping(..))
    }

    /// Whether it is on its way to somebody.
    pub(super) fn is_moving(self) -> bool {
        matches!(self, Self::Stopping(..) | Self::Leaving(..) | Self::Returning(_))
    }
}

/// All shards.
#[derive(Debug)]
pub(super) struct Shards {
    standings: Vec<Standing>,
    /// When the moves under way began.
    moving: BTreeMap<Shard, Duration>,
    owned: usize,
}

impl Shards {
    pub(super) fn new() -> Self {
        Self { standings: vec![Standing::Other; SHARDS.into()], moving: Default::default(), owned: 0 }
    }

    pub(super) fn standing(&self, shard: Shard) -> Standing {
        self.standings.get(usize::from(shard.number())).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, now: Duration, shard: Shard, standing: Standing) {
        let Some(place) = self.standings.get_mut(usize::from(shard.number())) else { return };
        let had = std::mem::replace(place, standing) != Standing::Other;
        self.owned = self.owned + usize::from(standing != Standing::Other) - usize::from(had);
        if standing.is_moving() {
            self.moving.entry(shard).or_insert(now);
        } else {
            self.moving.remove(&shard);
        }
    }

    /// How many are this router's, those on their way among them.
    pub(super) fn owned(&self) -> usize {
        self.owned
    }

    /// Moves under way, and when they began.
    pub(super) fn moving(&self) -> &BTreeMap<Shard, Duration> {
        &self.moving
    }

    /// Those that are served, from a number on.
    pub(super) fn owned_from(&self, from: u16) -> impl Iterator<Item = (Shard, Epoch)> {
        (from..SHARDS).filter_map(Shard::new).filter_map(|shard| match self.standing(shard) {
            Standing::Owned(epoch) => Some((shard, epoch)),
            _ => None,
        })
    }
}
