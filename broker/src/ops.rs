//! Operations: the thread that serves health and metrics and catches signals, apart from the roles, so that it answers
//! however busy they are. It reports; it changes nothing.

pub mod exporter;
pub mod http;
pub mod process;
pub mod readiness;
pub mod space;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep};

pub use exporter::Exporter;
pub use readiness::Readiness;
pub use space::Space;

use crate::http::answer_one;
use crate::ready::ReadyFile;
use crate::signals::{Event, Signals};

/// How often histograms that nobody scrapes give their samples back, so that they do not pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Connections to the operations port at once; the others wait in the kernel, some seconds at most. Collectors and probes
/// are few.
const CONNECTIONS_MAX: usize = 128;

/// After accepting has failed, for want of file descriptors: trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What the operations thread is given.
#[derive(Debug)]
pub struct Ops {
    /// The bound operations port.
    pub listener: TcpListener,
    /// Renders the metrics.
    pub exporter: Exporter,
    /// Whether clients may come.
    pub readiness: Readiness,
    /// Looked after, too; of an embedded store.
    pub space: Option<Space>,
    /// Where signals go.
    pub events: Sender<Event>,
    /// From the first SIGTERM to the end.
    pub drain_deadline: Duration,
    /// Removed when the process ends in a hurry.
    pub ready_file: Arc<ReadyFile>,
}

impl Ops {
    /// Starts the thread; when this returns, signals are caught and the port answers. The thread lives as long as the
    /// process: it is what still answers while everything else ends.
    pub fn start(self) -> anyhow::Result<JoinHandle<()>> {
        let (started, outcome) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("ops".to_owned())
            .spawn(move || self.serve(&started))
            .context("the operations thread cannot be started")?;
        outcome.recv().context("the operations thread ended")??;
        Ok(thread)
    }

    fn serve(self, started: &Sender<anyhow::Result<()>>) {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = started.send(Err(error.into()));
                return;
            }
        };
        runtime.block_on(async {
            let bound = tokio::net::TcpListener::from_std(self.listener);
            let (listener, signals) = match bound.and_then(|bound| Ok((bound, Signals::catch()?))) {
                Ok(both) => both,
                Err(error) => {
                    let _ = started.send(Err(error.into()));
                    return;
                }
            };
            let _ = started.send(Ok(()));
            let readiness = self.readiness.clone();
            let router = http::ops_router(self.readiness, self.exporter.clone());
            tokio::join!(
                signals.watch(self.events, self.drain_deadline, self.ready_file, readiness),
                upkeep(self.exporter),
                watch(self.space),
                listen(listener, router),
            );
        });
    }
}

/// Serves the port for as long as the process lives.
async fn listen(listener: tokio::net::TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "the operations port could not accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(error) = answer_one(router, stream).await {
                tracing::debug!(%client, %error, "an operations connection failed");
            }
            drop(place);
        });
    }
}

async fn watch(space: Option<Space>) {
    if let Some(space) = space {
        space.watch().await;
    }
}

async fn upkeep(exporter: Exporter) {
    let mut ticks = interval(UPKEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        exporter.run_upkeep();
    }
}
