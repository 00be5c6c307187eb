//! What strangers send to the door, as the edge's tests judge it.

#[path = "../../edge/tests/mutated/address.rs"]
pub(crate) mod address;
#[path = "../../edge/tests/mutated/framing.rs"]
pub(crate) mod framing;
#[path = "../../edge/tests/mutated/framing_samples.rs"]
pub(crate) mod framing_samples;
#[path = "../../edge/tests/mutated/keys.rs"]
pub(crate) mod keys;
#[path = "../../edge/tests/mutated/token.rs"]
pub(crate) mod token;
