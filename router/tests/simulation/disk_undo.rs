//! What a power cut takes back: what was written and no barrier has confirmed.

use bytes::Bytes;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_store::{DecisionPlace, Seq};

use crate::disk::{Inner, MarkKey, OverlayPlace};
use crate::rng::Rng;

/// How to take back a projection write or a trim that was not yet durable.
#[derive(Debug)]
pub(crate) enum Undo {
    Record(ConversationKey, Option<(Seq, Bytes)>),
    Member(ConversationKey, UserId, Option<(Seq, Option<Bytes>)>),
    Membership(ConversationKey, UserId, Option<(Seq, Option<Bytes>)>),
    DropList(ConversationKey, Vec<(UserId, (Seq, Option<Bytes>))>, Vec<(MarkKey, (Seq, Bytes))>),
    Trim(ConversationKey, Seq),
    Overlay(OverlayPlace, Option<(Seq, Option<Bytes>)>),
    /// And whether a barrier has confirmed it.
    Erase(ConversationKey, Seq, Bytes, bool),
    Mark(MarkKey, Option<(Seq, Bytes)>),
    Decision(DecisionPlace, Option<(Seq, Option<Bytes>)>),
}

impl Inner {
    /// The power is cut.
    pub(crate) fn lose(&mut self, rng: &mut Rng) {
        // Projections come back to some moment between the last barrier and now.
        let keep = rng.below(self.undo.len() as u64 + 1) as usize;
        let lost = self.undo.split_off(keep);
        for undo in lost.into_iter().rev() {
            self.undo(undo);
        }
        // What was erased lies elsewhere: without a barrier that may be lost alone.
        let kept = std::mem::take(&mut self.undo);
        for undo in kept.into_iter().rev() {
            if matches!(undo, Undo::Erase(_, _, _, false)) && rng.chance(500) {
                self.undo(undo);
            }
        }
    }

    /// As if this had not been written.
    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Record(key, before) => {
                match before {
                    Some(before) => self.records.insert(key, before),
                    None => self.records.remove(&key),
                };
            }
            Undo::Member(key, user, before) => {
                match before {
                    Some(before) => self.lists.insert((key, user), before),
                    None => self.lists.remove(&(key, user)),
                };
            }
            Undo::Membership(key, user, before) => {
                match before {
                    Some(before) => self.members.insert((key, user), before),
                    None => self.members.remove(&(key, user)),
                };
            }
            Undo::DropList(list, members, marks) => {
                self.dropped.remove(&list);
                let members = members.into_iter().map(|(user, stored)| ((list.clone(), user), stored));
                self.lists.extend(members);
                self.marks.extend(marks);
            }
            Undo::Overlay(place, before) => {
                match before {
                    Some(before) => self.overlays.insert(place, before),
                    None => self.overlays.remove(&place),
                };
            }
            Undo::Erase(key, seq, before, _) => {
                if let Some(blob) = self.rows.get_mut(&key).and_then(|rows| rows.blobs.get_mut(seq as usize)) {
                    *blob = before;
                }
            }
            Undo::Mark(place, before) => {
                match before {
                    Some(before) => self.marks.insert(place, before),
                    None => self.marks.remove(&place),
                };
            }
            Undo::Decision(place, before) => {
                match before {
                    Some(before) => self.decisions.insert(place, before),
                    None => self.decisions.remove(&place),
                };
            }
            Undo::Trim(key, first) => {
                if let Some(rows) = self.rows.get_mut(&key) {
                    rows.first = first;
                }
            }
        }
    }

    /// A barrier of the router's own: what was erased stays so.
    pub(crate) fn keep_erased(&mut self) {
        for undo in &mut self.undo {
            if let Undo::Erase(_, _, _, confirmed) = undo {
                *confirmed = true;
            }
        }
    }

    /// Whether a text was erased that a power cut may bring back.
    pub(crate) fn may_forget_erasures(&self) -> bool {
        self.undo.iter().any(|undo| matches!(undo, Undo::Erase(_, _, _, false)))
    }

    /// All that was written so far is durable.
    pub(crate) fn settle(&mut self) {
        self.undo.clear();
    }

    /// Decisions that were written so far are durable.
    pub(crate) fn keep_decisions(&mut self) {
        self.undo.retain(|undo| !matches!(undo, Undo::Decision(..)));
    }
}
