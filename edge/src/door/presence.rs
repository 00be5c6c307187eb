//! Presence: sessions that begin and end, to their users' homes; and what homes and owners say of those whom sessions watch, to
//! these. Whoever does not take what waits for it is told once it has, of how it is by then.

use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_cluster::link::{Ask, EdgeLink, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_cluster::presence::{Parted, PresenceAsk, PresenceNow, Seen};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1::{self, event::Body};

use super::Door;
use super::connection::Stage;
use super::deliver::Forms;
use crate::watchers::Last;

/// What homes were not told, for the way there was full: of each user, how many sessions more there are than the home knows.
/// Whoever came and went meanwhile is not in it, so it is no longer than there are sessions, or were when it began to fill.
#[derive(Default)]
pub(super) struct Untold {
    waiting: BTreeMap<ConversationKey, (UserId, i32)>,
    /// When it is tried again.
    again_at: Duration,
}

impl Untold {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When it is tried again, if there is anything.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.again_at)
    }
}

/// How long after the way to a home was full it is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

impl<L: EdgeLink> Door<L> {
    /// A session of this user has begun, or ended.
    pub(super) fn count_session(&mut self, home: ConversationKey, user: UserId, change: i32) {
        if let Some((_, waiting)) = self.untold.waiting.get_mut(&home) {
            *waiting += change;
            if *waiting == 0 {
                self.untold.waiting.remove(&home);
            }
            return;
        }
        self.tell_home(home, user, change);
    }

    /// Tells homes what they were not told.
    pub(super) fn tell_untold(&mut self, now: Now) {
        if self.untold.is_empty() || self.untold.again_at > now.mono {
            return;
        }
        self.untold.again_at = now.mono + AGAIN_AFTER;
        for (home, (user, change)) in std::mem::take(&mut self.untold.waiting) {
            self.tell_home(home, user, change);
        }
    }

    fn tell_home(&mut self, key: ConversationKey, user: UserId, change: i32) {
        let from = Asker::edge(self.desk.edge);
        let ask = Ask::Presence(PresenceAsk::Sessions(change));
        let request = Request { from, key: key.clone(), user: user.clone(), ask };
        if self.link.send(request.shard(), request).is_err() {
            self.untold.waiting.insert(key, (user, change));
        }
    }

    /// A session asks to watch somebody, or for a count.
    pub(super) fn ask_to_watch(&mut self, slot: u32, request: &mut Request) {
        match &mut request.ask {
            Ask::Watch(ask) => ask.turn = self.watchers.ask(&ask.home.key, Some(&ask.home.user), slot),
            Ask::Count => {
                self.watchers.ask(&request.key, None, slot);
            }
            _ => {}
        }
    }

    /// A home or an owner has answered how it is. Whoever asked may be gone.
    pub(super) fn presence_answered(&mut self, now: &PresenceNow) {
        if !self.watchers.put(now) {
            self.say_unwatched(now);
        }
    }

    /// A home or an owner says how it is.
    pub(super) fn fan_out_presence(&mut self, now: &PresenceNow) {
        if !self.watchers.put(now) {
            // The word that nobody here watches it was lost, or is on its way.
            return self.say_unwatched(now);
        }
        let (conversation, hash) = (now.key.conversation, self.watchers.hash(&now.seen));
        let mut told = v1::Presence::default();
        now.seen.put(conversation, &mut told);
        let whole = frame::encode_server(Form::Proto, &event(told));
        let mut forms = Forms::new(&whole);
        for watcher in self.watchers.list(&now.key) {
            let Some(connection) = self.connections.get_mut(watcher.slot as usize) else { continue };
            let Stage::Open(open) = &connection.stage else { continue };
            if !watcher.wants(hash) || connection.queue.put_presence_off(conversation) {
                continue;
            }
            let Some((frame, bytes)) = forms.get(open.session.form(), &mut self.outbox) else { continue };
            watcher.tell(hash);
            connection.queue.push(frame, bytes);
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(watcher.slot);
            }
        }
    }

    /// One of two users has blocked the other: sessions of this one watch that one no more by way of a conversation of these two.
    pub(super) fn part(&mut self, parted: &Parted, now: Now) {
        let Parted { home, watcher } = parted;
        let is_theirs = |slot: &u32| {
            let stage = self.connections.get(*slot as usize).map(|connection| &connection.stage);
            matches!(stage, Some(Stage::Open(open)) if open.session.user() == Some(watcher))
        };
        let slots: Vec<u32> = self.watchers.slots(&home.key).filter(is_theirs).collect();
        for slot in slots {
            self.with_session(slot, now, |session, cx| session.on_parted(home.key.conversation, cx));
        }
    }

    /// Tells one session how it is with these, as far as it watches them and does not know it.
    pub(super) fn tell_presence(&mut self, slot: u32, watched: &[ConversationId]) {
        let mut told = v1::Presence::default();
        for &conversation in watched {
            let Some(key) = self.key(slot, conversation) else { return };
            let Some(connection) = self.connections.get_mut(slot as usize) else { return };
            if !connection.queue.put_presence_off(conversation)
                && let Some(seen) = self.watchers.news(&key, slot)
            {
                seen.put(conversation, &mut told);
            }
        }
        if told != v1::Presence::default() {
            self.tell(slot, &event(told));
        }
    }

    /// The session's client was told what was answered.
    pub(super) fn watching(&mut self, slot: u32, conversation: ConversationId, told: &Seen) {
        if let Some(key) = self.key(slot, conversation) {
            self.watchers.began(&key, slot, told);
            self.tell_presence(slot, &[conversation]);
        }
    }

    /// The session watches this no more.
    pub(super) fn unwatching(&mut self, slot: u32, conversation: ConversationId) {
        if let Some(key) = self.key(slot, conversation) {
            self.stop_presence(slot, key);
        }
    }

    pub(super) fn stop_presence(&mut self, slot: u32, key: ConversationKey) {
        if let Some(Last { user }) = self.watchers.remove(&key, slot) {
            self.say_no_watchers(key, user);
        }
    }

    fn say_unwatched(&mut self, now: &PresenceNow) {
        let user = if let Seen::User { user, .. } = &now.seen { Some(user.clone()) } else { None };
        self.say_no_watchers(now.key.clone(), user);
    }

    /// Tells a home, or the owner of a conversation that is counted, that nobody here wants to know. If the way there is full,
    /// its next word will remind us.
    fn say_no_watchers(&mut self, key: ConversationKey, user: Option<UserId>) {
        let Some(user) = user else { return self.say_for_edge(key, Ask::CountEnd) };
        let from = Asker::edge(self.desk.edge);
        let ask = Ask::Presence(PresenceAsk::Unwatch { turn: self.watchers.turn() });
        let request = Request { from, key, user, ask };
        let _ = self.link.send(request.shard(), request);
    }
}

fn event(told: v1::Presence) -> v1::ServerFrame {
    frame::event(v1::Event { conversation: String::new(), seq: 0, body: Some(Body::Presence(told)) })
}
