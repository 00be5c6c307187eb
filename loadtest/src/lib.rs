//! Measures a Switchyard from outside: many connections on one core, with an oracle that checks what was promised.
//!
//! **Invariant:** knows the server by its protocol alone; nothing here is shared with the server's code but the frames.

pub mod args;
pub mod desk;
pub mod engine;
pub mod floor;
pub mod frame;
pub mod letter;
pub mod measure;
pub mod mix;
pub mod net;
pub mod oracle;
pub mod outbox;
pub mod procfs;
pub mod progress;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
pub mod token;
pub mod world;
