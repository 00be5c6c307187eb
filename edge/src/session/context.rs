//! What comes with each call of a session: the time, the configuration, and where its effects go.

use std::time::Duration;

use switchyard_cluster::link::Refusal;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::EdgeId;
use switchyard_cluster::trace::Instance;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame;
use switchyard_protocol::limits::HEARTBEAT_MS;
use switchyard_protocol::v1::reply::Result as Reply;

use super::directory::Directory;
use super::effect::Effect;
use super::gather::told;
use super::kind::RequestKind;
use crate::admission::budget;
use crate::auth::{Identity, LEEWAY_DEFAULT, Verifier};

/// Who may come in and how much each may ask.
pub trait Gate {
    /// Whether one more request of this session, which costs so much, may be looked at.
    fn request(&mut self, cost: u64) -> Result<(), budget::Refusal>;

    /// Whether this user may have one more session. Asked once per session.
    fn admit(&mut self, identity: &Identity) -> Result<(), budget::Refusal>;
}

/// Limits and times of sessions.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Requests of one session that may wait for their answers; told to clients in `Welcome`. More would only queue at
    /// their owners, for a client reads one answer at a time.
    pub requests_in_flight_max: u16,
    /// Pages (history, members, parts of a resume) that one session may wait for. Their owners are asked for one at a
    /// time, and only while the client takes what it got: see [`PageLine`](super::PageLine).
    pub pages_in_flight_max: u16,
    /// How often an idle connection is probed, as clients are told. The door sets it to what it does.
    pub heartbeat_ms: u64,
    /// How long before its token's end a client is warned.
    pub token_warning: Duration,
    /// How long after its token's end a client is closed.
    pub token_grace: Duration,
}

impl SessionConfig {
    /// With a grace for issuers whose clocks may be off by this. Whoever is let in by a longer leeway than usual is not
    /// put out by the grace that goes with the usual one, only to come again and again.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        if leeway > LEEWAY_DEFAULT {
            self.token_grace = self.token_grace.max(leeway);
        }
        self
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            requests_in_flight_max: 256,
            pages_in_flight_max: 16,
            heartbeat_ms: HEARTBEAT_MS,
            token_warning: Duration::from_secs(60),
            token_grace: Duration::from_secs(4),
        }
    }
}

/// What a session works with during one call.
pub struct Context<'a> {
    /// The time.
    pub now: Now,
    /// The edge that it lives on.
    pub edge: EdgeId,
    /// The process of that, for the session's name.
    pub instance: Instance,
    /// Its number there.
    pub session: u64,
    /// Limits and times.
    pub config: &'a SessionConfig,
    /// Checks tokens.
    pub verifier: &'a Verifier,
    /// Where conversations lie that are read here.
    pub directory: &'a dyn Directory,
    /// Budgets.
    pub gate: &'a mut dyn Gate,
    /// Randomness, for ids of groups.
    pub fresh: &'a mut dyn FnMut() -> [u8; 16],
    /// What is to be done.
    pub effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    pub(super) fn reply(&mut self, id: u64, kind: RequestKind, result: Reply) {
        self.effects.push(Effect::Reply { id, kind, result: Box::new(result) });
    }

    pub(super) fn refuse(&mut self, id: u64, kind: RequestKind, refusal: &Refusal) {
        self.reply(id, kind, Reply::Error(told(refusal)));
    }

    pub(super) fn refuse_saying(&mut self, id: u64, kind: RequestKind, code: ErrorCode, message: String) {
        self.reply(id, kind, Reply::Error(frame::error(code, message, None)));
    }
}
