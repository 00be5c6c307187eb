//! The whole core in virtual time: SDKs on a network that cuts, doors with their sessions, and the shard machine on a store
//! that fails and delays each step, all decided by one seed, and a judge who knows the promises.
//!
//! Nothing of the server is rebuilt here: the doors' own files are compiled once more against sockets of the simulation
//! (see `sockets`), and so are the simulated store and the reader of stored rows of the router's own simulation.
//!
//! `SWITCHYARD_SEEDS=100000` runs more seeds, `SWITCHYARD_SEED=7` runs one and prints all that happens.

#![allow(clippy::unwrap_used, reason = "a test may end at once")]

// What the doors' files call `mio` and `rand` is this crate: sockets and chance are the simulation's.
extern crate self as mio;
extern crate self as rand;

mod device;
mod door;
mod link;
mod oracle;
mod places;
mod plan;
mod run;
mod sockets;
mod spoil;
mod wire;
mod word;
mod world;

#[path = "../../../router/tests/simulation/disk.rs"]
#[allow(dead_code, reason = "the router's own simulation uses the rest")]
mod disk;
#[path = "../../../router/tests/simulation/disk_traits.rs"]
mod disk_traits;
#[path = "../../../router/tests/simulation/disk_undo.rs"]
#[allow(dead_code, reason = "the router's own simulation uses the rest")]
mod disk_undo;
#[path = "../../../edge/src/fanout.rs"]
mod fanout;
#[path = "../../../edge/src/growth.rs"]
mod growth;
#[path = "../../../edge/src/metrics.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "the edge uses the rest")]
mod metrics;
#[path = "../../../router/tests/simulation/old.rs"]
mod old;
#[path = "../../../edge/src/opened.rs"]
mod opened;
#[path = "../../../router/tests/simulation/present.rs"]
#[allow(dead_code, reason = "the router's own simulation uses the rest")]
mod present;
#[path = "../../../router/tests/simulation/profile.rs"]
#[allow(dead_code, reason = "the router's own simulation uses the rest")]
mod profile;
#[path = "../../../router/tests/simulation/rng.rs"]
mod rng;
#[path = "../../../router/tests/simulation/timeline.rs"]
#[allow(dead_code, reason = "the router's own simulation uses the rest")]
mod timeline;

#[path = "../../../edge/src/readers.rs"]
#[allow(dead_code, reason = "the edge uses the rest")]
mod readers;
#[path = "../../../edge/src/watchers.rs"]
mod watchers;
#[path = "../../../edge/src/watching.rs"]
mod watching;

// Where the old group's file looks for its name.
use places as clients;
// Where the doors' files look for the rest of the edge, and for sockets.
use sockets::{Interest, Registry, Token, net, random};
use switchyard_edge::{admission, auth, config, session, wheel, ws};
