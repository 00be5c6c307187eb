//! The rules of the protocol by the names that the model has for them (`cluster/tests/ownership/rules.rs`). All of them hold. A
//! test build may take one away, to see that something then breaks.
//!
//! Here are those of writing messages (`machine/writing`) and of erasing texts (`driver`). Those of the log and of transactions
//! are in `store/src/rules.rs`, those of who owns what in `cluster/src/ownership/rules.rs`.

/// A rule that has its place in this crate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A message that is stored already is answered, not stored again.
    Dedupe,
    /// A write whose outcome is unknown is repeated byte for byte, and its number used for nothing else.
    SameBytes,
    /// One batch at a time.
    OneInFlight,
    /// A send whose first attempt lies before what is kept is refused, for it cannot be found any more.
    ExpiredRefused,
    /// A row whose text is erased keeps its epoch and its batch.
    EraseKeepsBatch,
    /// The erasure is confirmed behind a fence read before anything says that it is done.
    EraseBarrier,
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
