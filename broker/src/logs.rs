//! Logs on stderr, for people or as JSON, with a level that can be changed while running. No token and no message body
//! is ever given to it.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Changes the level of the running process.
#[derive(Clone, Debug)]
pub struct LogLevel(Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Puts the level or directives of a checked configuration in force.
    pub fn set(&self, level: &str) -> anyhow::Result<()> {
        Ok(self.0.reload(EnvFilter::try_new(level)?)?)
    }
}

/// Starts logging. Once in a process.
pub fn start(log: &Log) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&log.level)?);
    let lines = match log.format {
        LogFormat::Human => fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    // The filter stands below the lines, so that it decides for everything that is logged.
    Registry::default().with(filter).with(lines).try_init()?;
    Ok(LogLevel(handle))
}
