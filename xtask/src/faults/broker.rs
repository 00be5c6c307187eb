//! A broker on the cluster, of the release build but for one, killed when it is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

use super::Ground;
use crate::stages::cargo;

/// Signs the tokens of all clients.
const SECRET: &str = "f3b1c64a7f0e4b7a9d2c5e8f1a0b3c6d";

/// How long one may take to see that it is replaced: its fence is read twice a second.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// What the package `faketime` brings. Its program would start another process, which a signal to the first does not reach;
/// `$LIB` is the loader's to fill in.
const FAKETIME_LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";

/// How long it may take until the load is under way.
const STORES_WITHIN: Duration = Duration::from_secs(600);

/// The one that serves.
const PROGRAM: &str = "target/release/switchyard";

/// A build for tests, of which parts can be switched off. It is a copy: whatever cargo builds next leaves it alone.
const TEST_BUILD: &str = "target/faults/switchyard-test";

/// See [`say_schema`].
const SCHEMA_TELLER: &str = "target/release/examples/schema";

/// How late such a one is told who owns what, in milliseconds: long enough that it would do much without its fence.
const LATE_MS: &str = "8000";

/// How one is started.
#[derive(Default)]
pub(super) struct Way {
    /// By how much its clock is wrong, such as `-1h`.
    pub(super) clock: Option<&'static str>,
    /// What it lacks, in the test build.
    pub(super) lacks: Option<Lack>,
    /// Where it listens for clients; where there is room unless given.
    pub(super) listens: Option<SocketAddr>,
}

/// What a broker lacks. All are told late who owns what, so that one that was replaced hears it from its fence, if from anything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Nothing else.
    Hints,
    /// Its fence read as well.
    HintsAndFence,
}

/// Builds the one of which parts can be switched off.
pub(super) fn build_for_tests() -> anyhow::Result<()> {
    cargo(&["build", "-p", "switchyard-broker", "--features", "switchyard-store/test-no-fence"])?;
    // Written anew: one that an earlier run has started may still be open.
    let _ = std::fs::remove_file(TEST_BUILD);
    std::fs::copy("target/debug/switchyard", TEST_BUILD).with_context(|| format!("{TEST_BUILD} cannot be written"))?;
    Ok(())
}

fn command(ground: &Ground, way: &Way) -> Command {
    let mut command = Command::new(if way.lacks.is_some() { TEST_BUILD } else { PROGRAM });
    if way.lacks.is_some() {
        command.env("SWITCHYARD_TEST_LATE_OWNERS", LATE_MS);
    }
    if way.lacks == Some(Lack::HintsAndFence) {
        command.env("SWITCHYARD_TEST_NO_FENCE", "1");
    }
    if let Some(offset) = way.clock {
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
    let output = command(ground, &Way::default()).arg("migrate").output().context("the broker cannot be run")?;
    if !output.status.success() {
        bail!("`switchyard migrate`: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(secret_file(ground), SECRET)?;
    Ok(())
}

/// A token for this user.
pub(super) fn token(ground: &Ground, user: &str) -> anyhow::Result<String> {
    let output = command(ground, &Way::default()).args(["token", "--user", user]).output()?;
    if !output.status.success() {
        bail!("`switchyard token`: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Starts one that must end by itself, with this code, and say this.
pub(super) fn is_refused(ground: &Ground, code: i32, told: &str) -> anyhow::Result<()> {
    let log = ground.dir.join("refused.log");
    let (mut child, ready) = spawn(ground, &log, &Way::default())?;
    if !ready.is_empty() {
        let _ = child.kill();
        let _ = child.wait();
        bail!("a broker was to be refused with \"{told}\", and serves; see {}", log.display());
    }
    let status = child.wait()?;
    let said = std::fs::read_to_string(&log)?;
    let last = said.lines().last().unwrap_or_default();
    if status.code() != Some(code) || !last.contains(told) {
        bail!("a broker was to be refused with {code} and \"{told}\", but ended with {status}: {last}");
    }
    Ok(())
}

/// Starts one and waits until it says where it serves, or ends without a word.
fn spawn(ground: &Ground, log: &Path, way: &Way) -> anyhow::Result<(Child, String)> {
    let listens = way.listens.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).to_string();
    let mut command = command(ground, way);
    command.args(["--listen", &listens, "--ops-listen", "127.0.0.1:0", "--data"]).arg(&ground.dir);
    let file = File::options().create(true).append(true).open(log)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
    let mut child = command.spawn().context("the broker cannot be run")?;
    let stdout = child.stdout.take().context("it is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((child, line))
}

/// Says that the keyspace has this schema, and which one a binary makes at least that may use it; gives what was said before.
pub(super) fn say_schema(ground: &Ground, [schema, users]: [u32; 2]) -> anyhow::Result<[u32; 2]> {
    let points = ground.cluster.contact_points();
    let output = Command::new(SCHEMA_TELLER)
        .args([&points, &ground.keyspace, &schema.to_string(), &users.to_string()])
        .output()
        .context("what says another schema cannot be run")?;
    let before = String::from_utf8(output.stdout)?;
    let mut numbers = before.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(schema)), Some(Ok(users))) => Ok([schema, users]),
        _ => bail!("the schema was not changed: {}", String::from_utf8_lossy(&output.stderr)),
    }
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
    took: Duration,
}

impl Broker {
    /// Starts one and waits until it is ready: it has taken over whatever another one had. Its log has this name.
    pub(super) fn start(ground: &Ground, name: &str) -> anyhow::Result<Self> {
        Self::start_in(ground, name, &Way::default())
    }

    /// The same in some other way.
    pub(super) fn start_in(ground: &Ground, name: &str, way: &Way) -> anyhow::Result<Self> {
        let log = ground.dir.join(name);
        let since = Instant::now();
        let (mut child, line) = spawn(ground, &log, way)?;
        let took = since.elapsed();
        let ready: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |name: &str, scheme: &str| -> Option<SocketAddr> {
            ready[name].as_str()?.strip_prefix(scheme)?.split('/').next()?.parse().ok()
        };
        let (Some(clients), Some(operations)) = (address("ws", "ws://"), address("ops", "http://")) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the broker is not ready; see {}", log.display());
        };
        Ok(Self { child, clients, operations, log, took })
    }

    /// Where clients come in.
    pub(super) fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// The time from its start until all shards were its own.
    pub(super) fn took(&self) -> Duration {
        self.took
    }

    /// Waits until it has stored so many messages.
    pub(super) fn stores(&self, messages: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        while since.elapsed() < STORES_WITHIN {
            let metrics = self.asked("/metrics")?;
            let count = metrics.lines().find_map(|line| line.strip_prefix("chat_messages_created_total "));
            if count.is_some_and(|count| count.parse().is_ok_and(|count: u64| count >= messages)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the broker has not stored {messages} messages; see {}", self.log.display())
    }

    /// Whether it says that its clock is off, which keeps it from being ready.
    pub(super) fn has_a_wrong_clock(&self) -> anyhow::Result<bool> {
        Ok(self.asked("/readyz")?.contains("clock is"))
    }

    /// What it says to operators.
    fn asked(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.operations)?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Stops it, and waits until none of its threads does anything more.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        match waitpid(Some(pid), WaitOptions::UNTRACED)? {
            Some((_, status)) if status.stopped() => Ok(()),
            _ => bail!("the broker has ended where it was to be stopped; see {}", self.log.display()),
        }
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
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
