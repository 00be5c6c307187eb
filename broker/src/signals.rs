//! Signals of the operating system: the first SIGTERM or SIGINT asks for a drain, a second one or the deadline ends the
//! process at once, as does the first one while nobody is served yet; SIGHUP asks for a reload. It decides when, never what a
//! drain or a reload does.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use crate::exit::Failure;
use crate::ops::Readiness;
use crate::ready::ReadyFile;

/// What the main thread waits for once everything runs.
#[derive(Debug)]
pub enum Event {
    /// Move clients away, finish what is in flight, end.
    Drain,
    /// Read secrets, keys and the log level again.
    Reload,
    /// A role cannot go on, and the process must not.
    Failed(Failure),
}

/// The signals, caught from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them; to be called within the runtime that will [`watch`](Signals::watch).
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Passes them on until the process ends. Inputs: the three signals and, once a drain has begun, its deadline.
    pub async fn watch(
        mut self,
        events: Sender<Event>,
        deadline: Duration,
        ready_file: Arc<ReadyFile>,
        readiness: Readiness,
    ) {
        let mut end = None;
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => {}
                Some(()) = self.interrupt.recv() => {}
                Some(()) = self.hang_up.recv() => {
                    let _ = events.send(Event::Reload);
                    continue;
                }
                () = at(end) => abort("the drain deadline has passed", &ready_file),
            }
            if readiness.is_starting() {
                // It may wait for a store that does not answer, and has no client to be polite to.
                tracing::info!("asked to end before anything was served: ended");
                std::process::exit(0);
            }
            if end.is_some() {
                abort("asked a second time to end", &ready_file);
            }
            end = Some(Instant::now() + deadline);
            let _ = events.send(Event::Drain);
        }
    }
}

async fn at(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Ends the process as it stands. What was acknowledged is on disk at any time, so nothing is lost but manners.
fn abort(why: &str, ready_file: &ReadyFile) {
    tracing::warn!("{why}: ending at once");
    ready_file.remove();
    std::process::exit(1);
}
