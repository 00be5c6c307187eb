//! What was sent, what was acknowledged, and the comparison with what is there.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_client::protocol::v1::Message;

/// A message that a client sends.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// The sender, by its place among the users.
    pub(super) user: usize,
    pub(super) client_id: String,
    /// What the client knew of the conversation's end when it first sent it. Nothing if it never went out.
    pub(super) since: Option<u64>,
}

impl Letter {
    /// Follows from the id, so that an altered one is known at sight. Of many lengths.
    pub(super) fn text(client_id: &str) -> String {
        let repeated = client_id.bytes().map(usize::from).sum::<usize>() % 40;
        format!("{client_id} {}", client_id.repeat(repeated))
    }
}

/// What clients saw in one round.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) acknowledged: Vec<Message>,
    pub(super) unanswered: Vec<Letter>,
}

/// What all rounds saw.
#[derive(Default)]
pub(super) struct Ledger {
    acknowledged: BTreeMap<(String, u64), Message>,
    /// One number given to two messages.
    taken_twice: usize,
    unanswered: Vec<Letter>,
}

/// What is wrong, counted. The default is that nothing is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Acknowledged, and not there as it was acknowledged.
    pub(super) missing: usize,
    /// There twice.
    doubled: usize,
    /// With a text that nobody wrote.
    altered: usize,
    /// Not in the order of its number, or with a hole before it.
    out_of_order: usize,
}

impl Ledger {
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(super) fn take_unanswered(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.unanswered)
    }

    /// Adds a round, and says how many messages it acknowledged.
    pub(super) fn add(&mut self, seen: Seen) -> usize {
        let count = seen.acknowledged.len();
        for message in seen.acknowledged {
            let place = (message.conversation.clone(), message.seq);
            let id = message.client_id.clone();
            let before = self.acknowledged.insert(place, message);
            self.taken_twice += usize::from(before.is_some_and(|before| before.client_id != id));
        }
        self.unanswered.extend(seen.unanswered);
        count
    }

    /// Holds each conversation's messages, as read from the first to the last, against what was acknowledged.
    pub(super) fn compare(&self, found: &BTreeMap<String, Vec<Message>>) -> Verdict {
        let mut verdict = Verdict { missing: self.taken_twice, ..Verdict::default() };
        let mut there = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (conversation, messages) in found {
            let mut last = 0;
            for (ordinal, message) in (1..).zip(messages) {
                verdict.doubled += usize::from(!ids.insert((&message.sender, &message.client_id)));
                verdict.altered += usize::from(message.text != Letter::text(&message.client_id));
                verdict.out_of_order += usize::from(message.ordinal != ordinal || message.seq <= last);
                last = message.seq;
                there.insert((conversation.clone(), message.seq), message);
            }
        }
        let missing = self.acknowledged.iter().filter(|(place, message)| there.get(*place) != Some(message));
        verdict.missing += missing.count();
        verdict
    }
}
