//! The rules of the protocol, each of which can be taken away, and the bounds within which everything is looked at.

/// What the protocol asks for. The text says where it holds; the tests say what breaks without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
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
    /// A shard is claimed only from an owner that was fenced before.
    FenceBeforeClaim,
    /// The fence is at a quorum by then.
    FenceAtQuorum,
    /// A fenced router never lives again: its row is not deleted.
    FenceIsFinal,
    /// A claim names the epoch that it ends.
    ClaimNamesEpoch,
    /// A claim is conditional at all.
    ClaimIsConditional,
    /// Whoever moves a shard away acknowledges nothing more from before the claim is sent.
    MoveStopsAcks,
    /// Nor does it answer.
    MoveStopsAnswers,
    /// It goes on in a new epoch only.
    MoveTakesNewEpoch,
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
    /// Readers are answered only behind a fence read that began lately.
    FreshReads,
    /// Rows are dropped only below a hint that a quorum has.
    HintBeforeDrop,
    /// And only behind a fence read that began when it was there: an adoption that read an older one would find nothing where
    /// it looks, and begin anew.
    DropBarrier,
    /// The row of that hint is kept.
    DropKeepsBase,
    /// A send whose first attempt lies before what is kept is refused, for it cannot be found any more.
    ExpiredRefused,
    /// Who erases a text raises the timestamp within its epoch.
    EraseRaisesTimestamp,
    /// The row keeps its epoch and its batch.
    EraseKeepsBatch,
    /// The erasure is confirmed behind a fence read.
    EraseBarrier,
}

impl Rule {
    /// All of them.
    pub(crate) const ALL: [Self; 34] = [
        Self::Barrier,
        Self::BarrierAfterWrite,
        Self::BarrierAtQuorum,
        Self::WriteAtQuorum,
        Self::ReadAtQuorum,
        Self::FenceBeforeClaim,
        Self::FenceAtQuorum,
        Self::FenceIsFinal,
        Self::ClaimNamesEpoch,
        Self::ClaimIsConditional,
        Self::MoveStopsAcks,
        Self::MoveStopsAnswers,
        Self::MoveTakesNewEpoch,
        Self::Rewrite,
        Self::RewriteRaisesTimestamp,
        Self::RewriteKeepsBatch,
        Self::RewriteBarrier,
        Self::AdoptOnce,
        Self::BaseRow,
        Self::WholeBatches,
        Self::EpochTimestamps,
        Self::HintIsLowerBound,
        Self::HintAfterCommit,
        Self::Dedupe,
        Self::SameBytes,
        Self::OneInFlight,
        Self::FreshReads,
        Self::HintBeforeDrop,
        Self::DropBarrier,
        Self::DropKeepsBase,
        Self::ExpiredRefused,
        Self::EraseRaisesTimestamp,
        Self::EraseKeepsBatch,
        Self::EraseBarrier,
    ];
}

/// How an adoption writes again what is more than one batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parts {
    /// It is one batch.
    Whole,
    /// All parts at once.
    AtOnce,
    /// One after the other, from the first.
    Ascending,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Numbers of the log.
    pub(crate) rows: usize,
    /// Messages that are sent, each any number of times.
    pub(crate) messages: u8,
    /// Epochs.
    pub(crate) epochs: u8,
    /// Routers that are ever fenced.
    pub(crate) fences: usize,
    /// Shards are moved by plan, too.
    pub(crate) moves: bool,
    /// An adoption reads row by row.
    pub(crate) paged: bool,
    /// How it writes again.
    pub(crate) parts: Parts,
    /// A conversation leaves memory and is adopted again in the same epoch.
    pub(crate) evicts: bool,
    /// Readers ask.
    pub(crate) reads: bool,
    /// Old rows are dropped.
    pub(crate) drops: bool,
    /// Texts are erased.
    pub(crate) erases: bool,
}

impl Bounds {
    /// Two rows, two messages, three epochs, moves alone.
    pub(crate) const SMALL: Self = Self {
        rows: 2,
        messages: 2,
        epochs: 3,
        fences: 0,
        moves: true,
        paged: false,
        parts: Parts::Whole,
        evicts: false,
        reads: false,
        drops: false,
        erases: false,
    };
}

/// Bounds, and the rules that hold: all but one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    /// Within which bounds.
    pub(crate) bounds: Bounds,
    /// The rule that was taken away.
    pub(crate) without: Option<Rule>,
}

impl Protocol {
    /// Whether this rule holds.
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// Whether all of these do.
    pub(crate) fn has_all(&self, rules: &[Rule]) -> bool {
        rules.iter().all(|rule| self.has(*rule))
    }

    /// A claim and its outcome may be one step: nobody can tell when it was sent.
    pub(crate) fn joins_claims(&self) -> bool {
        use Rule::*;
        self.has_all(&[
            FenceIsFinal,
            ClaimNamesEpoch,
            ClaimIsConditional,
            MoveStopsAcks,
            MoveStopsAnswers,
            MoveTakesNewEpoch,
        ])
    }

    /// A router of which a quorum knows that it is fenced will never acknowledge again, and may be forgotten.
    pub(crate) fn forgets_fenced(&self) -> bool {
        use Rule::*;
        self.joins_claims()
            && self.has_all(&[
                Barrier,
                BarrierAfterWrite,
                BarrierAtQuorum,
                RewriteBarrier,
                EraseBarrier,
                SameBytes,
                AdoptOnce,
                HintAfterCommit,
            ])
    }
}
