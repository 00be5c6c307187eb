//! The shard machine in virtual time: clients that do as they please, a store that fails and delays each step, a process
//! that is killed; everything by one seed, and a judge that knows the promises.
//!
//! `SWITCHYARD_SEEDS=100000` runs more seeds, `SWITCHYARD_SEED=7` runs one and prints all that happens.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod announcing;
mod ask;
mod blocks;
mod cases;
mod clients;
mod closing;
mod crowds;
mod desk;
mod disk;
mod disk_traits;
mod disk_undo;
mod edges;
mod erasing;
mod kinds;
mod lines;
mod listing;
mod marks;
mod old;
mod oracle;
mod presence;
mod present;
mod profile;
mod removals;
mod rights;
mod rng;
mod run;
mod sight;
mod standing;
mod strangers;
mod timeline;
mod typing;
mod world;
