//! What a home shows of its own decisions: whom its user has blocked, and what of a list is archived.
//!
//! What is archived says a number of the conversation, the newest that the home knew of its user there. Whoever left and joined
//! again joined above it, and has it in the list as anybody who joins. So leaving needs no word in the home's log.

use std::collections::BTreeMap;
use std::ops::Bound;

use switchyard_cluster::home::BlocksAsk;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1::{self, reply};
use switchyard_store::Seq;

use super::log::OwnLog;
use super::rows::{Change, Rows};
use super::{Homes, Kept};
use crate::decided::Decided;
use crate::machine::{Effect, succeed};

/// What was read of a home.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct HomeRead {
    /// The user's conversations, each with the number of the event that says so.
    pub rows: Vec<(ConversationId, Seq)>,
    /// The numbers with which the user joined, but for founders.
    pub joined: BTreeMap<ConversationId, Seq>,
    /// What the user has decided, if it was asked for.
    pub decided: Option<Decided>,
    /// Users whom events are about whose rows were written only now: their conversations may not know.
    pub replayed: Vec<UserId>,
}

impl OwnLog {
    /// A page of those whom the user has blocked.
    pub(super) fn answer_blocks(&self, to: Asker, ask: &BlocksAsk, out: &mut Vec<Effect>) {
        let from = ask.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.decided.blocked.range::<UserId, _>((from, Bound::Unbounded));
        let users = rest.by_ref().take(ask.limit).map(UserId::to_string).collect();
        let page = v1::BlockPage { users, more: rest.next().is_some() };
        succeed(to, reply::Result::Blocks(page), out);
    }
}

impl Kept {
    /// Whether nothing is being decided.
    pub(super) fn is_log_idle(&self) -> bool {
        self.own.as_ref().is_none_or(|own| own.is_idle())
    }

    /// Says in an entry of a list whether it is archived.
    pub(super) fn mark_archived(&self, entry: &mut v1::Listing) {
        let Some(detail) = &mut entry.conversation else { return };
        let id = ConversationId::parse(&detail.id).ok();
        let archived = self.own.as_ref().map(|own| &own.decided.archived);
        detail.archived = id.zip(archived).is_some_and(|(id, archived)| archived.contains_key(&id));
    }

    /// Who goes, or comes anew, has nothing archived there.
    pub(super) fn end_archived(&mut self, change: Change) {
        if let (Change::Came(conversation) | Change::Went(conversation), Some(own)) = (change, &mut self.own) {
            own.decided.archived.remove(&conversation);
        }
    }

    /// The rows were read: archived is what its user is in, and was in when it was archived.
    pub(super) fn keep_archived(&mut self, rows: &Rows, joined: &BTreeMap<ConversationId, Seq>) {
        if let Some(own) = &mut self.own {
            own.decided.archived.retain(|conversation, since| {
                rows.has(*conversation) && joined.get(conversation).is_none_or(|joined| joined <= since)
            });
        }
    }
}

impl Homes {
    /// Conversations are shown otherwise by lists: that is told to the user's sessions.
    pub(super) fn show_changed(
        &mut self,
        now: Now,
        key: &ConversationKey,
        conversations: impl IntoIterator<Item = ConversationId>,
        out: &mut Vec<Effect>,
    ) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        for conversation in conversations {
            if !kept.edges.is_empty() && !kept.changed.contains(&conversation) {
                kept.changed.push_back(conversation);
            }
        }
        self.announce(now, key, out);
    }
}
