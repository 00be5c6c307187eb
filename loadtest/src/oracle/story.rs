//! What happens in one timeline when people do more than write: every event in its order, as the first reader of each says
//! it, what they make of its messages, and what was acknowledged to those who asked. Kept only where something is mixed in.
//!
//! Each event is taken up once, when the reader that is farthest gets it; whoever comes later must be told the same. So what
//! a message is now follows from what was told live, and is held against what history shows, and both against the acks.

mod target;

use std::collections::HashMap;

use crate::letter::MessageKey;

use super::ledger::RECORDS_MAX;
use super::verdict::{Fault, Verdict};

pub use self::target::Target;

/// Messages that changes are made of: the first of a timeline, and its newest.
const POOL_OLD: usize = 64;
const POOL_MAX: usize = 256;

/// Messages of one timeline that were changed and are remembered; then no others are.
const TARGETS_MAX: usize = 1 << 20;

/// A row here is as large as so many of a ledger's.
const ROW_WORDS: u64 = 2;

/// Attempts to find a message that may be changed.
const PICKS: u64 = 8;

/// A message as somebody is shown it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// Without its text.
    Deleted,
    /// After so many edits of the sender's counting; 0 as it was sent.
    Version(u8),
}

/// What is asked of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Another text, of this version.
    Edit(u8),
    /// It shall go.
    Delete,
    /// An emoji by its place among [`crate::mix::EMOJI`] is given or taken away.
    React {
        /// Which.
        emoji: u8,
        /// It is taken away.
        remove: bool,
    },
}

/// What stands at a number, as a reader is told it. Users are meant by their number in the run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message.
    Message {
        /// Whose.
        sender: u32,
        /// Its place among messages.
        ordinal: u64,
    },
    /// A message has another text.
    Edit {
        /// Its number.
        target: u64,
        /// As it is shown with the event.
        shown: Shown,
    },
    /// A message is gone.
    Delete {
        /// Its number.
        target: u64,
    },
    /// An emoji was given or taken away.
    React {
        /// The message's number.
        target: u64,
        /// Who.
        user: u32,
        /// Which, by its place.
        emoji: u8,
        /// It was taken away.
        removed: bool,
        /// How many give it then.
        count: u64,
    },
}

/// How a reader was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Live, in its turn.
    Live,
    /// Live, and out of turn for a reason: it comes again, or came before.
    Aside,
    /// Afterwards, in its turn: messages are shown as they are by then.
    Missed,
}

/// An event as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Row {
    Message {
        sender: u32,
        ordinal: u32,
    },
    /// The version is known if it was told live.
    Edit {
        target: u32,
        version: Option<u8>,
    },
    Delete {
        target: u32,
    },
    React {
        target: u32,
        user: u32,
        emoji: u8,
        removed: bool,
        count: u32,
    },
}

/// A change that was acknowledged and that nobody has been told of yet.
#[derive(Clone, Copy, Debug)]
struct Acked {
    user: u32,
    target: u64,
    change: Change,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Story {
    /// The number below the first row.
    base: u64,
    started: bool,
    rows: Vec<Row>,
    ordinal: u64,
    /// The newest message's number, by events and by acks.
    newest: u64,
    newest_acked: u64,
    /// A reader has missed something, or there is no room: what messages are is not known any more.
    broken: bool,
    targets: HashMap<u64, Target>,
    pool: Vec<(MessageKey, u64)>,
    offered: usize,
    acked: HashMap<u64, Acked>,
    acked_changes: u64,
}

impl Story {
    /// Events are told from `head + 1` on.
    pub fn start(&mut self, head: u64) {
        if !std::mem::replace(&mut self.started, true) {
            self.base = head;
        }
    }

    /// The number of the newest event that was taken up.
    pub fn front(&self) -> u64 {
        self.base + self.rows.len() as u64
    }

    /// Whether everything up to that number was taken up.
    pub fn knows(&self, head: u64) -> bool {
        !self.broken && self.front() == head
    }

    /// The number of the newest message, by what readers were told.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The highest number of a message that was acknowledged.
    pub fn newest_acked(&self) -> u64 {
        self.newest_acked
    }

    fn row(&self, seq: u64) -> Option<&Row> {
        self.rows.get(usize::try_from(seq.checked_sub(self.base + 1)?).ok()?)
    }

    /// A message was acknowledged: changes may be made of it from now on.
    pub fn offer(&mut self, key: MessageKey, seq: u64) {
        self.newest_acked = self.newest_acked.max(seq);
        if self.pool.len() < POOL_MAX {
            self.pool.push((key, seq));
        } else {
            let place = POOL_OLD + self.offered % (POOL_MAX - POOL_OLD);
            self.pool[place] = (key, seq);
        }
        self.offered += 1;
    }

    /// A message that this user may change now, by some choice of `random`; their own alone if it is `own`.
    pub fn pick(&mut self, user: u32, own: bool, mut random: impl FnMut(u64) -> u64) -> Option<u64> {
        for attempt in 0..PICKS {
            if self.pool.is_empty() {
                return None;
            }
            let place = (random(attempt) % self.pool.len() as u64) as usize;
            let (key, seq) = self.pool[place];
            if own && key.sender() != user {
                continue;
            }
            let room = self.targets.len() < TARGETS_MAX;
            let target = match self.targets.get_mut(&seq) {
                Some(target) => target,
                None if room => self.targets.entry(seq).or_insert_with(|| Target::new(key)),
                None => continue,
            };
            let free = if own { target.may_be_changed() } else { target.may_be_given(user) };
            if free {
                return Some(seq);
            }
        }
        None
    }

    /// What is known of a message that was to be changed.
    pub fn target_mut(&mut self, seq: u64) -> Option<&mut Target> {
        self.targets.get_mut(&seq)
    }

    /// Which message stands at this number, if it was to be changed.
    pub fn key_of(&self, seq: u64) -> Option<MessageKey> {
        self.targets.get(&seq).map(Target::key)
    }

    /// Whether a message may be shown like this at all.
    pub fn may_be_shown(&self, seq: u64, shown: Shown) -> bool {
        match (self.targets.get(&seq), shown) {
            (_, Shown::Version(0)) => true,
            (None, _) => false,
            (Some(target), Shown::Version(version)) => version <= target.asked_version,
            (Some(target), Shown::Deleted) => target.asked_deletion,
        }
    }

    /// A change was acknowledged with this number, which says nothing if it is `unsure`: where it was asked more than once,
    /// and may have been so already.
    pub fn acknowledged(
        &mut self,
        seq: u64,
        (user, target, change): (u32, u64, Change),
        unsure: bool,
        tick: u64,
        verdict: &mut Verdict,
    ) {
        self.acked_changes += 1;
        if let Some(known) = self.targets.get_mut(&target) {
            known.acknowledged(user, change, tick);
        }
        if unsure || self.broken {
            return;
        }
        match self.row(seq) {
            Some(row) => self.expect(seq, *row, Acked { user, target, change }, verdict),
            None if seq <= self.base => {
                verdict.add(Fault::Altered, 1, || format!("{change:?} of {target} is acknowledged as {seq}"));
            }
            None => {
                if self.acked.insert(seq, Acked { user, target, change }).is_some() {
                    verdict.add(Fault::Altered, 1, || format!("two changes are acknowledged as number {seq}"));
                }
            }
        }
    }

    /// What stands at a number must be what was acknowledged with it.
    fn expect(&self, seq: u64, row: Row, acked: Acked, verdict: &mut Verdict) {
        let Acked { user, target, change } = acked;
        let right = match (row, change) {
            (Row::Edit { target: at, version }, Change::Edit(asked)) => {
                u64::from(at) == target && version.is_none_or(|version| version == asked)
            }
            (Row::Delete { target: at }, Change::Delete) => u64::from(at) == target,
            (Row::React { target: at, user: by, emoji, removed, .. }, Change::React { emoji: asked, remove }) => {
                (u64::from(at), by, emoji, removed) == (target, user, asked, remove)
            }
            _ => false,
        };
        verdict.add(Fault::Altered, u64::from(!right), || {
            format!("{change:?} of {target} by user {user} is acknowledged as {seq}, which is {row:?}")
        });
    }

    /// A reader is told what stands at a number.
    pub fn told(&mut self, seq: u64, event: Event, seen: Seen, verdict: &mut Verdict) {
        if self.broken || seq <= self.base {
            return;
        }
        if seq <= self.front() {
            return self.compare(seq, event, seen, verdict);
        }
        if seen == Seen::Aside {
            return;
        }
        if seq != self.front() + 1 || !self.has_room(verdict) {
            self.broken = true;
            return;
        }
        self.take_up(seq, event, seen, verdict);
        if let (Some(acked), Some(&row)) = (self.acked.remove(&seq), self.rows.last()) {
            self.expect(seq, row, acked, verdict);
        }
    }

    fn has_room(&self, verdict: &mut Verdict) -> bool {
        if verdict.rows + ROW_WORDS > RECORDS_MAX {
            verdict.unrecorded += 1;
            return false;
        }
        verdict.rows += ROW_WORDS;
        true
    }

    fn take_up(&mut self, seq: u64, event: Event, seen: Seen, verdict: &mut Verdict) {
        let row = row_of(event, seen);
        self.rows.push(row);
        if let Event::Message { ordinal, .. } = event {
            self.newest = seq;
            self.ordinal += 1;
            let due = self.ordinal;
            verdict.add(Fault::Altered, u64::from(ordinal != due), || {
                format!("number {seq} has ordinal {ordinal}, {due} is due")
            });
            return;
        }
        let on = target_of(event);
        let is_message = matches!(self.row(on), Some(Row::Message { .. }));
        if !is_message || on >= seq {
            return verdict.add(Fault::Altered, 1, || format!("{event:?} at {seq} is about what is no message"));
        }
        let Some(target) = self.targets.get_mut(&on) else {
            return verdict.add(Fault::Invented, 1, || format!("{event:?} at {seq}, which nobody asked for"));
        };
        let Some((fault, words)) = target.happened(event, seen) else { return };
        verdict.add(fault, 1, || format!("{event:?} at {seq} {words}"));
        if let (Fault::Miscounted, Event::React { emoji, .. }) = (fault, event)
            && let Some(Row::React { count, .. }) = self.rows.last_mut()
        {
            // Whoever is told the right count from now on is not told a wrong one.
            *count = target.count(emoji) as u32;
        }
    }

    /// Whoever comes later is told the same.
    fn compare(&mut self, seq: u64, event: Event, seen: Seen, verdict: &mut Verdict) {
        let Some(index) = seq.checked_sub(self.base + 1).and_then(|at| usize::try_from(at).ok()) else { return };
        let Some(row) = self.rows.get_mut(index) else { return };
        let same = match (*row, row_of(event, seen)) {
            (Row::Edit { target, version }, Row::Edit { target: told, version: told_version }) => {
                let later = match (version, told_version, event) {
                    (Some(before), Some(told), _) => before == told,
                    (Some(before), None, Event::Edit { shown: Shown::Version(shown), .. }) => shown >= before,
                    _ => true,
                };
                *row = Row::Edit { target, version: version.or(told_version) };
                target == told && later
            }
            (row, told) => row == told,
        };
        let row = *row;
        let fault = if matches!(row, Row::React { .. }) { Fault::Miscounted } else { Fault::Altered };
        verdict.add(fault, u64::from(!same), || format!("number {seq} was told as {row:?}, and as {event:?}"));
    }

    /// How somebody is shown a message who asked at `tick`: nothing that was acknowledged by then may be missing.
    pub fn check_shown(&self, seq: u64, shown: Shown, tick: u64, verdict: &mut Verdict) {
        let Some(target) = self.targets.get(&seq) else { return };
        if let Some((fault, words)) = target.missing(shown, tick) {
            verdict.add(fault, 1, || format!("number {seq} is shown as {shown:?}, {words}"));
        }
    }

    /// A message as history shows it while nothing happens: exactly what the events made of it. `emoji` says for each how
    /// many give it, and whether the asker is among them.
    pub fn check_present(&self, seq: u64, shown: Shown, asker: u32, emoji: [(u64, bool); 4], verdict: &mut Verdict) {
        let mut unchanged = None;
        let target = match self.targets.get(&seq) {
            Some(target) => target,
            None => unchanged.insert(Target::new(MessageKey::new(0, 0))),
        };
        if let Some((fault, words)) = target.differs(shown, asker, emoji) {
            verdict.add(fault, 1, || format!("number {seq} is shown as {shown:?} with {emoji:?}, {words}"));
        }
    }

    /// Messages of others above a number that are not deleted.
    pub fn unread(&self, user: u32, read: u64) -> u64 {
        let from = usize::try_from(read.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let rows = (self.base + 1..).zip(&self.rows).skip(from);
        let others = rows.filter(|(_, row)| matches!(row, Row::Message { sender, .. } if *sender != user));
        others.filter(|(seq, _)| self.targets.get(seq).is_none_or(|target| !target.is_deleted())).count() as u64
    }

    /// The end of the run, of which everybody was told up to `head`: whatever was acknowledged must have happened.
    pub fn settle(&mut self, name: &str, head: u64, verdict: &mut Verdict) {
        verdict.rows = verdict.rows.saturating_sub(ROW_WORDS * self.rows.len() as u64);
        if !self.knows(head) {
            return;
        }
        *verdict.changes_checked.get_or_insert_default() += self.acked_changes;
        for (seq, acked) in std::mem::take(&mut self.acked) {
            verdict
                .add(Fault::Lost, 1, || format!("{acked:?} was acknowledged as {seq} of {name}, and nobody was told"));
        }
        for (seq, target) in &self.targets {
            for words in target.lost() {
                verdict.add(Fault::Lost, 1, || format!("of number {seq} of {name} {words}"));
            }
        }
        self.rows = Vec::new();
    }
}

fn row_of(event: Event, seen: Seen) -> Row {
    // A timeline of a run has fewer events than that by far; one that had more would be told apart by its last digits.
    let low = |seq: u64| seq as u32;
    match event {
        Event::Message { sender, ordinal } => Row::Message { sender, ordinal: low(ordinal) },
        Event::Edit { target, shown } => {
            let version = match shown {
                Shown::Version(version) if seen != Seen::Missed => Some(version),
                _ => None,
            };
            Row::Edit { target: low(target), version }
        }
        Event::Delete { target } => Row::Delete { target: low(target) },
        Event::React { target, user, emoji, removed, count } => {
            Row::React { target: low(target), user, emoji, removed, count: low(count) }
        }
    }
}

fn target_of(event: Event) -> u64 {
    match event {
        Event::Message { .. } => 0,
        Event::Edit { target, .. } | Event::Delete { target } | Event::React { target, .. } => target,
    }
}

#[cfg(test)]
mod tests;
