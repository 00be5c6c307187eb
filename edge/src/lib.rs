//! Terminates clients: WebSocket, sessions, local fan-out.

pub mod admission;
pub mod auth;
pub mod config;
pub mod door;
mod fanout;
mod growth;
pub mod metrics;
mod opened;
mod readers;
pub mod session;
mod watchers;
mod watching;
pub mod wheel;
pub mod ws;
