//! What rows say: the kinds of stored events and the form of their bodies; those that change an earlier message are in
//! `annotation.rs`. This form has a life of its own, apart from
//! the live protocol's: a stored field is never renumbered, and a reader skips what it does not know.

use bytes::Bytes;
use switchyard_protocol::id::UserId;
use switchyard_protocol::v1;

/// What a row is. Numbers are for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum RowKind {
    /// Row 0 of every conversation: how it began.
    Founding = 1,
    /// Members came, went or got another role.
    Members = 2,
    /// Name, avatar or context changed, it was closed or reopened, accepted or declined, or a message was pinned or unpinned.
    Change = 3,
    /// A message got another text.
    Edit = 4,
    /// A message was deleted.
    Delete = 5,
    /// A user gave a message an emoji, or took it away.
    React = 6,
    /// The conversation was erased for all: its last event.
    Erase = 7,
    /// A message whose body is its text; its kind is this number plus that of `v1::MessageKind`.
    Message = 16,
    /// A message whose body is a [`RichBody`]; its kind likewise.
    RichMessage = 32,
    /// In the log of a user's home: what that user decided.
    Home = 64,
}

const MESSAGE_KINDS: u32 = 16;

impl RowKind {
    /// The number of a message row of this kind, rich or not.
    pub(crate) fn of_message(kind: v1::MessageKind, rich: bool) -> u32 {
        let form = if rich { Self::RichMessage } else { Self::Message };
        form as u32 + kind as u32
    }

    /// Whether it is a message's.
    pub(crate) fn is_message(self) -> bool {
        matches!(self, Self::Message | Self::RichMessage)
    }

    /// What the row with this number is, and the message's kind if it is one.
    pub(crate) fn parse(number: u32) -> Option<(Self, v1::MessageKind)> {
        let plain = |kind| Some((kind, v1::MessageKind::Text));
        let message = |form: Self| {
            let kind = v1::MessageKind::try_from(i32::try_from(number - form as u32).ok()?).ok()?;
            Some((form, kind))
        };
        match number {
            64 => plain(Self::Home),
            1 => plain(Self::Founding),
            2 => plain(Self::Members),
            3 => plain(Self::Change),
            4 => plain(Self::Edit),
            5 => plain(Self::Delete),
            6 => plain(Self::React),
            7 => plain(Self::Erase),
            n if (16..16 + MESSAGE_KINDS).contains(&n) => message(Self::Message),
            n if (32..32 + MESSAGE_KINDS).contains(&n) => message(Self::RichMessage),
            _ => None,
        }
    }
}

/// Whether a row with this number is a message that counts: one of people's, which takes the next ordinal.
pub(crate) fn counts(number: u32) -> bool {
    RowKind::parse(number).is_some_and(|(kind, message)| kind.is_message() && message != v1::MessageKind::System)
}

/// A member as stored, in events and in the member projection.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct StoredMember {
    #[prost(string, tag = "1")]
    pub(crate) user: String,
    #[prost(enumeration = "v1::Role", tag = "2")]
    pub(crate) role: i32,
}

/// Body of [`RowKind::Founding`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Founding {
    #[prost(enumeration = "v1::ConversationKind", tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, repeated, tag = "2")]
    pub(crate) members: Vec<StoredMember>,
    #[prost(string, optional, tag = "3")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) avatar: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) context: Option<String>,
    /// An internal one of two, for good.
    #[prost(bool, tag = "15")]
    pub(crate) pair: bool,
    /// A direct conversation that the row's sender asks the other one for.
    #[prost(bool, tag = "6")]
    pub(crate) requested: bool,
}

/// Body of [`RowKind::Members`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct MembersEvent {
    #[prost(message, repeated, tag = "1")]
    pub(crate) added: Vec<StoredMember>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) removed: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) promoted: Vec<StoredMember>,
}

impl MembersEvent {
    /// Everybody whom it touched.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        let members = self.added.iter().chain(&self.promoted).map(|member| &*member.user);
        members.chain(self.removed.iter().map(String::as_str))
    }
}

/// Body of [`RowKind::Change`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChangeEvent {
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
    /// Whether the request that it was is accepted, or declined.
    #[prost(bool, optional, tag = "7")]
    pub(crate) accepted: Option<bool>,
}

/// Body of [`RowKind::Erase`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct EraseEvent {
    /// Something of the conversation may be left. Once nothing is, the row is written over without this.
    #[prost(bool, tag = "1")]
    pub(crate) left: bool,
}

/// Body of [`RowKind::RichMessage`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RichBody {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    /// The number of the message that it answers.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) reply_to: Option<u64>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) mentions: Vec<String>,
}

/// The projection of a conversation: what its founding and changes come to.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ConversationRecord {
    #[prost(enumeration = "v1::ConversationKind", tag = "1")]
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
    /// Numbers of the pinned messages.
    #[prost(uint64, repeated, tag = "8")]
    pub(crate) pins: Vec<u64>,
    /// Whether any of its messages was ever changed: there may be overlays.
    #[prost(bool, tag = "9")]
    pub(crate) annotated: bool,
    /// Deleted messages that somebody may not have read, in order.
    #[prost(uint64, repeated, tag = "11")]
    pub(crate) deleted: Vec<u64>,
    /// The marks that follow from the log up to it are stored. An older version wrote none.
    #[prost(bool, tag = "10")]
    pub(crate) marked: bool,
    /// As in [`Founding`].
    #[prost(bool, tag = "20")]
    pub(crate) pair: bool,
    /// It was erased. Whether something is left of it, its last row says.
    #[prost(bool, tag = "12")]
    pub(crate) erased: bool,
    #[prost(enumeration = "StoredApproval", tag = "13")]
    pub(crate) approval: i32,
    /// Who asked for it, if it was a request.
    #[prost(string, optional, tag = "14")]
    pub(crate) requested_by: Option<String>,
    /// The event with which the list of members began that counts; 0 for the first one. Which one counted before, and how many
    /// have left since.
    #[prost(uint64, tag = "15")]
    pub(crate) listed_since: u64,
    #[prost(uint64, optional, tag = "16")]
    pub(crate) listed_before: Option<u64>,
    #[prost(uint64, tag = "17")]
    pub(crate) left: u64,
    /// How many are there, as the events say. An older version did not count.
    #[prost(uint64, optional, tag = "18")]
    pub(crate) present: Option<u64>,
    /// Who is there, if they are few: then nobody reads their rows.
    #[prost(message, optional, tag = "19")]
    pub(crate) few: Option<Few>,
}

/// So many members at most are in the record itself: both of two, for there are more conversations of two than of any other
/// number. A record is written often, so it is to stay small.
pub(crate) const FEW_MAX: usize = 2;

/// All members of a conversation that has few.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Few {
    #[prost(message, repeated, tag = "1")]
    pub(crate) members: Vec<FewMember>,
}

/// One of them: as in [`MemberRecord`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FewMember {
    #[prost(string, tag = "1")]
    pub(crate) user: String,
    #[prost(message, required, tag = "2")]
    pub(crate) record: MemberRecord,
}

/// How a direct conversation stands that one of the two began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
pub(crate) enum StoredApproval {
    /// Both want it, or it was never a request.
    Open = 0,
    /// The other one has not answered.
    Pending = 1,
    /// The other one does not want it.
    Declined = 2,
}

/// The projection of a member.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct MemberRecord {
    #[prost(enumeration = "v1::Role", tag = "1")]
    pub(crate) role: i32,
    #[prost(uint64, tag = "2")]
    pub(crate) joined: u64,
}

/// What is stored beside a member's read mark.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReadMark {
    /// How many messages that count there are up to it.
    #[prost(uint64, tag = "1")]
    pub(crate) ordinal: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) ms: u64,
    /// Its newest moves, oldest first.
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) step_reads: Vec<u64>,
    /// When each was.
    #[prost(uint64, repeated, tag = "4")]
    pub(crate) step_ms: Vec<u64>,
    /// There were none before.
    #[prost(bool, tag = "5")]
    pub(crate) complete: bool,
}

/// What is stored beside a mark of what was delivered.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DeliveredMark {
    #[prost(uint64, tag = "2")]
    pub(crate) ms: u64,
}

/// A user id from a stored text; stored ones were checked when they came in.
pub(crate) fn stored_user(text: &str) -> Option<UserId> {
    UserId::new(text).ok()
}

/// The bytes of a body or record.
pub(crate) fn encode(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}

/// Reads a body or record; `None` if it is not one.
pub(crate) fn decode<T: prost::Message + Default>(bytes: &Bytes) -> Option<T> {
    T::decode(bytes.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_kind_has_a_row_number_of_its_own() {
        for kind in 0..6 {
            let kind = v1::MessageKind::try_from(kind).expect("six kinds");
            assert_eq!(RowKind::parse(RowKind::of_message(kind, false)), Some((RowKind::Message, kind)));
            assert_eq!(RowKind::parse(RowKind::of_message(kind, true)), Some((RowKind::RichMessage, kind)));
        }
        for unknown in [0, 8, 15, 22, 31, 38, 48] {
            assert_eq!(RowKind::parse(unknown), None);
        }
    }

    #[test]
    fn bodies_are_read_back() {
        let founding = Founding { kind: 1, name: Some("n".into()), ..Founding::default() };
        assert_eq!(decode::<Founding>(&encode(&founding)), Some(founding));
        assert_eq!(decode::<Founding>(&Bytes::from_static(b"\xff")), None);
    }
}
