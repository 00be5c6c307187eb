//! Runs the test programs of the workspace, two at a time: the largest waits for the programs it starts more than it works,
//! and most others keep one core busy. What a program writes is shown when it has ended, whole, and lies in a file
//! meanwhile. The doc tests come last, and as with `cargo test` nothing is started after a failure.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::services::{self, Cluster};
use crate::stages::{cargo, run};

/// Those that need the CQL store, the longest first.
const NEED_STORE: &[&str] = &["integration", "cql"];

/// Of the others, those that take longest: they come first, so that no core is left with one of them at the end.
const LONG: &[&str] = &["simulation", "mutated"];

/// Where the output of those that run lies.
const OUTPUT_DIR: &str = "target/suites";

/// A line of what cargo says of its build: an artifact has what is asked of it here, everything else has not.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// A program of tests.
struct Suite {
    target: String,
    /// Of its package and its target, which together name it.
    name: String,
    package: PathBuf,
    program: PathBuf,
}

impl Suite {
    fn from(message: Message) -> Option<Self> {
        let target = message.target.filter(|_| message.profile.is_some_and(|profile| profile.test))?;
        let package = message.manifest_path?.parent()?.to_owned();
        let name = [&*package.file_name()?.to_string_lossy(), &*target.kind.join(" "), &target.name].join(" ");
        Some(Self { target: target.name, name, package, program: message.executable? })
    }

    fn needs_store(&self) -> bool {
        NEED_STORE.contains(&self.target.as_str())
    }

    /// Runs it where cargo would, and shows its output when it has ended.
    fn run(&self, stores: Option<&Stores>) -> anyhow::Result<()> {
        let path = Path::new(OUTPUT_DIR).join(self.name.replace(' ', "-")).with_extension("log");
        let output = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("  running {}: {}", self.name, path.display());
        let mut command = Command::new(&self.program);
        command.current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package).stdin(Stdio::null());
        command.stdout(output.try_clone()?).stderr(output);
        if let Some(stores) = stores {
            stores.tell(&mut command);
        }
        let started = Instant::now();
        let ended = run(&mut command);
        let mut shown = io::stdout().lock();
        let all = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        writeln!(shown, "\n  {} ran {:.1} s", self.name, started.elapsed().as_secs_f64())?;
        shown.write_all(&all)?;
        ended
    }
}

/// The CQL stores of those that need one. They end when this is dropped.
struct Stores {
    open: Cluster,
    secured: Cluster,
}

impl Stores {
    /// Starts both at once. Their server is fetched before, once.
    fn start() -> anyhow::Result<Self> {
        services::fetch()?;
        thread::scope(|scope| {
            let secured = scope.spawn(services::for_tests_secured);
            let open = services::for_tests();
            let secured = secured.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok(Self { open: open?, secured: secured? })
        })
    }

    /// Tells a program where they are.
    fn tell(&self, command: &mut Command) {
        command.env(services::CONTACT_POINTS, self.open.contact_points());
        if let Some(papers) = self.secured.papers() {
            command.env(services::SECURED, papers);
        }
    }
}

/// Runs all. They share one node of a CQL store, and another that asks for certificates; those start beside the programs that do
/// not need them and are ended whatever becomes of them.
pub(crate) fn run_all() -> anyhow::Result<()> {
    fs::create_dir_all(OUTPUT_DIR).with_context(|| format!("{OUTPUT_DIR} cannot be made"))?;
    let (mut on_store, mut others): (Vec<_>, Vec<_>) = built()?.into_iter().partition(Suite::needs_store);
    on_store.sort_by_key(|suite| NEED_STORE.iter().position(|name| *name == suite.target));
    others.sort_by_key(|suite| (!LONG.contains(&suite.target.as_str()), suite.name.clone()));
    if on_store.len() != NEED_STORE.len() {
        bail!("of {NEED_STORE:?}, some are missing or there are several");
    }
    let (others, failed) = (Mutex::new(others.into_iter()), AtomicBool::new(false));
    let next = || others.lock().ok()?.next().filter(|_| !failed.load(Ordering::Relaxed));
    let noted = |done: anyhow::Result<()>| done.inspect_err(|_| failed.store(true, Ordering::Relaxed));
    let work_off = || std::iter::from_fn(next).try_for_each(|suite| noted(suite.run(None)));
    thread::scope(|scope| {
        let beside = scope.spawn(work_off);
        let with_store = || {
            let stores = Stores::start()?;
            on_store.iter().filter(|_| !failed.load(Ordering::Relaxed)).try_for_each(|suite| suite.run(Some(&stores)))
        };
        let here = noted(with_store()).and_then(|()| work_off());
        here.and(beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    cargo(&["test", "--workspace", "--doc"])
}

/// What cargo would run. It builds what is not built, and shows its complaints.
fn built() -> anyhow::Result<Vec<Suite>> {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--no-run", "--quiet", "--message-format", "json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("the tests cannot be built");
    }
    let messages = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let messages: Vec<Message> = messages.map(serde_json::from_slice).collect::<Result<_, _>>()?;
    Ok(messages.into_iter().filter_map(Suite::from).collect())
}
