//! The contract, on the CQL store.

use std::time::Instant;

use futures_executor::block_on;
use switchyard_store::contract::{CASES, Subject, run};
use switchyard_store::cql::Cql;
use switchyard_store::ownership::Ownership;
use switchyard_store::{BoxFuture, Epochs, Log, Marks, Projections};

use crate::support::store;

struct Store(Option<Cql>);

impl Store {
    fn store(&self) -> &Cql {
        self.0.as_ref().expect("open but while it is reopened")
    }
}

impl Subject for Store {
    fn log(&self) -> &dyn Log {
        self.store()
    }

    fn projections(&self) -> &dyn Projections {
        self.store()
    }

    fn marks(&self) -> &dyn Marks {
        self.store()
    }

    fn epochs(&self) -> &dyn Epochs {
        self.store()
    }

    fn ownership(&self) -> &dyn Ownership {
        self.store()
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        block_on(future);
    }

    fn reopen(&mut self) {
        self.0 = None;
        self.0 = Some(store());
    }
}

#[test]
fn keeps_the_contract() {
    let mut subject = Store(Some(store()));
    for case in CASES.iter().copied().flatten() {
        let started = Instant::now();
        run(case, &mut subject);
        println!("{:>6} ms  {}", started.elapsed().as_millis(), case.name);
    }
}
