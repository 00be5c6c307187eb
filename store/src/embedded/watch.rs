//! Looks once a second after the engine. Its background threads end at the first error they meet, and a writer that waits
//! for them at that moment would wait for ever and in silence: so whether it has stopped is asked here. And when nobody
//! writes any more, what a burst left in memory is written out, so that a quiet server is a small one.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::{Database, Keyspace, PersistMode};

use super::options::OpenError;

/// How long a stopped engine may go unnoticed while nobody writes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes in memory that are not worth a file of their own while nobody writes.
const QUIET_BYTES_KEPT_MAX: u64 = 1024 * 1024;

/// Looks without a write after which nobody is taken to be writing.
const QUIET_LOOKS: u32 = 2;

/// The thread that looks; ended and waited for when dropped.
pub(super) struct Watch {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts looking; `failed` is told at most once.
    pub(super) fn start(
        db: Database,
        trees: Vec<Keyspace>,
        failed: impl FnOnce(&str) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let stopped = stop.clone();
        let look = move || {
            let (flag, changed) = &*stopped;
            let mut stop = flag.lock().expect("nothing panics under this lock");
            let mut quiet = Quiet::default();
            while !*stop {
                // Hands what was written to the kernel, which it mostly has already, and says if the engine stopped.
                if let Err(error) = db.persist(PersistMode::Buffer) {
                    failed(&format!("the storage engine has stopped: {error}"));
                    return;
                }
                if quiet.look(&db)
                    && let Err(error) = trees.iter().try_for_each(|tree| tree.rotate_memtable().map(drop))
                {
                    failed(&format!("the storage engine cannot write out its memory: {error}"));
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

/// Tells when writing has ended for a while and has left something behind.
#[derive(Default)]
struct Quiet {
    seqno: u64,
    looks: u32,
}

impl Quiet {
    fn look(&mut self, db: &Database) -> bool {
        let seqno = db.seqno();
        self.looks = if seqno == self.seqno { self.looks.saturating_add(1) } else { 0 };
        self.seqno = seqno;
        // Once per quiet time: afterwards there is nothing left.
        self.looks == QUIET_LOOKS && db.write_buffer_size() > QUIET_BYTES_KEPT_MAX
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
