//! What is dropped from a timeline, and when. A conversation's oldest run of [`BUCKET_ROWS`] events goes as a whole once
//! the rule of its kind wants none of it; the founding row always stays, and so does every run that holds one of the newest
//! [`DEDUPE_RECENT`] events, however few or young the rule wants them: a send that names no head is compared with those.
//!
//! Counting needs nothing but the head. The age of a run is that of its newest event, which lies in the store: it is read
//! with every load, and for a conversation in memory whenever it is looked at and its oldest run may have grown too old.

use switchyard_cluster::now::Now;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::limits::DEDUPE_RECENT;
use switchyard_store::{BUCKET_ROWS, ProjectionWrite, Seq};

use crate::config::RetentionRule;
use crate::machine::conversation::{Conversation, State};
use crate::machine::ticket::Ticket;
use crate::machine::writing::pipeline::Projecting;
use crate::machine::{Effect, Machine, Projection, ReadPlan};

/// What the store says about the age of a timeline's oldest runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Older {
    /// What lies below this number is too old.
    pub below: Seq,
    /// No run that is left ends before this time.
    pub run_end_ms: u64,
}

/// Where the runs end of which any may go, whatever the rule: what lies from here on may be asked for as an id.
pub(crate) fn droppable(head: Seq) -> Seq {
    keeping(head, DEDUPE_RECENT)
}

/// The lowest number of the run with which so many events are kept.
fn keeping(head: Seq, events: u64) -> Seq {
    head.saturating_sub(events) / BUCKET_ROWS * BUCKET_ROWS
}

impl State {
    /// What lies below this number is more than the rule keeps.
    pub(in crate::machine) fn beyond(&self, rule: RetentionRule) -> Seq {
        rule.events_max.map_or(0, |keep| keeping(self.head(), keep.max(DEDUPE_RECENT)))
    }
}

impl Conversation {
    /// Writes the record as of the head, after these members, and drops what lies below a number. Memory says so at once,
    /// so that whoever reads from now on is told of the gap.
    pub(in crate::machine) fn project_and_drop(
        &mut self,
        key: &ConversationKey,
        members: Vec<ProjectionWrite>,
        below: Seq,
        out: &mut Vec<Effect>,
    ) {
        let trim_below = (below > self.state.first_available).then_some(below);
        if let Some(below) = trim_below {
            self.state.first_available = below;
        }
        let homes = Projecting::homes_of(&members);
        let pair = self.list(&members);
        let mut projection = Projection { pair, ..self.projection(key, true, trim_below) };
        projection.members.extend(members);
        let through = projection.through;
        out.push(Effect::Project { key: key.clone(), projection: Box::new(projection) });
        // Only memory knows what retention drops until this is written: so long the conversation stays there.
        self.pipeline().projecting.push(Projecting { homes, ..Projecting::of_nothing(through) });
    }
}

impl Machine {
    /// Has a conversation that stays in memory looked through for runs that have grown too old, if there may be one.
    pub(in crate::machine) fn look_at_age(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let cutoffs = self.config.retention.cutoffs(now.wall_ms);
        let Some(conversation) = self.loaded_mut(key) else { return };
        let state = &conversation.state;
        let (first, end) = (state.first_available, droppable(state.head()));
        let Some(before_ms) = cutoffs.of(state.profile.kind) else { return };
        if first < end && conversation.run_end_ms < before_ms {
            let plan = ReadPlan::Older { first, end, before_ms };
            out.push(Effect::Read { key: key.clone(), ticket: Box::new(Ticket::Age { key: key.clone() }), plan });
        }
    }

    /// A conversation was looked through for what is too old.
    pub(in crate::machine) fn aged(&mut self, key: &ConversationKey, older: Older, out: &mut Vec<Effect>) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        if older.below > conversation.state.first_available {
            if conversation.projecting() {
                // One projection at a time: the next look finds the same again.
                return;
            }
            conversation.project_and_drop(key, Vec::new(), older.below, out);
        }
        conversation.run_end_ms = conversation.run_end_ms.max(older.run_end_ms);
    }
}
