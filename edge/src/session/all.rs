//! A session that wants all conversations of its user: the user's home says which they are and tells of those that come
//! and go, and each is subscribed at its owner as if the client had named it.

use switchyard_cluster::home::{HomeAsk, ListedNow, WatchingAnswer};
use switchyard_cluster::link::{Answer, Ask};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::v1::{self, event::Body};

use super::check::bad;
use super::context::Context;
use super::effect::Effect;
use super::gather::{ANSWERED_WITHIN, All, Gathering, unexpected};
use super::kind::RequestKind;
use super::live::{Arrival, Live};
use super::ticket::Ticket;

/// The part of the question to the home, beside the conversations that it names.
pub(super) const HOME: u16 = u16::MAX;

/// Conversations that came and are being subscribed, of one session. Of more the client is told without a subscription.
const ARRIVALS_MAX: usize = 64;

impl Live {
    /// Subscribes to all conversations of the user.
    pub(super) fn subscribe_all(&mut self, id: u64, kind: RequestKind, cx: &mut Context<'_>) {
        let mut gathering = self.begin_gathering(id, kind, 0);
        let first = !std::mem::replace(&mut self.all, true);
        let until = cx.now.mono + ANSWERED_WITHIN;
        gathering.all = Some(Box::new(All { until, told: false, first, home: None }));
        let home = ConversationKey::home(&self.tenant, &self.user).conversation;
        let ticket = Ticket::Part { id, gathering: gathering.number, part: HOME };
        self.ask(ticket, home, Ask::Home(HomeAsk::Watch), cx);
        gathering.telling = self.tell_roles(id, gathering.number, cx);
        self.gathered(gathering, cx);
        cx.effects.push(Effect::Rearm);
    }

    /// The home has answered which conversations there are.
    pub(super) fn on_home(&mut self, at: usize, answer: Answer, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_deref_mut() else { return };
        let mut gathering = extra.gatherings.swap_remove(at);
        let Some(all) = &mut gathering.all else { return };
        let conversations = match answer {
            Answer::Watching(watching) => {
                let WatchingAnswer { conversations, total } = *watching;
                all.home = Some(Ok(total));
                conversations
            }
            other => {
                let refusal = if let Answer::Refused(refusal) = other { refusal } else { unexpected() };
                if all.first {
                    self.all = false;
                    cx.effects.push(Effect::Unwatched);
                }
                all.home = Some(Err(refusal));
                Vec::new()
            }
        };
        let mut room = self.room_for_subscriptions();
        for conversation in conversations {
            if self.spot(conversation, cx).is_none() {
                if room == 0 {
                    gathering.refuse(conversation.text().as_str(), bad("too many subscriptions in one session"));
                    continue;
                }
                room -= 1;
            }
            let part = gathering.ask(conversation, 0);
            let ask = Ask::Subscribe(Gathering::subscribe_ask(gathering.kind, 0, 1));
            self.ask(Ticket::Part { id: gathering.id, gathering: gathering.number, part }, conversation, ask, cx);
        }
        if gathering.is_complete(cx.now.mono) {
            self.drop_extra();
            self.finish(gathering, cx);
        } else {
            self.extra.get_or_insert_default().gatherings.push(gathering);
        }
    }

    /// Tells clients what is known of all conversations, where that took too long to be known of each.
    pub(super) fn tell_all_overdue(&mut self, cx: &mut Context<'_>) {
        self.give_up_telling(cx);
        let Some(mut extra) = self.extra.take() else { return };
        for gathering in &mut extra.gatherings {
            let due = gathering.all.as_ref().is_some_and(|all| !all.told && all.until <= cx.now.mono);
            if due {
                self.tell_all(gathering, cx);
                if let Some(all) = &mut gathering.all {
                    all.told = true;
                }
            }
        }
        self.extra = Some(extra);
    }

    /// A conversation came to the user's list or went from it, or is shown otherwise there.
    pub(super) fn on_listed(&mut self, now: &ListedNow, cx: &mut Context<'_>) {
        if now.entry.as_ref().is_some_and(|entry| !self.may_see(entry)) {
            return;
        }
        let Some(entry) = &now.entry else {
            return tell(now.conversation, v1::ListingChanged { removed: true, ..Default::default() }, cx);
        };
        let conversation = now.conversation;
        if now.changed {
            return tell(conversation, v1::ListingChanged { changed: Some(entry.clone()), ..Default::default() }, cx);
        }
        let known = self.spot(conversation, cx).is_some() || self.room_for_subscriptions() > 0;
        let extra = self.extra.get_or_insert_default();
        if !known || extra.arrivals.len() >= ARRIVALS_MAX {
            self.drop_extra();
            return tell(conversation, v1::ListingChanged { added: Some(entry.clone()), ..Default::default() }, cx);
        }
        let number = extra.next;
        extra.next = extra.next.wrapping_add(1);
        extra.arrivals.push(Arrival { number, conversation, entry: entry.clone(), cancelled: false });
        let ask = Ask::Subscribe(Gathering::subscribe_ask(RequestKind::Subscribe, 0, 1));
        self.ask(Ticket::Part { id: 0, gathering: number, part: 0 }, conversation, ask, cx);
    }

    /// The client wants no live events of a conversation that is just coming.
    pub(super) fn cancel_arrival(&mut self, conversation: ConversationId) {
        let arrivals = self.extra.iter_mut().flat_map(|extra| &mut extra.arrivals);
        arrivals.filter(|arrival| arrival.conversation == conversation).for_each(|arrival| arrival.cancelled = true);
    }

    /// The owner of a conversation that came has answered.
    pub(super) fn on_arrived(&mut self, number: u32, answer: Answer, cx: &mut Context<'_>) {
        let Some(extra) = self.extra.as_deref_mut() else { return };
        let Some(at) = extra.arrivals.iter().position(|arrival| arrival.number == number) else { return };
        let Arrival { conversation, entry, cancelled, .. } = extra.arrivals.swap_remove(at);
        self.drop_extra();
        let (answer, by_role) = self.as_of_now(answer);
        let (head, gone) = match answer {
            Answer::Subscribed(answer) => (Some(answer.head).filter(|_| !cancelled), false),
            Answer::Refused(refusal) => (None, refusal.code == ErrorCode::NotFound),
            Answer::Sent { .. } | Answer::Result(_) | Answer::Watching(_) | Answer::Presence { .. } => (None, false),
        };
        if head.is_some() && by_role {
            self.reads_by_role(conversation);
        }
        if gone {
            self.take_back(conversation);
            self.stop_reading(conversation, cx);
        } else {
            if let Some(head) = head {
                self.settle_again(conversation, head);
            }
            // Before anything that is live there.
            tell(conversation, v1::ListingChanged { added: Some(entry), head, ..Default::default() }, cx);
        }
        cx.effects.push(Effect::Settled { conversation, head });
    }
}

fn tell(conversation: ConversationId, change: v1::ListingChanged, cx: &mut Context<'_>) {
    event(conversation, Body::Listed(Box::new(change)), cx);
}

/// Tells that a conversation is read from this number on.
pub(super) fn tell_head(conversation: ConversationId, head: u64, cx: &mut Context<'_>) {
    event(conversation, Body::Head(v1::Head { head }), cx);
}

fn event(conversation: ConversationId, body: Body, cx: &mut Context<'_>) {
    let event = v1::Event { conversation: conversation.to_string(), seq: 0, body: Some(body) };
    cx.effects.push(Effect::Event(Box::new(event)));
}
