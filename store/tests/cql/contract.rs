//! The contract, on the CQL store.

use std::time::Instant;

use futures_executor::block_on;
use switchyard_store::BoxFuture;
use switchyard_store::contract::{CASES, Subject, Whole, run};
use switchyard_store::cql::Cql;

use crate::support::store;

struct Store(Option<Cql>);

impl Subject for Store {
    fn store(&self) -> &dyn Whole {
        self.0.as_ref().expect("open but while it is reopened")
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
