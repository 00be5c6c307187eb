//! After the run: every timeline read from 1 by a member, through history.

use switchyard_protocol::limits::PAGE_MESSAGES_MAX;
use switchyard_protocol::v1::{self, client_frame::Request};

use crate::frame::MessageRef;
use crate::net::Net;
use crate::oracle::{Audit, Fault, Place};

use super::session::{Control, Session};
use super::{State, World, told};

/// Timelines that are read at once: enough to keep the server busy, few enough that their pages stay small.
const AUDITS_AT_ONCE: usize = 64;

impl World {
    /// Begins to read the timelines.
    pub fn start_audit(&mut self, net: &mut Net) {
        while self.audits < AUDITS_AT_ONCE && self.next_audit < self.conversations.len() {
            let conversation = &mut self.conversations[self.next_audit];
            let auditor = conversation.members.end - 1;
            conversation.audit = Some(Audit::default());
            self.next_audit += 1;
            self.audits += 1;
            self.audit_next_page(auditor, net);
        }
    }

    /// Whether every timeline was read.
    pub fn is_audited(&self) -> bool {
        self.audits == 0 && self.next_audit == self.conversations.len()
    }

    pub(super) fn audit_next_page(&mut self, slot: usize, net: &mut Net) {
        let session = &self.sessions[slot];
        let conversation = &mut self.conversations[session.conversation];
        if session.state != State::Joined || session.control.is_some() || slot != conversation.members.end - 1 {
            return;
        }
        let Some(audit) = conversation.audit.as_mut() else { return };
        audit.ask(&conversation.ledger);
        let history = v1::History {
            conversation: conversation.id.clone(),
            after: Some(audit.position()),
            limit: PAGE_MESSAGES_MAX as u32,
            ..v1::History::default()
        };
        self.request(slot, Control::History, Request::History(history), net);
    }

    pub(super) fn on_page(&mut self, slot: usize, page: &v1::Page, net: &mut Net) {
        let number = self.sessions[slot].conversation;
        let Some(mut audit) = self.conversations[number].audit.take() else { return };
        for message in &page.messages {
            self.audit_message(slot, number, &mut audit, message);
            self.audit_present(slot, number, page.head, message);
        }
        let conversation = &mut self.conversations[number];
        if audit.more(page.head, &conversation.ledger, &conversation.id, &mut self.verdict) {
            conversation.audit = Some(audit);
            self.advance(slot, net);
            return;
        }
        conversation.audited_to = page.head;
        audit.finish(&mut conversation.ledger, &conversation.id, &mut self.verdict);
        self.audits -= 1;
        self.start_audit(net);
    }

    fn audit_message(&mut self, slot: usize, number: usize, audit: &mut Audit, message: &v1::Message) {
        let message = MessageRef::from(message);
        let (key, flaw) = self.identify(number, &message);
        if let Some(flaw) = flaw {
            self.blame(flaw, slot, message.seq, &message);
        }
        let conversation = &mut self.conversations[number];
        let mut found = None;
        if let Some(key) = key {
            let sender = &mut self.sessions[key.sender() as usize];
            let since =
                sender.outbox.as_mut().and_then(|outbox| outbox.get_mut(key.count())).map(|flight| flight.since);
            let behind = u64::from(since.is_some_and(|since| message.seq <= since));
            self.verdict.add(Fault::OutOfOrder, behind, || {
                format!("number {} is of a message sent after {since:?} was acknowledged", message.seq)
            });
            found = Some(&mut sender.found);
        }
        let place = Place { seq: message.seq, ordinal: message.ordinal };
        let (ledger, sound) = (&mut conversation.ledger, flaw.is_none());
        audit.message(place, key, message.time_ms, sound, ledger, found, &mut self.verdict);
    }

    /// Where more than messages happens: whether a message is what became of it.
    fn audit_present(&mut self, slot: usize, number: usize, head: u64, message: &v1::Message) {
        if self.mixing.is_none() {
            return;
        }
        let shown = MessageRef::from(message);
        let (Some(key), None) = self.identify(number, &shown) else { return };
        let Some(story) = self.conversations[number].story.as_ref() else { return };
        if !story.knows(head) {
            // Some readers have missed something, or something still happens.
            return self.check_age(slot, key, &shown);
        }
        match told::given(&message.reactions) {
            Some(given) => {
                let shown = self.shown(key, &shown);
                story.check_present(message.seq, shown, slot as u32, given, &mut self.verdict);
            }
            None => self.verdict.add(Fault::Miscounted, 1, || format!("number {} has other emoji", message.seq)),
        }
    }

    /// How far a reader is behind its timeline, as that was read.
    fn behind(&self, session: &Session) -> u64 {
        let head = self.conversations[session.conversation].audited_to;
        if session.reads { head.saturating_sub(session.reader.position()) } else { 0 }
    }

    /// Whether every reader has all that the timelines have.
    pub fn readers_are_done(&self) -> bool {
        self.sessions.iter().all(|session| self.behind(session) == 0)
    }

    /// Whether every reader has what was acknowledged.
    pub fn readers_have_all(&self) -> bool {
        self.sessions.iter().all(|session| {
            let acked = self.conversations[session.conversation].ledger.acked_head();
            !session.reads || session.reader.position() >= acked
        })
    }

    /// Draws the line: what readers have not got, and whether refused messages are to be seen.
    pub fn close_books(&mut self) {
        for (slot, session) in self.sessions.iter().enumerate() {
            let missing = self.behind(session);
            let position = session.reader.position();
            self.verdict.add(Fault::Gap, missing, || format!("reader {slot} has nothing after {position}"));
        }
        for &key in &self.refused {
            let seen = self.sessions[key.sender() as usize].found.has(key.count());
            self.verdict.add(Fault::RefusedVisible, u64::from(seen), || format!("{key:?} was refused"));
        }
        for conversation in &mut self.conversations {
            if let Some(story) = conversation.story.as_mut() {
                story.settle(&conversation.id, conversation.audited_to, &mut self.verdict);
            }
        }
        let silent = self.sessions.iter().filter(|session| session.reads).filter_map(|session| session.part.as_ref());
        self.verdict.unasked = silent.filter(|part| !part.is_done()).count() as u64;
        self.verdict.close();
    }
}
