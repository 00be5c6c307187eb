//! Services that tests and people need beside the broker: a CQL store of one or three nodes, on loopback, with its data
//! below `target/`. Nothing of it is installed, and nothing of it is left when it ends.

mod addresses;
mod cluster;
mod disk;
mod node;
mod papers;
mod server;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};

use crate::tools;

pub(crate) use addresses::CQL_PORT;
pub(crate) use cluster::Cluster;

/// Where tests find the store: its contact points, with commas between them.
pub(crate) const CONTACT_POINTS: &str = "SWITCHYARD_TEST_CQL";

/// Where tests find the one that asks for certificates and a password: a folder with all that its clients need.
pub(crate) const SECURED: &str = "SWITCHYARD_TEST_CQL_SECURED";

/// Where everything lies.
const DIR: &str = "target/services";

/// How often it is looked after nodes that end by themselves.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What `cargo xtask services` is told.
#[derive(Args)]
pub(crate) struct Arguments {
    /// How many nodes: 1 to 3
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    nodes: u8,
    /// When a node's log is synced to its disk
    #[arg(long, value_enum, default_value_t = CommitlogSync::Periodic)]
    commitlog_sync: CommitlogSync,
    /// One that asks its clients for a certificate and a password
    #[arg(long, conflicts_with = "nodes")]
    secured: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// End what another `cargo xtask services` of this checkout has started
    Stop,
}

/// When a node's log is synced to its disk.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommitlogSync {
    /// Every ten seconds: what was acknowledged by all nodes that lose their power is lost
    Periodic,
    /// Before it is answered, with others of two milliseconds
    Group,
    /// Before it is answered
    Batch,
}

/// What a cluster is made of.
struct Wanted {
    nodes: u8,
    sync: CommitlogSync,
    /// The node whose disk is a small one, which can be filled.
    small_disk: Option<u8>,
    /// Whether it asks for certificates and a password; of one node.
    secured: bool,
}

impl Wanted {
    /// Of so many nodes, as everybody may use it.
    fn open(nodes: u8, sync: CommitlogSync) -> Self {
        Self { nodes, sync, small_disk: None, secured: false }
    }
}

/// What is started with which directory, so that neither gets in the way of the other.
fn dir(of: &str) -> PathBuf {
    Path::new(DIR).join(of)
}

/// Starts nodes and waits for Ctrl+C, or ends those of another process.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = dir("manual");
    if matches!(arguments.action, Some(Action::Stop)) {
        return match cluster::stop_left(&dir)? {
            0 => {
                println!("nothing runs");
                Ok(())
            }
            ended => {
                println!("ended {ended} nodes");
                Ok(())
            }
        };
    }
    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Whoever presses it again while nodes are being ended has said so already.
        let _ = interrupt.send(());
    })
    .context("signals cannot be handled")?;
    tools::install_for_services()?;
    cluster::refuse_second(&dir)?;
    let wanted = Wanted { secured: arguments.secured, ..Wanted::open(arguments.nodes, arguments.commitlog_sync) };
    let mut cluster = Cluster::start(&dir, &wanted, &|| interrupted.try_recv().is_ok())?;
    match cluster.papers() {
        Some(papers) => println!("{SECURED}={}", papers.display()),
        None => println!("{CONTACT_POINTS}={}", cluster.contact_points()),
    }
    println!("ready; Ctrl+C or `cargo xtask services stop` ends it");
    while interrupted.recv_timeout(LOOK_EVERY).is_err() {
        if cluster.look_after() == 0 {
            println!("all nodes have ended");
            return Ok(());
        }
    }
    println!("ending");
    Ok(())
}

/// One small node for the tests. It ends when this is dropped.
pub(crate) fn for_tests() -> anyhow::Result<Cluster> {
    let dir = dir("tests");
    cluster::stop_left(&dir)?;
    Cluster::start(&dir, &Wanted::open(1, CommitlogSync::Periodic), &|| false)
}

/// Another one that asks for certificates and a password.
pub(crate) fn for_tests_secured() -> anyhow::Result<Cluster> {
    let dir = dir("tests-secured");
    cluster::stop_left(&dir)?;
    Cluster::start(&dir, &Wanted { secured: true, ..Wanted::open(1, CommitlogSync::Periodic) }, &|| false)
}

/// Three nodes that sync before they answer, to be broken; one of them has a small disk, if that is wanted. They end when this
/// is dropped.
pub(crate) fn for_faults(small_disk: Option<u8>) -> anyhow::Result<Cluster> {
    let dir = dir("faults");
    cluster::stop_left(&dir)?;
    Cluster::start(&dir, &Wanted { small_disk, ..Wanted::open(3, CommitlogSync::Group) }, &|| false)
}

/// Fetches what a cluster needs, so that it can be started where there is no network.
pub(crate) fn fetch() -> anyhow::Result<()> {
    server::Server::fetched(Path::new(DIR)).map(|_| ())
}
