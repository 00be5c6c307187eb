//! The public port's plain HTTP: connections that the edges' doors took and that are no WebSocket are served here, on one
//! thread with a runtime of its own, with the bytes that were read of them already. One request each: a second one might be
//! for a WebSocket, which only the doors know.

use std::io::Cursor;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use axum::Router;
use switchyard_edge::door::{HttpHandover, Place};
use tokio::io::AsyncReadExt;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::exit::Failure;
use crate::http::answer_one;
use crate::threads::Threads;

/// Connections handed over and not yet looked at; beyond it they are closed.
const HANDED_OVER_MAX: usize = 1_024;

/// Connections served at once; the others wait for a place. Far more than one address may have under way.
const SERVED_MAX: usize = 1_024;

/// A connection that a door gave away.
struct Handed {
    socket: TcpStream,
    read: Vec<u8>,
    client: SocketAddr,
    place: Place,
}

/// The running server.
pub(super) struct Http {
    connections: mpsc::Sender<Handed>,
    stop: oneshot::Sender<()>,
    thread: Threads,
}

impl Http {
    /// Starts its thread.
    pub(super) fn start(router: Router) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (connections, handed) = mpsc::channel(HANDED_OVER_MAX);
        let (stop, stopped) = oneshot::channel();
        let mut thread = Threads::default();
        thread.add(std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(serve(router, handed, stopped));
        })?);
        Ok(Self { connections, stop, thread })
    }

    /// What the doors call.
    pub(super) fn handover(&self) -> HttpHandover {
        let connections = self.connections.clone();
        Arc::new(move |socket, read, client, place| {
            if connections.try_send(Handed { socket, read, client, place }).is_err() {
                tracing::debug!(%client, "an HTTP connection was closed: too many wait");
            }
        })
    }

    /// Why its thread has ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Failure> {
        self.thread.ended()
    }

    /// Ends it; requests under way are cut, as health checks can bear.
    pub(super) fn stop(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        self.thread.join()
    }
}

/// Inputs: connections, and the word to stop. Tasks end with the runtime.
async fn serve(router: Router, mut handed: mpsc::Receiver<Handed>, mut stopped: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(SERVED_MAX));
    loop {
        let next = tokio::select! {
            next = handed.recv() => next,
            _ = &mut stopped => return,
        };
        let Some(Handed { socket, read, client, place: of_address }) = next else { return };
        // Slow ones may hold all places; the word to stop does not wait for them.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = &mut stopped => return,
        };
        let Ok(place) = place else { return };
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(error) = connection(router, socket, read).await {
                tracing::debug!(%client, error, "an HTTP connection failed");
            }
            drop((place, of_address));
        });
    }
}

async fn connection(router: Router, socket: TcpStream, read: Vec<u8>) -> Result<(), String> {
    let socket = tokio::net::TcpStream::from_std(socket).map_err(|error| error.to_string())?;
    let (reader, writer) = socket.into_split();
    let stream = tokio::io::join(Cursor::new(read).chain(reader), writer);
    answer_one(router, stream).await.map_err(|error| error.to_string())
}
