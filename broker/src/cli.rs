//! The command line, as outsiders script against it. It parses and documents; it decides nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::LogFormat;
use crate::config::units::Span;

/// A message broker for conversations: ordered, durable, fast. Without a command it runs every role in this process.
#[derive(Parser, Debug)]
#[command(name = "switchyard", version, args_conflicts_with_subcommands = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do; nothing means `all`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `all`, for when no command is named.
    #[command(flatten)]
    pub run: RunArgs,
}

const EXIT_CODES: &str = "Exit: 0 ok; 1 failed while running; 2 usage or configuration (a line `KEY: problem` each); \
                          3 cannot listen; 4 the store is locked, corrupt or of another schema.";

/// What can be done.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run every role in this process (the default)
    All(RunArgs),
    /// Run the role that clients connect to
    Edge(RunArgs),
    /// Run the role that orders and keeps conversations
    Router(RunArgs),
    /// Run the role that serves users, tickets and operations
    Admin(RunArgs),
    /// Print the whole configuration with its defaults, explained
    DefaultConfig,
    /// Check a configuration and the environment; exits 2 with every problem found
    CheckConfig(ConfigArgs),
    /// Bring the store's schema up to this version
    Migrate(StoreArgs),
    /// Print which build this is
    Version(VersionArgs),
    /// Print a token for a user, signed with the secret of the configuration or of a development data directory
    Token(TokenArgs),
    /// Read everything that is stored and report what is damaged
    Verify(VerifyArgs),
    /// Print the events of one conversation, or what one user decided, a line of JSON each
    Dump(DumpArgs),
}

/// Options of the roles.
#[derive(Args, Clone, Default, Debug)]
pub struct RunArgs {
    /// Configuration file (TOML); without one it runs in development mode, on loopback only
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Where everything is kept [default: ./switchyard-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address for clients [default: 127.0.0.1:7400]; port 0 takes a free one
    #[arg(long, value_name = "A")]
    pub listen: Option<SocketAddr>,
    /// Address for health and metrics [default: 127.0.0.1:7401]; port 0 takes a free one
    #[arg(long, value_name = "A")]
    pub ops_listen: Option<SocketAddr>,
    /// File that gets the ready line once clients may come, and is removed at the end
    #[arg(long, value_name = "F")]
    pub ready_file: Option<PathBuf>,
    /// How logs look on stderr [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Which configuration is meant.
#[derive(Args, Clone, Default, Debug)]
pub struct ConfigArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
}

/// Which store is meant.
#[derive(Args, Clone, Default, Debug)]
pub struct StoreArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// Data directory [default: ./switchyard-data]
    #[arg(long, value_name = "D")]
    pub data: Option<PathBuf>,
}

/// Options of `version`.
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// The user that the token speaks for
    #[arg(long, value_name = "ID")]
    pub user: String,
    /// The user's tenant [default: the configured issuer's]
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// A role of the user's; may be given more than once
    #[arg(long = "role", value_name = "R")]
    pub roles: Vec<String>,
    /// The user's name, for people to read
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// How long the token is good for
    #[arg(long, default_value = "15m", value_name = "TIME")]
    pub ttl: Span,
    /// Configuration file with the secret to sign with
    #[arg(long, value_name = "F", conflicts_with = "data")]
    pub config: Option<PathBuf>,
    /// Data directory of a development broker, whose secret to sign with [default: ./switchyard-data]
    #[arg(long, value_name = "D")]
    pub data: Option<PathBuf>,
}

/// Options of `verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Data directory [default: ./switchyard-data]
    #[arg(long, value_name = "D")]
    pub data: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Options of `dump`.
#[derive(Args, Clone, Debug)]
pub struct DumpArgs {
    /// The conversation
    #[arg(long, value_name = "ID", required_unless_present = "home")]
    pub conversation: Option<String>,
    /// Instead, the log of this user's home: whom they blocked and what they archived
    #[arg(long, value_name = "USER", conflicts_with = "conversation")]
    pub home: Option<String>,
    /// Its tenant [default: `default`]
    #[arg(long, value_name = "T")]
    pub tenant: Option<String>,
    /// Which store it is in
    #[command(flatten)]
    pub store: StoreArgs,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_takes_the_options_of_all() {
        let cli = Cli::try_parse_from(["switchyard", "--listen", "127.0.0.1:0", "--data", "d"]).expect("it parses");
        assert!(cli.command.is_none());
        assert_eq!(cli.run.data.expect("given").to_str(), Some("d"));
        let cli = Cli::try_parse_from(["switchyard", "all", "--ready-file", "r"]).expect("it parses");
        assert!(matches!(cli.command, Some(Command::All(RunArgs { ready_file: Some(_), .. }))));
    }

    #[test]
    fn a_token_may_carry_several_roles() {
        let cli = Cli::try_parse_from(["switchyard", "token", "--user", "a", "--role", "ADMIN", "--role", "SUPPORT"]);
        let Some(Command::Token(args)) = cli.expect("it parses").command else { panic!("not a token") };
        assert_eq!(args.roles, ["ADMIN", "SUPPORT"]);
        assert_eq!(args.ttl.0.as_secs(), 900);
    }
}
