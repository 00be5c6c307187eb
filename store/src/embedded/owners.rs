//! Ownership within one process. The lock on the data directory makes every router of every other process dead, so who owns
//! what is kept in memory alone, and two things on disk: the highest epoch, which is synced before anything is owned in it,
//! and the rows of routers, so that none starts twice.
//!
//! Opened again, each shard is held by [`EARLIER`], a router that is fenced, in the highest epoch that there was: no epoch
//! falls, and to claim all shards anew is one sync.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use switchyard_protocol::owner::{Cell, Claim, Epoch, Holder, Incarnation, RouterRow, RouterState};
use switchyard_protocol::shard::Shard;

use crate::ownership::{LIVE_ROUTERS_MAX, Level, Outcome, Ownership, Unavailable};
use crate::rules::Rules;
use crate::{BoxFuture, EpochError, transactions};

use super::engine::EngineFault;
use super::memory::gather::Tree;
use super::{Embedded, blocking, router_row};

/// Whoever held a shard in an earlier process. No router starts under this number.
const EARLIER: u64 = 1;

/// What a key of the meta tree begins with if it is a router's.
const ROUTER: u8 = b'r';

/// What is known since the store was opened. Empty until somebody asks.
#[derive(Default)]
pub(super) struct Owners {
    /// The highest epoch when it was asked for first, and now.
    epochs: Option<(u64, u64)>,
    /// Routers that were put since.
    routers: BTreeMap<Incarnation, RouterRow>,
    /// Shards that were claimed since.
    held: HashMap<Shard, Holder>,
}

impl Owners {
    /// How a shard is held.
    fn holder(&self, shard: Shard) -> Option<Holder> {
        let earlier = || {
            let epoch = self.epochs.and_then(|(opened, _)| Epoch::new(opened))?;
            Some(Holder { incarnation: Incarnation::new(EARLIER)?, epoch })
        };
        self.held.get(&shard).copied().or_else(earlier)
    }
}

impl Embedded {
    /// Works on the owners, with the epochs known.
    fn with_owners<T>(&self, work: impl FnOnce(&mut Owners) -> Result<T, EpochError>) -> Result<T, EpochError> {
        let mut owners = self.owners.lock().expect("nothing panics under this lock");
        if owners.epochs.is_none() {
            let epoch = self.synced_epoch()?;
            owners.epochs = Some((epoch, epoch));
        }
        work(&mut owners)
    }

    fn found_router(&self, owners: &Owners, incarnation: Incarnation) -> Result<Option<RouterRow>, EpochError> {
        if let Some(row) = owners.routers.get(&incarnation) {
            return Ok(Some(row.clone()));
        }
        let unavailable = |reason: &str| EpochError::Unavailable(reason.to_owned());
        let key = key(incarnation);
        match self.value(Tree::Meta, &key) {
            // Of an earlier process, so it is dead.
            Ok(Some(value)) => {
                let row = router_row::decode(incarnation, &key, &value);
                row.map(Some).ok_or_else(|| unavailable("the stored row of a router fails its checksum"))
            }
            Ok(None) if incarnation.number() == EARLIER => {
                Ok(Some(RouterRow { incarnation, state: RouterState::Fenced, address: String::new(), nonce: 0 }))
            }
            Ok(None) => Ok(None),
            Err(EngineFault::Damage(reason) | EngineFault::Unavailable(reason)) => Err(unavailable(&reason)),
        }
    }

    fn put_router(&self, row: &RouterRow) -> Result<Outcome<RouterRow>, EpochError> {
        self.with_owners(|owners| {
            if let Some(found) = self.found_router(owners, row.incarnation)? {
                return Ok(Outcome::Refused(found));
            }
            let key = key(row.incarnation);
            let value = router_row::encode(&key, row);
            self.sync_meta(key, value)?;
            owners.routers.insert(row.incarnation, row.clone());
            Ok(Outcome::Applied)
        })
    }

    fn fence_router(&self, incarnation: Incarnation) -> Result<Outcome<()>, EpochError> {
        self.with_owners(|owners| {
            let found = self.found_router(owners, incarnation)?;
            let Some(row) = transactions::fenced(found.as_ref()) else { return Ok(Outcome::Refused(())) };
            // Nothing to store: whoever opens the store next finds all of them fenced.
            owners.routers.insert(incarnation, row);
            Ok(Outcome::Applied)
        })
    }

    fn claim_shards(&self, cell: Cell, claims: &[Claim]) -> Result<Outcome<Vec<(Shard, Holder)>>, EpochError> {
        self.with_owners(|owners| {
            let Some(held) = transactions::claimed(cell, claims, Rules::default(), |shard| owners.holder(shard)) else {
                let found = claims.iter().map(|claim| claim.shard).filter(|shard| Cell::of(*shard) == cell);
                let found = found.filter_map(|shard| Some((shard, owners.holder(shard)?))).collect();
                return Ok(Outcome::Refused(found));
            };
            let highest = held.iter().map(|(_, holder)| holder.epoch.number()).max().unwrap_or(0);
            if let Some((_, synced)) = &mut owners.epochs
                && highest > *synced
            {
                let _one_at_a_time = self.epoch_lock.lock().expect("nothing panics under this lock");
                // Somebody may have opened an epoch meanwhile, which must not fall either.
                *synced = self.synced_epoch()?.max(highest);
                self.sync_epoch(*synced)?;
            }
            owners.held.extend(held);
            Ok(Outcome::Applied)
        })
    }
}

fn key(incarnation: Incarnation) -> Bytes {
    Bytes::from([&[ROUTER][..], &incarnation.number().to_be_bytes()].concat())
}

/// Whether this is the key of a router, and the value one that was written for it.
pub(super) fn is_sound(key: &[u8], value: &[u8]) -> bool {
    let number = key.strip_prefix(&[ROUTER]).and_then(|number| Some(u64::from_be_bytes(number.try_into().ok()?)));
    let incarnation = number.and_then(Incarnation::new);
    incarnation.is_some_and(|incarnation| router_row::decode(incarnation, key, value).is_some())
}

/// What failed may be on disk nevertheless; the store says no more until it is opened again.
fn unknown<T>(result: Result<Outcome<T>, EpochError>) -> Outcome<T> {
    result.unwrap_or(Outcome::Unknown)
}

fn read<T>(result: Result<T, EpochError>) -> Result<T, Unavailable> {
    result.map_err(|error| Unavailable(error.to_string()))
}

impl Ownership for Embedded {
    fn insert_router<'a>(&'a self, row: &'a RouterRow) -> BoxFuture<'a, Outcome<RouterRow>> {
        blocking(move || unknown(self.put_router(row)))
    }

    fn fence(&self, incarnation: Incarnation) -> BoxFuture<'_, Outcome<()>> {
        blocking(move || unknown(self.fence_router(incarnation)))
    }

    fn claim<'a>(&'a self, cell: Cell, claims: &'a [Claim]) -> BoxFuture<'a, Outcome<Vec<(Shard, Holder)>>> {
        blocking(move || unknown(self.claim_shards(cell, claims)))
    }

    fn cell(&self, cell: Cell, _: Level) -> BoxFuture<'_, Result<Vec<(Shard, Holder)>, Unavailable>> {
        let holders = move |owners: &mut Owners| {
            Ok(cell.shards().filter_map(|shard| Some((shard, owners.holder(shard)?))).collect())
        };
        blocking(move || read(self.with_owners(holders)))
    }

    fn router(&self, incarnation: Incarnation, _: Level) -> BoxFuture<'_, Result<Option<RouterRow>, Unavailable>> {
        blocking(move || read(self.with_owners(|owners| self.found_router(owners, incarnation))))
    }

    fn live_routers(&self) -> BoxFuture<'_, Result<Vec<RouterRow>, Unavailable>> {
        let live = |owners: &mut Owners| {
            let live = owners.routers.values().filter(|row| row.state == RouterState::Live);
            Ok(live.take(LIVE_ROUTERS_MAX).cloned().collect())
        };
        blocking(move || read(self.with_owners(live)))
    }
}
