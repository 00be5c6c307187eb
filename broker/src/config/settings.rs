//! What a process runs with: the configuration, the command line's options over it, checked as a whole. Whoever holds one
//! need not check again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use switchyard_edge::admission::config::Budgets;
use switchyard_edge::auth::{AuthConfig, SharedSecret};

use super::lasting::Lasting;
use super::load::{Loaded, Source, load};
use super::problem::Problems;
use super::sections::{Config, LogFormat};
use super::tokens::{Tokens, tokens};
use super::{check, secret};
use crate::cli::RunArgs;

/// Options of the command line that go before the configuration.
#[derive(Clone, Default, Debug)]
pub struct Overrides {
    /// For `server.data`.
    pub data: Option<PathBuf>,
    /// For `server.listen`.
    pub listen: Option<SocketAddr>,
    /// For `server.ops_listen`.
    pub ops_listen: Option<SocketAddr>,
    /// For `log.format`.
    pub log_format: Option<LogFormat>,
}

impl From<&RunArgs> for Overrides {
    fn from(args: &RunArgs) -> Self {
        Self { data: args.data.clone(), listen: args.listen, ops_listen: args.ops_listen, log_format: args.log_format }
    }
}

/// A configuration that makes sense.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All sections, with the command line's options in them.
    pub config: Config,
    /// Whether this is development: no file, and no key for tokens in the environment.
    pub dev: bool,
    /// How tokens are checked and signed; nothing yet in development, see [`Settings::tokens`].
    configured: Option<Tokens>,
    /// How much clients may ask for.
    budgets: Budgets,
    /// Whether there are demo users.
    demo_users: bool,
    lasting: Lasting,
}

impl Settings {
    /// Reads and checks everything, and reports every problem at once.
    pub fn resolve(source: &Source, overrides: &Overrides) -> Result<Self, Problems> {
        let Loaded { mut config, given, values, mut problems } = load(source);
        let Overrides { data, listen, ops_listen, log_format } = overrides.clone();
        config.server.data = data.unwrap_or(config.server.data);
        config.server.listen = listen.unwrap_or(config.server.listen);
        config.server.ops_listen = ops_listen.unwrap_or(config.server.ops_listen);
        config.log.format = log_format.unwrap_or(config.log.format);

        let keyed = ["auth.secret", "auth.secret_file", "auth.issuers"].iter().any(|key| given.contains(*key));
        let dev = source.file.is_none() && !keyed;
        // A section that could not be read as it was meant is not judged any further.
        let readable = !problems.0.iter().any(|problem| problem.key == "--config" || problem.key.starts_with("auth"));
        check::check(&config, dev, &mut problems);
        let demo_users = config.dev.demo_users || (dev && !given.contains("dev.demo_users"));
        let configured = if dev || !readable { None } else { tokens(&config.auth, &mut problems) };
        let budgets = if dev { development(&config.budgets, &given) } else { config.budgets.clone() };
        if demo_users && configured.as_ref().is_some_and(|tokens| tokens.signing.is_none()) {
            problems.add(
                "dev.demo_users",
                "there is no secret of the own issuer to sign their tokens with: set auth.secret",
            );
        }
        let lasting = Lasting::new(values, overrides);
        problems.or(Self { config, dev, configured, budgets, demo_users, lasting })
    }

    /// How much clients may ask for. Development is generous, save for those of whom it was told a budget.
    pub fn budgets(&self) -> Budgets {
        self.budgets.clone()
    }

    /// Whether anybody on this machine may come in as a demo user.
    pub fn demo_users(&self) -> bool {
        self.demo_users
    }

    /// The keys that `newer` has otherwise, and that a running process cannot change.
    pub fn need_restart(&self, newer: &Self) -> Vec<String> {
        self.lasting.changed(&newer.lasting)
    }

    /// How tokens are checked and signed. In development the secret of the data directory is made if there is none.
    pub fn tokens(&self) -> Result<Tokens, Problems> {
        match &self.configured {
            Some(tokens) => Ok(tokens.clone()),
            None => {
                let secret = secret::make_dev(&self.config.server.data)?;
                let config = AuthConfig::development(secret.clone());
                Ok(Tokens { config, signing: Some(SharedSecret { kid: None, secret }) })
            }
        }
    }
}

/// The budgets of development, but as configured for those of whom anything was said: whoever tries a limit out meets it,
/// be it the default's own number, and from loopback too.
fn development(configured: &Budgets, given: &BTreeSet<String>) -> Budgets {
    let told = |section: &str| given.iter().any(|key| key.starts_with(&format!("budgets.{section}.")));
    let mut budgets = Budgets::development();
    if told("connection") {
        budgets.connection = configured.connection.clone();
    }
    if told("user") {
        budgets.user = configured.user.clone();
    }
    if told("address") {
        budgets.address = configured.address.clone();
    }
    if told("tenant") {
        budgets.tenant = configured.tenant.clone();
    }
    budgets
}
