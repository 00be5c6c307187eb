//! What edges and routers meet through: the link between them, and the worker threads that both live on.
//!
//! **Invariant:** an edge and a router know each other only through [`link`]; neither crate depends on the other.

pub mod home;
pub mod link;
mod live;
pub mod mailbox;
pub mod mesh;
pub mod now;
pub mod ownership;
pub mod party;
pub mod presence;
pub mod routers;
pub mod trace;
pub mod worker;
