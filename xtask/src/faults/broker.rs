//! A broker of the release build on the cluster, killed when it is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Ground;

/// Signs the tokens of all clients.
const SECRET: &str = "f3b1c64a7f0e4b7a9d2c5e8f1a0b3c6d";

/// How long one may take to see that it is replaced: its fence is read twice a second.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What the package `faketime` brings. Its program would start another process, which a signal to the first does not reach;
/// `$LIB` is the loader's to fill in.
const FAKETIME_LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";

/// How long it may take until the load is under way.
const STORES_WITHIN: Duration = Duration::from_secs(60);

fn program() -> PathBuf {
    Path::new("target/release").join("switchyard")
}

fn command(ground: &Ground, clock: Option<&str>) -> Command {
    let mut command = Command::new(program());
    if let Some(offset) = clock {
        // What is measured by the other clock stays true, as when an administrator sets the time.
        command.env("LD_PRELOAD", FAKETIME_LIBRARY).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    command
        .env("SWITCHYARD__AUTH__SECRET", SECRET)
        .env("SWITCHYARD__STORE__KIND", "cql")
        .env("SWITCHYARD__STORE__CQL__CONTACT_POINTS", ground.cluster.contact_points())
        .env("SWITCHYARD__STORE__CQL__KEYSPACE", &ground.keyspace);
    // Everybody comes from one address.
    for limit in ["HANDSHAKES_PER_SECOND", "HANDSHAKES_BURST", "HALF_OPEN", "CONNECTIONS"] {
        command.env(format!("SWITCHYARD__BUDGETS__ADDRESS__{limit}"), "1000000");
    }
    command
}

/// Makes the keyspace and its tables.
pub(super) fn migrate(ground: &Ground) -> anyhow::Result<()> {
    let output = command(ground, None).arg("migrate").output().context("the broker cannot be run")?;
    if !output.status.success() {
        bail!("`switchyard migrate`: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(secret_file(ground), SECRET)?;
    Ok(())
}

/// Where the load harness finds the secret.
pub(super) fn secret_file(ground: &Ground) -> PathBuf {
    ground.dir.join("secret")
}

/// See the module.
pub(super) struct Broker {
    child: Child,
    clients: SocketAddr,
    operations: SocketAddr,
    log: PathBuf,
}

impl Broker {
    /// Starts one and waits until it is ready: it has taken over whatever another one had. Its log has this name.
    pub(super) fn start(ground: &Ground, name: &str) -> anyhow::Result<Self> {
        Self::start_at(ground, name, None)
    }

    /// The same with a clock that is wrong by so much, such as `-1h`.
    pub(super) fn start_at(ground: &Ground, name: &str, clock: Option<&str>) -> anyhow::Result<Self> {
        let log = ground.dir.join(name);
        let mut command = command(ground, clock);
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(&ground.dir);
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().context("the broker cannot be run")?;
        let stdout = child.stdout.take().context("it is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str, scheme: &str| -> Option<SocketAddr> {
            ready[name].as_str()?.strip_prefix(scheme)?.split('/').next()?.parse().ok()
        };
        let (Some(clients), Some(operations)) = (address("ws", "ws://"), address("ops", "http://")) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the broker is not ready; see {}", log.display());
        };
        Ok(Self { child, clients, operations, log })
    }

    /// Where clients come in.
    pub(super) fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Waits until it has stored so many messages.
    pub(super) fn stores(&self, messages: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        while since.elapsed() < STORES_WITHIN {
            let mut stream = TcpStream::connect(self.operations)?;
            write!(stream, "GET /metrics HTTP/1.0\r\n\r\n")?;
            let mut metrics = String::new();
            stream.read_to_string(&mut metrics)?;
            let count = metrics.lines().find_map(|line| line.strip_prefix("chat_messages_created_total "));
            if count.is_some_and(|count| count.parse().is_ok_and(|count: u64| count >= messages)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the broker has not stored {messages} messages; see {}", self.log.display())
    }

    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until it has ended by itself, because it was replaced.
    pub(super) fn replaced(mut self) -> anyhow::Result<()> {
        let status = self.ended()?;
        let told = std::fs::read_to_string(&self.log)?;
        if status.code() != Some(1) || !told.contains("another broker has taken over") {
            bail!("the broker that was replaced ended with {status}; see {}", self.log.display());
        }
        Ok(())
    }

    fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < ENDS_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the broker that was replaced still runs; see {}", self.log.display())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
