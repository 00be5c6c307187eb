//! Limits that both ends of a connection know. Each has its reason; `Welcome.limits` tells clients the ones they meet.

/// Makes the limits, and the table of them.
macro_rules! limits {
    ($($(#[doc = $about:literal])* pub const $name:ident: $kind:ty = $value:expr;)*) => {
        $($(#[doc = $about])* pub const $name: $kind = $value;)*

        /// All of them, each with its name, its value and what it is: for the document of the protocol.
        pub const ALL: &[(&str, u64, &str)] = &[$((stringify!($name), $name as u64, concat!($($about),*))),*];
    };
}

limits! {
/// Bytes of a user's, tenant's, device's or client's id. Long enough for a UUID, an email address or a URN.
pub const ID_BYTES_MAX: usize = 128;

/// The largest integer on the wire: what an IEEE 754 double holds exactly, so that JSON numbers are safe in a browser.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Bytes of a message's body. Larger content is a file.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a whole frame from a client: a body that JSON escapes sixfold would not fit, the other fields do.
pub const FRAME_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

/// Bytes of a first frame, before anybody is known: a token and a list of conversations.
pub const HELLO_BYTES_MAX: usize = 8 * 1024;

/// Messages in a page of history; a larger wish is cut to this.
pub const PAGE_MESSAGES_MAX: usize = 200;

/// Messages in a page of history when none is asked for.
pub const PAGE_MESSAGES_DEFAULT: usize = 50;

/// Events in one reply to `resume`, over all its conversations.
pub const RESUME_EVENTS_MAX: usize = 500;

/// Bytes of bodies in one page of history or resume; at least one event is always in it.
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Conversations that one request may name (`subscribe`, `unsubscribe`, `resume`).
pub const POSITIONS_MAX: usize = 200;

/// Conversations that one session may be subscribed to.
pub const SUBSCRIPTIONS_MAX: usize = 1_000;

/// Conversations in one page of `list`; a larger wish is cut to this.
pub const LIST_MAX: usize = 100;

/// Conversations in a page of `list` when none is asked for: two screens.
pub const LIST_DEFAULT: usize = 50;

/// Users whom one user may have blocked; all are in one page of `blocks`, and in the memory of the user's home.
pub const BLOCKED_MAX: usize = 1_000;

/// Conversations that one session may have open, that is, show: what a screen has room for.
pub const OPEN_MAX: usize = 8;

/// Users that are named as typing; of the others only the number is told. Nobody reads a longer list.
pub const TYPERS_SHOWN_MAX: usize = 5;

/// How long somebody is taken to be typing who does not say so again: two repetitions of a client, so that one may be late.
pub const TYPING_LASTS_MS: u64 = 6_000;

/// Users, and conversations whose members are counted, that one session may watch: some screens of a list.
pub const WATCHED_MAX: usize = 200;

/// Members of a conversation in which each may be watched by the others; in larger ones only how many are online is told.
pub const PRESENCE_MEMBERS_MAX: usize = 100;

/// Users that one message may mention.
pub const MENTIONS_MAX: usize = 50;

/// Bytes of an emoji: a family of four with skin tones, or a short word of the application's own.
pub const EMOJI_BYTES_MAX: usize = 64;

/// Different emoji that one message may have. Nobody reads a longer row of them.
pub const EMOJI_PER_MESSAGE_MAX: usize = 32;

/// Emoji that one user may give to one message.
pub const EMOJI_PER_USER_MAX: usize = 8;

/// How often one message may be edited: when it is deleted, each of its former texts is overwritten.
pub const EDITS_MAX: usize = 100;

/// Messages that may be pinned in one conversation. They are told with its detail.
pub const PINS_MAX: usize = 50;

/// Bytes of a message's text that are shown where another one answers it.
pub const QUOTE_BYTES_MAX: usize = 256;

/// Members of a conversation in which it is known what has reached whom: in larger ones that is nobody's question.
pub const DELIVERED_MEMBERS_MAX: usize = 32;

/// Members of a conversation in which everybody is told how far the others have read; in larger ones who asks is told.
pub const MARKS_TOLD_MEMBERS_MAX: usize = 100;

/// Members in one page of `marks`.
pub const MARKS_PAGE_MAX: usize = 1_000;

/// How long it takes at most until a mark that was answered is stored: a client that loses its connection within this
/// time says it again.
pub const MARK_STORED_WITHIN_MS: u64 = 1_000;

/// Members that one `create` or `add` may name.
pub const MEMBERS_PER_REQUEST_MAX: usize = 1_000;

/// Members of a conversation.
pub const MEMBERS_MAX: usize = 10_000;

/// Members in one page of `members`.
pub const MEMBERS_PAGE_MAX: usize = 1_000;

/// Bytes of a conversation's name.
pub const NAME_BYTES_MAX: usize = 256;

/// Bytes of an avatar's address.
pub const AVATAR_BYTES_MAX: usize = 2_048;

/// Bytes of a conversation's context (a product, an order).
pub const CONTEXT_BYTES_MAX: usize = 256;

/// Bytes of a token, as a signed JWT with a few claims has well under 2 KiB.
pub const TOKEN_BYTES_MAX: usize = 6 * 1024;

/// Numbers back from the head within which a send with `since` finds its first result.
pub const DEDUPE_SINCE_MAX: u64 = 10_000;

/// Numbers back from the head that a send without `since` is compared with.
pub const DEDUPE_RECENT: u64 = 1_000;

/// How often an idle connection is probed, told to clients in `Welcome`.
pub const HEARTBEAT_MS: u64 = 25_000;
}
