//! What a router counts. Names and meanings are in the broker's METRICS.md, which a test compares with this list.

use metrics::{Counter, Gauge, Histogram, describe_counter, describe_gauge, describe_histogram};

/// Messages stored.
pub const MESSAGES_CREATED: &str = "chat_messages_created_total";
/// Rows in one commit.
pub const COMMIT_ROWS: &str = "commit_batch_rows";
/// Seconds from a commit's start to its confirmation.
pub const COMMIT_SECONDS: &str = "commit_duration_seconds";
/// Seconds of the confirming barrier alone (embedded: the fsync).
pub const BARRIER_SECONDS: &str = "fsync_duration_seconds";
/// Conversations in memory.
pub const CONVERSATIONS_LOADED: &str = "conversations_loaded";

/// Tells the recorder what each metric means.
pub fn describe() {
    describe_counter!(MESSAGES_CREATED, "Messages stored");
    describe_histogram!(COMMIT_ROWS, "Rows in one commit");
    describe_histogram!(COMMIT_SECONDS, "Seconds from a commit's start to its confirmation");
    describe_histogram!(BARRIER_SECONDS, "Seconds of the barrier that confirms a commit (embedded: the fsync)");
    describe_gauge!(CONVERSATIONS_LOADED, "Conversations in memory");
}

/// Handles of a worker, looked up once.
pub(crate) struct WorkerMetrics {
    pub(crate) messages_created: Counter,
    pub(crate) conversations_loaded: Gauge,
}

impl WorkerMetrics {
    pub(crate) fn new() -> Self {
        Self {
            messages_created: metrics::counter!(MESSAGES_CREATED),
            conversations_loaded: metrics::gauge!(CONVERSATIONS_LOADED),
        }
    }
}

/// Handles of the commit thread, looked up once.
pub(crate) struct CommitMetrics {
    pub(crate) rows: Histogram,
    pub(crate) seconds: Histogram,
    pub(crate) barrier_seconds: Histogram,
}

impl CommitMetrics {
    pub(crate) fn new() -> Self {
        Self {
            rows: metrics::histogram!(COMMIT_ROWS),
            seconds: metrics::histogram!(COMMIT_SECONDS),
            barrier_seconds: metrics::histogram!(BARRIER_SECONDS),
        }
    }
}
