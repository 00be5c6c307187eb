//! One user's connection: how far it has come, and what it has asked for.

use crate::oracle::{Found, Reader};
use crate::outbox::Outbox;

use super::mixed::Part;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// There is none.
    Away,
    /// On its way: connecting, in the handshake, saying hello.
    Arriving,
    /// The server said welcome.
    Greeted,
    /// Its conversation is there, and all that was missed.
    Joined,
}

/// The request other than `send` that waits for its answer; one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Control {
    Hello,
    Create,
    Add(usize),
    Subscribe,
    Resume,
    History,
    Page,
    Renew,
    /// Up to this number.
    Mark(u64),
    Unread,
    List,
}

/// One user's connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) conversation: usize,
    pub(super) state: State,
    pub(super) reads: bool,
    pub(super) reader: Reader,
    /// The server said that there is more than was sent.
    pub(super) behind: bool,
    pub(super) outbox: Option<Box<Outbox>>,
    pub(super) found: Found,
    pub(super) control: Option<Control>,
    pub(super) control_id: u64,
    /// The head that was acknowledged when the request was sent: its answer must not be below.
    pub(super) acked_before: u64,
    /// Attempts to connect since the last success.
    pub(super) attempts: u32,
    /// When the first attempt since the last success began.
    pub(super) began: Option<u64>,
    /// When the last connection was lost, until all is caught up.
    pub(super) lost_at: Option<u64>,
    /// When it was welcomed after a connection was lost, until its first ack there.
    pub(super) back_since: Option<u64>,
    /// Sends that may wait for their answer at once.
    pub(super) in_flight_max: usize,
    /// Where something is mixed in.
    pub(super) part: Option<Box<Part>>,
}

impl Session {
    pub(super) fn new(conversation: usize, publishes: bool, reads: bool, mixed: bool) -> Self {
        Self {
            conversation,
            state: State::Away,
            reads,
            reader: Reader::default(),
            behind: false,
            outbox: publishes.then(Box::default),
            found: Found::default(),
            control: None,
            control_id: 0,
            acked_before: 0,
            attempts: 0,
            began: None,
            lost_at: None,
            back_since: None,
            in_flight_max: 1,
            part: mixed.then(Box::default),
        }
    }
}
