//! Requests to show conversations, and to say that the user types.

use switchyard_cluster::link::{Answer, Ask, Refusal};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::limits::OPEN_MAX;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::{self, bad};
use super::context::Context;
use super::effect::Effect;
use super::gather::{Gathering, unexpected};
use super::kind::RequestKind;
use super::live::Live;
use super::ticket::Ticket;

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
                    self.ask(Ticket::Part { id, gathering: gathering.number, part }, conversation, Ask::Show, cx);
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
