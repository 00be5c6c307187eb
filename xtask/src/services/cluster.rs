//! One or three nodes that make a cluster, from their start to their end.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;

use super::disk::SmallDisk;
use super::node::{self as process, DISK, Node, Place};
use super::papers::Papers;
use super::server::Server;
use super::{DIR, Wanted, addresses};

/// How long nodes may take to start: they do in 6 to 15 seconds where they have the machine for themselves.
const START_WITHIN: Duration = Duration::from_secs(300);

/// How often a node that ends while it starts is started again: on a busy machine one finds no other in the few seconds that it
/// gives them.
const AGAIN_MAX: u8 = 3;

/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Nodes that a folder may have, so that whatever an earlier run has left is found.
const NODES_MAX: u8 = 3;

/// The processes of a cluster. They end when this is dropped.
pub(crate) struct Cluster {
    server: Server,
    nodes: Vec<Node>,
    /// It goes after the node that it is of.
    small_disk: Option<SmallDisk>,
    papers: Option<Papers>,
}

impl Cluster {
    /// Starts nodes without data in this folder, and waits until all take clients, unless it is given up.
    pub(super) fn start(dir: &Path, wanted: &Wanted, given_up: &dyn Fn() -> bool) -> anyhow::Result<Self> {
        let server = Server::fetched(Path::new(DIR))?;
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("{} cannot be removed", dir.display()))?;
        }
        let addresses = addresses::free(&std::env::current_dir()?, wanted.nodes, wanted.secured)?;
        let seed = *addresses.first().context("at least one node")?;
        let mut cluster = Self { server, nodes: Vec::new(), small_disk: None, papers: None };
        if wanted.secured {
            cluster.papers = Some(Papers::make(&dir.join("papers"), SocketAddr::from((seed, addresses::CQL_PORT)))?);
        }
        for (number, address) in (1..).zip(addresses) {
            if wanted.small_disk == Some(number) {
                cluster.small_disk = Some(SmallDisk::mount(&node_dir(dir, number).join(DISK))?);
            }
            let place = Place { number, nodes: wanted.nodes, address, seed };
            let node =
                Node::start(&cluster.server, node_dir(dir, number), place, wanted.sync, cluster.papers.as_ref())?;
            println!("starting {}", node.name());
            cluster.nodes.push(node);
        }
        cluster.wait(given_up)?;
        Ok(cluster)
    }

    /// Waits until all nodes take clients.
    fn wait(&mut self, given_up: &dyn Fn() -> bool) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut ready = vec![false; self.nodes.len()];
        let mut again = AGAIN_MAX;
        while ready.contains(&false) {
            if given_up() {
                bail!("given up while nodes were starting");
            }
            if started.elapsed() > START_WITHIN {
                bail!("nodes did not take clients within {} s; their logs are below {DIR}", START_WITHIN.as_secs());
            }
            thread::sleep(LOOK_EVERY);
            let Self { server, nodes, .. } = self;
            for (node, ready) in nodes.iter_mut().zip(&mut ready).filter(|(_, ready)| !**ready) {
                match node.is_ready() {
                    Ok(false) => {}
                    Ok(true) => {
                        *ready = true;
                        println!("{} takes clients after {:.1} s", node.name(), started.elapsed().as_secs_f64());
                    }
                    Err(error) if again > 0 && !node.was_killed() => {
                        again -= 1;
                        println!("{error:#}\nit is started again");
                        node.start_again(server)?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// `kill -9` of the node with this number.
    pub(crate) fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        node(&mut self.nodes, number)?.kill()
    }

    /// Starts it again on what it has; it takes clients some seconds later.
    pub(crate) fn start_again(&mut self, number: usize) -> anyhow::Result<()> {
        let Self { server, nodes, .. } = self;
        node(nodes, number)?.start_again(server)
    }

    /// Stops it where it is.
    pub(crate) fn pause(&mut self, number: usize) -> anyhow::Result<()> {
        node(&mut self.nodes, number)?.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self, number: usize) -> anyhow::Result<()> {
        node(&mut self.nodes, number)?.signal(Signal::CONT)
    }

    /// Whether it runs and takes clients.
    pub(crate) fn serves(&mut self, number: usize) -> anyhow::Result<bool> {
        Ok(node(&mut self.nodes, number)?.takes_clients())
    }

    /// The disk of the node that has a small one.
    pub(crate) fn small_disk(&self) -> anyhow::Result<&SmallDisk> {
        self.small_disk.as_ref().context("no node has a small disk")
    }

    /// Where clients find it, with commas between the nodes.
    pub(crate) fn contact_points(&self) -> String {
        let points: Vec<String> = self.nodes.iter().map(|node| node.contact_point().to_string()).collect();
        points.join(",")
    }

    /// Where all lies that its clients need, if it asks for something.
    pub(crate) fn papers(&self) -> Option<&Path> {
        self.papers.as_ref().map(Papers::dir)
    }

    /// Says which nodes have ended since the last look, and returns how many still run: people end single ones on purpose.
    pub(crate) fn look_after(&mut self) -> usize {
        for node in &mut self.nodes {
            if node.has_just_ended() {
                println!("{} has ended", node.name());
            }
        }
        self.nodes.iter().filter(|node| node.runs()).count()
    }
}

/// The node with this number, from 1.
fn node(nodes: &mut [Node], number: usize) -> anyhow::Result<&mut Node> {
    number.checked_sub(1).and_then(|at| nodes.get_mut(at)).with_context(|| format!("there is no node {number}"))
}

fn node_dir(dir: &Path, number: u8) -> PathBuf {
    dir.join(format!("node{number}"))
}

/// Ends what an earlier run has left in this folder, and says how many nodes that were.
pub(crate) fn stop_left(dir: &Path) -> anyhow::Result<usize> {
    let mut ended = 0;
    for number in 1..=NODES_MAX {
        if let Some(pid) = process::left(&node_dir(dir, number))? {
            process::end(pid)?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// An error if nodes of this folder run.
pub(crate) fn refuse_second(dir: &Path) -> anyhow::Result<()> {
    for number in 1..=NODES_MAX {
        if let Some(pid) = process::left(&node_dir(dir, number))? {
            bail!(
                "node {number} runs already, as process {}: end it with `cargo xtask services stop`",
                pid.as_raw_nonzero()
            );
        }
    }
    Ok(())
}
