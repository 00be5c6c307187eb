//! What a session shows, and where its user types. Only sessions that said so have any of it.

use std::time::Duration;

use switchyard_cluster::link::{Answer, Ask, Asker, Refusal, Request};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::limits::{OPEN_MAX, TYPING_LASTS_MS};
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::{self, bad};
use super::context::Context;
use super::effect::Effect;
use super::gather::Gathering;
use super::kind::RequestKind;
use super::live::{Live, unexpected};
use super::ticket::Ticket;

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
    open: Vec<ConversationId>,
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
    fn close(&mut self, conversation: ConversationId) -> bool {
        let before = self.open.len();
        self.open.retain(|open| *open != conversation);
        self.open.len() < before
    }

    /// Whether an owner was told that it types there.
    fn end_typing(&mut self, conversation: ConversationId) -> bool {
        let before = self.typing.len();
        self.typing.retain(|(typing, _)| *typing != conversation);
        self.typing.len() < before
    }

    /// It types. Whether the owner is to be told.
    fn begin_typing(&mut self, conversation: ConversationId, now: Duration) -> Result<bool, Refusal> {
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

impl Live {
    /// The conversations that this session shows now, in place of those before.
    pub(super) fn open(&mut self, id: u64, open: &v1::Open, cx: &mut Context<'_>) {
        let kind = RequestKind::Open;
        if open.conversations.len() > OPEN_MAX {
            return cx.refuse(id, kind, &bad("a session has at most 8 conversations open"));
        }
        let subscribed = |text: &String| {
            let conversation = check::conversation(text).ok()?;
            self.spot(conversation, cx).map(|_| conversation)
        };
        let wanted: Vec<Option<ConversationId>> = open.conversations.iter().map(subscribed).collect();
        self.show(wanted.iter().flatten().copied().collect(), cx);
        let mut gathering = self.begin_gathering(id, kind, wanted.len());
        for (text, wanted) in open.conversations.iter().zip(wanted) {
            match wanted {
                Some(conversation) => {
                    let part = gathering.ask(conversation, 0);
                    self.ask(Ticket::Part { gathering: gathering.number, part }, conversation, Ask::Show, cx);
                }
                None => gathering.refuse(text, Refusal::NOT_FOUND),
            }
        }
        self.gathered(gathering, cx);
    }

    /// Puts this set in place of the one before.
    fn show(&mut self, mut wanted: Vec<ConversationId>, cx: &mut Context<'_>) {
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() && self.extra.is_none() {
            return;
        }
        let showing = &mut self.extra.get_or_insert_default().showing;
        for closed in std::mem::take(&mut showing.open).into_iter().filter(|open| !wanted.contains(open)) {
            cx.effects.push(Effect::Closed(closed));
        }
        showing.open = wanted;
        self.drop_extra();
    }

    /// The owner of a conversation that is to be opened has answered.
    pub(super) fn on_opened(
        &mut self,
        conversation: ConversationId,
        typers: Result<v1::Typers, Refusal>,
        cx: &mut Context<'_>,
    ) {
        match typers {
            Ok(typers) => cx.effects.push(Effect::Opened { conversation, typers: Box::new(typers) }),
            Err(refusal) if refusal.code == ErrorCode::NotFound => self.stop_reading(conversation, cx),
            Err(_) => self.hide(conversation, cx),
        }
    }

    /// The user types, or has stopped.
    pub(super) fn typing(&mut self, id: u64, typing: &v1::Typing, cx: &mut Context<'_>) {
        let kind = RequestKind::Typing;
        let conversation = match check::conversation(&typing.conversation) {
            Ok(conversation) if self.spot(conversation, cx).is_some() => conversation,
            _ => return cx.refuse(id, kind, &Refusal::NOT_FOUND),
        };
        if !typing.on {
            self.stop_typing(conversation, cx);
            return cx.reply(id, kind, Reply::Done(v1::Done {}));
        }
        match self.extra.get_or_insert_default().showing.begin_typing(conversation, cx.now.mono) {
            Ok(true) => self.ask_checked(id, kind, Ok((conversation, Ask::Typing)), cx),
            Ok(false) => cx.reply(id, kind, Reply::Done(v1::Done {})),
            Err(refusal) => cx.refuse(id, kind, &refusal),
        }
    }

    /// A message goes to the conversation's owner, for whom that ends the typing.
    pub(super) fn sent_in(&mut self, conversation: ConversationId) {
        if let Some(extra) = &mut self.extra
            && extra.showing.end_typing(conversation)
        {
            self.drop_extra();
        }
    }

    /// The session reads this conversation no more, so it shows nothing of it either.
    pub(super) fn stop_showing(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        self.stop_typing(conversation, cx);
        self.hide(conversation, cx);
    }

    fn hide(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        if let Some(extra) = &mut self.extra
            && extra.showing.close(conversation)
        {
            cx.effects.push(Effect::Closed(conversation));
            self.drop_extra();
        }
    }

    /// The same without a word: whoever calls has seen to the rest.
    pub(super) fn forget_showing(&mut self, conversation: ConversationId) {
        if let Some(extra) = &mut self.extra {
            extra.showing.close(conversation);
            extra.showing.end_typing(conversation);
            self.drop_extra();
        }
    }

    fn stop_typing(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        if let Some(extra) = &mut self.extra
            && extra.showing.end_typing(conversation)
        {
            self.drop_extra();
            cx.effects.push(Effect::Ask(Request {
                from: Asker { edge: cx.edge, session: cx.session, request: 0, roles: self.roles },
                key: ConversationKey { tenant: self.tenant.clone(), conversation },
                user: self.user.clone(),
                ask: Ask::TypingEnd,
            }));
        }
    }
}

/// Puts an owner's answer where the others of its request are. Returns what it says, and of which conversation.
pub(super) fn take_opened(
    gathering: &mut Gathering,
    part: u16,
    answer: Answer,
) -> Option<(ConversationId, Result<v1::Typers, Refusal>)> {
    let opened = match answer {
        Answer::Result(result) => match *result {
            Reply::Opened(v1::Opened { opened }) => opened.into_iter().next().ok_or_else(unexpected),
            _ => Err(unexpected()),
        },
        Answer::Refused(refusal) => Err(refusal),
        Answer::Sent { .. } | Answer::Subscribed(_) | Answer::Watching(_) | Answer::Presence { .. } => {
            Err(unexpected())
        }
    };
    let typers = opened.map(|opened| v1::Typers { users: opened.users, more: opened.more });
    Some((gathering.opened(part, typers.clone())?, typers))
}
