//! What goes into the core and what comes out of it. Plain values only.

use std::time::Duration;

use switchyard_protocol::v1::{self, ClientFrame, ServerFrame, client_frame::Request};

use crate::error::Error;
use crate::event::{Event, State};

/// The driver's name for something that it wants an answer to. Lower ones were submitted earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Which connection something belongs to: what is said of an earlier one comes too late to matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(pub u64);

/// A request of the application's. What belongs to the connection itself (hello, resume, renew) the core asks alone.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the request of its name")]
pub enum Call {
    Create(v1::Create),
    Send(v1::Send),
    /// A send under an id that the application chose, and may have used before: an earlier message of that id counts.
    SendChosen(v1::Send),
    History(v1::History),
    /// What happened beside messages, too: read beside a subscription, which goes on where it is.
    Events(v1::Resume),
    Get(v1::Get),
    Members(v1::Members),
    List(v1::List),
    Add(v1::Add),
    Remove(v1::Remove),
    Leave(v1::Leave),
    Update(v1::Update),
    Promote(v1::Promote),
    Demote(v1::Demote),
    Close(v1::Close),
    Reopen(v1::Reopen),
    Erase(v1::Erase),
    Accept(v1::Accept),
    Decline(v1::Decline),
    Edit(v1::Edit),
    Delete(v1::Delete),
    React(v1::React),
    Pin(v1::Pin),
    Unread(v1::Unread),
    Marks(v1::Marks),
    Archive(v1::Archive),
    Unarchive(v1::Unarchive),
    Block(v1::Block),
    Unblock(v1::Unblock),
    Blocks(v1::Blocks),
    Ping(v1::Ping),
}

/// Whether a request may be carried out twice without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Asked twice, it is as if asked once.
    Harmless,
    /// A second time is another deed, or is refused because of the first.
    Counts,
}

impl Call {
    pub(crate) fn request(&self) -> Request {
        match self.clone() {
            Self::Create(body) => Request::Create(body),
            Self::Send(body) | Self::SendChosen(body) => Request::Send(body),
            Self::History(body) => Request::History(body),
            Self::Events(body) => Request::Resume(body),
            Self::Get(body) => Request::Get(body),
            Self::Members(body) => Request::Members(body),
            Self::List(body) => Request::List(body),
            Self::Add(body) => Request::Add(body),
            Self::Remove(body) => Request::Remove(body),
            Self::Leave(body) => Request::Leave(body),
            Self::Update(body) => Request::Update(body),
            Self::Promote(body) => Request::Promote(body),
            Self::Demote(body) => Request::Demote(body),
            Self::Close(body) => Request::Close(body),
            Self::Reopen(body) => Request::Reopen(body),
            Self::Erase(body) => Request::Erase(body),
            Self::Accept(body) => Request::Accept(body),
            Self::Decline(body) => Request::Decline(body),
            Self::Edit(body) => Request::Edit(body),
            Self::Delete(body) => Request::Delete(body),
            Self::React(body) => Request::React(body),
            Self::Pin(body) => Request::Pin(body),
            Self::Unread(body) => Request::Unread(body),
            Self::Marks(body) => Request::Marks(body),
            Self::Archive(body) => Request::Archive(body),
            Self::Unarchive(body) => Request::Unarchive(body),
            Self::Block(body) => Request::Block(body),
            Self::Unblock(body) => Request::Unblock(body),
            Self::Blocks(body) => Request::Blocks(body),
            Self::Ping(body) => Request::Ping(body),
        }
    }

    pub(crate) fn repeat(&self) -> Repeat {
        match self {
            Self::Create(create) if makes_another(create) => Repeat::Counts,
            Self::Add(_) | Self::Remove(_) | Self::Leave(_) | Self::Update(_) => Repeat::Counts,
            // Whoever undid it meanwhile would see it undone again.
            Self::Promote(_) | Self::Demote(_) | Self::Close(_) | Self::Reopen(_) => Repeat::Counts,
            // A second time finds nothing; and who accepted meanwhile would have declined.
            Self::Erase(_) | Self::Accept(_) | Self::Decline(_) => Repeat::Counts,
            Self::Edit(_) | Self::React(_) | Self::Pin(_) => Repeat::Counts,
            // Whoever undid it on another device would see it undone again.
            Self::Archive(_) | Self::Unarchive(_) | Self::Block(_) | Self::Unblock(_) => Repeat::Counts,
            Self::Create(_)
            | Self::Send(_)
            | Self::SendChosen(_)
            | Self::History(_)
            | Self::Events(_)
            | Self::Get(_)
            | Self::Members(_)
            // What is deleted stays so.
            | Self::Delete(_)
            | Self::Unread(_)
            | Self::Marks(_)
            | Self::List(_)
            | Self::Blocks(_)
            | Self::Ping(_) => Repeat::Harmless,
        }
    }

    /// Whether the server has something that it had not before once this is carried out.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Create(_)
            | Self::Send(_)
            | Self::SendChosen(_)
            | Self::Add(_)
            | Self::Remove(_)
            | Self::Leave(_)
            | Self::Update(_)
            | Self::Promote(_)
            | Self::Demote(_)
            | Self::Close(_)
            | Self::Reopen(_)
            | Self::Erase(_)
            | Self::Accept(_)
            | Self::Decline(_)
            | Self::Edit(_)
            | Self::Delete(_)
            | Self::React(_)
            | Self::Pin(_)
            | Self::Archive(_)
            | Self::Unarchive(_)
            | Self::Block(_)
            | Self::Unblock(_) => true,
            Self::History(_) | Self::Events(_) | Self::Get(_) | Self::Members(_) | Self::List(_) => false,
            Self::Unread(_) | Self::Marks(_) | Self::Blocks(_) | Self::Ping(_) => false,
        }
    }

    /// Bytes that it keeps while it waits, near enough for a limit.
    pub(crate) fn weight(&self) -> usize {
        let text = match self {
            Self::Send(send) | Self::SendChosen(send) => {
                let mentions: usize = send.mentions.iter().map(String::len).sum();
                send.text.len() + send.conversation.len() + send.client_id.len() + mentions
            }
            Self::Edit(edit) => edit.text.len() + edit.mentions.iter().map(String::len).sum::<usize>(),
            Self::Create(create) => create.members.iter().map(String::len).sum(),
            Self::Add(add) => add.members.iter().map(String::len).sum(),
            Self::Unread(unread) => unread.conversations.iter().map(String::len).sum(),
            _ => 0,
        };
        text + std::mem::size_of::<Self>()
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With what happens from now on.
    Now,
    /// With what follows this number; 0 for everything that is still kept.
    After(u64),
}

/// How a connection ended or failed to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The server closed it with this code.
    Closed {
        /// The close code.
        code: u16,
        /// Its reason.
        reason: String,
    },
    /// The upgrade was answered with this HTTP status.
    Http(u16),
    /// It broke, or could not be made.
    Broken,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoToken {
    /// Not now; ask again.
    Later,
    /// Never; the words say why.
    Never(String),
}

/// Something that happened outside the core.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Begin to connect. Once, first.
    Open,
    /// Time has passed; due by [`Effect::WakeAt`].
    Tick,
    /// The token provider's answer.
    Token(Result<String, NoToken>),
    /// The connection is made.
    Connected(Connection),
    /// The connection is over, or could not be made.
    Disconnected(Connection, Loss),
    /// A frame came.
    Received(Connection, ServerFrame),
    /// Something other than a frame came (a ping): the other side lives.
    Heard(Connection),
    /// The frame of this request id is larger than the server takes and was not sent.
    Unsendable(u64),
    /// The application asks for something.
    Submit {
        /// Under which to answer.
        ticket: Ticket,
        /// What it asks for.
        call: Call,
        /// When to give up, counted from now. Without it, a send is kept until it is answered.
        timeout: Option<Duration>,
    },
    /// The application wants a conversation's events. Answered when the server has confirmed it.
    Subscribe {
        /// Under which to answer.
        ticket: Ticket,
        /// Which conversation.
        conversation: String,
        /// From where on.
        from: From,
    },
    /// The application wants the events of all the user's conversations, from now on. Answered when the server has said
    /// which they are.
    SubscribeAll {
        /// Under which to answer.
        ticket: Ticket,
    },
    /// The application wants no more of them. Answered at once.
    Unsubscribe {
        /// Under which to answer.
        ticket: Ticket,
        /// Which conversation.
        conversation: String,
    },
    /// The application shows these conversations now, and no others. Answered when the server has said who types there.
    Show {
        /// Under which to answer.
        ticket: Ticket,
        /// All that are shown.
        conversations: Vec<String>,
    },
    /// The user types in a conversation, or has stopped. Answered at once.
    Typing {
        /// Under which to answer.
        ticket: Ticket,
        /// Where.
        conversation: String,
        /// Whether they type.
        on: bool,
    },
    /// The application wants to know who of these users is online, or without any how many are in the conversation. Answered
    /// when the server has said so.
    Watch {
        /// Under which to answer.
        ticket: Ticket,
        /// Who.
        users: Vec<String>,
        /// A conversation that they are in with this user, and that is subscribed.
        conversation: Option<String>,
    },
    /// The application wants to know no more of these. Answered at once.
    Unwatch {
        /// Under which to answer.
        ticket: Ticket,
        /// Users.
        users: Vec<String>,
        /// Of which conversation it counted who is online.
        conversation: Option<String>,
        /// Of anybody.
        all: bool,
    },
    /// The user has read and received so much of a conversation; 0 for nothing new. Answered at once.
    Mark {
        /// Under which to answer.
        ticket: Ticket,
        /// Where.
        conversation: String,
        /// Up to which number they have read.
        read: u64,
        /// Up to which number they have received.
        delivered: u64,
    },
    /// So many more events the application's queue has room for.
    Room(usize),
    /// Send what waits, for at most so long, then end.
    Close(Duration),
}

/// Something that the driver is to do, in the order given.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the token provider.
    RequestToken,
    /// Make a connection under this name.
    Connect(Connection),
    /// Send a frame.
    SendFrame(Connection, ClientFrame),
    /// Close the connection, with code 1000; nothing more of it is awaited.
    Disconnect(Connection),
    /// Hand an event to the application.
    Deliver(Event),
    /// Answer a ticket.
    Complete(Ticket, Result<v1::reply::Result, Error>),
    /// The connection's state changed.
    State(State),
    /// Give [`Input::Tick`] at this time, at the latest; replaces an earlier wish.
    WakeAt(Duration),
}

/// Whether each such request makes a conversation of its own, and not the one of two.
fn makes_another(create: &v1::Create) -> bool {
    match create.kind() {
        v1::ConversationKind::Group => true,
        v1::ConversationKind::Internal => create.name.is_some() || create.avatar.is_some(),
        _ => false,
    }
}
