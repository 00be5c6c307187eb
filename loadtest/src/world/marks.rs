//! Marks, counts of what is unread, and lists: readers say once a second how far they have read, list now and then, and ask
//! for all of it once more when nothing happens any more and each answer can be held against the timeline exactly.

use switchyard_protocol::v1::{self, client_frame::Request};

use crate::frame::MessageRef;
use crate::net::Net;
use crate::oracle::Fault;

use super::mixed::LastAsk;
use super::session::Control;
use super::{State, Timer, World, jitter};

/// How often a reader marks or lists.
const EVERY: u64 = 1_000_000_000;

/// One in so many of these is a list.
const LISTS_EVERY: u64 = 5;

/// Some readers stay so many messages behind, so that there is something unread.
const BEHIND: u64 = 3;

/// Conversations of a list's page: each user of a run has one.
const LIST_LIMIT: u32 = 10;

impl World {
    /// A reader has joined: from now on they mark and list.
    pub(super) fn start_ticking(&mut self, slot: usize, now: u64) {
        if !self.mixing.as_ref().is_some_and(|mixing| mixing.has_readers() && !mixing.closing) {
            return;
        }
        let session = &mut self.sessions[slot];
        let reads = session.reads;
        if let Some(part) = session.part.as_mut().filter(|part| reads && !part.ticking) {
            part.ticking = true;
            let first = jitter(!self.plan.seed, slot as u64, EVERY);
            self.at(now + first, slot, Timer::Tick);
        }
    }

    /// A second has passed for a reader.
    pub(super) fn tick(&mut self, slot: usize, net: &mut Net, now: u64) {
        let Some(mix) = self.mixing.as_ref().filter(|mixing| !mixing.closing).map(|mixing| mixing.mix) else { return };
        self.at(now + EVERY, slot, Timer::Tick);
        let session = &mut self.sessions[slot];
        let free = session.state == State::Joined && session.control.is_none();
        let Some(part) = session.part.as_mut().filter(|_| free) else { return };
        part.ticks += 1;
        if mix.lists && (!mix.marks || (part.ticks + slot as u64).is_multiple_of(LISTS_EVERY)) {
            part.asked_at = now;
            return self.list(slot, net);
        }
        let read = self.wanted_mark(slot);
        if mix.marks && self.sessions[slot].part.as_ref().is_some_and(|part| read > part.mark_said) {
            self.mark(slot, read, net);
        }
    }

    /// How far this reader says that they have read.
    fn wanted_mark(&self, slot: usize) -> u64 {
        self.sessions[slot].reader.position().saturating_sub(slot as u64 % BEHIND)
    }

    fn mark(&mut self, slot: usize, read: u64, net: &mut Net) {
        let session = &mut self.sessions[slot];
        let conversation = self.conversations[session.conversation].id.clone();
        if let Some(part) = session.part.as_mut() {
            part.mark_said = read;
        }
        let mark = v1::Mark { conversation, read: Some(read), ..v1::Mark::default() };
        self.request(slot, Control::Mark(read), Request::Mark(mark), net);
    }

    fn list(&mut self, slot: usize, net: &mut Net) {
        let session = &mut self.sessions[slot];
        let conversation = &self.conversations[session.conversation];
        session.acked_before = conversation.ledger.acked_head();
        if let (Some(part), Some(story)) = (session.part.as_mut(), conversation.story.as_ref()) {
            part.asked_newest = story.newest_acked();
        }
        let list = v1::List { limit: LIST_LIMIT, ..v1::List::default() };
        self.request(slot, Control::List, Request::List(list), net);
    }

    /// Nothing happens any more: every reader asks for the last time.
    pub fn start_last_asks(&mut self, net: &mut Net) {
        if let Some(mixing) = self.mixing.as_mut() {
            mixing.closing = true;
        }
        for slot in 0..self.sessions.len() {
            self.ask_last(slot, net);
        }
    }

    /// Whether everybody has had their last answer.
    pub fn has_asked_all(&self) -> bool {
        let parts = self.sessions.iter().filter(|session| session.reads).filter_map(|session| session.part.as_ref());
        parts.into_iter().all(|part| part.is_done())
    }

    /// The next of a reader's last requests.
    pub(super) fn ask_last(&mut self, slot: usize, net: &mut Net) {
        let Some(mix) = self.mixing.as_ref().filter(|mixing| mixing.closing).map(|mixing| mixing.mix) else { return };
        let session = &mut self.sessions[slot];
        if session.state != State::Joined || session.control.is_some() || !session.reads {
            return;
        }
        let Some(part) = session.part.as_mut() else { return };
        let ask = match part.last_ask {
            LastAsk::Mark | LastAsk::Unread if !mix.marks => LastAsk::List,
            ask => ask,
        };
        part.last_ask = if ask == LastAsk::List && !mix.lists { LastAsk::Nothing } else { ask };
        part.is_last_asked = true;
        match part.last_ask {
            LastAsk::Mark => {
                let read = self.wanted_mark(slot);
                self.mark(slot, read, net);
            }
            LastAsk::Unread => {
                let conversations = vec![self.conversations[session.conversation].id.clone()];
                self.request(slot, Control::Unread, Request::Unread(v1::Unread { conversations, all: false }), net);
            }
            LastAsk::List => self.list(slot, net),
            LastAsk::Nothing => {}
        }
    }

    /// Whether what this reader waits for is one of the last answers, given when nothing happens any more: what was asked
    /// for at a tick may still be under way when the last requests begin.
    fn is_last_asked(&self, slot: usize) -> bool {
        self.sessions[slot].part.as_ref().is_some_and(|part| part.is_last_asked)
    }

    /// An answer came.
    fn asked(&mut self, slot: usize, net: &mut Net) {
        if let Some(part) = self.sessions[slot].part.as_mut()
            && std::mem::take(&mut part.is_last_asked)
        {
            part.last_ask = match part.last_ask {
                LastAsk::Mark => LastAsk::Unread,
                LastAsk::Unread => LastAsk::List,
                LastAsk::List | LastAsk::Nothing => LastAsk::Nothing,
            };
        }
        self.advance(slot, net);
    }

    /// A mark was answered.
    pub(super) fn on_marked(&mut self, slot: usize, asked: u64, marked: &v1::Marked, net: &mut Net) {
        self.meter.tally.marks += 1;
        let own = marked.marks.as_ref().filter(|marks| marks.user == self.names[slot]);
        match own {
            Some(marks) => {
                self.check_own_mark(slot, asked, marks.read);
                self.check_unread(slot, marks.read, marked.unread);
                if let Some(part) = self.sessions[slot].part.as_mut() {
                    part.mark_acked = part.mark_acked.max(marks.read);
                }
            }
            None => self.verdict.add(Fault::Altered, 1, || format!("user {slot} marked, and was told of another's")),
        }
        self.asked(slot, net);
    }

    fn check_own_mark(&mut self, slot: usize, asked: u64, read: u64) {
        let Some(part) = self.sessions[slot].part.as_ref() else { return };
        *self.verdict.marks_checked.get_or_insert_default() += 1;
        let due = asked.max(part.mark_acked).max(part.own_acked);
        self.verdict.add(Fault::MarkBack, u64::from(read < due), || {
            format!("user {slot} has read up to {read}, and had up to {due}")
        });
    }

    /// What is unread above a number, where nothing happens any more.
    fn check_unread(&mut self, slot: usize, read: u64, unread: u64) {
        let conversation = &self.conversations[self.sessions[slot].conversation];
        let last = self.is_last_asked(slot);
        let known = conversation.story.as_ref().filter(|story| last && story.knows(conversation.audited_to));
        let Some(story) = known else { return };
        *self.verdict.unread_checked.get_or_insert_default() += 1;
        let due = story.unread(slot as u32, read);
        self.verdict.add(Fault::Unread, u64::from(unread != due), || {
            format!("user {slot} has {unread} unread messages above {read}, there are {due}")
        });
    }

    /// Counts of what is unread.
    pub(super) fn on_unread(&mut self, slot: usize, counts: &v1::UnreadCounts, net: &mut Net) {
        let own = &self.conversations[self.sessions[slot].conversation].id;
        let one = counts.conversations.first().filter(|one| one.conversation == *own && one.error.is_none());
        match one.map(|one| (one.read, one.unread)) {
            Some((read, unread)) => {
                self.check_own_mark(slot, 0, read);
                self.check_unread(slot, read, unread);
                let total = counts.total;
                self.verdict.add(Fault::Unread, u64::from(total != unread), || {
                    format!("user {slot} has {unread} unread messages in all, and is told of {total}")
                });
            }
            None => self.verdict.add(Fault::Unread, 1, || format!("user {slot} was told nothing of what is unread")),
        }
        self.asked(slot, net);
    }

    /// A list came.
    pub(super) fn on_listed(&mut self, slot: usize, list: &v1::Listed, net: &mut Net, now: u64) {
        if let Some(part) = self.sessions[slot].part.as_ref().filter(|part| !part.is_last_asked) {
            self.meter.list.record(now.saturating_sub(part.asked_at));
        }
        *self.verdict.lists_checked.get_or_insert_default() += 1;
        if let Err(what) = self.check_list(slot, list) {
            self.verdict.add(Fault::Listing, 1, || format!("user {slot} lists {what}"));
        }
        self.asked(slot, net);
    }

    fn check_list(&mut self, slot: usize, list: &v1::Listed) -> Result<(), String> {
        let session = &self.sessions[slot];
        let number = session.conversation;
        let own = &self.conversations[number];
        let (Some(story), Some(part)) = (own.story.as_ref(), session.part.as_ref()) else { return Ok(()) };
        let [v1::Listing { conversation: Some(conversation), last, .. }] = &list.conversations[..] else {
            return Err(format!("{} conversations, and has one", list.conversations.len()));
        };
        if conversation.id != own.id {
            return Err(format!("{}, which is another's", conversation.id));
        }
        if conversation.head < session.acked_before {
            return Err(format!("head {}, and {} was acknowledged", conversation.head, session.acked_before));
        }
        let newest = last.as_ref().map_or(0, |last| last.seq);
        if newest < part.asked_newest {
            return Err(format!("number {newest} as the newest, and {} was acknowledged", part.asked_newest));
        }
        if part.is_last_asked && story.knows(own.audited_to) {
            let due = story.unread(slot as u32, conversation.read);
            let (told, is) = ((newest, conversation.head), (story.newest(), own.audited_to));
            if told != is {
                return Err(format!("{} of {} as the newest, it is {} of {}", told.0, told.1, is.0, is.1));
            }
            if conversation.unread != due {
                return Err(format!("{} as unread above {}, there are {due}", conversation.unread, conversation.read));
            }
        }
        if let Some(last) = last {
            self.check_paged(slot, &MessageRef::from(last));
        }
        Ok(())
    }

    /// Others have come farther.
    pub(super) fn on_marks(&mut self, slot: usize, changed: &v1::MarksChanged) {
        if self.mixing.is_none() {
            return;
        }
        let conversation = self.sessions[slot].conversation;
        for marks in &changed.marks {
            let Some(user) = self.user(conversation, &marks.user) else {
                let name = marks.user.clone();
                self.verdict.add(Fault::Foreign, 1, || format!("user {slot} is told of {name}'s marks"));
                continue;
            };
            let Some(part) = self.sessions[slot].part.as_mut() else { return };
            *self.verdict.marks_checked.get_or_insert_default() += 1;
            let before = part.told.entry(user).or_default();
            let fell = marks.read < before.0 || marks.delivered < before.1;
            let was = *before;
            *before = (before.0.max(marks.read), before.1.max(marks.delivered));
            self.verdict.add(Fault::MarkBack, u64::from(fell), || {
                format!("user {slot} is told that {user} is at {} and {}, after {was:?}", marks.read, marks.delivered)
            });
        }
    }
}
