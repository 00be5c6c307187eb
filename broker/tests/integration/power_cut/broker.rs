//! The whole broker under power cuts: what it acknowledged to its clients is there by history, once and in order, after
//! any number of them, edited, deleted and given emoji as was acknowledged; what was sent without an answer is stored once
//! when it is sent again; and what is unread and a list shows follows from what is there.

mod clients;
mod ledger;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;

use super::disk::{Disk, Plan, Survival};
use super::fs::{Mount, SharedDisk, lock};
use super::process::{Event, Process};
use crate::process::{said, switchyard};
use clients::{Clients, User};
use ledger::{Ledger, Verdict};

/// Cuts under load in a row, on one data directory.
const CUTS: u32 = 20;

/// Changes and syncs of the disk before a cut. Making the store takes some hundreds, opening it some dozens.
const STEPS: std::ops::Range<u64> = 50..1_500;

/// Two users each, in a conversation of their own.
const PAIRS: usize = 8;

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    let campaign = Campaign::new(CUTS, |disk| disk);
    let result = campaign.run().unwrap_or_else(|error| panic!("seed {}: {error:?}", campaign.seed));
    assert_eq!(result.verdict, Verdict::default(), "seed {}: {result:?}", campaign.seed);
    assert!(
        result.acknowledged > 0 && result.changed > 0 && result.changes_lost > 0,
        "seed {}: {result:?}",
        campaign.seed
    );
}

/// Shows that the test above can fail: a disk that says it has synced and has not.
#[test]
fn on_a_disk_that_lies_the_same_test_finds_acknowledged_messages_missing() {
    let campaign = Campaign::new(1, Disk::lying);
    let result = campaign.run().unwrap_or_else(|error| panic!("seed {}: {error:?}", campaign.seed));
    assert!(result.verdict.missing > 0, "seed {}: {result:?}", campaign.seed);
}

struct Campaign {
    seed: u64,
    /// Under load.
    cuts: u32,
    disk: SharedDisk,
    /// Where the configuration lies. The secret must not be lost with the data, or nobody could ask for it.
    dir: TempDir,
    users: Vec<User>,
}

#[derive(Debug)]
struct Results {
    verdict: Verdict,
    acknowledged: usize,
    /// Edits, deletions and emoji that were acknowledged.
    changed: usize,
    /// Changes of the disk that were not synced when the power went.
    changes_lost: u64,
}

impl Campaign {
    fn new(cuts: u32, disk: impl FnOnce(Disk) -> Disk) -> Self {
        let seed = rand::random();
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("switchyard.toml");
        std::fs::write(&config, format!("[auth]\nsecret = \"{}\"\n", "5e1f".repeat(16))).expect("it is written");
        let config = config.to_str().expect("text");
        let users = (0..2 * PAIRS).map(|index| {
            let name = format!("user-{index}");
            let token = said(&["token", "--user", &name, "--ttl", "1h", "--config", config]).trim_end().to_owned();
            User { name, token }
        });
        let users = users.collect();
        let disk = Arc::new(Mutex::new(disk(Disk::new(seed, Survival::Nothing))));
        Self { seed, cuts, disk, dir, users }
    }

    /// Cuts and checks, until something is wrong or all is done.
    fn run(&self) -> anyhow::Result<Results> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut ledger = Ledger::default();
        let (mut cuts, mut changes_lost) = (0, 0);
        let mut verdict = Verdict::default();
        while cuts < self.cuts && verdict == Verdict::default() {
            let (acknowledged, lost) = self.load(Plan::AfterSteps(rng.random_range(STEPS)), &mut ledger)?;
            cuts += u32::from(acknowledged > 0);
            changes_lost += lost;
            // Not each time: the start for a check mends what the next load shall meet.
            if rng.random_ratio(1, 4) || cuts == self.cuts {
                verdict = self.check(&ledger)?;
            }
        }
        Ok(Results { verdict, acknowledged: ledger.acknowledged(), changed: ledger.changes(), changes_lost })
    }

    /// Clients send until the power goes. Returns how many messages were acknowledged and how many changes at stake.
    fn load(&self, plan: Plan, ledger: &mut Ledger) -> anyhow::Result<(usize, u64)> {
        let (sender, events) = mpsc::channel();
        let mount = Mount::new(&self.disk, sender.clone(), Event::Cut)?;
        lock(&self.disk).plan_cut(plan);
        let mut process = Process::start(&mut self.command(mount.path()), (sender.clone(), events))?;
        let mut acknowledged = 0;
        if let Some(line) = process.first_line()? {
            let clients = Clients::start(&address(&line)?, &self.users, ledger.take_unanswered(), sender)?;
            let end = process.listen(|_| Ok(()));
            acknowledged = ledger.add(clients.stop()?);
            end?;
        } else {
            drop(process);
        }
        mount.unmount()?;
        Ok((acknowledged, lock(&self.disk).restore()))
    }

    fn check(&self, ledger: &Ledger) -> anyhow::Result<Verdict> {
        let (sender, events) = mpsc::channel();
        let mount = Mount::new(&self.disk, sender.clone(), Event::Cut)?;
        let mut process = Process::start(&mut self.command(mount.path()), (sender, events))?;
        let line = process.first_line()?.context("the power went during a check")?;
        let found = clients::read_all(&address(&line)?, &self.users)?;
        drop(process);
        mount.unmount()?;
        Ok(ledger.compare(&found))
    }

    fn command(&self, mount: &Path) -> Command {
        let mut command = switchyard();
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--config"]);
        command.arg(self.dir.path().join("switchyard.toml")).arg("--data").arg(mount.join("data"));
        command
    }
}

fn address(ready: &str) -> anyhow::Result<String> {
    let ready: Value = serde_json::from_str(ready).with_context(|| format!("not a ready line: {ready}"))?;
    Ok(ready["ws"].as_str().context("no address in the ready line")?.to_owned())
}
