//! What the operating system says of this process: files, memory, threads. Read when asked for, kept nowhere.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics::gauge;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::metrics::{MAX_FDS, OPEN_FDS, RESIDENT_MEMORY, START_TIME, THREADS};

/// Takes as many open files as the system lets this process have, and says how many that is. Every connection is one.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    open_files_max()
}

/// The limit of open files in force.
pub fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Remembers when the process started.
pub fn set_start_time() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge!(START_TIME).set(now.as_secs_f64());
}

/// Sets the gauges. Where there is no `/proc`, those that need it stay away.
pub fn measure() {
    gauge!(MAX_FDS).set(open_files_max() as f64);
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The directory that is being read is open too, but not for long.
        gauge!(OPEN_FDS).set(open.count().saturating_sub(1) as f64);
    }
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return };
    if let Some(kib) = field(&status, "VmRSS:") {
        gauge!(RESIDENT_MEMORY).set((kib << 10) as f64);
    }
    if let Some(threads) = field(&status, "Threads:") {
        gauge!(THREADS).set(threads as f64);
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_status_are_found_by_their_whole_name() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\n";
        assert_eq!(
            (field(status, "VmRSS:"), field(status, "Threads:"), field(status, "Vm:")),
            (Some(1234), Some(7), None)
        );
    }
}
