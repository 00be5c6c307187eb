//! What a session wants done. It does none of it itself: the door has the sockets, the link and the table of readers.

use switchyard_cluster::link::Request;
use switchyard_cluster::presence::Seen;
use switchyard_protocol::code::CloseCode;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1;

use super::kind::RequestKind;
use crate::auth::TokenRefusal;

/// One thing to do, in the order given.
#[derive(Debug)]
pub enum Effect {
    /// Ask the owner of the request's conversation. If the way there is full, the session is to be told as by a refusal.
    Ask(Request),
    /// Answer the client's request `id`.
    Reply {
        /// The client's id.
        id: u64,
        /// Which request it was, for metrics.
        kind: RequestKind,
        /// The answer.
        result: Box<v1::reply::Result>,
    },
    /// Tell the client.
    Event(Box<v1::Event>),
    /// The client is known from here on.
    Admitted,
    /// One `Ask::Subscribe` has its answer; with a head, the session reads the conversation from there on, and is to be told
    /// at once [where](super::Session::reads) it lies.
    Settled {
        /// Of which conversation.
        conversation: ConversationId,
        /// Live events flow to the session above this number; `None`: it was refused, or is not wanted any more.
        head: Option<u64>,
    },
    /// The session reads this conversation no more.
    Unsubscribed(ConversationId),
    /// An `Ask::Show` was granted: the session shows the conversation, where these type. The client is told with its
    /// whole reply.
    Opened {
        /// Which.
        conversation: ConversationId,
        /// What the client will be told.
        typers: Box<v1::Typers>,
    },
    /// The reply to `open` is out: what changed in this conversation since it was granted may follow.
    Shown(ConversationId),
    /// The session shows this conversation no more.
    Closed(ConversationId),
    /// The session does not want all conversations of its user any more.
    Unwatched,
    /// The reply to `watch` is out: what changed since of this user's home or this conversation may follow.
    Watching {
        /// Which.
        key: ConversationId,
        /// What the client was told.
        told: Box<Seen>,
    },
    /// The session watches this home or conversation no more.
    Unwatching(ConversationId),
    /// When the session has something to do next has changed.
    Rearm,
    /// A token was refused, for metrics.
    TokenRefused(TokenRefusal),
    /// Send away what waits, then close.
    Close(CloseCode),
}
