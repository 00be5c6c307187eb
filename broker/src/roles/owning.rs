//! Becoming the owner of all shards, before anybody is served, and ending when another process becomes it.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use switchyard_cluster::now::Clock;
use switchyard_cluster::ownership::{Config, Ownership};
use switchyard_router::driver::{Owned, Owner, Told};

use crate::exit::Failure;
use crate::signals::Event;
use crate::threads::Threads;

/// How long claiming all shards may take; it takes a second or two of a store that answers.
const CLAIM_MAX: Duration = Duration::from_secs(60);

/// The owner of all shards.
pub(super) struct Owning {
    pub(super) owned: Arc<Owned>,
    pub(super) owner: Owner,
    pub(super) thread: JoinHandle<()>,
}

/// Fences whoever owned them, claims them all, and returns once they are this process's. When they are so no more, says so
/// to `events`. Others would reach it at this address, if it were not alone.
pub(super) fn own_all(
    store: Arc<dyn switchyard_store::ownership::Ownership>,
    address: String,
    clock: Clock,
    events: Sender<Event>,
) -> Result<Owning, Failure> {
    let config = Config { alone: true, ..Config::default() };
    let owned = Arc::new(Owned::new(clock, config.fence_age_max));
    let machine = Ownership::new(config, address, rand::random());
    let (all, owns_all) = mpsc::channel();
    let told = move |told| {
        let _ = match told {
            Told::OwnsAll => all.send(()).is_ok(),
            Told::Ended => events.send(Event::Failed(taken_over().into())).is_ok(),
        };
    };
    let (owner, thread) =
        Owner::start(store, machine, clock, Arc::clone(&owned), told).context("the thread that sees to ownership")?;
    match owns_all.recv_timeout(CLAIM_MAX) {
        Ok(()) => Ok(Owning { owned, owner, thread }),
        Err(RecvTimeoutError::Disconnected) => {
            // If it has not panicked, it has said why it ended.
            let mut ended = Threads::default();
            ended.add(thread);
            ended.join()?;
            Err(taken_over().into())
        }
        Err(RecvTimeoutError::Timeout) => {
            owner.stop();
            Err(anyhow!(
                "the store did not let this process own its shards within {CLAIM_MAX:?}; see that most nodes of its cluster \
                 answer and store.cql.user may write in the keyspace, and start it again"
            )
            .into())
        }
    }
}

fn taken_over() -> anyhow::Error {
    anyhow!(
        "another broker has taken over what is stored here, so this one must not go on: what was acknowledged is kept, and \
         clients go to that one; if it was not meant to, stop it and start this one again"
    )
}
