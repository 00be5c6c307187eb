//! Frames that the load harness reads in place, as its tests judge them.

#[path = "../../loadtest/tests/mutated/judge.rs"]
pub(crate) mod judge;
