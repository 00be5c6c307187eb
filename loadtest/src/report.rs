//! The result: one JSON object whose names are fixed, and a table for a person.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::oracle::Verdict;
use crate::procfs::Machine;

/// The form of the result.
pub const SCHEMA: &str = "switchyard.loadtest/1";

/// All that is measured; `None` where it does not apply.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "loadtest/README.md says what each is")]
pub struct Metrics {
    pub sent: Option<u64>,
    pub acked: Option<u64>,
    pub unacked: Option<u64>,
    pub unknown: Option<u64>,
    pub refused: Option<u64>,
    pub disconnects: Option<u64>,
    pub retries: Option<u64>,
    pub acked_per_s: Option<f64>,
    pub deliveries_per_s: Option<f64>,
    pub connects_per_s: Option<f64>,
    pub all_back_s: Option<f64>,
    pub ack_p50_ms: Option<f64>,
    pub ack_p99_ms: Option<f64>,
    pub ack_p999_ms: Option<f64>,
    pub ack_max_ms: Option<f64>,
    pub delivery_p50_ms: Option<f64>,
    pub delivery_p99_ms: Option<f64>,
    pub delivery_p999_ms: Option<f64>,
    pub delivery_max_ms: Option<f64>,
    pub connect_p50_ms: Option<f64>,
    pub connect_p99_ms: Option<f64>,
    pub connect_p999_ms: Option<f64>,
    pub connect_max_ms: Option<f64>,
    pub back_p50_ms: Option<f64>,
    pub back_p99_ms: Option<f64>,
    pub back_p999_ms: Option<f64>,
    pub back_max_ms: Option<f64>,
    pub back_acks: Option<u64>,
    pub back_ack_min_ms: Option<f64>,
    pub back_ack_p50_ms: Option<f64>,
    pub back_ack_p99_ms: Option<f64>,
    pub back_ack_max_ms: Option<f64>,
    pub latency_from: Option<&'static str>,
    pub server_cpu_s: Option<f64>,
    pub cpu_us_per_msg: Option<f64>,
    pub cpu_us_per_delivery: Option<f64>,
    pub cpu_ms_per_connect: Option<f64>,
    pub cpu_ms_per_reconnect: Option<f64>,
    pub idle_cpu_ms_per_s: Option<f64>,
    pub rss_mb_empty: Option<f64>,
    pub rss_mb: Option<f64>,
    pub rss_peak_mb: Option<f64>,
    pub rss_mb_after: Option<f64>,
    pub rss_kb_per_conn: Option<f64>,
    pub changes: Option<u64>,
    pub changes_refused: Option<u64>,
    pub changes_unanswered: Option<u64>,
    pub changes_per_s: Option<f64>,
    pub change_p50_ms: Option<f64>,
    pub change_p99_ms: Option<f64>,
    pub cpu_us_per_op: Option<f64>,
    pub marks: Option<u64>,
    pub list_p50_ms: Option<f64>,
    pub list_p99_ms: Option<f64>,
    pub all_p50_ms: Option<f64>,
    pub all_p99_ms: Option<f64>,
    pub total_p50_ms: Option<f64>,
    pub total_p99_ms: Option<f64>,
    pub first_list_p50_ms: Option<f64>,
    pub first_list_p99_ms: Option<f64>,
    pub first_all_p50_ms: Option<f64>,
    pub first_all_p99_ms: Option<f64>,
    pub first_total_p50_ms: Option<f64>,
    pub first_total_p99_ms: Option<f64>,
    pub bytes_per_subscription: Option<f64>,
    pub run: Option<String>,
    pub page_p50_ms: Option<f64>,
    pub page_p99_ms: Option<f64>,
    pub cpu_us_per_page: Option<f64>,
    pub cpu_us_per_page_small: Option<f64>,
    pub page_cost_ratio: Option<f64>,
    pub client_cpu_pct: Option<f64>,
    pub client_lag_p99_ms: Option<f64>,
    pub other_cpu_pct: Option<f64>,
    pub generator_saturated: Option<bool>,
}

/// The whole result.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "loadtest/README.md says what each is")]
pub struct Report {
    pub schema: &'static str,
    pub scenario: &'static str,
    pub target: Option<String>,
    pub transport: &'static str,
    pub form: Option<&'static str>,
    pub params: Map<String, Value>,
    pub seed: u64,
    pub version: &'static str,
    pub commit: &'static str,
    pub machine: Machine,
    pub metrics: Metrics,
    pub oracle: Option<Verdict>,
}

/// The commit that this was built from, or `unknown` when there was no git.
pub const COMMIT: &str = env!("SWITCHYARD_COMMIT");

impl Report {
    /// As one JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and maps with text keys")
    }

    /// For a person: what applies, one a line.
    pub fn table(&self) -> String {
        let mut table = format!("\n{} {}\n", self.scenario, self.target.as_deref().unwrap_or_default());
        let value = serde_json::to_value(&self.metrics).unwrap_or_default();
        for (name, value) in value.as_object().into_iter().flatten() {
            let shown = match value {
                Value::Null => continue,
                Value::Number(number) if number.is_f64() => format!("{:.3}", number.as_f64().unwrap_or_default()),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let _ = writeln!(table, "  {name:<24}{shown:>16}");
        }
        if let Some(oracle) = &self.oracle {
            let word = match oracle.ok {
                true => "nothing wrong",
                false if oracle.faults() > 0 => "VIOLATED",
                false => "NOT ALL WAS LOOKED AT",
            };
            let _ = writeln!(
                table,
                "  oracle: {word}; {} acknowledged, {} delivered, {} of {} timelines read, {} unrecorded",
                oracle.acked_checked,
                oracle.deliveries_checked,
                oracle.timelines_read,
                oracle.timelines,
                oracle.unrecorded
            );
            if let Some(changes) = oracle.changes_checked {
                let _ = writeln!(
                    table,
                    "  and {changes} changes, {} marks, {} counts of unread messages, {} lists",
                    oracle.marks_checked.unwrap_or(0),
                    oracle.unread_checked.unwrap_or(0),
                    oracle.lists_checked.unwrap_or(0)
                );
            }
            for line in &oracle.first {
                let _ = writeln!(table, "    {line}");
            }
        }
        table
    }
}

/// Something that must hold of the metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    field: String,
    at_most: bool,
    bound: f64,
}

/// A limit that cannot be read, or does not hold; in words.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{0}")]
pub struct LimitError(String);

impl Limit {
    /// Reads `FIELD<=N` or `FIELD>=N`.
    pub fn parse(text: &str) -> Result<Self, LimitError> {
        let bad = |why: &str| LimitError(format!("--limit {text}: {why}"));
        let (field, bound, at_most) = match (text.split_once("<="), text.split_once(">=")) {
            (Some((field, bound)), None) => (field, bound, true),
            (None, Some((field, bound))) => (field, bound, false),
            _ => return Err(bad("expected FIELD<=N or FIELD>=N")),
        };
        let known = serde_json::to_value(Metrics::default()).unwrap_or_default();
        if known.get(field).is_none() {
            return Err(bad("no such field in the metrics"));
        }
        let bound = bound.trim().parse().map_err(|_| bad("the bound is not a number"))?;
        Ok(Self { field: field.to_owned(), at_most, bound })
    }

    /// Whether it holds; a field that was not measured does not.
    pub fn check(&self, metrics: &Metrics) -> Result<(), LimitError> {
        let value = serde_json::to_value(metrics).unwrap_or_default();
        let Some(value) = value.get(&self.field).and_then(Value::as_f64) else {
            return Err(LimitError(format!("{} was not measured", self.field)));
        };
        let (holds, sign) = if self.at_most { (value <= self.bound, "<=") } else { (value >= self.bound, ">=") };
        if holds { Ok(()) } else { Err(LimitError(format!("{} is {value:.3}, not {sign} {}", self.field, self.bound))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_or_do_not() {
        let metrics = Metrics { cpu_us_per_msg: Some(8.0), sent: Some(5), ..Metrics::default() };
        let check = |text: &str| Limit::parse(text).and_then(|limit| limit.check(&metrics));
        assert_eq!(check("cpu_us_per_msg<=8"), Ok(()));
        assert_eq!(check("sent>=5"), Ok(()));
        for bad in ["cpu_us_per_msg<=7.9", "sent>=6", "acked>=1", "nothing<=1", "sent=5", "sent<=x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
