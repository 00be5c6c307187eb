//! Numbered events that are no messages, in: what each says, checked by itself and given to the timeline's story.

use switchyard_protocol::v1::{self, event};

use crate::frame::MessageRef;
use crate::letter::MessageKey;
use crate::mix::EMOJI;
use crate::oracle::{Event, Fault, Seen, Shown};

use super::{World, is_message_id};

impl World {
    /// A numbered event holds no message.
    pub(super) fn on_other(&mut self, slot: usize, event: &v1::Event, seen: Seen) {
        let conversation = self.sessions[slot].conversation;
        if self.conversations[conversation].story.is_none() || !self.sessions[slot].reader.is_of_the_run(event.seq) {
            return self.on_no_message(slot, event.seq);
        }
        let read = match &event.body {
            Some(event::Body::Updated(message)) => return self.on_updated(slot, event.seq, message, seen),
            Some(event::Body::Deleted(deleted)) => self.read_deleted(conversation, deleted),
            Some(event::Body::Reacted(reacted)) => self.read_reacted(conversation, reacted),
            _ => return self.on_no_message(slot, event.seq),
        };
        match read {
            Ok(read) => self.tell(conversation, event.seq, read, seen),
            Err(what) => {
                let seq = event.seq;
                self.verdict.add(Fault::Altered, 1, || format!("{what} of number {seq} as user {slot} got it"));
            }
        }
    }

    /// A number is told to the story of its timeline.
    pub(super) fn tell(&mut self, conversation: usize, seq: u64, event: Event, seen: Seen) {
        if let Some(story) = self.conversations[conversation].story.as_mut() {
            story.told(seq, event, seen, &mut self.verdict);
        }
    }

    fn on_updated(&mut self, slot: usize, seq: u64, message: &v1::Message, seen: Seen) {
        let message = MessageRef::from(message);
        let how = if seen == Seen::Missed { Seen::Missed } else { Seen::Aside };
        if message.seq >= seq {
            let target = message.seq;
            return self
                .verdict
                .add(Fault::Altered, 1, || format!("number {seq} is an edit of {target}, which is later"));
        }
        if let (Some(key), true) = self.check_message(slot, message.seq, &message, how) {
            let shown = self.shown(key, &message);
            let event = Event::Edit { target: message.seq, shown };
            self.tell(self.sessions[slot].conversation, seq, event, seen);
        }
    }

    /// What an answer shows of a message must be as new as what was acknowledged when it was asked for.
    pub(super) fn check_age(&mut self, slot: usize, key: MessageKey, message: &MessageRef<'_>) {
        let shown = self.shown(key, message);
        let session = &self.sessions[slot];
        let (Some(story), Some(part)) = (&self.conversations[session.conversation].story, &session.part) else {
            return;
        };
        story.check_shown(message.seq, shown, part.asked_tick, &mut self.verdict);
    }

    /// A message in an answer that is no timeline.
    pub(super) fn check_paged(&mut self, slot: usize, message: &MessageRef<'_>) {
        match self.identify(self.sessions[slot].conversation, message) {
            (_, Some(flaw)) => self.blame(flaw, slot, message.seq, message),
            (Some(key), None) => self.check_age(slot, key, message),
            (None, None) => {}
        }
    }

    fn read_deleted(&self, conversation: usize, deleted: &v1::MessageDeleted) -> Result<Event, &'static str> {
        let target = self.target(conversation, &deleted.id).ok_or("the message")?;
        let story = self.conversations[conversation].story.as_ref();
        let owner = story.and_then(|story| story.key_of(target)).map(MessageKey::sender);
        // One that nobody wanted deleted is the story's to find.
        let own = owner.is_none_or(|owner| self.user(conversation, &deleted.by) == Some(owner));
        if own { Ok(Event::Delete { target }) } else { Err("the user") }
    }

    fn read_reacted(&self, conversation: usize, reacted: &v1::Reacted) -> Result<Event, &'static str> {
        let target = self.target(conversation, &reacted.id).ok_or("the message")?;
        let user = self.user(conversation, &reacted.user).ok_or("the user")?;
        let emoji = emoji_place(&reacted.emoji).ok_or("the emoji")?;
        Ok(Event::React { target, user, emoji, removed: reacted.removed, count: reacted.count })
    }

    /// The number that a message's id names in this conversation.
    fn target(&self, conversation: usize, id: &str) -> Option<u64> {
        let seq = id.rsplit_once('.')?.1.parse().ok()?;
        is_message_id(id.as_bytes(), self.conversations[conversation].id.as_bytes(), seq).then_some(seq)
    }

    /// The number of a member in the run.
    pub(super) fn user(&self, conversation: usize, name: &str) -> Option<u32> {
        let number: usize = name.rsplit_once('-')?.1.parse().ok()?;
        let named = self.names.get(number).is_some_and(|known| known == name);
        (named && self.conversations[conversation].members.contains(&number)).then_some(number as u32)
    }

    /// As what somebody is shown a message that is sound.
    pub(super) fn shown(&self, key: MessageKey, message: &MessageRef<'_>) -> Shown {
        if message.deleted {
            return Shown::Deleted;
        }
        Shown::Version(self.bodies.version(key, message.text).unwrap_or(0))
    }

    /// Whether a body that is not as it was sent is what somebody has made of it.
    pub(super) fn is_present(&self, conversation: usize, key: MessageKey, message: &MessageRef<'_>) -> bool {
        let Some(story) = self.conversations[conversation].story.as_ref() else { return false };
        let shown = match (message.deleted, message.text.is_empty()) {
            (true, empty) => empty.then_some(Shown::Deleted),
            (false, _) => self.bodies.version(key, message.text).map(Shown::Version),
        };
        shown.is_some_and(|shown| story.may_be_shown(message.seq, shown))
    }
}

/// An emoji's place among those that are given.
pub(super) fn emoji_place(emoji: &str) -> Option<u8> {
    EMOJI.iter().position(|known| *known == emoji).map(|at| at as u8)
}

/// How many give each emoji by a message's own account, and whether the asker does; nothing if there are others.
pub(super) fn given(reactions: &[v1::Reaction]) -> Option<[(u64, bool); 4]> {
    let mut given = [(0, false); 4];
    for reaction in reactions {
        let place = given.get_mut(usize::from(emoji_place(&reaction.emoji)?))?;
        if reaction.count == 0 || place.0 > 0 {
            return None;
        }
        *place = (reaction.count, reaction.mine);
    }
    Some(given)
}
