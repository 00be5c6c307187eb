//! The configuration: plain data with defaults, one struct for each section of the file. Where it comes from is
//! [`load`]'s business, whether it makes sense is [`check`]'s and [`tokens`]'; `parts` makes the roles' own types of it.

pub mod check;
mod cql;
mod lasting;
pub mod load;
mod parts;
pub mod problem;
pub mod secret;
mod secret_file;
pub mod sections;
pub mod settings;
pub mod tokens;
pub mod units;

pub use cql::Cql;
pub use load::Source;
pub use problem::{Problem, Problems};
pub use sections::{
    Auth, Claims, Config, Conversations, Dev, Issuer, Log, LogFormat, Ops, Origins, Proxies, Retention,
    RetentionLimits, Server, Sessions, Store, StoreKind,
};
pub use settings::{Overrides, Settings};
pub use tokens::Tokens;

/// The whole configuration with its defaults, explained: what `default-config` prints.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");
