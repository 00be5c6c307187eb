//! Opens the store that the configuration names, as the other roles need it: where timelines lie, and who owns them.

use std::sync::{Arc, Weak};

use anyhow::Context;
use switchyard_router::driver::Timelines;
use switchyard_store::Epochs;
use switchyard_store::cql::Cql;
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
    /// In a cluster: what is asked of it now and then.
    pub(super) cluster: Option<Weak<Cql>>,
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
                Ok(Self { cluster: Some(Arc::downgrade(&store)), ..Self::of(store)? })
            }
        }
    }

    fn of<S: Timelines + Ownership + Epochs>(store: Arc<S>) -> Result<Self, Failure> {
        let process = futures_executor::block_on(store.open_epoch())
            .context("the store cannot number this process; start it again once the store answers")?;
        Ok(Self { timelines: store.clone(), owners: store, process, cluster: None })
    }
}
