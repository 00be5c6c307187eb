//! What stored rows say, read by code that shares nothing with the router's: the state of a conversation after each of
//! its events.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use bytes::Bytes;
use prost::Message as _;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, ConversationKind, MessageKind, Role, event::Body};
use switchyard_store::{Row, Seq};

use crate::present::{Annotations, DELETE, EDIT, REACT, target};

/// The stored forms, as documented.
pub(crate) mod form {
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Member {
        #[prost(string, tag = "1")]
        pub(crate) user: String,
        #[prost(int32, tag = "2")]
        pub(crate) role: i32,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Founding {
        #[prost(int32, tag = "1")]
        pub(crate) kind: i32,
        #[prost(message, repeated, tag = "2")]
        pub(crate) members: Vec<Member>,
        #[prost(string, optional, tag = "3")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "4")]
        pub(crate) avatar: Option<String>,
        #[prost(string, optional, tag = "5")]
        pub(crate) context: Option<String>,
        #[prost(bool, tag = "6")]
        pub(crate) requested: bool,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Members {
        #[prost(message, repeated, tag = "1")]
        pub(crate) added: Vec<Member>,
        #[prost(string, repeated, tag = "2")]
        pub(crate) removed: Vec<String>,
        #[prost(message, repeated, tag = "3")]
        pub(crate) promoted: Vec<Member>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Change {
        #[prost(string, optional, tag = "1")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(crate) avatar: Option<String>,
        #[prost(string, optional, tag = "3")]
        pub(crate) context: Option<String>,
        #[prost(bool, optional, tag = "4")]
        pub(crate) closed: Option<bool>,
        #[prost(uint64, optional, tag = "5")]
        pub(crate) pinned: Option<u64>,
        #[prost(uint64, optional, tag = "6")]
        pub(crate) unpinned: Option<u64>,
        #[prost(bool, optional, tag = "7")]
        pub(crate) accepted: Option<bool>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Record {
        #[prost(int32, tag = "1")]
        pub(crate) kind: i32,
        #[prost(string, optional, tag = "2")]
        pub(crate) name: Option<String>,
        #[prost(string, optional, tag = "3")]
        pub(crate) avatar: Option<String>,
        #[prost(string, optional, tag = "4")]
        pub(crate) context: Option<String>,
        #[prost(uint64, tag = "5")]
        pub(crate) created_ms: u64,
        #[prost(uint64, tag = "6")]
        pub(crate) first_available: u64,
        #[prost(bool, tag = "7")]
        pub(crate) closed: bool,
        #[prost(bool, tag = "12")]
        pub(crate) erased: bool,
        #[prost(int32, tag = "13")]
        pub(crate) approval: i32,
        #[prost(string, optional, tag = "14")]
        pub(crate) requested_by: Option<String>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Rich {
        #[prost(string, tag = "1")]
        pub(crate) text: String,
        #[prost(uint64, optional, tag = "2")]
        pub(crate) reply_to: Option<u64>,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct MemberRecord {
        #[prost(int32, tag = "1")]
        pub(crate) role: i32,
        #[prost(uint64, tag = "2")]
        pub(crate) joined: u64,
    }
}

/// Numbers of row kinds: these are for ever.
pub(crate) const FOUNDING: u32 = 1;
pub(crate) const MEMBERS: u32 = 2;
pub(crate) const CHANGE: u32 = 3;
pub(crate) const ERASE: u32 = 7;
pub(crate) const MESSAGE: u32 = 16;
pub(crate) const RICH: u32 = 32;

/// What a conversation is, apart from members and events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Profile {
    pub(crate) kind: i32,
    pub(crate) name: Option<String>,
    pub(crate) avatar: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) created_ms: u64,
    pub(crate) closed: bool,
    pub(crate) pins: Vec<Seq>,
    /// Who asked for a direct conversation, and how the other one stands to it.
    pub(crate) maker: Option<UserId>,
    pub(crate) standing: Standing,
}

/// How the other one stands to a direct conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Standing {
    #[default]
    Open,
    Pending,
    Declined,
}

impl Profile {
    /// Whether this user was told that they may not write.
    pub(crate) fn declines(&self, user: &UserId) -> bool {
        self.standing == Standing::Declined && self.maker.as_ref() == Some(user)
    }

    /// Whose request it is, for this user.
    pub(crate) fn side(&self, user: &UserId) -> Option<v1::RequestSide> {
        let mine = self.maker.as_ref() == Some(user);
        let side = if mine { v1::RequestSide::ByMe } else { v1::RequestSide::ToMe };
        (self.standing != Standing::Open).then_some(side)
    }
}

/// A member: role, and the number of the event by which they came.
pub(crate) type Members = BTreeMap<UserId, (Role, Seq)>;

/// One row, and the state after it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) row: Row,
    pub(crate) members: Rc<Members>,
    pub(crate) profile: Rc<Profile>,
}

impl Entry {
    pub(crate) fn is_message(&self) -> bool {
        self.row.kind >= MESSAGE
    }

    /// Whether it is a message of another service.
    pub(crate) fn is_system(&self) -> bool {
        self.is_message() && self.row.kind % MESSAGE == MessageKind::System as u32
    }

    /// Whether it has two members for good. No run has an internal one of two.
    pub(crate) fn direct(&self) -> bool {
        [ConversationKind::Direct as i32, ConversationKind::CustomerSeller as i32].contains(&self.profile.kind)
    }

    pub(crate) fn role(&self, user: &UserId) -> Option<Role> {
        self.members.get(user).map(|(role, _)| *role)
    }
}

/// All rows of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) entries: Vec<Entry>,
    /// Where each (sender, client id) lies; more than one place is what must not be.
    pub(crate) ids: HashMap<(UserId, String), Vec<Seq>>,
    /// Which events changed which messages.
    pub(crate) annotations: Annotations,
}

pub(crate) fn user(text: &str) -> UserId {
    UserId::new(text).expect("a stored user is valid")
}

impl Timeline {
    /// Reads the rows that are new; returns the number of the first of them. After a crash there may be fewer.
    pub(crate) fn sync(&mut self, key: &ConversationKey, blobs: &[Bytes]) -> usize {
        if self.entries.len() > blobs.len() {
            self.entries.truncate(blobs.len());
            for places in self.ids.values_mut() {
                places.retain(|seq| (*seq as usize) < blobs.len());
            }
            self.ids.retain(|_, places| !places.is_empty());
            for events in self.annotations.values_mut() {
                events.retain(|seq| (*seq as usize) < blobs.len());
            }
        }
        let from = self.entries.len();
        for (seq, blob) in blobs.iter().enumerate().skip(from) {
            let row = Row::decode(key, seq as u64, blob).expect("the disk checked it");
            self.push(row);
        }
        from
    }

    fn push(&mut self, row: Row) {
        let seq = self.entries.len() as u64;
        let last = self.entries.last();
        let (mut members, mut profile) = match last {
            Some(entry) => (Rc::clone(&entry.members), Rc::clone(&entry.profile)),
            None => Default::default(),
        };
        match row.kind {
            FOUNDING => {
                let founding = form::Founding::decode(row.body.clone()).expect("a founding row");
                let list = founding.members.iter().map(|m| (user(&m.user), (role(m.role), 0)));
                members = Rc::new(list.collect());
                profile = Rc::new(Profile {
                    kind: founding.kind,
                    name: founding.name,
                    avatar: founding.avatar,
                    context: founding.context,
                    created_ms: row.time_ms,
                    closed: false,
                    pins: Vec::new(),
                    maker: founding.requested.then(|| user(row.sender())),
                    standing: if founding.requested { Standing::Pending } else { Standing::Open },
                });
            }
            MEMBERS => {
                let event = form::Members::decode(row.body.clone()).expect("a membership row");
                let members = Rc::make_mut(&mut members);
                for member in event.added {
                    members.insert(user(&member.user), (role(member.role), seq));
                }
                for gone in event.removed {
                    members.remove(&user(&gone));
                }
                for member in event.promoted {
                    let entry = members.get_mut(&user(&member.user)).expect("only members are promoted");
                    entry.0 = role(member.role);
                }
            }
            CHANGE => {
                let event = form::Change::decode(row.body.clone()).expect("a change row");
                let profile = Rc::make_mut(&mut profile);
                if let Some(name) = event.name {
                    profile.name = Some(name).filter(|name| !name.is_empty());
                }
                if let Some(avatar) = event.avatar {
                    profile.avatar = Some(avatar).filter(|avatar| !avatar.is_empty());
                }
                if let Some(context) = event.context {
                    profile.context = Some(context).filter(|context| !context.is_empty());
                }
                profile.closed = event.closed.unwrap_or(profile.closed);
                if let Some(accepted) = event.accepted {
                    profile.standing = if accepted { Standing::Open } else { Standing::Declined };
                }
                profile.pins.extend(event.pinned);
                profile.pins.retain(|pinned| Some(*pinned) != event.unpinned);
            }
            EDIT | DELETE | REACT => {
                let target = target(&row).expect("it changes a message");
                self.annotations.entry(target).or_default().push(seq);
                if row.kind == DELETE {
                    Rc::make_mut(&mut profile).pins.retain(|pinned| *pinned != target);
                }
            }
            ERASE => members = Rc::default(),
            _ => {
                let other = Some(user(row.sender()))
                    .filter(|sender| members.contains_key(sender) && profile.maker.as_ref() != Some(sender));
                if profile.standing != Standing::Open && other.is_some() {
                    Rc::make_mut(&mut profile).standing = Standing::Open;
                }
                let id = (user(row.sender()), row.client_id().to_owned());
                self.ids.entry(id).or_default().push(seq);
            }
        }
        self.entries.push(Entry { row, members, profile });
    }
}

fn role(number: i32) -> Role {
    Role::try_from(number).expect("a known role")
}

/// What a message's row says: its kind, its text, and the number of the message that it answers.
pub(crate) fn said(row: &Row) -> (i32, String, Option<Seq>) {
    if row.kind >= RICH {
        let form::Rich { text, reply_to } = form::Rich::decode(row.body.clone()).expect("a rich message");
        return ((row.kind - RICH) as i32, text, reply_to);
    }
    let text = String::from_utf8(row.body.to_vec()).expect("texts are UTF-8");
    ((row.kind - MESSAGE) as i32, text, None)
}

/// The message that clients should see for this row as it was sent, but for its quote.
pub(crate) fn message(key: &ConversationKey, seq: Seq, row: &Row) -> v1::Message {
    let (kind, text, reply_to) = said(row);
    v1::Message {
        id: format!("{}.{seq}", key.conversation),
        conversation: key.conversation.to_string(),
        seq,
        client_id: row.client_id().to_owned(),
        sender: row.sender().to_owned(),
        kind,
        text,
        reply_to: reply_to.map(|seq| format!("{}.{seq}", key.conversation)),
        time_ms: row.time_ms,
        ordinal: row.ordinal,
        ..v1::Message::default()
    }
}

/// The event that clients should see for this row.
pub(crate) fn event(key: &ConversationKey, seq: Seq, row: &Row) -> v1::Event {
    let (by, time_ms) = (row.sender().to_owned(), row.time_ms);
    let body = match row.kind {
        MEMBERS => {
            let event = form::Members::decode(row.body.clone()).expect("a membership row");
            let list = |members: Vec<form::Member>| {
                members.into_iter().map(|m| v1::Member { user: m.user, role: m.role }).collect()
            };
            let (added, promoted) = (list(event.added), list(event.promoted));
            Body::Members(v1::MembersChanged { added, removed: event.removed, promoted, by, time_ms })
        }
        CHANGE => {
            let event = form::Change::decode(row.body.clone()).expect("a change row");
            let form::Change { name, avatar, context, closed, pinned, unpinned, accepted } = event;
            let id = |seq: Option<Seq>| seq.map(|seq| format!("{}.{seq}", key.conversation));
            let (pinned, unpinned) = (id(pinned), id(unpinned));
            let change =
                v1::ConversationChanged { name, avatar, by, time_ms, context, closed, pinned, ..Default::default() };
            Body::Change(v1::ConversationChanged { unpinned, accepted, ..change })
        }
        ERASE => Body::Change(v1::ConversationChanged { erased: Some(true), by, time_ms, ..Default::default() }),
        _ => Body::Message(message(key, seq, row)),
    };
    v1::Event { conversation: key.conversation.to_string(), seq, body: Some(body) }
}

/// Users that an event came to, left from or gave another role.
pub(crate) fn touched(row: &Row) -> Vec<UserId> {
    let list = |members: Vec<form::Member>| members.into_iter().map(|m| user(&m.user)).collect::<Vec<_>>();
    match row.kind {
        FOUNDING => list(form::Founding::decode(row.body.clone()).expect("a founding row").members),
        MEMBERS => {
            let event = form::Members::decode(row.body.clone()).expect("a membership row");
            let removed = event.removed.iter().map(|gone| user(gone));
            removed.chain(list(event.added)).chain(list(event.promoted)).collect()
        }
        _ => Vec::new(),
    }
}
