//! Who is let in, and how much each may ask: origins, trusted proxies, budgets.
//!
//! All of it is pure: no socket is touched, no clock is read. What a stranger sends is compared with what the operator
//! configured, and every table is bounded.

pub mod budget;
pub mod config;
pub mod connection;
pub mod door;
pub mod origin;
pub mod places;
pub mod proxy;
mod table;
