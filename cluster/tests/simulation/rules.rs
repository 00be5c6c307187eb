//! What can be taken away: rules of the real code, of who owns what, of the log and of transactions; and rules of those who call
//! it, which here are the simulation's own. The real ones of those are in `router/src/rules.rs`, and are taken away in
//! `router/tests/simulation/removals.rs`; here it is seen what that comes to where there are several owners and copies.
//!
//! `FenceIsFinal` alone is nowhere to be taken away in real code: no statement deletes a router's row, and a test of the store's
//! says so.

use switchyard_cluster::ownership::Rule;
pub(crate) use switchyard_store::rules::Rule as StoreRule;
use switchyard_store::rules::Rules;

/// A rule that is taken away. The names are the model's, but for those of edges and `…ByOwner`, which it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Removed {
    /// One of the real code that decides who owns what.
    Code(Rule),
    /// One of the real code of the log and of transactions.
    Store(StoreRule),
    /// A message that is stored already is answered, not stored again.
    Dedupe,
    /// A write whose outcome is unknown is repeated byte for byte, and its number used for nothing else.
    SameBytes,
    /// One batch at a time.
    OneInFlight,
    /// A fenced router never lives again: its row is not deleted.
    FenceIsFinal,
    /// The row keeps its epoch and its batch.
    EraseKeepsBatch,
    /// The erasure is confirmed behind a fence read.
    EraseBarrier,
    /// A send whose first attempt lies before what is kept is refused.
    ExpiredRefused,
    /// An edge asks again from time to time.
    EdgeAsksAgain,
    /// What does not follow what its readers have it fetches.
    EdgeFetches,
}

impl Removed {
    /// All of them, by name.
    pub(crate) const ALL: [(&'static str, Self); 38] = [
        ("Barrier", Self::Store(StoreRule::Barrier)),
        ("BarrierAfterWrite", Self::Store(StoreRule::BarrierAfterWrite)),
        ("FenceBeforeClaim", Self::Code(Rule::FenceBeforeClaim)),
        ("FenceAtQuorum", Self::Code(Rule::FenceAtQuorum)),
        ("MoveStopsAcks", Self::Code(Rule::MoveStopsAcks)),
        ("MoveStopsAnswers", Self::Code(Rule::MoveStopsAnswers)),
        ("MoveTakesNewEpoch", Self::Code(Rule::MoveTakesNewEpoch)),
        ("FreshReads", Self::Code(Rule::FreshReads)),
        ("BarrierAtQuorum", Self::Store(StoreRule::BarrierAtQuorum)),
        ("WriteAtQuorum", Self::Store(StoreRule::WriteAtQuorum)),
        ("ReadAtQuorum", Self::Store(StoreRule::ReadAtQuorum)),
        ("ClaimNamesEpoch", Self::Store(StoreRule::ClaimNamesEpoch)),
        ("ClaimIsConditional", Self::Store(StoreRule::ClaimIsConditional)),
        ("Rewrite", Self::Store(StoreRule::Rewrite)),
        ("RewriteRaisesTimestamp", Self::Store(StoreRule::RewriteRaisesTimestamp)),
        ("RewriteKeepsBatch", Self::Store(StoreRule::RewriteKeepsBatch)),
        ("RewriteBarrier", Self::Store(StoreRule::RewriteBarrier)),
        ("AdoptOnce", Self::Store(StoreRule::AdoptOnce)),
        ("BaseRow", Self::Store(StoreRule::BaseRow)),
        ("WholeBatches", Self::Store(StoreRule::WholeBatches)),
        ("EpochTimestamps", Self::Store(StoreRule::EpochTimestamps)),
        ("HintIsLowerBound", Self::Store(StoreRule::HintIsLowerBound)),
        ("HintAfterCommit", Self::Store(StoreRule::HintAfterCommit)),
        ("Dedupe", Self::Dedupe),
        ("SameBytes", Self::SameBytes),
        ("OneInFlight", Self::OneInFlight),
        ("FenceIsFinal", Self::FenceIsFinal),
        ("EraseRaisesTimestamp", Self::Store(StoreRule::EraseRaisesTimestamp)),
        ("EraseKeepsBatch", Self::EraseKeepsBatch),
        ("EraseBarrier", Self::EraseBarrier),
        ("HintBeforeDrop", Self::Store(StoreRule::HintBeforeDrop)),
        ("DropBarrier", Self::Store(StoreRule::DropBarrier)),
        ("DropKeepsBase", Self::Store(StoreRule::DropKeepsBase)),
        ("HintByOwner", Self::Store(StoreRule::HintByOwner)),
        ("DropByOwner", Self::Store(StoreRule::DropByOwner)),
        ("ExpiredRefused", Self::ExpiredRefused),
        ("EdgeAsksAgain", Self::EdgeAsksAgain),
        ("EdgeFetches", Self::EdgeFetches),
    ];

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(listed, _)| *listed == name).expect("there is a rule of that name").1
    }

    /// The rule of ownership, if it is one.
    pub(crate) fn code(self) -> Option<Rule> {
        if let Self::Code(rule) = self { Some(rule) } else { None }
    }

    /// The rule of the log, if it is one.
    fn store(self) -> Option<StoreRule> {
        if let Self::Store(rule) = self { Some(rule) } else { None }
    }

    /// Which rules of the store hold without this one.
    pub(crate) fn rules_of_store(removed: Option<Self>) -> Rules {
        Rules::without(removed.and_then(Self::store))
    }
}
