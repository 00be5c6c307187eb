//! Which request it is, small enough to travel with its answer. Names only; what a request means is read elsewhere.

use switchyard_protocol::v1::client_frame::Request;

/// The kinds of requests, and what could not be read as one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the request of its name")]
pub enum RequestKind {
    /// Not a request, or none of this version.
    Unreadable,
    Hello,
    Resume,
    Create,
    Send,
    History,
    Subscribe,
    Unsubscribe,
    Get,
    Members,
    Add,
    Remove,
    Leave,
    Update,
    Renew,
    Ping,
    Promote,
    Demote,
    Close,
    Reopen,
    Erase,
    Accept,
    Decline,
    Open,
    Typing,
    Edit,
    Delete,
    React,
    Pin,
    Mark,
    Unread,
    Marks,
    List,
    Archive,
    Unarchive,
    Block,
    Unblock,
    Blocks,
    Watch,
    Unwatch,
}

impl RequestKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 40] = [
        Self::Unreadable,
        Self::Hello,
        Self::Resume,
        Self::Create,
        Self::Send,
        Self::History,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Get,
        Self::Members,
        Self::Add,
        Self::Remove,
        Self::Leave,
        Self::Update,
        Self::Renew,
        Self::Ping,
        Self::Promote,
        Self::Demote,
        Self::Close,
        Self::Reopen,
        Self::Erase,
        Self::Accept,
        Self::Decline,
        Self::Open,
        Self::Typing,
        Self::Edit,
        Self::Delete,
        Self::React,
        Self::Pin,
        Self::Mark,
        Self::Unread,
        Self::Marks,
        Self::List,
        Self::Archive,
        Self::Unarchive,
        Self::Block,
        Self::Unblock,
        Self::Blocks,
        Self::Watch,
        Self::Unwatch,
    ];

    /// The kind of a request.
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Hello(_) => Self::Hello,
            Request::Resume(_) => Self::Resume,
            Request::Create(_) => Self::Create,
            Request::Send(_) => Self::Send,
            Request::History(_) => Self::History,
            Request::Subscribe(_) => Self::Subscribe,
            Request::Unsubscribe(_) => Self::Unsubscribe,
            Request::Get(_) => Self::Get,
            Request::Members(_) => Self::Members,
            Request::Add(_) => Self::Add,
            Request::Remove(_) => Self::Remove,
            Request::Leave(_) => Self::Leave,
            Request::Update(_) => Self::Update,
            Request::Renew(_) => Self::Renew,
            Request::Ping(_) => Self::Ping,
            Request::Promote(_) => Self::Promote,
            Request::Demote(_) => Self::Demote,
            Request::Close(_) => Self::Close,
            Request::Reopen(_) => Self::Reopen,
            Request::Erase(_) => Self::Erase,
            Request::Accept(_) => Self::Accept,
            Request::Decline(_) => Self::Decline,
            Request::Open(_) => Self::Open,
            Request::Typing(_) => Self::Typing,
            Request::Edit(_) => Self::Edit,
            Request::Delete(_) => Self::Delete,
            Request::React(_) => Self::React,
            Request::Pin(_) => Self::Pin,
            Request::Mark(_) => Self::Mark,
            Request::Unread(_) => Self::Unread,
            Request::Marks(_) => Self::Marks,
            Request::List(_) => Self::List,
            Request::Archive(_) => Self::Archive,
            Request::Unarchive(_) => Self::Unarchive,
            Request::Block(_) => Self::Block,
            Request::Unblock(_) => Self::Unblock,
            Request::Blocks(_) => Self::Blocks,
            Request::Watch(_) => Self::Watch,
            Request::Unwatch(_) => Self::Unwatch,
        }
    }

    /// The value of the label `request` in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Hello => "hello",
            Self::Resume => "resume",
            Self::Create => "create",
            Self::Send => "send",
            Self::History => "history",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Get => "get",
            Self::Members => "members",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Leave => "leave",
            Self::Update => "update",
            Self::Renew => "renew",
            Self::Ping => "ping",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Close => "close",
            Self::Reopen => "reopen",
            Self::Erase => "erase",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Open => "open",
            Self::Typing => "typing",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::React => "react",
            Self::Pin => "pin",
            Self::Mark => "mark",
            Self::Unread => "unread",
            Self::Marks => "marks",
            Self::List => "list",
            Self::Archive => "archive",
            Self::Unarchive => "unarchive",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Blocks => "blocks",
            Self::Watch => "watch",
            Self::Unwatch => "unwatch",
        }
    }

    /// Whether it changes what lists of conversations show; see [`change_units`](super::change_units).
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Add
                | Self::Remove
                | Self::Leave
                | Self::Update
                | Self::Promote
                | Self::Demote
                | Self::Close
                | Self::Reopen
                | Self::Erase
                | Self::Accept
                | Self::Decline
                | Self::Pin
                | Self::Archive
                | Self::Unarchive
                | Self::Block
                | Self::Unblock
        )
    }

    /// How many pages its answer may be, while it is awaited: what one session may make the server hold for it.
    pub fn pages(self) -> u16 {
        match self {
            Self::History | Self::Members | Self::Marks | Self::List | Self::Blocks => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        for (at, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }
}
