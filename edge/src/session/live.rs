//! A session whose user is known: what it reads and has under way, and how it asks. What it is asked for itself is in the
//! files that are named after that.

use smallvec::SmallVec;
use switchyard_cluster::link::{Ask, Refusal, Request};
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame::Form;
use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};
use switchyard_protocol::limits::SUBSCRIPTIONS_MAX;
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, reply::Result as Reply};

use super::check::Checked;
use super::context::Context;
use super::directory::Spot;
use super::effect::Effect;
use super::gather::Gathering;
use super::kind::RequestKind;
use super::showing::Showing;
use super::ticket::Ticket;
use super::watches::Watches;
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

pub(super) const TOO_MANY_PAGES: Refusal = limited("too many pages are asked for at once", Some(RETRY_IN_FLIGHT_MS));

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

/// A conversation that came and is being subscribed.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) number: u32,
    pub(super) conversation: ConversationId,
    pub(super) entry: v1::Listing,
    /// The client has unsubscribed meanwhile.
    pub(super) cancelled: bool,
}

impl Extra {
    fn is_empty(&self) -> bool {
        let nothing_asked = self.gatherings.is_empty() && self.arrivals.is_empty() && self.untold.is_none();
        nothing_asked && self.by_role.is_empty() && self.showing.is_empty() && self.watches.is_empty()
    }

    pub(super) fn add(&mut self, gathering: Gathering) {
        self.gatherings.push(gathering);
        self.next = self.next.wrapping_add(1);
    }
}

/// A time that never comes: the token's end was told of.
pub(super) const TOLD: u64 = u64::MAX;

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
    pub(super) expires_at_ms: u64,
    /// The earliest time at which the token's end is told of; [`TOLD`] once it was.
    pub(super) warn_at_ms: u64,
    pub(super) in_flight: u16,
    pub(super) pages: u16,
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
            from: Asker {
                edge: cx.edge,
                session: cx.session,
                request: ticket.id(),
                ticket: ticket.pack(),
                roles: self.roles,
            },
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

    /// A request that will have several answers.
    pub(super) fn begin_gathering(&mut self, id: u64, kind: RequestKind, size: usize) -> Gathering {
        self.in_flight += 1;
        let number = self.extra.as_ref().map_or(0, |extra| extra.next);
        Gathering::new(number, id, kind, size)
    }

    /// The home is to be told what this token says.
    pub(super) fn is_to_tell(&mut self, identity: &Identity) {
        self.extra.get_or_insert_default().untold = Some(identity.issued_at_ms);
    }

    /// Gives back what it needs no more.
    pub(super) fn drop_extra(&mut self) {
        if self.extra.as_ref().is_some_and(|extra| extra.is_empty()) {
            self.extra = None;
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
}

/// Answers a ping.
pub(super) fn pong(id: u64, cx: &mut Context<'_>) {
    let pong = v1::Pong { server_time_ms: cx.now.wall_ms };
    cx.reply(id, RequestKind::Ping, Reply::Pong(pong));
}
