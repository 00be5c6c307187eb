//! The oracle: what the generator saw, held against what was promised. Pure: no sockets, no clock.
//!
//! | part | holds | size |
//! |---|---|---|
//! | [`Ledger`] | which message has which number, as acks and readers said it | 8 bytes a message |
//! | [`Reader`] | how far one connection has read a timeline | a few words a connection |
//! | [`Audit`] | a timeline being read from 1 after the run | a few words, and one bit a message sent |
//! | [`Story`] | where more than messages happens: every event of a timeline, and what they make of its messages | 16 bytes an event, some 200 a changed message |
//! | [`Verdict`] | what was wrong, counted by kind, the first few in words | bounded |
//!
//! That eight bytes are enough is [`crate::letter`]'s doing: a message's body follows from its client id, so an altered
//! one is known at sight, and the ledger need only say which one stands where, and since when.

mod audit;
mod ledger;
mod reader;
mod story;
mod verdict;

pub use self::audit::{Audit, Found};
pub use self::ledger::{Imprint, Ledger, Place, RECORDS_MAX};
pub use self::reader::{Paged, Reader, Step};
pub use self::story::{Change, Event, Seen, Shown, Story, Target};
pub use self::verdict::{Fault, Verdict};
