//! The load harness beside a fault, and what its oracle says in the end.

use std::fmt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Ground;
use super::broker::secret_file;
use super::door::Door;

/// How long senders go on after their time to have the rest acknowledged: longer than any fault lasts.
const DRAIN_S: u32 = 180;

/// Acknowledged messages that a run checks at least, or it has shown nothing.
const CHECKED_MIN: u64 = 1_000;

/// What the oracle counts that must be nothing.
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

/// A running one, killed when it is dropped.
pub(super) struct Load {
    child: Child,
    json: PathBuf,
}

impl Load {
    /// Pairs who send, edit, delete, react, mark and list for so long.
    pub(super) fn start(ground: &Ground, door: &Door, secs: u32) -> anyhow::Result<Self> {
        let json = ground.dir.join("load.json");
        let child = Command::new("target/release/loadtest")
            .args([
                "pairs", "--pairs", "100", "--window", "4", "--warm", "0", "--quiet", "--mix", "--tenant", "default",
            ])
            .args(["--issuer", "switchyard", "--secs", &secs.to_string(), "--drain", &DRAIN_S.to_string()])
            .args(["--target", &format!("ws://{}/v1/ws", door.address()), "--secret-file"])
            .arg(secret_file(ground))
            .arg("--json")
            .arg(&json)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
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
        Ok(Verdict(result))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was seen.
pub(super) struct Verdict(Value);

impl Verdict {
    fn metric(&self, name: &str) -> u64 {
        self.0["metrics"][name].as_u64().unwrap_or_default()
    }

    /// An error if anything is wrong; and where nobody may have seen anything, if somebody has.
    pub(super) fn check(&self, unseen: bool) -> anyhow::Result<()> {
        let oracle = &self.0["oracle"];
        let wrong = FAULTS.iter().any(|fault| oracle[fault].as_u64() != Some(0));
        if oracle["ok"] != true || wrong {
            bail!("the oracle found something: {oracle}");
        }
        if oracle["acked_checked"].as_u64().is_none_or(|checked| checked < CHECKED_MIN) {
            bail!("too little was checked: {oracle}");
        }
        let seen = ["disconnects", "unknown", "refused", "changes_unanswered"].map(|name| (name, self.metric(name)));
        if unseen && seen.iter().any(|(_, count)| *count > 0) {
            bail!("clients have seen it: {seen:?}");
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acknowledged", self.metric("acked"))?;
        for name in ["disconnects", "retries", "unknown", "refused", "changes"] {
            write!(f, ", {name} {}", self.metric(name))?;
        }
        let longest = self.0["metrics"]["ack_max_ms"].as_f64().unwrap_or_default();
        write!(f, ", the longest wait {:.1} s", longest / 1_000.0)
    }
}
