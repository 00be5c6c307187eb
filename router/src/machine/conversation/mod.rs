//! One conversation in memory: what its log comes to, who reads it, and the work under way.

pub(in crate::machine) mod listing;
pub(in crate::machine) mod members;
pub(in crate::machine) mod memory;
pub(in crate::machine) mod recent;
pub(in crate::machine) mod replay;
pub(in crate::machine) mod retention;

use std::time::Duration;

use switchyard_cluster::party::EdgeId;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, ConversationKind};
use switchyard_store::ProjectionWrite;

use crate::annotation::AnnotationEvent;
use crate::config::RetentionRule;
use crate::machine::activity::marks::Marked;
use crate::machine::activity::progress::Progress;
use crate::machine::conversation::listing::Listing;
use crate::machine::conversation::members::{Member, Members};
use crate::machine::conversation::recent::{COUNTS, IdHash, Recent};
use crate::machine::rights::approval::Approval;
use crate::machine::rights::blocks::Blocks;
use crate::machine::writing::erasing::Erased;
use crate::machine::writing::pipeline::{Pending, Pipeline};
use crate::machine::{Effect, Older, RECORD_EVERY, busy, refuse};
use crate::stored::{self, ChangeEvent, ConversationRecord, Founding, MembersEvent, StoredMember, stored_user};
use crate::timeline::message_id;

/// What a conversation is, apart from its members and events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Profile {
    pub(crate) kind: ConversationKind,
    /// An internal one of two, for good.
    pub(crate) pair: bool,
    pub(crate) name: Option<Box<str>>,
    pub(crate) avatar: Option<Box<str>>,
    pub(crate) context: Option<Box<str>>,
    pub(crate) created_ms: u64,
    /// Nobody may write to it until it is reopened.
    pub(crate) closed: bool,
    /// Numbers of the pinned messages, in the order in which they were pinned.
    pub(crate) pins: Box<[u64]>,
    /// Whether any message was ever changed.
    pub(crate) annotated: bool,
    /// Whether a direct one is wanted by both.
    pub(crate) approval: Approval,
}

impl Profile {
    fn pin(&mut self, seq: u64) {
        self.pins = self.pins.iter().copied().filter(|pinned| *pinned != seq).chain([seq]).collect();
    }

    fn unpin(&mut self, seq: u64) {
        if self.pins.contains(&seq) {
            self.pins = self.pins.iter().copied().filter(|pinned| *pinned != seq).collect();
        }
    }
}

/// What the events of a log come to, up to some number. Built by replay, moved on by each commit.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) profile: Profile,
    pub(crate) members: Members,
    /// The number that the next event gets; 0 before the founding row is committed.
    pub(crate) next: u64,
    /// How many messages there are.
    pub(crate) ordinal: u64,
    /// The newest event's time; times never go back within a conversation.
    pub(crate) time_ms: u64,
    /// The lowest number from 1 up that retention has left.
    pub(crate) first_available: u64,
    /// Deleted messages that some member may not have read, in order; see `marks.rs`.
    pub(crate) deleted: Vec<u64>,
    /// The newest client ids.
    pub(crate) recent: Recent,
    /// Of a conversation of two, who has blocked the other.
    pub(crate) blocks: Blocks,
    /// Nobody is a member any more, nor will be.
    pub(crate) erased: Erased,
    /// Under which name the members are stored.
    pub(crate) listing: Listing,
}

impl State {
    /// Before its founding.
    pub(crate) fn unborn() -> Self {
        Self {
            profile: Profile {
                kind: ConversationKind::Direct,
                pair: false,
                name: None,
                avatar: None,
                context: None,
                created_ms: 0,
                closed: false,
                pins: Box::default(),
                annotated: false,
                approval: Approval::default(),
            },
            members: Members::default(),
            next: 0,
            ordinal: 0,
            time_ms: 0,
            first_available: 1,
            deleted: Vec::new(),
            recent: Recent::after(0),
            blocks: Blocks::default(),
            erased: Erased::No,
            listing: Listing::default(),
        }
    }

    pub(crate) fn born(&self) -> bool {
        self.next > 0
    }

    /// The newest committed number; 0 also while there is none.
    pub(crate) fn head(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// It is founded by this user.
    pub(crate) fn found(&mut self, founding: &Founding, by: &str, time_ms: u64) {
        self.profile = Profile {
            kind: founding.kind(),
            pair: founding.pair,
            name: founding.name.as_deref().map(Into::into),
            avatar: founding.avatar.as_deref().map(Into::into),
            context: founding.context.as_deref().map(Into::into),
            created_ms: time_ms,
            closed: false,
            pins: Box::default(),
            annotated: false,
            approval: Approval::default(),
        };
        self.put_members(&founding.members, 0);
        self.listing = Listing::founded(founding.members.len());
        let maker = stored_user(by).filter(|_| founding.requested).and_then(|maker| self.members.place(&maker));
        self.profile.approval = maker.map(Approval::asked_by).unwrap_or_default();
        self.time_ms = time_ms;
        self.next = 1;
    }

    fn put_members(&mut self, members: &[StoredMember], joined: u64) {
        for member in members {
            if let Some(user) = stored_user(&member.user) {
                // What they will not have read is what comes. How many messages there were by then must be stored, but for
                // the founders, before whom there was none.
                let progress = Progress::joined(joined, self.ordinal);
                let progress = if joined > 0 { progress.with_next_record() } else { progress };
                self.members.put(Member { user, role: member.role(), joined, progress });
            }
        }
    }

    /// The event `next` is committed: a message of the member at this place. One that counts has the bit for it in its hash.
    pub(crate) fn commit_message(&mut self, hash: IdHash, sender: Option<usize>, time_ms: u64) {
        self.ordinal = self.ordinal.saturating_add(hash & COUNTS);
        if let Some(place) = sender.filter(|_| !self.profile.approval.is_open()) {
            self.profile.approval.written(place);
        }
        if let Some(sender) = sender.and_then(|place| self.members.at_mut(place)) {
            sender.progress.sent(self.next, self.ordinal, time_ms);
        }
        self.commit(hash, time_ms);
    }

    /// The event `next` is committed: members came, went or changed.
    pub(crate) fn commit_members(&mut self, event: &MembersEvent, time_ms: u64) {
        self.put_members(&event.added, self.next);
        for user in event.removed.iter().filter_map(|user| stored_user(user)) {
            self.members.remove(&user);
        }
        for member in &event.promoted {
            if let Some(user) = stored_user(&member.user) {
                self.members.set_role(&user, member.role());
            }
        }
        self.count(event.added.len(), event.removed.len());
        self.commit(crate::machine::conversation::recent::NO_ID, time_ms);
    }

    /// The event `next` is committed: another name, avatar or context, closed or reopened.
    pub(crate) fn commit_change(&mut self, event: &ChangeEvent, time_ms: u64) {
        // An empty text takes away what was there.
        let apply = |field: &mut Option<Box<str>>, value: &Option<String>| {
            if let Some(value) = value {
                *field = (!value.is_empty()).then(|| value.as_str().into());
            }
        };
        apply(&mut self.profile.name, &event.name);
        apply(&mut self.profile.avatar, &event.avatar);
        apply(&mut self.profile.context, &event.context);
        self.profile.closed = event.closed.unwrap_or(self.profile.closed);
        event.accepted.into_iter().for_each(|accepted| self.profile.approval.answered(accepted));
        event.pinned.into_iter().for_each(|seq| self.profile.pin(seq));
        event.unpinned.into_iter().for_each(|seq| self.profile.unpin(seq));
        self.commit(crate::machine::conversation::recent::NO_ID, time_ms);
    }

    /// The event `next` is committed: a message was changed.
    pub(crate) fn commit_annotation(&mut self, event: &AnnotationEvent, time_ms: u64) {
        self.profile.annotated = true;
        if let AnnotationEvent::Delete(delete) = event {
            self.profile.unpin(delete.target);
            if !delete.uncounted {
                self.count_no_more(delete.target);
            }
        }
        self.commit(crate::machine::conversation::recent::NO_ID, time_ms);
    }

    fn commit(&mut self, hash: IdHash, time_ms: u64) {
        self.next += 1;
        self.time_ms = time_ms;
        self.recent.push(hash);
    }

    /// The conversation's record as of the head.
    pub(crate) fn record(&self, key: &ConversationKey) -> ProjectionWrite {
        let text = |field: &Option<Box<str>>| field.as_deref().map(str::to_owned);
        let maker = self.profile.approval.maker().and_then(|place| self.members.at(place));
        let record = ConversationRecord {
            kind: self.profile.kind.into(),
            pair: self.profile.pair,
            name: text(&self.profile.name),
            avatar: text(&self.profile.avatar),
            context: text(&self.profile.context),
            created_ms: self.profile.created_ms,
            first_available: self.first_available,
            closed: self.profile.closed,
            pins: self.profile.pins.to_vec(),
            annotated: self.profile.annotated,
            marked: true,
            deleted: self.deleted.clone(),
            erased: self.erased != Erased::No,
            approval: self.profile.approval.standing().into(),
            requested_by: maker.map(|maker| maker.user.to_string()),
            few: self.members.few(),
            ..ConversationRecord::default()
        }
        .with_listing(&self.listing);
        ProjectionWrite::Conversation { key: key.clone(), at: self.head(), record: stored::encode(&record) }
    }

    /// A member's record as of event `at`; nothing for one who is none any more.
    pub(crate) fn member_record(&self, key: &ConversationKey, user: &str, at: u64) -> Option<ProjectionWrite> {
        let user = stored_user(user)?;
        let value = self.members.get(&user).map(|member| stored::encode(&member.record()));
        let list = self.listing.key(key).conversation;
        Some(ProjectionWrite::Member { key: key.clone(), list, user, at, value })
    }

    /// The conversation as this user sees it, who is a member of it, or was one just now, or is of the staff.
    pub(crate) fn detail(&self, key: &ConversationKey, user: &UserId) -> v1::Conversation {
        let place = self.members.place(user);
        let member = place.and_then(|place| self.members.at(place));
        let text = |field: &Option<Box<str>>| field.as_deref().map(str::to_owned);
        v1::Conversation {
            id: key.conversation.to_string(),
            kind: self.profile.kind.into(),
            name: text(&self.profile.name),
            avatar: text(&self.profile.avatar),
            context: text(&self.profile.context),
            head: self.head(),
            first_available: self.first_available,
            member_count: self.members.len() as u64,
            role: member.map_or(self.profile.visitors_role(), |member| member.role).into(),
            created_ms: self.profile.created_ms,
            closed: self.profile.closed,
            pins: self.profile.pins.iter().map(|seq| message_id(key, *seq)).collect(),
            unread: member.map_or(0, |member| self.unread(&member.progress)),
            read: member.map_or(0, |member| member.progress.read()),
            // No conversation knows who has archived it: whoever tells that puts it in.
            archived: false,
            blocked: self.is_blocking(user),
            request: place.and_then(|place| self.profile.approval.side(place)).map(Into::into),
            declined: self.profile.approval.is_declined(),
        }
    }

    /// What a service is told of it: what it needs to post once, and whether it may. Of people, names and texts it learns nothing.
    pub(crate) fn extent(&self, key: &ConversationKey) -> v1::Conversation {
        v1::Conversation {
            id: key.conversation.to_string(),
            kind: self.profile.kind.into(),
            head: self.head(),
            first_available: self.first_available,
            closed: self.profile.closed,
            ..v1::Conversation::default()
        }
    }
}

/// A conversation that is loaded.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) state: State,
    /// Edges that have subscribers.
    pub(crate) edges: Vec<EdgeId>,
    /// Work under way; nothing for one at rest.
    pub(crate) pipeline: Option<Box<Pipeline>>,
    /// The number up to which the stored record is known to be.
    pub(crate) recorded: u64,
    /// Whether the stored record, or one that is being written, says that there are overlays, if there are any.
    pub(crate) annotated_recorded: bool,
    /// The oldest complete run of events does not end before this time.
    pub(crate) run_end_ms: u64,
    /// Marks of its members are to be stored, see `marks.rs`.
    pub(crate) marked: Marked,
    /// Its next batch waits, see `pacing.rs`.
    pub(crate) paced: bool,
    /// Somebody may be typing, see `typing.rs`: what ends that has to look.
    pub(crate) typed: bool,
    /// Somebody wants to know how many members are online, see `presence/count.rs`.
    pub(crate) counted: bool,
    /// It was read for lists alone, and goes when they are made.
    pub(crate) passing: bool,
    /// When a member last asked something of it.
    pub(crate) touched: Duration,
    /// When it is next looked at for eviction, in whole milliseconds.
    pub(crate) looked_at_ms: u64,
}

impl Conversation {
    pub(crate) fn new(state: State, edges: Vec<EdgeId>, recorded: u64, now: Duration) -> Self {
        Self {
            annotated_recorded: false,
            state,
            edges,
            pipeline: None,
            recorded,
            run_end_ms: 0,
            marked: Marked::default(),
            paced: false,
            typed: false,
            counted: false,
            passing: false,
            touched: now,
            looked_at_ms: 0,
        }
    }

    /// Does what was left undone while the conversation was not in memory. What membership events above the record changed
    /// in the listings is written again, for their owner may have died in between; and what is no longer kept goes.
    pub(crate) fn catch_up(
        &mut self,
        key: &ConversationKey,
        touched: &[(String, u64)],
        older: Older,
        rule: RetentionRule,
        out: &mut Vec<Effect>,
    ) {
        self.run_end_ms = older.run_end_ms;
        let below = older.below.max(self.state.beyond(rule));
        let tombstone = self.state.erased == Erased::Begun && self.recorded < self.state.head();
        if touched.is_empty() && below <= self.state.first_available && !tombstone {
            return;
        }
        let members = touched.iter().filter_map(|(user, at)| self.state.member_record(key, user, *at)).collect();
        self.project_and_drop(key, members, below, out);
    }

    /// Whether the record is so old that the next load would replay a long stretch.
    pub(crate) fn record_is_due(&self) -> bool {
        self.state.head() >= self.recorded + RECORD_EVERY
    }

    /// Whether a projection is under way.
    pub(crate) fn projecting(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| !pipeline.projecting.is_empty())
    }

    pub(crate) fn pipeline(&mut self) -> &mut Pipeline {
        self.pipeline.get_or_insert_default()
    }

    /// Puts work in line, to be sealed at the end of the turn if nothing is in flight.
    pub(in crate::machine) fn enqueue(
        &mut self,
        key: &ConversationKey,
        pending: Pending,
        ready: &mut Vec<ConversationKey>,
        out: &mut Vec<Effect>,
    ) {
        if self.full() {
            return refuse(pending.asker, busy("too many events wait in this conversation"), out);
        }
        self.line_up(key, pending, ready);
    }

    /// Whether no more events may wait.
    pub(in crate::machine) fn full(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.full())
    }

    /// Puts work in line that has its room already.
    pub(in crate::machine) fn line_up(
        &mut self,
        key: &ConversationKey,
        pending: Pending,
        ready: &mut Vec<ConversationKey>,
    ) {
        self.pipeline().push(pending);
        self.ready(key, ready);
    }

    /// Names itself among those that are sealed at the end of the turn, if there is something to seal.
    pub(in crate::machine) fn ready(&mut self, key: &ConversationKey, ready: &mut Vec<ConversationKey>) {
        if !self.paced
            && let Some(pipeline) = &mut self.pipeline
            && pipeline.may_seal()
        {
            ready.push(key.clone());
        }
    }

    /// An edge has no reader here any more, nor waits for one.
    pub(crate) fn unsubscribe(&mut self, edge: EdgeId) {
        self.edges.retain(|other| *other != edge);
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.subscribing.retain(|asker| asker.edge != edge);
            pipeline.corked.retain(|effect| !matches!(effect, Effect::Publish { edge: to, .. } if *to == edge));
        }
    }

    /// Gives back what the last burst needed once nothing is under way.
    pub(crate) fn rest(&mut self) {
        if self.pipeline.as_ref().is_some_and(|pipeline| pipeline.idle()) {
            self.pipeline = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_field_is_felt() {
        // One for each conversation in memory. The allocator's next size is 384.
        assert!(size_of::<Conversation>() <= 320, "{}", size_of::<Conversation>());
    }
}
