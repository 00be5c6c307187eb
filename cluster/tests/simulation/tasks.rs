//! What a process is at: futures, each polled when what it waits for has come, in the order in which they were begun. One
//! thread, no clock: the same answers in the same order give the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use switchyard_store::BoxFuture;

use super::work::Done;

/// Those that were woken.
type Woken = Arc<Mutex<Vec<u64>>>;

struct Woke {
    task: u64,
    woken: Woken,
}

impl Wake for Woke {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.task);
    }
}

struct Task {
    future: BoxFuture<'static, Option<Done>>,
    waker: Waker,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Tasks {
    number: u64,
    tasks: BTreeMap<u64, Task>,
    woken: Woken,
}

impl Tasks {
    /// Begins something.
    pub(crate) fn begin(&mut self, future: impl Future<Output = Option<Done>> + Send + 'static) {
        self.number += 1;
        let task = self.number;
        let waker = Waker::from(Arc::new(Woke { task, woken: self.woken.clone() }));
        waker.wake_by_ref();
        self.tasks.insert(task, Task { future: Box::pin(future), waker });
    }

    /// Goes on with all that were woken, once each. What is done is given.
    pub(crate) fn poll(&mut self) -> Vec<Done> {
        let mut woken = std::mem::take(&mut *self.woken.lock().unwrap());
        woken.sort_unstable();
        woken.dedup();
        let mut done = Vec::new();
        for number in woken {
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            if let Poll::Ready(ready) = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)) {
                self.tasks.remove(&number);
                done.extend(ready);
            }
        }
        done
    }

    /// Whether nothing can go on now.
    pub(crate) fn rest(&self) -> bool {
        self.woken.lock().unwrap().is_empty()
    }
}
