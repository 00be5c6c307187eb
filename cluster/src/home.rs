//! What is said about homes. A user's home keeps which conversations the user is in; edges ask it, and owners of
//! conversations tell it who came and who went. Its answers are lists; it knows nothing of messages.
//!
//! What owners tell is a hint: the listing rows are the truth, and they are written before anything is told. So a home that
//! is not in memory misses nothing, and where hints give way, the home reads the rows again.
//!
//! What a home decides itself, it tells owners whose conversations must know: who is blocked, so that a send checks what its
//! conversation knows and nothing else.

use std::sync::Arc;

use switchyard_protocol::cursor::ListPlace;
use switchyard_protocol::id::{ConversationId, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1;

use crate::party::Home;

/// What an edge asks of the home of the request's user. The request's key is the home's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HomeAsk {
    /// A page of conversations. Answered [`Answer::Result`](crate::link::Answer::Result).
    List(Box<ListAsk>),
    /// How much is unread in all conversations together. Answered [`Answer::Result`](crate::link::Answer::Result).
    Unread,
    /// A session of this edge wants all conversations: the edge is told of those that come and go. Answered
    /// [`Answer::Watching`](crate::link::Answer::Watching).
    Watch,
    /// No session of this edge wants all any more. Not answered.
    Unwatch,
    /// A session's token says that the user is what the asker's roles are; others may have to know. It does not bring the home
    /// into memory. Answered [`Answer::Result`](crate::link::Answer::Result) once it is stored; nothing depends on that.
    Roles {
        /// When the token was issued: of two tokens, the newer one counts.
        issued_ms: u64,
    },
    /// The user decides something. Answered [`Answer::Result`](crate::link::Answer::Result) once that is stored, and known
    /// wherever it counts.
    Decide(Decision),
    /// A page of the users whom this one has blocked. Answered [`Answer::Result`](crate::link::Answer::Result).
    Blocks(Box<BlocksAsk>),
}

/// What a user decides, and no conversation has a part in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Decision {
    /// This user, another one, is not to write to the asker.
    Block(UserId),
    /// This user may again.
    Unblock(UserId),
    /// The asker's list leaves this conversation out.
    Archive(ConversationId),
    /// It does so no more.
    Unarchive(ConversationId),
}

/// A page of the users whom somebody has blocked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlocksAsk {
    /// Users after this one in the order of ids.
    pub after: Option<UserId>,
    /// How many, at most.
    pub limit: usize,
}

/// A page of a user's conversations, newest activity first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListAsk {
    /// Which of them.
    pub filter: ListFilter,
    /// How many, at most; at least 1.
    pub limit: usize,
    /// Only those behind this place.
    pub after: Option<ListPlace>,
    /// What the filter comes to in a cursor.
    pub list: u64,
}

/// Narrows a list. What is not given does not.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ListFilter {
    /// Of this kind.
    pub kind: Option<v1::ConversationKind>,
    /// In lower case; part of what the conversation is called.
    pub name: Option<String>,
    /// Open, closed, or a request.
    pub state: Option<v1::ConversationState>,
    /// Archived ones, or the others. The home sees to this one, for no owner knows it.
    pub archived: bool,
}

/// What a session that wants all conversations is to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchingAnswer {
    /// The newest; in the order of their newest activity, if there are more.
    pub conversations: Vec<ConversationId>,
    /// How many there are.
    pub total: u64,
}

/// A conversation came to a user's list or went from it, or is shown otherwise; for all the user's sessions that want all.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedNow {
    /// The user's home.
    pub home: Home,
    /// Which conversation.
    pub conversation: ConversationId,
    /// As a list shows it; nothing if it went.
    pub entry: Option<v1::Listing>,
    /// It was there before: the user has archived it or taken it from the archive, blocked its other one or unblocked them.
    pub changed: bool,
}

/// A user came to a conversation or went from it, and the listing rows say so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberNotice {
    /// Whose home is told.
    pub home: Home,
    /// Which conversation.
    pub conversation: ConversationId,
    /// The number of the event: the highest counts.
    pub at: u64,
    /// Whether the user is a member now.
    pub member: bool,
}

/// Questions about a user's conversations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// Whose; also where the answer goes.
    pub home: Home,
    /// The home's number of it, given back.
    pub number: u64,
    /// What the user is by the token of whoever asks; without an asker, staff: edges tell what only staff may know to
    /// nobody else.
    pub roles: Roles,
    /// Which conversations.
    pub conversations: Vec<ConversationId>,
    /// What of them.
    pub wish: SurveyWish,
}

/// What a home wants to know of conversations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SurveyWish {
    /// When the newest event was, of those that the filter leaves.
    Places(Arc<ListFilter>),
    /// What a list shows of them.
    Listings,
    /// Nothing, but to know this of the home's user. Answered with the places of conversations of two that took it, once nothing
    /// is under way there any more that did not know of it. What is not in memory takes nothing: it is read when it is loaded.
    /// A block is confirmed twice, by way of the home of either ([`RouterMessage::Part`](crate::routers::RouterMessage::Part)).
    Know(BlockNow),
    /// What is unread in them.
    Unread,
}

/// Whether a home's user has blocked another one, as of an event of the home.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockNow {
    /// The other one.
    pub user: UserId,
    /// The number of the home's event: the highest counts.
    pub at: u64,
    /// Whether they are blocked.
    pub blocked: bool,
}

/// What is unread in some of a user's conversations.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct UnreadSum {
    /// Messages; those of requests to the user are none of them.
    pub messages: u64,
    /// Conversations with at least one of those.
    pub conversations: u64,
    /// Requests to the user that wait for an answer.
    pub requests: u64,
}

impl UnreadSum {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            conversations: self.conversations + other.conversations,
            requests: self.requests + other.requests,
        }
    }
}

/// An owner's answer. A conversation that the user is no member of is left out.
#[derive(Clone, PartialEq, Debug)]
pub struct Surveyed {
    /// Where it goes.
    pub home: Home,
    /// The home's number of the survey.
    pub number: u64,
    /// How many of its conversations this answers.
    pub asked: usize,
    /// Some of them could not be read now.
    pub unavailable: bool,
    /// For [`SurveyWish::Places`] and [`SurveyWish::Know`].
    pub places: Vec<ListPlace>,
    /// For [`SurveyWish::Listings`].
    pub listings: Vec<(ConversationId, v1::Listing)>,
    /// For [`SurveyWish::Unread`].
    pub unread: UnreadSum,
}
