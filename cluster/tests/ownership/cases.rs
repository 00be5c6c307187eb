//! What holds, and what breaks without which rule.

use super::explore::{Verdict, explore};
use super::promises::Broken;
use super::rules::{Bounds, Parts, Protocol, Rule};

/// More states than any case of the short form needs.
const STATES_MAX: usize = 2_000_000;

/// For the long form: some gigabytes.
const STATES_MAX_LONG: usize = 40_000_000;

const SMALL: Bounds = Bounds::SMALL;
/// One router is fenced, nothing is moved.
const FENCED: Bounds = Bounds { fences: 1, moves: false, ..SMALL };
const FENCED_TWICE: Bounds = Bounds { fences: 2, moves: false, ..SMALL };
const FOUR_EPOCHS: Bounds = Bounds { epochs: 4, ..SMALL };
const ONE_ROW: Bounds = Bounds { rows: 1, messages: 1, ..SMALL };
const PAGED: Bounds = Bounds { paged: true, ..SMALL };
const PARTS: Bounds = Bounds { parts: Parts::AtOnce, ..SMALL };
const READS: Bounds = Bounds { reads: true, ..SMALL };
const EVICTS: Bounds = Bounds { evicts: true, ..SMALL };
const DROPS: Bounds = Bounds { drops: true, ..SMALL };
const ERASES: Bounds = Bounds { erases: true, ..SMALL };

fn holds(bounds: Bounds, states_max: usize) {
    let verdict = explore(&Protocol { bounds, without: None }, states_max);
    assert!(matches!(verdict, Verdict::Holds { .. }), "{bounds:?}: {verdict}");
    println!("{bounds:?}: {verdict}");
}

/// Without the rule a promise breaks, within bounds in which it holds with the rule.
fn breaks(rule: Rule, bounds: Bounds, promise: fn(&Broken) -> bool) {
    let verdict = explore(&Protocol { bounds, without: Some(rule) }, STATES_MAX);
    println!("without {rule:?}: {verdict}");
    assert!(matches!(&verdict, Verdict::Breaks { broken, .. } if promise(broken)), "without {rule:?}: {verdict}");
}

macro_rules! breaks_without {
    ($($name:ident: $rule:ident in $bounds:expr => $promise:pat,)*) => {
        /// Every rule has its case.
        const CASES: &[Rule] = &[$(Rule::$rule),*];

        $(#[test]
        fn $name() {
            breaks(Rule::$rule, $bounds, |broken| matches!(broken, $promise));
        })*
    };
}

breaks_without! {
    without_barrier: Barrier in FENCED => Broken::Stale { .. },
    without_barrier_after_write: BarrierAfterWrite in FENCED => Broken::Stale { .. },
    without_barrier_at_quorum: BarrierAtQuorum in FENCED => Broken::Stale { .. },
    without_write_at_quorum: WriteAtQuorum in FENCED => Broken::Changed { .. },
    without_read_at_quorum: ReadAtQuorum in FENCED => Broken::HeadMissing { .. },
    without_fence_before_claim: FenceBeforeClaim in FENCED => Broken::Stale { .. },
    without_fence_at_quorum: FenceAtQuorum in FENCED => Broken::Stale { .. },
    without_final_fence: FenceIsFinal in FENCED => Broken::Stale { .. },
    without_epoch_in_claim: ClaimNamesEpoch in SMALL => Broken::EpochAgain { .. },
    without_condition_of_claim: ClaimIsConditional in SMALL => Broken::EpochAgain { .. },
    without_end_of_acks_in_a_move: MoveStopsAcks in SMALL => Broken::Stale { .. },
    without_end_of_answers_in_a_move: MoveStopsAnswers in READS => Broken::Stale { .. },
    without_new_epoch_after_a_move: MoveTakesNewEpoch in SMALL => Broken::Changed { .. },
    without_rewrite: Rewrite in FENCED => Broken::Changed { .. },
    without_timestamp_of_rewrite: RewriteRaisesTimestamp in SMALL => Broken::Changed { .. },
    without_batches_kept_by_rewrite: RewriteKeepsBatch in PARTS => Broken::Stale { .. },
    without_barrier_of_rewrite: RewriteBarrier in FENCED_TWICE => Broken::Changed { .. },
    without_one_adoption: AdoptOnce in Bounds { messages: 2, ..ONE_ROW } => Broken::Changed { .. },
    without_base_row: BaseRow in SMALL => Broken::Twice { .. },
    without_whole_batches: WholeBatches in PAGED => Broken::Twice { .. },
    without_epochs_as_timestamps: EpochTimestamps in SMALL => Broken::Changed { .. },
    without_rows_above_the_hint: HintIsLowerBound in SMALL => Broken::Stale { .. },
    without_commit_before_hint: HintAfterCommit in FENCED => Broken::HeadMissing { .. },
    without_dedupe: Dedupe in SMALL => Broken::Twice { .. },
    without_same_bytes: SameBytes in SMALL => Broken::Changed { .. },
    without_one_batch_in_flight: OneInFlight in FOUR_EPOCHS => Broken::Twice { .. },
    without_fresh_reads: FreshReads in Bounds { reads: true, ..FENCED } => Broken::Stale { .. },
    without_hint_before_drop: HintBeforeDrop in DROPS => Broken::HeadMissing { .. },
    without_barrier_before_drop: DropBarrier in Bounds { drops: true, ..FENCED } => Broken::Stale { .. },
    without_base_row_kept: DropKeepsBase in DROPS => Broken::HeadMissing { .. },
    without_expiry: ExpiredRefused in Bounds { rows: 3, ..DROPS } => Broken::Twice { .. },
    without_timestamp_of_erasure: EraseRaisesTimestamp in ERASES => Broken::TextBack { .. },
    without_batch_kept_by_erasure: EraseKeepsBatch in ERASES => Broken::Stale { .. },
    without_barrier_of_erasure: EraseBarrier in Bounds { erases: true, ..FENCED } => Broken::TextBack { .. },
}

#[test]
fn every_rule_is_taken_away_once() {
    let missing: Vec<Rule> = Rule::ALL.iter().filter(|rule| !CASES.contains(rule)).copied().collect();
    assert_eq!(missing, [], "each has its case");
}

#[test]
fn what_is_moved_holds() {
    holds(SMALL, STATES_MAX);
    holds(PAGED, STATES_MAX);
    holds(PARTS, STATES_MAX);
    holds(Bounds { parts: Parts::Ascending, ..SMALL }, STATES_MAX);
}

#[test]
fn what_is_taken_over_holds() {
    holds(FENCED, STATES_MAX);
    holds(FENCED_TWICE, STATES_MAX);
    holds(Bounds { fences: 2, epochs: 2, ..SMALL }, STATES_MAX);
}

#[test]
fn four_epochs_hold() {
    holds(Bounds { epochs: 4, messages: 2, ..ONE_ROW }, STATES_MAX);
}

#[test]
fn readers_and_what_leaves_memory_hold() {
    holds(Bounds { reads: true, ..FENCED }, STATES_MAX);
    holds(EVICTS, STATES_MAX);
}

#[test]
fn what_is_dropped_or_erased_holds() {
    holds(DROPS, STATES_MAX);
    holds(Bounds { drops: true, ..FENCED }, STATES_MAX);
    holds(Bounds { drops: true, ..PAGED }, STATES_MAX);
    holds(Bounds { erases: true, ..FENCED }, STATES_MAX);
    holds(Bounds { erases: true, epochs: 4, ..ONE_ROW }, STATES_MAX);
}

#[test]
#[ignore = "takes half an hour and some gigabytes"]
fn wider_bounds_hold() {
    for bounds in [
        FOUR_EPOCHS,
        Bounds { epochs: 4, ..PAGED },
        Bounds { epochs: 4, ..PARTS },
        Bounds { epochs: 4, paged: true, ..PARTS },
        Bounds { rows: 3, messages: 3, ..SMALL },
        Bounds { fences: 2, ..SMALL },
        Bounds { fences: 1, ..DROPS },
        Bounds { drops: true, ..FENCED_TWICE },
        Bounds { drops: true, rows: 3, ..FENCED_TWICE },
        ERASES,
        Bounds { erases: true, ..FENCED_TWICE },
        Bounds { reads: true, ..FENCED_TWICE },
        Bounds { evicts: true, ..FENCED },
        Bounds { evicts: true, messages: 2, fences: 2, moves: false, ..ONE_ROW },
    ] {
        holds(bounds, STATES_MAX_LONG);
    }
}
