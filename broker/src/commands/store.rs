//! The commands that look into a store: `migrate`, `verify` and `dump`. On one machine they take its lock, so they refuse while
//! a broker runs on it; in a cluster they work beside brokers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_router::decided::HomeEvent;
use switchyard_router::timeline;
use switchyard_store::cql::{self, Cql};
use switchyard_store::embedded::{self, Corruption, OpenError, Report};
use switchyard_store::{Dump, Log, Row, Seq};

use super::print_line;
use crate::cli::{DumpArgs, StoreArgs, VerifyArgs};
use crate::config::{Config, Overrides, Problem, Problems, Settings, Source, StoreKind};
use crate::exit::Failure;

/// Brings the schema up to this version.
pub fn migrate(args: StoreArgs) -> Result<(), Failure> {
    let settings = settings(args)?;
    if settings.config.store.kind == StoreKind::Cql {
        let options = settings.cql()?;
        let version = cql::migrate(&options).map_err(|error| cql_failure(&error))?;
        return print_line(&format!("keyspace {}: schema {version}, which is this version's", options.keyspace));
    }
    let data = &settings.config.server.data;
    // Opening raises an older schema; whose conversation is asked for does not matter.
    let nobody = ConversationKey { tenant: tenant(None)?, conversation: ConversationId::from_bytes([0; 16]) };
    match embedded::dump(data, nobody) {
        Ok(_) => print_line(&format!("{}: the store has this version's schema; nothing more to do", data.display())),
        Err(OpenError::Absent(_)) => {
            print_line(&format!("{}: there is no store yet; the first start makes one", data.display()))
        }
        Err(error) => Err(open_failure(data, &error)),
    }
}

fn settings(args: StoreArgs) -> Result<Settings, Problems> {
    let overrides = Overrides { data: args.data, ..Overrides::default() };
    Settings::resolve(&Source::of_process(args.config), &overrides)
}

/// Reads everything and reports what is damaged.
pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let data = data_dir(args.data.clone());
    let report = match embedded::verify(&data) {
        Ok(report) => report,
        Err(OpenError::Corrupt(reason)) => {
            let whole = Corruption { conversation: None, seq: None, reason };
            Report { ok: false, corrupt: vec![whole], ..Report::default() }
        }
        Err(error) => return Err(open_failure(&data, &error)),
    };
    if args.json {
        print_line(&report_json(&report).to_string())?;
    } else {
        for found in &report.corrupt {
            print_line(&corruption_line(found))?;
        }
        let Report { conversations, events, homes, .. } = &report;
        print_line(&format!("{conversations} conversations, {events} events, {homes} homes with decisions"))?;
    }
    if report.ok {
        return Ok(());
    }
    let text =
        format!("{}: what is stored is damaged; restore it from a copy before it is served again", data.display());
    Err(Failure::Store(text))
}

/// Prints a conversation's events, a line of JSON each, beginning with how it was founded; or the events of a user's home.
pub fn dump(args: DumpArgs) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let tenant = tenant(args.tenant.as_deref()).map_err(|found| problems.0.extend(found.0)).ok();
    let key = match (&args.home, tenant) {
        (Some(user), Some(tenant)) => {
            let user = UserId::new(user).map_err(|e| problems.add("--home", e.to_string())).ok();
            user.map(|user| ConversationKey::home(&tenant, &user))
        }
        (None, Some(tenant)) => {
            let conversation = ConversationId::parse(args.conversation.as_deref().unwrap_or_default());
            let conversation = conversation.map_err(|e| problems.add("--conversation", e.to_string())).ok();
            conversation.map(|conversation| ConversationKey { tenant, conversation })
        }
        (_, None) => None,
    };
    let Some(key) = key else { return Err(problems.into()) };
    let settings = settings(args.store)?;
    match settings.config.store.kind {
        StoreKind::Embedded => {
            let data = &settings.config.server.data;
            print_rows(&key, embedded::dump(data, key.clone()).map_err(|error| open_failure(data, &error))?)
        }
        StoreKind::Cql => {
            let store = Cql::open(&settings.cql()?).map_err(|error| cql_failure(&error))?;
            print_rows(&key, Dump::new(store, key.clone()))
        }
    }
}

fn print_rows<S: Log>(key: &ConversationKey, rows: Dump<S>) -> Result<(), Failure> {
    for row in rows {
        let (seq, row) = row.map_err(|error| Failure::Store(error.to_string()))?;
        print_line(&event_line(key, seq, &row)?)?;
    }
    Ok(())
}

fn data_dir(given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| Config::default().server.data)
}

fn tenant(given: Option<&str>) -> Result<TenantId, Problems> {
    let default = Config::default().auth.tenant;
    let mut problems = Problems::default();
    let tenant = TenantId::new(given.unwrap_or(&default)).map_err(|e| problems.add("--tenant", e.to_string()));
    tenant.map_err(|()| problems)
}

fn report_json(report: &Report) -> Value {
    let corrupt: Vec<Value> = report
        .corrupt
        .iter()
        .map(|found| {
            let key = found.conversation.as_ref();
            json!({
                "tenant": key.map(|key| key.tenant.as_str()),
                "conversation": key.map(|key| key.conversation.to_string()),
                "seq": found.seq,
                "reason": found.reason,
            })
        })
        .collect();
    json!({
        "ok": report.ok,
        "conversations": report.conversations,
        "events": report.events,
        "homes": report.homes,
        "corrupt": corrupt,
    })
}

fn corruption_line(found: &Corruption) -> String {
    let seq = found.seq.map(|seq| format!(" {seq}")).unwrap_or_default();
    match &found.conversation {
        Some(key) => format!("{} {}{seq}: {}", key.tenant, key.conversation, found.reason),
        None => format!("store{seq}: {}", found.reason),
    }
}

/// A row as the event that clients are told of; what a user decided, whom nobody is told of, as the request that did it.
fn event_line(key: &ConversationKey, seq: Seq, row: &Row) -> Result<String, Failure> {
    if let Some(event) = timeline::home_event(row) {
        let event = event.map_err(|()| Failure::Store(format!("row {seq} does not decode")))?;
        let (name, about) = match event {
            HomeEvent::Blocked(user) => ("block", json!({"user": user.as_str()})),
            HomeEvent::Unblocked(user) => ("unblock", json!({"user": user.as_str()})),
            HomeEvent::Archived { conversation, .. } => ("archive", json!({"conversation": conversation.to_string()})),
            HomeEvent::Unarchived(conversation) => ("unarchive", json!({"conversation": conversation.to_string()})),
        };
        return Ok(json!({"home": row.sender(), "seq": seq, "time_ms": row.time_ms, name: about}).to_string());
    }
    let event = timeline::event(key, seq, row).map_err(|error| Failure::Store(error.to_string()))?;
    let text = frame::encode_server(Form::Json, &frame::event(event));
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What to tell of a store that does not open, and the exit code for it.
pub fn open_failure(data: &Path, error: &OpenError) -> Failure {
    let next = match error {
        OpenError::Locked { .. } => "stop that process, or name another directory with --data",
        OpenError::Schema { .. } => "run a version of switchyard that reads it, or name another directory with --data",
        OpenError::Corrupt(_) => "nothing was changed; see `switchyard verify --json`, and restore it from a copy",
        OpenError::Absent(_) => "name the data directory of a broker with --data",
        OpenError::Io { .. } => "make sure that this directory can be read and written",
    };
    Failure::Store(format!("{}: {error}; {next}", data.display()))
}

/// The same of a store in a cluster.
pub fn cql_failure(error: &cql::OpenError) -> Failure {
    match error {
        cql::OpenError::Options(text) => Problems::from(Problem::new("store.cql", text)).into(),
        cql::OpenError::Tls(text) => Problems::from(Problem::new(
            "store.cql.ca_file",
            format!(
                "{text}; it must name who vouches for the nodes, and store.cql.cert_file our own certificate if they \
                 ask for one"
            ),
        ))
        .into(),
        cql::OpenError::Login(_) => Problems::from(Problem::new(
            "store.cql.user",
            format!("{error}; name a role of the cluster, and the file with its password in store.cql.password_file"),
        ))
        .into(),
        cql::OpenError::Forbidden(_) => Problems::from(Problem::new(
            "store.cql.user",
            format!(
                "{error}; grant it SELECT and MODIFY on the keyspace that store.cql.keyspace names, and for `switchyard \
                 migrate` CREATE and ALTER on all keyspaces as well"
            ),
        ))
        .into(),
        cql::OpenError::Foreign { .. } => Problems::from(Problem::new(
            "store.cql.keyspace",
            format!("{error}; name a keyspace in which there is nothing else, and run `switchyard migrate --config …`"),
        ))
        .into(),
        cql::OpenError::Home { .. } => Problems::from(Problem::new(
            "store.cql.datacenter",
            format!(
                "{error}; name the one that all others name, or see in store/src/cql/tables.md how a keyspace moves"
            ),
        ))
        .into(),
        cql::OpenError::Unsafe(_) => Problems::from(Problem::new("store.cql.accept_losses", error.to_string())).into(),
        cql::OpenError::Unreachable(_) => Failure::Runtime(anyhow::anyhow!(
            "{error}; see that it runs, that store.cql.contact_points names some of its nodes, and that store.cql.ca_file \
             is set if they ask for TLS"
        )),
        cql::OpenError::Schema { found: None, .. } => {
            Failure::Store(format!("{error} (`switchyard migrate --config …`)"))
        }
        cql::OpenError::Schema { .. } => {
            Failure::Store(format!("{error}; raise it with `switchyard migrate --config …`"))
        }
        cql::OpenError::LaterSchema { .. } => Failure::Store(format!("{error}; run the version that has raised it")),
    }
}
