//! The edge's metrics: their names, what they mean, and handles that are looked up once. What happens per message is
//! counted in plain words and handed over once a turn.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::v1::event::Body;
use switchyard_protocol::v1::reply::Result as Reply;
use switchyard_protocol::v1::{Event, ListingChanged};

use crate::admission::budget::Limit;
use crate::auth::TokenRefusal;
use crate::session::RequestKind;

/// WebSocket connections whose upgrade is done.
pub const CONNECTIONS_ACTIVE: &str = "websocket_connections_active";
/// Connections that have not said who they are.
pub const CONNECTIONS_HALF_OPEN: &str = "edge_connections_half_open";
/// Connections accepted.
pub const CONNECTIONS_ACCEPTED: &str = "edge_connections_accepted_total";
/// Times that accepting paused because the process had no descriptor left.
pub const ACCEPT_PAUSES: &str = "edge_accept_pauses_total";
/// Handshakes refused, by `reason`.
pub const HANDSHAKES_REFUSED: &str = "edge_handshakes_refused_total";
/// Tokens refused, by `reason`.
pub const AUTHENTICATION_FAILURES: &str = "edge_authentication_failures_total";
/// Connections ended, by `reason`.
pub const CONNECTIONS_CLOSED: &str = "edge_connections_closed_total";
/// Requests answered, by `request` and `code` (`ok` or an error's name).
pub const REQUESTS: &str = "edge_requests_total";
/// Refusals for want of budget, by `limit`.
pub const BUDGET_REFUSALS: &str = "edge_budget_refusals_total";
/// Live events put into clients' queues.
pub const EVENTS_DELIVERED: &str = "edge_events_delivered_total";
/// Live events that gave way to a head mark because a client's queue was full.
pub const EVENTS_GIVEN_WAY: &str = "edge_events_given_way_total";
/// What users were told live of a conversation that they need not have open, by `kind`, once a session.
pub const NOTIFICATIONS_PUSHED: &str = "notifications_pushed_total";
/// Bytes read from clients.
pub const BYTES_RECEIVED: &str = "edge_received_bytes_total";
/// Bytes written to clients.
pub const BYTES_SENT: &str = "edge_sent_bytes_total";
/// Bytes that wait for clients to take them.
pub const QUEUE_BYTES: &str = "edge_queue_bytes";

/// Tells the recorder what each metric means. Called once, after the recorder was installed.
pub fn describe() {
    describe_gauge!(CONNECTIONS_ACTIVE, "WebSocket connections whose upgrade is done.");
    describe_gauge!(CONNECTIONS_HALF_OPEN, "Connections that have not said who they are.");
    describe_counter!(CONNECTIONS_ACCEPTED, "Connections accepted.");
    describe_counter!(ACCEPT_PAUSES, "Pauses in accepting because no file descriptor was left.");
    describe_counter!(HANDSHAKES_REFUSED, "Handshakes refused, by reason.");
    describe_counter!(AUTHENTICATION_FAILURES, "Tokens refused, by reason.");
    describe_counter!(CONNECTIONS_CLOSED, "Connections ended, by reason.");
    describe_counter!(REQUESTS, "Requests answered, by request and code.");
    describe_counter!(BUDGET_REFUSALS, "Refusals for want of budget, by limit.");
    describe_counter!(EVENTS_DELIVERED, "Live events put into clients' queues.");
    describe_counter!(EVENTS_GIVEN_WAY, "Live events that gave way to a head mark because a client's queue was full.");
    describe_counter!(
        NOTIFICATIONS_PUSHED,
        "Changes of their own lists that users were told live, by kind, once a session."
    );
    describe_counter!(BYTES_RECEIVED, Unit::Bytes, "Bytes read from clients.");
    describe_counter!(BYTES_SENT, Unit::Bytes, "Bytes written to clients.");
    describe_gauge!(QUEUE_BYTES, Unit::Bytes, "Bytes that wait for clients to take them.");
}

/// The values of each label that has the same few in every process, by metric.
pub fn label_values() -> [(&'static str, Vec<&'static str>); 5] {
    [
        (CONNECTIONS_CLOSED, Ended::ALL.iter().map(|(_, reason)| *reason).collect()),
        (HANDSHAKES_REFUSED, Refused::ALL.iter().map(|(_, reason)| *reason).collect()),
        (AUTHENTICATION_FAILURES, TokenRefusal::ALL.iter().map(|refusal| refusal.reason()).collect()),
        (BUDGET_REFUSALS, Limit::ALL.iter().map(|limit| limit.label()).collect()),
        (NOTIFICATIONS_PUSHED, Pushed::ALL.iter().map(|(_, kind)| *kind).collect()),
    ]
}

/// Why a connection ended, as the label `reason` of [`CONNECTIONS_CLOSED`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Ended {
    /// The client said goodbye.
    Client,
    /// It was cut without a word.
    Lost,
    /// It is an HTTP request that another server answers.
    Http,
    /// Its handshake was refused.
    Refused,
    /// The handshake or hello took too long.
    HandshakeTimeout,
    /// It made room for younger ones that have not said who they are either.
    HalfOpen,
    /// It broke RFC 6455.
    Violation,
    /// The server goes.
    Drain,
    /// It read too slowly.
    Slow,
    /// Nothing was heard of it.
    Idle,
    /// Its token ran out.
    TokenExpired,
    /// Its token was missing or wrong.
    Auth,
    /// It does not speak the protocol.
    Protocol,
    /// It asked for too much.
    TooMany,
    /// Any other code.
    Other,
}

impl Ended {
    const ALL: [(Self, &'static str); 15] = [
        (Self::Client, "client"),
        (Self::Lost, "lost"),
        (Self::Http, "http"),
        (Self::Refused, "refused"),
        (Self::HandshakeTimeout, "handshake_timeout"),
        (Self::HalfOpen, "half_open"),
        (Self::Violation, "violation"),
        (Self::Drain, "drain"),
        (Self::Slow, "slow"),
        (Self::Idle, "idle"),
        (Self::TokenExpired, "token_expired"),
        (Self::Auth, "auth"),
        (Self::Protocol, "protocol"),
        (Self::TooMany, "too_many"),
        (Self::Other, "other"),
    ];

    /// The label's value.
    pub(crate) fn label(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("other", |(_, label)| label)
    }
}

/// Why a handshake was refused, as the label `reason` of [`HANDSHAKES_REFUSED`], beside the budgets' limits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Refused {
    /// Not HTTP, or not a good upgrade.
    Malformed,
    /// No such path.
    Path,
    /// The page's site may not connect.
    Origin,
    /// A bad token.
    Token,
    /// A missing or bad PROXY header.
    Proxy,
    /// A budget.
    Budget,
    /// The process has its most connections.
    Full,
}

impl Refused {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Malformed, "malformed"),
        (Self::Path, "path"),
        (Self::Origin, "origin"),
        (Self::Token, "token"),
        (Self::Proxy, "proxy"),
        (Self::Budget, "budget"),
        (Self::Full, "full"),
    ];
}

/// What a session was told of its user's list, as the label `kind` of [`NOTIFICATIONS_PUSHED`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(crate) enum Pushed {
    /// The user came to a conversation, or it was made with them.
    Added,
    /// Something new was said there, or the conversation is shown otherwise.
    Changed,
    /// The user is there no more.
    Removed,
}

impl Pushed {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Added, "listing_added"), (Self::Changed, "listing_changed"), (Self::Removed, "listing_removed")];

    fn of(change: &ListingChanged) -> Self {
        match change {
            ListingChanged { removed: true, .. } => Self::Removed,
            ListingChanged { added: Some(_), .. } => Self::Added,
            ListingChanged { .. } => Self::Changed,
        }
    }
}

/// Columns of the table of requests: ok, and each error code.
const CODES: usize = 1 + ErrorCode::ALL.len();

/// What one turn adds up.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sent_ok: u64,
    pub(crate) delivered: u64,
    pub(crate) given_way: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Bytes that wait for clients, in all.
    pub(crate) queue_bytes: usize,
    shown_queue_bytes: usize,
}

/// Handles of one worker.
pub(crate) struct EdgeMetrics {
    pub(crate) tally: Tally,
    pub(crate) active: Gauge,
    pub(crate) half_open: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) accept_pauses: Counter,
    refused: [Counter; Refused::ALL.len()],
    token_refused: [Counter; TokenRefusal::ALL.len()],
    ended: [Counter; Ended::ALL.len()],
    budget: [Counter; Limit::ALL.len()],
    /// Made when first needed: most of the table's cells never are.
    requests: [[Option<Counter>; CODES]; RequestKind::ALL.len()],
    delivered: Counter,
    given_way: Counter,
    pushed: [Counter; Pushed::ALL.len()],
    received_bytes: Counter,
    sent_bytes: Counter,
    queue_bytes: Gauge,
}

impl EdgeMetrics {
    pub(crate) fn new() -> Self {
        Self {
            tally: Tally::default(),
            active: gauge!(CONNECTIONS_ACTIVE),
            half_open: gauge!(CONNECTIONS_HALF_OPEN),
            accepted: counter!(CONNECTIONS_ACCEPTED),
            accept_pauses: counter!(ACCEPT_PAUSES),
            refused: Refused::ALL.map(|(_, reason)| counter!(HANDSHAKES_REFUSED, "reason" => reason)),
            token_refused: TokenRefusal::ALL
                .map(|refusal| counter!(AUTHENTICATION_FAILURES, "reason" => refusal.reason())),
            ended: Ended::ALL.map(|(_, reason)| counter!(CONNECTIONS_CLOSED, "reason" => reason)),
            budget: Limit::ALL.map(|limit| counter!(BUDGET_REFUSALS, "limit" => limit.label())),
            requests: std::array::from_fn(|_| [const { None }; CODES]),
            delivered: counter!(EVENTS_DELIVERED),
            given_way: counter!(EVENTS_GIVEN_WAY),
            pushed: Pushed::ALL.map(|(_, kind)| counter!(NOTIFICATIONS_PUSHED, "kind" => kind)),
            received_bytes: counter!(BYTES_RECEIVED),
            sent_bytes: counter!(BYTES_SENT),
            queue_bytes: gauge!(QUEUE_BYTES),
        }
    }

    pub(crate) fn refused(&self, why: Refused) {
        count_at(&self.refused, why as usize);
    }

    pub(crate) fn token_refused(&self, why: TokenRefusal) {
        let at = TokenRefusal::ALL.iter().position(|known| *known == why);
        count_at(&self.token_refused, at.unwrap_or(usize::MAX));
    }

    pub(crate) fn ended(&self, why: Ended) {
        count_at(&self.ended, why as usize);
    }

    pub(crate) fn over_budget(&self, limit: Limit) {
        let at = Limit::ALL.iter().position(|known| *known == limit);
        count_at(&self.budget, at.unwrap_or(usize::MAX));
    }

    /// Counts an event that is the session's own, if it is one of a list.
    pub(crate) fn pushed(&self, event: &Event) {
        if let Some(Body::Listed(change)) = &event.body {
            count_at(&self.pushed, Pushed::of(change) as usize);
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&mut self, kind: RequestKind, result: &Reply) {
        let code = match result {
            Reply::Error(error) => ErrorCode::from_number(error.number),
            _ => None,
        };
        self.answered_times(kind, code, 1);
    }

    fn answered_times(&mut self, kind: RequestKind, code: Option<ErrorCode>, times: u64) {
        let column =
            code.and_then(|code| ErrorCode::ALL.iter().position(|known| *known == code)).map_or(0, |at| at + 1);
        let Some(cell) = self.requests.get_mut(kind as usize).and_then(|row| row.get_mut(column)) else { return };
        let code = code.map_or("ok", ErrorCode::name);
        cell.get_or_insert_with(|| counter!(REQUESTS, "request" => kind.name(), "code" => code)).increment(times);
    }

    /// Hands over what the turn added up.
    pub(crate) fn publish(&mut self) {
        let add = |handle: &Counter, value: &mut u64| {
            if *value > 0 {
                handle.increment(std::mem::take(value));
            }
        };
        add(&self.delivered, &mut self.tally.delivered);
        add(&self.given_way, &mut self.tally.given_way);
        add(&self.received_bytes, &mut self.tally.received_bytes);
        add(&self.sent_bytes, &mut self.tally.sent_bytes);
        let sent_ok = std::mem::take(&mut self.tally.sent_ok);
        if sent_ok > 0 {
            self.answered_times(RequestKind::Send, None, sent_ok);
        }
        let Tally { queue_bytes, shown_queue_bytes, .. } = &mut self.tally;
        if queue_bytes != shown_queue_bytes {
            // A difference, for several workers share the gauge.
            self.queue_bytes.increment(*queue_bytes as f64 - *shown_queue_bytes as f64);
            *shown_queue_bytes = *queue_bytes;
        }
    }
}

fn count_at(counters: &[Counter], at: usize) {
    if let Some(counter) = counters.get(at) {
        counter.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_at_their_numbers() {
        assert!(Ended::ALL.iter().enumerate().all(|(at, (why, _))| *why as usize == at));
        assert!(Refused::ALL.iter().enumerate().all(|(at, (why, _))| *why as usize == at));
    }
}
