//! Writing: the way of an event to its number, to the store and to whoever is told of it.
//!
//! In its order: [`send`], [`control`], [`annotate`] and [`erasing`] take what is asked for; [`dedupe`] and [`line`](mod@line) look whether
//! it was asked before; [`targets`] knows what a changed message is now; [`seal`] makes a batch of what waits; [`pipeline`]
//! keeps what is under way, [`cork`] and [`pacing`] decide when it is told and when the next one goes, and [`silence`] when
//! nobody waits for a store any longer that says nothing.

pub(in crate::machine) mod annotate;
pub(in crate::machine) mod control;
pub(in crate::machine) mod cork;
pub(in crate::machine) mod dedupe;
pub(in crate::machine) mod erasing;
pub(in crate::machine) mod line;
pub(in crate::machine) mod pacing;
pub(in crate::machine) mod pipeline;
pub(in crate::machine) mod seal;
pub(in crate::machine) mod send;
pub(in crate::machine) mod silence;
pub(in crate::machine) mod targets;
