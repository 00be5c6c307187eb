//! What two processes must agree on: ids, frames, codes, limits and the shard hash.
//!
//! **Invariant:** pure. No runtime, no clock, no randomness, no input or output: bytes in, values out.

pub mod code;
pub mod id;
pub mod limits;
pub mod shard;
