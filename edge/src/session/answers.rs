//! What owners and homes answer, to the request that each is for.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use switchyard_cluster::link::Answer;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::cursor::{Cursor, ListPlace};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::all::{HOME, tell_head};
use super::context::Context;
use super::effect::Effect;
use super::fit::fit;
use super::gather::{told, unexpected};
use super::kind::RequestKind;
use super::live::{Extra, Live};
use super::open::take_opened;
use super::roles::ROLES;
use super::ticket::Ticket;
use super::unread;

impl Live {
    pub(super) fn on_answer(&mut self, ticket: Ticket, asked: Duration, answer: Answer, cx: &mut Context<'_>) {
        match ticket {
            Ticket::Single { id, kind } => {
                self.finished(kind);
                let result = match answer {
                    Answer::Result(mut result) => {
                        match &mut *result {
                            Reply::Listed(_) => self.fit_list(&mut result),
                            other => fit(self.form, other),
                        }
                        *result
                    }
                    Answer::Sent { message, duplicate } => sent(message, duplicate),
                    Answer::Refused(refusal) => Reply::Error(told(&refusal)),
                    Answer::Subscribed(_) | Answer::Watching(_) | Answer::Presence { .. } => {
                        Reply::Error(told(&unexpected()))
                    }
                };
                cx.reply(id, kind, result);
            }
            Ticket::Part { gathering, part, .. } => self.on_part((gathering, part), asked, answer, cx),
        }
    }

    /// Answers the request of this gathering if nothing is waited for any more.
    pub(super) fn settled(&mut self, number: u32, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_deref_mut() else { return };
        let Some(at) = extra.gatherings.iter().position(|gathering| gathering.number == number) else { return };
        let Some(gathering) = extra.gatherings.get(at) else { return };
        if gathering.is_complete(cx.now.mono) {
            let gathering = extra.gatherings.swap_remove(at);
            self.finish(gathering, cx);
            self.drop_extra();
        } else if gathering.is_kept(cx.now.mono) {
            cx.effects.push(Effect::Rearm);
        }
    }

    /// This conversation is read from this number on. What was refused before, and is not told yet, is told so too: or the client
    /// would take the older word for the newer one.
    pub(super) fn settle_again(&mut self, conversation: ConversationId, head: u64) {
        let gatherings = self.extra.iter_mut().flat_map(|extra| &mut extra.gatherings);
        gatherings.for_each(|gathering| gathering.settle_again(conversation, head));
    }

    fn on_part(&mut self, (number, part): (u32, u16), asked: Duration, answer: Answer, cx: &mut Context<'_>) {
        if part == ROLES {
            return self.on_roles_told(number, cx);
        }
        let (answer, by_role) = self.as_of_now(answer);
        let Some(Extra { gatherings, watches, .. }) = self.extra.as_deref_mut() else { return };
        if watches.is_asking(number) {
            return self.on_watched(number, part, answer, cx);
        }
        let Some(at) = gatherings.iter().position(|gathering| gathering.number == number) else {
            return self.on_arrived(number, answer, cx);
        };
        let Some(gathering) = gatherings.get_mut(at) else { return };
        if gathering.kind == RequestKind::Unread {
            if unread::take(gathering, part, asked, answer) {
                self.settled(number, cx);
            }
            return;
        }
        if part == HOME {
            return self.on_home(at, answer, cx);
        }
        if gathering.kind == RequestKind::Open {
            if let Some((conversation, typers)) = take_opened(gathering, part, answer) {
                let complete = gathering.is_complete(cx.now.mono).then(|| gatherings.swap_remove(at));
                self.on_opened(conversation, typers, cx);
                if let Some(gathering) = complete {
                    self.finish(gathering, cx);
                }
                self.drop_extra();
            }
            return;
        }
        let answer = match answer {
            Answer::Subscribed(answer) => Ok((answer.head, answer.missed)),
            Answer::Refused(refusal) => Err(refusal),
            Answer::Sent { .. } | Answer::Result(_) | Answer::Watching(_) | Answer::Presence { .. } => {
                Err(unexpected())
            }
        };
        let no_reader = matches!(&answer, Err(refusal) if refusal.code == ErrorCode::NotFound);
        let Some((conversation, head)) = gathering.settle(part, asked, answer) else { return };
        let late = gathering.all.as_ref().is_some_and(|all| all.told);
        if let Some(head) = head {
            self.settle_again(conversation, head);
        }
        if head.is_some() && by_role {
            self.reads_by_role(conversation);
        }
        if let Some(head) = head.filter(|_| late) {
            tell_head(conversation, head, cx);
        }
        cx.effects.push(Effect::Settled { conversation, head });
        if no_reader {
            // Whoever is refused as a stranger reads no longer, even if the event that put them out was lost on the way.
            self.take_back(conversation);
            self.stop_reading(conversation, cx);
        }
        self.settled(number, cx);
    }

    /// Leaves of a page of the list what fits, and says where it ends if there is more.
    fn fit_list(&self, result: &mut Reply) {
        let Reply::Listed(before) = &*result else { return };
        let count = before.conversations.len();
        fit(self.form, result);
        let Reply::Listed(page) = result else { return };
        if page.conversations.len() < count {
            let last = page.conversations.last().and_then(place);
            let cursor = page.cursor.as_deref().and_then(|text| Cursor::parse(text, &self.tenant, &self.user));
            page.cursor =
                cursor.zip(last).map(|(cursor, place)| Cursor { place, ..cursor }.to_text(&self.tenant, &self.user));
        }
        if !page.more {
            page.cursor = None;
        }
    }
}

/// Where an entry stands in its list.
fn place(entry: &v1::Listing) -> Option<ListPlace> {
    let id = &entry.conversation.as_ref()?.id;
    Some(ListPlace::new(entry.activity_ms, ConversationId::parse(id).ok()?))
}

fn sent(message: Bytes, duplicate: bool) -> Reply {
    match v1::Message::decode(message) {
        Ok(message) => Reply::Sent(v1::Sent { duplicate, message: Some(message) }),
        Err(_) => Reply::Error(told(&unexpected())),
    }
}
