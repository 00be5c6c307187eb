//! The segments that wait to be filled again, and who waits for one. Bounds the journal, and with it what is in memory and
//! not yet in the engine: whoever finds no segment waits until the oldest was taken over.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::segment::Segment;

/// Segments at most: one being filled, one being taken over by the engine, and two between, so that a merge of the engine
/// holds nobody up. They lie in memory, too.
pub(in crate::embedded) const SEGMENTS_MAX: u32 = 4;

/// How long somebody waits before looking again whether all has failed meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The free segments.
pub(in crate::embedded) struct Pool {
    dir: PathBuf,
    segment_bytes: u64,
    /// Somebody said that a segment will be needed soon, and nobody has taken one since.
    spare_wanted: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: Vec<Segment>,
    /// All segments, free or not.
    count: u32,
    making: bool,
    /// There is something to do for the thread that takes segments over.
    work: bool,
    /// That thread is to end.
    stop: bool,
}

/// What came of looking for a segment.
pub(in crate::embedded) enum Taken {
    /// This one.
    Segment(Segment),
    /// None is free, and none can be made on this disk now.
    NoRoom,
    /// It was not worth waiting any longer.
    GivenUp,
}

impl Pool {
    pub(in crate::embedded) fn new(dir: PathBuf, segment_bytes: u64, free: Vec<Segment>, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            dir,
            segment_bytes,
            spare_wanted: AtomicBool::new(false),
            state: Mutex::new(State { free, count, making: false, work: true, stop: false }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    /// How many segments there are.
    pub(in crate::embedded) fn count(&self) -> u32 {
        self.lock().count
    }

    /// Takes a free segment. Without one, makes one if there may be more and `may_grow`, and else waits for the one that
    /// `pending` says will be given back, until `give_up` says so. If nobody will give one back, it has to be made.
    pub(in crate::embedded) fn take(
        &self,
        mut may_grow: bool,
        pending: impl Fn() -> bool,
        give_up: impl Fn() -> bool,
    ) -> io::Result<Taken> {
        let mut no_room = false;
        let mut state = self.lock();
        loop {
            if let Some(segment) = state.free.pop() {
                self.spare_wanted.store(false, Ordering::Relaxed);
                return Ok(Taken::Segment(segment));
            }
            if give_up() {
                return Ok(Taken::GivenUp);
            }
            let stuck = !state.making && !pending();
            if stuck && (no_room || state.count >= SEGMENTS_MAX) {
                return Ok(Taken::NoRoom);
            }
            if stuck || (may_grow && !state.making && state.count < SEGMENTS_MAX) {
                drop(state);
                no_room = !self.make_spare()?;
                may_grow &= !no_room;
                state = self.lock();
                continue;
            }
            (state, _) = self.changed.wait_timeout(state, LOOK_EVERY).expect("nothing panics under this lock");
        }
    }

    /// Makes sure that a segment is free, if there may be more. Says whether one is, or somebody else is making it; not
    /// on a disk that has no room.
    pub(in crate::embedded) fn make_spare(&self) -> io::Result<bool> {
        let number = {
            let mut state = self.lock();
            if !state.free.is_empty() || state.making {
                return Ok(true);
            }
            if state.count >= SEGMENTS_MAX {
                return Ok(false);
            }
            state.making = true;
            state.count
        };
        let made = Segment::make(&self.dir, number, self.segment_bytes);
        let mut state = self.lock();
        state.making = false;
        let result = match made {
            Ok(segment) => {
                state.free.push(segment);
                state.count += 1;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Ok(false)
            }
            Err(error) => Err(error),
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Gives back a segment that holds nothing that is needed.
    pub(in crate::embedded) fn give_back(&self, segment: Segment) {
        self.lock().free.push(segment);
        self.changed.notify_all();
    }

    /// Says that a segment will be needed soon. Said again for the same segment, it wakes nobody.
    pub(in crate::embedded) fn want_spare(&self) {
        if !self.spare_wanted.swap(true, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Whether one will be.
    pub(in crate::embedded) fn spare_is_wanted(&self) -> bool {
        self.spare_wanted.load(Ordering::Relaxed)
    }

    /// There is something to do.
    pub(in crate::embedded) fn wake(&self) {
        self.lock().work = true;
        self.changed.notify_all();
    }

    /// Ends the thread that takes segments over.
    pub(in crate::embedded) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Whether it was told to end.
    pub(in crate::embedded) fn stopped(&self) -> bool {
        self.lock().stop
    }

    /// Waits for something to do, or so long. Says whether there is something.
    pub(in crate::embedded) fn wait_for_work(&self, at_most: Duration) -> bool {
        let idle = |state: &mut State| !state.work && !state.stop;
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, idle);
        let (mut state, _) = waited.expect("nothing panics under this lock");
        std::mem::take(&mut state.work)
    }

    /// Waits so long, or until it was told to end.
    pub(in crate::embedded) fn pause(&self, at_most: Duration) {
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, |state| !state.stop);
        drop(waited.expect("nothing panics under this lock"));
    }
}
