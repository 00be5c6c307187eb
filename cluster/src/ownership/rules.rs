//! The rules of the protocol by the names that the model has for them (`tests/ownership/rules.rs`). All of them hold. A test
//! build may take one away, to see that something then breaks.
//!
//! Of the model's other rules, those of rows, adoption, retention and erasure, and of what a claim does in the store, are in
//! `store/src/rules.rs`; so is the barrier, which is the store's. Those of writing messages and of erasing texts are in
//! `router/src/rules.rs`. `FenceIsFinal` is that nothing deletes a row and an absent one is fenced by putting one (`fencing`).

/// A rule that has its place in this folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A shard is claimed only from an owner that was fenced before.
    FenceBeforeClaim,
    /// The fence is at a quorum by then: whoever claims has applied it, and not only seen it.
    FenceAtQuorum,
    /// Whoever moves a shard away acknowledges nothing more from before the claim is sent.
    MoveStopsAcks,
    /// Nor does it answer.
    MoveStopsAnswers,
    /// It goes on in a new epoch only.
    MoveTakesNewEpoch,
    /// Readers are answered only behind a fence read that began lately.
    FreshReads,
}

/// Which of them hold.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Rules {
    #[cfg(feature = "test-rules")]
    pub(super) without: Option<Rule>,
}

impl Rules {
    /// Whether this one does.
    #[cfg(feature = "test-rules")]
    pub(super) fn has(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// All do.
    #[cfg(not(feature = "test-rules"))]
    #[inline]
    pub(super) const fn has(self, _: Rule) -> bool {
        true
    }
}
