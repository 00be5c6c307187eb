//! What can be taken away: rules that the real code has, and rules of the log and the store, which here are the simulation's own.

use switchyard_cluster::ownership::Rule;

/// A rule that is taken away. The names are the model's, but for those of edges, which it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Removed {
    /// One of the real code.
    Code(Rule),
    /// A fence read asks a quorum.
    BarrierAtQuorum,
    /// A write counts when a quorum has it.
    WriteAtQuorum,
    /// An adoption reads rows from a quorum.
    ReadAtQuorum,
    /// A claim names the epoch that it ends.
    ClaimNamesEpoch,
    /// A claim is conditional at all.
    ClaimIsConditional,
    /// An adoption writes what it found above the hint again.
    Rewrite,
    /// With the timestamp of its own epoch.
    RewriteRaisesTimestamp,
    /// And otherwise byte for byte: rows keep the epoch and the batch in which they were written.
    RewriteKeepsBatch,
    /// And reads its fence before it serves.
    RewriteBarrier,
    /// It is repeated until it is known: no second adoption in the epoch before that.
    AdoptOnce,
    /// The row of the hint is read as well.
    BaseRow,
    /// A row is accepted only if it begins its batch, or follows a row of the same batch.
    WholeBatches,
    /// Of two writes to a row, the one of the later epoch wins.
    EpochTimestamps,
    /// The hint is a lower bound, and rows above it are looked for.
    HintIsLowerBound,
    /// The hint is written after the commit.
    HintAfterCommit,
    /// A message that is stored already is answered, not stored again.
    Dedupe,
    /// A write whose outcome is unknown is repeated byte for byte, and its number used for nothing else.
    SameBytes,
    /// One batch at a time.
    OneInFlight,
    /// A fenced router never lives again: its row is not deleted.
    FenceIsFinal,
    /// Who erases a text raises the timestamp above that of the row.
    EraseRaisesTimestamp,
    /// The row keeps its epoch and its batch.
    EraseKeepsBatch,
    /// The erasure is confirmed behind a fence read.
    EraseBarrier,
    /// Rows are dropped only below a hint that a quorum has.
    HintBeforeDrop,
    /// And only behind a fence read that began when it was there.
    DropBarrier,
    /// The row of that hint is kept.
    DropKeepsBase,
    /// A send whose first attempt lies before what is kept is refused.
    ExpiredRefused,
    /// An edge asks again from time to time.
    EdgeAsksAgain,
    /// What does not follow what its readers have it fetches.
    EdgeFetches,
}

impl Removed {
    /// All of them, by name.
    pub(crate) const ALL: [(&'static str, Self); 36] = [
        ("Barrier", Self::Code(Rule::Barrier)),
        ("BarrierAfterWrite", Self::Code(Rule::BarrierAfterWrite)),
        ("FenceBeforeClaim", Self::Code(Rule::FenceBeforeClaim)),
        ("FenceAtQuorum", Self::Code(Rule::FenceAtQuorum)),
        ("MoveStopsAcks", Self::Code(Rule::MoveStopsAcks)),
        ("MoveStopsAnswers", Self::Code(Rule::MoveStopsAnswers)),
        ("MoveTakesNewEpoch", Self::Code(Rule::MoveTakesNewEpoch)),
        ("FreshReads", Self::Code(Rule::FreshReads)),
        ("BarrierAtQuorum", Self::BarrierAtQuorum),
        ("WriteAtQuorum", Self::WriteAtQuorum),
        ("ReadAtQuorum", Self::ReadAtQuorum),
        ("ClaimNamesEpoch", Self::ClaimNamesEpoch),
        ("ClaimIsConditional", Self::ClaimIsConditional),
        ("Rewrite", Self::Rewrite),
        ("RewriteRaisesTimestamp", Self::RewriteRaisesTimestamp),
        ("RewriteKeepsBatch", Self::RewriteKeepsBatch),
        ("RewriteBarrier", Self::RewriteBarrier),
        ("AdoptOnce", Self::AdoptOnce),
        ("BaseRow", Self::BaseRow),
        ("WholeBatches", Self::WholeBatches),
        ("EpochTimestamps", Self::EpochTimestamps),
        ("HintIsLowerBound", Self::HintIsLowerBound),
        ("HintAfterCommit", Self::HintAfterCommit),
        ("Dedupe", Self::Dedupe),
        ("SameBytes", Self::SameBytes),
        ("OneInFlight", Self::OneInFlight),
        ("FenceIsFinal", Self::FenceIsFinal),
        ("EraseRaisesTimestamp", Self::EraseRaisesTimestamp),
        ("EraseKeepsBatch", Self::EraseKeepsBatch),
        ("EraseBarrier", Self::EraseBarrier),
        ("HintBeforeDrop", Self::HintBeforeDrop),
        ("DropBarrier", Self::DropBarrier),
        ("DropKeepsBase", Self::DropKeepsBase),
        ("ExpiredRefused", Self::ExpiredRefused),
        ("EdgeAsksAgain", Self::EdgeAsksAgain),
        ("EdgeFetches", Self::EdgeFetches),
    ];

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.iter().find(|(listed, _)| *listed == name).expect("there is a rule of that name").1
    }

    /// The rule of the real code, if it is one.
    pub(crate) fn code(self) -> Option<Rule> {
        if let Self::Code(rule) = self { Some(rule) } else { None }
    }
}
