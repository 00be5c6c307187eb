//! The connection: getting a token, connecting, saying hello, noticing silence, moving away from a draining server,
//! coming again after a loss, and ending.

use std::fmt;
use std::time::Duration;

use switchyard_protocol::code::{CloseCode, ErrorCode};
use switchyard_protocol::v1::{self, client_frame::Request, reply};

use super::Core;
use super::flights::Purpose;
use super::io::{Connection, Effect, Loss, NoToken};
use super::limits::{
    ATTEMPTS_AFTER_WELCOME_MAX, CONNECT_TIMEOUT, MOVE_GRACE, RECONNECT_BASE, RECONNECT_CAP, RENEW_PAUSE_MAX,
    RENEW_PAUSE_MIN, RENEW_TIMEOUT, STABLE_AFTER, TOKEN_FRESH, TOKEN_TIMEOUT,
};
use super::timers::Timer;
use crate::error::{Closed, Error};
use crate::event::State;

/// HTTP answers to the upgrade that say that this address will not take this client.
const HTTP_FINAL: [u16; 6] = [400, 401, 403, 404, 405, 426];

/// The phases of being connected.
#[derive(Debug)]
pub(crate) enum Link {
    Idle,
    /// Until the pause before the next attempt is over.
    Waiting,
    /// Until the token provider answers.
    Token,
    Connecting(Connection),
    /// Hello is sent.
    Greeting {
        connection: Connection,
    },
    Live {
        connection: Connection,
        since: Duration,
        /// Nothing new is sent; once the answers are here, another connection is made.
        moving: bool,
    },
    Closed(Closed),
}

impl Link {
    /// The connection on which frames can be sent.
    pub(crate) fn connection(&self) -> Option<Connection> {
        match self {
            Self::Greeting { connection } | Self::Live { connection, .. } => Some(*connection),
            _ => None,
        }
    }

    /// Whether what is said of this connection still matters.
    pub(crate) fn is(&self, connection: Connection) -> bool {
        self.connection() == Some(connection)
    }
}

/// What proves who the user is.
pub(crate) struct Token {
    text: String,
    /// The server took it once: if it is refused now, it has run out, and a new one may do.
    welcomed: bool,
    /// When the provider gave it.
    given_at: Duration,
}

impl Token {
    fn new(text: String, given_at: Duration) -> Self {
        Self { text, welcomed: false, given_at }
    }

    /// Whether another one may be taken where this one was refused.
    fn is_old(&self, now: Duration) -> bool {
        self.welcomed || now.saturating_sub(self.given_at) > TOKEN_FRESH
    }
}

impl fmt::Debug for Token {
    /// Without the token: what is printed may end in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("welcomed", &self.welcomed).finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn open(&mut self) {
        if matches!(self.link, Link::Idle) {
            self.say(State::Connecting);
            self.seek();
        }
    }

    /// Begins an attempt: with the token at hand, or by asking for one.
    fn seek(&mut self) {
        if self.token.is_some() {
            self.connections += 1;
            let connection = Connection(self.connections);
            self.link = Link::Connecting(connection);
            self.timers.set(Timer::Step, self.after(CONNECT_TIMEOUT));
            self.effects.push(Effect::Connect(connection));
        } else {
            self.link = Link::Token;
            self.timers.set(Timer::Step, self.after(TOKEN_TIMEOUT));
            self.ask_for_token();
        }
    }

    fn ask_for_token(&mut self) {
        if !std::mem::replace(&mut self.token_asked, true) {
            self.effects.push(Effect::RequestToken);
        }
    }

    pub(super) fn on_token(&mut self, result: Result<String, NoToken>) {
        self.token_asked = false;
        self.timers.cancel(&Timer::Renew);
        match (result, &self.link) {
            (_, Link::Closed(_)) => {}
            (Ok(text), Link::Token) => {
                self.token = Some(Token::new(text, self.now));
                self.seek();
            }
            (Ok(text), Link::Live { .. }) => {
                self.token = Some(Token::new(text.clone(), self.now));
                self.request(Request::Renew(v1::Renew { token: text }), Purpose::Renew);
            }
            (Ok(text), _) => self.token = Some(Token::new(text, self.now)),
            (Err(NoToken::Never(why)), _) => self.finish(Closed::Token(why)),
            (Err(NoToken::Later), Link::Token) => self.wait(None),
            (Err(NoToken::Later), Link::Live { .. }) => self.renew_later(),
            (Err(NoToken::Later), _) => {}
        }
    }

    pub(super) fn on_connected(&mut self, connection: Connection) {
        if !matches!(self.link, Link::Connecting(expected) if expected == connection) {
            return;
        }
        let Some(token) = &self.token else { return };
        let hello = v1::Hello { token: token.text.clone(), device: self.settings.device.clone(), subscribe: None };
        self.heard_at = self.now;
        self.link = Link::Greeting { connection };
        self.timers.set(Timer::Step, self.after(CONNECT_TIMEOUT));
        self.request(Request::Hello(hello), Purpose::Hello);
        self.want_all();
    }

    pub(super) fn on_welcome(&mut self, result: Option<reply::Result>) {
        let Link::Greeting { connection } = self.link else { return };
        match result {
            Some(reply::Result::Welcome(welcome)) => {
                let identity = (welcome.user.clone(), welcome.tenant.clone());
                if *self.identity.get_or_insert_with(|| identity.clone()) != identity {
                    return self.finish(Closed::UserChanged);
                }
                if let Some(token) = &mut self.token {
                    token.welcomed = true;
                }
                self.session.clone_from(&welcome.session);
                self.take_limits(&welcome);
                self.link = Link::Live { connection, since: self.now, moving: false };
                self.timers.cancel(&Timer::Step);
                self.timers.set(Timer::Silence, self.after(self.silence_max()));
                self.say(State::Online(welcome));
            }
            Some(reply::Result::Error(error)) => self.on_hello_refused(&error),
            _ => self.abandon(),
        }
    }

    fn on_hello_refused(&mut self, error: &v1::Error) {
        if is_retry(error) {
            self.disconnect();
            self.lost(error.retry_after_ms.map(Duration::from_millis));
        } else if error.number == ErrorCode::AuthInvalid.number() && self.drop_old_token() {
            self.abandon();
        } else {
            self.finish(Closed::Refused { number: error.number, message: error.message.clone() });
        }
    }

    /// Forgets a token that did serve once or is no more fresh, so that a new one is asked for. Says whether there was one.
    fn drop_old_token(&mut self) -> bool {
        let old = self.token.as_ref().is_some_and(|token| token.is_old(self.now));
        if old {
            self.token = None;
        }
        old
    }

    fn take_limits(&mut self, welcome: &v1::Welcome) {
        let usable = |given: u64| usize::try_from(given).ok().filter(|given| *given > 0);
        if let Some(limits) = &welcome.limits {
            if let Some(max) = usable(limits.requests_in_flight_max) {
                self.server.in_flight_max = max;
            }
            if let Some(max) = usable(limits.body_bytes_max) {
                self.server.body_bytes_max = max;
            }
            if let Some(max) = usable(limits.positions_max) {
                self.server.positions_max = max;
            }
        }
        if welcome.heartbeat_ms > 0 {
            self.heartbeat = Duration::from_millis(welcome.heartbeat_ms);
        }
    }

    /// Two heartbeats and a half: one may be lost and the next one late.
    fn silence_max(&self) -> Duration {
        self.heartbeat.saturating_mul(5) / 2
    }

    pub(super) fn on_silence(&mut self) {
        let due = self.heard_at.saturating_add(self.silence_max());
        if due <= self.now {
            self.abandon();
        } else {
            self.timers.set(Timer::Silence, due);
        }
    }

    /// The pause is over, or a step of connecting took too long.
    pub(super) fn on_step_over(&mut self) {
        match self.link {
            Link::Waiting => self.seek(),
            Link::Token => {
                // A provider that hangs is asked again, and what it answers in the end is taken as well.
                self.token_asked = false;
                self.wait(None);
            }
            Link::Connecting(_) | Link::Greeting { .. } => self.abandon(),
            Link::Idle | Link::Live { .. } | Link::Closed(_) => {}
        }
    }

    pub(super) fn on_disconnected(&mut self, connection: Connection, loss: Loss) {
        let current = matches!(self.link, Link::Connecting(expected) if expected == connection);
        if !current && !self.link.is(connection) {
            return;
        }
        match loss {
            Loss::Closed { code, .. } if code == CloseCode::TokenExpired.number() => self.token = None,
            Loss::Closed { code, .. } if code == CloseCode::Auth.number() && self.drop_old_token() => {}
            Loss::Closed { code, reason } if !CloseCode::retry(code) => {
                return self.end(Closed::Server { code, reason });
            }
            Loss::Http(status) if self.identity.is_none() && HTTP_FINAL.contains(&status) => {
                return self.end(Closed::Http(status));
            }
            Loss::Closed { .. } | Loss::Http(_) | Loss::Broken => {}
        }
        self.lost(None);
    }

    /// Leaves the present connection, which is of no use, and comes again after a pause.
    pub(super) fn abandon(&mut self) {
        self.disconnect();
        self.lost(None);
    }

    fn disconnect(&mut self) {
        let connection = match self.link {
            Link::Connecting(connection) => Some(connection),
            _ => self.link.connection(),
        };
        if let Some(connection) = connection {
            self.effects.push(Effect::Disconnect(connection));
        }
    }

    /// There is no connection any more.
    fn lost(&mut self, at_least: Option<Duration>) {
        self.forget_connection();
        self.wait(at_least);
    }

    /// Everything that was bound to the connection goes back to where it can begin anew.
    fn forget_connection(&mut self) {
        if let Link::Live { since, .. } = self.link {
            self.attempt = match self.now - since {
                lasted if lasted >= STABLE_AFTER => 0,
                _ => self.attempt.min(ATTEMPTS_AFTER_WELCOME_MAX),
            };
            self.say(State::Connecting);
        }
        for timer in [Timer::Silence, Timer::Move, Timer::MoveNow, Timer::Renew, Timer::Fetch, Timer::Unsubscribe] {
            self.timers.cancel(&timer);
        }
        self.link = Link::Waiting;
        self.detach_all();
        self.forget_showing();
        self.forget_watches();
        self.marks_cut_off();
        self.forget_all();
        for (id, flight) in self.flights.take() {
            match flight.purpose {
                Purpose::Call(ticket) => self.on_cut_off(ticket, id),
                Purpose::Head(name) => self.outbox.release(&name),
                _ => {}
            }
        }
    }

    /// Pauses before the next attempt.
    fn wait(&mut self, at_least: Option<Duration>) {
        let pause = self.jitter.pause(RECONNECT_BASE, RECONNECT_CAP, self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        self.link = Link::Waiting;
        self.timers.set(Timer::Step, self.after(at_least.unwrap_or_default().saturating_add(pause)));
    }

    /// The server is going away: at a random time between the two, so that its clients do not move all at once.
    pub(super) fn on_drain(&mut self, drain: v1::Drain) {
        if matches!(self.link, Link::Live { moving: false, .. }) {
            let (least, most) = (Duration::from_millis(drain.after_min_ms), Duration::from_millis(drain.after_max_ms));
            let pause = self.jitter.between(least, most);
            self.timers.set(Timer::Move, self.after(pause));
        }
    }

    pub(super) fn start_moving(&mut self) {
        if let Link::Live { moving, .. } = &mut self.link {
            *moving = true;
            self.timers.set(Timer::MoveNow, self.after(MOVE_GRACE));
        }
    }

    /// The pause was in choosing when to move; the next connection is made at once.
    pub(super) fn move_now(&mut self) {
        if matches!(self.link, Link::Live { .. }) {
            self.disconnect();
            self.forget_connection();
            self.seek();
        }
    }

    /// The server warns that the token runs out.
    pub(super) fn renew(&mut self) {
        if !matches!(self.link, Link::Live { .. }) {
            return;
        }
        let already = self.token_asked;
        self.ask_for_token();
        if !already || !self.timers.is_set(&Timer::Renew) {
            self.timers.set(Timer::Renew, self.after(RENEW_TIMEOUT));
        }
    }

    /// The pause after a failure is over, or the provider takes too long: one that hangs is asked again.
    pub(super) fn renew_again(&mut self) {
        self.token_asked = false;
        self.renew();
    }

    pub(super) fn renew_later(&mut self) {
        if matches!(self.link, Link::Live { .. }) {
            let pause = self.jitter.between(RENEW_PAUSE_MIN, RENEW_PAUSE_MAX);
            self.timers.set(Timer::Renew, self.after(pause));
        }
    }

    pub(super) fn on_renewed(&mut self, result: Option<reply::Result>) {
        match result {
            Some(reply::Result::Renewed(renewed)) => {
                if let Some(token) = &mut self.token {
                    token.welcomed = true;
                }
                self.on_roles_lost(&renewed.ended);
            }
            Some(reply::Result::Error(error)) if !is_retry(&error) => {
                // Neither this token nor, soon, the one before is any good: should the connection end, a new one is asked for.
                self.token = None;
                self.renew_later();
            }
            _ => self.renew_later(),
        }
    }

    /// The application wants to end: at once if nothing waits, else when it is sent or patience is over.
    pub(super) fn close(&mut self, patience: Duration) {
        if self.is_closed() {
            return;
        }
        self.closing = true;
        self.timers.set(Timer::Close, self.after(patience));
    }

    /// Ends for good, from this side.
    pub(super) fn finish(&mut self, closed: Closed) {
        self.disconnect();
        self.end(closed);
    }

    /// There is no connection and there will be none. Everybody who waits is told what is known.
    fn end(&mut self, closed: Closed) {
        if self.is_closed() {
            return;
        }
        self.timers.clear();
        let _ = self.flights.take();
        self.link = Link::Closed(closed.clone());
        for ticket in self.outbox.tickets() {
            self.fail(ticket, Error::Closed(closed.clone()));
        }
        self.end_all_subscriptions(&closed);
        self.end_showing(&closed);
        self.end_watches(&closed);
        self.end_marks();
        self.end_all(&closed);
        self.say(State::Closed(closed));
    }
}

/// Whether the same request may succeed later. A number that this version does not know tells it by its range.
pub(super) fn is_retry(error: &v1::Error) -> bool {
    (1_000..2_000).contains(&error.number)
}
