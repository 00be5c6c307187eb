//! What lists of users may say at any time, and what they have to once everything is quiet: as much as the listing rows.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_cluster::home::{Decision, HomeAsk, ListedNow};
use switchyard_cluster::link::{Answer, Refusal};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1::{self, reply};

use super::Oracle;
use crate::ask::{Asked, What};
use crate::clients::tenant;

/// When something was asked: at which step, and which conversations were known to be erased by then.
type When = (u64, BTreeSet<ConversationId>);

/// What was asked of homes, and what edges were told by them.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    asked: BTreeMap<(u64, u64), (UserId, HomeAsk, When)>,
    /// Conversations of which somebody was told that they are erased.
    pub(super) gone: BTreeSet<ConversationId>,
    /// What each user was last told to have unread in all.
    totals: BTreeMap<UserId, v1::UnreadCounts>,
    /// Sessions that want all, by edge and user.
    watching: BTreeMap<(EdgeId, UserId), BTreeSet<u64>>,
    /// What those edges know.
    views: BTreeMap<(EdgeId, UserId), BTreeSet<ConversationId>>,
    /// Each user's last whole list.
    lists: BTreeMap<UserId, BTreeSet<ConversationId>>,
    /// Each user's last whole list of what is archived.
    pub(super) archived: BTreeMap<UserId, BTreeSet<ConversationId>>,
    /// Each user's last whole page of blocks.
    pub(super) blocks: BTreeMap<UserId, BTreeSet<UserId>>,
}

impl Homes {
    /// A session asks.
    pub(crate) fn ask(&mut self, from: Asker, user: &UserId, ask: HomeAsk, step: u64) {
        if ask == HomeAsk::Watch {
            self.watching.entry((from.edge, user.clone())).or_default().insert(from.session);
        }
        self.asked.insert((from.session, from.request), (user.clone(), ask, (step, self.gone.clone())));
    }

    /// What each user was last told to have unread in all.
    pub(super) fn totals(&self) -> impl Iterator<Item = (&UserId, &v1::UnreadCounts)> {
        self.totals.iter()
    }

    /// A session is gone. True: its edge is to say that nobody there wants all any more.
    pub(crate) fn closed(&mut self, edge: EdgeId, user: &UserId, session: u64) -> bool {
        let place = (edge, user.clone());
        let Some(sessions) = self.watching.get_mut(&place) else { return false };
        let last = sessions.remove(&session) && sessions.is_empty();
        if last {
            self.watching.remove(&place);
            self.views.remove(&place);
        }
        last
    }

    /// The process was killed.
    pub(crate) fn crash(&mut self) {
        *self = Self { gone: std::mem::take(&mut self.gone), ..Self::default() };
    }
}

impl Oracle {
    /// Takes an answer of a home; false if it is none.
    pub(super) fn home_answer(&mut self, to: Asker, answer: &Answer) -> bool {
        let asked = self.homes.asked.remove(&(to.session, to.request));
        let Some((user, ask, (step, gone))) = asked else { return false };
        match (answer, ask) {
            (Answer::Refused(refusal), HomeAsk::Decide(decision)) => {
                self.blocks.answered(&user, &decision, (step, false), self.clock);
                self.undecided(&user, &decision, refusal);
            }
            (Answer::Refused(_), _) => self.saw("list refused"),
            (Answer::Result(_), HomeAsk::Roles { .. }) => self.saw("roles told"),
            (Answer::Result(result), HomeAsk::Decide(decision)) if matches!(**result, reply::Result::Done(_)) => {
                self.blocks.answered(&user, &decision, (step, true), self.clock);
                if let Decision::Block(other) = &decision
                    && self.blocks.is_held(&user, other)
                {
                    self.nobody_watches(&user, other);
                }
                self.saw(match decision {
                    Decision::Block(_) => "blocked",
                    Decision::Unblock(_) => "unblocked",
                    Decision::Archive(_) => "archived",
                    Decision::Unarchive(_) => "unarchived",
                });
            }
            (Answer::Result(result), HomeAsk::Blocks(ask)) => match &**result {
                reply::Result::Blocks(page) if page.users.len() <= ask.limit && ask.after.is_none() && !page.more => {
                    let users = page.users.iter().map(|name| crate::timeline::user(name)).collect();
                    self.homes.blocks.insert(user, users);
                }
                reply::Result::Blocks(page) if page.users.len() <= ask.limit => {}
                other => self.violate(format!("{user} asked for blocks and got {other:?}")),
            },
            (Answer::Watching(watching), HomeAsk::Watch) => {
                self.saw("watching");
                let place = (to.edge, user);
                if self.homes.watching.contains_key(&place) {
                    self.homes.views.insert(place, watching.conversations.iter().copied().collect());
                }
            }
            (Answer::Result(result), HomeAsk::List(ask)) => match &**result {
                reply::Result::Listed(page) if page.conversations.len() <= ask.limit => {
                    for entry in page.conversations.iter().filter_map(|entry| entry.conversation.as_ref()) {
                        if gone.iter().any(|gone| gone.to_string() == entry.id) {
                            self.violate(format!("{user} is shown {entry:?}, which was erased before they asked"));
                        }
                    }
                    self.list(&user, page, ask.filter.archived);
                }
                other => self.violate(format!("{user} asked for a list and got {other:?}")),
            },
            (Answer::Result(result), HomeAsk::Unread) => match &**result {
                reply::Result::Unread(counts) => {
                    self.saw("unread in all");
                    self.homes.totals.insert(user, counts.clone());
                }
                other => self.violate(format!("{user} asked for a total and got {other:?}")),
            },
            (other, ask) => self.violate(format!("{user} asked {ask:?} and got {other:?}")),
        }
        true
    }

    /// A decision was refused.
    fn undecided(&mut self, user: &UserId, decision: &Decision, refusal: &Refusal) {
        let just = match refusal.code {
            ErrorCode::NotFound => matches!(decision, Decision::Archive(_) | Decision::Unarchive(_)),
            ErrorCode::Overloaded | ErrorCode::UnknownOutcome | ErrorCode::Internal => true,
            _ => false,
        };
        self.saw("undecided");
        if !just {
            self.violate(format!("{user} asked for {decision:?} and got {refusal:?}"));
        }
    }

    fn list(&mut self, user: &UserId, page: &v1::Listed, archived: bool) {
        self.saw("list");
        let order: Vec<u64> = page.conversations.iter().map(|entry| entry.activity_ms).collect();
        if !order.is_sorted_by(|a, b| a >= b) {
            self.violate(format!("a list of {user} is not in order: {order:?}"));
        }
        let ids: Vec<_> = page.conversations.iter().filter_map(|entry| self.entry_of(user, entry)).collect();
        let told = page.conversations.iter().filter_map(|entry| entry.conversation.as_ref());
        if told.into_iter().any(|detail| detail.archived != archived) {
            self.violate(format!("a list of {user} has what is archived where it should not: {page:?}"));
        }
        if !page.more {
            let lists = if archived { &mut self.homes.archived } else { &mut self.homes.lists };
            lists.insert(user.clone(), ids.into_iter().collect());
        }
    }

    /// Judges an entry; its conversation.
    fn entry_of(&mut self, user: &UserId, entry: &v1::Listing) -> Option<ConversationId> {
        let id = entry.conversation.as_ref().and_then(|it| ConversationId::parse(&it.id).ok());
        let (Some(conversation), Some(detail)) = (id, &entry.conversation) else {
            self.violate(format!("an entry without a conversation: {entry:?}"));
            return None;
        };
        let key = ConversationKey { tenant: tenant("t"), conversation };
        self.sync(&key);
        let (edge, user) = (EdgeId(0), user.clone());
        let asked = Asked { edge, key: key.clone(), user, what: What::Get, low: None, handed: 1 };
        for problem in self.detail(&asked, Some(detail)) {
            self.violate(format!("in the list of {}: {problem}: {entry:?}", asked.user));
        }
        let is_message = |seq: &u64| self.entry(&key, *seq).is_some_and(|entry| entry.is_message());
        let newest = (detail.first_available..=detail.head).rev().find(is_message);
        let last = entry.last.as_ref();
        if last.map(|last| last.seq) != newest || last.is_some_and(|last| !self.is_shown(&asked, last)) {
            self.violate(format!("the last message of {entry:?} should be {newest:?}"));
        }
        Some(conversation)
    }

    /// A home tells an edge.
    pub(super) fn home_tells(&mut self, edge: EdgeId, now: &ListedNow) {
        let user = now.home.user.clone();
        self.saw(match &now.entry {
            Some(_) if now.changed => "shown otherwise",
            Some(_) => "came",
            None => "went",
        });
        if let Some(entry) = &now.entry
            && self.entry_of(&user, entry) != Some(now.conversation)
        {
            self.violate(format!("{user} is told of another conversation: {now:?}"));
        }
        if let Some(view) = self.homes.views.get_mut(&(edge, user)) {
            if now.entry.is_some() {
                view.insert(now.conversation);
            } else {
                view.remove(&now.conversation);
            }
        }
    }

    /// Every user has asked for a list since everything became quiet: lists, and what edges know, are the rows.
    pub(crate) fn homes_are_rows(&mut self) {
        let rows = |user: &UserId| -> BTreeSet<ConversationId> {
            let inner = self.disk.inner();
            let of_user = inner
                .members
                .iter()
                .filter(|((key, member), (_, value))| key.tenant == tenant("t") && member == user && value.is_some());
            of_user.map(|((key, _), _)| key.conversation).collect()
        };
        let mut wrong = Vec::new();
        for (user, list) in &self.homes.lists {
            let Some(archived) = self.homes.archived.get(user) else { continue };
            let list: BTreeSet<_> = list.union(archived).copied().collect();
            if list != rows(user) {
                wrong.push(format!("the list of {user} is {list:?}, its rows are {:?}", rows(user)));
            }
        }
        for ((edge, user), view) in &self.homes.views {
            if *view != rows(user) {
                wrong.push(format!("{edge:?} knows {view:?} of {user}, the rows are {:?}", rows(user)));
            }
        }
        if !self.homes.asked.is_empty() {
            wrong.push(format!("homes never answered {:?}", self.homes.asked));
        }
        self.violations.extend(wrong);
    }

    /// Every conversation was loaded and every user has asked for a list: lists are the memberships.
    pub(crate) fn lists_are_memberships(&mut self, keys: &[ConversationKey]) {
        let lists: Vec<_> = self.homes.lists.iter().map(|(user, list)| (user.clone(), list.clone())).collect();
        for (user, mut list) in lists {
            list.extend(self.homes.archived.get(&user).into_iter().flatten());
            let own = keys.iter().filter(|key| self.is_member(key, &user)).map(|key| key.conversation);
            let own: BTreeSet<_> = own.collect();
            if list != own {
                self.violate(format!("the list of {user} is {list:?}, and not {own:?}"));
            }
        }
    }
}
