//! What was sent, what was acknowledged, and the comparison with what is there.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_client::protocol::v1::{Message, UnreadConversation};

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

/// The emoji that is given.
pub(super) const EMOJI: &str = "\u{1f44d}";

/// What its writer does to a message once it is acknowledged: each message is changed in one way at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Edit,
    Delete,
    React,
}

impl Change {
    /// Follows from the id: about every second message is changed.
    pub(super) fn of(client_id: &str) -> Option<Self> {
        match client_id.bytes().map(usize::from).sum::<usize>() % 8 {
            0 => Some(Self::Edit),
            1 => Some(Self::Delete),
            2 | 3 => Some(Self::React),
            _ => None,
        }
    }

    /// The text that an edit makes.
    pub(super) fn edited(client_id: &str) -> String {
        format!("edited {client_id}")
    }
}

/// What clients saw in one round.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) acknowledged: Vec<Message>,
    pub(super) unanswered: Vec<Letter>,
    /// Messages that were changed, and whether that was acknowledged.
    pub(super) changed: Vec<(Message, bool)>,
}

/// What is there when the power is back.
#[derive(Default)]
pub(super) struct Found {
    /// By conversation, from the first to the last, as the first of each pair reads them.
    pub(super) messages: BTreeMap<String, Vec<Message>>,
    /// What each user is told to be unread.
    pub(super) unread: Vec<(String, UnreadConversation)>,
    /// The newest message of each conversation by the first user's list.
    pub(super) listed: BTreeMap<String, u64>,
}

/// What all rounds saw.
#[derive(Default)]
pub(super) struct Ledger {
    acknowledged: BTreeMap<(String, u64), Message>,
    /// One number given to two messages.
    taken_twice: usize,
    unanswered: Vec<Letter>,
    /// Whether a change was acknowledged, by the message's place.
    changed: BTreeMap<(String, u64), bool>,
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
    /// An acknowledged edit, deletion or emoji that is not there.
    pub(super) unchanged: usize,
    /// Unread, or the newest in a list, otherwise than the messages say.
    miscounted: usize,
    /// Not in the order of its number, or with a hole before it.
    out_of_order: usize,
}

impl Ledger {
    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Changes that were acknowledged.
    pub(super) fn changes(&self) -> usize {
        self.changed.values().filter(|acknowledged| **acknowledged).count()
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
        for (message, acknowledged) in seen.changed {
            self.changed.insert((message.conversation, message.seq), acknowledged);
        }
        count
    }

    /// Holds each conversation's messages, as read from the first to the last, against what was acknowledged.
    pub(super) fn compare(&self, found: &Found) -> Verdict {
        let mut verdict = Verdict { missing: self.taken_twice, ..Verdict::default() };
        let mut there = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (conversation, messages) in &found.messages {
            let mut last = 0;
            for (ordinal, message) in (1..).zip(messages) {
                verdict.doubled += usize::from(!ids.insert((&message.sender, &message.client_id)));
                let changed = self.changed.get(&(conversation.clone(), message.seq)).copied();
                let (altered, unchanged) = compare_one(message, changed);
                verdict.altered += usize::from(altered);
                verdict.unchanged += usize::from(unchanged);
                verdict.out_of_order += usize::from(message.ordinal != ordinal || message.seq <= last);
                last = message.seq;
                there.insert((conversation.clone(), message.seq), message);
            }
        }
        let missing = self
            .acknowledged
            .iter()
            .filter(|(place, message)| there.get(*place).is_none_or(|found| as_sent(found) != as_sent(message)));
        verdict.missing += missing.count();
        for (user, unread) in &found.unread {
            let messages = found.messages.get(&unread.conversation).map(Vec::as_slice).unwrap_or_default();
            let counts = |message: &&Message| message.seq > unread.read && !message.deleted && message.sender != *user;
            let due = messages.iter().filter(counts).count() as u64;
            // Whoever writes has read what was there.
            let own = messages.iter().rfind(|message| message.sender == *user).map_or(0, |message| message.seq);
            verdict.miscounted += usize::from(unread.unread != due || unread.read < own);
        }
        for (conversation, newest) in &found.listed {
            let last = found.messages.get(conversation).and_then(|messages| messages.last());
            verdict.miscounted += usize::from(last.map_or(0, |last| last.seq) != *newest);
        }
        verdict
    }
}

/// What a message is, whatever became of it.
fn as_sent(message: &Message) -> (&str, &str, u64, u64, u64) {
    let Message { sender, client_id, seq, ordinal, time_ms, .. } = message;
    (sender, client_id, *seq, *ordinal, *time_ms)
}

/// Whether a message says what nobody wrote; and whether a change of it that was acknowledged is missing.
fn compare_one(message: &Message, changed: Option<bool>) -> (bool, bool) {
    let id = &message.client_id;
    let sent = !message.deleted && message.text == Letter::text(id) && message.reactions.is_empty();
    let is_changed = match Change::of(id) {
        None => false,
        Some(Change::Edit) => !message.deleted && message.text == Change::edited(id) && message.reactions.is_empty(),
        Some(Change::Delete) => message.deleted && message.text.is_empty() && message.reactions.is_empty(),
        Some(Change::React) => {
            let one = matches!(&message.reactions[..], [one] if one.emoji == EMOJI && one.count == 1);
            !message.deleted && message.text == Letter::text(id) && one
        }
    };
    match changed {
        None => (!sent, false),
        Some(acknowledged) => (!sent && !is_changed, acknowledged && sent),
    }
}
