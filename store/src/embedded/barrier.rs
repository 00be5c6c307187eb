//! One sync for all callers who wait for one. Knows nothing of what is synced.

use std::sync::{Condvar, Mutex};

/// Shares syncs: a caller is served by the first one that starts after it came.
#[derive(Default)]
pub(super) struct SharedSync {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    started: u64,
    /// The last sync that ended well.
    done: u64,
    failed: Option<String>,
}

impl SharedSync {
    /// Runs `sync`, or waits for somebody else's that starts from now on. After one failure all fail, for ever.
    pub(super) fn run(&self, sync: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        let needed = state.started + 1;
        loop {
            if let Some(reason) = &state.failed {
                return Err(reason.clone());
            }
            if state.done >= needed {
                return Ok(());
            }
            if !state.running {
                break;
            }
            state = self.ended.wait(state).expect("nothing panics under this lock");
        }
        state.running = true;
        state.started += 1;
        let this = state.started;
        drop(state);
        let result = sync();
        let mut state = self.state.lock().expect("nothing panics under this lock");
        state.running = false;
        match &result {
            Ok(()) => state.done = this,
            Err(reason) => state.failed = Some(reason.clone()),
        }
        self.ended.notify_all();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn callers_who_wait_share_the_next_sync() {
        let shared = Arc::new(SharedSync::default());
        let syncs = Arc::new(AtomicUsize::new(0));
        let (entered, has_entered) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = {
            let (shared, syncs) = (shared.clone(), syncs.clone());
            std::thread::spawn(move || {
                shared.run(|| {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    entered.send(()).expect("the test waits");
                    released.recv().expect("the test releases");
                    Ok(())
                })
            })
        };
        has_entered.recv().expect("the first sync starts");
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (shared, syncs) = (shared.clone(), syncs.clone());
                std::thread::spawn(move || {
                    shared.run(|| {
                        syncs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                })
            })
            .collect();
        release.send(()).expect("the first sync waits");
        assert_eq!(first.join().expect("no panic"), Ok(()));
        for thread in waiting {
            assert_eq!(thread.join().expect("no panic"), Ok(()));
        }
        // The one under way serves nobody who came after its start; at least one more ran, and at most one for each.
        let syncs = syncs.load(Ordering::SeqCst);
        assert!((2..=9).contains(&syncs), "{syncs}");
    }

    #[test]
    fn a_failure_is_final() {
        let shared = SharedSync::default();
        assert_eq!(shared.run(|| Err("broken".into())), Err("broken".to_owned()));
        assert_eq!(shared.run(|| Ok(())), Err("broken".to_owned()));
    }
}
