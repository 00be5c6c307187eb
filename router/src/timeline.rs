//! From stored rows to what clients see. Pure; used by the readers of pages and by the replay of a conversation.

use bytes::Bytes;
use switchyard_protocol::frame;
use switchyard_protocol::id::{ConversationKey, MessageId};
use switchyard_protocol::v1::{self, event::Body};
use switchyard_store::{Damage, ReadError, Row, Seq};

use crate::annotation::AnnotationEvent;
use crate::decided::HomeEvent;
use crate::stored::{self, ChangeEvent, Founding, MembersEvent, RichBody, RowKind, StoredMember};

/// A row that does not say what it should.
pub(crate) fn damaged(key: &ConversationKey, seq: Seq) -> ReadError {
    ReadError::Corrupt { key: key.clone(), seq, reason: Damage::Payload }
}

/// A message's id on the wire.
pub(crate) fn message_id(key: &ConversationKey, seq: Seq) -> String {
    MessageId { conversation: key.conversation, seq }.to_string()
}

/// The message in a row as it was sent, or `None` if the row is another event.
pub(crate) fn message(key: &ConversationKey, seq: Seq, row: &Row) -> Result<Option<v1::Message>, ReadError> {
    let (kind, body) = match RowKind::parse(row.kind) {
        Some((RowKind::Message, kind)) => {
            let text = std::str::from_utf8(&row.body).map_err(|_| damaged(key, seq))?.to_owned();
            (kind, RichBody { text, ..RichBody::default() })
        }
        Some((RowKind::RichMessage, kind)) => (kind, stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?),
        _ => return Ok(None),
    };
    Ok(Some(v1::Message {
        id: message_id(key, seq),
        conversation: key.conversation.to_string(),
        seq,
        client_id: row.client_id().to_owned(),
        sender: row.sender().to_owned(),
        kind: kind.into(),
        text: body.text,
        time_ms: row.time_ms,
        ordinal: row.ordinal,
        reply_to: body.reply_to.map(|seq| message_id(key, seq)),
        mentions: body.mentions,
        ..v1::Message::default()
    }))
}

/// The event in a row; a kind that this version does not know has no body, as on the live wire. The founding row, which
/// is never sent, shows its members.
pub fn event(key: &ConversationKey, seq: Seq, row: &Row) -> Result<v1::Event, ReadError> {
    let body = match RowKind::parse(row.kind) {
        Some((RowKind::Message | RowKind::RichMessage, _)) => message(key, seq, row)?.map(Body::Message),
        Some((RowKind::Members, _)) => {
            let event: MembersEvent = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
            Some(Body::Members(members_changed(event, row.sender(), row.time_ms)))
        }
        Some((RowKind::Change, _)) => {
            let event: ChangeEvent = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
            Some(Body::Change(changed(key, event, row.sender(), row.time_ms)))
        }
        Some((RowKind::Founding, _)) => {
            let founding: Founding = stored::decode(&row.body).ok_or_else(|| damaged(key, seq))?;
            let event = MembersEvent { added: founding.members, ..MembersEvent::default() };
            Some(Body::Members(members_changed(event, row.sender(), row.time_ms)))
        }
        Some((RowKind::Erase, _)) => Some(Body::Change(erased(row.sender(), row.time_ms))),
        Some((kind @ (RowKind::Edit | RowKind::Delete | RowKind::React), _)) => {
            let event =
                AnnotationEvent::decode(kind, &row.body).and_then(Result::ok).ok_or_else(|| damaged(key, seq))?;
            Some(annotated(key, &event, row.sender(), row.time_ms))
        }
        // Of a user's home, whose rows nobody is sent.
        Some((RowKind::Home, _)) | None => None,
    };
    Ok(v1::Event { conversation: key.conversation.to_string(), seq, body })
}

/// What a row of a user's home says; nothing for another row, and an error for one that says nothing.
pub fn home_event(row: &Row) -> Option<Result<HomeEvent, ()>> {
    match RowKind::parse(row.kind) {
        Some((RowKind::Home, _)) => Some(HomeEvent::decode(&row.body).ok_or(())),
        _ => None,
    }
}

/// A membership event as clients see it.
pub(crate) fn members_changed(event: MembersEvent, by: &str, time_ms: u64) -> v1::MembersChanged {
    let member = |member: StoredMember| v1::Member { user: member.user, role: member.role };
    v1::MembersChanged {
        added: event.added.into_iter().map(member).collect(),
        removed: event.removed,
        promoted: event.promoted.into_iter().map(member).collect(),
        by: by.to_owned(),
        time_ms,
    }
}

/// A change of the conversation itself as clients see it.
pub(crate) fn changed(key: &ConversationKey, event: ChangeEvent, by: &str, time_ms: u64) -> v1::ConversationChanged {
    let ChangeEvent { name, avatar, context, closed, pinned, unpinned, accepted } = event;
    let id = |seq: Option<Seq>| seq.map(|seq| message_id(key, seq));
    let (pinned, unpinned) = (id(pinned), id(unpinned));
    let by = by.to_owned();
    v1::ConversationChanged { name, avatar, by, time_ms, context, closed, pinned, unpinned, erased: None, accepted }
}

/// A conversation's last event as clients see it.
pub(crate) fn erased(by: &str, time_ms: u64) -> v1::ConversationChanged {
    v1::ConversationChanged { erased: Some(true), by: by.to_owned(), time_ms, ..v1::ConversationChanged::default() }
}

/// A change of an earlier message as clients see it. Of an edited message only its number is known here.
pub(crate) fn annotated(key: &ConversationKey, event: &AnnotationEvent, by: &str, time_ms: u64) -> Body {
    let id = message_id(key, event.target());
    match event {
        AnnotationEvent::Edit(edit) => Body::Updated(v1::Message { id, seq: edit.target, ..v1::Message::default() }),
        AnnotationEvent::Delete(_) => Body::Deleted(v1::MessageDeleted { id, by: by.to_owned(), time_ms }),
        AnnotationEvent::React(react) => Body::Reacted(v1::Reacted {
            id,
            user: by.to_owned(),
            emoji: react.emoji.clone(),
            removed: react.removed,
            count: react.count,
            time_ms,
        }),
    }
}

/// The frame that tells subscribers of an event that is no message.
pub(crate) fn event_frame(key: &ConversationKey, seq: Seq, body: Body) -> Bytes {
    let event = v1::Event { conversation: key.conversation.to_string(), seq, body: Some(body) };
    frame::encode_server(frame::Form::Proto, &frame::event(event))
}
