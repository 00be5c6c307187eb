//! The `switchyard` binary as a library, so that its tests and other tools may use its parts. The only crate that wires
//! roles together; what a role does is in the role's own crate.

pub mod cli;
pub mod commands;
pub mod config;
pub mod exit;
mod http;
pub mod listen;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod ops;
pub mod page;
pub mod ready;
pub mod roles;
pub mod run;
pub mod signals;
mod threads;
pub mod version;
