//! A model of how a shard is owned and how its log stays true: every order in which anything can happen, within bounds.
//!
//! One shard and one conversation, three routers, a store of three replicas. What is looked at breadth first is small; what is
//! found is therefore the shortest story of how a promise breaks. Each rule of the protocol can be taken away, and a test
//! says which promise then breaks: a rule that nothing needs would be found here as well.
//!
//! What is a step of its own:
//! - a write reaches each replica by itself, at any time or never; repeating it byte for byte is the same arrivals;
//! - a quorum read asks two replicas at two moments; a paged one asks for each row anew;
//! - fencing a router and claiming its shard are two transactions. Either may be carried out late or never, whatever the one
//!   who wanted it has come to know; each replica learns of a fence by itself. Anybody may be fenced, for suspicion may be wrong;
//! - who has won an epoch learns it late, or never, or after another one has taken over;
//! - the hint, a committed head that is written lazily, reads as any value between the one that a quorum has and the head.
//!
//! A router that reads `fenced` stops; nobody can tell a stopped one from a paused one, so that is no step.
//!
//! `cargo test -p switchyard-cluster --test ownership` looks for about a minute; with `-- --ignored` it looks at everything
//! within larger bounds, for many minutes and with some gigabytes of memory. A broken promise is printed as its story.

mod cases;
mod explore;
mod owners;
mod promises;
mod router;
mod rules;
mod state;
mod step;
mod store;
mod symmetry;
