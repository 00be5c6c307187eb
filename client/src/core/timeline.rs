//! One subscribed conversation as the application has seen it: its position, what came too early and waits for the hole
//! before it, and how far the conversation is known to go.

use std::collections::BTreeMap;

use switchyard_protocol::v1;

use super::io::Ticket;
use super::limits::{HELD_BYTES_MAX, HELD_EVENTS_MAX};

/// Whether the server sends this conversation's events on the present connection, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// It was not asked yet, or refused for now.
    No,
    /// It said so.
    Yes,
}

/// Where asking for events stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetch {
    Idle,
    /// In the queue for the next request.
    Queued,
    /// In the request that is on its way.
    Flying,
    /// A timer will queue it.
    Pausing,
}

/// What became of a numbered event.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "it is looked at once, where it is made")]
pub(crate) enum Arrival {
    /// It is the next one: deliver it.
    Next(v1::Event),
    /// It was seen before.
    Seen,
    /// It waits, or was dropped to be fetched again.
    Early,
}

#[derive(Debug)]
pub(crate) struct Timeline {
    /// The last number that the application has; none until a subscription from now on is confirmed.
    pub(crate) position: Option<u64>,
    /// The highest number that is known to exist.
    pub(crate) head: u64,
    pub(crate) attached: Attached,
    pub(crate) fetch: Fetch,
    pub(crate) failures: u32,
    /// The lowest id that a request for this subscription can have.
    pub(crate) first_request: u64,
    /// Asked for in a request of its own, for one of a larger request was not understood.
    pub(crate) alone: bool,
    /// It is in the queue of those that wait for the application.
    pub(crate) stalled: bool,
    /// Who waits for the confirmation.
    pub(crate) tickets: Vec<Ticket>,
    held: BTreeMap<u64, v1::Event>,
}

impl Timeline {
    pub(crate) fn new(position: Option<u64>, first_request: u64) -> Self {
        Self {
            position,
            head: 0,
            attached: Attached::No,
            fetch: Fetch::Idle,
            failures: 0,
            first_request,
            alone: false,
            stalled: false,
            tickets: Vec::new(),
            held: BTreeMap::new(),
        }
    }

    /// Takes a numbered event that just came. `held_bytes` counts what all timelines hold.
    pub(crate) fn arrive(&mut self, event: v1::Event, has_room: bool, held_bytes: &mut usize) -> Arrival {
        let seq = event.seq;
        self.head = self.head.max(seq);
        if let Some(position) = self.position {
            if seq <= position {
                return Arrival::Seen;
            }
            if seq == position.saturating_add(1) && has_room {
                return Arrival::Next(event);
            }
        }
        let weight = weight(&event);
        if self.held.len() < HELD_EVENTS_MAX && *held_bytes + weight <= HELD_BYTES_MAX && !self.held.contains_key(&seq)
        {
            *held_bytes += weight;
            self.held.insert(seq, event);
        }
        Arrival::Early
    }

    /// Takes the next event if it is held, and forgets those that were seen.
    pub(crate) fn take_next(&mut self, held_bytes: &mut usize) -> Option<v1::Event> {
        let next = self.position?.saturating_add(1);
        while let Some(entry) = self.held.first_entry() {
            let seq = *entry.key();
            if seq > next {
                return None;
            }
            let event = entry.remove();
            *held_bytes -= weight(&event);
            if seq == next {
                return Some(event);
            }
        }
        None
    }

    /// Whether the next event is held and waits only for the application.
    pub(crate) fn has_next(&self) -> bool {
        self.position.is_some_and(|position| self.held.contains_key(&position.saturating_add(1)))
    }

    /// Whether the server must be asked: for the subscription, or for what follows the position.
    pub(crate) fn lacks(&self, has_room: bool) -> bool {
        match (self.attached, self.position) {
            (Attached::No, _) | (_, None) => true,
            (Attached::Yes, Some(position)) => has_room && position < self.head && !self.has_next(),
        }
    }

    /// Forgets what is held, because the position changes to another place or the conversation is left.
    pub(crate) fn forget_held(&mut self, held_bytes: &mut usize) {
        *held_bytes -= self.held.values().map(weight).sum::<usize>();
        self.held.clear();
    }
}

/// Bytes that a held event keeps, near enough for a limit.
fn weight(event: &v1::Event) -> usize {
    use v1::event::Body;
    let names = |members: &[v1::Member]| members.iter().map(|member| member.user.len() + 32).sum::<usize>();
    let body = match &event.body {
        Some(Body::Message(message)) => message.text.len() + message.sender.len() + message.client_id.len(),
        Some(Body::Members(change)) => {
            names(&change.added) + names(&change.promoted) + change.removed.iter().map(|m| m.len() + 32).sum::<usize>()
        }
        Some(Body::Change(change)) => {
            [&change.name, &change.avatar, &change.context].into_iter().flatten().map(String::len).sum()
        }
        _ => 0,
    };
    body + event.conversation.len() + std::mem::size_of::<v1::Event>()
}
