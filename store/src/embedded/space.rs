//! Room on the file system: asked often, measured seldom. Refusing early is the whole defence against a full disk,
//! because the engine below stops for good when it meets one.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a measurement serves.
const MEASURE_EVERY: Duration = Duration::from_millis(100);

/// How many bytes may be stored on one measurement: small beside any sensible reserve.
const MEASURE_BYTES: u64 = 4 * 1024 * 1024;

/// The reserve of one file system.
pub(super) struct Space {
    path: PathBuf,
    free_bytes_min: u64,
    last: Mutex<Measured>,
}

struct Measured {
    at: Option<Instant>,
    room: bool,
    bytes_since: u64,
}

/// What the room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To store more.
    Grow,
    /// What must work on a full disk, too, and is small: taking over at a start, and removing rows. May use half of the
    /// reserve.
    Recover,
}

impl Space {
    pub(super) fn new(path: PathBuf, free_bytes_min: u64) -> Self {
        Self { path, free_bytes_min, last: Mutex::new(Measured { at: None, room: true, bytes_since: 0 }) }
    }

    /// Whether so many more bytes may be stored.
    pub(super) fn has_room(&self, bytes: u64, purpose: Purpose) -> bool {
        if purpose == Purpose::Recover {
            return self.free() >= self.free_bytes_min / 2;
        }
        let mut last = self.last.lock().expect("nothing panics while measuring");
        last.bytes_since = last.bytes_since.saturating_add(bytes);
        // A full disk is measured each time, so that the first write after it has room is accepted.
        let fresh =
            last.room && last.at.is_some_and(|at| at.elapsed() < MEASURE_EVERY) && last.bytes_since < MEASURE_BYTES;
        if !fresh {
            let room = self.free() >= self.free_bytes_min;
            if room != last.room {
                if room {
                    tracing::info!("there is room on disk again");
                } else {
                    tracing::error!(free_bytes_min = self.free_bytes_min, "the disk is full: nothing is stored");
                }
            }
            *last = Measured { at: Some(Instant::now()), room, bytes_since: bytes };
        }
        last.room
    }

    /// Free bytes. A file system that does not tell is not full: the write itself will.
    fn free(&self) -> u64 {
        match rustix::fs::statvfs(&self.path) {
            Ok(stat) if stat.f_blocks > 0 => stat.f_bavail.saturating_mul(stat.f_frsize),
            _ => u64::MAX,
        }
    }
}
