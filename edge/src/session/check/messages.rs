//! What changes a message that is there, and what few sends have: from a client's request to a question for the owner.

use switchyard_cluster::link::{AnnotateAsk, Annotation, Ask, Refusal, SendExtra};
use switchyard_protocol::id::{ConversationId, MessageId, UserId};
use switchyard_protocol::limits::{BODY_BYTES_MAX, EMOJI_BYTES_MAX, MENTIONS_MAX};
use switchyard_protocol::v1;

use super::{Checked, bad, conversation, has_nul, integer, users};

/// A message's place, by its id or by conversation and number.
fn message(text: &str, seq: u64, id: Option<&str>) -> Result<(ConversationId, u64), Refusal> {
    let Some(id) = id else {
        return match integer(seq)? {
            0 => Err(bad("a message is named by its id, or by conversation and seq")),
            seq => Ok((conversation(text)?, seq)),
        };
    };
    let id = MessageId::parse(id).map_err(|_| Refusal::NOT_FOUND)?;
    let named_otherwise = !text.is_empty() && text != id.conversation.text().as_str() || seq != 0 && seq != id.seq;
    if named_otherwise { Err(Refusal::NOT_FOUND) } else { Ok((id.conversation, id.seq)) }
}

/// The text of a message.
pub(super) fn text(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(bad("text is empty"));
    }
    if text.len() > BODY_BYTES_MAX {
        return Err(bad("text has more than 65536 bytes"));
    }
    if has_nul(text) { Err(bad("text contains NUL")) } else { Ok(()) }
}

fn mentions(texts: &[String]) -> Result<Vec<UserId>, Refusal> {
    if texts.len() > MENTIONS_MAX {
        return Err(bad("a message mentions at most 50 users"));
    }
    users(texts)
}

/// What few messages have; nothing if this one has none of it.
pub(in crate::session) fn extra(
    conversation: ConversationId,
    reply_to: Option<&str>,
    mentioned: &[String],
) -> Result<Option<Box<SendExtra>>, Refusal> {
    let reply_to = match reply_to.map(MessageId::parse) {
        None => None,
        Some(Ok(id)) if id.conversation == conversation => Some(id.seq),
        Some(_) => return Err(bad("reply_to is the id of a message of the same conversation")),
    };
    let mentions = mentions(mentioned)?;
    let any = reply_to.is_some() || !mentions.is_empty();
    Ok(any.then(|| Box::new(SendExtra { reply_to, mentions })))
}

fn annotate(place: Result<(ConversationId, u64), Refusal>, change: Annotation) -> Checked {
    let (conversation, target) = place?;
    Ok((conversation, Ask::Annotate(Box::new(AnnotateAsk { target, change }))))
}

/// Another text for a message.
pub(in crate::session) fn edit(edit: v1::Edit) -> Checked {
    let place = message(&edit.conversation, edit.seq, edit.id.as_deref());
    text(&edit.text)?;
    let mentions = mentions(&edit.mentions)?;
    annotate(place, Annotation::Edit { text: edit.text.into(), mentions })
}

/// A message to delete.
pub(in crate::session) fn delete(delete: &v1::Delete) -> Checked {
    annotate(message(&delete.conversation, delete.seq, delete.id.as_deref()), Annotation::Delete)
}

/// An emoji to give or to take away.
pub(in crate::session) fn react(react: v1::React) -> Checked {
    let place = message(&react.conversation, react.seq, react.id.as_deref());
    let emoji = react.emoji;
    if emoji.is_empty() || emoji.len() > EMOJI_BYTES_MAX || emoji.chars().any(char::is_control) {
        return Err(bad("an emoji has 1 to 64 bytes and no control characters"));
    }
    annotate(place, Annotation::React { emoji: emoji.into(), remove: react.remove })
}

/// A message to pin, or to take from the pinned ones.
pub(in crate::session) fn pin(pin: &v1::Pin) -> Checked {
    let (conversation, target) = message(&pin.conversation, pin.seq, pin.id.as_deref())?;
    Ok((conversation, Ask::Pin { target, remove: pin.remove }))
}
