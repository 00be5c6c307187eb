//! What two processes must agree on: ids, frames, codes, limits and the shard hash.
//!
//! **Invariant:** pure. No runtime, no clock, no randomness, no input or output: bytes in, values out.

pub mod code;
pub mod cursor;
pub mod frame;
pub mod hot;
pub mod id;
pub mod json;
pub mod limits;
pub mod owner;
pub mod roles;
pub mod shard;

/// The frames of protocol version 1, generated from `proto/switchyard/v1/frames.proto`.
#[allow(missing_docs, clippy::all, reason = "generated; the .proto has the documentation")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/switchyard.v1.rs"));
}

/// The AsyncAPI 3 document of the JSON form, made from the same definition: what a server shows to those who write clients.
pub const ASYNCAPI: &str = include_str!(concat!(env!("OUT_DIR"), "/asyncapi.json"));
