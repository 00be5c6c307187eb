//! The load harness beside a fault, and what its oracle says in the end.

use std::fmt;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Ground;
use super::broker::secret_file;

/// Acknowledged messages that a run checks at least, or it has shown nothing.
const CHECKED_MIN: u64 = 1_000;

/// A sender has felt a fault who waited so long.
const FELT_MS: f64 = 3_000.0;

/// What the oracle counts that must be nothing; of what only a mixed load has, `null` says so as well.
const FAULTS: [&str; 12] = [
    "lost",
    "duplicates",
    "out_of_order",
    "gaps",
    "altered",
    "stale",
    "foreign",
    "resurrected",
    "miscounted",
    "marks_back",
    "unread_wrong",
    "lists_wrong",
];

/// The load harness's exit code where its oracle has found something, and where it was itself too slow for a rate, which only
/// spoils times.
const VIOLATED: i32 = 3;
const SATURATED: i32 = 4;

// Each ends with the seconds that the rest may take to be acknowledged, and what is missed to come: longer than its faults last.

/// Pairs who write, edit, delete, react, mark and list; four of each sender's are under way.
pub(super) const BUSY: &[&str] = &["--pairs", "100", "--window", "4", "--mix", "--drain", "180"];

/// The same by the clock, and both of each pair: what is due while nobody answers is sent all the same. The fault is
/// over long before the end, and what is lost never comes, so the rest has less time.
pub(super) const STEADY: &[&str] = &["--pairs", "100", "--both", "--rate", "200", "--mix", "--drain", "30"];

/// Many conversations with a message now and then.
pub(super) const MANY: &[&str] = &["--pairs", "5000", "--rate", "300", "--drain", "180"];

/// What must be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing wrong.
    Right,
    /// And no client has noticed anything.
    Unseen,
    /// Lost messages: what a broker may do without its fence.
    Wrong,
}

/// A running one, killed when it is dropped.
pub(super) struct Load {
    child: Child,
    json: PathBuf,
}

impl Load {
    /// Senders of a kind, for so long.
    pub(super) fn start(ground: &Ground, to: SocketAddr, kind: &[&str], secs: u32) -> anyhow::Result<Self> {
        let json = ground.dir.join("load.json");
        let log = File::create(ground.dir.join("load.log"))?;
        let child = Command::new("target/release/loadtest")
            .args(["pairs", "--warm", "0", "--tenant", "default"])
            .args(kind)
            .args(["--issuer", "switchyard", "--secs", &secs.to_string()])
            .args(["--target", &format!("ws://{to}/v1/ws"), "--secret-file"])
            .arg(secret_file(ground))
            .arg("--json")
            .arg(&json)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the load harness cannot be run")?;
        Ok(Self { child, json })
    }

    /// Lets it go on for a while.
    pub(super) fn goes_on(&mut self, time: Duration) -> anyhow::Result<()> {
        thread::sleep(time);
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the load harness has ended too early, with {status}"),
        }
    }

    /// Waits for its end.
    pub(super) fn ended(mut self) -> anyhow::Result<Verdict> {
        let status = self.child.wait()?;
        let text = std::fs::read_to_string(&self.json).unwrap_or_default();
        let result = serde_json::from_str(&text).with_context(|| format!("no result, but {status}"))?;
        Ok(Verdict { result, code: status.code(), told: Vec::new() })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was seen.
pub(super) struct Verdict {
    result: Value,
    code: Option<i32>,
    told: Vec<String>,
}

impl Verdict {
    /// Something more to be told.
    pub(super) fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    fn metric(&self, name: &str) -> u64 {
        self.result["metrics"][name].as_u64().unwrap_or_default()
    }

    fn ms(&self, name: &str) -> f64 {
        self.result["metrics"][name].as_f64().unwrap_or_default()
    }

    fn oracle(&self, name: &str) -> u64 {
        self.result["oracle"][name].as_u64().unwrap_or_default()
    }

    /// The longest time from a sender's coming back to their first acknowledgement.
    pub(super) fn last_first_ack(&self) -> Duration {
        Duration::from_secs_f64(self.ms("back_ack_max_ms") / 1_000.0)
    }

    /// How many connections were lost.
    pub(super) fn disconnects(&self) -> u64 {
        self.metric("disconnects")
    }

    /// An error if nobody was told that anything was wrong, nor waited for it: then nothing was broken.
    pub(super) fn felt(self) -> anyhow::Result<Self> {
        if self.metric("refused") + self.metric("retries") == 0 && self.ms("ack_max_ms") < FELT_MS {
            bail!("nobody has felt it: {self}");
        }
        Ok(self)
    }

    /// An error if it is not what was expected.
    pub(super) fn check(&self, expected: Expected) -> anyhow::Result<()> {
        let oracle = &self.result["oracle"];
        if oracle["acked_checked"].as_u64().is_none_or(|checked| checked < CHECKED_MIN) {
            bail!("too little was checked: {oracle}");
        }
        if expected == Expected::Wrong {
            if self.code != Some(VIOLATED) || self.oracle("lost") == 0 {
                bail!("without its fence the broker must lose messages, and the oracle must find that: {oracle}");
            }
            return Ok(());
        }
        let is_nothing = |count: &Value| count.is_null() || count.as_u64() == Some(0);
        let wrong = FAULTS.iter().any(|fault| !oracle.get(fault).is_some_and(is_nothing));
        if oracle["ok"] != true || wrong {
            bail!("the oracle found something: {oracle}");
        }
        if !matches!(self.code, Some(0 | SATURATED)) {
            bail!("messages were never answered, on connections that stand");
        }
        if expected != Expected::Unseen {
            return Ok(());
        }
        // Who is told that an outcome is unknown asks again.
        let seen = ["disconnects", "unknown", "refused", "retries", "changes_unanswered", "changes_refused"];
        if let Some(name) = seen.iter().find(|name| self.result["metrics"][**name].as_u64().is_none()) {
            bail!("the result says nothing of {name}");
        }
        let seen = seen.map(|name| (name, self.metric(name)));
        if seen.iter().any(|(_, count)| *count > 0) {
            bail!("clients have seen it: {seen:?}");
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acknowledged", self.metric("acked"))?;
        for name in ["disconnects", "retries", "unknown", "refused", "changes", "changes_refused"] {
            write!(f, ", {name} {}", self.metric(name))?;
        }
        write!(f, ", the longest wait {:.1} s", self.ms("ack_max_ms") / 1_000.0)?;
        for fault in FAULTS.iter().filter(|fault| self.oracle(fault) > 0) {
            write!(f, ", {fault} {}", self.oracle(fault))?;
        }
        if self.metric("back_acks") > 0 {
            let [least, p50, p99, most] =
                ["min", "p50", "p99", "max"].map(|part| self.ms(&format!("back_ack_{part}_ms")));
            write!(f, ", first acks of {} who came back after {least:.0} ms", self.metric("back_acks"))?;
            write!(f, ", p50 {p50:.0}, p99 {p99:.0}, the last {most:.0}")?;
        }
        self.told.iter().try_for_each(|told| write!(f, "; {told}"))
    }
}
