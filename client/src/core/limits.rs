//! The core's numbers, each with its reason.

use std::time::Duration;

/// The first reconnect comes within this time at random: soon enough that nobody notices a broken connection, spread
/// enough that a restarted server is not met by all its clients in the same millisecond.
pub const RECONNECT_BASE: Duration = Duration::from_millis(100);

/// The longest time between two attempts to connect: a server that is back is found within this.
pub const RECONNECT_CAP: Duration = Duration::from_secs(20);

/// A connection that lasted this long counts as good: after it, reconnecting begins anew with the base.
pub const STABLE_AFTER: Duration = Duration::from_secs(1);

/// A connection that was welcomed and lost at once sets the back-off to at most this many attempts: the server is there.
pub const ATTEMPTS_AFTER_WELCOME_MAX: u32 = 4;

/// The first repetition of a request that the server asked to repeat, at random within this time.
pub const RETRY_BASE: Duration = Duration::from_millis(100);

/// The longest such pause, beyond what the server asks for.
pub const RETRY_CAP: Duration = Duration::from_secs(10);

/// How long a request waits for its answer. A server that is well answers in milliseconds; one in fail-over, in seconds.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may take until it is made, and again until it is welcomed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the token provider may take before it is asked again.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// The same while a session lives and its token runs out: the server warns a minute ahead, so that a provider that hangs
/// is asked twice more before the end.
pub const RENEW_TIMEOUT: Duration = Duration::from_secs(25);

/// The least time until the provider is asked again after a renewal failed. The server warns a minute ahead.
pub const RENEW_PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest such time: still ten attempts within that minute.
pub const RENEW_PAUSE_MAX: Duration = Duration::from_secs(5);

/// When the server drains, requests in flight may finish for this long before the client moves.
pub const MOVE_GRACE: Duration = Duration::from_secs(2);

/// Requests that wait for a connection or an answer, at most.
pub const PENDING_MAX: usize = 10_000;

/// Bytes of those requests, at most.
pub const PENDING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sends in flight in one conversation, so that one conversation does not take all of the session's.
pub const IN_FLIGHT_PER_CONVERSATION_MAX: usize = 16;

/// Requests in flight until the server has said its own limit.
pub const IN_FLIGHT_UNTIL_WELCOME: usize = 16;

/// Of the requests in flight, so many are kept for the client's own: resume, subscribe, renew.
pub const IN_FLIGHT_RESERVED: usize = 3;

/// Events of one conversation that wait for a hole before them to be filled: a page of resume fits.
pub const HELD_EVENTS_MAX: usize = 512;

/// Bytes of such events in all conversations together. What does not fit is fetched again.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;

/// The `since` of a message of which nobody can say any more with which one it was sent: every conversation had at least
/// this one. Without any, the server would look through the newest numbers alone, and might store it twice.
pub const SINCE_UNKNOWN: u64 = 0;

/// How long a token counts as fresh. One that is refused later may just have run out while there was no connection; one
/// that comes fresh from the provider and is refused says that there will be no better one.
pub const TOKEN_FRESH: Duration = Duration::from_secs(5);

/// Conversations without a subscription whose head is remembered for `since`.
pub const HEADS_MAX: usize = 4_096;

/// A server has stored a mark this long after it answered it, and so long the next mark of the same conversation waits.
pub const MARK_STORED_WITHIN: Duration = Duration::from_millis(switchyard_protocol::limits::MARK_STORED_WITHIN_MS);

/// Conversations whose marks are kept before those that are stored for certain are let go.
pub const MARKED_KEPT_MAX: usize = 64;

/// Conversations in which marks wait to be said, at most.
pub const MARKED_MAX: usize = 4_096;

/// How often it is said again that the user goes on typing.
pub const TYPING_REPEAT: Duration = Duration::from_secs(3);

/// After this time the server has forgotten that the user types, if it was not said again.
pub const TYPING_LASTS: Duration = Duration::from_millis(switchyard_protocol::limits::TYPING_LASTS_MS);
