//! The judge: knows what was promised, and everything that anybody was told.

use std::collections::BTreeMap;

use switchyard_protocol::owner::{Epoch, Holder, Incarnation};
use switchyard_protocol::shard::Shard;

use super::plan::{MS, Time};
use super::replicas::Replicated;
use super::rows::{Body, Row};

/// A promise that was broken, by the names of the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Broken {
    /// A number that was shown as one message is another one now, or none.
    Changed,
    /// A message has two numbers.
    Twice,
    /// An answer lacks rows that were acknowledged before the owner's last fence read began; or more than two seconds ago.
    Stale,
    /// An adoption does not find the row of its hint.
    HeadMissing,
    /// A text that was said to be gone is shown, adopted or read.
    TextBack,
    /// A shard's epoch is owned twice, or falls.
    EpochAgain,
    /// A reader is given a number that does not follow the one before.
    Hole,
    /// Faults are long over, and a reader lacks what was acknowledged.
    Unread,
    /// Faults are long over, and something is not served.
    Stuck,
}

/// What was shown of a conversation.
#[derive(Default)]
struct Shown {
    messages: Vec<u32>,
    /// When it came to be so many.
    heads: Vec<(Time, usize)>,
    /// The numbers of which it was said that their text is gone, and when that was said first.
    erased: BTreeMap<usize, Time>,
    /// So many of the first rows may be gone.
    dropped: usize,
}

impl Shown {
    fn head_before(&self, time: Time) -> usize {
        let later = self.heads.partition_point(|(at, _)| *at < time);
        if later == 0 { 0 } else { self.heads[later - 1].1 }
    }

    fn is_erased_before(&self, time: Time, number: usize) -> bool {
        self.erased.get(&number).is_some_and(|at| *at < time)
    }
}

/// See the module.
pub(crate) struct Judge {
    shown: Vec<Shown>,
    owners: BTreeMap<(Shard, Epoch), Incarnation>,
    epochs: BTreeMap<Shard, Epoch>,
    /// How old an answer may be: the age of a fence read, and a millisecond, for that is what clocks count.
    age_max: Time,
    pub(crate) broken: Vec<(Time, Broken, String)>,
}

impl Judge {
    pub(crate) fn new(conversations: usize, fence_age_max: Time) -> Self {
        Self {
            shown: (0..conversations).map(|_| Shown::default()).collect(),
            owners: BTreeMap::new(),
            epochs: BTreeMap::new(),
            age_max: fence_age_max + MS,
            broken: Vec::new(),
        }
    }

    pub(crate) fn breaks(&mut self, now: Time, broken: Broken, how: String) {
        self.broken.push((now, broken, how));
    }

    /// All that was shown of a conversation.
    pub(crate) fn messages(&self, conversation: usize) -> &[u32] {
        &self.shown[conversation].messages
    }

    /// The table of owners has changed.
    pub(crate) fn claimed(&mut self, now: Time, shard: Shard, holder: Holder) {
        let before = self.epochs.insert(shard, holder.epoch);
        if before.is_some_and(|before| holder.epoch <= before) {
            self.breaks(now, Broken::EpochAgain, format!("{shard:?} falls from {before:?} to {holder:?}"));
        }
    }

    /// Somebody believes that it owns a shard.
    pub(crate) fn owned(&mut self, now: Time, shard: Shard, epoch: Epoch, by: Incarnation) {
        let first = *self.owners.entry((shard, epoch)).or_insert(by);
        if first != by {
            self.breaks(now, Broken::EpochAgain, format!("{shard:?} in {epoch:?} is {first}'s and {by}'s"));
        }
    }

    /// An owner shows all that it holds: it acknowledges the last of it, or has adopted it. What it shows holds everything
    /// that was shown before its last fence read began, and no text that was said to be gone before.
    pub(crate) fn show(&mut self, now: Time, conversation: usize, held: &[Row], began: Time, who: &str) {
        let shown = &mut self.shown[conversation];
        for (at, Row { message, body, .. }) in held.iter().enumerate() {
            let other = match shown.messages.get(at) {
                Some(before) if before != message => Broken::Changed,
                None if shown.messages.contains(message) => Broken::Twice,
                Some(_) if *body == Body::Text && shown.is_erased_before(began, at + 1) => Broken::TextBack,
                Some(_) => continue,
                None => {
                    shown.messages.push(*message);
                    shown.heads.push((now, at + 1));
                    continue;
                }
            };
            let was = shown.messages.get(at).copied();
            let how = format!("{who}: conversation {conversation}: number {} is {message}, was {was:?}", at + 1);
            return self.breaks(now, other, how);
        }
        let expected = shown.head_before(began);
        if held.len() < expected {
            let how = format!("{who}: conversation {conversation}: shows {} of {expected}", held.len());
            self.breaks(now, Broken::Stale, how);
        }
    }

    /// An owner answers with what it shows.
    pub(crate) fn answer(&mut self, now: Time, conversation: usize, held: &[Row], began: Time, who: &str) {
        let since = began.max(now.saturating_sub(self.age_max));
        self.show(now, conversation, held, since, who);
    }

    /// A reader is given a message, which must be one that was shown.
    pub(crate) fn heard(&mut self, now: Time, conversation: usize, number: usize, message: u32, edge: usize) {
        let shown = self.shown[conversation].messages.get(number - 1);
        if shown != Some(&message) {
            let how = format!("edge {edge}: conversation {conversation}: number {number} is {message}, was {shown:?}");
            self.breaks(now, Broken::Changed, how);
        }
    }

    /// How many messages were shown before then.
    pub(crate) fn head_before(&self, conversation: usize, time: Time) -> usize {
        self.shown[conversation].head_before(time)
    }

    /// An owner says that a text is gone.
    pub(crate) fn erased(&mut self, now: Time, conversation: usize, number: usize) {
        self.shown[conversation].erased.entry(number).or_insert(now);
    }

    /// An owner drops so many of the first rows.
    pub(crate) fn dropped(&mut self, conversation: usize, rows: usize) {
        let dropped = &mut self.shown[conversation].dropped;
        *dropped = rows.max(*dropped);
    }

    /// Somebody reads at a quorum a row that was shown.
    pub(crate) fn read(&mut self, now: Time, conversation: usize, number: usize, read: Option<Row>) {
        let shown = &self.shown[conversation];
        let Some(message) = shown.messages.get(number - 1) else { return };
        let broken = match read {
            Some(row) if row.message != *message => Broken::Changed,
            Some(row) if row.body == Body::Text && shown.erased.contains_key(&number) => Broken::TextBack,
            None if number > shown.dropped => Broken::Changed,
            Some(_) | None => return,
        };
        let how = format!("conversation {conversation}: number {number} was {message}, reads {read:?}");
        self.breaks(now, broken, how);
    }

    /// At the end, whoever reads at a quorum finds what was shown.
    pub(crate) fn stays(&mut self, now: Time, conversation: usize, rows: &Replicated) {
        for number in 1..=self.shown[conversation].messages.len() {
            for pair in [[0, 1], [0, 2], [1, 2]] {
                self.read(now, conversation, number, rows.read(conversation, pair, number as u64 - 1));
            }
        }
    }
}
