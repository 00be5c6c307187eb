//! Who types: from the owner to those sessions that have the conversation open, and what the owner is to know of them.
//! Whoever does not take what waits for it is told once it has, of how it is by then.

use switchyard_cluster::link::{Ask, EdgeLink, Request, TypersNow};
use switchyard_cluster::party::Asker;
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1::{self, event::Body};

use super::Door;
use super::connection::{ConnectionId, Stage};
use super::deliver::Forms;

/// The session of no connection here.
const NOBODYS: u64 = u64::MAX;

impl<L: EdgeLink> Door<L> {
    /// The owner says who types.
    pub(super) fn fan_out_typing(&mut self, typers: Box<TypersNow>) {
        let key = typers.key.clone();
        let conversation = key.conversation;
        let common = typers.seen_by(NOBODYS);
        if !self.opened.put(typers) {
            // The word that nobody here has it open was lost, or is on its way.
            return self.say_for_edge(key, Ask::Hide);
        }
        let hash = self.opened.hash(&common);
        let Some((openers, typers)) = self.opened.openers(&key) else { return };
        let whole = frame::encode_server(Form::Proto, &event(conversation, common));
        let mut forms = Forms::new(&whole);
        let mut typing_themselves = Vec::new();
        for opener in openers {
            let Some(connection) = self.connections.get_mut(opener.slot as usize) else { continue };
            let Stage::Open(open) = &connection.stage else { continue };
            if typers.own.iter().any(|(session, _)| *session == connection.id.number()) {
                typing_themselves.push(opener.slot);
                continue;
            }
            if connection.queue.put_typing_off(conversation) || !opener.wants(hash) {
                continue;
            }
            let Some((frame, bytes)) = forms.get(open.session.form(), &mut self.outbox) else { continue };
            connection.queue.push(frame, bytes);
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(opener.slot);
            }
        }
        for slot in typing_themselves {
            self.tell_typing(slot, conversation);
        }
    }

    /// Tells one session who types there now, if it has the conversation open and does not know it.
    pub(super) fn tell_typing(&mut self, slot: u32, conversation: ConversationId) {
        let Some(key) = self.key(slot, conversation) else { return };
        let Some(connection) = self.connections.get_mut(slot as usize) else { return };
        if connection.queue.put_typing_off(conversation) {
            return;
        }
        let session = connection.id.number();
        if let Some(typers) = self.opened.news(&key, slot, session) {
            self.tell(slot, &event(conversation, typers));
        }
    }

    /// The owner has answered that the session may show the conversation.
    pub(super) fn opened(&mut self, slot: u32, conversation: ConversationId, typers: &v1::Typers) {
        if let Some(key) = self.key(slot, conversation) {
            self.opened.answered(&key, slot, typers);
        }
    }

    /// The session's client was told what the owner had answered.
    pub(super) fn shown(&mut self, slot: u32, conversation: ConversationId) {
        if let Some(key) = self.key(slot, conversation)
            && self.opened.shown(&key, slot)
        {
            self.tell_typing(slot, conversation);
        }
    }

    /// The session shows the conversation no more.
    pub(super) fn closed(&mut self, slot: u32, conversation: ConversationId) {
        if let Some(key) = self.key(slot, conversation) {
            self.close_opened(&key, slot);
        }
    }

    pub(super) fn close_opened(&mut self, key: &ConversationKey, slot: u32) {
        if self.opened.remove(key, slot) {
            self.say_for_edge(key.clone(), Ask::Hide);
        }
    }

    /// A session is gone whose user was typing.
    pub(super) fn end_typing(&mut self, id: ConnectionId, key: ConversationKey, user: &UserId) {
        let from = Asker { session: id.number(), ..Asker::edge(self.desk.edge) };
        let shard = Shard::of_conversation(&key);
        // If the way there is full, it is over by itself in a few seconds.
        let _ = self.link.send(shard, Request { from, key, user: user.clone(), ask: Ask::TypingEnd });
    }
}

fn event(conversation: ConversationId, typers: v1::Typers) -> v1::ServerFrame {
    let body = Some(Body::Typing(typers));
    frame::event(v1::Event { conversation: conversation.to_string(), seq: 0, body })
}
