//! A run from its arguments to its exit code.

use std::fs;
use std::io::Write as _;

use anyhow::Context as _;
use clap::Parser as _;
use serde_json::{Map, Value};

use crate::args::{Args, FormArg, Scenario, UsageError};
use crate::floor;
use crate::net::target::TargetError;
use crate::oracle::Verdict;
use crate::procfs::Machine;
use crate::report::{COMMIT, Limit, Report, SCHEMA};
use crate::scenario::{self, Outcome};

/// What the process ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// All well.
    Ok = 0,
    /// The run failed, the server left messages without an answer, or the oracle has not looked at everything.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The oracle found a violation.
    Violated = 3,
    /// The generator did not keep its rate.
    Saturated = 4,
    /// A limit was missed.
    Missed = 5,
}

/// Reads the command line, runs, reports.
pub fn main() -> Exit {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    let limits = match args.limit.iter().map(|text| Limit::parse(text)).collect::<Result<Vec<_>, _>>() {
        Ok(limits) => limits,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Usage;
        }
    };
    if args.scenario == Scenario::FloorServe {
        return match floor::serve(&args) {
            Ok(()) => Exit::Ok,
            Err(error) => failed(&error),
        };
    }
    match scenario::run(&args).and_then(|outcome| report(&args, &limits, outcome)) {
        Ok(exit) => exit,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Exit {
    eprintln!("loadtest: {error:#}");
    if error.is::<UsageError>() || error.is::<TargetError>() { Exit::Usage } else { Exit::Failed }
}

fn report(args: &Args, limits: &[Limit], outcome: Outcome) -> anyhow::Result<Exit> {
    let floor = args.scenario == Scenario::Floor;
    let report = Report {
        schema: SCHEMA,
        scenario: name(args.scenario),
        target: (!floor).then(|| args.target.clone()),
        transport: if floor { "tcp" } else { "ws" },
        form: (!floor).then_some(match args.form {
            FormArg::Proto => "proto",
            FormArg::Json => "json",
        }),
        params: params(args),
        seed: args.seed,
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        machine: Machine::read(),
        metrics: outcome.metrics,
        oracle: outcome.verdict,
    };
    match args.json.as_deref() {
        Some("-") => writeln!(std::io::stdout(), "{}", report.json()).context("standard output")?,
        Some(path) => fs::write(path, report.json() + "\n").with_context(|| path.to_owned())?,
        None => {}
    }
    if !args.quiet {
        eprint!("{}", report.table());
        for (words, count) in &outcome.refusals {
            eprintln!("  {count} answered with {words}");
        }
    }
    if report.oracle.as_ref().is_some_and(|verdict| verdict.faults() > 0) {
        eprintln!("loadtest: the oracle found a violation");
        return Ok(Exit::Violated);
    }
    if outcome.unanswered > 0 {
        eprintln!("loadtest: {} messages were never answered, on connections that stand", outcome.unanswered);
        return Ok(Exit::Failed);
    }
    if let Some(missing) = report.oracle.as_ref().and_then(Verdict::missing) {
        eprintln!("loadtest: the oracle found nothing wrong, but has not looked at everything: {missing}");
        return Ok(Exit::Failed);
    }
    if outcome.rate_missed {
        eprintln!("loadtest: the generator itself was too slow for this rate");
        return Ok(Exit::Saturated);
    }
    let mut exit = Exit::Ok;
    for limit in limits {
        if let Err(missed) = limit.check(&report.metrics) {
            eprintln!("loadtest: {missed}");
            exit = Exit::Missed;
        }
    }
    Ok(exit)
}

fn name(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Idle => "idle",
        Scenario::Pairs => "pairs",
        Scenario::Room => "room",
        Scenario::Reconnect => "reconnect",
        Scenario::Fill => "fill",
        Scenario::Lists => "lists",
        Scenario::Floor => "floor",
        Scenario::FloorServe => "floor-serve",
    }
}

/// What was asked for, as it shaped the run.
fn params(args: &Args) -> Map<String, Value> {
    let mut params = Map::new();
    let mut put = |name: &str, value: Value| params.insert(name.to_owned(), value);
    match args.scenario {
        Scenario::Idle | Scenario::Reconnect => {
            put("connections", args.connections.into());
        }
        Scenario::Pairs => {
            put("pairs", args.pairs.into());
            put("both", args.both.into());
        }
        Scenario::Room => {
            put("members", args.room_members().into());
            put("publishers", args.publishers.into());
            put("absent", args.absent.into());
        }
        Scenario::Lists => {
            put("connections", args.connections.into());
            put("conversations", args.conversations.into());
            put("shared", args.shared.into());
            put("again", args.again.clone().into());
        }
        Scenario::Fill => {
            put("messages", args.messages.into());
            put("pages", args.pages.into());
        }
        Scenario::Floor | Scenario::FloorServe => {
            put("pairs", args.pairs.into());
            put("both", args.both.into());
            put("members", args.members.into());
            put("publishers", args.publishers.into());
        }
    }
    if args.scenario == Scenario::Reconnect {
        put("behind", args.behind.into());
    }
    if let Some(mix) = args.mix() {
        put("mix", serde_json::to_value(mix).unwrap_or_default());
    }
    put("rate", args.rate.into());
    put("window", args.window_or_default().into());
    put("by_delivery", args.by_delivery.into());
    put("size", args.size.into());
    put("warm", args.warm.into());
    put("secs", args.secs.into());
    params
}
