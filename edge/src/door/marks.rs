//! Marks: from the owner to those who read the conversation. They give way to everything else: whoever does not take what waits
//! for it is told, once it has, that it missed some, and asks for them.

use switchyard_cluster::link::{EdgeLink, MarksNow};
use switchyard_protocol::frame::{self, Form};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, event::Body};

use super::Door;
use super::connection::Stage;
use super::deliver::Forms;
use crate::fanout::Upkeep;

impl<L: EdgeLink> Door<L> {
    /// The owner says how far members have come.
    pub(super) fn fan_out_marks(&mut self, now: &MarksNow) {
        let conversation = now.key.conversation;
        let Some(readers) = self.readers.get_mut(&now.key) else {
            // The word that nobody here reads it was lost, or is on its way.
            return self.keep_up(now.key.clone(), Upkeep::Unsubscribe);
        };
        let missed = now.missed && !now.own;
        let common = if now.own { Vec::new() } else { now.marks.clone() };
        let whole = frame::encode_server(Form::Proto, &event(conversation, common, missed));
        let mut forms = Forms::new(&whole);
        let mut own = Vec::new();
        for reader in readers.iter() {
            let Some(connection) = self.connections.get_mut(reader.slot as usize) else { continue };
            let Stage::Open(open) = &connection.stage else { continue };
            if now.own {
                let marks = open.session.user().and_then(|user| now.of(user));
                own.extend(marks.map(|marks| (reader.slot, marks.clone())));
                continue;
            }
            if connection.queue.leave_marks_out(conversation) {
                continue;
            }
            let Some((frame, bytes)) = forms.get(open.session.form(), &mut self.outbox) else { continue };
            connection.queue.push(frame, bytes);
            if !connection.dirty {
                connection.dirty = true;
                self.dirty.push(reader.slot);
            }
        }
        for (slot, marks) in own {
            let Some(connection) = self.connections.get_mut(slot as usize) else { continue };
            if !connection.queue.leave_marks_out(conversation) {
                self.tell(slot, &event(conversation, vec![marks], false));
            }
        }
    }

    /// Tells a session that has taken all that waited of marks that it was not told, if it reads the conversation still.
    pub(super) fn tell_marks_missed(&mut self, slot: u32, conversation: ConversationId) {
        let Some(key) = self.key(slot, conversation) else { return };
        if self.is_reading(slot, &key) {
            self.tell(slot, &event(conversation, Vec::new(), true));
        }
    }
}

fn event(conversation: ConversationId, marks: Vec<v1::MemberMarks>, missed: bool) -> v1::ServerFrame {
    let body = Some(Body::Marks(v1::MarksChanged { marks, missed }));
    frame::event(v1::Event { conversation: conversation.to_string(), seq: 0, body })
}
