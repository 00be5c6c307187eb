//! The contract, on the embedded store.

use futures_executor::block_on;
use switchyard_store::contract::{CASES, Subject, run};
use switchyard_store::embedded::Embedded;
use switchyard_store::{BoxFuture, Epochs, Log, Projections};
use tempfile::TempDir;

use crate::support::{open, temp_dir};

struct Store {
    dir: TempDir,
    store: Option<Embedded>,
}

impl Store {
    fn store(&self) -> &Embedded {
        self.store.as_ref().expect("open but while it is reopened")
    }
}

impl Subject for Store {
    fn log(&self) -> &dyn Log {
        self.store()
    }

    fn projections(&self) -> &dyn Projections {
        self.store()
    }

    fn epochs(&self) -> &dyn Epochs {
        self.store()
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        block_on(future);
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(open(self.dir.path()));
    }
}

#[test]
fn keeps_the_contract() {
    let dir = temp_dir();
    let store = Some(open(dir.path()));
    let mut subject = Store { dir, store };
    for case in CASES.iter().copied().flatten() {
        println!("{}", case.name);
        run(case, &mut subject);
    }
}
