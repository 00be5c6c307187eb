//! Several routers in virtual time, driving the real code of `switchyard_cluster::ownership`: a store whose transactions,
//! reads and writes are late, lost, repeated or unknown, processes that stand still and go on, clocks that jump, networks that
//! are cut, a Redis that lies or is gone, moves, restarts; everything by one seed, and a judge that knows the promises.
//!
//! What routers do with their shards is a small log, by the real code of `switchyard_store::quorum` over replicas of our own:
//! appended behind the barrier, adopted, texts in it erased, its old rows dropped. The tables of owners are a third
//! implementation of the store's trait, asked as the driver asks it. Clients send at any router; edges, which nobody tells of a
//! take-over, hand on what owners say.
//!
//! ```text
//! places     where processes run      serving   what they do with what comes      work      what they are at, by the real code
//! store      what they know of it     requests  its statements, carried out       replicas  where rows lie
//! owners     its trait of ownership   transactions  the calls, carried out        tables    where owners lie
//! tasks      goes on with work        judge     knows the promises                plan      what a seed decides
//! ```
//!
//! `SWITCHYARD_SEEDS=100000` runs more seeds, `SWITCHYARD_SEED=7` runs one and prints all that happens; with
//! `SWITCHYARD_WITHOUT=Barrier` that rule is taken away.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

mod conversation;
mod edges;
mod erasing;
mod faults;
mod judge;
mod owners;
mod places;
mod plan;
mod removals;
mod replicas;
mod requests;
mod retention;
#[path = "../../../router/tests/simulation/rng.rs"]
#[allow(dead_code, reason = "the other simulations ask for more of it")]
mod rng;
mod rows;
mod rules;
mod run;
mod serving;
mod store;
mod tables;
mod takeover;
mod tasks;
mod transactions;
mod work;
mod world;
