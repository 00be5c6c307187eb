//! Logs on stderr, for people or as JSON, with a level that can be changed while running. No token and no message body
//! is ever given to it.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// What the storage engine says of its own housekeeping is for its developers; who asks for more gets it.
const QUIET_BY_DEFAULT: &str = "fjall=warn,lsm_tree=warn";

/// The filter for a level or directives; what is named there goes before what is quiet by default.
fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let asked_for_more = level.contains("fjall") || level == "debug" || level == "trace";
    let directives = if asked_for_more { level.to_owned() } else { format!("{QUIET_BY_DEFAULT},{level}") };
    Ok(EnvFilter::try_new(directives)?)
}

/// Whether nothing of it is about people, whatever is asked for: what the driver of the CQL store says of single requests at
/// its finest level names the partitions, which are users and conversations.
fn is_public(metadata: &Metadata<'_>) -> bool {
    *metadata.level() != Level::TRACE || !metadata.target().starts_with("scylla")
}

/// Changes the level of the running process.
#[derive(Clone, Debug)]
pub struct LogLevel(Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Puts the level or directives of a checked configuration in force.
    pub fn set(&self, level: &str) -> anyhow::Result<()> {
        self.0.reload(filter(level)?)?;
        Ok(())
    }
}

/// Starts logging. Once in a process.
pub fn start(log: &Log) -> anyhow::Result<LogLevel> {
    let (layer, handle) = reload::Layer::new(filter(&log.level)?);
    let lines = match log.format {
        LogFormat::Human => fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    // The filter stands below the lines, so that it decides for everything that is logged.
    Registry::default().with(layer).with(filter_fn(is_public)).with(lines).try_init()?;
    Ok(LogLevel(handle))
}
