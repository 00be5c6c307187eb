//! The two tables of the store: each partition decides one transaction after the other, and its replicas learn of it one by
//! one. So one replica may know of a fence that two others do not.

use std::collections::BTreeMap;

use switchyard_cluster::ownership::{Answer, Call, Level};
use switchyard_protocol::owner::{Cell, Holder, Incarnation, RouterRow, RouterState};
use switchyard_protocol::shard::Shard;
use switchyard_store::rules::Rules;
use switchyard_store::transactions;

pub(crate) const REPLICAS: usize = 3;

/// A partition: all that was ever decided, and how much of it each replica knows.
#[derive(Clone)]
struct Partition<T> {
    decided: Vec<T>,
    knows: [usize; REPLICAS],
}

impl<T: Clone> Partition<T> {
    fn new(first: T) -> Self {
        Self { decided: vec![first], knows: [0; REPLICAS] }
    }

    fn latest(&self) -> &T {
        self.decided.last().expect("there is a first")
    }

    /// What a transaction does before anything else: a quorum learns all that was decided.
    fn repair(&mut self, quorum: [usize; 2]) {
        quorum.into_iter().for_each(|replica| self.knows[replica] = self.decided.len() - 1);
    }

    /// What the better informed of these knows.
    fn read(&self, replicas: &[usize]) -> &T {
        let version = replicas.iter().map(|replica| self.knows[*replica]).max().unwrap_or(0);
        &self.decided[version]
    }
}

/// Names a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Key {
    Router(Incarnation),
    Cell(Cell),
}

/// Something that was decided and of which the replicas are to learn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) key: Key,
    version: usize,
}

/// What a transaction has found whose condition does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    Router(Option<RouterRow>),
    Holders(Vec<(Shard, Holder)>),
}

type Holders = BTreeMap<Shard, Holder>;

/// Both tables.
pub(crate) struct Tables {
    routers: BTreeMap<Incarnation, Partition<Option<RouterRow>>>,
    cells: BTreeMap<Cell, Partition<Holders>>,
    rules: Rules,
}

impl Tables {
    pub(crate) fn new(rules: Rules) -> Self {
        let cells = Cell::all().map(|cell| (cell, Partition::new(Holders::new()))).collect();
        Self { routers: BTreeMap::new(), cells, rules }
    }

    fn router(&mut self, incarnation: Incarnation) -> &mut Partition<Option<RouterRow>> {
        self.routers.entry(incarnation).or_insert_with(|| Partition::new(None))
    }

    /// Carries a transaction out, if its condition holds. What was claimed is given to the judge.
    pub(crate) fn transact(
        &mut self,
        call: &Call,
        quorum: [usize; 2],
        mut claimed: impl FnMut(Shard, Holder),
    ) -> Result<Decided, Refused> {
        let rules = self.rules;
        match call {
            Call::InsertRouter(row) => self.change_router(row.incarnation, quorum, |found| match found {
                None => Some(row.clone()),
                Some(_) => None,
            }),
            Call::Fence(incarnation) => {
                self.change_router(*incarnation, quorum, |found| transactions::fenced(found.as_ref()))
            }
            Call::Claim { cell, claims } => {
                let partition = self.cells.get_mut(cell).expect("all are there");
                partition.repair(quorum);
                let mut holders = partition.latest().clone();
                let held = transactions::claimed(*cell, claims, rules, |shard| holders.get(&shard).copied());
                let Some(held) = held else {
                    let found = claims.iter().filter_map(|claim| Some((claim.shard, *holders.get(&claim.shard)?)));
                    return Err(Refused::Holders(found.collect()));
                };
                held.iter().for_each(|(shard, holder)| claimed(*shard, *holder));
                holders.extend(held);
                partition.decided.push(holders);
                Ok(Decided { key: Key::Cell(*cell), version: partition.decided.len() - 1 })
            }
            Call::ReadCell { .. } | Call::ReadRouter { .. } | Call::ListRouters => panic!("it is a read: {call:?}"),
        }
    }

    fn change_router(
        &mut self,
        incarnation: Incarnation,
        quorum: [usize; 2],
        change: impl FnOnce(&Option<RouterRow>) -> Option<RouterRow>,
    ) -> Result<Decided, Refused> {
        let partition = self.router(incarnation);
        partition.repair(quorum);
        let row = change(partition.latest()).ok_or_else(|| Refused::Router(partition.latest().clone()))?;
        partition.decided.push(Some(row));
        Ok(Decided { key: Key::Router(incarnation), version: partition.decided.len() - 1 })
    }

    /// The row of a router is deleted.
    pub(crate) fn forget(&mut self, incarnation: Incarnation, quorum: [usize; 2]) -> Decided {
        let partition = self.router(incarnation);
        partition.repair(quorum);
        partition.decided.push(None);
        Decided { key: Key::Router(incarnation), version: partition.decided.len() - 1 }
    }

    /// A replica learns what was decided.
    pub(crate) fn learn(&mut self, decided: Decided, replica: usize) {
        let knows = match decided.key {
            Key::Router(incarnation) => &mut self.router(incarnation).knows,
            Key::Cell(cell) => &mut self.cells.get_mut(&cell).expect("all are there").knows,
        };
        knows[replica] = knows[replica].max(decided.version);
    }

    /// How much a replica knows of a router.
    pub(crate) fn half_read(&mut self, incarnation: Incarnation, replica: usize) -> usize {
        self.router(incarnation).knows[replica]
    }

    /// The row of which that much is known.
    pub(crate) fn router_at(&mut self, incarnation: Incarnation, version: usize) -> Option<RouterRow> {
        self.router(incarnation).decided[version].clone()
    }

    /// Reads at one moment.
    pub(crate) fn read(&mut self, call: &Call, quorum: [usize; 2]) -> Answer {
        match call {
            Call::ReadCell { cell, level } => {
                let partition = self.cells.get_mut(cell).expect("all are there");
                if *level == Level::Serial {
                    partition.repair(quorum);
                }
                Answer::Cell(partition.read(&quorum).iter().map(|(shard, holder)| (*shard, *holder)).collect())
            }
            Call::ReadRouter { incarnation, level } => {
                let partition = self.router(*incarnation);
                if *level == Level::Serial {
                    partition.repair(quorum);
                }
                Answer::Router(partition.read(&quorum).clone())
            }
            Call::ListRouters => {
                let rows = self.routers.values().filter_map(|partition| partition.read(&quorum).clone());
                Answer::Routers(rows.filter(|row| row.state == RouterState::Live).collect())
            }
            Call::InsertRouter(_) | Call::Fence(_) | Call::Claim { .. } => Answer::Unknown,
        }
    }

    /// Who holds a shard in truth.
    pub(crate) fn holder(&self, shard: Shard) -> Option<Holder> {
        self.cells.get(&Cell::of(shard))?.latest().get(&shard).copied()
    }
}
