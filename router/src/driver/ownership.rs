//! What `cluster`'s ownership asks of the store, said in the store's words: one call of the one is one transaction or read
//! of the other. Neither of them knows the other.

use switchyard_cluster::ownership::{Answer, Call, Level};
use switchyard_store::ownership::{self as store, Outcome, Ownership, Unavailable};

/// Asks the store, once: it repeats nothing, and neither does this. Ends when the store says something, its own time-out
/// included. Polled where that may block, as all of the store's futures.
pub async fn ask(store: &dyn Ownership, call: &Call) -> Answer {
    match call {
        Call::InsertRouter(row) => transacted(store.insert_router(row).await),
        Call::Fence(incarnation) => transacted(store.fence(*incarnation).await),
        Call::Claim { cell, claims } => transacted(store.claim(*cell, claims).await),
        Call::ReadCell { cell, level } => read(store.cell(*cell, of(*level)).await, Answer::Cell),
        Call::ReadRouter { incarnation, level } => read(store.router(*incarnation, of(*level)).await, Answer::Router),
        Call::ListRouters => read(store.live_routers().await, Answer::Routers),
    }
}

fn of(level: Level) -> store::Level {
    match level {
        Level::Quorum => store::Level::Quorum,
        Level::Serial => store::Level::Serial,
    }
}

/// What a refused transaction found is read again, so it is not passed on.
fn transacted<Found>(outcome: Outcome<Found>) -> Answer {
    match outcome {
        Outcome::Applied => Answer::Applied,
        Outcome::Refused(_) => Answer::Refused,
        Outcome::Unknown => Answer::Unknown,
    }
}

fn read<Found>(found: Result<Found, Unavailable>, answer: impl FnOnce(Found) -> Answer) -> Answer {
    found.map_or(Answer::Unknown, answer)
}
