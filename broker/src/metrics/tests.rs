//! Holds METRICS.md and the described metrics together: name, type and meaning of each, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder};

const DOCUMENT: &str = include_str!("../../METRICS.md");

/// Keeps what is described, and measures nothing.
#[derive(Default)]
struct Described(Mutex<BTreeMap<String, (&'static str, String)>>);

impl Described {
    fn add(&self, kind: &'static str, name: &KeyName, meaning: &SharedString) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let twice = all.insert(name.as_str().to_owned(), (kind, meaning.to_string()));
        assert!(twice.is_none(), "{} is described twice", name.as_str());
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add("counter", &name, &meaning);
    }
    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add("gauge", &name, &meaning);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, meaning: SharedString) {
        self.add("histogram", &name, &meaning);
    }
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The rows ``| `name` | type | labels | meaning |`` of the document.
fn documented() -> BTreeMap<String, (String, String)> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", name, kind, _labels, meaning, ""] = cells[..] else { panic!("not four cells: {row}") };
        (name.trim_matches('`').to_owned(), (kind.to_owned(), meaning.to_owned()))
    })
    .collect()
}

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let described = Described::default();
    with_local_recorder(&described, super::describe_all);
    let described = described.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let described: BTreeMap<String, (String, String)> =
        described.into_iter().map(|(name, (kind, meaning))| (name, (kind.to_owned(), meaning))).collect();
    assert!(!described.is_empty());
    assert_eq!(documented(), described, "left: METRICS.md, right: what is described");
}

/// The values of the document's paragraph ``Reasons of `name`: one, another (remark).``, by the metric's name.
fn documented_values() -> BTreeMap<String, BTreeSet<String>> {
    let paragraphs = DOCUMENT.split("\n\n").filter_map(|paragraph| {
        let (name, text) = paragraph.split_once(" of `")?.1.split_once("`: ")?;
        let mut list = String::new();
        let mut depth = 0;
        for letter in text.chars() {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                '.' if depth == 0 => break,
                _ if depth == 0 => list.push(letter),
                _ => {}
            }
        }
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        Some((name.to_owned(), values))
    });
    paragraphs.collect()
}

#[test]
fn every_value_of_a_label_is_documented_and_every_documented_one_exists() {
    let values = switchyard_edge::metrics::label_values();
    let values: BTreeMap<String, BTreeSet<String>> = values
        .into_iter()
        .map(|(name, values)| (name.to_owned(), values.into_iter().map(str::to_owned).collect()))
        .collect();
    assert_eq!(documented_values(), values, "left: METRICS.md, right: what is counted");
}

#[test]
fn names_follow_the_custom_of_prometheus() {
    for (name, (kind, _)) in documented() {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(plain, "{name} is in small letters");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}: counters alone end with _total");
        for wrong in ["_ms", "_us", "_kb", "_mb", "_millis", "_micros"] {
            assert!(!name.ends_with(wrong), "{name}: base units are seconds and bytes");
        }
    }
}
