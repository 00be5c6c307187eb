//! What breaks without which rule: for each of them some seed finds it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use switchyard_router::rules::Rule;

use crate::run::broken_without;

/// Seeds within which each is found; most are within a few.
const SEEDS: u64 = 4_000;

/// So much of each broken promise is printed.
const CHARS_PRINTED: usize = 200;

/// The promises of which a rule keeps one, in the words in which the oracle and the disk complain.
fn promises(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::Dedupe | Rule::ExpiredRefused => &["it is stored already"],
        // What is at a number, or was refused, stays so.
        Rule::SameBytes => &["is overwritten with other bytes", "every attempt was refused"],
        Rule::OneInFlight => &["is overwritten with other bytes"],
        // What that comes to is seen where owners adopt: `cluster/tests/simulation`.
        Rule::EraseKeepsBatch => &["is overwritten with another one"],
        Rule::EraseBarrier => &["is left: ", "it is said to be cleared"],
    }
}

/// Looks for a seed whose run without this rule breaks such a promise.
fn breaks(rule: Rule) {
    let mut others = Vec::new();
    for seed in 1..=SEEDS {
        let broken = catch_unwind(AssertUnwindSafe(|| broken_without(rule, seed)));
        let broken = broken.unwrap_or_else(|_| vec!["it panicked".to_owned()]);
        let shortened = |what: &String| what.chars().take(CHARS_PRINTED).collect::<String>();
        if let Some(what) = broken.iter().find(|what| promises(rule).iter().any(|promise| what.contains(promise))) {
            println!("without {rule:?}, seed {seed}: {}", shortened(what));
            return;
        }
        others.extend(broken.first().map(|what| (seed, shortened(what))));
    }
    panic!("without {rule:?} none of {SEEDS} seeds breaks the promise; others broken: {others:#?}");
}

#[test]
fn without_dedupe() {
    breaks(Rule::Dedupe);
}

#[test]
fn without_same_bytes() {
    breaks(Rule::SameBytes);
}

#[test]
fn without_one_batch_in_flight() {
    breaks(Rule::OneInFlight);
}

#[test]
fn without_expiry() {
    breaks(Rule::ExpiredRefused);
}

#[test]
fn without_batch_kept_by_erasure() {
    breaks(Rule::EraseKeepsBatch);
}

#[test]
fn without_barrier_of_erasure() {
    breaks(Rule::EraseBarrier);
}
