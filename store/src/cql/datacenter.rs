//! The home data centre: quorums and transactions are made among its nodes alone, so two brokers exclude each other only if they
//! have the same. A keyspace keeps which it is from the first `migrate` on.

use std::collections::BTreeSet;

use scylla::client::session::Session;
use xxhash_rust::xxh3::xxh3_64;

use super::counters;
use super::options::{OpenError, Options};
use super::requests::Requests;
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

/// Keeps which data centre is the home, and refuses another one than is kept.
pub(super) async fn settle(
    requests: &Requests,
    statements: &Statements,
    options: &Options,
    home: Option<&str>,
) -> Result<(), OpenError> {
    let Some(home) = home else { return Ok(()) };
    let own = xxh3_64(home.as_bytes()) as i64;
    let kept = counters::raise(requests, statements, HOME, |kept| kept.is_none().then_some(own)).await;
    match kept.map_err(|error| OpenError::Unreachable(error.to_string()))? {
        kept if kept == own => Ok(()),
        _ => Err(OpenError::Home { keyspace: options.keyspace.clone(), datacenter: home.to_owned() }),
    }
}
