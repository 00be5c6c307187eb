//! The threads on which the driver works, and how its futures are polled from anywhere: callers of a store have executors of
//! their own, or none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::BoxFuture;

/// The store's own runtime. Ends without waiting when this is dropped, so it may be dropped anywhere.
pub(super) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Threads {
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name("cql").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A future that finds the runtime's clock and sockets wherever it is polled. What it waits for is done on the
    /// runtime's threads; it is dropped like any other.
    pub(super) fn within<'a, T: 'a>(&self, future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        Box::pin(Within { handle: self.handle.clone(), future: Box::pin(future) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Within<'a, T> {
    handle: Handle,
    future: BoxFuture<'a, T>,
}

impl<T> Future for Within<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        let _within = this.handle.enter();
        this.future.as_mut().poll(context)
    }
}

/// Runs a future on the runtime and waits for it, on a thread that may itself be one of a runtime's.
pub(super) fn wait<T: Send + 'static>(handle: &Handle, future: impl Future<Output = T> + Send + 'static) -> T {
    let (answer, answered) = std::sync::mpsc::sync_channel(1);
    handle.spawn(async move {
        // Nobody is gone who could have gone: the caller waits.
        let _ = answer.send(future.await);
    });
    answered.recv().expect("the runtime outlives what it was given")
}
