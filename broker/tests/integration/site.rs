//! A broker of a test's own: the real binary on a directory and ports of its own, with tokens for whoever a test wants to
//! be. It is ended by its own process id when the test ends. Its log goes to a file, so that no pipe can hold it up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::keyspace::{self, Keyspace};
use crate::plain::Plain;
use crate::process::{printed, switchyard};

/// The tenant of development.
pub(crate) const TENANT: &str = "default";

/// The issuer of development.
pub(crate) const ISSUER: &str = "switchyard-dev";

/// Memory that a broker may have taken more after an attack than before, in KiB: nothing that grows with the attack.
const FLAT_KIB: u64 = 64 * 1024;

/// Makes names that are new in this process.
static FRESH: AtomicU64 = AtomicU64::new(0);

/// How a broker is started.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// The text of its configuration; without one it is in development mode. `DIR` stands for the test's directory.
    pub(crate) config: Option<&'a str>,
    /// Its environment.
    pub(crate) env: &'a [(&'a str, &'a str)],
    /// Open files that it may have.
    pub(crate) open_files: Option<u32>,
    /// Where its data lies, if not in the test's directory.
    pub(crate) data: Option<&'a Path>,
    /// Files that must lie in the test's directory first.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// In which store everything is kept.
    pub(crate) store: Store,
}

/// Where a broker keeps everything.
#[derive(Clone, Default)]
pub(crate) enum Store {
    /// Where all tests do: in the data directory, or in the long form in a keyspace of its own.
    #[default]
    Any,
    /// In the data directory, which the test looks at.
    Embedded,
    /// In this keyspace.
    Cql(Arc<Keyspace>),
}

/// See the module.
pub(crate) struct Site {
    dir: TempDir,
    data: PathBuf,
    config: Option<PathBuf>,
    env: Vec<(String, String)>,
    open_files: Option<u32>,
    secret: Vec<u8>,
    child: Option<Child>,
    ready: Value,
    /// Gone when the broker is.
    keyspace: Option<Arc<Keyspace>>,
}

impl Site {
    /// In development mode.
    pub(crate) fn dev() -> Self {
        Self::start(&Setup::default())
    }

    /// In development mode with this in its environment.
    pub(crate) fn with_env(env: &[(&str, &str)]) -> Self {
        Self::start(&Setup { env, ..Setup::default() })
    }

    /// In development mode, and direct conversations are open at once.
    pub(crate) fn without_requests() -> Self {
        Self::with_env(&[("SWITCHYARD__CONVERSATIONS__REQUESTS", "off")])
    }

    /// In development mode, with everything in this keyspace.
    pub(crate) fn on(keyspace: &Arc<Keyspace>) -> Self {
        Self::start(&Setup { store: Store::Cql(Arc::clone(keyspace)), ..Setup::default() })
    }

    /// As it is described.
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().to_str().expect("text").to_owned();
        for (name, text) in setup.files {
            fs::write(dir.path().join(name), text).expect("it is written");
        }
        let config = setup.config.map(|text| {
            let file = dir.path().join("switchyard.toml");
            fs::write(&file, text.replace("DIR", &here)).expect("it is written");
            file
        });
        let data = setup.data.map_or_else(|| dir.path().join("data"), Path::to_owned);
        let keyspace = match &setup.store {
            Store::Any => keyspace::is_default().then(|| Arc::new(Keyspace::new())),
            Store::Embedded => None,
            Store::Cql(keyspace) => Some(Arc::clone(keyspace)),
        };
        let mut env: Vec<_> = setup.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        env.extend(keyspace.iter().flat_map(|keyspace| keyspace.env()));
        let mut site = Self {
            dir,
            data,
            config,
            env,
            open_files: setup.open_files,
            secret: Vec::new(),
            child: None,
            ready: Value::Null,
            keyspace,
        };
        // An address of its own among those of this machine: a port that it gives up in a restart is nobody else's.
        site.run("127.0.77.1:0");
        if site.config.is_none() {
            let text = fs::read_to_string(site.data.join("dev-secret")).expect("it was made");
            site.secret = text.trim().as_bytes().to_vec();
        }
        site
    }

    fn run(&mut self, listen: &str) {
        let plain = switchyard();
        let mut command = match self.open_files {
            None => plain,
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(plain.get_program());
                shell
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SWITCHYARD__") {
                command.env_remove(name);
            }
        }
        command.args(["--listen", listen, "--ops-listen", "127.0.0.1:0", "--data"]).arg(&self.data);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let log = File::options().create(true).append(true).open(self.log_file()).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary runs");
        let stdout = child.stdout.take().expect("piped");
        self.child = Some(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        self.ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready, but {line:?}: {}", self.log()));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again on the same directory and port.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let listen = self.address().to_string();
        self.run(&listen);
    }

    /// Stops it, as a debugger or a host that pauses it does; it goes on with `Signal::CONT`. Gives the time from which on it
    /// does nothing.
    pub(crate) fn stop(&self) -> Instant {
        self.signal(Signal::STOP);
        let pid = Pid::from_child(self.child.as_ref().expect("it runs"));
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).expect("a child").expect("it stops or ends");
        assert!(status.stopped(), "it ended: {}", self.log());
        Instant::now()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it runs");
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.take().expect("it runs").wait().expect("it ends")
    }

    fn named(&self, name: &str) -> SocketAddr {
        let url = self.ready[name].as_str().expect("an address");
        let rest = url.split("://").nth(1).expect("a scheme");
        rest.split('/').next().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Where clients come in.
    pub(crate) fn address(&self) -> SocketAddr {
        self.named("ws")
    }

    /// Where operators look.
    pub(crate) fn ops(&self) -> SocketAddr {
        self.named("ops")
    }

    /// What clients connect to.
    pub(crate) fn url(&self) -> String {
        self.ready["ws"].as_str().expect("an address").to_owned()
    }

    /// What browsers open.
    pub(crate) fn page(&self) -> String {
        self.ready["page"].as_str().expect("an address").to_owned()
    }

    /// The test's directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where it keeps everything.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The same, if it is where everything is kept: then the commands for a store at rest can be run on it.
    pub(crate) fn on_disk(&self) -> Option<&str> {
        self.keyspace.is_none().then(|| self.data.to_str().expect("text"))
    }

    /// What `dump` prints, told what of; where it keeps everything on its disk, the broker has ended.
    pub(crate) fn dump(&self, of: &[&str]) -> String {
        let mut command = switchyard();
        command.arg("dump").args(of);
        match &self.keyspace {
            None => command.arg("--data").arg(&self.data),
            Some(keyspace) => command.envs(keyspace.env()),
        };
        printed(command)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("stderr")
    }

    /// All it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A token of this user, good for an hour.
    pub(crate) fn token(&self, user: &str) -> String {
        self.token_of(TENANT, user)
    }

    /// The same in another tenant.
    pub(crate) fn token_of(&self, tenant: &str, user: &str) -> String {
        self.sign(&json!({"sub": user, "tenant": tenant, "iss": ISSUER, "iat": now(), "exp": now() + 3_600}))
    }

    /// A token of this user that names these roles.
    pub(crate) fn token_as(&self, user: &str, roles: &[&str]) -> String {
        self.token_in(TENANT, user, roles)
    }

    /// The same in another tenant.
    pub(crate) fn token_in(&self, tenant: &str, user: &str, roles: &[&str]) -> String {
        let (from, to) = (now(), now() + 3_600);
        self.sign(&json!({"sub": user, "tenant": tenant, "roles": roles, "iss": ISSUER, "iat": from, "exp": to}))
    }

    /// A token that says this, under the development secret.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        sign(&Header::new(Algorithm::HS256), claims, &self.secret)
    }

    /// The development secret.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// It is the process that it was, no larger than it was, and honest newcomers can talk.
    pub(crate) fn unharmed(&mut self, memory_before_kib: u64) {
        self.still_serves();
        let memory = self.memory_kib();
        assert!(memory < memory_before_kib + FLAT_KIB, "{memory_before_kib} KiB have become {memory} KiB");
    }

    /// It runs, and two honest newcomers can talk.
    pub(crate) fn still_serves(&mut self) {
        let child = self.child.as_mut().expect("it runs");
        assert_eq!(child.try_wait().expect("a child"), None, "it ended by itself: {}", self.log());
        let (ann, bob) = (fresh("ann"), fresh("bob"));
        let (mut one, mut other) = (Plain::open(self, &ann), Plain::open(self, &bob));
        let conversation = one.direct(&bob);
        other.done("subscribe", &json!({"conversations": [conversation]}));
        let sent = one.send(&conversation, "a1", "still there?");
        let event = other.event("message");
        assert_eq!(event["message"], sent["message"]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", self.log());
        }
    }
}

/// A name that was not used before.
pub(crate) fn fresh(stem: &str) -> String {
    format!("{stem}-{}", FRESH.fetch_add(1, Ordering::Relaxed))
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A token with this header and these claims, under this secret.
pub(crate) fn sign(header: &Header, claims: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret)).expect("it can be signed")
}
