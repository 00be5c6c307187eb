//! Collects the metrics of the whole process and renders them for Prometheus.

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process;
use crate::metrics::{describe_all, set_build_info};

/// Bounds of times in seconds: from a commit on a fast disk (a tenth of a millisecond) to the longest time-out.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Bounds of counts: powers of four, from a lone message to a full batch.
const COUNTS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Bounds of sizes: from a short frame to a full queue.
const BYTES: &[f64] = &[256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];

/// Endings of histograms' names, and the bounds of their buckets.
const BUCKETS: &[(&str, &[f64])] =
    &[("_seconds", SECONDS), ("_bytes", BYTES), ("_messages", COUNTS), ("_rows", COUNTS)];

/// Renders what was measured.
#[derive(Clone)]
pub struct Exporter(PrometheusHandle);

impl Exporter {
    /// Makes this process measure. Once in a process.
    pub fn install() -> anyhow::Result<Self> {
        let recorder = builder()?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("metrics are collected already")?;
        describe_all();
        set_build_info();
        Ok(Self(handle))
    }

    /// The text of `/metrics`, with the process measured now.
    pub fn render(&self) -> String {
        process::measure();
        self.0.render()
    }

    /// Gives back the samples of histograms that nobody has scraped.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exporter")
    }
}

fn builder() -> anyhow::Result<PrometheusBuilder> {
    let mut builder = PrometheusBuilder::new();
    for (ending, bounds) in BUCKETS {
        builder = builder.set_buckets_for_metric(Matcher::Suffix((*ending).to_owned()), bounds)?;
    }
    Ok(builder)
}

#[cfg(test)]
pub(crate) fn local() -> (metrics_exporter_prometheus::PrometheusRecorder, Exporter) {
    let recorder = builder().expect("the bounds are not empty").build_recorder();
    let handle = recorder.handle();
    (recorder, Exporter(handle))
}
