//! How a run can fail, and the exit code and words that outsiders get for it. The only place that knows exit codes.

use std::fmt;
use std::process::ExitCode;

use crate::config::Problems;
use crate::listen::BindError;

/// Why the process ends with something else than 0.
#[derive(Debug)]
pub enum Failure {
    /// 1: it failed while running.
    Runtime(anyhow::Error),
    /// 2: the command line or the configuration is wrong.
    Usage(Problems),
    /// 3: an address cannot be had.
    Bind(BindError),
    /// 4: the store is locked, corrupt or of another schema; the text says what to do next.
    Store(String),
}

impl Failure {
    /// The number that scripts look at.
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Bind(_) => 3,
            Self::Store(_) => 4,
        }
    }

    /// The same, for `main`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "{error:#}"),
            Self::Usage(problems) => problems.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Store(text) => f.write_str(text),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Usage(problems)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}
