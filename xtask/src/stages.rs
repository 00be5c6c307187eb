//! The stages of `cargo xtask test`, in order, each with its time. The first one that fails ends it.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{suites, tidy, tools};

type Stage = (&'static str, fn() -> anyhow::Result<()>);

/// Cheap stages first, so that a slip is told before a long build.
const STAGES: &[Stage] = &[
    ("tools", tools::install),
    ("fmt", || cargo(&["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("deny", tools::deny),
    ("js", || run(Command::new("node").arg("--test").current_dir("client/js"))),
    ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("doc", || {
        let mut command = Command::new("cargo");
        command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        run(&mut command)
    }),
    // By itself, so that its time is told apart. It builds the programs that tests start, too, the load harness among them.
    ("build", || cargo(&["test", "--workspace", "--no-run"])),
    ("test", suites::run_all),
];

/// Runs every stage and says how long each took.
pub(crate) fn run_all() -> anyhow::Result<()> {
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for (name, stage) in STAGES {
        println!("== {name}");
        let started = Instant::now();
        let done = stage().with_context(|| format!("{name} failed"));
        times.push((name, started.elapsed()));
        if done.is_err() {
            outcome = done;
            break;
        }
    }
    println!();
    for (name, time) in &times {
        println!("{name:>8} {:>7.1} s", time.as_secs_f64());
    }
    let all: Duration = times.iter().map(|(_, time)| time).sum();
    println!("{:>8} {:>7.1} s", "all", all.as_secs_f64());
    outcome
}

/// Runs cargo, with its output as our own.
pub(crate) fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    run(Command::new("cargo").args(arguments))
}

/// Runs a program, with its output as our own.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{:?} cannot be run", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
