//! The rules of the protocol by the names that the model has for them (`cluster/tests/ownership/rules.rs`). All of them hold. A
//! test build may take one away, to see that something then breaks.
//!
//! Here are those of the log (`quorum`) and of the transactions of owners (`transactions`). When which transaction is made is
//! decided by `cluster/src/ownership`, whose rules are there; those of who writes to the log are in `router/src/rules.rs`.
//! `FenceIsFinal` is that no statement deletes the row of a router.

/// A rule that has its place in this crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A write is acknowledged only after a read of the own fence.
    Barrier,
    /// That read begins when the write is at a quorum, not before.
    BarrierAfterWrite,
    /// It asks a quorum.
    BarrierAtQuorum,
    /// A write counts when a quorum has it.
    WriteAtQuorum,
    /// An adoption reads rows from a quorum.
    ReadAtQuorum,
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
    /// Who erases a text raises the timestamp above that of the row.
    EraseRaisesTimestamp,
    /// Rows are dropped only below a hint that a quorum has.
    HintBeforeDrop,
    /// And only behind a fence read that began when it was there.
    DropBarrier,
    /// The row of that hint is kept.
    DropKeepsBase,
    /// A hint is written by who owns the shard yet, and has not given it away meanwhile: for the time when shards are given
    /// away; the CQL store does not ask yet.
    HintByOwner,
    /// So are rows dropped.
    DropByOwner,
    /// A claim names the epoch that it ends.
    ClaimNamesEpoch,
    /// A claim is conditional at all.
    ClaimIsConditional,
}

/// Which of them hold.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rules {
    #[cfg(feature = "test-rules")]
    without: Option<Rule>,
}

impl Rules {
    /// All but this one. For test builds alone.
    #[cfg(feature = "test-rules")]
    pub fn without(rule: Option<Rule>) -> Self {
        Self { without: rule }
    }

    /// Whether this one does.
    #[cfg(feature = "test-rules")]
    pub(crate) fn has(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// All do.
    #[cfg(not(feature = "test-rules"))]
    #[inline]
    pub(crate) const fn has(self, _: Rule) -> bool {
        true
    }
}
