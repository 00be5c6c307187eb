//! Under which name a conversation's members, and how far each has come, are stored. Of whoever leaves a row stays that says so,
//! so that nothing older that comes late brings them back; those rows would become more and more. So once enough have left,
//! all who are there are listed anew under another name, and the list before goes as a whole. The record says which name counts.
//!
//! **Invariant:** which name counts as of an event follows from the log up to it and from nothing else. So whoever writes a record
//! of one event names the same list, whichever of two such records a store keeps, and a conversation that is rebuilt from its log finds
//! the name too. A list is written before the record that names it; the list before goes behind a fence read that began when
//! that record was there: an owner that still reads by it would have taken over since, and then it does not go.

use std::mem;

use switchyard_protocol::id::ConversationKey;
use switchyard_store::{Mark, ProjectionWrite, Seq};

use crate::machine::conversation::State;
use crate::stored::{self, ConversationRecord};

/// So many must have left before members are listed anew, and as many as are there. Part of the form of what is stored: it says
/// which name counts.
const LEFT_MIN: u64 = 2;

/// Names before the one that counts that are dropped once more, where a conversation is rebuilt from its log alone.
const REPLACED_MAX: usize = 4;

/// Which name counts, and why it may be time for another one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Listing {
    /// How many are there as the events say: rows of members may be newer than the record that they are read with.
    present: u64,
    /// Nothing where nobody ever left.
    lists: Option<Box<Lists>>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Lists {
    /// The event with which the list began; 0 for the first one.
    since: Seq,
    /// The same of the list before, which may be left where a process was killed.
    before: Option<Seq>,
    /// How many have left since then.
    left: u64,
    /// Lists that counted since the record that is stored; that one names the first of them.
    replaced: Vec<Seq>,
    /// Whether those who are there are still to be written into the list.
    begun: bool,
}

/// What is written for a list that begins anew.
#[derive(Default)]
pub(in crate::machine) struct Relisted {
    pub(in crate::machine) members: Vec<ProjectionWrite>,
    pub(in crate::machine) marks: Vec<Mark>,
    /// Lists that nobody reads then.
    pub(in crate::machine) dropped: Vec<ConversationKey>,
}

impl Listing {
    /// That of a conversation which so many found.
    pub(crate) fn founded(members: usize) -> Self {
        Self { present: members as u64, lists: None }
    }

    /// The name that counts.
    pub(crate) fn key(&self, key: &ConversationKey) -> ConversationKey {
        key.listing(self.lists.as_ref().map_or(0, |lists| lists.since))
    }

    /// Until the record is there that says which name counts, the one that it names now: what is stored under both is there,
    /// whichever a load finds.
    pub(crate) fn recorded(&self, key: &ConversationKey) -> Option<ConversationKey> {
        self.lists.as_ref()?.replaced.first().map(|since| key.listing(*since))
    }

    /// All names of which anything may be left; first the one that counts.
    pub(crate) fn all(&self, key: &ConversationKey) -> Vec<ConversationKey> {
        let none = Lists::default();
        let Lists { since, before, replaced, .. } = self.lists.as_deref().unwrap_or(&none);
        let replaced = replaced.iter().filter(|since| Some(**since) != *before);
        [since].into_iter().chain(before).chain(replaced).map(|since| key.listing(*since)).collect()
    }

    /// The record of this event is written.
    pub(crate) fn written(&mut self, through: Seq) {
        if let Some(lists) = &mut self.lists
            && through >= lists.since
            && !lists.begun
        {
            lists.replaced = Vec::new();
        }
    }

    /// So many are there in a conversation whose record is of a version that did not count.
    pub(crate) fn counted(&mut self, members: usize) {
        self.present = members as u64;
    }

    /// A conversation is rebuilt from its log: there may be no record that names one of them.
    pub(crate) fn rebuilt(&mut self) {
        if let Some(lists) = &mut self.lists {
            let some = lists.replaced.len().saturating_sub(REPLACED_MAX);
            lists.replaced.drain(..some);
        }
    }
}

impl ConversationRecord {
    /// What it says of the list of members.
    pub(crate) fn listing(&self) -> Listing {
        let (since, before, left) = (self.listed_since, self.listed_before, self.left);
        let lists = Lists { since, before, left, ..Lists::default() };
        let lists = (lists != Lists::default()).then(|| Box::new(lists));
        Listing { present: self.present.unwrap_or(0), lists }
    }

    /// The same, with what is to be said.
    pub(crate) fn with_listing(self, listing: &Listing) -> Self {
        let record = Self { present: Some(listing.present), ..self };
        let Some(lists) = &listing.lists else { return record };
        Self { listed_since: lists.since, listed_before: lists.before, left: lists.left, ..record }
    }
}

impl State {
    /// So many came and left by the event `next`, which is being committed. Once as many have left as are there, another list
    /// begins. Only what the event says is counted, not what memory makes of it.
    pub(super) fn count(&mut self, came: usize, left: usize) {
        let Listing { present, lists } = &mut self.listing;
        *present = (*present + came as u64).saturating_sub(left as u64);
        if left == 0 {
            return;
        }
        let lists = lists.get_or_insert_default();
        lists.left += left as u64;
        if lists.left >= LEFT_MIN.max(*present) {
            lists.replaced.push(lists.since);
            // Perhaps it was not dropped, when it was to be.
            lists.replaced.extend(lists.before.take());
            (lists.before, lists.since) = (Some(lists.since), self.next);
            (lists.left, lists.begun) = (0, true);
        }
    }

    /// What is to be written of a list that began with an event up to the head, if one did.
    pub(in crate::machine) fn take_list(&mut self, key: &ConversationKey) -> Option<Relisted> {
        let lists = self.listing.lists.as_mut()?;
        if !mem::take(&mut lists.begun) {
            return None;
        }
        let (at, list) = (self.head(), self.listing.key(key));
        let dropped = self.listing.all(key).split_off(1);
        let mut marks = Vec::new();
        let members = self.members.all_mut().iter_mut().map(|member| {
            // All of them are written below.
            let _ = member.progress.take_moved();
            marks.extend(member.progress.marks().map(|(kind, at, value)| Mark {
                key: list.clone(),
                user: member.user.clone(),
                kind,
                at,
                value,
            }));
            let value = stored::encode(&member.record());
            ProjectionWrite::Listed { list: list.clone(), user: member.user.clone(), at, value }
        });
        let members = members.collect();
        Some(Relisted { members, marks, dropped })
    }
}
