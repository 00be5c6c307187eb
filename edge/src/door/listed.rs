//! Conversations that come to users' lists and go from them: from a user's home to those sessions that want all.

use switchyard_cluster::home::{HomeAsk, ListedNow};
use switchyard_cluster::link::{Ask, EdgeLink, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::CloseCode;
use switchyard_protocol::id::{ConversationKey, UserId};

use super::Door;
use super::connection::Stage;
use crate::session::PAGE_ENCODED_BYTES_MAX;

impl<L: EdgeLink> Door<L> {
    /// The home of a user says that a conversation came or went.
    pub(super) fn fan_out_listed(&mut self, listed: &ListedNow, now: Now) {
        let slots = self.watching.slots(&listed.home.key);
        if slots.is_empty() {
            // The word that nobody here wants to know was lost, or is on its way.
            return self.unwatch(listed.home.key.clone(), listed.home.user.clone());
        }
        let most = self.shared.config.room.queue_bytes_max + PAGE_ENCODED_BYTES_MAX;
        for slot in slots {
            let Some(connection) = self.connections.get(slot as usize) else { continue };
            if connection.queue.bytes() > most {
                // Nothing would tell it later: it comes again, and finds how it is by then.
                self.close_for(slot, CloseCode::Slow, now);
            } else {
                self.with_session(slot, now, |session, cx| session.on_listed(listed, cx));
            }
        }
    }

    /// A session wants all no more.
    pub(super) fn unwatched(&mut self, slot: u32) {
        let Some(connection) = self.connections.get(slot as usize) else { return };
        let Stage::Open(open) = &connection.stage else { return };
        if let (Some(tenant), Some(user)) = (open.session.tenant(), open.session.user()) {
            let (home, user) = (ConversationKey::home(tenant, user), user.clone());
            self.stop_watching(slot, home, user);
        }
    }

    pub(super) fn stop_watching(&mut self, slot: u32, home: ConversationKey, user: UserId) {
        if self.watching.remove(&home, slot) {
            self.unwatch(home, user);
        }
    }

    /// Tells a home that nobody here wants to know. If the way there is full, its next word will remind us.
    fn unwatch(&mut self, key: ConversationKey, user: UserId) {
        let from = Asker::edge(self.desk.edge);
        let request = Request { from, key, user, ask: Ask::Home(HomeAsk::Unwatch) };
        let _ = self.link.send(request.shard(), request);
    }
}
