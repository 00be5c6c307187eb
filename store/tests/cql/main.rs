//! The CQL store against the contract, and what is its own: timestamps, adoption, transactions, the cost of things in statements.
//!
//! Needs a cluster, whose contact points are in the environment: `cargo xtask test` starts one, and so does `cargo xtask services`.

mod adoption;
mod barrier;
mod contract;
mod cost;
mod late;
mod parts;
mod schema;
mod support;
