//! Processes that work on the pretended disk: started, listened to, and ended for certain. What they say is read by
//! others.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};

/// Far beyond what any step takes; reached only when something hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// What happened to a process or under it.
#[derive(Debug)]
pub(super) enum Event {
    /// It said a whole line.
    Line(String),
    /// It has closed its output.
    Ended,
    /// Its disk has lost the power.
    Cut,
    /// Those who gave it work have failed.
    GivenUp,
}

/// How a process came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ended well by itself.
    Well,
    /// Its disk lost the power, and it was killed.
    Cut,
}

/// A process, killed when dropped.
pub(super) struct Process {
    child: Child,
    errors: File,
    events: Receiver<Event>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts it. The sender feeds the receiver; the disk's end of it was given away before.
    pub(super) fn start(
        command: &mut Command,
        (sender, events): (Sender<Event>, Receiver<Event>),
    ) -> anyhow::Result<Self> {
        let errors = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut output = BufReader::new(child.stdout.take().context("its output was asked for")?);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|read| read > 0) {
                // The last one of a killed process may be a part.
                if line.ends_with('\n') {
                    let _ = sender.send(Event::Line(line.trim_end().to_owned()));
                }
                line.clear();
            }
            let _ = sender.send(Event::Ended);
        });
        Ok(Self { child, errors, events, reader: Some(reader) })
    }

    /// Waits for its first line. There is none if it ends before, or its disk loses the power.
    pub(super) fn first_line(&mut self) -> anyhow::Result<Option<String>> {
        match self.events.recv_timeout(HANGS_AFTER) {
            Ok(Event::Line(line)) => Ok(Some(line)),
            Ok(Event::Ended) => {
                let status = self.child.wait()?;
                // The news of a cut may come last.
                if self.events.try_iter().any(|event| matches!(event, Event::Cut)) {
                    return Ok(None);
                }
                bail!("it does not start, {status}: {}", self.errors()?)
            }
            Ok(Event::Cut) => Ok(None),
            Ok(Event::GivenUp) => bail!("nobody gives work before the first line"),
            Err(error) => bail!("{error}; it wrote: {}", self.errors()?),
        }
    }

    /// Listens until it ends; kills it the moment its disk loses the power.
    pub(super) fn listen(mut self, mut each: impl FnMut(&str) -> anyhow::Result<()>) -> anyhow::Result<End> {
        let mut cut = false;
        loop {
            match self.events.recv_timeout(HANGS_AFTER) {
                Ok(Event::Line(line)) => each(&line)?,
                Ok(Event::Cut) => {
                    cut = true;
                    self.child.kill()?;
                }
                Ok(Event::GivenUp) => self.child.kill()?,
                Ok(Event::Ended) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("a process hangs; it wrote: {}", self.errors()?),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| anyhow::anyhow!("the reader of its output panicked"))?;
        }
        // It may have noticed the loss before the news came here.
        cut |= self.events.try_iter().any(|event| matches!(event, Event::Cut));
        match (cut, status.success()) {
            (true, _) => Ok(End::Cut),
            (false, true) => Ok(End::Well),
            (false, false) => bail!("{status}: {}", self.errors()?),
        }
    }

    fn errors(&mut self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.errors.rewind()?;
        self.errors.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
