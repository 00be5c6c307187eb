//! Starts the binary and waits for what it says. Nothing here sleeps: a line that is waited for is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The binary, without the environment's own configuration.
pub(crate) fn switchyard() -> Command {
    program(Path::new(env!("CARGO_BIN_EXE_switchyard")))
}

/// The example `chat` of the SDK, likewise.
pub(crate) fn chat() -> Command {
    program(&chat_path())
}

/// Where it is.
pub(crate) fn chat_path() -> PathBuf {
    let chat = Path::new(env!("CARGO_BIN_EXE_switchyard")).with_file_name("examples").join("chat");
    assert!(chat.exists(), "`cargo build -p switchyard-client --example chat` makes {}", chat.display());
    chat
}

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SWITCHYARD__") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    switchyard().args(arguments).stdin(Stdio::null()).output().expect("the binary runs")
}

/// Its exit code and what it wrote to stderr.
pub(crate) fn refused(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    (output.status.code().expect("it exits"), String::from_utf8(output.stderr).expect("text"))
}

/// Its stdout, when it succeeds.
pub(crate) fn said(arguments: &[&str]) -> String {
    let mut command = switchyard();
    command.args(arguments);
    printed(command)
}

/// The same of any command.
pub(crate) fn printed(mut command: Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A running broker, killed when it is dropped.
pub(crate) struct Broker {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The ready line.
    pub(crate) ready: Value,
}

impl Broker {
    /// Starts it on free ports and waits until it is ready.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = switchyard();
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(data).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        let Ok(ready) = serde_json::from_str(&line) else {
            let mut told = String::new();
            let _ = stderr.read_to_string(&mut told);
            panic!("no ready line but {line:?}: {told}");
        };
        Self { child, stderr, ready }
    }

    /// Waits for a line on stderr with this in it.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("stderr can be read");
            assert_ne!(read, 0, "it ended without saying {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end; the rest of stderr comes too.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).expect("stderr can be read");
        (self.child.wait().expect("it ends"), told)
    }

    /// The address under this name of the ready line, without its scheme and path.
    pub(crate) fn address(&self, name: &str) -> String {
        let url = self.ready[name].as_str().expect("an address");
        let rest = url.split("://").nth(1).expect("a scheme");
        rest.split('/').next().expect("an address").to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain GET: status and body.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
