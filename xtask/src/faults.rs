//! `cargo xtask faults`: a broker on three nodes of a CQL store, senders who believe nothing, and something that breaks under them.
//! After each fault the load harness reads all timelines and must find nothing lost, twice, out of order or otherwise wrong.
//! One scenario is the other way round: there the broker's fence is switched off, and they must find something.
//! It takes minutes and wants the machine for itself, so it is no part of the test command.

mod broker;
mod door;
mod load;
mod network;
mod prober;
mod scenarios;
mod world;

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;

use crate::services::{self, Cluster};
use crate::stages::cargo;
use crate::tools;

use broker::Lack;
use load::Verdict;
use scenarios::{SCENARIOS, Scenario};

/// Where everything lies.
const DIR: &str = "target/faults";

/// Held by whoever plays faults in this checkout.
const LOCK: &str = "target/faults.lock";

/// What `cargo xtask faults` is told.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these, by name
    #[arg(value_name = "NAME")]
    only: Vec<String>,
    /// Say which there are
    #[arg(long)]
    list: bool,
    /// In the world in which they are played, with everything built
    #[arg(long, hide = true)]
    inside: bool,
}

/// What a scenario works on.
struct Ground {
    cluster: Cluster,
    dir: std::path::PathBuf,
    keyspace: String,
    /// What a broker lacks that is replaced.
    lacks: Option<Lack>,
}

/// Runs them one after the other, in a world of their own, and says what came of each.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.list {
        SCENARIOS.iter().for_each(|scenario| println!("{:>16}  {}", scenario.name, scenario.about));
        return Ok(());
    }
    for name in &arguments.only {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            bail!("there is no fault {name}; `cargo xtask faults --list` says which there are");
        }
    }
    if arguments.inside { play_all(arguments) } else { prepare(arguments) }
}

fn wanted(arguments: &Arguments) -> impl Iterator<Item = &'static Scenario> {
    let is_wanted =
        |scenario: &&Scenario| arguments.only.is_empty() || arguments.only.iter().any(|n| n == scenario.name);
    SCENARIOS.iter().filter(is_wanted)
}

/// Whatever needs the network, which there is none of in there.
fn prepare(arguments: &Arguments) -> anyhow::Result<()> {
    let lock = File::create(LOCK).with_context(|| format!("{LOCK} cannot be made"))?;
    lock.try_lock().context("faults are being played in this checkout already")?;
    tools::install_for_faults()?;
    services::fetch()?;
    cargo(&["build", "--release", "-p", "switchyard-broker", "-p", "switchyard-loadtest"])?;
    cargo(&["build", "--release", "-p", "switchyard-store", "--example", "schema"])?;
    std::fs::create_dir_all(DIR).with_context(|| format!("{DIR} cannot be made"))?;
    if wanted(arguments).any(|scenario| scenario.lacks.is_some()) {
        broker::build_for_tests()?;
    }
    let again = ["faults", "--inside"].map(str::to_owned);
    world::play(&again.into_iter().chain(arguments.only.iter().cloned()).collect::<Vec<_>>())
}

fn play_all(arguments: &Arguments) -> anyhow::Result<()> {
    world::begin()?;
    let mut failed = Vec::new();
    for scenario in wanted(arguments) {
        println!("== {}: {}", scenario.name, scenario.about);
        match play(scenario) {
            Ok(verdict) => println!("   ok: {verdict}"),
            Err(error) => {
                println!("   FAILED: {error:#}");
                failed.push(scenario.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Each on a cluster without data: what one leaves behind is no part of the next.
fn play(scenario: &Scenario) -> anyhow::Result<Verdict> {
    let dir = Path::new(DIR).join(scenario.name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    let cluster = services::for_faults(scenario.small_disk)?;
    let mut ground = Ground { cluster, dir, keyspace: "faults".to_owned(), lacks: scenario.lacks };
    broker::migrate(&ground)?;
    let verdict = (scenario.play)(&mut ground)?;
    verdict.check(scenario.expected).with_context(|| verdict.to_string())?;
    Ok(verdict)
}
