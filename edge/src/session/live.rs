//! A session whose user is known: its requests on their way, what it reads, and until when its token is good.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use smallvec::SmallVec;
use switchyard_cluster::link::{Answer, Ask, Asker, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::frame::Form;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::limits::{
    BODY_BYTES_MAX, FRAME_BYTES_MAX, MEMBERS_PER_REQUEST_MAX, PAGE_MESSAGES_MAX, POSITIONS_MAX, RESUME_EVENTS_MAX,
    SUBSCRIPTIONS_MAX,
};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::all::{Arrival, HOME, tell_head};
use super::check::{self, Checked, bad};
use super::context::{Context, SessionConfig};
use super::directory::Spot;
use super::effect::Effect;
use super::fit::fit;
use super::gather::{Gathered, Gathering};
use super::hello;
use super::kind::RequestKind;
use super::presence::Watches;
use super::roles::ROLES;
use super::showing::Showing;
use super::ticket::Ticket;
use crate::auth::Identity;

pub(super) const GET: Ask = Ask::Get;
pub(super) const LEAVE: Ask = Ask::Leave;
pub(super) const CLOSE: Ask = Ask::Close;
pub(super) const REOPEN: Ask = Ask::Reopen;
pub(super) const ERASE: Ask = Ask::Erase;
pub(super) const ACCEPT: Ask = Ask::Accept;
pub(super) const DECLINE: Ask = Ask::Decline;

/// When a client whose own requests are too many is told to come again: about a round trip later.
const RETRY_IN_FLIGHT_MS: u64 = 50;

const TOO_MANY_PAGES: Refusal = limited("too many pages are asked for at once", Some(RETRY_IN_FLIGHT_MS));

const fn limited(message: &'static str, retry_after_ms: Option<u64>) -> Refusal {
    Refusal { code: ErrorCode::RateLimited, message, retry_after_ms }
}

/// What few sessions have at a time.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Requests that wait for several answers.
    pub(super) gatherings: Vec<Gathering>,
    /// The number of the next. All are answered before this begins anew.
    pub(super) next: u32,
    /// What the session shows, and where its user types.
    pub(super) showing: Showing,
    /// Whom it watches.
    pub(super) watches: Watches,
    /// Conversations that came and are being subscribed.
    pub(super) arrivals: Vec<Arrival>,
    /// Conversations that it reads for its user is staff.
    pub(super) by_role: Vec<ConversationId>,
    /// When the token was issued of which the user's home is to be told.
    pub(super) untold: Option<u64>,
}

impl Extra {
    fn is_empty(&self) -> bool {
        let nothing_asked = self.gatherings.is_empty() && self.arrivals.is_empty() && self.untold.is_none();
        nothing_asked && self.by_role.is_empty() && self.showing.is_empty() && self.watches.is_empty()
    }

    fn add(&mut self, gathering: Gathering) {
        self.gatherings.push(gathering);
        self.next = self.next.wrapping_add(1);
    }
}

/// A time that never comes: the token's end was told of.
const TOLD: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) tenant: TenantId,
    pub(super) user: UserId,
    /// What it reads. Of a few, that costs nothing more.
    pub(super) subscriptions: SmallVec<[Spot; 4]>,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) greeted: bool,
    /// It wants all conversations of its user, or asked for them.
    pub(super) all: bool,
    /// Of its frames.
    pub(super) form: Form,
    /// What its token says that the user is.
    pub(super) roles: Roles,
    expires_at_ms: u64,
    /// The earliest time at which the token's end is told of; [`TOLD`] once it was.
    warn_at_ms: u64,
    in_flight: u16,
    pages: u16,
}

impl Live {
    pub(super) fn new(identity: &Identity, form: Form) -> Self {
        let roles = identity.roles_here();
        let mut live = Self {
            tenant: identity.tenant.clone(),
            user: identity.user.clone(),
            subscriptions: SmallVec::new(),
            extra: None,
            greeted: false,
            all: false,
            form,
            roles,
            expires_at_ms: identity.expires_at_ms,
            warn_at_ms: 0,
            in_flight: 0,
            pages: 0,
        };
        if roles.is_beyond_user() {
            live.is_to_tell(identity);
        }
        live
    }

    /// Why a further request of this kind is not looked at now.
    pub(super) fn refuse_for_load(&self, kind: RequestKind, cost: u64, cx: &mut Context<'_>) -> Option<Refusal> {
        if self.in_flight >= cx.config.requests_in_flight_max {
            return Some(limited("too many requests wait for their answers", Some(RETRY_IN_FLIGHT_MS)));
        }
        if kind.pages() > 0 && self.pages + kind.pages() > cx.config.pages_in_flight_max {
            return Some(TOO_MANY_PAGES);
        }
        cx.gate.request(cost).err().map(|refusal| limited("too many requests", refusal.retry_after_ms))
    }

    /// Asks the owner, or answers what is wrong.
    pub(super) fn ask_checked(&mut self, id: u64, kind: RequestKind, checked: Checked, cx: &mut Context<'_>) {
        match checked {
            Ok((conversation, ask)) => {
                self.in_flight += 1;
                self.pages += kind.pages();
                self.ask(Ticket::Single { id, kind }, conversation, ask, cx);
            }
            Err(refusal) => cx.refuse(id, kind, &refusal),
        }
    }

    pub(super) fn ask(&self, ticket: Ticket, conversation: ConversationId, ask: Ask, cx: &mut Context<'_>) {
        cx.effects.push(Effect::Ask(Request {
            from: Asker { edge: cx.edge, session: cx.session, request: ticket.pack(), roles: self.roles },
            key: ConversationKey { tenant: self.tenant.clone(), conversation },
            user: self.user.clone(),
            ask,
        }));
    }

    /// A request is under way that has no single question to an owner.
    pub(super) fn begin_request(&mut self) {
        self.in_flight += 1;
    }

    /// A request has its answer.
    pub(super) fn finished(&mut self, kind: RequestKind) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pages = self.pages.saturating_sub(kind.pages());
    }

    pub(super) fn on_answer(&mut self, ticket: Ticket, answer: Answer, cx: &mut Context<'_>) {
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
                    Answer::Refused(refusal) => Reply::Error(super::gather::told(&refusal)),
                    Answer::Subscribed(_) | Answer::Watching(_) | Answer::Presence { .. } => {
                        Reply::Error(super::gather::told(&unexpected()))
                    }
                };
                cx.reply(id, kind, result);
            }
            Ticket::Part { gathering, part } => self.on_part(gathering, part, answer, cx),
        }
    }

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
            gathering.telling = self.tell_roles(number, cx);
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
                    self.ask(Ticket::Part { gathering: number, part }, conversation, ask, cx);
                }
                Err(refusal) => gathering.refuse(text, refusal),
            }
        }
        self.gathered(gathering, cx);
    }

    /// A request that will have several answers.
    pub(super) fn begin_gathering(&mut self, id: u64, kind: RequestKind, size: usize) -> Gathering {
        self.in_flight += 1;
        let number = self.extra.as_ref().map_or(0, |extra| extra.next);
        Gathering::new(number, id, kind, size)
    }

    /// All its questions are asked.
    pub(super) fn gathered(&mut self, gathering: Gathering, cx: &mut Context<'_>) {
        if gathering.is_complete() {
            self.finish(gathering, cx);
        } else {
            self.extra.get_or_insert_default().add(gathering);
        }
    }

    /// New subscriptions that may still be asked for.
    pub(super) fn room_for_subscriptions(&self) -> usize {
        SUBSCRIPTIONS_MAX.saturating_sub(self.subscriptions.len() + self.awaited().count())
    }

    /// Conversations whose owners were asked for a subscription and have not answered.
    pub(super) fn awaited(&self) -> impl Iterator<Item = ConversationId> + '_ {
        let subscribing = |gathering: &&Gathering| !matches!(gathering.kind, RequestKind::Open | RequestKind::Unread);
        let lists = self.extra.iter().map(|extra| &extra.gatherings);
        let arrivals = self.extra.iter().flat_map(|extra| extra.arrivals.iter().map(|arrival| arrival.conversation));
        lists.flat_map(move |list| list.iter().filter(subscribing).flat_map(Gathering::waiting)).chain(arrivals)
    }

    fn on_part(&mut self, number: u32, part: u16, answer: Answer, cx: &mut Context<'_>) {
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
            if super::unread::take(gathering, part, answer) && gathering.is_complete() {
                let gathering = gatherings.swap_remove(at);
                self.finish(gathering, cx);
                self.drop_extra();
            }
            return;
        }
        if part == HOME {
            return self.on_home(at, answer, cx);
        }
        if gathering.kind == RequestKind::Open {
            if let Some((conversation, typers)) = super::showing::take_opened(gathering, part, answer) {
                let complete = gathering.is_complete().then(|| gatherings.swap_remove(at));
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
        let Some((conversation, head)) = gathering.settle(part, answer) else { return };
        let late = gathering.all.as_ref().is_some_and(|all| all.told);
        let complete = gathering.is_complete().then(|| gatherings.swap_remove(at));
        self.drop_extra();
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
        if let Some(gathering) = complete {
            self.finish(gathering, cx);
        }
    }

    /// Gives back what it needs no more.
    pub(super) fn drop_extra(&mut self) {
        if self.extra.as_ref().is_some_and(|extra| extra.is_empty()) {
            self.extra = None;
        }
    }

    pub(super) fn finish(&mut self, gathering: Gathering, cx: &mut Context<'_>) {
        if gathering.all.is_some() {
            return self.finish_all(&gathering, cx);
        }
        let (id, kind) = (gathering.id, gathering.kind);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.pages = self.pages.saturating_sub(Gathering::pages(kind, gathering.len()));
        let Gathered { gaps, resumed, subscribed, opened, shown, unread } = gathering.finish();
        for gap in gaps {
            cx.effects.push(Effect::Event(Box::new(gap)));
        }
        let mut result = match kind {
            RequestKind::Resume => Reply::Resumed(v1::Resumed { conversations: resumed }),
            RequestKind::Hello => Reply::Welcome(self.greeting(subscribed, None, cx)),
            RequestKind::Open => Reply::Opened(v1::Opened { opened }),
            RequestKind::Unread => Reply::Unread(super::unread::sum(unread)),
            _ => Reply::Subscribed(v1::Subscribed { subscribed, all: None }),
        };
        fit(self.form, &mut result);
        cx.reply(id, kind, result);
        cx.effects.extend(shown.into_iter().map(Effect::Shown));
    }

    pub(super) fn greeting(
        &self,
        subscribed: Vec<v1::SubscribedTo>,
        all: Option<v1::SubscribedAll>,
        cx: &mut Context<'_>,
    ) -> v1::Welcome {
        v1::Welcome {
            session: ConversationId::from_bytes((cx.fresh)()).to_string(),
            user: self.user.as_str().to_owned(),
            tenant: self.tenant.as_str().to_owned(),
            heartbeat_ms: cx.config.heartbeat_ms,
            server_time_ms: cx.now.wall_ms,
            limits: Some(limits(cx.config)),
            subscribed,
            all: all.map(Box::new),
        }
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

    pub(super) fn stop_reading(&mut self, conversation: ConversationId, cx: &mut Context<'_>) {
        self.stop_showing(conversation, cx);
        self.end_watches(conversation, None, cx);
        if let Some(spot) = self.spot(conversation, cx) {
            self.reads_no_more(spot);
            self.forget_role(conversation);
            cx.effects.push(Effect::Unsubscribed(conversation));
        }
    }

    /// The user was put out of a conversation: no request that still waits for others tells what its owner said of it before.
    pub(super) fn take_back(&mut self, conversation: ConversationId) {
        for gathering in self.extra.iter_mut().flat_map(|extra| &mut extra.gatherings) {
            gathering.take_back(conversation);
        }
    }

    pub(super) fn renew(&mut self, id: u64, renew: &v1::Renew, cx: &mut Context<'_>) {
        match self.take_token(&renew.token, cx) {
            Ok(ended) => {
                let ended = ended.iter().map(ConversationId::to_string).collect();
                let renewed = v1::Renewed { expires_at_ms: self.expires_at_ms, ended };
                cx.reply(id, RequestKind::Renew, Reply::Renewed(renewed));
            }
            Err((refusal, _)) => cx.refuse(id, RequestKind::Renew, &refusal),
        }
    }

    /// A further token of the same user. Returns what is read no more, see `roles.rs`. If it is refused: what to say, and the
    /// code for closing.
    pub(super) fn take_token(
        &mut self,
        token: &str,
        cx: &mut Context<'_>,
    ) -> Result<Vec<ConversationId>, (Refusal, CloseCode)> {
        let identity = hello::verify(token, cx)?;
        if identity.user != self.user || identity.tenant != self.tenant {
            return Err((Refusal::new(ErrorCode::Forbidden, "the token is another user's"), CloseCode::Auth));
        }
        self.expires_at_ms = identity.expires_at_ms;
        // Of a short-lived token half is used before the next is asked for, or client and server would do nothing else.
        let left = self.token_left(cx.now);
        self.warn_at_ms = self.expires_at_ms.saturating_sub(millis(cx.config.token_warning.min(left / 2)));
        Ok(self.take_roles(&identity, cx))
    }

    /// Warns of the token's end. `true`: it is over.
    pub(super) fn on_time(&mut self, cx: &mut Context<'_>) -> bool {
        self.tell_all_overdue(cx);
        let left = self.token_left(cx.now);
        if left.is_zero() && cx.now.wall_ms >= self.expires_at_ms.saturating_add(millis(cx.config.token_grace)) {
            return true;
        }
        if left <= cx.config.token_warning && cx.now.wall_ms >= self.warn_at_ms {
            self.warn_at_ms = TOLD;
            let body = v1::event::Body::TokenExpiring(v1::TokenExpiring { in_ms: millis(left) });
            cx.effects.push(Effect::Event(Box::new(v1::Event {
                conversation: String::new(),
                seq: 0,
                body: Some(body),
            })));
        }
        false
    }

    pub(super) fn deadline(&self, now: Now, config: &SessionConfig) -> Duration {
        let left = self.token_left(now);
        let token = if self.warn_at_ms == TOLD {
            let over = Duration::from_millis(now.wall_ms.saturating_sub(self.expires_at_ms));
            now.mono + left + config.token_grace.saturating_sub(over)
        } else {
            let quiet = Duration::from_millis(self.warn_at_ms.saturating_sub(now.wall_ms));
            now.mono + left.saturating_sub(config.token_warning).max(quiet)
        };
        self.all_due().map_or(token, |at| at.min(token))
    }

    fn token_left(&self, now: Now) -> Duration {
        Duration::from_millis(self.expires_at_ms.saturating_sub(now.wall_ms))
    }
}

/// Answers a ping.
pub(super) fn pong(id: u64, cx: &mut Context<'_>) {
    let pong = v1::Pong { server_time_ms: cx.now.wall_ms };
    cx.reply(id, RequestKind::Ping, Reply::Pong(pong));
}

fn sent(message: Bytes, duplicate: bool) -> Reply {
    match v1::Message::decode(message) {
        Ok(message) => Reply::Sent(v1::Sent { duplicate, message: Some(message) }),
        Err(_) => Reply::Error(super::gather::told(&unexpected())),
    }
}

/// An answer that does not fit its request is a fault of the server's.
pub(super) fn unexpected() -> Refusal {
    Refusal::new(ErrorCode::Internal, "the owner's answer was not understood")
}

fn limits(config: &SessionConfig) -> v1::Limits {
    v1::Limits {
        body_bytes_max: BODY_BYTES_MAX as u64,
        frame_bytes_max: FRAME_BYTES_MAX as u64,
        page_messages_max: PAGE_MESSAGES_MAX as u64,
        resume_events_max: RESUME_EVENTS_MAX as u64,
        positions_max: POSITIONS_MAX as u64,
        subscriptions_max: SUBSCRIPTIONS_MAX as u64,
        members_per_request_max: MEMBERS_PER_REQUEST_MAX as u64,
        requests_in_flight_max: u64::from(config.requests_in_flight_max),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
