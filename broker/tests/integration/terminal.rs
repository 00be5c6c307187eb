//! A program in a terminal of its own, scripted through pipes. Nothing here sleeps: a line that is waited for is read.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::plain::GUARD;

/// See the module. Ended when it is dropped.
pub(crate) struct Terminal {
    child: Child,
    typed: Option<ChildStdin>,
    shown: Receiver<String>,
    notices: Receiver<String>,
}

impl Terminal {
    /// Starts it.
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let shown = lines(child.stdout.take().expect("piped"));
        let notices = lines(child.stderr.take().expect("piped"));
        Self { typed: child.stdin.take(), child, shown, notices }
    }

    /// Types a line.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.typed.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// The next line on stdout.
    pub(crate) fn line(&self) -> String {
        self.shown
            .recv_timeout(GUARD)
            .unwrap_or_else(|_| panic!("no line; {:?}", self.notices.try_iter().collect::<Vec<_>>()))
    }

    /// The next line on stderr with this in it.
    pub(crate) fn notice(&self, part: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.notices.recv_timeout(GUARD) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => others.push(line),
                Err(_) => panic!("no {part:?} but {others:?}"),
            }
        }
    }

    /// Stops it, as a machine that goes to sleep does.
    pub(crate) fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("it runs");
        let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).expect("a child").expect("it stops or ends");
        assert!(status.stopped(), "it ended");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).expect("it is there");
    }

    /// Ends its input, and it succeeds. Gives what else it had to say.
    pub(crate) fn end(mut self) -> (Vec<String>, Vec<String>) {
        drop(self.typed.take());
        let (code, shown, notices) = self.ended();
        assert_eq!(code, Some(0), "{notices:?}");
        (shown, notices)
    }

    /// Waits for its end. Gives its exit code and what else it had to say.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let (shown, notices) = (rest(&self.shown), rest(&self.notices));
        (self.child.wait().expect("a child").code(), shown, notices)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes, read by a thread of its own that ends with the program.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (line, lines) = channel();
    thread::spawn(move || {
        for text in BufReader::new(from).lines() {
            if line.send(text.expect("text")).is_err() {
                return;
            }
        }
    });
    lines
}

/// All up to the end.
fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(GUARD) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => panic!("it goes on after {rest:?}"),
        }
    }
}
