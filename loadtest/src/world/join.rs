//! From nothing to a conversation that is read: connect, hello, create, add, subscribe or resume; and back there after a
//! connection was lost.

use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::limits::MEMBERS_PER_REQUEST_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use crate::net::{Away, Net};
use crate::oracle::{Fault, Reader};

use super::session::Control;
use super::{Kind, Stage, State, Timer, World, jitter, words};

const MS: u64 = 1_000_000;

/// The wait before the first attempt to connect again doubles with each, up to the second value; each time it is a
/// random part of it (full jitter).
const BACKOFF_FIRST: u64 = 50 * MS;
const BACKOFF_MAX: u64 = 1_000 * MS;

/// The wait before a refused request other than `send` is asked again, unless the server names one.
const ASK_AGAIN: u64 = 100 * MS;

/// Attempts of a user after which a server that has greeted nobody yet is taken for absent: some two seconds.
const FIRST_ATTEMPTS_MAX: u32 = 8;

impl World {
    /// Sets how far users go from now on, and starts those that wait.
    pub fn set_stage(&mut self, stage: Stage, net: &mut Net) {
        self.stage = stage;
        for slot in 0..self.sessions.len() {
            self.advance(slot, net);
        }
    }

    /// Connects these users.
    pub fn connect(&mut self, slots: impl IntoIterator<Item = usize>, net: &mut Net, now: u64) {
        self.to_connect.extend(slots);
        self.dial(net, now);
    }

    pub(super) fn want_connection(&mut self, slot: usize, net: &mut Net, now: u64) {
        self.to_connect.push_back(slot);
        self.dial(net, now);
    }

    /// Starts connections while there is room for more.
    pub fn dial(&mut self, net: &mut Net, now: u64) {
        while self.connecting < self.connecting_max
            && let Some(slot) = self.to_connect.pop_front()
        {
            let session = &mut self.sessions[slot];
            if session.state != State::Away {
                continue;
            }
            session.state = State::Arriving;
            session.began.get_or_insert(now);
            self.connecting += 1;
            if let Err(error) = net.connect(slot) {
                self.on_closed(slot, &Away { code: None, why: format!("cannot connect: {error}") }, now);
            }
        }
    }

    /// Drops every connection at once and has it come again; readers have forgotten their last `behind` numbers.
    pub fn cut_all(&mut self, behind: u64, net: &mut Net, now: u64) {
        for slot in 0..self.sessions.len() {
            net.cut(slot);
            self.sessions[slot].lost_at = Some(now);
            self.forget_connection(slot);
            self.sessions[slot].reader.rewind(behind);
        }
        self.connect(0..self.sessions.len(), net, now);
    }

    /// The WebSocket handshake is done.
    pub fn on_opened(&mut self, slot: usize, net: &mut Net) {
        match self.plan.tokens.token(&self.names[slot]) {
            Ok(token) => {
                let device = "loadtest".to_owned();
                let hello = v1::Hello { token, device, subscribe: None };
                self.request(slot, Control::Hello, Request::Hello(hello), net);
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn forget_connection(&mut self, slot: usize) {
        let session = &mut self.sessions[slot];
        match session.state {
            State::Away => {}
            State::Arriving => self.connecting -= 1,
            State::Greeted => self.greeted -= 1,
            State::Joined => {
                self.greeted -= 1;
                self.joined -= 1;
            }
        }
        session.state = State::Away;
        session.control = None;
        session.behind = false;
        session.back_since = None;
        session.reader.disconnected();
        if let Some(outbox) = session.outbox.as_mut() {
            outbox.disconnected();
        }
        self.changes_cut_off(slot);
    }

    /// The connection is gone; it comes again unless the server said not to.
    pub fn on_closed(&mut self, slot: usize, away: &Away, now: u64) {
        let session = &mut self.sessions[slot];
        if session.state > State::Arriving {
            self.meter.tally.disconnects += 1;
            session.lost_at.get_or_insert(now);
        }
        if let Some(code) = away.code.filter(|&code| !CloseCode::retry(code)) {
            self.fail(format!("the server closed user {slot}'s connection with {code} {}", away.why));
        }
        self.last_away = Some(away.why.clone());
        let session = &mut self.sessions[slot];
        let span = (BACKOFF_FIRST << session.attempts.min(16)).min(BACKOFF_MAX);
        session.attempts += 1;
        let attempts = session.attempts;
        let n = (slot as u64) << 16 | u64::from(session.attempts);
        let wait = jitter(self.plan.seed, n, span);
        self.forget_connection(slot);
        if self.meter.tally.connects == 0 && attempts >= FIRST_ATTEMPTS_MAX {
            self.fail(format!("no connection to the server: {}", away.why));
        }
        self.at(now + wait, slot, Timer::Connect);
    }

    /// The server had asked for it.
    pub(super) fn move_away(&mut self, slot: usize, net: &mut Net, now: u64) {
        if self.sessions[slot].state > State::Arriving {
            net.close(slot);
            self.sessions[slot].lost_at.get_or_insert(now);
            self.forget_connection(slot);
            self.want_connection(slot, net, now);
        }
    }

    /// Takes the next step towards its conversation, if there is one to take.
    pub(super) fn advance(&mut self, slot: usize, net: &mut Net) {
        let session = &self.sessions[slot];
        if session.state == State::Joined {
            if session.behind {
                self.resume(slot, net);
            }
            self.audit_next_page(slot, net);
            self.ask_page(slot, net);
            self.ask_last(slot, net);
            return;
        }
        if session.state != State::Greeted || session.control.is_some() || self.stage < Stage::Join {
            return;
        }
        let conversation = &self.conversations[session.conversation];
        let creates = conversation.members.start == slot;
        if conversation.added < self.all_members(session.conversation) {
            if creates {
                self.create_or_add(slot, net);
            }
            return;
        }
        if !session.reads {
            self.on_joined(slot, net);
            return;
        }
        let id = conversation.id.clone();
        self.sessions[slot].acked_before = conversation.ledger.acked_head();
        if self.sessions[slot].reader.started() {
            self.resume(slot, net);
        } else {
            let subscribe = v1::Subscribe { conversations: vec![id], all: false };
            self.request(slot, Control::Subscribe, Request::Subscribe(subscribe), net);
        }
    }

    fn create_or_add(&mut self, slot: usize, net: &mut Net) {
        let number = self.sessions[slot].conversation;
        let conversation = &self.conversations[number];
        let from = conversation.added.max(1);
        let upto = self.all_members(number).min(from + MEMBERS_PER_REQUEST_MAX);
        let members = (from..upto).map(|member| self.member_name(number, member)).collect();
        let control;
        let request = if conversation.added == 0 {
            control = Control::Create;
            let direct = self.plan.shape.kind == Kind::Pair;
            let kind = if direct { v1::ConversationKind::Direct } else { v1::ConversationKind::Group };
            let name = (!direct).then(|| "room".to_owned());
            Request::Create(v1::Create { kind: kind.into(), members, name, avatar: None, context: None })
        } else {
            control = Control::Add(upto);
            Request::Add(v1::Add { conversation: conversation.id.clone(), members })
        };
        self.request(slot, control, request, net);
    }

    fn on_joined(&mut self, slot: usize, net: &mut Net) {
        let session = &mut self.sessions[slot];
        session.state = State::Joined;
        self.joined += 1;
        self.pump(slot, net);
        self.pump_changes(slot, net);
        self.audit_next_page(slot, net);
        self.ask_page(slot, net);
        self.ask_last(slot, net);
    }

    /// An answer to a request other than `send`.
    pub(super) fn on_control(&mut self, slot: usize, result: &reply::Result, net: &mut Net, now: u64) {
        let Some(control) = self.sessions[slot].control.take() else {
            self.verdict.add(Fault::Duplicate, 1, || format!("user {slot} got a second answer"));
            return;
        };
        match (control, result) {
            (Control::Hello, reply::Result::Error(error)) => self.on_hello_refused(slot, error, net, now),
            (_, reply::Result::Error(error)) => self.on_control_refused(slot, control, error, now),
            (Control::Hello, reply::Result::Welcome(welcome)) => self.on_welcome(slot, welcome, net, now),
            (Control::Create, reply::Result::Created(v1::Created { conversation: Some(created), .. })) => {
                self.on_created(slot, &created.id, net);
            }
            (Control::Add(added), reply::Result::Changed(_)) => self.on_added(slot, added, net),
            (Control::Subscribe, reply::Result::Subscribed(v1::Subscribed { subscribed, .. })) => {
                match subscribed.first().map(|first| (first, &first.error)) {
                    Some((first, None)) => self.on_subscribed(slot, first.head, net, now),
                    Some((_, Some(error))) => self.on_control_refused(slot, control, error, now),
                    None => self.fail("the server answered a subscription with nothing"),
                }
            }
            (Control::Resume, reply::Result::Resumed(v1::Resumed { conversations })) => {
                match conversations.first().map(|first| (first, &first.error)) {
                    Some((first, None)) => self.on_resumed(slot, first, net, now),
                    Some((_, Some(error))) => {
                        self.sessions[slot].reader.disconnected();
                        self.on_control_refused(slot, control, error, now);
                    }
                    None => self.fail("the server answered a resume with nothing"),
                }
            }
            (Control::History, reply::Result::Page(page)) => self.on_page(slot, page, net),
            (Control::Page, reply::Result::Page(page)) => self.on_random_page(slot, page, net, now),
            (Control::Renew, reply::Result::Renewed(_)) => self.advance(slot, net),
            (Control::Mark(asked), reply::Result::Marked(marked)) => self.on_marked(slot, asked, marked, net),
            (Control::Unread, reply::Result::Unread(counts)) => self.on_unread(slot, counts, net),
            (Control::List, reply::Result::Listed(list)) => self.on_listed(slot, list, net, now),
            (control, _) => self.fail(format!("the answer to {control:?} is of another kind")),
        }
    }

    /// A server without room for another user: come again.
    fn on_hello_refused(&mut self, slot: usize, error: &v1::Error, net: &mut Net, now: u64) {
        if ErrorCode::from_number(error.number).is_some_and(ErrorCode::retry) {
            net.close(slot);
            self.on_closed(slot, &Away { code: None, why: words(error) }, now);
        } else {
            self.fail(format!("the hello of user {slot} was refused: {}", words(error)));
        }
    }

    fn on_control_refused(&mut self, slot: usize, control: Control, error: &v1::Error, now: u64) {
        let retry = ErrorCode::from_number(error.number).is_some_and(ErrorCode::retry);
        let is_mistaken = ErrorCode::from_number(error.number) == Some(ErrorCode::BadRequest);
        if is_mistaken && matches!(control, Control::Resume | Control::Mark(_)) {
            // The number was told by the server itself.
            self.verdict.add(Fault::Stale, 1, || format!("{control:?} of user {slot} was refused: {}", words(error)));
            if control == Control::Resume {
                self.sessions[slot].reader = Reader::default();
            }
        } else if !retry {
            self.fail(format!("{control:?} of user {slot} was refused: {}", words(error)));
            return;
        }
        self.sessions[slot].reader.disconnected();
        let wait = error.retry_after_ms.map_or(ASK_AGAIN, |ms| ms.max(1) * MS);
        self.at(now + wait, slot, Timer::Ask);
    }

    fn on_welcome(&mut self, slot: usize, welcome: &v1::Welcome, net: &mut Net, now: u64) {
        let session = &mut self.sessions[slot];
        session.state = State::Greeted;
        session.attempts = 0;
        session.back_since = session.lost_at.map(|_| now);
        let limit = welcome.limits.as_ref().map_or(0, |limits| limits.requests_in_flight_max);
        // One place stays free for a request that is no send.
        session.in_flight_max = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX).max(1);
        let took = now.saturating_sub(session.began.take().unwrap_or(now));
        self.connecting -= 1;
        self.greeted += 1;
        self.meter.tally.connects += 1;
        self.meter.connect.record(took);
        if welcome.user != self.names[slot] {
            self.fail(format!("the server took {} for {}", self.names[slot], welcome.user));
        }
        self.dial(net, now);
        self.advance(slot, net);
    }

    fn on_created(&mut self, slot: usize, id: &str, net: &mut Net) {
        if ConversationId::parse(id).is_err() {
            self.fail(format!("the server named a conversation {id:?}"));
            return;
        }
        let conversation = self.sessions[slot].conversation;
        self.conversations[conversation].id = id.to_owned();
        let added = self.all_members(conversation).min(1 + MEMBERS_PER_REQUEST_MAX);
        self.on_added(slot, added, net);
    }

    fn on_added(&mut self, slot: usize, added: usize, net: &mut Net) {
        let number = self.sessions[slot].conversation;
        let all = self.all_members(number);
        let conversation = &mut self.conversations[number];
        conversation.added = added;
        if added < all {
            self.advance(slot, net);
            return;
        }
        for member in conversation.members.clone() {
            self.advance(member, net);
        }
    }

    fn on_subscribed(&mut self, slot: usize, head: u64, net: &mut Net, now: u64) {
        self.check_head(slot, head, "a subscription");
        self.sessions[slot].reader.start(head);
        if let Some(story) = self.conversations[self.sessions[slot].conversation].story.as_mut() {
            story.start(head);
        }
        self.caught_up(slot, net, now);
    }

    /// A reader has all there is.
    pub(super) fn caught_up(&mut self, slot: usize, net: &mut Net, now: u64) {
        let session = &mut self.sessions[slot];
        if let Some(lost_at) = session.lost_at.take() {
            self.meter.back.record(now.saturating_sub(lost_at));
        }
        if session.state == State::Greeted {
            self.on_joined(slot, net);
            self.start_ticking(slot, now);
        }
    }

    /// An answer must hold what was acknowledged before it was asked for.
    pub(super) fn check_head(&mut self, slot: usize, head: u64, what: &str) {
        let acked = self.sessions[slot].acked_before;
        let fault = u64::from(head < acked);
        self.verdict
            .add(Fault::Stale, fault, || format!("{what} of user {slot} says head {head}, {acked} was acknowledged"));
    }

    /// Users that are away, for a message when time is up, and why the last connection ended.
    pub fn absent(&self) -> (usize, Option<&str>) {
        (self.sessions.len() - self.joined, self.last_away.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use switchyard_protocol::frame::{self, Form};

    use crate::net::Target;
    use crate::token::Tokens;
    use crate::world::{Flow, Plan, Shape};

    use super::*;

    /// A world of one pair, whose sender is slot 0, and sockets that nobody asks.
    fn pair() -> (World, Net) {
        let secret = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(secret.path(), "0123456789abcdef0123456789abcdef").expect("it is ours");
        let tokens = Tokens::from_secret_file(secret.path(), None, None).expect("a secret");
        let (shape, flow, form) = (Shape::pairs(1), Flow::Timed, Form::Proto);
        let world = World::new(Plan { shape, flow, size: 1, seed: 1, run: "u".to_owned(), form, mix: None, tokens });
        // Nobody listens there.
        let target = Target::new("ws://127.0.0.1:1/v1/ws", form).expect("an address");
        let net = Net::new(target, world.users()).expect("an epoll");
        (world, net)
    }

    fn answer(world: &mut World, net: &mut Net, id: u64, result: reply::Result, now: u64) {
        world.on_frame(0, &frame::encode_server(Form::Proto, &frame::reply(id, result)), net, now);
    }

    fn welcome(world: &mut World, net: &mut Net, now: u64) {
        world.on_opened(0, net);
        let welcome = v1::Welcome { user: "u-0".to_owned(), ..v1::Welcome::default() };
        let id = world.sessions[0].control_id;
        answer(world, net, id, reply::Result::Welcome(welcome), now);
    }

    fn away() -> Away {
        Away { code: None, why: "the network".to_owned() }
    }

    #[test]
    fn a_connect_takes_as_long_as_all_its_attempts() {
        let (mut world, mut net) = pair();
        world.connect([0], &mut net, 5 * MS);
        world.on_closed(0, &away(), 105 * MS);
        world.run_timers(&mut net, 1_005 * MS);
        assert_eq!(world.sessions[0].state, State::Arriving, "the second attempt");
        welcome(&mut world, &mut net, 2_005 * MS);
        assert_eq!(world.meter.connect.count(), 1);
        assert!(world.meter.connect.quantile_ms(1.0) >= Some(2_000.0), "with the attempt that failed");

        // What follows a connection that stood begins anew.
        world.on_closed(0, &away(), 9_000 * MS);
        world.run_timers(&mut net, 10_000 * MS);
        welcome(&mut world, &mut net, 10_500 * MS);
        assert!(world.meter.connect.quantile_ms(0.0) < Some(600.0), "without the time that it stood");
    }

    #[test]
    fn who_is_back_waits_for_an_ack_from_the_welcome_on_or_from_the_time_that_something_is_due() {
        let (mut world, mut net) = pair();
        world.set_stage(Stage::Join, &mut net);
        world.connect([0], &mut net, 0);
        welcome(&mut world, &mut net, 10 * MS);
        let id = ConversationId::from_bytes([1; 16]).to_string();
        let created = v1::Created { conversation: Some(v1::Conversation { id, ..Default::default() }), created: true };
        let asked = world.sessions[0].control_id;
        answer(&mut world, &mut net, asked, reply::Result::Created(created), 20 * MS);
        // What the answer says of the message is not looked at here.
        let sent = || reply::Result::Sent(v1::Sent { message: Some(v1::Message::default()), duplicate: false });
        let ack = |world: &mut World, net: &mut Net, count: u64, at: u64| answer(world, net, 2 * count + 1, sent(), at);
        world.launch_next(20 * MS, &mut net);
        ack(&mut world, &mut net, 0, 90 * MS);
        assert_eq!(world.meter.back_ack.count(), 0, "it was never away");

        world.launch_next(100 * MS, &mut net);
        world.on_closed(0, &away(), 1_000 * MS);
        world.run_timers(&mut net, 3_000 * MS);
        welcome(&mut world, &mut net, 4_000 * MS);
        ack(&mut world, &mut net, 1, 4_300 * MS);
        world.launch_next(4_400 * MS, &mut net);
        ack(&mut world, &mut net, 2, 9_000 * MS);
        let longest = |world: &World| world.meter.back_ack.quantile_ms(1.0).map(f64::round);
        assert_eq!((world.meter.back_ack.count(), longest(&world)), (1, Some(300.0)), "only the first one counts");

        world.on_closed(0, &away(), 10_000 * MS);
        world.run_timers(&mut net, 12_000 * MS);
        welcome(&mut world, &mut net, 13_000 * MS);
        world.launch_next(20_000 * MS, &mut net);
        ack(&mut world, &mut net, 3, 20_500 * MS);
        assert_eq!((world.meter.back_ack.count(), longest(&world)), (2, Some(500.0)), "it had nothing to send before");
    }

    #[test]
    fn a_head_below_what_was_told_is_a_fault_and_the_run_goes_on() {
        let (mut world, _net) = pair();
        let below = frame::error(ErrorCode::BadRequest, "the position is above the conversation's head", None);
        world.sessions[1].reader.start(7);
        world.on_control_refused(1, Control::Resume, &below, 0);
        assert_eq!((world.verdict.stale, world.fatal.take()), (1, None));
        assert!(!world.sessions[1].reader.started(), "it subscribes anew");
        assert!(world.next_timer().is_some(), "after a while");
        world.on_control_refused(1, Control::Subscribe, &below, 0);
        assert_eq!(world.verdict.stale, 1);
        assert!(world.fatal.is_some(), "no number was told there");
    }
}
