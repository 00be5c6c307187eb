//! What the clients of a run ask, in a form that can be kept and compared.

use switchyard_cluster::link::{
    AnnotateAsk, Ask, CreateAsk, HistoryAsk, MarkAsk, MarksAsk, SendAsk, SubscribeAsk, UpdateAsk,
};
use switchyard_cluster::party::EdgeId;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::Role;

/// The same as [`Ask`], to be kept.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Send(SendAsk),
    Create(CreateAsk),
    History(HistoryAsk),
    Subscribe(SubscribeAsk),
    Unsubscribe,
    Get,
    Members { after: Option<UserId>, limit: usize },
    Add(Vec<UserId>),
    Remove(UserId),
    Leave,
    Update { name: Option<String>, avatar: Option<String>, context: Option<String> },
    Promote { member: UserId, role: Role },
    Demote { member: UserId, role: Role },
    Close,
    Reopen,
    Erase,
    Accept,
    Decline,
    Annotate(AnnotateAsk),
    Pin { target: u64, remove: bool },
    Show,
    Hide,
    Typing,
    TypingEnd,
    Mark(MarkAsk),
    Unread,
    Marks(MarksAsk),
}

impl What {
    pub(crate) fn to_ask(&self) -> Ask {
        match self.clone() {
            Self::Send(send) => Ask::Send(send),
            Self::Create(create) => Ask::Create(Box::new(create)),
            Self::History(ask) => Ask::History(ask),
            Self::Subscribe(ask) => Ask::Subscribe(ask),
            Self::Unsubscribe => Ask::Unsubscribe,
            Self::Get => Ask::Get,
            Self::Members { after, limit } => Ask::Members { after, limit },
            Self::Add(users) => Ask::Add(users),
            Self::Remove(user) => Ask::Remove(user),
            Self::Leave => Ask::Leave,
            Self::Update { name, avatar, context } => Ask::Update(Box::new(UpdateAsk { name, avatar, context })),
            Self::Promote { member, role } => Ask::Promote { member, role },
            Self::Demote { member, role } => Ask::Demote { member, role },
            Self::Close => Ask::Close,
            Self::Reopen => Ask::Reopen,
            Self::Erase => Ask::Erase,
            Self::Accept => Ask::Accept,
            Self::Decline => Ask::Decline,
            Self::Annotate(ask) => Ask::Annotate(Box::new(ask)),
            Self::Pin { target, remove } => Ask::Pin { target, remove },
            Self::Show => Ask::Show,
            Self::Hide => Ask::Hide,
            Self::Typing => Ask::Typing,
            Self::TypingEnd => Ask::TypingEnd,
            Self::Mark(ask) => Ask::Mark(ask),
            Self::Unread => Ask::Unread,
            Self::Marks(ask) => Ask::Marks(Box::new(ask)),
        }
    }
}

impl What {
    /// The number of the message that it is about, if it is about one.
    pub(crate) fn about(&self) -> Option<u64> {
        match self {
            Self::Annotate(ask) => Some(ask.target),
            Self::Pin { target, .. } => Some(*target),
            Self::Send(send) => send.extra.as_ref().and_then(|extra| extra.reply_to),
            _ => None,
        }
    }
}

/// A request that was made and is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) edge: EdgeId,
    pub(crate) key: ConversationKey,
    pub(crate) user: UserId,
    pub(crate) what: What,
    /// The newest number of the conversation that anybody had been told when it was made; nothing if not even that the
    /// conversation exists.
    pub(crate) low: Option<u64>,
    /// When the machine took it in; 0 before.
    pub(crate) handed: u64,
}

/// All attempts at one client id of one user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) made: u64,
    /// Neither answered nor lost.
    pub(crate) open: u64,
    /// Ended without an answer, or with the answer that nothing is known.
    pub(crate) unknown: u64,
    /// The number that an answer gave it.
    pub(crate) stored: Option<u64>,
    /// The newest number told to anybody when the first attempt was made.
    pub(crate) low: u64,
    /// The head that the first attempt named or would have named.
    pub(crate) since: u64,
    /// Whether an attempt did without `since`: then it may be stored anew when the first result is far back or gone.
    pub(crate) bare: bool,
    /// Kinds and texts that were sent under it.
    pub(crate) bodies: Vec<(i32, String)>,
}
