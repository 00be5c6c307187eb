//! Edges and their readers. An edge subscribes to a conversation with the last number that its readers have, at whom it takes for
//! the owner; it is answered with what lies above, and told what comes from then on. What it is told may be lost without a word, or
//! come late: from an owner that stands still, or is none any more. So it drops what is of an earlier epoch than it
//! knows, and what its readers have; fetches what lies between where something does not follow; and asks again from time to time, for
//! what was lost may have been the last thing that its owner ever said.

use std::collections::BTreeMap;

use switchyard_protocol::owner::Epoch;

use super::plan::{MS, PLACES, SECOND, Time};
use super::rng::Rng;
use super::rules::Removed;
use super::world::{Happening, SHARDS_USED, World, shard_of};
use super::{judge::Broken, places::Input};

/// Each of them has a reader in every conversation.
pub(crate) const EDGES: usize = 2;

/// What was acknowledged so long before the end has come to all readers by then.
const SETTLED: Time = 5 * SECOND;

/// What an owner tells an edge: all messages from a number on, up to its head.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) epoch: Epoch,
    /// The number of the first of them.
    pub(crate) from: usize,
    pub(crate) messages: Vec<u32>,
    /// So many of the first rows may be gone: what an answer lacks for that is no hole.
    pub(crate) gone: usize,
    /// It answers the question of this number.
    pub(crate) answers: Option<u64>,
}

/// A question under way.
#[derive(Clone, Copy, Debug)]
struct Question {
    number: u64,
    /// Asked for no reason but that time has passed.
    again: bool,
}

/// What an edge knows of a conversation.
#[derive(Clone, Debug, Default)]
struct View {
    epoch: Option<Epoch>,
    /// The last number that its reader has.
    read: usize,
    question: Option<Question>,
}

/// All edges.
pub(crate) struct Edges {
    /// Their own: what others do does not depend on what they ask.
    rng: Rng,
    views: BTreeMap<(usize, usize), View>,
    /// So many of a thousand things that they are told are lost; none once faults are over.
    pub(crate) lost: u64,
    ask_every: Time,
}

impl Edges {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let (lost, ask_every) = (rng.within(0, 300), rng.within(200, 1_500) * MS);
        Self { rng, views: BTreeMap::new(), lost, ask_every }
    }
}

impl World {
    /// An edge asks for no reason but that time has passed. The first time it subscribes.
    pub(crate) fn edge_looks(&mut self, edge: usize, conversation: usize) {
        let again = self.edges.rng.within(self.edges.ask_every / 2, self.edges.ask_every);
        self.after(again, Happening::EdgeLooks { edge, conversation });
        let view = self.edges.views.entry((edge, conversation)).or_default();
        if view.epoch.is_none() || self.removed != Some(Removed::EdgeAsksAgain) {
            self.edge_asks(edge, conversation, true);
        }
    }

    /// It asks whom it takes for the owner: mostly the one that is.
    fn edge_asks(&mut self, edge: usize, conversation: usize, again: bool) {
        let holder = self.tables.holder(shard_of(conversation)).map(|holder| holder.incarnation);
        let owner = self.places.iter().position(|place| {
            let process = place.process.as_ref();
            process.is_some_and(|process| Some(process.machine.incarnation()) == holder)
        });
        let number = self.number();
        let rng = &mut self.edges.rng;
        let place = owner.filter(|_| rng.chance(800)).unwrap_or_else(|| rng.below(PLACES as u64) as usize);
        let (is_lost, after) = (rng.chance(self.edges.lost), rng.within(MS, 20 * MS));
        let view = self.edges.views.entry((edge, conversation)).or_default();
        view.question = Some(Question { number, again });
        let after_number = view.read;
        if let Some(process) = self.places[place].process.as_ref().filter(|_| !is_lost) {
            let process = process.number;
            let input = Input::Subscribe { edge, conversation, after: after_number, question: number };
            self.bring(after, place, process, input);
        }
    }

    /// An owner answers an edge, which from now on is told what comes.
    pub(crate) fn subscribed(&mut self, place: usize, edge: usize, number: usize, after: usize, question: u64) {
        let now = self.places[place].now(self.now);
        let Some(process) = self.process(place) else { return };
        let Some(epoch) = process.may_answer(now, shard_of(number)) else { return };
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if conversation.epoch != epoch || !conversation.ever_shown {
            return;
        }
        conversation.edges.insert(edge);
        let told = conversation.tells(after, Some(question));
        self.tell_edge(edge, number, told);
    }

    /// An owner has something new to say.
    pub(crate) fn publish(&mut self, place: usize, number: usize, before: usize) {
        let process = self.places[place].process.as_ref();
        let Some(conversation) = process.and_then(|process| process.conversations.get(&number)) else { return };
        if conversation.shown == before {
            return;
        }
        let (edges, told) = (conversation.edges.clone(), conversation.tells(before, None));
        for edge in edges {
            self.tell_edge(edge, number, told.clone());
        }
    }

    fn tell_edge(&mut self, edge: usize, conversation: usize, told: Told) {
        let rng = &mut self.edges.rng;
        let is_lost = rng.chance(self.edges.lost);
        // Some are overtaken: by what comes from another owner, or by a way that was opened again.
        let after = if rng.chance(50) { rng.within(20 * MS, SECOND) } else { rng.within(MS, 20 * MS) };
        if !is_lost {
            self.after(after, Happening::EdgeHears { edge, conversation, told });
        }
    }

    pub(crate) fn edge_hears(&mut self, edge: usize, conversation: usize, told: Told) {
        let view = self.edges.views.entry((edge, conversation)).or_default();
        if view.epoch.is_some_and(|known| told.epoch < known) {
            return self.see("words of earlier epochs to edges");
        }
        view.epoch = Some(told.epoch);
        let asked = view.question.take_if(|question| Some(question.number) == told.answers);
        let next = view.read + 1;
        let last = told.from + told.messages.len() - 1;
        if last < next {
            return;
        }
        let first = told.from.max(next);
        let is_gone = told.answers.is_some() && first <= told.gone + 1;
        if first > next && !is_gone && self.removed != Some(Removed::EdgeFetches) {
            self.see("words to edges that do not follow");
            return self.edge_asks(edge, conversation, false);
        }
        view.read = last;
        if asked.is_some_and(|question| question.again) && next > 1 {
            self.see("messages that edges had to ask for");
        }
        if first > next && !is_gone {
            let how = format!("edge {edge}: conversation {conversation}: {first} comes after {}", next - 1);
            return self.judge.breaks(self.now, Broken::Hole, how);
        }
        for number in first..=last {
            let message = told.messages[number - told.from];
            self.judge.heard(self.now, conversation, number, message, edge);
        }
        self.see("messages given to readers");
    }

    /// Long after the last fault, all readers have what was acknowledged some time ago.
    pub(crate) fn everybody_has_read(&mut self) {
        for edge in 0..EDGES {
            for conversation in 0..SHARDS_USED.len() {
                let expected = self.judge.head_before(conversation, self.now.saturating_sub(SETTLED));
                let read = self.edges.views.get(&(edge, conversation)).map_or(0, |view| view.read);
                if read < expected {
                    let how = format!("edge {edge}: conversation {conversation}: read {read} of {expected}");
                    self.judge.breaks(self.now, Broken::Unread, how);
                }
            }
        }
    }
}
