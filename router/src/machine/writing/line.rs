//! Sends that wait for the store to say whether their client id is known, and behind them the later sends of the same
//! users: so that each user's messages get their numbers in the order in which they came, whichever read ends first. Others
//! are not held up. It knows nothing of the log or of what memory holds; `dedupe.rs` decides.

use std::collections::{HashSet, VecDeque};

use switchyard_cluster::link::SendAsk;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1::Quote;

use crate::machine::conversation::recent::IdHash;

/// A send whose client id is being looked for.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(in crate::machine) asker: Asker,
    pub(in crate::machine) user: UserId,
    pub(in crate::machine) send: SendAsk,
    pub(in crate::machine) hash: IdHash,
    /// The message that it answers, once that was looked at.
    pub(in crate::machine) quote: Option<Box<Quote>>,
    /// Numbers up to this were looked through, or will be when the read is done.
    pub(in crate::machine) through: u64,
    /// The lowest number that matters.
    pub(in crate::machine) floor: u64,
    /// Whether memory said that it lies at `through`.
    pub(in crate::machine) seen: bool,
}

/// What a send in line waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// For its turn: nothing of its own is under way.
    Turn,
    /// For a read of its own.
    Read,
    /// For the newest ids, which are read once for all.
    Ids,
}

/// A send in line.
#[derive(Debug)]
pub(in crate::machine) struct Waiting {
    pub(in crate::machine) number: u64,
    pub(in crate::machine) stage: Stage,
    pub(in crate::machine) lookup: Lookup,
}

/// The sends in line, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    next: u64,
    /// The number from which the newest ids are being read, while they are.
    pub(in crate::machine) reading_from: Option<u64>,
}

impl Line {
    pub(in crate::machine) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading_from.is_none()
    }

    pub(in crate::machine) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the sends that wait.
    pub(in crate::machine) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a send of this user waits.
    pub(in crate::machine) fn holds(&self, user: &UserId) -> bool {
        self.waiting.iter().any(|waiting| waiting.lookup.user == *user)
    }

    pub(in crate::machine) fn push(&mut self, lookup: Lookup, stage: Stage) {
        self.bytes += lookup.send.bytes();
        self.waiting.push_back(Waiting { number: self.next, stage, lookup });
        self.next += 1;
    }

    /// Where the send with this number stands.
    pub(in crate::machine) fn place(&self, number: u64) -> Option<usize> {
        self.waiting.binary_search_by_key(&number, |waiting| waiting.number).ok()
    }

    /// The first whose turn it is: none of its user's stands before it.
    pub(in crate::machine) fn turn(&self) -> Option<usize> {
        let mut held_up = HashSet::with_hasher(foldhash::fast::RandomState::default());
        self.waiting.iter().position(|waiting| held_up.insert(&waiting.lookup.user) && waiting.stage == Stage::Turn)
    }

    pub(in crate::machine) fn at(&mut self, place: usize) -> Option<&mut Waiting> {
        self.waiting.get_mut(place)
    }

    pub(in crate::machine) fn remove(&mut self, place: usize) -> Option<Lookup> {
        let lookup = self.waiting.remove(place)?.lookup;
        self.bytes -= lookup.send.bytes();
        Some(lookup)
    }

    /// The newest ids were read: whoever waited for them goes on in turn.
    pub(in crate::machine) fn ids_known(&mut self) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.stage == Stage::Ids) {
            waiting.stage = Stage::Turn;
        }
    }

    /// The newest ids could not be read: takes out whoever waited for them.
    pub(in crate::machine) fn take_waiting_for_ids(&mut self) -> Vec<Lookup> {
        let all = std::mem::take(&mut self.waiting).into_iter();
        let (taken, rest): (VecDeque<_>, _) = all.partition(|waiting| waiting.stage == Stage::Ids);
        self.waiting = rest;
        let taken: Vec<Lookup> = taken.into_iter().map(|waiting| waiting.lookup).collect();
        self.bytes -= taken.iter().map(|lookup| lookup.send.bytes()).sum::<usize>();
        taken
    }
}
