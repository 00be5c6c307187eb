//! The metrics of this crate: HTTP requests, the process, its disk, the build. Names are constants, labels are bounded (never a
//! user or a conversation), and `METRICS.md` documents those of all crates; a test compares.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};

use crate::version::{COMMIT, VERSION};

/// Requests answered on the public and the operations port.
pub const HTTP_REQUESTS: &str = "http_requests_total";
/// How long their answers took.
pub const HTTP_REQUEST_DURATION: &str = "http_request_duration_seconds";
/// Open file descriptors.
pub const OPEN_FDS: &str = "process_open_fds";
/// The limit of open file descriptors.
pub const MAX_FDS: &str = "process_max_fds";
/// Memory that is really there.
pub const RESIDENT_MEMORY: &str = "process_resident_memory_bytes";
/// Threads.
pub const THREADS: &str = "process_threads";
/// When the process started.
pub const START_TIME: &str = "process_start_time_seconds";
/// Room on the disk.
pub const STORE_FREE: &str = "store_free_bytes";
/// The room below which nothing is stored.
pub const STORE_FREE_MIN: &str = "store_free_bytes_min";
/// Statements sent to a CQL store.
pub const STORE_STATEMENTS: &str = "store_statements_total";
/// Always 1; its labels say which build this is.
pub const BUILD_INFO: &str = "switchyard_build_info";

/// Describes the metrics of every crate. The only list of crates that have some.
pub fn describe_all() {
    describe();
    switchyard_edge::metrics::describe();
    switchyard_router::metrics::describe();
}

fn describe() {
    describe_counter!(
        HTTP_REQUESTS,
        Unit::Count,
        "HTTP requests answered, on the public and the operations port, but for what the door refuses"
    );
    describe_histogram!(HTTP_REQUEST_DURATION, Unit::Seconds, "Time from an HTTP request's head to its answer");
    describe_gauge!(OPEN_FDS, Unit::Count, "Open file descriptors");
    describe_gauge!(MAX_FDS, Unit::Count, "Limit of open file descriptors");
    describe_gauge!(RESIDENT_MEMORY, Unit::Bytes, "Resident memory");
    describe_gauge!(THREADS, Unit::Count, "Threads");
    describe_gauge!(START_TIME, Unit::Seconds, "When the process started, in seconds since 1970");
    describe_gauge!(STORE_FREE, Unit::Bytes, "Free bytes of the file system with the data directory");
    describe_gauge!(STORE_FREE_MIN, Unit::Bytes, "Below so many free bytes sends are refused");
    describe_counter!(
        STORE_STATEMENTS,
        Unit::Count,
        "Statements sent to the CQL store; a batch is one; `operation` is read, write or transaction"
    );
    describe_gauge!(BUILD_INFO, "Always 1; the labels say which build this is");
}

/// Sets what never changes.
pub fn set_build_info() {
    gauge!(BUILD_INFO, "version" => VERSION, "commit" => COMMIT).set(1.0);
}

#[cfg(test)]
mod tests;
