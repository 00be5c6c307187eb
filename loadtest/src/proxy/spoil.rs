//! One deed to what people do beside writing: what a server that loses edits, brings back what was deleted, counts wrong or
//! forgets marks would do.

use std::collections::{HashMap, HashSet};

use switchyard_protocol::v1::{self, ServerFrame, event, reply, server_frame};

use super::Mutator;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoilage {
    /// An edit's event does not arrive.
    DropEdit,
    /// An edit's event shows another text.
    AlterEdit,
    /// A deletion's event does not arrive.
    DropDeletion,
    /// An emoji's event says one more than give it.
    MiscountEvent,
    /// An edit is said to be done, and its event is another message's.
    SwapAck,
    /// A deleted message stands in a history with a text.
    Resurrect,
    /// An edited message stands in a history with the text that it had before.
    Unedit,
    /// A message in a history has an emoji more than were given.
    Miscount,
    /// Somebody's mark is told to be where it was before.
    LowerMark,
    /// A mark is answered with a lower one.
    LowerOwnMark,
    /// One more is unread than there are.
    MiscountUnread,
    /// A list shows no newest message.
    HideNewest,
}

/// Does one deed, to the `nth` of its kind (from 0) that is seen over all connections.
#[derive(Debug)]
pub struct Spoil {
    what: Spoilage,
    nth: u64,
    seen: u64,
    /// Texts that messages had, to bring them back.
    texts: HashMap<String, String>,
    /// Whose marks were told on which connection.
    told: HashSet<(usize, String)>,
}

impl Spoil {
    /// That deed, to that one.
    pub fn new(what: Spoilage, nth: u64) -> Self {
        Self { what, nth, seen: 0, texts: HashMap::new(), told: HashSet::new() }
    }

    /// Whether it is the turn of what was just seen.
    fn is_now(&mut self) -> bool {
        self.seen += 1;
        self.seen == self.nth + 1
    }

    /// What is done to an event; whether it arrives.
    fn event(&mut self, link: usize, body: &mut event::Body) -> bool {
        match (self.what, body) {
            (Spoilage::Resurrect | Spoilage::Unedit, event::Body::Message(message)) => {
                self.texts.insert(message.id.clone(), message.text.clone());
            }
            (Spoilage::DropEdit, event::Body::Updated(_)) | (Spoilage::DropDeletion, event::Body::Deleted(_)) => {
                return !self.is_now();
            }
            (Spoilage::AlterEdit, event::Body::Updated(message)) if self.is_now() => message.text.push('x'),
            (Spoilage::MiscountEvent, event::Body::Reacted(reacted)) if self.is_now() => reacted.count += 1,
            (Spoilage::LowerMark, event::Body::Marks(changed)) => {
                // The first that is told of anybody has nothing to fall behind.
                for marks in &mut changed.marks {
                    if !self.told.insert((link, marks.user.clone())) && self.is_now() {
                        marks.read = 0;
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn reply(&mut self, result: &mut reply::Result) {
        match (self.what, result) {
            (Spoilage::SwapAck, reply::Result::Changed(changed)) if changed.seq > 1 && self.is_now() => {
                changed.seq -= 1;
            }
            (Spoilage::LowerOwnMark, reply::Result::Marked(v1::Marked { marks: Some(marks), .. })) if self.is_now() => {
                marks.read = 0;
            }
            (Spoilage::MiscountUnread, reply::Result::Unread(counts)) if self.is_now() => {
                counts.total += 1;
                counts.conversations.iter_mut().for_each(|one| one.unread += 1);
            }
            (Spoilage::HideNewest, reply::Result::Listed(list)) if self.is_now() => {
                list.conversations.iter_mut().for_each(|listing| listing.last = None);
            }
            (_, reply::Result::Page(page)) => page.messages.iter_mut().for_each(|message| self.message(message)),
            _ => {}
        }
    }

    fn message(&mut self, message: &mut v1::Message) {
        let what = self.what;
        match what {
            Spoilage::Resurrect if message.deleted && self.is_now() => {
                message.deleted = false;
                message.text = self.texts.remove(&message.id).unwrap_or_default();
            }
            Spoilage::Unedit if message.edited_ms.is_some() && self.is_now() => {
                message.text = self.texts.remove(&message.id).unwrap_or_default();
            }
            Spoilage::Miscount if !message.reactions.is_empty() && self.is_now() => {
                message.reactions.iter_mut().take(1).for_each(|reaction| reaction.count += 1);
            }
            _ => {}
        }
    }
}

impl Mutator for Spoil {
    fn mutate(&mut self, link: usize, mut frame: ServerFrame) -> Vec<ServerFrame> {
        let arrives = match &mut frame.frame {
            Some(server_frame::Frame::Event(v1::Event { body: Some(body), .. })) => self.event(link, body),
            Some(server_frame::Frame::Reply(v1::Reply { result: Some(result), .. })) => {
                self.reply(result);
                true
            }
            _ => true,
        };
        if arrives { vec![frame] } else { Vec::new() }
    }
}
