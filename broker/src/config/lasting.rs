//! What a process keeps from its start to its end: the values of all keys that a reload does not put in force. Must hold no
//! secret: it only serves to tell which keys have changed.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::DEFAULT_TOML;
use super::settings::Overrides;

/// Each such key with its value.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lasting(BTreeMap<String, Value>);

impl Lasting {
    /// These values over the defaults, without what the command line says anyway.
    pub(super) fn new(values: BTreeMap<String, Value>, overrides: &Overrides) -> Self {
        let mut all = BTreeMap::new();
        flatten("", DEFAULT_TOML.parse().expect("a test reads it"), &mut all);
        all.extend(values);
        let Overrides { data, listen, ops_listen, log_format } = overrides;
        let overridden = |key: &str| match key {
            "server.data" => data.is_some(),
            "server.listen" => listen.is_some(),
            "server.ops_listen" => ops_listen.is_some(),
            "log.format" => log_format.is_some(),
            _ => false,
        };
        all.retain(|key, _| !is_reloaded(key) && !overridden(key));
        Self(all)
    }

    /// The keys whose values differ.
    pub(super) fn changed(&self, newer: &Self) -> Vec<String> {
        let changed = newer.0.iter().filter(|(key, value)| self.0.get(*key) != Some(value));
        changed.map(|(key, _)| key.clone()).collect()
    }
}

/// Whether a reload puts this key in force.
fn is_reloaded(key: &str) -> bool {
    key == "log.level" || (key.starts_with("auth.") && key != "auth.cookie")
}

fn flatten(path: &str, table: Table, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Table(table) => flatten(&key, table, into),
            value => {
                into.insert(key, value);
            }
        }
    }
}
