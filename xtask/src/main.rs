//! Checks of the repository: `cargo xtask test` is what a contributor runs and what the continuous build runs; `cargo
//! xtask tidy` is the part of it that knows this repository's own rules; `cargo xtask services` starts what tests need. No task changes a tracked file.

mod faults;
mod services;
mod stages;
mod suites;
mod tidy;
mod tools;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// Checks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Install what the tests need, then run every check and every test
    Test,
    /// Install what the tests need
    Tools,
    /// Start what the tests and people need beside the broker, a CQL store, and end it with Ctrl+C
    Services(services::Arguments),
    /// Break things below a broker on three nodes, and see that nothing is lost
    Faults(faults::Arguments),
    /// Check the repository's own rules: file headers, dependency arrows, sizes
    Tidy,
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository");
    env::set_current_dir(root).expect("the repository is there");
    let done = match Task::parse() {
        Task::Test => stages::run_all(),
        Task::Tools => tools::install(),
        Task::Services(arguments) => services::run(&arguments),
        Task::Faults(arguments) => faults::run(&arguments),
        Task::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
