//! What is asked of a cluster before anything is kept in it: enough copies, and logs that are synced before an answer. A cluster that
//! may lose what it has acknowledged breaks the first promise without anybody being told.

use std::collections::BTreeSet;
use std::sync::Arc;

use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::{LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::{Consistency, Statement};

use super::options::{OpenError, Options};
use super::requests::Failed;

/// Copies that a row has at least: of two, one that is lost stops everything.
const COPIES_MIN: usize = 3;

/// Where a node says how it syncs its log: Cassandra's place and Scylla's. Both are about the node that is asked.
const SETTINGS: [&str; 2] = [
    "SELECT value FROM system_views.settings WHERE name = 'commitlog_sync'",
    "SELECT value FROM system.config WHERE name = 'commitlog_sync'",
];

/// Where it is said whether writes go to the nodes' logs. Each node has all of it.
const DURABLE_WRITES: &str = "SELECT durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?";

/// Looks at the cluster. Losses that are accepted are told all the same.
pub(super) async fn check(session: &Session, options: &Options) -> Result<(), OpenError> {
    let mut unsafe_for = Vec::new();
    unsafe_for.extend(copies(session, options));
    unsafe_for.extend(logging(session, options).await?);
    unsafe_for.extend(syncing(session).await?);
    match &unsafe_for[..] {
        [] => Ok(()),
        reasons if options.accept_losses => {
            tracing::warn!(
                reasons = reasons.join("; "),
                "this cluster may lose what was acknowledged, which is accepted"
            );
            Ok(())
        }
        reasons => Err(OpenError::Unsafe(reasons.join("; "))),
    }
}

/// What is wrong with how many copies there are, if anything.
fn copies(session: &Session, options: &Options) -> Option<String> {
    let state = session.get_cluster_state();
    let keyspace = options.keyspace.to_ascii_lowercase();
    let copies = match state.get_keyspace(&keyspace).map(|keyspace| &keyspace.strategy) {
        Some(Strategy::SimpleStrategy { replication_factor }) => *replication_factor,
        Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) => {
            options.datacenter.as_ref().and_then(|home| datacenter_repfactors.get(home)).copied().unwrap_or(0)
        }
        _ => return Some(format!("it is not known how many copies keyspace {keyspace} keeps")),
    };
    let few = copies < COPIES_MIN;
    few.then(|| format!("keyspace {keyspace} keeps {copies} copies of a row, fewer than {COPIES_MIN}"))
}

/// What is wrong with whether the keyspace's writes go to the nodes' logs at all, if anything.
async fn logging(session: &Session, options: &Options) -> Result<Option<String>, OpenError> {
    let keyspace = options.keyspace.to_ascii_lowercase();
    let told = |error: String| OpenError::Unreachable(error);
    let answer = session.query_unpaged(DURABLE_WRITES, (&keyspace,)).await.map_err(|error| told(error.to_string()))?;
    let rows = answer.into_rows_result().map_err(|error| told(error.to_string()))?;
    let durable = rows.maybe_first_row::<(bool,)>().map_err(|error| told(error.to_string()))?;
    let lost = || format!("keyspace {keyspace} has durable_writes = false: what is written is in no log");
    Ok((durable == Some((false,))).then(lost))
}

/// What is wrong with how nodes sync their logs, if anything. A node that is down is told of, for one of three may be.
async fn syncing(session: &Session) -> Result<Option<String>, OpenError> {
    let mut periodic = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    let mut answered = 0;
    for node in session.get_cluster_state().get_nodes_info() {
        let target = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node.clone()), None);
        let address = node.address.to_string();
        match setting(session, &target).await {
            Ok(Some(value)) => {
                answered += 1;
                if value.contains("periodic") {
                    periodic.insert(address);
                }
            }
            Ok(None) => {
                answered += 1;
                unknown.insert(address);
            }
            Err(error) => tracing::warn!(%error, address, "a node cannot be asked how it syncs its log"),
        }
    }
    if answered == 0 {
        return Err(OpenError::Unreachable("no node can be asked how it syncs its log".to_owned()));
    }
    let told = |nodes: BTreeSet<String>, what: &str| {
        let names: Vec<_> = nodes.into_iter().collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
    };
    let reasons = [
        told(periodic, "commitlog_sync is periodic, which loses seconds in a power cut, on"),
        told(unknown, "it is not known how the log is synced on"),
    ];
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}

/// The setting of one node; nothing if it has no place where it says so.
async fn setting(session: &Session, target: &Arc<dyn LoadBalancingPolicy>) -> Result<Option<String>, Failed> {
    for cql in SETTINGS {
        let mut statement = Statement::new(cql);
        // Such a table is the node's own, and has one copy.
        statement.set_consistency(Consistency::One);
        statement.set_load_balancing_policy(Some(target.clone()));
        match session.query_unpaged(statement, ()).await {
            Ok(answer) => {
                let rows = answer.into_rows_result().ok();
                let value = rows.and_then(|rows| rows.maybe_first_row::<(Option<String>,)>().ok().flatten());
                if let Some((Some(value),)) = value {
                    return Ok(Some(value));
                }
            }
            Err(ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Invalid | DbError::Unauthorized,
                _,
            ))) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
