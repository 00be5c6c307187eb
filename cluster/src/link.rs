//! The link between an edge and the owner of a shard: what is said, and the two traits that carry it.
//!
//! Order: what one edge sends for one shard arrives in that order, and what one router sends to one edge arrives in that
//! order. So events after the number in an answer to `Subscribe` are exactly those that follow it.

use bytes::Bytes;
use prost::Message as _;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::shard::Shard;
use switchyard_protocol::v1;

use crate::home::{Decision, HomeAsk, ListedNow, WatchingAnswer};
use crate::party::{Asker, EdgeId};
use crate::presence::{Parted, PresenceAsk, PresenceNow, WatchAsk};
use crate::routers::RouterMessage;
use crate::trace::Instance;

mod told;

pub use crate::live::LiveEvent;
pub use told::{MarksNow, TypersNow};

/// From an edge to the owner of a conversation's shard.
#[derive(Debug)]
pub struct Request {
    /// Whom to answer. Every request is answered once, but those that [`Ask::is_answered`] tells.
    pub from: Asker,
    /// The conversation that it is about, or the home.
    pub key: ConversationKey,
    /// Who asks, by the token.
    pub user: UserId,
    /// What is asked.
    pub ask: Ask,
}

impl Request {
    /// The shard whose owner it is for.
    pub fn shard(&self) -> Shard {
        match &self.ask {
            ask if ask.is_of_home() => Shard::of_user(&self.key.tenant, &self.user),
            _ => Shard::of_conversation(&self.key),
        }
    }

    /// Bytes that it holds, about.
    pub fn bytes(&self) -> usize {
        let ids = self.key.tenant.as_str().len() + self.user.as_str().len();
        size_of::<Self>() + ids + self.ask.bytes()
    }
}

impl Ask {
    /// Whether somebody waits for an answer. What is not answered says that something is over: it asks for nothing, and
    /// is nobody's question but the edge's own.
    pub fn is_answered(&self) -> bool {
        !matches!(
            self,
            Self::Unsubscribe
                | Self::Hide
                | Self::TypingEnd
                | Self::CountEnd
                | Self::Presence(_)
                | Self::Home(HomeAsk::Unwatch)
        )
    }

    /// Whether it is asked of a user's home, whose key is made of the user's name.
    pub fn is_of_home(&self) -> bool {
        matches!(self, Self::Home(_) | Self::Presence(_))
    }

    /// Whether it is to be stored as an event, or may be. Who only reads, and says no more than how far, has time.
    pub fn is_stored(&self) -> bool {
        match self {
            Self::Send(_) | Self::Create(_) | Self::Annotate(_) | Self::Pin { .. } => true,
            Self::Add(_) | Self::Remove(_) | Self::Leave | Self::Promote { .. } | Self::Demote { .. } => true,
            Self::Update(_) | Self::Close | Self::Reopen | Self::Erase | Self::Accept | Self::Decline => true,
            Self::Home(HomeAsk::Decide(_)) => true,
            Self::Home(_) | Self::Presence(_) | Self::Watch(_) | Self::Count | Self::CountEnd => false,
            Self::History(_) | Self::Subscribe(_) | Self::Unsubscribe | Self::Get | Self::Members { .. } => false,
            Self::Show | Self::Hide | Self::Typing | Self::TypingEnd => false,
            Self::Mark(_) | Self::Unread | Self::Marks(_) => false,
        }
    }

    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Send(send) => send.bytes(),
            Self::Create(create) => {
                let members = users_bytes(&create.members);
                size_of::<CreateAsk>() + members + text(&create.name) + text(&create.avatar) + text(&create.context)
            }
            Self::Add(members) => users_bytes(members),
            Self::Remove(member) | Self::Promote { member, .. } | Self::Demote { member, .. } => member.as_str().len(),
            Self::Members { after, .. } => after.as_ref().map_or(0, |after| after.as_str().len()),
            Self::Update(update) => {
                size_of::<UpdateAsk>() + text(&update.name) + text(&update.avatar) + text(&update.context)
            }
            Self::History(_) | Self::Subscribe(_) | Self::Unsubscribe | Self::Get => 0,
            Self::Leave | Self::Close | Self::Reopen => 0,
            Self::Erase | Self::Accept | Self::Decline => 0,
            Self::Annotate(annotate) => size_of::<AnnotateAsk>() + annotate.bytes(),
            Self::Pin { .. } => 0,
            Self::Show | Self::Hide | Self::Typing | Self::TypingEnd => 0,
            Self::Mark(_) | Self::Unread => 0,
            Self::Marks(ask) => ask.after.as_ref().map_or(0, |after| after.as_str().len()),
            Self::Home(HomeAsk::List(list)) => text(&list.filter.name),
            Self::Home(HomeAsk::Watch | HomeAsk::Unwatch | HomeAsk::Unread | HomeAsk::Roles { .. }) => 0,
            Self::Home(HomeAsk::Decide(Decision::Block(user) | Decision::Unblock(user))) => user.as_str().len(),
            Self::Home(HomeAsk::Decide(Decision::Archive(_) | Decision::Unarchive(_))) => 0,
            Self::Home(HomeAsk::Blocks(ask)) => ask.after.as_ref().map_or(0, |after| after.as_str().len()),
            Self::Watch(ask) => size_of::<WatchAsk>() + ask.home.user.as_str().len(),
            Self::Count | Self::CountEnd | Self::Presence(_) => 0,
        }
    }
}

/// What an edge asks. Limits on lengths and counts hold already: the edge checked them.
#[derive(Debug)]
pub enum Ask {
    /// Store a message. Answered [`Answer::Sent`].
    Send(SendAsk),
    /// Create the conversation `key`, or find it (one of two). Answered [`Answer::Result`].
    Create(Box<CreateAsk>),
    /// Answered [`Answer::Result`] with a page.
    History(HistoryAsk),
    /// Live events for the asker on this edge; with `after`, the events that follow that number come with the answer.
    /// Answered [`Answer::Subscribed`].
    Subscribe(SubscribeAsk),
    /// The edge has no reader of this conversation any more. Not answered.
    Unsubscribe,
    /// Answered [`Answer::Result`] with the detail.
    Get,
    /// A page of members. Answered [`Answer::Result`].
    Members {
        /// Members after this one in the order of ids.
        after: Option<UserId>,
        /// How many, at most.
        limit: usize,
    },
    /// Answered [`Answer::Result`].
    Add(Vec<UserId>),
    /// Answered [`Answer::Result`].
    Remove(UserId),
    /// Answered [`Answer::Result`].
    Leave,
    /// Answered [`Answer::Result`].
    Update(Box<UpdateAsk>),
    /// Answered [`Answer::Result`].
    Promote {
        /// Whom.
        member: UserId,
        /// The least that they are to be; more than a plain member.
        role: v1::Role,
    },
    /// Answered [`Answer::Result`].
    Demote {
        /// Whom.
        member: UserId,
        /// The most that they are to be; less than an admin.
        role: v1::Role,
    },
    /// Answered [`Answer::Result`].
    Close,
    /// Answered [`Answer::Result`].
    Reopen,
    /// The conversation goes, for all. Answered [`Answer::Result`] once nobody is shown it any more.
    Erase,
    /// The asker wants the direct conversation that another began. Answered [`Answer::Result`].
    Accept,
    /// The asker does not. Answered [`Answer::Result`].
    Decline,
    /// Changes a message that is there. Answered [`Answer::Result`].
    Annotate(Box<AnnotateAsk>),
    /// Answered [`Answer::Result`].
    Pin {
        /// The message's number.
        target: u64,
        /// Whether it is taken from the pinned ones.
        remove: bool,
    },
    /// A session of this edge shows the conversation: the edge is told who types. Answered [`Answer::Result`] with the
    /// typers of now, as `Reply::Opened` of this one conversation.
    Show,
    /// No session of this edge shows the conversation any more. Not answered.
    Hide,
    /// The asker's session types, for the next seconds. Answered [`Answer::Result`].
    Typing,
    /// The asker's session types no more, or is gone. Not answered.
    TypingEnd,
    /// The asker has come so far. Answered [`Answer::Result`] with the marks as they are then.
    Mark(MarkAsk),
    /// What the asker has not read. Answered [`Answer::Result`] with `Reply::Unread` of this one conversation.
    Unread,
    /// A page of members' marks. Answered [`Answer::Result`].
    Marks(Box<MarksAsk>),
    /// Asks the home of the request's user, whose key the request has.
    Home(HomeAsk),
    /// A session watches another member: the owner vouches for the two, the other's home answers, with
    /// [`Answer::Presence`], and tells the edge of what changes.
    Watch(Box<WatchAsk>),
    /// How many members are online; the edge is told when it is another number. Answered [`Answer::Presence`].
    Count,
    /// No session of this edge wants to know that any more. Not answered.
    CountEnd,
    /// Tells the home of the request's user, whose key the request has. Not answered.
    Presence(PresenceAsk),
}

/// How far a member has come; at least one of the two is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarkAsk {
    /// Everything up to this number is read.
    pub read: Option<u64>,
    /// Everything up to this number is received.
    pub delivered: Option<u64>,
}

/// A page of members' marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarksAsk {
    /// Only members who have read up to this number, and when they came to.
    pub passed: Option<u64>,
    /// Members after this one in the order of ids.
    pub after: Option<UserId>,
    /// How many, at most.
    pub limit: usize,
}

/// A message to store. Client id and text share one allocation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendAsk {
    id_and_text: Box<str>,
    id_len: usize,
    /// What kind of message.
    pub kind: v1::MessageKind,
    /// The head that the client knew at its first attempt.
    pub since: Option<u64>,
    /// What few messages have.
    pub extra: Option<Box<SendExtra>>,
}

/// What few messages have.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SendExtra {
    /// The number of the message that this one answers.
    pub reply_to: Option<u64>,
    /// Whom it names, each once.
    pub mentions: Vec<UserId>,
}

impl SendExtra {
    fn bytes(&self) -> usize {
        size_of::<Self>() + users_bytes(&self.mentions)
    }
}

/// A change of a message that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnotateAsk {
    /// The message's number.
    pub target: u64,
    /// What is to become of it.
    pub change: Annotation,
}

/// What becomes of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Annotation {
    /// It gets another text, and names others.
    Edit {
        /// The text.
        text: Box<str>,
        /// Whom it names, each once.
        mentions: Vec<UserId>,
    },
    /// It goes.
    Delete,
    /// The asker gives it an emoji, or takes that away.
    React {
        /// Which.
        emoji: Box<str>,
        /// Whether it is taken away.
        remove: bool,
    },
}

impl AnnotateAsk {
    /// Bytes of what it says, for budgets.
    pub fn bytes(&self) -> usize {
        match &self.change {
            Annotation::Edit { text, mentions } => text.len() + users_bytes(mentions),
            Annotation::Delete => 0,
            Annotation::React { emoji, .. } => emoji.len(),
        }
    }
}

fn users_bytes(users: &[UserId]) -> usize {
    users.iter().map(|user| size_of::<UserId>() + user.as_str().len()).sum()
}

impl SendAsk {
    /// Copies both texts.
    pub fn new(client_id: &str, text: &str, kind: v1::MessageKind, since: Option<u64>) -> Self {
        let mut joined = String::with_capacity(client_id.len() + text.len());
        joined.push_str(client_id);
        joined.push_str(text);
        Self { id_and_text: joined.into_boxed_str(), id_len: client_id.len(), kind, since, extra: None }
    }

    /// The sender's own id of the message.
    pub fn client_id(&self) -> &str {
        &self.id_and_text[..self.id_len]
    }

    /// The body.
    pub fn text(&self) -> &str {
        &self.id_and_text[self.id_len..]
    }

    /// Bytes of all that it says, for budgets.
    pub fn bytes(&self) -> usize {
        self.id_and_text.len() + self.extra.as_ref().map_or(0, |extra| extra.bytes())
    }
}

/// A conversation to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateAsk {
    /// What kind.
    pub kind: v1::ConversationKind,
    /// All members, the asker among them, each once.
    pub members: Vec<UserId>,
    /// What it is called.
    pub name: Option<String>,
    /// The address of its picture.
    pub avatar: Option<String>,
    /// What it is about (a product, an order).
    pub context: Option<String>,
}

impl CreateAsk {
    /// Whether it is between two and has no name: then, where the kind has both, it is one of two for good.
    pub fn is_pair(&self) -> bool {
        self.members.len() == 2 && self.name.is_none() && self.avatar.is_none()
    }
}

/// What a conversation is to be called and so on; what is not given stays.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct UpdateAsk {
    /// The new name.
    pub name: Option<String>,
    /// The new avatar; empty for none.
    pub avatar: Option<String>,
    /// The new context; empty for none.
    pub context: Option<String>,
}

/// Which page of a timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFrom {
    /// The newest.
    Newest,
    /// Messages with lower numbers, newest first.
    Before(u64),
    /// Messages with higher numbers, oldest first.
    After(u64),
    /// Messages stored earlier than this, newest first.
    BeforeTime(u64),
    /// Messages stored at this time or later, oldest first.
    AfterTime(u64),
}

/// A page of messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryAsk {
    /// Where it begins, and in which direction it goes.
    pub from: PageFrom,
    /// How many messages, at most; at least 1.
    pub limit: usize,
}

/// A subscription, with or without what was missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscribeAsk {
    /// Events after this number come with the answer.
    pub after: Option<u64>,
    /// How many events come with the answer, at most.
    pub events_max: usize,
    /// Bytes of them, at most; one event may be larger.
    pub bytes_max: usize,
}

/// From a router to an edge.
#[derive(Debug)]
pub enum Delivery {
    /// The answer to a request.
    Answer {
        /// Who asked.
        to: Asker,
        /// What came of it.
        answer: Answer,
    },
    /// A numbered event, for every local reader.
    Event(LiveEvent),
    /// Events up to `head` exist that will not be delivered: the queue was full. Never dropped itself; the newest per
    /// conversation counts.
    Head {
        /// Which conversation.
        key: ConversationKey,
        /// The number of its newest committed event.
        head: u64,
    },
    /// Who types in a conversation that this edge has open. The newest per conversation counts; it gives way to
    /// everything else, and what waits is replaced by what is newer.
    Typing(Box<TypersNow>),
    /// Members of a conversation that this edge reads have come farther. It gives way to everything else, and what waits is
    /// joined with what is newer.
    Marks(Box<MarksNow>),
    /// A conversation came to the list of a user whose sessions here want all, or went from it.
    Listed(Box<ListedNow>),
    /// A user who is watched here came or went, or another number of a conversation's members is online. The newest of each
    /// counts; it gives way to everything else, and what waits is replaced by what is newer.
    Presence(Box<PresenceNow>),
    /// Sessions here of one user watch another one no more by way of a conversation of these two. It always goes, behind what was
    /// told before.
    Parted(Box<Parted>),
}

impl Delivery {
    /// Bytes that it holds, about; an event's or answer's content alone.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Answer { answer, .. } => answer.bytes(),
            Self::Event(event) => event.frame.len(),
            Self::Head { .. } => 0,
            Self::Typing(now) => now.bytes(),
            Self::Marks(now) => now.bytes(),
            Self::Presence(now) => now.bytes(),
            Self::Parted(parted) => parted.bytes(),
            Self::Listed(now) => now.entry.as_ref().map_or(0, v1::Listing::encoded_len),
        }
    }
}

impl Answer {
    fn bytes(&self) -> usize {
        match self {
            Self::Sent { message, .. } => message.len(),
            Self::Subscribed(answer) => answer.missed.encoded_len(),
            Self::Watching(answer) => size_of_val(&*answer.conversations),
            Self::Presence { now, .. } => now.bytes(),
            Self::Result(result) => result.encoded_len(),
            Self::Refused(_) => 0,
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub enum Answer {
    /// The message is stored, now or by an earlier attempt.
    Sent {
        /// The encoded `v1::Message`.
        message: Bytes,
        /// Whether an earlier attempt had stored it.
        duplicate: bool,
    },
    /// The edge is subscribed; the asker may read.
    Subscribed(Box<SubscribedAnswer>),
    /// The edge is told of conversations that come and go; the asker may read these.
    Watching(Box<WatchingAnswer>),
    /// How it is with whom or what a session watches from now on.
    Presence {
        /// How it is.
        now: Box<PresenceNow>,
        /// It may by way of a conversation of two for good, and no longer than neither blocks the other.
        of_two: bool,
    },
    /// Any other success.
    Result(Box<v1::reply::Result>),
    /// It was not done.
    Refused(Refusal),
}

/// The start of a live stream.
#[derive(Debug)]
pub struct SubscribedAnswer {
    /// The conversation, for the edge's table.
    pub key: ConversationKey,
    /// Who may read.
    pub user: UserId,
    /// They may for they are staff, and no longer than that.
    pub by_role: bool,
    /// Live events flow from `head + 1`.
    pub head: u64,
    /// What was asked for with `after`; empty without.
    pub missed: v1::ResumedConversation,
}

/// Why a request was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Its code.
    pub code: ErrorCode,
    /// In words, for the client's developer.
    pub message: &'static str,
    /// When to try again, where that helps.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal without a time to come again.
    pub const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, retry_after_ms: None }
    }

    /// What a stranger gets, equal to what nobody would get: a conversation that does not exist.
    pub const NOT_FOUND: Self = Self::new(ErrorCode::NotFound, "no such conversation");
}

/// The way to a shard's owner is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkFull;

/// The edge's end. One per edge worker, used by that worker alone.
pub trait EdgeLink {
    /// The process of this edge, for logs.
    fn instance(&self) -> Instance;

    /// Sends a request to a shard's owner. `Err`: the way there is full, nothing was sent, the client is to come again.
    fn send(&mut self, shard: Shard, request: Request) -> Result<(), LinkFull>;

    /// Lets go what was sent in this turn.
    fn flush(&mut self);

    /// Takes what has come, in order. `into` must be empty.
    fn receive(&mut self, into: &mut Vec<Delivery>);

    /// Nothing has come for some seconds: gives back the room that bursts have left.
    fn rest(&mut self) {}
}

/// The router's end. One per router worker, used by that worker alone.
pub trait RouterLink {
    /// The process of an edge, for logs.
    fn instance(&self, edge: EdgeId) -> Instance;

    /// Takes what has come, in order. `into` must be empty.
    fn receive(&mut self, into: &mut Vec<Request>);

    /// Sends to an edge. Answers always go; an event gives way to a head mark where the edge's queue is full, unless it
    /// puts somebody out; who types, who has read what and who is online waits until there is room, the newest of each.
    fn send(&mut self, edge: EdgeId, delivery: Delivery);

    /// Takes what routers have told this one, in order. `into` must be empty. What was told before a request was sent that
    /// [`receive`](Self::receive) has brought is there when this is called after it.
    fn receive_told(&mut self, into: &mut Vec<RouterMessage>);

    /// Tells the router whom the message is for. A notice gives way to [`RouterMessage::Missed`] where that router's queue
    /// is full; everything else always goes, for no router has more under way than it has places for.
    fn tell(&mut self, message: RouterMessage);

    /// Lets go what was sent in this turn.
    fn flush(&mut self);
}
