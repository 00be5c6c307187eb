//! What a session shows, and where its user types. Only sessions that said so have any of it.

use std::time::Duration;

use switchyard_cluster::link::Refusal;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::limits::{OPEN_MAX, TYPING_LASTS_MS};

/// A client that says more often that its user goes on typing than this is answered without asking the owner. Below the
/// 3 seconds in which clients repeat it, so that each of their repetitions counts.
const TYPING_TOLD_EVERY: Duration = Duration::from_secs(2);

/// Conversations in which one session may type within the time that typing lasts: as many as it may show.
const TYPING_MAX: usize = OPEN_MAX;

const TYPING_LASTS: Duration = Duration::from_millis(TYPING_LASTS_MS);

const TYPES_EVERYWHERE: Refusal = Refusal {
    code: ErrorCode::RateLimited,
    message: "one session types in 8 conversations at a time",
    retry_after_ms: Some(TYPING_LASTS_MS),
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Showing {
    /// At most [`OPEN_MAX`].
    pub(super) open: Vec<ConversationId>,
    /// Where the owner takes the session to be typing, and when it was told last. At most [`TYPING_MAX`].
    typing: Vec<(ConversationId, Duration)>,
}

impl Showing {
    /// What it has open, or asked for.
    pub(super) fn open(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.open.iter().copied()
    }

    /// Where owners may take it to be typing.
    pub(super) fn typing(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.typing.iter().map(|(conversation, _)| *conversation)
    }

    /// Whether there is nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.typing.is_empty()
    }

    /// Whether it had the conversation open.
    pub(super) fn close(&mut self, conversation: ConversationId) -> bool {
        let before = self.open.len();
        self.open.retain(|open| *open != conversation);
        self.open.len() < before
    }

    /// Whether an owner was told that it types there.
    pub(super) fn end_typing(&mut self, conversation: ConversationId) -> bool {
        let before = self.typing.len();
        self.typing.retain(|(typing, _)| *typing != conversation);
        self.typing.len() < before
    }

    /// It types. Whether the owner is to be told.
    pub(super) fn begin_typing(&mut self, conversation: ConversationId, now: Duration) -> Result<bool, Refusal> {
        self.typing.retain(|(_, told)| *told + TYPING_LASTS > now);
        let full = self.typing.len() >= TYPING_MAX;
        match self.typing.iter_mut().find(|(typing, _)| *typing == conversation) {
            Some((_, told)) if *told + TYPING_TOLD_EVERY > now => return Ok(false),
            Some((_, told)) => *told = now,
            None if full => return Err(TYPES_EVERYWHERE),
            None => self.typing.push((conversation, now)),
        }
        Ok(true)
    }
}
