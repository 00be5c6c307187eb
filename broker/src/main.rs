//! The switchyard binary: parses the command line, does what it says, and turns a failure into its exit code.

use std::process::ExitCode;

use clap::Parser;
use switchyard_broker::cli::{Cli, Command};
use switchyard_broker::config::Problem;
use switchyard_broker::exit::Failure;
use switchyard_broker::{commands, run};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::All(cli.run)) {
        Command::All(args) => run::run(&args),
        Command::Edge(_) => Err(not_alone("edge")),
        Command::Router(_) => Err(not_alone("router")),
        Command::Admin(_) => Err(not_alone("admin")),
        Command::DefaultConfig => commands::default_config(),
        Command::CheckConfig(args) => commands::check_config(args),
        Command::Version(args) => commands::version(&args),
        Command::Token(args) => commands::token(&args),
        Command::Migrate(args) => commands::migrate(args),
        Command::Verify(args) => commands::verify(&args),
        Command::Dump(args) => commands::dump(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn not_alone(role: &str) -> Failure {
    let text = "this version runs every role in one process; use `switchyard all`, or no command at all";
    Failure::Usage(Problem::new(role, text).into())
}
