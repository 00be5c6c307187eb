//! What is measured while it happens: latencies by histogram, and counts.

use hdrhistogram::Histogram;

/// Latencies are kept from a microsecond to five minutes, to three digits.
const LOW_NS: u64 = 1_000;
const HIGH_NS: u64 = 300 * 1_000_000_000;
const DIGITS: u8 = 3;

/// Latencies of one kind.
#[derive(Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(LOW_NS, HIGH_NS, DIGITS).expect("the bounds are in order"))
    }
}

impl Latency {
    /// One that took so long.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// So many that took so long.
    pub fn record_n(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value at a quantile in milliseconds; `None` when there are none.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1e6)
    }

    /// Median, 99th and 99.9th percentile and the largest, in milliseconds.
    pub fn quantiles(&self) -> [Option<f64>; 4] {
        [0.5, 0.99, 0.999, 1.0].map(|quantile| self.quantile_ms(quantile))
    }
}

/// Counts over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages sent at least once.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages refused for good.
    pub refused: u64,
    /// Times that a message was sent again.
    pub retries: u64,
    /// Connections lost that nobody here had cut.
    pub disconnects: u64,
    /// Messages that reached a reader for the first time.
    pub deliveries: u64,
    /// Connections that were greeted.
    pub connects: u64,
    /// Messages of which no outcome is known yet.
    pub open: u64,
    /// Deliveries that are still expected.
    pub undelivered: u64,
    /// Edits, deletions and emoji acknowledged.
    pub changes: u64,
    /// The same, refused for good.
    pub changes_refused: u64,
    /// The same, of which no outcome is known yet.
    pub changes_open: u64,
    /// Marks answered.
    pub marks: u64,
}

/// Latencies and counts; latencies only of what was due within the window.
#[derive(Debug, Default)]
pub struct Meter {
    /// From a message's due time to its ack.
    pub ack: Latency,
    /// From a message's due time to each reader.
    pub delivery: Latency,
    /// From the first packet of the first attempt to the welcome.
    pub connect: Latency,
    /// From a cut to all that was missed.
    pub back: Latency,
    /// Of a sender who is back after its connection was lost: from the welcome, or from the time that its next message was due if
    /// that is later, to its first ack there.
    pub back_ack: Latency,
    /// From a page's request to the page.
    pub page: Latency,
    /// From an edit, deletion or emoji that was due to its ack.
    pub change: Latency,
    /// From a list's request to the list.
    pub list: Latency,
    /// How late the generator itself was.
    pub lag: Latency,
    /// Counts.
    pub tally: Tally,
    window: Option<(u64, u64)>,
}

impl Meter {
    /// Latencies count for what is due from now until `until`.
    pub fn open(&mut self, now: u64, until: u64) {
        self.window = Some((now, until));
    }

    /// Whether what was due then counts.
    pub fn counts(&self, due: u64) -> bool {
        self.window.is_some_and(|(from, until)| due >= from && due < until)
    }

    /// A message due at `due` was acknowledged.
    pub fn acked(&mut self, due: u64, now: u64) {
        self.tally.acked += 1;
        if self.counts(due) {
            self.ack.record(now.saturating_sub(due));
        }
    }

    /// A change due at `due` was acknowledged.
    pub fn changed(&mut self, due: u64, now: u64) {
        self.tally.changes += 1;
        if self.counts(due) {
            self.change.record(now.saturating_sub(due));
        }
    }

    /// A message due at `due` has no ack at the end, and `missing` readers have nothing of it: each has waited for so long
    /// at least. Left out, a server that answers only what is easy would have the best latencies.
    pub fn never(&mut self, due: u64, unanswered: bool, missing: u32, now: u64) {
        if !self.counts(due) {
            return;
        }
        let age = now.saturating_sub(due);
        if unanswered {
            self.ack.record(age);
        }
        self.delivery.record_n(age, u64::from(missing));
    }

    /// A message due at `due` has reached a reader.
    pub fn delivered(&mut self, due: u64, now: u64) {
        if self.counts(due) {
            self.delivery.record(now.saturating_sub(due));
        }
    }
}
