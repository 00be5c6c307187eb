//! What the CQL store is told: where it is, as whom, and how long to wait. No work is done here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a statement may take. A coordinator gives up after two seconds by default, and what it says then is worth more
/// than our own time-out.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a transaction may take: with a partition for itself it takes hundredths of a second.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Statements that are under way at a time; others wait for their turn, and no longer than [`REQUEST_TIMEOUT`]. More make a
/// cluster slower, not faster: it answers 20,000 messages a second with 64.
pub const REQUESTS_MAX: usize = 512;

/// [`Options::requests_max`] at most: a connection has so many streams.
const REQUESTS_LIMIT: usize = 32_768;

/// Time-outs at most.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Threads of the driver: it sends and receives, and the rest is done by who asks.
pub const THREADS: usize = 1;

/// Bytes of a keyspace's name at most.
const KEYSPACE_BYTES_MAX: usize = 48;

/// How a CQL store is opened.
#[derive(Clone)]
pub struct Options {
    /// Some nodes, as `host:port` or `host`, of which the others are learned.
    pub contact_points: Vec<String>,
    /// Where the tables lie: letters, digits and underscores, 48 at most, a letter first.
    pub keyspace: String,
    /// The home data centre: quorums are made there alone, other ones are copies. Needed where there are several.
    pub datacenter: Option<String>,
    /// Copies of each row, in the home data centre; for [`migrate`](super::migrate()), when it makes the keyspace.
    pub replication: u8,
    /// As whom; nothing where the cluster asks nobody.
    pub credentials: Option<Credentials>,
    /// With TLS, and how; nothing without.
    pub tls: Option<Tls>,
    /// See [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// See [`TRANSACTION_TIMEOUT`].
    pub transaction_timeout: Duration,
    /// See [`REQUESTS_MAX`].
    pub requests_max: usize,
    /// See [`THREADS`].
    pub threads: usize,
    /// Whether a cluster is taken that may lose what it has acknowledged: one that syncs its log only every few seconds, keeps fewer
    /// than three copies, or writes the keyspace into no log. For development and tests.
    pub accept_losses: bool,
}

impl Options {
    /// With the values that are said above, three copies, no TLS and nobody's name.
    pub fn new(contact_points: Vec<String>, keyspace: &str) -> Self {
        Self {
            contact_points,
            keyspace: keyspace.to_owned(),
            datacenter: None,
            replication: 3,
            credentials: None,
            tls: None,
            request_timeout: REQUEST_TIMEOUT,
            transaction_timeout: TRANSACTION_TIMEOUT,
            requests_max: REQUESTS_MAX,
            threads: THREADS,
            accept_losses: false,
        }
    }

    /// What is wrong with them, if anything: names go into statements, so they are nothing but names.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        match self.wrong().first() {
            Some((field, what)) => Err(OpenError::Options(format!("{field} {what}"))),
            None => Ok(()),
        }
    }

    /// Everything that is wrong with them: the field's name, and what.
    pub fn wrong(&self) -> Vec<(&'static str, &'static str)> {
        let mut letters = self.keyspace.chars();
        let is_keyspace = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && self.keyspace.len() <= KEYSPACE_BYTES_MAX;
        let is_name = |name: &String| !name.is_empty() && !name.contains(['\'', '\\', '\0']);
        let is_timeout = |timeout: Duration| !timeout.is_zero() && timeout <= TIMEOUT_MAX;
        let checks = [
            ("contact_points", !self.contact_points.is_empty(), "must name a node at least"),
            ("keyspace", is_keyspace, "must have letters, digits and underscores, 48 at most, a letter first"),
            ("datacenter", self.datacenter.as_ref().is_none_or(is_name), "cannot be a data centre's name"),
            ("replication", self.replication > 0, "must be at least 1"),
            ("requests_max", (1..=REQUESTS_LIMIT).contains(&self.requests_max), "must be from 1 to 32768"),
            ("request_timeout", is_timeout(self.request_timeout), "must be more than nothing, and a minute at most"),
            (
                "transaction_timeout",
                is_timeout(self.transaction_timeout),
                "must be more than nothing, and a minute at most",
            ),
            ("threads", self.threads > 0, "must be at least 1"),
        ];
        checks.into_iter().filter(|(_, is_right, _)| !is_right).map(|(field, _, what)| (field, what)).collect()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("contact_points", &self.contact_points)
            .field("keyspace", &self.keyspace)
            .field("datacenter", &self.datacenter)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

/// A name and a password.
#[derive(Clone)]
pub struct Credentials {
    /// Who.
    pub user: String,
    /// The proof.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// How the cluster's nodes are known, and how they know us. Nodes are checked by the address that they are connected to.
#[derive(Clone, Debug)]
pub enum Tls {
    /// By files of PEM.
    Files {
        /// Certificates of those who vouch for the nodes.
        authorities: PathBuf,
        /// Our own certificate and key, where the nodes ask for one.
        own: Option<(PathBuf, PathBuf)>,
    },
    /// As it says.
    Config(Arc<rustls::ClientConfig>),
}

/// Why a store was not opened, or its schema not raised.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The options contradict themselves.
    #[error("{0}")]
    Options(String),
    /// A certificate or key is not to be had, or one side does not take the other's.
    #[error("TLS: {0}")]
    Tls(String),
    /// The cluster does not take the name and password, or there are none and it asks for them.
    #[error("the cluster does not let us in: {0}")]
    Login(String),
    /// The role may not do what is asked of it.
    #[error("the role may not do that: {0}")]
    Forbidden(String),
    /// The cluster is not reached.
    #[error("the cluster cannot be reached: {0}")]
    Unreachable(String),
    /// The schema is not there, or an earlier one.
    #[error("keyspace {keyspace} has {}; this binary works with {made}", found.map_or("no schema: run `migrate`".to_owned(), |found| format!("schema {found}")))]
    Schema {
        /// Which.
        keyspace: String,
        /// What it has.
        found: Option<u32>,
        /// What this binary makes.
        made: u32,
    },
    /// A table of our name is there that somebody else has made for something else.
    #[error("keyspace {keyspace} has a table {table} that is not ours: {reason}")]
    Foreign {
        /// Which keyspace.
        keyspace: String,
        /// Which table.
        table: &'static str,
        /// What does not go with it.
        reason: String,
    },
    /// The schema is a later one, and not for this binary.
    #[error(
        "keyspace {keyspace} has schema {found}, for binaries that make {users_min} at least; this one makes {made}"
    )]
    LaterSchema {
        /// Which.
        keyspace: String,
        /// What it has.
        found: u32,
        /// What this binary makes.
        made: u32,
        /// What one has to make.
        users_min: u32,
    },
    /// Brokers of this keyspace have another home.
    #[error(
        "keyspace {keyspace} is served from another data centre than {datacenter}; brokers with two homes would not see each other"
    )]
    Home {
        /// Which.
        keyspace: String,
        /// The home that was to be.
        datacenter: String,
    },
    /// The cluster may lose what it acknowledges, and it was not said that this is accepted.
    #[error("{0}; this is refused unless losses are accepted by configuration")]
    Unsafe(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_nothing_but_names() {
        let options = |keyspace: &str| Options::new(vec!["127.0.0.1".to_owned()], keyspace);
        assert!(options("switchyard").check().is_ok());
        assert!(options("a_1").check().is_ok());
        for name in ["", "1a", "a-b", "a;b", "a b", "ä", "\"a\"", &"x".repeat(49)] {
            assert!(options(name).check().is_err(), "{name}");
        }
        let datacenter = |name: &str| Options { datacenter: Some(name.to_owned()), ..options("a") };
        assert!(datacenter("dc-1").check().is_ok());
        assert!(datacenter("dc'").check().is_err());
        assert!(Options { contact_points: Vec::new(), ..options("a") }.check().is_err());
    }

    #[test]
    fn no_password_is_shown() {
        let credentials = Credentials { user: "ann".to_owned(), password: "secret".to_owned() };
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
