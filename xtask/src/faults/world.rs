//! A world of its own, in which faults are played: namespaces of the kernel for users, network, mounts and processes. No rule,
//! mount or process of a fault reaches the rest of the machine, and none outlives the run: a namespace of processes ends with
//! its first one, which is `cargo xtask faults` once more.

use std::io;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};

use crate::stages::run;

/// What `unshare` is told. Whoever starts it needs no right for that where ordinary users may have namespaces of their own.
const NAMESPACES: [&str; 8] =
    ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// What to do where they may not.
const NOT_ALLOWED: &str = "\
this machine does not let you have namespaces of your own, in which faults are played. Allow it, as root, by what there is of
  sysctl user.max_user_namespaces=10000
  sysctl kernel.unprivileged_userns_clone=1                (Debian's kernels)
  sysctl kernel.apparmor_restrict_unprivileged_userns=0    (Ubuntu's)
or run this as root; in a container, start that with `--privileged`";

/// How it ends when whoever has started it is gone.
const LEFT_ALONE: i32 = 130;

/// Runs this program with these arguments in there, until it ends.
pub(super) fn play(arguments: &[String]) -> anyhow::Result<()> {
    let tried = unshare().arg("true").output().context("unshare cannot be run")?;
    if !tried.status.success() {
        bail!("{}\n{NOT_ALLOWED}", String::from_utf8_lossy(&tried.stderr).trim_end());
    }
    let mut command = unshare();
    command.arg(std::env::current_exe()?).args(arguments).stdin(Stdio::piped());
    let mut child = command.spawn().context("unshare cannot be run")?;
    // Closed when this process ends, however it does.
    let held = child.stdin.take();
    let status = child.wait()?;
    drop(held);
    if !status.success() {
        bail!("not all went well");
    }
    Ok(())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(NAMESPACES);
    command
}

/// The first thing that is done in there.
pub(super) fn begin() -> anyhow::Result<()> {
    if std::process::id() != 1 {
        bail!("`--inside` is for `cargo xtask faults` itself");
    }
    // The first process of a namespace is not ended by Ctrl+C. Whoever has started it is, and with it the other end of this.
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(LEFT_ALONE);
    });
    run(Command::new("ip").args(["link", "set", "lo", "up"]))
}
