// The SDK's numbers, each with its reason. Times are in milliseconds. Those that the Rust SDK has too are the same there
// (client/src/core/limits.rs).

/** The first reconnect comes within this time at random: soon enough that nobody notices, spread enough for a server that
 * all its clients come back to. */
export const RECONNECT_BASE = 100;

/** The longest time between two attempts to connect: a server that is back is found within this. */
export const RECONNECT_CAP = 20_000;

/** A connection that lasted this long counts as good: after it, reconnecting begins anew with the base. */
export const STABLE_AFTER = 1_000;

/** A connection that was welcomed and lost at once sets the back-off to at most this many attempts. */
export const ATTEMPTS_AFTER_WELCOME_MAX = 4;

/** The first repetition of a request that the server asked to repeat, at random within this time. */
export const RETRY_BASE = 100;

/** The longest such pause, beyond what the server asks for. */
export const RETRY_CAP = 10_000;

/** How long a request waits for its answer. A server that is well answers in milliseconds; in fail-over, in seconds. */
export const REQUEST_TIMEOUT = 10_000;

/** How long a connection may take until it is made, and again until it is welcomed. */
export const CONNECT_TIMEOUT = 10_000;

/** How long the token provider may take before it is asked again. */
export const TOKEN_TIMEOUT = 30_000;

/** The same while a session lives: the server warns a minute ahead, so one that hangs is asked twice more before the end. */
export const RENEW_TIMEOUT = 25_000;

/** The pause until the provider is asked again after a renewal failed: still ten attempts within that minute. */
export const RENEW_PAUSE_MIN = 1_000;
export const RENEW_PAUSE_MAX = 5_000;

/** A token that is refused later than this after the provider gave it may just have run out. A fresh one that is refused
 * says that there will be no better one. */
export const TOKEN_FRESH = 5_000;

/** When the server drains, requests in flight may finish for this long before the client moves. */
export const MOVE_GRACE = 2_000;

/** How often something is heard at least, until the server has said its own heartbeat. */
export const HEARTBEAT = 25_000;

/** After a hint that the network may be gone (the page woke up), the server has this long to show that it is there. */
export const PROBE_TIMEOUT = 4_000;

/** Requests that wait or are in flight, unsent messages among them: more than a person writes in a long tunnel. */
export const PENDING_MAX = 1_000;

/** Characters of those requests: what a browser keeps without a second thought. */
export const PENDING_CHARS_MAX = 4 * 1024 * 1024;

/** A message that lay unsent for longer than this is given up rather than sent out of the blue. */
export const UNSENT_AGE_MAX = 7 * 24 * 3_600 * 1_000;

/** Sends in flight in one conversation: with one, they are stored in the order in which they were written, whatever
 * happens on the way. */
export const IN_FLIGHT_PER_CONVERSATION_MAX = 1;

/** Requests in flight until the server has said its own limit. */
export const IN_FLIGHT_UNTIL_WELCOME = 16;

/** Of the requests in flight, so many are kept for the client's own: resume, subscribe, renew. */
export const IN_FLIGHT_RESERVED = 3;

/** Conversations that one request may name, until the server has said its own limit. */
export const POSITIONS_MAX = 200;

/** Events of one conversation that wait for a hole before them to be filled: a page of resume fits. */
export const HELD_EVENTS_MAX = 512;

/** Characters of such events in all conversations together. What does not fit is fetched again. */
export const HELD_CHARS_MAX = 1024 * 1024;

/** Bytes of a message, until the server has said its own limit. */
export const BODY_BYTES_MAX = 64 * 1024;

/** Numbers back from the head that a send without `since` is compared with: as far back as an id of the application's own
 * is looked for. */
export const DEDUPE_RECENT = 1_000;

/** Conversations without a subscription whose head is remembered for `since`. */
export const HEADS_MAX = 4_096;

/** How often it is said again that the user goes on typing, and when the server has forgotten it otherwise. */
export const TYPING_REPEAT = 3_000;
export const TYPING_LASTS = 6_000;

/** A server has stored a mark this long after it answered it, and so long the next mark of the same conversation waits. */
export const MARK_STORED_WITHIN = 1_000;

/** Conversations whose marks are kept before those that are stored for certain are let go. */
export const MARKED_KEPT_MAX = 64;

/** Conversations in which marks wait to be said, at most. */
export const MARKED_MAX = 4_096;

/** Users and conversations that are watched at most, as the server has it. */
export const WATCHED_MAX = 200;

/** After a sign by which somebody may be seen and is not, others wait for so long; each time twice as long, so often. */
export const AGAIN_BASE = 1_000;
export const AGAIN_DOUBLINGS = 6;

/** How long `close` waits for what is unsent. */
export const CLOSE_TIMEOUT = 5_000;
