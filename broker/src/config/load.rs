//! Reads a configuration from a file and the environment, and finds everything that is wrong with it at once: each key is
//! tried by itself, so that one mistake does not hide the next. It knows types and names; sense is [`super::check`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::problem::{Problem, Problems};
use super::sections::Config;

/// What variables of the environment begin with; the rest is `SECTION__KEY`.
pub const ENV_PREFIX: &str = "SWITCHYARD__";

/// Between the parts of such a variable.
const ENV_SEPARATOR: &str = "__";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file, if one was named.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those without the prefix are passed over.
    pub env: Vec<(OsString, OsString)>,
}

impl Source {
    /// This file and the environment of this process.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        Self { file, env: env::vars_os().collect() }
    }
}

/// What was read.
#[derive(Debug)]
pub struct Loaded {
    /// Every key that was good; the others have their default.
    pub config: Config,
    /// Keys that a file or the environment gave, good or not.
    pub given: BTreeSet<String>,
    /// What good ones of them say.
    pub values: BTreeMap<String, Value>,
    /// What was wrong.
    pub problems: Problems,
}

/// Reads it all. Environment goes before file, file before defaults.
pub fn load(source: &Source) -> Loaded {
    let mut problems = Problems::default();
    let file = match &source.file {
        Some(path) => read_file(path).unwrap_or_else(|problem| {
            problems.0.push(problem);
            Table::new()
        }),
        None => Table::new(),
    };
    let env = variables(&source.env, &mut problems);
    let mut raw = Raw { file, set_aside: Table::new(), env, given: BTreeSet::new(), values: BTreeMap::new(), problems };
    let config = sections(&mut raw);
    raw.refuse_the_rest();
    Loaded { config, given: raw.given, values: raw.values, problems: raw.problems }
}

/// Takes every section there is. The only list of their names.
fn sections(raw: &mut Raw) -> Config {
    let mut config = Config {
        server: raw.section("server", &[]),
        ops: raw.section("ops", &[]),
        auth: raw.section("auth", &["claims"]),
        origins: raw.section("origins", &[]),
        proxies: raw.section("proxies", &[]),
        budgets: raw.section("budgets", &["connection", "user", "address", "tenant"]),
        store: raw.section("store", &["cql"]),
        retention: raw.section("retention", &["direct", "group"]),
        sessions: raw.section("sessions", &[]),
        conversations: raw.section("conversations", &[]),
        presence: raw.section("presence", &[]),
        dev: raw.section("dev", &[]),
        log: raw.section("log", &[]),
    };
    config.auth.claims = raw.section("auth.claims", &[]);
    config.budgets.connection = raw.section("budgets.connection", &[]);
    config.budgets.user = raw.section("budgets.user", &[]);
    config.budgets.address = raw.section("budgets.address", &[]);
    config.budgets.tenant = raw.section("budgets.tenant", &[]);
    config.store.cql = raw.section("store.cql", &[]);
    config.retention.direct = raw.section("retention.direct", &[]);
    config.retention.group = raw.section("retention.group", &[]);
    config
}

fn read_file(path: &Path) -> Result<Table, Problem> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| Problem::new("--config", format!("cannot read {name}: {e}")))?;
    text.parse::<Table>().map_err(|e| {
        let line =
            e.span().map_or(1, |span| text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1));
        Problem::new(format!("{name}:{line}"), e.message())
    })
}

/// The variables with our prefix, by key.
fn variables(env: &[(OsString, OsString)], problems: &mut Problems) -> BTreeMap<String, Variable> {
    let mut found = BTreeMap::new();
    for (name, value) in env {
        let Some(name) = name.to_str() else { continue };
        let Some(path) = name.strip_prefix(ENV_PREFIX) else { continue };
        let key = path.split(ENV_SEPARATOR).map(str::to_lowercase).collect::<Vec<_>>().join(".");
        match value.to_str() {
            Some(text) => {
                found.insert(key, Variable { name: name.to_owned(), text: text.to_owned() });
            }
            None => problems.add(name, "is not valid UTF-8"),
        }
    }
    found
}

struct Variable {
    name: String,
    text: String,
}

impl Variable {
    /// What the text may mean, likeliest first: itself, a TOML value (numbers, booleans, lists), a list with commas.
    fn readings(&self) -> Vec<Value> {
        let mut readings = vec![Value::String(self.text.clone())];
        let parsed = format!("value = {}", self.text).parse::<Table>().ok();
        if let Some(value) = parsed.and_then(|mut table| table.remove("value")) {
            readings.push(value);
        } else {
            let items = self.text.split(',').map(str::trim).filter(|item| !item.is_empty());
            readings.push(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()));
        }
        readings
    }
}

/// What is still to be taken.
struct Raw {
    file: Table,
    set_aside: Table,
    env: BTreeMap<String, Variable>,
    given: BTreeSet<String>,
    values: BTreeMap<String, Value>,
    problems: Problems,
}

impl Raw {
    /// Takes the keys of one section, except those that are sections of their own.
    fn section<T: DeserializeOwned>(&mut self, path: &str, children: &[&str]) -> T {
        let mut good = Table::new();
        for (key, value) in self.take_table(path, children) {
            self.given.insert(format!("{path}.{key}"));
            match try_key::<T>(path, &key, &value) {
                Ok(()) => {
                    good.insert(key, value);
                }
                Err(problem) => self.problems.0.push(problem),
            }
        }
        for (key, variable) in self.take_variables(path, children) {
            self.given.insert(format!("{path}.{key}"));
            match try_readings::<T>(path, &key, &variable) {
                Ok(value) => {
                    good.insert(key, value);
                }
                Err(mut problem) => {
                    problem.text = format!("{} ({})", problem.text, variable.name);
                    self.problems.0.push(problem);
                }
            }
        }
        self.values.extend(good.iter().map(|(key, value)| (format!("{path}.{key}"), value.clone())));
        Value::Table(good).try_into().expect("each key was read by itself and every key has a default")
    }

    /// The file's table at this path, without its child sections, which are set aside for their turn.
    fn take_table(&mut self, path: &str, children: &[&str]) -> Table {
        let found = if path.contains('.') { self.set_aside.remove(path) } else { self.file.remove(path) };
        let mut table = match found {
            None => return Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.problems.add(path, "is a section, not a value");
                return Table::new();
            }
        };
        for child in children {
            if let Some(value) = table.remove(*child) {
                self.set_aside.insert(format!("{path}.{child}"), value);
            }
        }
        table
    }

    fn take_variables(&mut self, path: &str, children: &[&str]) -> Vec<(String, Variable)> {
        let prefix = format!("{path}.");
        let ours = |key: &String| {
            key.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('.') && !children.contains(&rest))
        };
        let keys: Vec<String> = self.env.keys().filter(|key| ours(key)).cloned().collect();
        let taken = keys.into_iter().filter_map(|key| self.env.remove_entry(&key));
        taken.map(|(key, variable)| (key[prefix.len()..].to_owned(), variable)).collect()
    }

    /// What no section took is a mistake.
    fn refuse_the_rest(&mut self) {
        for (key, value) in &self.file {
            match value {
                Value::Table(_) => self.problems.add(key, "there is no such section"),
                _ => self.problems.add(key, "there is no such key outside of a section"),
            }
        }
        for (key, variable) in &self.env {
            self.given.insert(key.clone());
            self.problems.add(key, format!("there is no such key ({})", variable.name));
        }
    }
}

/// Whether this key can be read, as if it were the only one of its section.
fn try_key<T: DeserializeOwned>(path: &str, key: &str, value: &Value) -> Result<(), Problem> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    match serde_path_to_error::deserialize::<_, T>(Value::Table(alone)) {
        Ok(_) => Ok(()),
        Err(error) => {
            let within = error.path().to_string();
            let within = if within.starts_with(key) { within } else { key.to_owned() };
            let text = error.into_inner().message().to_owned();
            Err(Problem::new(format!("{path}.{within}"), explain(&within, &text)))
        }
    }
}

fn try_readings<T: DeserializeOwned>(path: &str, key: &str, variable: &Variable) -> Result<Value, Problem> {
    let mut last = None;
    for value in variable.readings() {
        match try_key::<T>(path, key, &value) {
            Ok(()) => return Ok(value),
            // A list that nobody wrote is a poor thing to complain about: the plain text's complaint is kept.
            Err(problem) => {
                if last.is_none() || !value.is_array() || variable.text.trim_start().starts_with('[') {
                    last = Some(problem);
                }
            }
        }
    }
    Err(last.expect("there is at least one reading"))
}

/// A parser's words, for people; and without the value where it may be a secret.
fn explain(key: &str, text: &str) -> String {
    if let Some(rest) = text.strip_prefix("unknown field ") {
        let expected = rest.split_once("expected ").map_or("", |(_, expected)| expected);
        return format!("there is no such key; expected {}", expected.trim_start_matches("one of ").replace('`', ""));
    }
    if key.ends_with("secret") {
        return "must be text in quotes".to_owned();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;
