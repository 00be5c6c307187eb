//! Brokers that are started on one keyspace at one moment, as by supervisors of several machines: each wants to be the one that
//! serves, and one of them is.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use serde_json::{Value, json};

use crate::keyspace::Keyspace;
use crate::plain::{GUARD, JSON, Plain};
use crate::process::{said, switchyard};

/// How many start.
const BROKERS: usize = 3;

/// What one of them says.
enum Said {
    Ready(usize, Value),
    /// It has ended, and this was in its log.
    Ended(usize, String),
}

/// Killed when the test is over, however it ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells of it until it ends.
fn watch(number: usize, child: &mut Child, told: &Sender<Said>) {
    let (stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let ready = told.clone();
    thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("text");
        if !line.is_empty() {
            // Whoever is told may have ended.
            let _ = ready.send(Said::Ready(number, serde_json::from_str(&line).expect("a ready line")));
        }
    });
    let ended = told.clone();
    thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("text");
        let _ = ended.send(Said::Ended(number, log));
    });
}

#[test]
fn of_several_that_start_at_one_moment_one_is_left() {
    let keyspace = Keyspace::new();
    let dirs: [_; BROKERS] = std::array::from_fn(|_| tempfile::tempdir().expect("a directory"));
    let (told, events) = channel();
    let mut brokers = Vec::new();
    for (number, dir) in dirs.iter().enumerate() {
        let mut command = switchyard();
        command.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(dir.path());
        command.envs(keyspace.env()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut broker = Killed(command.spawn().expect("the binary runs"));
        watch(number, &mut broker.0, &told);
        brokers.push(broker);
    }
    let (mut ready, mut left) = ([const { Value::Null }; BROKERS], BROKERS);
    let mut is_left = [true; BROKERS];
    // The one that is left may be ready before the others have ended, or after it.
    while left > 1 || (0..BROKERS).any(|number| is_left[number] && ready[number].is_null()) {
        match events.recv_timeout(GUARD).expect("one serves, and the others end") {
            Said::Ready(number, line) => ready[number] = line,
            Said::Ended(number, log) => {
                let code = brokers[number].0.wait().expect("it has ended").code();
                assert!(code == Some(1) && log.contains("another broker has taken over"), "{code:?}: {log}");
                (is_left[number], left) = (false, left - 1);
                assert!(left > 0, "nobody is left");
            }
        }
    }
    let number = is_left.iter().position(|is_left| *is_left).expect("one is");
    let address = ready[number]["ws"].as_str().and_then(|ws| ws.strip_prefix("ws://")?.split('/').next());
    let address: SocketAddr = address.and_then(|address| address.parse().ok()).expect("an address");
    let data = dirs[number].path().to_str().expect("text");
    let token = said(&["token", "--user", "ann", "--data", data]);
    let mut ann = Plain::upgrade(address, &[JSON], &[]).expect("it serves");
    ann.done("hello", &json!({"token": token.trim(), "device": "phone"}));
    let conversation = ann.group("all of us", &["bob"]);
    ann.send(&conversation, "a1", "one");
}
