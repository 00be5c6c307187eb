//! Marks: how far members have read and received, what that leaves unread, when it is stored, and who is told.
//!
//! A mark carries how many messages there are up to it, so that what is unread is a subtraction, whatever happened in between.
//! What a message does to its sender's mark follows from the log and is stored before the next record; what a member says
//! is stored within a second, all of a worker's in one write, and told at most once a second for each conversation.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use switchyard_cluster::link::{MarkAsk, MarksAsk, MarksNow, Refusal};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::limits::{DELIVERED_MEMBERS_MAX, MARK_STORED_WITHIN_MS, MARKS_TOLD_MEMBERS_MAX};
use switchyard_protocol::v1::{self, reply};
use switchyard_store::Mark;

use crate::machine::activity::progress::Progress;
use crate::machine::conversation::State;
use crate::machine::conversation::members::Member;
use crate::machine::ticket::Ticket;
use crate::machine::{Effect, Machine, ReadPlan, Repeat, SEEN, Slot, refuse, succeed};

/// How long what is said gathers before it is stored: half of what is promised, for the write takes its time too.
const STORE_EVERY: Duration = Duration::from_millis(MARK_STORED_WITHIN_MS / 2);

/// Marks in one write, so that it takes the store some milliseconds; the rest follows when it is done.
const MARKS_PER_WRITE_MAX: usize = 4_096;

/// Deleted messages of which some member may not have read all, at most: they are in the record. Of more, the oldest count as
/// unread for those who are so far behind.
const DELETED_MAX: usize = 1_000;

/// So many may be kept before it is looked whether anybody has not read them.
const DELETED_LOOK: usize = 64;

/// How long after something was told the next change waits: faster than this, nobody reads it.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Members of a large conversation who are told of their own marks at a time; the rest a second later.
const TOLD_AT_A_TIME_MAX: usize = 1_000;

const ABOVE_HEAD: Refusal = Refusal::new(ErrorCode::BadRequest, "the mark is above the conversation's head");

/// Whether what members of one conversation said is stored.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Marked {
    /// It is among those whose marks are stored next.
    queued: bool,
    /// Marks of it are being stored.
    storing: bool,
}

impl Marked {
    pub(crate) fn is_unstored(self) -> bool {
        self.queued || self.storing
    }

    /// Whether some of its marks are on their way to the store.
    pub(crate) fn is_storing(self) -> bool {
        self.storing
    }
}

/// What is to be stored and told, of all conversations.
#[derive(Debug, Default)]
pub(in crate::machine) struct Marking {
    /// Conversations with marks to be stored, each once.
    queued: Vec<ConversationKey>,
    /// When they are, unless some are being stored.
    store_at: Option<Duration>,
    /// Something is being stored.
    raising: bool,
    /// Conversations whose marks are being stored.
    storing: Vec<ConversationKey>,
    /// Conversations of which something was told within the last second, and whether there is more by now.
    told: HashMap<ConversationKey, bool, foldhash::fast::RandomState>,
    /// When each of those may be told of again, in order.
    quiet: VecDeque<(Duration, ConversationKey)>,
    /// Conversations to be told of at the end of this turn.
    news: Vec<ConversationKey>,
}

impl Marking {
    /// When something is to be done.
    pub(in crate::machine) fn deadline(&self) -> Option<Duration> {
        let store = self.store_at.filter(|_| !self.raising);
        store.into_iter().chain(self.quiet.front().map(|(at, _)| *at)).min()
    }

    /// Whether everything that was said is stored, or on its way.
    pub(in crate::machine) fn is_stored(&self) -> bool {
        self.queued.is_empty()
    }

    /// Conversations that it knows.
    pub(in crate::machine) fn len(&self) -> usize {
        self.queued.len() + self.storing.len() + self.told.len()
    }

    /// A member's marks have risen: they are to be stored and told.
    fn risen(&mut self, now: Now, key: &ConversationKey, marked: &mut Marked) {
        if !std::mem::replace(&mut marked.queued, true) {
            self.queued.push(key.clone());
            self.store_by(now.mono + STORE_EVERY);
        }
        self.has_news(key);
    }

    fn store_by(&mut self, at: Duration) {
        self.store_at = Some(self.store_at.map_or(at, |before| before.min(at)));
    }

    /// There is something to tell of this conversation's marks.
    fn has_news(&mut self, key: &ConversationKey) {
        if let Some(more) = self.told.get_mut(key) {
            *more = true;
        } else {
            self.told.insert(key.clone(), false);
            self.news.push(key.clone());
        }
    }
}

impl State {
    /// How many messages there are that a member with this progress has not read. Their own are none of them, for each
    /// moved the mark; nor are SYSTEM ones, which take no ordinal, or what was deleted before it was read.
    pub(crate) fn unread(&self, progress: &Progress) -> u64 {
        let deleted = self.deleted.len() - self.deleted.partition_point(|seq| *seq <= progress.read());
        // Nobody can read what is no longer kept.
        let kept = (self.head() + 1).saturating_sub(self.first_available);
        self.ordinal.saturating_sub(progress.ordinal()).saturating_sub(deleted as u64).min(kept)
    }

    /// A message that counted is deleted.
    pub(crate) fn count_no_more(&mut self, seq: u64) {
        if self.deleted.len() >= DELETED_LOOK {
            // What everybody has read is no longer of interest.
            let read = self.members.after(None).iter().map(|member| member.progress.read()).min().unwrap_or(u64::MAX);
            self.deleted.retain(|seq| *seq > read);
        }
        if let Err(at) = self.deleted.binary_search(&seq) {
            self.deleted.insert(at, seq);
        }
        if self.deleted.len() > DELETED_MAX {
            self.deleted.remove(0);
        }
    }

    /// The same as an answer.
    pub(in crate::machine) fn unread_of(&self, key: &ConversationKey, member: Option<&Member>) -> v1::UnreadCounts {
        let unread = member.map_or(0, |member| self.unread(&member.progress));
        let read = member.map_or(0, |member| member.progress.read());
        let one = v1::UnreadConversation { conversation: key.conversation.to_string(), unread, read, error: None };
        v1::UnreadCounts { conversations: vec![one], total: unread, ..v1::UnreadCounts::default() }
    }

    /// How many messages that count there are up to this number, if memory knows.
    fn ordinal_at(&self, seq: u64) -> Option<u64> {
        if seq == self.head() {
            return Some(self.ordinal);
        }
        Some(self.ordinal.saturating_sub(self.recent.counted_above(seq)?))
    }

    /// A page of members' marks, for one of them. Of those who have read a number, they are who were members when it was
    /// written. Of whom a request went to, its maker is told nothing.
    pub(in crate::machine) fn marks_page(&self, ask: &MarksAsk, asker: &UserId) -> v1::MarkPage {
        let hidden = self.hidden_from(asker);
        let mut marks = Vec::new();
        for member in self.members.after(ask.after.as_ref()) {
            let unknown = hidden == Some(&member.user);
            let passed = match ask.passed {
                Some(_) if unknown => continue,
                None => None,
                Some(seq) if member.joined < seq => match member.progress.passed(seq) {
                    None => continue,
                    passed => passed,
                },
                Some(_) => continue,
            };
            if marks.len() >= ask.limit {
                return v1::MarkPage { marks, more: true };
            }
            if unknown {
                marks.push(v1::MemberMarks { user: member.user.to_string(), ..v1::MemberMarks::default() });
                continue;
            }
            marks.push(v1::MemberMarks {
                passed_ms: passed.map(|passed| passed.ms),
                passed_earlier: passed.is_some_and(|passed| passed.earlier),
                ..member.progress.shown(member.user.as_str())
            });
        }
        v1::MarkPage { marks, more: false }
    }

    /// Marks that follow from the log up to the head, to be stored before a record says so.
    pub(in crate::machine) fn take_moved_marks(&mut self, key: &ConversationKey) -> Vec<Mark> {
        let moved = self.members.all_mut().iter_mut();
        let moved = moved.filter_map(|member| Some((&member.user, member.progress.take_moved()?)));
        let list = self.listing.key(key);
        moved.map(|(user, (kind, at, value))| Mark { key: list.clone(), user: user.clone(), kind, at, value }).collect()
    }

    /// What members said and is not stored.
    fn take_said_marks(&mut self, key: &ConversationKey, into: &mut Vec<Mark>) {
        let listing = &self.listing;
        for Member { user, progress, .. } in self.members.all_mut() {
            for (kind, at, value) in progress.take_said() {
                let also = listing.recorded(key);
                into.extend(also.map(|key| Mark { key, user: user.clone(), kind, at, value: value.clone() }));
                into.push(Mark { key: listing.key(key), user: user.clone(), kind, at, value });
            }
        }
    }
}

impl Machine {
    /// A member says how far they have come. Staff who are no members leave no trace.
    pub(in crate::machine) fn mark(
        &mut self,
        now: Now,
        from: Asker,
        key: &ConversationKey,
        user: &UserId,
        ask: MarkAsk,
        out: &mut Vec<Effect>,
    ) {
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let head = conversation.state.head();
        let state = &mut conversation.state;
        if ask.read.max(ask.delivered).is_some_and(|mark| mark > head) {
            return refuse(from, ABOVE_HEAD, out);
        }
        let kept = state.members.len() <= DELIVERED_MEMBERS_MAX;
        let Some(member) = state.members.get_mut(user) else { return self.answer_mark(from, key, user, out) };
        if let Some(delivered) = ask.delivered.filter(|_| kept)
            && member.progress.raise_delivered(delivered, now.wall_ms)
        {
            self.marking.risen(now, key, &mut conversation.marked);
        }
        let read = ask.read.unwrap_or(0);
        if read <= member.progress.read() {
            return self.answer_mark(from, key, user, out);
        }
        match state.ordinal_at(read) {
            Some(ordinal) => self.marked(now, from, key, user, (read, ordinal), out),
            None => {
                let plan = ReadPlan::Ordinal { seq: read, first: state.first_available, head };
                let ticket = Ticket::Mark { to: from, key: key.clone(), user: user.clone(), read };
                out.push(Effect::Read { key: key.clone(), ticket: Box::new(ticket), plan });
            }
        }
    }

    /// It is known how many messages a member has read.
    pub(in crate::machine) fn marked(
        &mut self,
        now: Now,
        to: Asker,
        key: &ConversationKey,
        user: &UserId,
        (read, ordinal): (u64, u64),
        out: &mut Vec<Effect>,
    ) {
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let Some(member) = conversation.state.members.get_mut(user) else {
            return self.answer_mark(to, key, user, out);
        };
        if member.progress.raise_read(read, ordinal, now.wall_ms) {
            self.marking.risen(now, key, &mut conversation.marked);
        }
        self.answer_mark(to, key, user, out);
    }

    fn answer_mark(&mut self, to: Asker, key: &ConversationKey, user: &UserId, out: &mut Vec<Effect>) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let progress = conversation.state.members.get(user).map(|member| &member.progress);
        let none = || v1::MemberMarks { user: user.to_string(), ..v1::MemberMarks::default() };
        let marked = v1::Marked {
            conversation: key.conversation.to_string(),
            marks: Some(progress.map_or_else(none, |progress| progress.shown(user.as_str()))),
            unread: progress.map_or(0, |progress| conversation.state.unread(progress)),
        };
        succeed(to, reply::Result::Marked(marked), out);
    }

    /// Has stored what members said, if it is time.
    pub(in crate::machine) fn store_marks(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.marking.raising || self.marking.store_at.is_none_or(|at| at > now.mono) {
            return;
        }
        let mut marks = Vec::new();
        self.presence.take_rows(now, self.process, MARKS_PER_WRITE_MAX, &mut marks);
        while marks.len() < MARKS_PER_WRITE_MAX
            && let Some(key) = self.marking.queued.pop()
        {
            let Some(Slot::Loaded(conversation)) = self.slots.get_mut(&key) else { continue };
            conversation.marked = Marked { queued: false, storing: true };
            conversation.state.take_said_marks(&key, &mut marks);
            self.marking.storing.push(key);
        }
        let more = !self.marking.queued.is_empty();
        self.marking.store_at = if more { Some(now.mono) } else { self.presence.rows_due() };
        if marks.is_empty() {
            // Whoever said something is no member any more.
            return self.stored(out);
        }
        self.marking.raising = true;
        out.push(Effect::Raise(marks));
    }

    /// Something else is to be stored with the next marks.
    pub(in crate::machine) fn store_soon(&mut self, now: Now) {
        if let Some(due) = self.presence.rows_due() {
            self.marking.store_by(due.max(now.mono + STORE_EVERY));
        }
    }

    /// Marks are stored, or not.
    pub(in crate::machine) fn raised(&mut self, now: Now, result: Result<(), Vec<Mark>>, out: &mut Vec<Effect>) {
        self.presence.rows_written(now);
        match result {
            Ok(()) => self.stored(out),
            Err(mut marks) => {
                // When somebody was seen last is not worth holding up what members said, or the end of the process.
                marks.retain(|mark| mark.kind < SEEN);
                self.presence.rows_refused();
                if marks.is_empty() {
                    return self.stored(out);
                }
                self.repeat(now, Repeat::Raise(marks));
            }
        }
    }

    fn stored(&mut self, out: &mut Vec<Effect>) {
        self.marking.raising = false;
        for key in std::mem::take(&mut self.marking.storing) {
            if let Some(conversation) = self.loaded_mut(&key) {
                conversation.marked.storing = false;
                // What is cleared must not come back by a mark that was on its way.
                self.go_on_erasing(&key, out);
            }
        }
    }

    /// A request is one no more: what was kept from its maker may be told.
    pub(in crate::machine) fn reveal_marks(&mut self, key: &ConversationKey) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let said = conversation.state.members.all_mut().iter_mut().filter_map(|member| member.progress.tell_again());
        if said.count() > 0 {
            self.marking.has_news(key);
        }
    }

    /// Tells of marks, as far as it is time.
    pub(in crate::machine) fn tell_marks(&mut self, now: Now, out: &mut Vec<Effect>) {
        for key in std::mem::take(&mut self.marking.news) {
            self.tell_marks_of(now, key, out);
        }
        while self.marking.quiet.front().is_some_and(|(at, _)| *at <= now.mono) {
            let Some((_, key)) = self.marking.quiet.pop_front() else { return };
            match self.marking.told.get_mut(&key) {
                Some(more) if *more => {
                    *more = false;
                    self.tell_marks_of(now, key, out);
                }
                _ => {
                    self.marking.told.remove(&key);
                }
            }
        }
    }

    fn tell_marks_of(&mut self, now: Now, key: ConversationKey, out: &mut Vec<Effect>) {
        if let Some(Slot::Loaded(conversation)) = self.slots.get_mut(&key) {
            let requested = !conversation.state.profile.approval.is_open();
            let own = requested || conversation.state.members.len() > MARKS_TOLD_MEMBERS_MAX;
            let mut untold = conversation.state.members.all_mut().iter_mut().filter(|it| it.progress.is_untold());
            let mut marks = Vec::new();
            for member in untold.by_ref().take(TOLD_AT_A_TIME_MAX) {
                member.progress.told();
                marks.push(member.progress.shown(member.user.as_str()));
            }
            if untold.next().is_some() {
                self.marking.told.insert(key.clone(), true);
            }
            for &edge in conversation.edges.iter().filter(|_| !marks.is_empty()) {
                let now = MarksNow { key: key.clone(), marks: marks.clone(), own, missed: false };
                out.push(Effect::Marks { edge, now: Box::new(now) });
            }
        }
        self.marking.quiet.push_back((now.mono + TELL_EVERY, key));
    }
}
