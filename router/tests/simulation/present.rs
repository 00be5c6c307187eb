//! What a message is after some event of its conversation: the rows read by code that shares nothing with the router's.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_protocol::v1::{self, event::Body};
use switchyard_store::{Row, Seq};

use crate::timeline::{Timeline, event, message, user};

/// Numbers of row kinds: these are for ever.
pub(crate) const EDIT: u32 = 4;
pub(crate) const DELETE: u32 = 5;
pub(crate) const REACT: u32 = 6;

/// The stored forms, as documented.
pub(crate) mod form {
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Edit {
        #[prost(uint64, tag = "1")]
        pub(crate) target: u64,
        #[prost(string, tag = "2")]
        pub(crate) text: String,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Delete {
        #[prost(uint64, tag = "1")]
        pub(crate) target: u64,
    }

    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct React {
        #[prost(uint64, tag = "1")]
        pub(crate) target: u64,
        #[prost(string, tag = "2")]
        pub(crate) emoji: String,
        #[prost(bool, tag = "3")]
        pub(crate) removed: bool,
        #[prost(uint64, tag = "4")]
        pub(crate) count: u64,
    }
}

/// The message that a row changes, if it is such a row.
pub(crate) fn target(row: &Row) -> Option<Seq> {
    let body = row.body.clone();
    match row.kind {
        EDIT => Some(form::Edit::decode(body).expect("an edit").target),
        DELETE => Some(form::Delete::decode(body).expect("a deletion").target),
        REACT => Some(form::React::decode(body).expect("an emoji").target),
        _ => None,
    }
}

/// Who gave which emoji, in the order in which they were first given.
type Given = Vec<(String, BTreeSet<UserId>)>;

/// What became of a message.
#[derive(Debug, Default)]
pub(crate) struct Present {
    pub(crate) text: Option<(String, u64)>,
    pub(crate) deleted: bool,
    given: Given,
}

impl Present {
    /// Whether this user gives it this emoji.
    pub(crate) fn gives(&self, user: &UserId, emoji: &str) -> bool {
        self.given.iter().any(|(given, users)| given == emoji && users.contains(user))
    }

    /// How many give it this emoji.
    pub(crate) fn given(&self, emoji: &str) -> u64 {
        self.given.iter().find(|(given, _)| given == emoji).map_or(0, |(_, users)| users.len() as u64)
    }

    fn react(&mut self, react: form::React, by: UserId) {
        let place = self.given.iter().position(|(given, _)| *given == react.emoji);
        match place {
            Some(at) if react.removed => {
                self.given[at].1.remove(&by);
                self.given.retain(|(_, users)| !users.is_empty());
            }
            Some(at) => {
                self.given[at].1.insert(by);
            }
            None => self.given.push((react.emoji, BTreeSet::from([by]))),
        }
    }
}

impl Timeline {
    /// What became of a message up to some event.
    pub(crate) fn present(&self, seq: Seq, upto: Seq) -> Present {
        let mut present = Present::default();
        for at in self.annotations.get(&seq).into_iter().flatten().take_while(|at| **at <= upto) {
            let row = &self.entries[*at as usize].row;
            let body = row.body.clone();
            match row.kind {
                EDIT => present.text = Some((form::Edit::decode(body).expect("an edit").text, row.time_ms)),
                DELETE => present = Present { deleted: true, ..Present::default() },
                _ => present.react(form::React::decode(body).expect("an emoji"), user(row.sender())),
            }
        }
        present
    }

    /// A message as this user sees it after some event; without a user as events show it.
    pub(crate) fn shown(&self, key: &ConversationKey, seq: Seq, upto: Seq, reader: Option<&UserId>) -> v1::Message {
        let mut shown = message(key, seq, &self.entries[seq as usize].row);
        shown.pinned = self.entries[upto as usize].profile.pins.contains(&seq);
        let present = self.present(seq, upto);
        if present.deleted {
            shown.text.clear();
            (shown.reply_to, shown.deleted) = (None, true);
            return shown;
        }
        if let Some((text, time_ms)) = present.text {
            (shown.text, shown.edited_ms) = (text, Some(time_ms));
        }
        shown.reactions = present
            .given
            .iter()
            .map(|(emoji, users)| v1::Reaction {
                emoji: emoji.clone(),
                count: users.len() as u64,
                mine: reader.is_some_and(|reader| users.contains(reader)),
            })
            .collect();
        shown
    }

    /// What is shown of the message that this one answers, after some event.
    pub(crate) fn quote(&self, key: &ConversationKey, shown: &v1::Message, upto: Seq) -> Option<v1::Quote> {
        let seq: Seq = shown.reply_to.as_ref()?.rsplit('.').next()?.parse().ok()?;
        let answered = self.shown(key, seq, upto, None);
        let text: String = answered.text.chars().take(256).collect();
        Some(v1::Quote { sender: answered.sender, kind: answered.kind, text, deleted: answered.deleted })
    }

    /// The event that this row is, as it is told when it happens. An edit shows the message; its quote and that of an
    /// answer may be older by a read.
    pub(crate) fn live(&self, key: &ConversationKey, seq: Seq) -> v1::Event {
        let row = &self.entries[seq as usize].row;
        let id = |target: Seq| format!("{}.{target}", key.conversation);
        let (by, time_ms) = (row.sender().to_owned(), row.time_ms);
        let body = match row.kind {
            EDIT => Body::Updated(self.shown(key, target(row).expect("an edit"), seq, None)),
            DELETE => {
                let id = id(target(row).expect("a deletion"));
                Body::Deleted(v1::MessageDeleted { id, by, time_ms })
            }
            REACT => {
                let form::React { target, emoji, removed, count } =
                    form::React::decode(row.body.clone()).expect("an emoji");
                Body::Reacted(v1::Reacted { id: id(target), user: by, emoji, removed, count, time_ms })
            }
            _ => return event(key, seq, row),
        };
        v1::Event { conversation: key.conversation.to_string(), seq, body: Some(body) }
    }
}

/// The messages that events change, each with the numbers of those events.
pub(crate) type Annotations = BTreeMap<Seq, Vec<Seq>>;
