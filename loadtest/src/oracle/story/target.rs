//! One message that was changed: what was asked of it, what was acknowledged, and what events have made of it.

use crate::letter::MessageKey;
use crate::mix::VERSIONS_MAX;

use super::super::verdict::Fault;
use super::{Change, Event, Seen, Shown};

/// What one user gives a message: a bit for each emoji.
#[derive(Clone, Copy, Debug)]
struct Given {
    user: u32,
    asked: u8,
    /// Without an answer so far: it may be so or not.
    flying: u8,
    acked: u8,
    now: u8,
}

/// See the module.
#[derive(Debug)]
pub struct Target {
    key: MessageKey,
    /// An edit or a deletion is under way.
    busy: bool,
    pub(super) asked_version: u8,
    pub(super) asked_deletion: bool,
    /// The version that was acknowledged, and when; and when a deletion was.
    acked_version: (u8, u64),
    acked_deletion: Option<u64>,
    version: u8,
    /// A later version than the one that is due was shown already.
    ahead: bool,
    deleted: bool,
    given: Vec<Given>,
}

impl Target {
    pub(super) fn new(key: MessageKey) -> Self {
        Self {
            key,
            busy: false,
            asked_version: 0,
            asked_deletion: false,
            acked_version: (0, 0),
            acked_deletion: None,
            version: 0,
            ahead: false,
            deleted: false,
            given: Vec::new(),
        }
    }

    /// Which message it is.
    pub fn key(&self) -> MessageKey {
        self.key
    }

    /// Whether somebody has asked for its deletion, so that it may be gone.
    pub fn may_be_gone(&self) -> bool {
        self.asked_deletion
    }

    /// Whether events have deleted it.
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    pub(super) fn may_be_changed(&self) -> bool {
        !self.busy && !self.asked_deletion && self.asked_version < VERSIONS_MAX
    }

    pub(super) fn may_be_given(&self, user: u32) -> bool {
        let flying = self.given.iter().any(|given| given.user == user && given.flying != 0);
        !self.asked_deletion && !flying
    }

    /// The next version is asked for.
    pub fn edit(&mut self) -> Change {
        self.busy = true;
        self.asked_version += 1;
        Change::Edit(self.asked_version)
    }

    /// Its deletion is asked for.
    pub fn delete(&mut self) -> Change {
        (self.busy, self.asked_deletion) = (true, true);
        Change::Delete
    }

    /// A user gives this emoji, or takes it away if they gave it.
    pub fn react(&mut self, user: u32, emoji: u8) -> Change {
        let given = self.given_mut(user);
        let bit = 1 << emoji;
        given.asked |= bit;
        given.flying |= bit;
        Change::React { emoji, remove: given.acked & bit != 0 }
    }

    fn given_mut(&mut self, user: u32) -> &mut Given {
        let at = self.given.iter().position(|given| given.user == user).unwrap_or_else(|| {
            self.given.push(Given { user, asked: 0, flying: 0, acked: 0, now: 0 });
            self.given.len() - 1
        });
        &mut self.given[at]
    }

    pub(super) fn acknowledged(&mut self, user: u32, change: Change, tick: u64) {
        match change {
            Change::Edit(version) => {
                self.busy = false;
                self.acked_version = (version, tick);
            }
            Change::Delete => {
                self.busy = false;
                self.acked_deletion = Some(tick);
            }
            Change::React { emoji, remove } => {
                let (given, bit) = (self.given_mut(user), 1 << emoji);
                given.flying &= !bit;
                given.acked = if remove { given.acked & !bit } else { given.acked | bit };
            }
        }
    }

    /// A change was refused for good; `unsure` if it may have been made all the same.
    pub fn refused(&mut self, user: u32, change: Change, unsure: bool) {
        match change {
            Change::Edit(_) => self.busy = false,
            // Nobody changes it any more, whatever became of it.
            Change::Delete => {}
            Change::React { emoji, .. } if !unsure => self.given_mut(user).flying &= !(1 << emoji),
            Change::React { .. } => {}
        }
    }

    /// An event of it: what is wrong with that, after those before.
    pub(super) fn happened(&mut self, event: Event, seen: Seen) -> Option<(Fault, &'static str)> {
        if self.deleted {
            return Some((Fault::Altered, "comes after its deletion"));
        }
        match event {
            Event::Message { .. } => None,
            Event::Edit { shown: Shown::Deleted, .. } => {
                self.ahead = true;
                (!self.asked_deletion).then_some((Fault::Invented, "shows it deleted"))
            }
            Event::Edit { shown: Shown::Version(shown), .. } => self.edited(shown, seen),
            Event::Delete { .. } => {
                self.deleted = true;
                (!self.asked_deletion).then_some((Fault::Invented, "was never asked for"))
            }
            Event::React { user, emoji, removed, count, .. } => {
                let (given, bit) = (self.given_mut(user), 1 << emoji);
                if given.asked & bit == 0 {
                    return Some((Fault::Invented, "was never asked for"));
                }
                if (given.now & bit != 0) != removed {
                    return Some((Fault::Duplicate, "was so before"));
                }
                given.now ^= bit;
                (count != self.count(emoji)).then_some((Fault::Miscounted, "is not how many give it"))
            }
        }
    }

    fn edited(&mut self, shown: u8, seen: Seen) -> Option<(Fault, &'static str)> {
        if shown > self.asked_version {
            return Some((Fault::Invented, "was never asked for"));
        }
        let (before, ahead) = (self.version, self.ahead);
        self.version = before.max(shown);
        if seen == Seen::Missed {
            // It shows what came after it too; the event of that is still to come.
            self.ahead = true;
            return (shown < before).then_some((Fault::Stale, "shows an older text"));
        }
        self.ahead = ahead && shown < before;
        match shown.cmp(&before) {
            std::cmp::Ordering::Greater => None,
            _ if ahead => None,
            std::cmp::Ordering::Equal => Some((Fault::Duplicate, "was so before")),
            std::cmp::Ordering::Less => Some((Fault::OutOfOrder, "shows an older text")),
        }
    }

    /// How many give it by the events.
    pub(super) fn count(&self, emoji: u8) -> u64 {
        self.given.iter().filter(|given| given.now >> emoji & 1 == 1).count() as u64
    }

    /// What was acknowledged before `tick` and is not in what is shown.
    pub(super) fn missing(&self, shown: Shown, tick: u64) -> Option<(Fault, &'static str)> {
        let Shown::Version(version) = shown else { return None };
        let (acked, at) = self.acked_version;
        if self.acked_deletion.is_some_and(|at| at <= tick) {
            return Some((Fault::Resurrected, "its deletion was acknowledged before"));
        }
        (at <= tick && version < acked).then_some((Fault::Stale, "a later text was acknowledged before"))
    }

    /// What is wrong with how it is shown, by what events have made of it.
    pub(super) fn differs(&self, shown: Shown, asker: u32, emoji: [(u64, bool); 4]) -> Option<(Fault, &'static str)> {
        match (shown, self.deleted) {
            (Shown::Version(_), true) => return Some((Fault::Resurrected, "it was deleted")),
            (Shown::Deleted, false) => return Some((Fault::Altered, "it was not deleted")),
            (Shown::Version(version), false) if version != self.version => {
                return Some((Fault::Altered, "it was told of another text"));
            }
            _ => {}
        }
        let own = self.given.iter().find(|given| given.user == asker).map_or(0, |given| given.now);
        let right = (0..).zip(emoji).all(|(at, (count, mine))| {
            let (due, is_own) = (self.count(at), own >> at & 1 == 1);
            if self.deleted { count == 0 } else { count == due && mine == (is_own && due > 0) }
        });
        (!right).then_some((Fault::Miscounted, "they were given otherwise"))
    }

    /// What was acknowledged, and is not so by the events.
    pub(super) fn lost(&self) -> Vec<&'static str> {
        let mut lost = Vec::new();
        if self.acked_deletion.is_some() && !self.deleted {
            lost.push("an acknowledged deletion was never told");
        }
        if self.deleted {
            return lost;
        }
        if self.acked_version.0 > self.version {
            lost.push("an acknowledged text was never told");
        }
        for given in &self.given {
            if (given.acked ^ given.now) & !given.flying != 0 {
                lost.push("an acknowledged emoji was never told");
            }
        }
        lost
    }
}
