//! Opens the store that the configuration names, as the other roles need it: where timelines lie, and who owns them.

use std::sync::Arc;

use anyhow::Context;
use switchyard_router::driver::Timelines;
use switchyard_store::Epochs;
use switchyard_store::cql::{Cql, Sent};
use switchyard_store::embedded::Embedded;
use switchyard_store::ownership::Ownership;

use crate::commands::{cql_failure, open_failure};
use crate::config::{Settings, StoreKind};
use crate::exit::Failure;

/// An open store.
pub(super) struct Stored {
    pub(super) timelines: Arc<dyn Timelines>,
    pub(super) owners: Arc<dyn Ownership>,
    /// Numbers this process among all that ever opened it.
    pub(super) process: u64,
    /// In a cluster: how many statements were sent to it.
    pub(super) statements: Option<Box<dyn Fn() -> Vec<Sent>>>,
}

impl Stored {
    pub(super) fn open(settings: &Settings) -> Result<Self, Failure> {
        match settings.config.store.kind {
            StoreKind::Embedded => {
                let data = &settings.config.server.data;
                let store = Embedded::open(data, settings.store()).map_err(|error| open_failure(data, &error))?;
                Self::of(Arc::new(store))
            }
            StoreKind::Cql => {
                let store = Cql::open(&settings.cql()?).map_err(|error| cql_failure(&error))?;
                let store = Arc::new(store);
                let counted = Arc::downgrade(&store);
                let statements =
                    move || counted.upgrade().map_or_else(Vec::new, |store| store.statements_sent_by_table());
                Ok(Self { statements: Some(Box::new(statements)), ..Self::of(store)? })
            }
        }
    }

    fn of<S: Timelines + Ownership + Epochs>(store: Arc<S>) -> Result<Self, Failure> {
        let process = futures_executor::block_on(store.open_epoch()).context("the store cannot number this process")?;
        Ok(Self { timelines: store.clone(), owners: store, process, statements: None })
    }
}
