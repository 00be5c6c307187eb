//! A client's session as a pure state machine: frames, answers and time in, [effects](Effect) out. It owns no socket,
//! reads no clock and has no source of randomness; what it needs of them comes with each call, in a [`Context`].
//!
//! Phases: **greeting** (nobody is known; only `hello` counts), then **live**. A request gets exactly one reply: at once,
//! or when its owner has answered. Nothing is kept per request: the [`Ticket`] on it brings back what is needed.
//!
//! | part | is |
//! |---|---|
//! | `hello` | who is there |
//! | `answers` | what owners answer, to the request that each is for |
//! | `subscribe`, `all`, `open`, `unread`, `presence`, `roles`, `token` | what a session is asked for, a subject each |
//! | `reading`, `finish` | what it reads, and what ends with that; the replies that several owners answer |
//! | `live` | what it has under way, and how it asks |
//! | `gather`, `showing`, `watches`, `flood` | its state by subject |
//! | `context`, `effect`, `directory`, `check`, `cost`, `fit`, `kind`, `ticket`, `line` | what it is given, what it wants done, and what requests are |
//!
//! Each knows those of its own row and of the rows below, and none above.

mod all;
mod answers;
mod check;
mod context;
mod cost;
mod directory;
mod effect;
mod finish;
mod fit;
mod flood;
mod gather;
mod hello;
mod kind;
mod line;
mod live;
mod open;
mod presence;
mod reading;
mod roles;
mod showing;
mod subscribe;
mod ticket;
mod token;
mod unread;
mod watches;

#[cfg(test)]
mod tests;

pub use context::{Context, Gate, SessionConfig};
pub use cost::change_units;
pub use directory::{Directory, Spot};
pub use effect::Effect;
pub use fit::PAGE_ENCODED_BYTES_MAX;
pub use gather::UNSEEN_AFTER;
pub use kind::RequestKind;
pub use line::PageLine;
pub use ticket::{Ticket, ask_at, asked_at};

use std::time::Duration;

use switchyard_cluster::home::Decision;
use switchyard_cluster::home::ListedNow;
use switchyard_cluster::link::{Answer, Ask, Refusal};
use switchyard_cluster::now::Now;
use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::frame::{self, DecodeError, Form};
use switchyard_protocol::hot::{self, SendView};
use switchyard_protocol::id::{ConversationId, TenantId, UserId};
use switchyard_protocol::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, INTEGER_MAX};
use switchyard_protocol::v1::{self, client_frame::Request};

use crate::auth::Identity;
use flood::Flood;
use live::Live;

/// Frames that cannot be read at all, within [`BAD_FRAMES_WINDOW`], before a client is taken for one that does not speak
/// this protocol. A person who tries it by hand makes fewer mistakes a minute.
pub const BAD_FRAMES_MAX: u32 = 32;

/// See [`BAD_FRAMES_MAX`].
pub const BAD_FRAMES_WINDOW: Duration = Duration::from_secs(60);

/// One client.
#[derive(Debug)]
pub struct Session {
    form: Form,
    /// Nothing more of the client counts: its connection is being closed.
    closing: bool,
    bad_frames: Flood,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    Live(Live),
}

impl Session {
    /// A session at the begin of its connection; with an identity if a token came before the first frame.
    pub fn new(form: Form, identity: Option<&Identity>) -> Self {
        let phase = identity.map_or(Phase::Greeting, |identity| Phase::Live(Live::new(identity, form)));
        Self { form, closing: false, bad_frames: Flood::default(), phase }
    }

    /// The form of its frames.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether nobody is known yet.
    pub fn is_greeting(&self) -> bool {
        matches!(self.phase, Phase::Greeting)
    }

    /// Whether nothing more of the client counts.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Bytes that a frame of the client may have at present.
    pub fn frame_bytes_max(&self) -> usize {
        if self.is_greeting() { HELLO_BYTES_MAX } else { FRAME_BYTES_MAX }
    }

    /// Who it is.
    pub fn user(&self) -> Option<&UserId> {
        self.live().map(|live| &live.user)
    }

    /// Whose data it may touch.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.live().map(|live| &live.tenant)
    }

    /// Puts a shared copy of the tenant's id in place of its own.
    pub fn share_tenant(&mut self, tenant: TenantId) {
        if let Phase::Live(live) = &mut self.phase {
            debug_assert_eq!(live.tenant, tenant);
            live.tenant = tenant;
        }
    }

    /// Where the conversations lie that it reads.
    pub fn subscriptions(&self) -> &[Spot] {
        self.live().map_or(&[], |live| &live.subscriptions)
    }

    /// The conversation that lies there is read by it from now on, as it has wanted by a [`Settled`](Effect::Settled).
    pub fn reads(&mut self, spot: Spot) {
        if let Phase::Live(live) = &mut self.phase {
            live.reads(spot);
        }
    }

    /// What it reads lies elsewhere now.
    pub fn move_spots(&mut self, moved: impl Fn(Spot) -> Spot) {
        if let Phase::Live(live) = &mut self.phase {
            live.subscriptions.iter_mut().for_each(|spot| *spot = moved(*spot));
        }
    }

    /// Conversations whose owners were asked for a subscription and have not answered.
    pub fn awaited(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.live().into_iter().flat_map(Live::awaited)
    }

    /// The conversations that it has open, or asked for.
    pub fn opened(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.showing().into_iter().flat_map(showing::Showing::open)
    }

    /// Conversations in which its user types.
    pub fn typing(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.showing().into_iter().flat_map(showing::Showing::typing)
    }

    /// The homes of users and the conversations that it watches, or asked for.
    pub fn watching(&self) -> impl Iterator<Item = ConversationId> + '_ {
        self.live().and_then(|live| live.extra.as_deref()).into_iter().flat_map(|extra| extra.watches.keys())
    }

    /// Whether it watches somebody through this conversation.
    pub fn watches_through(&self, conversation: ConversationId) -> bool {
        self.live().and_then(|live| live.extra.as_deref()).is_some_and(|extra| extra.watches.any_through(conversation))
    }

    /// These users, or all, were put out of a conversation: whom it watches through that, they watch no more, nor are they watched.
    pub fn on_put_out(&mut self, conversation: ConversationId, removed: Option<&[UserId]>, cx: &mut Context<'_>) {
        if let Phase::Live(live) = &mut self.phase {
            live.end_watches(conversation, removed, cx);
        }
    }

    /// The user of this home and the session's are apart: neither watches the other any more by way of a conversation of these two.
    pub fn on_parted(&mut self, home: ConversationId, cx: &mut Context<'_>) {
        if let Phase::Live(live) = &mut self.phase {
            live.part(home, cx);
        }
    }

    /// Whether it wants all conversations of its user, or asked for them.
    pub fn wants_all(&self) -> bool {
        self.live().is_some_and(|live| live.all)
    }

    /// A conversation came to its user's list, or went from it.
    pub fn on_listed(&mut self, now: &ListedNow, cx: &mut Context<'_>) {
        if let Phase::Live(live) = &mut self.phase
            && !self.closing
        {
            live.on_listed(now, cx);
        }
    }

    /// It reads this conversation no more, which lies there, for its user was put out.
    pub fn forget(&mut self, conversation: ConversationId, spot: Spot) {
        if let Phase::Live(live) = &mut self.phase {
            live.reads_no_more(spot);
            live.forget_role(conversation);
            live.forget_showing(conversation);
            live.take_back(conversation);
        }
    }

    /// Takes a binary message of the client.
    pub fn on_binary(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        if self.form != Form::Proto {
            return self.on_bad_frame(&wrong_form("this connection speaks JSON, in text messages"), cx);
        }
        if let Some(view) = hot::decode_send(bytes) {
            return self.on_send(&view, None, cx);
        }
        match frame::decode_client_proto(bytes) {
            Ok((id, request)) => self.on_request(id, request, cx),
            Err(error) => self.on_bad_frame(&error, cx),
        }
    }

    /// Takes a text message of the client.
    pub fn on_text(&mut self, text: &str, cx: &mut Context<'_>) {
        if self.form != Form::Json {
            return self.on_bad_frame(&wrong_form("this connection speaks protobuf, in binary messages"), cx);
        }
        match frame::decode_client_json(text) {
            Ok((id, request)) => self.on_request(id, request, cx),
            Err(error) => self.on_bad_frame(&error, cx),
        }
    }

    /// Takes the answer to one of its requests, which was asked at this time.
    pub fn on_answer(&mut self, ticket: Ticket, asked: Duration, answer: Answer, cx: &mut Context<'_>) {
        // Only a live session asks.
        if let Phase::Live(live) = &mut self.phase {
            live.on_answer(ticket, asked, answer, cx);
        }
    }

    /// One of its requests has been answered by the door itself.
    pub fn finished(&mut self, kind: RequestKind) {
        if let Phase::Live(live) = &mut self.phase {
            live.finished(kind);
        }
    }

    /// Does what time has brought.
    pub fn on_time(&mut self, cx: &mut Context<'_>) {
        if let Phase::Live(live) = &mut self.phase
            && !self.closing
            && live.on_time(cx)
        {
            self.close(CloseCode::TokenExpired, cx);
        }
    }

    /// When [`on_time`](Self::on_time) has something to do next, on the monotonic clock.
    pub fn deadline(&self, now: Now, config: &SessionConfig) -> Option<Duration> {
        self.live().filter(|_| !self.closing).map(|live| live.deadline(now, config))
    }

    /// Nothing more of the client counts, whatever still arrives.
    pub fn stop(&mut self) {
        self.closing = true;
    }

    fn showing(&self) -> Option<&showing::Showing> {
        self.live()?.extra.as_deref().map(|extra| &extra.showing)
    }

    fn live(&self) -> Option<&Live> {
        match &self.phase {
            Phase::Live(live) => Some(live),
            Phase::Greeting => None,
        }
    }

    /// Takes a send; `whole` is the request, if it may have what only few have.
    fn on_send(&mut self, view: &SendView<'_>, whole: Option<&v1::Send>, cx: &mut Context<'_>) {
        if let Some(live) = self.begin(view.id, RequestKind::Send, 1, cx) {
            let mut checked = check::send(view, live.roles);
            if let (Ok((conversation, Ask::Send(send))), Some(whole)) = (&mut checked, whole) {
                match check::extra(*conversation, whole.reply_to.as_deref(), &whole.mentions) {
                    Ok(extra) => send.extra = extra,
                    Err(refusal) => checked = Err(refusal),
                }
            }
            if let Ok((conversation, _)) = &checked {
                live.sent_in(*conversation);
            }
            live.ask_checked(view.id, RequestKind::Send, checked, cx);
        }
    }

    fn on_request(&mut self, id: u64, request: Request, cx: &mut Context<'_>) {
        let kind = RequestKind::of(&request);
        let request = match request {
            Request::Hello(hello) => return self.on_hello(id, hello, cx),
            Request::Send(send) => {
                let v1::Send { conversation, client_id, kind, text, since, .. } = &send;
                let view = SendView { id, conversation, client_id, kind: *kind, text, since: *since };
                return self.on_send(&view, Some(&send), cx);
            }
            other => other,
        };
        let Some(live) = self.begin(id, kind, cost::of(&request), cx) else { return };
        let checked = match request {
            Request::Create(create) => check::create(create, &live.tenant, &live.user, &mut *cx.fresh),
            Request::History(history) => check::history(&history),
            Request::Members(members) => check::members(&members),
            Request::List(list) => check::list(&list, &live.tenant, &live.user),
            Request::Blocks(blocks) => check::blocks(&blocks, &live.tenant, &live.user),
            Request::Block(block) => check::block(&block.user, Decision::Block, &live.tenant, &live.user),
            Request::Unblock(block) => check::block(&block.user, Decision::Unblock, &live.tenant, &live.user),
            Request::Archive(archive) => {
                check::archive(&archive.conversation, Decision::Archive, &live.tenant, &live.user)
            }
            Request::Unarchive(archive) => {
                check::archive(&archive.conversation, Decision::Unarchive, &live.tenant, &live.user)
            }
            Request::Add(add) => check::add(&add),
            Request::Remove(remove) => check::remove(&remove),
            Request::Update(update) => check::update(update),
            Request::Promote(promote) => check::promote(&promote),
            Request::Demote(demote) => check::demote(&demote),
            Request::Close(close) => check::conversation(&close.conversation).map(|id| (id, live::CLOSE)),
            Request::Reopen(reopen) => check::conversation(&reopen.conversation).map(|id| (id, live::REOPEN)),
            Request::Erase(erase) => check::conversation(&erase.conversation).map(|id| (id, live::ERASE)),
            Request::Accept(accept) => check::conversation(&accept.conversation).map(|id| (id, live::ACCEPT)),
            Request::Decline(decline) => check::conversation(&decline.conversation).map(|id| (id, live::DECLINE)),
            Request::Edit(edit) => check::edit(edit),
            Request::Delete(delete) => check::delete(&delete),
            Request::React(react) => check::react(react),
            Request::Pin(pin) => check::pin(&pin),
            Request::Mark(mark) => check::mark(&mark),
            Request::Marks(marks) => check::marks(&marks),
            Request::Get(get) => check::conversation(&get.conversation).map(|id| (id, live::GET)),
            Request::Leave(leave) => check::conversation(&leave.conversation).map(|id| (id, live::LEAVE)),
            Request::Subscribe(subscribe) => return live.subscribe(id, &subscribe, cx),
            Request::Resume(resume) => return live.resume(id, &resume, cx),
            Request::Unsubscribe(unsubscribe) => return live.unsubscribe(id, &unsubscribe, cx),
            Request::Open(open) => return live.open(id, &open, cx),
            Request::Unread(unread) => return live.unread(id, &unread, cx),
            Request::Watch(watch) => return live.watch(id, &watch, cx),
            Request::Unwatch(unwatch) => return live.unwatch(id, &unwatch, cx),
            Request::Typing(typing) => return live.typing(id, &typing, cx),
            Request::Renew(renew) => return live.renew(id, &renew, cx),
            Request::Ping(_) => return live::pong(id, cx),
            // These two were taken out above.
            Request::Send(_) | Request::Hello(_) => return,
        };
        live.ask_checked(id, kind, checked, cx);
    }

    /// Judges whether a request may be looked at. If not, it is answered.
    fn begin(&mut self, id: u64, kind: RequestKind, cost: u64, cx: &mut Context<'_>) -> Option<&mut Live> {
        if self.is_greeting() {
            cx.refuse(id, kind, &Refusal::new(ErrorCode::AuthInvalid, "say hello with a token first"));
            self.close(CloseCode::Auth, cx);
            return None;
        }
        let Phase::Live(live) = &mut self.phase else { return None };
        let refusal = if id > INTEGER_MAX {
            Some(check::bad("integers are at most 2^53 - 1"))
        } else {
            live.refuse_for_load(kind, cost, cx)
        };
        match refusal {
            Some(refusal) => {
                cx.refuse(id, kind, &refusal);
                None
            }
            None => {
                live.tell_roles_by_the_way(cx);
                Some(live)
            }
        }
    }

    /// Answers what is not a request. The connection stays, unless such frames are all that comes.
    fn on_bad_frame(&mut self, error: &DecodeError, cx: &mut Context<'_>) {
        let kind = RequestKind::Unreadable;
        // A request that is only unknown here, or has a wrong field, is an honest one and has its budget.
        if error.id != 0 {
            if self.begin(error.id, kind, 1, cx).is_some() {
                cx.refuse_saying(error.id, kind, ErrorCode::BadRequest, error.message.clone());
            }
            return;
        }
        cx.refuse_saying(error.id, kind, ErrorCode::BadRequest, error.message.clone());
        self.count_bad_frame(cx);
    }

    /// Closes the connection if such frames are all that comes.
    fn count_bad_frame(&mut self, cx: &mut Context<'_>) {
        if !self.bad_frames.count(cx.now.mono, BAD_FRAMES_WINDOW, BAD_FRAMES_MAX) {
            self.close(CloseCode::Protocol, cx);
        }
    }

    fn close(&mut self, code: CloseCode, cx: &mut Context<'_>) {
        self.closing = true;
        cx.effects.push(Effect::Close(code));
    }
}

fn wrong_form(message: &str) -> DecodeError {
    DecodeError { id: 0, message: message.to_owned() }
}
