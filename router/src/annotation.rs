//! Events that change an earlier message, and what they come to: the message's overlay, and what each user gave it. Stored
//! forms and the rules by which one follows from the other. Pure.
//!
//! An overlay follows from the message's events in their order, each counted once: whoever applies one knows by its number
//! whether the overlay has it already. So an overlay may be written late, and be made again from the log.

use bytes::Bytes;
use switchyard_protocol::limits::QUOTE_BYTES_MAX;
use switchyard_protocol::v1;
use switchyard_store::Seq;

use crate::stored::{self, RichBody, RowKind};

/// Body of [`RowKind::Edit`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct EditEvent {
    #[prost(uint64, tag = "1")]
    pub(crate) target: Seq,
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) mentions: Vec<String>,
}

/// Body of [`RowKind::Delete`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DeleteEvent {
    #[prost(uint64, tag = "1")]
    pub(crate) target: Seq,
    /// The message did not count as unread: it was a SYSTEM one.
    #[prost(bool, tag = "2")]
    pub(crate) uncounted: bool,
}

/// Body of [`RowKind::React`]. It is only stored if it changes something.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReactEvent {
    #[prost(uint64, tag = "1")]
    pub(crate) target: Seq,
    #[prost(string, tag = "2")]
    pub(crate) emoji: String,
    #[prost(bool, tag = "3")]
    pub(crate) removed: bool,
    /// How many had given it afterwards.
    #[prost(uint64, tag = "4")]
    pub(crate) count: u64,
}

/// Any of the three.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum AnnotationEvent {
    Edit(EditEvent),
    Delete(DeleteEvent),
    React(ReactEvent),
}

impl AnnotationEvent {
    /// Reads a row's body; nothing for a row of another kind, and an error for a body that is none.
    pub(crate) fn decode(kind: RowKind, body: &Bytes) -> Option<Result<Self, ()>> {
        let event = match kind {
            RowKind::Edit => stored::decode(body).map(Self::Edit),
            RowKind::Delete => stored::decode(body).map(Self::Delete),
            RowKind::React => stored::decode(body).map(Self::React),
            RowKind::Founding | RowKind::Members | RowKind::Change | RowKind::Erase => return None,
            RowKind::Message | RowKind::RichMessage | RowKind::Home => return None,
        };
        Some(event.ok_or(()))
    }

    /// The kind of its row, and the body.
    pub(crate) fn encode(&self) -> (RowKind, Bytes) {
        match self {
            Self::Edit(event) => (RowKind::Edit, stored::encode(event)),
            Self::Delete(event) => (RowKind::Delete, stored::encode(event)),
            Self::React(event) => (RowKind::React, stored::encode(event)),
        }
    }

    /// The number of the message that it changes.
    pub(crate) fn target(&self) -> Seq {
        match self {
            Self::Edit(event) => event.target,
            Self::Delete(event) => event.target,
            Self::React(event) => event.target,
        }
    }
}

/// How many gave an emoji.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct EmojiCount {
    #[prost(string, tag = "1")]
    pub(crate) emoji: String,
    #[prost(uint64, tag = "2")]
    pub(crate) count: u64,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct OverlayRecord {
    /// Its text, if it was edited.
    #[prost(string, optional, tag = "1")]
    pub(crate) text: Option<String>,
    /// Whom it names, if it was edited.
    #[prost(string, repeated, tag = "2")]
    pub(crate) mentions: Vec<String>,
    #[prost(uint64, optional, tag = "3")]
    pub(crate) edited_ms: Option<u64>,
    /// The numbers of the edits: their rows hold its texts.
    #[prost(uint64, repeated, tag = "4")]
    pub(crate) edits: Vec<Seq>,
    #[prost(bool, tag = "5")]
    pub(crate) deleted: bool,
    /// In the order in which they were first given.
    #[prost(message, repeated, tag = "6")]
    pub(crate) emoji: Vec<EmojiCount>,
}

impl OverlayRecord {
    /// The event with this number is applied.
    pub(crate) fn apply(&mut self, event: &AnnotationEvent, seq: Seq, time_ms: u64) {
        match event {
            AnnotationEvent::Edit(edit) => {
                // After a deletion the event's body is empty, and so it was before anybody could read it.
                if !self.deleted {
                    self.text = Some(edit.text.clone());
                    self.mentions.clone_from(&edit.mentions);
                    self.edited_ms = Some(time_ms);
                }
                self.edits.push(seq);
            }
            AnnotationEvent::Delete(_) => {
                *self = Self { deleted: true, edits: std::mem::take(&mut self.edits), ..Self::default() };
            }
            AnnotationEvent::React(react) => self.react(react),
        }
    }

    fn react(&mut self, react: &ReactEvent) {
        let place = self.emoji.iter().position(|known| known.emoji == react.emoji);
        match (place, react.removed) {
            (Some(at), false) => self.emoji[at].count = self.emoji[at].count.saturating_add(1),
            (Some(at), true) if self.emoji[at].count > 1 => self.emoji[at].count -= 1,
            (Some(at), true) => {
                self.emoji.remove(at);
            }
            (None, false) => self.emoji.push(EmojiCount { emoji: react.emoji.clone(), count: 1 }),
            (None, true) => {}
        }
    }

    /// How many gave this emoji.
    pub(crate) fn count(&self, emoji: &str) -> u64 {
        self.emoji.iter().find(|known| known.emoji == emoji).map_or(0, |known| known.count)
    }

    /// Makes of a message as it was sent what it is now, as nobody in particular sees it.
    pub(crate) fn show(&self, message: &mut v1::Message) {
        if self.deleted {
            message.deleted = true;
            message.text.clear();
            message.mentions.clear();
            (message.reply_to, message.quote) = (None, None);
            return;
        }
        if let Some(text) = &self.text {
            message.text.clone_from(text);
            message.mentions.clone_from(&self.mentions);
            message.edited_ms = self.edited_ms;
        }
        let reaction =
            |known: &EmojiCount| v1::Reaction { emoji: known.emoji.clone(), count: known.count, mine: false };
        message.reactions = self.emoji.iter().map(reaction).collect();
    }
}

/// What one user gave a message.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReactorRecord {
    #[prost(string, repeated, tag = "1")]
    pub(crate) emoji: Vec<String>,
}

impl ReactorRecord {
    /// The user gave an emoji, or took it away.
    pub(crate) fn apply(&mut self, react: &ReactEvent) {
        self.emoji.retain(|known| *known != react.emoji);
        if !react.removed {
            self.emoji.push(react.emoji.clone());
        }
    }

    /// Says which of a message's emoji are this user's.
    pub(crate) fn show(&self, message: &mut v1::Message) {
        for reaction in &mut message.reactions {
            reaction.mine = self.emoji.contains(&reaction.emoji);
        }
    }
}

/// What is shown of a message where another one answers it.
pub(crate) fn quote(message: &v1::Message) -> v1::Quote {
    let mut end = message.text.len().min(QUOTE_BYTES_MAX);
    while !message.text.is_char_boundary(end) {
        end -= 1;
    }
    let text = message.text.get(..end).unwrap_or_default().to_owned();
    v1::Quote { sender: message.sender.clone(), kind: message.kind, text, deleted: message.deleted }
}

/// A row's body without what it says; nothing if it says nothing that can be erased.
pub(crate) fn blank(kind: RowKind, body: &Bytes) -> Option<Bytes> {
    match kind {
        RowKind::Message => Some(Bytes::new()),
        RowKind::RichMessage => Some(stored::encode(&RichBody::default())),
        RowKind::Edit => {
            let edit: EditEvent = stored::decode(body)?;
            Some(stored::encode(&EditEvent { target: edit.target, ..EditEvent::default() }))
        }
        RowKind::Founding | RowKind::Members | RowKind::Change | RowKind::Erase => None,
        RowKind::Delete | RowKind::React | RowKind::Home => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn react(emoji: &str, removed: bool) -> AnnotationEvent {
        AnnotationEvent::React(ReactEvent { target: 1, emoji: emoji.into(), removed, count: 0 })
    }

    fn edit(text: &str) -> AnnotationEvent {
        AnnotationEvent::Edit(EditEvent { target: 1, text: text.into(), mentions: vec!["bob".into()] })
    }

    #[test]
    fn a_message_is_shown_as_its_last_edit_and_with_what_is_left_of_its_emoji() {
        let mut overlay = OverlayRecord::default();
        let events =
            [edit("a"), react("+1", false), react("-1", false), react("+1", false), edit("b"), react("-1", true)];
        for (seq, event) in (7..).zip(&events) {
            overlay.apply(event, seq, seq * 10);
        }
        let mut message = v1::Message { text: "sent".into(), ..Default::default() };
        overlay.show(&mut message);
        assert_eq!((message.text.as_str(), message.edited_ms), ("b", Some(110)));
        assert_eq!(message.mentions, ["bob"]);
        let counts: Vec<_> = message.reactions.iter().map(|given| (given.emoji.as_str(), given.count)).collect();
        assert_eq!(counts, [("+1", 2)]);
        assert_eq!(overlay.edits, [7, 11]);
    }

    #[test]
    fn nothing_is_left_of_what_was_deleted_but_where_its_texts_are() {
        let mut overlay = OverlayRecord::default();
        for (seq, event) in (7..).zip([
            edit("a"),
            react("+1", false),
            AnnotationEvent::Delete(DeleteEvent { target: 1, uncounted: false }),
        ]) {
            overlay.apply(&event, seq, 1);
        }
        let mut message =
            v1::Message { text: "sent".into(), reply_to: Some("x.1".into()), seq: 1, ..Default::default() };
        overlay.show(&mut message);
        assert_eq!(message, v1::Message { seq: 1, deleted: true, ..Default::default() });
        assert_eq!(overlay.edits, [7]);
    }

    #[test]
    fn a_quote_is_cut_between_characters() {
        let message = v1::Message { text: "€".repeat(100), ..Default::default() };
        assert_eq!(quote(&message).text, "€".repeat(85));
    }

    #[test]
    fn what_is_blanked_still_says_what_it_is() {
        let (kind, body) = edit("secret").encode();
        let blanked = blank(kind, &body).expect("an edit");
        let expected = AnnotationEvent::Edit(EditEvent { target: 1, ..EditEvent::default() });
        assert_eq!(AnnotationEvent::decode(kind, &blanked), Some(Ok(expected)));
        assert_eq!(blank(RowKind::Message, &Bytes::from_static(b"secret")), Some(Bytes::new()));
        assert_eq!(blank(RowKind::Delete, &body), None);
    }
}
