//! The store's trait of ownership over the simulated tables: a call of it is a request that the world carries out. And its contract, for
//! tables that are never late: the same suite that the other two stores keep.

use std::future::ready;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Waker};

use switchyard_cluster::ownership::{Answer, Call, Level};
use switchyard_protocol::owner::{Cell, Claim, Holder, Incarnation, RouterRow};
use switchyard_protocol::shard::Shard;
use switchyard_store::BoxFuture;
use switchyard_store::contract::{self, Subject, Whole};
use switchyard_store::ownership::{self, Outcome, Ownership, Unavailable};
use switchyard_store::quorum::Sizes;
use switchyard_store::rules::Rules;

use super::store::{Reply, Request, Store};
use super::tables::{Refused, Tables};

fn level(level: ownership::Level) -> Level {
    match level {
        ownership::Level::Quorum => Level::Quorum,
        ownership::Level::Serial => Level::Serial,
    }
}

impl Store {
    async fn transact<Found>(&self, call: Call, found: impl FnOnce(Refused) -> Option<Found>) -> Outcome<Found> {
        match self.ask(Request::Owners(call)).await {
            Reply::Done => Outcome::Applied,
            Reply::Refused(refused) => found(refused).map_or(Outcome::Unknown, Outcome::Refused),
            _ => Outcome::Unknown,
        }
    }

    async fn look<Found>(&self, call: Call, found: impl FnOnce(Answer) -> Option<Found>) -> Result<Found, Unavailable> {
        let reply = self.ask(Request::Owners(call)).await;
        let answer = if let Reply::Owners(answer) = reply { found(answer) } else { None };
        answer.ok_or_else(|| Unavailable("it does not answer".to_owned()))
    }
}

impl Ownership for Store {
    fn insert_router<'a>(&'a self, row: &'a RouterRow) -> BoxFuture<'a, Outcome<RouterRow>> {
        Box::pin(self.transact(Call::InsertRouter(row.clone()), |refused| match refused {
            Refused::Router(found) => found,
            Refused::Holders(_) => None,
        }))
    }

    fn fence(&self, incarnation: Incarnation) -> BoxFuture<'_, Outcome<()>> {
        Box::pin(self.transact(Call::Fence(incarnation), |_| Some(())))
    }

    fn claim<'a>(&'a self, cell: Cell, claims: &'a [Claim]) -> BoxFuture<'a, Outcome<Vec<(Shard, Holder)>>> {
        // A transaction is of one partition.
        if claims.iter().any(|claim| Cell::of(claim.shard) != cell) {
            return Box::pin(ready(Outcome::Refused(Vec::new())));
        }
        let call = Call::Claim { cell, claims: claims.to_vec() };
        Box::pin(self.transact(call, |refused| match refused {
            Refused::Holders(found) => Some(found),
            Refused::Router(_) => None,
        }))
    }

    fn cell(&self, cell: Cell, at: ownership::Level) -> BoxFuture<'_, Result<Vec<(Shard, Holder)>, Unavailable>> {
        Box::pin(self.look(Call::ReadCell { cell, level: level(at) }, |answer| match answer {
            Answer::Cell(rows) => Some(rows),
            _ => None,
        }))
    }

    fn router(
        &self,
        incarnation: Incarnation,
        at: ownership::Level,
    ) -> BoxFuture<'_, Result<Option<RouterRow>, Unavailable>> {
        Box::pin(self.look(Call::ReadRouter { incarnation, level: level(at) }, |answer| match answer {
            Answer::Router(row) => Some(row),
            _ => None,
        }))
    }

    fn live_routers(&self) -> BoxFuture<'_, Result<Vec<RouterRow>, Unavailable>> {
        Box::pin(self.look(Call::ListRouters, |answer| match answer {
            Answer::Routers(rows) => Some(rows),
            _ => None,
        }))
    }
}

/// Tables that answer at once.
struct Prompt {
    store: Store,
    tables: Mutex<Tables>,
}

impl Prompt {
    fn carry_out(&self, call: &Call) -> Reply {
        let mut tables = self.tables.lock().unwrap();
        match call {
            Call::ReadCell { .. } | Call::ReadRouter { .. } | Call::ListRouters => {
                Reply::Owners(tables.read(call, [0, 1]))
            }
            Call::InsertRouter(_) | Call::Fence(_) | Call::Claim { .. } => {
                match tables.transact(call, [1, 2], |_, _| {}) {
                    Ok(decided) => {
                        [1, 2].into_iter().for_each(|replica| tables.learn(decided, replica));
                        Reply::Done
                    }
                    Err(refused) => Reply::Refused(refused),
                }
            }
        }
    }
}

impl Subject for Prompt {
    fn store(&self) -> &dyn Whole {
        panic!("it keeps the tables of owners alone");
    }

    fn ownership(&self) -> &dyn Ownership {
        &self.store
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut context).is_pending() {
            let posted = std::mem::take(&mut self.store.mail().posted);
            for (id, request) in posted {
                let Request::Owners(call) = request else { panic!("nothing else is asked: {request:?}") };
                self.store.answer(id, self.carry_out(&call));
            }
        }
    }

    fn reopen(&mut self) {}
}

#[test]
fn the_simulated_tables_keep_the_contract_of_ownership() {
    let store = Store::new(Sizes::REAL, Rules::default());
    let mut subject = Prompt { store, tables: Mutex::new(Tables::new(Rules::default())) };
    for case in contract::OWNERSHIP {
        println!("{}", case.name);
        contract::run(case, &mut subject);
    }
}
