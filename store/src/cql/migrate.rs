//! Making the schema, and raising it. Steps only add, and say if older binaries cannot go on beside them; each may be done again, and by several at
//! once, for tables say their ids and the number of the schema only rises. It rises once everything is done, so a step that was
//! broken off is made again.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, RequestAttemptError, UseKeyspaceError};

use super::options::{OpenError, Options};
use super::refused::{self, unreachable};
use super::requests::{Failed, Requests};
use super::runtime::{self, Threads};
use super::schema::{Table, USERS_MIN, VERSION};
use super::statements::{self, Statement, Statements};
use super::{connect, counters, datacenter, steps};

/// How long a change of the schema may take, if no more was said of statements: all nodes take part in it, one change at a time.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);

/// The name of the number that is the schema's.
const SCHEMA: &str = "schema";

/// The name of the number that says which schema a binary makes at least that works with this one.
const USERS: &str = "schema_users";

/// Makes the keyspace and the tables of this binary's schema, as far as they are not there, and says which schema that is.
///
/// Harmless when it is there already, and when several do it at once. A keyspace that is there keeps its copies. Blocks.
pub fn migrate(options: &Options) -> Result<u32, OpenError> {
    options.check()?;
    let threads = Threads::start(1).map_err(|error| OpenError::Options(error.to_string()))?;
    let request_timeout = options.request_timeout.max(SCHEMA_TIMEOUT);
    let options = Options { request_timeout, ..options.clone() };
    runtime::wait(threads.handle(), async move { raise(&options).await })
}

async fn raise(options: &Options) -> Result<u32, OpenError> {
    let (session, options) = connect::connect(options).await?;
    let options = &options;
    let Options { keyspace, replication, .. } = options;
    let replication = match &options.datacenter {
        Some(datacenter) => format!("{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"),
        None => format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}"),
    };
    let keyspace_made = format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
    let tables_made = Table::ALL.iter().map(|table| table.create(keyspace));
    for cql in [keyspace_made].into_iter().chain(tables_made) {
        session.query_unpaged(cql, ()).await.map_err(|error| refused::refused(&error))?;
    }
    session.await_schema_agreement().await.map_err(unreachable)?;
    session.use_keyspace(keyspace, false).await.map_err(unreachable)?;
    let statements = match Statements::prepare(&session, options).await {
        Ok(statements) => statements,
        Err(error) => {
            let missing = || unreachable("a table that was made is not there; look at the cluster's log");
            return Err(refused::unprepared(&session, options, error).await?.unwrap_or_else(missing));
        }
    };
    let found = number(&session, &statements.counter, SCHEMA).await?;
    let requests = Requests::new(session, 1, options.request_timeout);
    datacenter::settle(&requests, &statements, options).await?;
    let up_to =
        |wanted: u32| move |stored: Option<i64>| Some(i64::from(wanted)).filter(|wanted| stored < Some(*wanted));
    // First who may use it: whoever is refused by that finds nothing that it cannot read.
    let failed = |error: Failed| refused::failed(&error);
    counters::raise(&requests, &statements, USERS, up_to(USERS_MIN)).await.map_err(failed)?;
    if found.is_some_and(|found| found < steps::THIRD) {
        for table in Table::ALL {
            requests.alter(table.alter(keyspace)).await.map_err(failed)?;
        }
    }
    steps::say_last_parts(&requests, &statements).await.map_err(failed)?;
    let version = counters::raise(&requests, &statements, SCHEMA, up_to(VERSION)).await.map_err(failed)?;
    u32::try_from(version).map_err(unreachable)
}

/// Goes into the keyspace and prepares the statements; refuses a schema of another time.
pub(super) async fn enter(session: &Session, options: &Options) -> Result<Statements, OpenError> {
    let schema = |found| OpenError::Schema { keyspace: options.keyspace.clone(), found, made: VERSION };
    match session.use_keyspace(&options.keyspace, false).await {
        Ok(()) => {}
        Err(UseKeyspaceError::RequestError(RequestAttemptError::DbError(DbError::Invalid, _))) => {
            return Err(schema(None));
        }
        Err(UseKeyspaceError::RequestError(error)) => return Err(refused::attempt(&error)),
        Err(error) => return Err(unreachable(error)),
    }
    let statements = match Statements::prepare(session, options).await {
        Ok(statements) => statements,
        Err(error) => {
            if refused::unknown(&error.error).is_some()
                && let Some(found) = earlier(session, options).await?
            {
                return Err(schema(Some(found)));
            }
            return Err(refused::unprepared(session, options, error).await?.unwrap_or_else(|| schema(None)));
        }
    };
    let found = number(session, &statements.counter, SCHEMA).await?;
    let users_min = number(session, &statements.counter, USERS).await?;
    // The first keyspaces did not say it.
    let users_min = users_min.unwrap_or(1);
    match found {
        Some(VERSION..) if users_min <= VERSION => Ok(statements),
        Some(found @ VERSION..) => {
            Err(OpenError::LaterSchema { keyspace: options.keyspace.clone(), found, made: VERSION, users_min })
        }
        found => Err(schema(found)),
    }
}

/// The number of a schema that has not all tables; nothing if it has none.
async fn earlier(session: &Session, options: &Options) -> Result<Option<u32>, OpenError> {
    match statements::counter(session, options).await {
        Ok(counter) => Ok(number(session, &counter, SCHEMA).await?.filter(|found| *found < VERSION)),
        Err(_) => Ok(None),
    }
}

async fn number(session: &Session, counter: &Statement, name: &str) -> Result<Option<u32>, OpenError> {
    let found = session.execute_unpaged(counter, (name,)).await.map_err(|error| refused::refused(&error))?;
    let found = found.into_rows_result().map_err(unreachable)?.maybe_first_row::<(i64,)>().map_err(unreachable)?;
    Ok(found.and_then(|(found,)| u32::try_from(found).ok()))
}
