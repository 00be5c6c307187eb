//! The home data centre: quorums and transactions are made among its nodes alone, so two brokers exclude each other only if they
//! have the same. A keyspace keeps which it is from the first `migrate` on.

use std::collections::BTreeSet;

use scylla::client::session::Session;
use xxhash_rust::xxh3::xxh3_64;

use super::applied::{self, Transaction};
use super::options::{OpenError, Options};
use super::refused;
use super::requests::{Failed, Requests};
use super::statements::Statements;

/// The name of the number that a keyspace keeps of its home's name.
const HOME: &str = "home";

/// The data centre in which quorums are made; nothing if no node says where it is.
pub(super) fn home(session: &Session, options: &Options) -> Result<Option<String>, OpenError> {
    let state = session.get_cluster_state();
    let there: BTreeSet<&str> = state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    match &options.datacenter {
        Some(home) if there.contains(home.as_str()) => Ok(Some(home.clone())),
        Some(home) => Err(OpenError::Options(format!("there is no data centre {home}, but {there:?}"))),
        None if there.len() > 1 => {
            Err(OpenError::Options(format!("of the data centres {there:?} none is said to be the home")))
        }
        None => Ok(there.first().map(|home| (*home).to_owned())),
    }
}

/// Keeps which data centre is the home, and refuses another one than is kept. What is kept is known in each; the first time it is
/// said is a transaction of all of them, for one of another home must not say it at the same time.
pub(super) async fn settle(requests: &Requests, statements: &Statements, options: &Options) -> Result<(), OpenError> {
    let Some(home) = &options.datacenter else { return Ok(()) };
    let own = xxh3_64(home.as_bytes()) as i64;
    let refused = |error: Failed| refused::failed(&error);
    let kept = requests.one::<(i64,)>(&statements.counter, (HOME,)).await.map_err(refused)?;
    let kept = match kept {
        Some((kept,)) => Some(kept),
        None => {
            let said = requests.execute(&statements.serial.first_home, (HOME, own)).await.and_then(applied::read);
            match said.map_err(refused)? {
                Transaction::Applied => Some(own),
                Transaction::Refused(found) => found.first().and_then(|found| found.number("value")),
            }
        }
    };
    if kept == Some(own) {
        return Ok(());
    }
    Err(OpenError::Home { keyspace: options.keyspace.clone(), datacenter: home.clone() })
}
