//! What breaks without which rule: for each of them some seed finds it.

use switchyard_cluster::ownership::Rule;

use super::judge::Broken;
use super::rules::{Removed, StoreRule};
use super::run::run_seeds;

/// Seeds within which each is found; most are within a few.
const SEEDS: u64 = 4_000;

/// Where to begin. Some take a rare story, as which replica knows of a fence, and which two are asked: one was found near
/// there.
fn first_seed(removed: Removed) -> u64 {
    match removed {
        Removed::Store(StoreRule::BaseRow | StoreRule::RewriteBarrier) => 1_400,
        Removed::Store(StoreRule::DropBarrier) => 1_000,
        Removed::Store(StoreRule::HintByOwner) => 600,
        _ => 1,
    }
}

fn breaks(removed: Removed, promise: fn(Broken) -> bool) {
    let breaks_it = |broken: &[(Broken, String)]| broken.iter().any(|(broken, _)| promise(*broken));
    let first = first_seed(removed);
    let (failed, _) = run_seeds(first..first + SEEDS, Some(removed), |_, outcome| breaks_it(&outcome.broken));
    let found = failed.iter().find(|(_, broken)| breaks_it(broken));
    match found {
        Some((seed, broken)) => println!("without {removed:?}, seed {seed}: {:?}", broken[0]),
        None => panic!("without {removed:?} none of {SEEDS} seeds breaks the promise; others broken: {failed:?}"),
    }
}

macro_rules! breaks_without {
    ($($name:ident: $removed:expr => $promise:pat,)*) => {
        /// Every rule has its case.
        const CASES: &[Removed] = &[$($removed),*];

        $(#[test]
        fn $name() {
            breaks($removed, |broken| matches!(broken, $promise));
        })*
    };
}

breaks_without! {
    without_barrier: Removed::Store(StoreRule::Barrier) => Broken::Changed | Broken::Stale,
    without_barrier_after_write: Removed::Store(StoreRule::BarrierAfterWrite) => Broken::Changed | Broken::Stale,
    without_fence_before_claim: Removed::Code(Rule::FenceBeforeClaim) => Broken::Changed | Broken::Stale,
    without_fence_at_quorum: Removed::Code(Rule::FenceAtQuorum) => Broken::Changed | Broken::Stale | Broken::TextBack,
    without_end_of_acks_in_a_move: Removed::Code(Rule::MoveStopsAcks) => Broken::Changed | Broken::Stale,
    without_end_of_answers_in_a_move: Removed::Code(Rule::MoveStopsAnswers) => Broken::Stale,
    without_new_epoch_after_a_move: Removed::Code(Rule::MoveTakesNewEpoch) => Broken::Changed | Broken::Stale,
    without_fresh_reads: Removed::Code(Rule::FreshReads) => Broken::Stale,
    without_barrier_at_quorum: Removed::Store(StoreRule::BarrierAtQuorum) => Broken::Changed | Broken::Stale,
    without_write_at_quorum: Removed::Store(StoreRule::WriteAtQuorum) => Broken::Changed | Broken::Stale | Broken::HeadMissing,
    without_read_at_quorum: Removed::Store(StoreRule::ReadAtQuorum) => Broken::Stale | Broken::HeadMissing,
    without_epoch_in_claim: Removed::Store(StoreRule::ClaimNamesEpoch) => Broken::EpochAgain,
    without_condition_of_claim: Removed::Store(StoreRule::ClaimIsConditional) => Broken::EpochAgain,
    without_rewrite: Removed::Store(StoreRule::Rewrite) => Broken::Changed | Broken::Stale,
    without_timestamp_of_rewrite: Removed::Store(StoreRule::RewriteRaisesTimestamp) => Broken::Changed,
    without_batches_kept_by_rewrite: Removed::Store(StoreRule::RewriteKeepsBatch) => Broken::Changed | Broken::Stale,
    without_barrier_of_rewrite: Removed::Store(StoreRule::RewriteBarrier) => Broken::Changed | Broken::Stale | Broken::HeadMissing,
    without_one_adoption: Removed::Store(StoreRule::AdoptOnce) => Broken::Changed | Broken::Stale,
    without_base_row: Removed::Store(StoreRule::BaseRow) => Broken::Twice,
    without_whole_batches: Removed::Store(StoreRule::WholeBatches) => Broken::Twice,
    without_epochs_as_timestamps: Removed::Store(StoreRule::EpochTimestamps) => Broken::Changed,
    without_rows_above_the_hint: Removed::Store(StoreRule::HintIsLowerBound) => Broken::Stale,
    without_commit_before_hint: Removed::Store(StoreRule::HintAfterCommit) => Broken::HeadMissing,
    without_dedupe: Removed::Dedupe => Broken::Twice,
    without_same_bytes: Removed::SameBytes => Broken::Changed,
    without_one_batch_in_flight: Removed::OneInFlight => Broken::Twice,
    without_final_fence: Removed::FenceIsFinal => Broken::Changed | Broken::Stale,
    without_timestamp_of_erasure: Removed::Store(StoreRule::EraseRaisesTimestamp) => Broken::TextBack,
    without_batch_kept_by_erasure: Removed::EraseKeepsBatch => Broken::Changed | Broken::Stale,
    without_barrier_of_erasure: Removed::EraseBarrier => Broken::TextBack,
    without_hint_before_drop: Removed::Store(StoreRule::HintBeforeDrop) => Broken::HeadMissing | Broken::Stale,
    without_barrier_before_drop: Removed::Store(StoreRule::DropBarrier) => Broken::Stale | Broken::Twice,
    without_base_row_kept: Removed::Store(StoreRule::DropKeepsBase) => Broken::HeadMissing,
    without_owner_of_hint: Removed::Store(StoreRule::HintByOwner) => Broken::Changed | Broken::Stale | Broken::HeadMissing,
    without_owner_of_drop: Removed::Store(StoreRule::DropByOwner) => Broken::Changed | Broken::Stale | Broken::HeadMissing | Broken::Twice,
    without_expiry: Removed::ExpiredRefused => Broken::Twice,
    without_questions_of_edges: Removed::EdgeAsksAgain => Broken::Unread,
    without_fetches_of_edges: Removed::EdgeFetches => Broken::Hole,
}

#[test]
fn every_rule_is_taken_away_once() {
    for (name, removed) in Removed::ALL {
        assert!(CASES.contains(&removed), "{name} has no case");
    }
    assert_eq!(CASES.len(), Removed::ALL.len());
}
