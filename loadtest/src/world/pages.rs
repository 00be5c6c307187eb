//! Pages of history at random positions of the first conversation, one after the other, each checked.

use switchyard_protocol::v1::{self, client_frame::Request};

use crate::frame::MessageRef;
use crate::letter;
use crate::net::Net;
use crate::oracle::{Fault, Imprint};

use super::session::Control;
use super::{State, World};

/// Pages still to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pages {
    left: u64,
    done: u64,
    limit: u32,
    before: u64,
    asked: u64,
}

impl World {
    /// Begins to read `count` pages of `limit` messages.
    pub fn start_pages(&mut self, count: u64, limit: u32, net: &mut Net, now: u64) {
        self.pages.left = count;
        self.pages.limit = limit;
        self.pages.asked = now;
        self.ask_page(self.conversations[0].members.end - 1, net);
    }

    /// Pages not read yet.
    pub fn pages_left(&self) -> u64 {
        self.pages.left
    }

    /// Asks for the page whose turn it is, if this user reads them and has nothing else to ask: for the first time, or
    /// again after a refusal or on another connection. Its time runs on from the first.
    pub(super) fn ask_page(&mut self, slot: usize, net: &mut Net) {
        let (session, conversation) = (&self.sessions[slot], &self.conversations[0]);
        let free = session.state == State::Joined && session.control.is_none();
        if self.pages.left == 0 || !free || slot != conversation.members.end - 1 {
            return;
        }
        let head = conversation.ledger.acked_head();
        let limit = u64::from(self.pages.limit);
        let places = (head + 1).saturating_sub(limit).max(1);
        // Another sequence than that of bodies, which follow from the seed as it is.
        let choice = letter::mix(!self.plan.seed, self.pages.done) % places;
        self.pages.before = (limit + 1 + choice).min(head + 1);
        let history = v1::History {
            conversation: conversation.id.clone(),
            before: Some(self.pages.before),
            limit: self.pages.limit,
            ..v1::History::default()
        };
        self.request(slot, Control::Page, Request::History(history), net);
    }

    /// A page must hold the messages right below the position, newest first.
    pub(super) fn on_random_page(&mut self, slot: usize, page: &v1::Page, net: &mut Net, now: u64) {
        self.meter.page.record(now.saturating_sub(self.pages.asked));
        let before = self.pages.before;
        let wanted = (before - 1).min(u64::from(self.pages.limit));
        let missing = wanted.saturating_sub(page.messages.len() as u64);
        self.verdict
            .add(Fault::Gap, missing, || format!("a page before {before} has {} messages", page.messages.len()));
        let mut due = before;
        for message in &page.messages {
            due = due.saturating_sub(1);
            let message = MessageRef::from(message);
            let (key, flaw) = self.identify(0, &message);
            let said = key.map(|key| Imprint::new(key, message.time_ms));
            if let Some(flaw) = flaw {
                self.blame(flaw, slot, message.seq, &message);
            } else if message.seq != due {
                self.verdict.add(Fault::OutOfOrder, 1, || format!("a page has {} where {due} is due", message.seq));
            } else if let Some(known) = self.conversations[0].ledger.known_at(due).filter(|&known| Some(known) != said)
            {
                self.verdict.add(Fault::Altered, 1, || format!("a page has {said:?} at {due}, it was {known:?}"));
            }
        }
        self.pages.left -= 1;
        self.pages.done += 1;
        self.pages.asked = now;
        self.ask_page(slot, net);
    }
}
