//! The server as a child process: how it is started, on which core, and how it says where it listens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::args::Args;

use super::server::{Audience, Server};

/// A running server; it ends with its standard input.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) addr: SocketAddr,
}

impl Process {
    pub(super) fn start(args: &Args) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("this program")?);
        command.arg("floor-serve").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(members) = args.members {
            command.args(["--members", &members.to_string()]);
        }
        if args.both {
            command.arg("--both");
        }
        if let Some(core) = args.server_core.or_else(free_core) {
            command.args(["--server-core", &core.to_string()]);
        }
        let mut child = command.spawn().context("floor-serve")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("floor-serve has an output")?;
        BufReader::new(stdout).read_line(&mut line).context("floor-serve")?;
        let addr = line.trim().parse().context("floor-serve says where it listens")?;
        Ok(Self { child, addr })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A core of the machine that this process does not use.
fn free_core() -> Option<usize> {
    let own = sched_getaffinity(None).ok()?;
    let cores = crate::procfs::Machine::read().cores;
    (0..cores.min(CpuSet::MAX_CPU)).find(|&core| !own.is_set(core))
}

/// The child's side: says where it listens on standard output, and serves.
pub fn serve(args: &Args) -> anyhow::Result<()> {
    if let Some(core) = args.server_core {
        anyhow::ensure!(core < CpuSet::MAX_CPU, "--server-core {core}: no such core");
        let mut only = CpuSet::new();
        only.set(core);
        sched_setaffinity(None, &only).context("--server-core")?;
    }
    let audience = match (args.members, args.both) {
        (Some(_), _) => Audience::Room,
        (None, true) => Audience::Pair,
        (None, false) => Audience::Partner,
    };
    let server = Server::bind(audience)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", server.addr()?)?;
    stdout.flush()?;
    Ok(server.run()?)
}
