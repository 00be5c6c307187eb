//! Looks once a second whether the engine has stopped. Its background threads end at the first error they meet, and a
//! writer that waits for them at that moment would wait for ever and in silence.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::{Database, PersistMode};

use super::options::OpenError;

/// How long a stopped engine may go unnoticed while nobody writes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The thread that looks; ended and waited for when dropped.
pub(super) struct Watch {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts looking; `failed` is told at most once.
    pub(super) fn start(db: Database, failed: impl FnOnce(&str) + Send + 'static) -> Result<Self, OpenError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let look = move || {
            let (flag, changed) = &*stopped;
            let mut stop = flag.lock().expect("nothing panics under this lock");
            while !*stop {
                // Hands what was written to the kernel, which it mostly has already, and says if the engine stopped.
                if let Err(error) = db.persist(PersistMode::Buffer) {
                    failed(&format!("the storage engine has stopped: {error}"));
                    return;
                }
                (stop, _) = changed.wait_timeout(stop, LOOK_EVERY).expect("nothing panics under this lock");
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-watch".into())
            .spawn(look)
            .map_err(OpenError::io("starting the store's watch"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (flag, changed) = &*self.stop;
        *flag.lock().expect("nothing panics under this lock") = true;
        changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's watch panicked");
        }
    }
}
