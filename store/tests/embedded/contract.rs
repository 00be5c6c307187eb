//! The contract, on the embedded store.

use futures_executor::block_on;
use switchyard_store::BoxFuture;
use switchyard_store::contract::{CASES, Subject, Whole, run};
use switchyard_store::embedded::{Embedded, Options};
use tempfile::TempDir;

use crate::support::{options, temp_dir};

struct Store {
    dir: TempDir,
    options: Options,
    store: Option<Embedded>,
}

impl Subject for Store {
    fn store(&self) -> &dyn Whole {
        self.store.as_ref().expect("open but while it is reopened")
    }

    fn block_on(&self, future: BoxFuture<'_, ()>) {
        block_on(future);
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Embedded::open(self.dir.path(), self.options.clone()).expect("the store opens"));
    }
}

fn keeps(options: Options) {
    let mut subject = Store { dir: temp_dir(), options, store: None };
    subject.reopen();
    for case in CASES.iter().copied().flatten() {
        println!("{}", case.name);
        run(case, &mut subject);
    }
}

#[test]
fn keeps_the_contract() {
    keeps(options().0);
}

/// So small that what is read lies in the engine, in memory or on the way from here to there.
#[test]
fn keeps_the_contract_while_it_changes_segments() {
    for segment_bytes in [1, 40_000] {
        keeps(Options { segment_bytes, ..options().0 });
    }
}
