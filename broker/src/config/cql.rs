//! `[store.cql]`: the cluster of ScyllaDB or Cassandra in which everything is kept, for `store.kind = "cql"`.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use switchyard_store::cql::{Credentials, Options, REQUEST_TIMEOUT, REQUESTS_MAX, Tls};

use super::problem::Problems;
use super::units::Span;

/// The section as it is written.
#[derive(Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields)]
pub struct Cql {
    /// Some nodes, as `host:port`; the others are learned of them.
    pub contact_points: Vec<String>,
    /// Where the tables lie.
    pub keyspace: String,
    /// The home data centre; needed where there are several.
    pub datacenter: String,
    /// Copies of each row in the home data centre, for a keyspace that `migrate` makes.
    pub replication: u8,
    /// As whom; empty where the cluster asks nobody.
    pub user: String,
    /// File with the user's password.
    pub password_file: PathBuf,
    /// File with the certificates of those who vouch for the nodes; with it, connections are by TLS.
    pub ca_file: PathBuf,
    /// Our own certificate, where the nodes ask for one.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
    /// How long a statement may take.
    pub request_timeout: Span,
    /// Statements that are under way at a time.
    pub requests_max: usize,
    /// Whether a cluster is taken that may lose what it has acknowledged.
    pub accept_losses: bool,
}

impl Default for Cql {
    fn default() -> Self {
        Self {
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: "switchyard".to_owned(),
            datacenter: String::new(),
            replication: 3,
            user: String::new(),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            request_timeout: Span(REQUEST_TIMEOUT),
            requests_max: REQUESTS_MAX,
            accept_losses: false,
        }
    }
}

impl Cql {
    /// What the store is opened with; reads the password. All that is wrong is added to the problems.
    pub fn options(&self, problems: &mut Problems) -> Options {
        let named = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let own = match (named(&self.cert_file), named(&self.key_file)) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            (Some(_), None) => {
                problems.add("store.cql.key_file", "is missing: a certificate is nothing without its key");
                None
            }
            (None, Some(_)) => {
                problems.add("store.cql.cert_file", "is missing: the key is of no use without its certificate");
                None
            }
        };
        let authorities = named(&self.ca_file);
        if authorities.is_none() && own.is_some() {
            problems.add("store.cql.ca_file", "is missing: without it connections are not by TLS");
        }
        let options = Options {
            datacenter: Some(self.datacenter.clone()).filter(|name| !name.is_empty()),
            replication: self.replication,
            credentials: self.credentials(problems),
            tls: authorities.map(|authorities| Tls::Files { authorities, own }),
            request_timeout: self.request_timeout.0,
            requests_max: self.requests_max,
            accept_losses: self.accept_losses,
            ..Options::new(self.contact_points.clone(), &self.keyspace)
        };
        for (key, text) in options.wrong() {
            problems.add(format!("store.cql.{key}"), text);
        }
        options
    }

    fn credentials(&self, problems: &mut Problems) -> Option<Credentials> {
        let (user, file) = (&self.user, &self.password_file);
        let missing = match (user.is_empty(), file.as_os_str().is_empty()) {
            (true, true) => return None,
            (true, false) => Some(("store.cql.user", "is missing: whose password is it?")),
            (false, true) => Some(("store.cql.password_file", "is missing: name the file with the user's password")),
            (false, false) => None,
        };
        if let Some((key, text)) = missing {
            problems.add(key, text);
            return None;
        }
        match fs::read_to_string(file) {
            Ok(password) => {
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                Some(Credentials { user: user.clone(), password })
            }
            Err(error) => {
                problems.add("store.cql.password_file", format!("cannot read {}: {error}", file.display()));
                None
            }
        }
    }
}
