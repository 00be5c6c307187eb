//! The owner of conversations: orders, persists and fans out.
//!
//! [`machine`] decides, in pure code; [`driver`] acts: it lives on a worker, and owns the link, the commit thread and the
//! readers of the store.
//!
//! **Invariant:** nothing is answered or fanned out before the store has confirmed it, and nothing is read from the store
//! on a worker's thread.

mod annotation;
pub mod config;
pub mod decided;
pub mod driver;
pub mod machine;
pub mod metrics;
pub mod rules;
mod stored;
pub mod timeline;
