//! What is said about homes. A user's home keeps which conversations the user is in; edges ask it, and owners of
//! conversations tell it who came and who went. Its answers are lists; it knows nothing of messages.
//!
//! What owners tell is a hint: the listing rows are the truth, and they are written before anything is told. So a home that
//! is not in memory misses nothing, and where hints give way, the home reads the rows again.

use std::sync::Arc;

use switchyard_protocol::cursor::ListPlace;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1;

/// A user's home. Its shard follows from tenant and user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// Its name among conversations, see [`ConversationKey::home`].
    pub key: ConversationKey,
    /// Whose it is.
    pub user: UserId,
}

impl Home {
    /// Where it lies.
    pub fn shard(&self) -> Shard {
        Shard::of_user(&self.key.tenant, &self.user)
    }
}

/// What an edge asks of the home of the request's user. The request's key is the home's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HomeAsk {
    /// A page of conversations. Answered [`Answer::Result`](crate::link::Answer::Result).
    List(Box<ListAsk>),
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
    /// Closed, or open.
    pub closed: Option<bool>,
}

/// What a session that wants all conversations is to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchingAnswer {
    /// The newest; in the order of their newest activity, if there are more.
    pub conversations: Vec<ConversationId>,
    /// How many there are.
    pub total: u64,
}

/// A conversation came to a user's list or went from it; for all the user's sessions that want all.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedNow {
    /// The user's home.
    pub home: Home,
    /// Which conversation.
    pub conversation: ConversationId,
    /// As a list shows it; nothing if it went.
    pub entry: Option<v1::Listing>,
}

/// From one router to another, or to itself.
#[derive(Clone, PartialEq, Debug)]
pub enum RouterMessage {
    /// A user came to a conversation or went from it. May give way to [`Missed`](Self::Missed).
    Member(MemberNotice),
    /// Some notices were not delivered: what homes have in memory may be old.
    Missed,
    /// A home asks owners about its user's conversations. A link to several routers splits it by owner.
    Survey(Survey),
    /// What an owner says to that: once for each router that it was sent to.
    Surveyed(Surveyed),
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
    /// For [`SurveyWish::Places`].
    pub places: Vec<ListPlace>,
    /// For [`SurveyWish::Listings`].
    pub listings: Vec<(ConversationId, v1::Listing)>,
}

impl RouterMessage {
    /// The shard whose owner it is for; a survey is for several, and [`Missed`](Self::Missed) for a whole router.
    pub fn shard(&self) -> Option<Shard> {
        match self {
            Self::Member(notice) => Some(notice.home.shard()),
            Self::Surveyed(surveyed) => Some(surveyed.home.shard()),
            Self::Survey(_) | Self::Missed => None,
        }
    }
}
