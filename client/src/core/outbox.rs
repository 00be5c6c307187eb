//! The application's requests from their submission to their answer: what waits, in which order, and what is on its way.
//! It knows nothing of connections or time; its owner tells it what happened.
//!
//! Sends of one conversation wait in a lane, in the order of their tickets; what must be sent again comes first. After a
//! failure a lane stops, then goes on with one at a time until one succeeds. Everything else has no order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use switchyard_protocol::limits::DEDUPE_RECENT;

use super::Name;
use super::io::{Call, Ticket};

/// What is known of the attempts so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// None, or each was refused: it has not been carried out.
    NotDone,
    /// The outcome of at least one is not known.
    Doubt,
}

/// Who said which head a send refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Application,
    /// The core, at the first attempt, from what it knew then.
    Core,
    /// The core likewise, but so far back that an earlier message under the application's id is found.
    CoreForChosen,
}

impl Since {
    /// What a first attempt says when this is known of the conversation.
    pub(crate) fn at(self, known: Known) -> u64 {
        match self {
            // Where history was dropped, no message is found under any id, and the server refuses to say so.
            Self::CoreForChosen => known.head.saturating_sub(DEDUPE_RECENT).max(known.first.saturating_sub(1)),
            Self::Application | Self::Core => known.head,
        }
    }
}

/// From where to where a conversation goes, as far as is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// The newest number.
    pub(crate) head: u64,
    /// The lowest one that is kept; 0 if nobody said.
    pub(crate) first: u64,
}

/// One request without its final answer.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) call: Call,
    pub(crate) deadline: Option<Duration>,
    pub(crate) attempts: Attempts,
    pub(crate) failures: u32,
    pub(crate) since: Since,
    /// The request id of the attempt that is on its way.
    pub(crate) flying: Option<u64>,
    /// Whether any attempt was made: from then on a send's `since` is fixed.
    pub(crate) tried: bool,
    lane: Option<Name>,
    weight: usize,
}

impl Pending {
    pub(crate) fn new(call: Call, deadline: Option<Duration>) -> Self {
        let (lane, since) = match &call {
            Call::Send(send) | Call::SendChosen(send) => {
                let since = match &call {
                    _ if send.since.is_some() => Since::Application,
                    Call::SendChosen(_) => Since::CoreForChosen,
                    _ => Since::Core,
                };
                (Some(Name::from(&*send.conversation)), since)
            }
            _ => (None, Since::Core),
        };
        let weight = call.weight();
        Self {
            call,
            deadline,
            attempts: Attempts::NotDone,
            failures: 0,
            since,
            flying: None,
            tried: false,
            lane,
            weight,
        }
    }

    /// The conversation whose sends it keeps its order with, if it is a send.
    pub(crate) fn lane(&self) -> Option<&Name> {
        self.lane.as_ref()
    }
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<Ticket>,
    flying: usize,
    failures: u32,
    held: bool,
    listed: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, Default)]
enum Turn {
    #[default]
    Lanes,
    Others,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    pending: BTreeMap<Ticket, Pending>,
    lanes: BTreeMap<Name, Lane>,
    /// Lanes that can send, each once, in turn.
    ready: VecDeque<Name>,
    others: VecDeque<Ticket>,
    turn: Turn,
    bytes: usize,
    per_lane_max: usize,
}

impl Outbox {
    pub(crate) fn new(per_lane_max: usize) -> Self {
        Self {
            pending: BTreeMap::new(),
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            others: VecDeque::new(),
            turn: Turn::default(),
            bytes: 0,
            per_lane_max: per_lane_max.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Bytes of all that waits or flies.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Pending> {
        self.pending.get_mut(&ticket)
    }

    pub(crate) fn admit(&mut self, ticket: Ticket, pending: Pending) {
        self.bytes += pending.weight;
        let lane = pending.lane.clone();
        if let Some(before) = self.pending.insert(ticket, pending) {
            debug_assert!(false, "a ticket is used once: {ticket:?} {before:?}");
            self.bytes -= before.weight;
        }
        self.wait(ticket, lane);
    }

    /// The next one to send, now on its way under this request id.
    pub(crate) fn fly(&mut self, id: u64) -> Option<(Ticket, &mut Pending)> {
        let ticket = match self.turn {
            Turn::Lanes => self.next_in_lanes().or_else(|| self.next_other()),
            Turn::Others => self.next_other().or_else(|| self.next_in_lanes()),
        }?;
        self.turn = match self.turn {
            Turn::Lanes => Turn::Others,
            Turn::Others => Turn::Lanes,
        };
        let pending = self.pending.get_mut(&ticket).expect("what waits is pending");
        pending.flying = Some(id);
        Some((ticket, pending))
    }

    /// Whether something could fly now.
    pub(crate) fn has_ready(&self) -> bool {
        !self.others.is_empty() || !self.ready.is_empty()
    }

    /// It has its answer: forgets it. `went_well` lets its lane go on at full width.
    pub(crate) fn settle(&mut self, ticket: Ticket, went_well: bool) -> Option<Pending> {
        let pending = self.pending.remove(&ticket)?;
        self.bytes -= pending.weight;
        if let Some(name) = &pending.lane {
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.waiting.remove(&ticket);
                lane.flying -= usize::from(pending.flying.is_some());
                if went_well {
                    lane.failures = 0;
                }
            }
            self.list(name.clone());
        }
        Some(pending)
    }

    /// It is no longer on its way and does not wait either, until [`Outbox::wait_again`].
    pub(crate) fn land(&mut self, ticket: Ticket) {
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        if pending.flying.take().is_some()
            && let Some(lane) = pending.lane.as_ref().and_then(|name| self.lanes.get_mut(name))
        {
            lane.flying -= 1;
        }
    }

    /// It is to be sent again.
    pub(crate) fn wait_again(&mut self, ticket: Ticket) {
        self.land(ticket);
        let Some(pending) = self.pending.get(&ticket) else { return };
        let lane = pending.lane.clone();
        self.wait(ticket, lane);
    }

    /// Stops a lane that did not fail.
    pub(crate) fn pause(&mut self, name: &Name) {
        self.lanes.entry(name.clone()).or_default().held = true;
    }

    /// Stops a lane; gives how often it failed in a row.
    pub(crate) fn hold(&mut self, name: &Name) -> u32 {
        let lane = self.lanes.entry(name.clone()).or_default();
        lane.held = true;
        lane.failures = lane.failures.saturating_add(1);
        lane.failures
    }

    /// Lets a lane go on.
    pub(crate) fn release(&mut self, name: &Name) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.held = false;
        }
        self.list(name.clone());
    }

    /// All tickets in order.
    pub(crate) fn tickets(&self) -> Vec<Ticket> {
        self.pending.keys().copied().collect()
    }

    /// The first send of a lane that is not on its way.
    pub(crate) fn first_waiting(&self, name: &Name) -> Option<Ticket> {
        self.lanes.get(name)?.waiting.first().copied()
    }

    fn wait(&mut self, ticket: Ticket, lane: Option<Name>) {
        match lane {
            None => self.others.push_back(ticket),
            Some(name) => {
                self.lanes.entry(name.clone()).or_default().waiting.insert(ticket);
                self.list(name);
            }
        }
    }

    /// The next request that is not a send; those that were given up meanwhile are skipped.
    fn next_other(&mut self) -> Option<Ticket> {
        loop {
            let ticket = self.others.pop_front()?;
            if self.pending.contains_key(&ticket) {
                return Some(ticket);
            }
        }
    }

    fn next_in_lanes(&mut self) -> Option<Ticket> {
        while let Some(name) = self.ready.pop_front() {
            let Some(lane) = self.lanes.get_mut(&name) else { continue };
            lane.listed = false;
            if !lane.can_send(self.per_lane_max) {
                continue;
            }
            let ticket = lane.waiting.pop_first();
            lane.flying += usize::from(ticket.is_some());
            self.list(name);
            return ticket;
        }
        None
    }

    /// Puts a lane into the queue of those that can send, or forgets it when nothing is left of it.
    fn list(&mut self, name: Name) {
        let Some(lane) = self.lanes.get_mut(&name) else { return };
        if lane.can_send(self.per_lane_max) {
            if !std::mem::replace(&mut lane.listed, true) {
                self.ready.push_back(name);
            }
        } else if lane.waiting.is_empty() && lane.flying == 0 && !lane.held && !lane.listed {
            self.lanes.remove(&name);
        }
    }
}

impl Lane {
    fn can_send(&self, width: usize) -> bool {
        let width = if self.failures > 0 { 1 } else { width };
        !self.held && !self.waiting.is_empty() && self.flying < width
    }
}
