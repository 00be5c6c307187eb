//! Requests to read conversations, from now on or from where the client stood, and to read them no more.

use switchyard_cluster::link::Ask;
use switchyard_protocol::limits::POSITIONS_MAX;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::{self, bad};
use super::context::Context;
use super::gather::Gathering;
use super::kind::RequestKind;
use super::live::{Live, TOO_MANY_PAGES};
use super::ticket::Ticket;

impl Live {
    pub(super) fn subscribe(&mut self, id: u64, subscribe: &v1::Subscribe, cx: &mut Context<'_>) {
        if subscribe.all && !subscribe.conversations.is_empty() {
            return cx.refuse(id, RequestKind::Subscribe, &bad("subscribe to all, or to those that are named"));
        }
        if subscribe.all {
            return self.subscribe_all(id, RequestKind::Subscribe, cx);
        }
        let wanted = subscribe.conversations.iter().map(|text| (text.as_str(), 0));
        self.gather(id, RequestKind::Subscribe, wanted, cx);
    }

    pub(super) fn resume(&mut self, id: u64, resume: &v1::Resume, cx: &mut Context<'_>) {
        if let Err(refusal) = resume.positions.iter().try_for_each(|position| check::integer(position.seq).map(drop)) {
            return cx.refuse(id, RequestKind::Resume, &refusal);
        }
        let wanted = resume.positions.iter().map(|position| (position.conversation.as_str(), position.seq));
        self.gather(id, RequestKind::Resume, wanted, cx);
    }

    /// Answers hello, once the conversations that it names are subscribed.
    pub(super) fn welcome(&mut self, id: u64, conversations: &[String], cx: &mut Context<'_>) {
        self.gather(id, RequestKind::Hello, conversations.iter().map(|text| (text.as_str(), 0)), cx);
    }

    fn gather<'a>(
        &mut self,
        id: u64,
        kind: RequestKind,
        wanted: impl ExactSizeIterator<Item = (&'a str, u64)>,
        cx: &mut Context<'_>,
    ) {
        let size = wanted.len();
        if size > POSITIONS_MAX {
            return cx.refuse(id, kind, &bad("too many conversations in one request"));
        }
        let pages = Gathering::pages(kind, size);
        if pages > 0 && self.pages > 0 && self.pages + pages > cx.config.pages_in_flight_max {
            return cx.refuse(id, kind, &TOO_MANY_PAGES);
        }
        self.pages += pages;
        let mut gathering = self.begin_gathering(id, kind, size);
        let number = gathering.number;
        if kind == RequestKind::Hello {
            gathering.telling = self.tell_roles(id, number, cx);
        }
        let mut room = self.room_for_subscriptions();
        for (text, after) in wanted {
            match check::conversation(text) {
                Ok(conversation) => {
                    // What it reads already may be asked for again at the limit too.
                    if self.spot(conversation, cx).is_none() {
                        if room == 0 {
                            gathering.refuse(text, bad("too many subscriptions in one session"));
                            continue;
                        }
                        room -= 1;
                    }
                    let part = gathering.ask(conversation, after);
                    let ask = Ask::Subscribe(Gathering::subscribe_ask(kind, after, size));
                    self.ask(Ticket::Part { id, gathering: number, part }, conversation, ask, cx);
                }
                Err(refusal) => gathering.refuse(text, refusal),
            }
        }
        self.gathered(gathering, cx);
    }

    pub(super) fn unsubscribe(&mut self, id: u64, unsubscribe: &v1::Unsubscribe, cx: &mut Context<'_>) {
        let kind = RequestKind::Unsubscribe;
        if unsubscribe.conversations.len() > POSITIONS_MAX {
            return cx.refuse(id, kind, &bad("too many conversations in one request"));
        }
        for conversation in unsubscribe.conversations.iter().filter_map(|text| check::conversation(text).ok()) {
            for gathering in self.extra.iter_mut().flat_map(|extra| &mut extra.gatherings) {
                gathering.cancel(conversation);
            }
            self.cancel_arrival(conversation);
            self.stop_reading(conversation, cx);
        }
        cx.reply(id, kind, Reply::Done(v1::Done {}));
    }
}
