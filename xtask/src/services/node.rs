//! One node: its folder, its process, and whether it takes clients.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::CommitlogSync;
use super::addresses::CQL_PORT;
use super::papers::Papers;
use super::server::{self, Server};

/// How long a connection to a port of this machine may take.
const CONNECT: Duration = Duration::from_millis(500);

/// Lines of a node's log that are shown when it has failed.
const LINES_SHOWN: usize = 20;

/// Where a node's data and logs lie within its folder: what a disk would be for it alone.
pub(super) const DISK: &str = "disk";

/// Which node of how many, and where.
pub(super) struct Place {
    /// From 1.
    pub(super) number: u8,
    /// Of how many.
    pub(super) nodes: u8,
    /// Its own.
    pub(super) address: Ipv4Addr,
    /// That of the first one.
    pub(super) seed: Ipv4Addr,
}

impl Place {
    /// Where its part of the ring begins, so that the parts are equal: -2^63 + (number - 1) · 2^64 / nodes.
    fn token(&self) -> i128 {
        i128::from(i64::MIN) + i128::from(self.number - 1) * (1 << 64) / i128::from(self.nodes)
    }
}

/// A node's process. It ends when this is dropped.
pub(super) struct Node {
    place: Place,
    dir: PathBuf,
    child: Child,
    /// Whether it was told that it has ended.
    ended: bool,
}

impl Node {
    /// Starts one with no data.
    pub(super) fn start(
        server: &Server,
        dir: PathBuf,
        place: Place,
        sync: CommitlogSync,
        papers: Option<&Papers>,
    ) -> anyhow::Result<Self> {
        let configuration = dir.join("conf");
        fs::create_dir_all(&configuration).with_context(|| format!("{} cannot be made", dir.display()))?;
        let dir = dir.canonicalize()?;
        let (sync, window) = match sync {
            CommitlogSync::Periodic => ("periodic", "commitlog_sync_period: 10000ms"),
            CommitlogSync::Group => ("group", "commitlog_sync_group_window: 2ms"),
            CommitlogSync::Batch => ("batch", ""),
        };
        let secured = papers.map(Papers::configuration).unwrap_or_default();
        let filled = (server::file("cassandra.yaml")? + &secured)
            .replace("{token}", &place.token().to_string())
            .replace("{seed}", &place.seed.to_string())
            .replace("{address}", &place.address.to_string())
            .replace("{data}", &dir.join(DISK).display().to_string())
            .replace("{commitlog_sync}", sync)
            .replace("{commitlog_sync_window}", window);
        fs::write(configuration.join("cassandra.yaml"), filled)?;
        fs::write(configuration.join("logback.xml"), server::file("logback.xml")?)?;
        let child = spawn(server, &dir)?;
        Ok(Self { place, child, ended: false, dir })
    }

    /// Kills it.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .with_context(|| format!("{} cannot be killed", self.name()))?;
        Ok(())
    }

    /// Starts it again on what it has. It was killed.
    pub(super) fn start_again(&mut self, server: &Server) -> anyhow::Result<()> {
        self.child = spawn(server, &self.dir)?;
        self.ended = false;
        Ok(())
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("{} gets no signal", self.name()))
    }

    /// Where clients find it.
    pub(super) fn contact_point(&self) -> SocketAddr {
        SocketAddr::from((self.place.address, CQL_PORT))
    }

    /// Its number and its process.
    pub(super) fn name(&self) -> String {
        format!("node {} at {} (process {})", self.place.number, self.contact_point(), self.child.id())
    }

    /// Whether it takes clients and knows of all others that they are there. An error if it has ended.
    pub(super) fn is_ready(&mut self) -> anyhow::Result<bool> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}; the end of its log:\n{}", self.name(), last_lines(&log(&self.dir)));
        }
        if !self.takes_clients() {
            return Ok(false);
        }
        let told = fs::read_to_string(log(&self.dir))?;
        let others = (1..=self.place.nodes).filter(|number| *number != self.place.number);
        let [a, b, c, _] = self.place.address.octets();
        let mut others = others.map(|number| format!("{}:7000 is now UP", Ipv4Addr::new(a, b, c, number)));
        Ok(others.all(|other| told.contains(&other)))
    }

    /// Whether somebody listens where clients come.
    pub(super) fn takes_clients(&self) -> bool {
        TcpStream::connect_timeout(&self.contact_point(), CONNECT).is_ok()
    }

    /// Whether it has ended, told once.
    pub(super) fn has_just_ended(&mut self) -> bool {
        let ended = !self.ended && matches!(self.child.try_wait(), Ok(Some(_)));
        self.ended |= ended;
        ended
    }

    /// Whether it did not end by itself.
    pub(super) fn was_killed(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(status)) if status.signal().is_some())
    }

    /// Whether it runs, as far as was told.
    pub(super) fn runs(&self) -> bool {
        !self.ended
    }
}

/// The process of a node in this folder, which has its configuration.
fn spawn(server: &Server, dir: &Path) -> anyhow::Result<Child> {
    // One that is started again goes on in it.
    let log = File::options().create(true).append(true).open(log(dir))?;
    let mut command = server.command(&dir.join("conf"), dir);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().context("java cannot be run")?;
    fs::write(pid_file(dir), child.id().to_string())?;
    Ok(child)
}

impl Drop for Node {
    fn drop(&mut self) {
        // What it holds goes with its folder, so it need not end in good order. It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Once it had ended, by `stop` for example, another may have been started in this folder: that one is still to be found.
        let pid_file = pid_file(&self.dir);
        if fs::read_to_string(&pid_file).is_ok_and(|pid| pid == self.child.id().to_string()) {
            let _ = fs::remove_file(pid_file);
        }
    }
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("pid")
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// The process of a node that an earlier run has left in this folder, if it is still that.
pub(super) fn left(dir: &Path) -> anyhow::Result<Option<Pid>> {
    let text = match fs::read_to_string(pid_file(dir)) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", pid_file(dir).display())),
    };
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(None) };
    // The number may be another process's by now; a node's command line names its folder.
    let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let folder = dir.canonicalize()?;
    let is_node = String::from_utf8_lossy(&command).contains(&format!("-Dcassandra.storagedir={}\0", folder.display()));
    Ok(is_node.then_some(pid))
}

/// Ends such a process.
pub(super) fn end(pid: Pid) -> anyhow::Result<()> {
    kill_process(pid, Signal::KILL).with_context(|| format!("process {} cannot be ended", pid.as_raw_nonzero()))
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_parted_equally() {
        let token = |number, nodes| {
            let address = Ipv4Addr::LOCALHOST;
            Place { number, nodes, address, seed: address }.token()
        };
        assert_eq!(token(1, 1), -9_223_372_036_854_775_808);
        assert_eq!(
            [token(1, 3), token(2, 3), token(3, 3)],
            [-9_223_372_036_854_775_808, -3_074_457_345_618_258_603, 3_074_457_345_618_258_602]
        );
    }
}
