//! Room on the disk that the data lies on: measured every second for `/readyz` and the metrics. Whether a send is refused for
//! want of room is the store's decision, by the same measure.

use std::path::PathBuf;
use std::time::Duration;

use metrics::gauge;
use rustix::fs::statvfs;
use tokio::time::{MissedTickBehavior, interval};

use super::readiness::Readiness;
use crate::config::units::Size;
use crate::metrics::{STORE_FREE, STORE_FREE_MIN};

/// How often it is measured: no more than probes ask.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// The part of readiness that this sets.
const PART: &str = "store";

/// The room for one data directory.
#[derive(Clone, Debug)]
pub struct Space {
    /// The data directory.
    pub data: PathBuf,
    /// Below it, the store refuses what is new.
    pub free_bytes_min: Size,
    /// Whom it tells.
    pub readiness: Readiness,
}

impl Space {
    /// Measures it once. A file system that does not tell is not full, as the store has it.
    pub fn measure(&self) {
        let min = self.free_bytes_min;
        gauge!(STORE_FREE_MIN).set(min.0 as f64);
        let stat = match statvfs(&self.data) {
            Ok(stat) if stat.f_blocks > 0 => stat,
            _ => return self.readiness.ready(PART),
        };
        let free = Size(stat.f_bavail.saturating_mul(stat.f_frsize));
        gauge!(STORE_FREE).set(free.0 as f64);
        if free < min {
            let why = format!("the disk is full: {free} are free, and below {min} nothing is stored; reads go on");
            self.readiness.not_ready(PART, why);
        } else {
            self.readiness.ready(PART);
        }
    }

    /// Measures it as long as the process lives.
    pub(super) async fn watch(self) {
        let mut ticks = interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.measure();
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;

    use super::*;
    use crate::ops::exporter;

    #[test]
    fn too_little_room_is_a_reason_until_there_is_enough() {
        let dir = tempfile::tempdir().expect("a directory");
        let readiness = Readiness::default();
        let space =
            |min| Space { data: dir.path().to_owned(), free_bytes_min: Size(min), readiness: readiness.clone() };
        let (recorder, exporter) = exporter::local();
        with_local_recorder(&recorder, || {
            space(u64::MAX).measure();
            assert!(readiness.reasons()["store"].contains("full"), "{:?}", readiness.reasons());
            space(1).measure();
            assert!(readiness.reasons().is_empty(), "{:?}", readiness.reasons());
            let metrics = exporter.render();
            let free = metrics.lines().find_map(|line| line.strip_prefix("store_free_bytes ")).expect("it is there");
            assert!(free.parse::<f64>().is_ok_and(|free| free > 0.0), "{metrics}");
            assert!(metrics.contains("\nstore_free_bytes_min 1\n"), "{metrics}");
        });
    }
}
