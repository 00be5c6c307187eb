//! One deed to one message: what a server that loses, repeats, confuses or changes messages would do.

use switchyard_protocol::v1::{self, ServerFrame, event, reply, server_frame};

use crate::letter::{MessageKey, PER_SENDER_MAX};

use super::Mutator;

/// Where a message is when something happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spot {
    /// In the answer to its sender.
    Ack,
    /// In a live event.
    Event,
    /// In a page of history.
    Page,
    /// Among the events of a resume.
    Resume,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// It does not arrive.
    Drop,
    /// It arrives twice.
    Double,
    /// It changes places with the one after it. Acks, which have no order, exchange what they say.
    Swap,
    /// A letter of its body is another.
    AlterBody,
    /// Its client id is another.
    AlterClientId,
    /// Its client id is of a message that its sender has not come to.
    Invent,
    /// Its sender is another.
    AlterSender,
    /// Its kind is another.
    AlterKind,
    /// Its time is another.
    AlterTime,
    /// Its sender is told that it had been stored before.
    CallDuplicate,
    /// It is said to be of another conversation.
    Misplace,
    /// Its number arrives without it; in a history, where rows are messages, with an empty one.
    Strip,
    /// The page that it is in says that the timeline ends earlier.
    Age,
}

/// Does one deed, to the `nth` message (from 0) that is seen at the spot, over all connections.
#[derive(Debug)]
pub struct Sabotage {
    spot: Spot,
    deed: Deed,
    nth: u64,
    seen: u64,
    /// A frame that waits for the one after it on its connection.
    held: Option<(usize, ServerFrame)>,
}

impl Sabotage {
    /// That deed, there, to that message.
    pub fn new(spot: Spot, deed: Deed, nth: u64) -> Self {
        Self { spot, deed, nth, seen: 0, held: None }
    }

    /// Whether it is the message's turn.
    fn is_now(&mut self) -> bool {
        self.seen += 1;
        self.seen == self.nth + 1
    }

    fn frame(&mut self, link: usize, mut frame: ServerFrame) -> Vec<ServerFrame> {
        if let Some((_, first)) = self.held.take_if(|(holder, _)| *holder == link) {
            return swap(first, frame);
        }
        if !self.is_now() {
            return vec![frame];
        }
        match self.deed {
            Deed::Drop => Vec::new(),
            Deed::Double => vec![frame.clone(), frame],
            Deed::Swap => {
                self.held = Some((link, frame));
                Vec::new()
            }
            deed => {
                if let Some(message) = message_mut(&mut frame) {
                    alter(deed, message);
                }
                match (deed, &mut frame.frame) {
                    (Deed::Misplace, Some(server_frame::Frame::Event(event))) => event.conversation = elsewhere(),
                    (Deed::Strip, Some(server_frame::Frame::Event(event))) => event.body = None,
                    (
                        Deed::Strip,
                        Some(server_frame::Frame::Reply(v1::Reply { result: Some(reply::Result::Sent(sent)), .. })),
                    ) => sent.message = None,
                    (
                        Deed::CallDuplicate,
                        Some(server_frame::Frame::Reply(v1::Reply { result: Some(reply::Result::Sent(sent)), .. })),
                    ) => sent.duplicate = true,
                    _ => {}
                }
                vec![frame]
            }
        }
    }

    /// The same within a list; `message` finds the message in an item, `strip` takes it out.
    fn list<T: Clone>(
        &mut self,
        items: &mut Vec<T>,
        message: impl Fn(&mut T) -> Option<&mut v1::Message>,
        strip: impl Fn(&mut T),
    ) {
        let before = self.seen;
        self.seen += items.len() as u64;
        let Some(at) = self.nth.checked_sub(before).map(|at| at as usize).filter(|&at| at < items.len()) else {
            return;
        };
        match self.deed {
            Deed::Drop => drop(items.remove(at)),
            Deed::Double => items.insert(at, items[at].clone()),
            Deed::Swap => {
                let last = items.len() - 1;
                items.swap(at, (at + 1).min(last));
            }
            Deed::Strip => strip(&mut items[at]),
            deed => {
                if let Some(message) = message(&mut items[at]) {
                    alter(deed, message);
                }
            }
        }
    }
}

impl Mutator for Sabotage {
    fn mutate(&mut self, link: usize, mut frame: ServerFrame) -> Vec<ServerFrame> {
        use reply::Result as R;
        use server_frame::Frame;
        let spot = match &mut frame.frame {
            Some(Frame::Reply(v1::Reply { result: Some(R::Sent(_)), .. })) => Spot::Ack,
            Some(Frame::Event(v1::Event { body: Some(event::Body::Message(_)), .. })) => Spot::Event,
            Some(Frame::Reply(v1::Reply { result: Some(R::Page(page)), .. })) if self.spot == Spot::Page => {
                if self.deed == Deed::Age {
                    page.head -= u64::from(self.is_now());
                } else {
                    self.list(&mut page.messages, |message| Some(message), empty);
                }
                return vec![frame];
            }
            Some(Frame::Reply(v1::Reply { result: Some(R::Resumed(resumed)), .. })) if self.spot == Spot::Resume => {
                for conversation in &mut resumed.conversations {
                    self.list(&mut conversation.events, message_of, |event| event.body = None);
                }
                return vec![frame];
            }
            _ => return vec![frame],
        };
        if spot == self.spot { self.frame(link, frame) } else { vec![frame] }
    }
}

fn message_mut(frame: &mut ServerFrame) -> Option<&mut v1::Message> {
    match frame.frame.as_mut()? {
        server_frame::Frame::Reply(v1::Reply { result: Some(reply::Result::Sent(sent)), .. }) => sent.message.as_mut(),
        server_frame::Frame::Event(v1::Event { body: Some(event::Body::Message(message)), .. }) => Some(message),
        _ => None,
    }
}

/// Events change places; acks exchange their messages, each under its own request.
fn swap(mut first: ServerFrame, mut second: ServerFrame) -> Vec<ServerFrame> {
    let is_ack = matches!(first.frame, Some(server_frame::Frame::Reply(_)));
    if let (true, Some(a), Some(b)) = (is_ack, message_mut(&mut first), message_mut(&mut second)) {
        std::mem::swap(a, b);
        return vec![first, second];
    }
    vec![second, first]
}

fn message_of(event: &mut v1::Event) -> Option<&mut v1::Message> {
    match &mut event.body {
        Some(event::Body::Message(message)) => Some(message),
        _ => None,
    }
}

/// Leaves of a row only where it stands.
fn empty(message: &mut v1::Message) {
    let v1::Message { conversation, seq, ordinal, .. } = std::mem::take(message);
    *message = v1::Message { conversation, seq, ordinal, ..v1::Message::default() };
}

fn elsewhere() -> String {
    "0".repeat(switchyard_protocol::id::CONVERSATION_TEXT_LEN)
}

fn alter(deed: Deed, message: &mut v1::Message) {
    match deed {
        Deed::AlterBody => {
            let last = message.text.pop().unwrap_or(' ');
            message.text.push(if last == 'x' { 'y' } else { 'x' });
        }
        Deed::AlterClientId => message.client_id.push('x'),
        Deed::Invent => {
            let later = MessageKey::parse(message.client_id.as_bytes())
                .map(|key| MessageKey::new(key.sender(), PER_SENDER_MAX - 1).client_id());
            message.client_id = later.map_or_else(String::new, |later| later.as_str().to_owned());
        }
        Deed::AlterSender => message.sender.push('x'),
        Deed::AlterKind => message.kind = v1::MessageKind::File.into(),
        Deed::AlterTime => message.time_ms += 1,
        Deed::Misplace => message.conversation = elsewhere(),
        Deed::CallDuplicate | Deed::Drop | Deed::Double | Deed::Swap | Deed::Strip | Deed::Age => {}
    }
}
