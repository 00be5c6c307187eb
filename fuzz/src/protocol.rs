//! Frames and ids, as the protocol's tests judge them.

#[path = "../../protocol/tests/mutated/judge.rs"]
pub(crate) mod judge;
#[path = "../../protocol/tests/mutated/samples.rs"]
pub(crate) mod samples;
