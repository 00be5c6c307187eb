//! What the tests need beside Rust: installed when missing and possible, else named. Nothing is skipped in silence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::stages::run;

/// A program of the system that tests call.
struct Program {
    /// How it is called.
    name: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    /// What for.
    reason: &'static str,
}

/// All of them.
const PROGRAMS: &[Program] = &[Program { name: "cc", package: "gcc", reason: "C parts of the cryptography" }];

/// The dependency checker, from the registry, and the version that was tried.
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// Where tools of our own go, beside what cargo builds.
const TOOLS_DIR: &str = "target/tools";

/// Installs what is missing, or names it.
pub(crate) fn install() -> anyhow::Result<()> {
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|program| find(program.name).is_none()).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
        if !(is_root() && find("apt-get").is_some()) {
            for program in &missing {
                eprintln!("{} is missing: {} (Debian: {})", program.name, program.reason, program.package);
            }
            bail!("install it, or run this as root on Debian, where it is installed for you");
        }
        run(Command::new("apt-get").args(["update", "-q"]))?;
        run(Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(packages))?;
    }
    if deny_path().is_none() {
        let (name, version) = DENY;
        println!("building {name} {version} once, into {TOOLS_DIR}");
        let built = Path::new(TOOLS_DIR).join("build");
        let mut command = Command::new("cargo");
        command.args(["install", name, "--version", version, "--locked", "--root", TOOLS_DIR]);
        run(command.env("CARGO_TARGET_DIR", &built))?;
        fs::remove_dir_all(&built).with_context(|| format!("{} cannot be removed", built.display()))?;
    }
    Ok(())
}

/// Holds the dependencies to `deny.toml`.
pub(crate) fn deny() -> anyhow::Result<()> {
    let program = deny_path().context("cargo-deny is not installed")?;
    run(Command::new(program).args(["--log-level", "error", "check", "bans", "licenses", "sources"]))
}

fn deny_path() -> Option<PathBuf> {
    let own = Path::new(TOOLS_DIR).join("bin").join(DENY.0);
    if own.is_file() { Some(own) } else { find(DENY.0) }
}

/// Where a program lies on the path.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
