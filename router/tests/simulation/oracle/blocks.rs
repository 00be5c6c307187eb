//! Who may have blocked whom at any time, by what was asked and answered; and, once everything is quiet, by the homes' logs.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use switchyard_cluster::home::Decision;
use switchyard_cluster::party::Home;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::v1::{self, ConversationKind};
use switchyard_store::{Row, Seq};

use super::Oracle;
use crate::ask::{Asked, What};
use crate::clients::{USERS, sessions, tenant};
use crate::disk::HOME;
use crate::timeline::user;

/// The stored forms, as documented.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Event {
    #[prost(string, optional, tag = "1")]
    blocked: Option<String>,
    #[prost(string, optional, tag = "2")]
    unblocked: Option<String>,
    #[prost(bytes = "vec", optional, tag = "3")]
    archived: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    unarchived: Option<Vec<u8>>,
    #[prost(uint64, tag = "5")]
    since: u64,
}

/// What is known of one user who may have blocked another one.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Blocked for certain, since the judge's clock stood there.
    held: Option<u64>,
    /// Not blocked for certain, since then.
    clear: Option<u64>,
    /// The last step at which each was asked for.
    blocked: u64,
    unblocked: u64,
    /// How many of each are not answered, and may arrive in another order than they were asked.
    blocking: u64,
    unblocking: u64,
}

impl Default for Way {
    fn default() -> Self {
        Self { held: None, clear: Some(0), blocked: 0, unblocked: 0, blocking: 0, unblocking: 0 }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    ways: BTreeMap<(UserId, UserId), Way>,
    steps: u64,
}

impl Blocks {
    /// Somebody asks for something; the step, to be given back with the answer.
    pub(crate) fn asked(&mut self, by: &UserId, decision: &Decision) -> u64 {
        self.steps += 1;
        match decision {
            Decision::Block(of) => {
                let way = self.ways.entry((by.clone(), of.clone())).or_default();
                (way.clear, way.blocked) = (None, self.steps);
                way.blocking += 1;
            }
            Decision::Unblock(of) => {
                let way = self.ways.entry((by.clone(), of.clone())).or_default();
                (way.held, way.unblocked) = (None, self.steps);
                way.unblocking += 1;
            }
            Decision::Archive(_) | Decision::Unarchive(_) => {}
        }
        self.steps
    }

    /// The process was killed: nothing is under way any more.
    pub(super) fn crash(&mut self) {
        for way in self.ways.values_mut() {
            (way.blocking, way.unblocking) = (0, 0);
        }
    }

    /// It was answered, as done or not.
    pub(super) fn answered(&mut self, by: &UserId, decision: &Decision, (asked, done): (u64, bool), clock: u64) {
        match decision {
            Decision::Block(of) => {
                let way = self.ways.entry((by.clone(), of.clone())).or_default();
                way.blocking = way.blocking.saturating_sub(1);
                let undone = way.unblocked > asked || way.unblocking > 0;
                if done && !undone && way.held.is_none() {
                    way.held = Some(clock);
                }
            }
            Decision::Unblock(of) => {
                let way = self.ways.entry((by.clone(), of.clone())).or_default();
                way.unblocking = way.unblocking.saturating_sub(1);
                let undone = way.blocked > asked || way.blocking > 0;
                if done && !undone && way.clear.is_none() {
                    way.clear = Some(clock);
                }
            }
            Decision::Archive(_) | Decision::Unarchive(_) => {}
        }
    }

    fn way(&self, by: &UserId, of: &UserId) -> Way {
        self.ways.get(&(by.clone(), of.clone())).copied().unwrap_or_default()
    }

    /// Whether it is certain that this user had blocked that one before the clock stood there, and has still.
    fn holds(&self, by: &UserId, of: &UserId, clock: u64) -> bool {
        self.way(by, of).held.is_some_and(|held| held < clock)
    }

    /// Whether this user may have blocked that one at some time since the clock stood there.
    fn may_hold(&self, by: &UserId, of: &UserId, clock: u64) -> bool {
        self.way(by, of).clear.is_none_or(|clear| clear >= clock)
    }

    /// Whether somebody has blocked that one for certain; for those who choose what to do.
    pub(crate) fn is_held(&self, by: &UserId, of: &UserId) -> bool {
        self.way(by, of).held.is_some()
    }
}

/// The home of a user of the runs.
fn home(user: &UserId) -> Home {
    Home { key: ConversationKey::home(&tenant("t"), user), user: user.clone() }
}

/// Whether such a conversation is between two for good.
fn is_of_two(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Direct | ConversationKind::CustomerSeller)
}

/// Whether this is the key of a home.
pub(super) fn is_home(key: &ConversationKey) -> bool {
    sessions().iter().any(|session| home(&session.user).key == *key)
}

impl Oracle {
    /// The other one of a conversation of two.
    pub(super) fn peer(&self, key: &ConversationKey, user: &UserId) -> Option<UserId> {
        let entry = self.entry(key, 0).filter(|entry| entry.direct() && entry.role(user).is_some())?;
        entry.members.keys().find(|other| *other != user).cloned()
    }

    /// Whether it is certain that one of these two had blocked the other before the clock stood there, and has still.
    pub(super) fn apart(&self, a: &UserId, b: &UserId, clock: u64) -> bool {
        self.blocks.holds(a, b, clock) || self.blocks.holds(b, a, clock)
    }

    /// Whether one of these two may have blocked the other at some time since the clock stood there.
    pub(super) fn may_be_apart(&self, a: &UserId, b: &UserId, clock: u64) -> bool {
        self.blocks.may_hold(a, b, clock) || self.blocks.may_hold(b, a, clock)
    }

    /// A message was stored, and is acknowledged only now.
    pub(super) fn blocked_send(&self, asked: &Asked) -> bool {
        let now = self.clock + 1;
        self.peer(&asked.key, &asked.user).is_some_and(|peer| self.apart(&asked.user, &peer, now))
    }

    /// Whether a block forbids this, as far as anybody can tell.
    pub(super) fn just_blocked(&mut self, asked: &Asked) -> bool {
        let may = |by: &UserId, of: &UserId| self.blocks.may_hold(by, of, asked.handed);
        let (just, what) = match &asked.what {
            What::Create(create) => {
                let direct = is_of_two(create.kind);
                let others = create.members.iter().filter(|user| **user != asked.user);
                let mut others = others.filter(|other| may(other, &asked.user) || direct && may(&asked.user, other));
                (others.next().is_some(), "not invited")
            }
            What::Add(users) => (users.iter().any(|other| may(other, &asked.user)), "not invited"),
            What::Send(_) | What::Annotate(_) | What::Pin { .. } | What::Close | What::Reopen | What::Typing => {
                let peer = self.peer(&asked.key, &asked.user);
                let just = peer.is_some_and(|peer| may(&asked.user, &peer) || may(&peer, &asked.user));
                (just, "refused as blocked")
            }
            _ => (false, ""),
        };
        if just {
            self.saw(what);
        }
        just
    }

    /// Others were brought into a conversation although one of them had blocked the asker before.
    pub(super) fn forced(&self, asked: &Asked) -> bool {
        let holds = |by: &UserId, of: &UserId| self.blocks.holds(by, of, asked.handed);
        match &asked.what {
            What::Create(create) => {
                let direct = is_of_two(create.kind);
                let mut others = create.members.iter().filter(|user| **user != asked.user);
                others.any(|other| holds(other, &asked.user) || direct && holds(&asked.user, other))
            }
            What::Add(users) => {
                // Those who were there already are not brought.
                let before = asked.low.and_then(|low| self.entry(&asked.key, low));
                let new = |user: &&UserId| before.is_none_or(|before| before.role(user).is_none());
                users.iter().filter(new).any(|other| holds(other, &asked.user))
            }
            _ => false,
        }
    }

    /// What a detail says of blocks, where that is certain.
    pub(super) fn blocked_as_told(&self, asked: &Asked, detail: &v1::Conversation) -> bool {
        let Some(peer) = self.peer(&asked.key, &asked.user) else { return !detail.blocked };
        if detail.blocked {
            self.blocks.may_hold(&asked.user, &peer, asked.handed)
        } else {
            !self.blocks.holds(&asked.user, &peer, asked.handed)
        }
    }

    /// A user's home's events, as they are stored.
    fn home_events(&self, home: &Home) -> Vec<Event> {
        let inner = self.disk.inner();
        let rows = inner.rows.get(&home.key).map(|rows| rows.blobs.clone()).unwrap_or_default();
        let decode = |(seq, blob): (usize, &bytes::Bytes)| {
            let row = Row::decode(&home.key, seq as Seq, blob).expect("it was checked when it was stored");
            assert_eq!((row.kind, row.sender()), (HOME, home.user.as_str()));
            Event::decode(row.body).expect("an event of a home")
        };
        rows.iter().enumerate().map(decode).collect()
    }

    /// Whom the log of a user's home says to be blocked.
    pub(crate) fn blocked_by(&self, by: &UserId) -> BTreeSet<UserId> {
        let mut blocked = BTreeSet::new();
        for event in self.home_events(&home(by)) {
            blocked.extend(event.blocked.map(|name| user(&name)));
            event.unblocked.iter().for_each(|name| {
                blocked.remove(&user(name));
            });
        }
        blocked
    }

    /// What the log of a user's home says to be archived, as far as the user has not gone since.
    fn archived_by(&self, by: &UserId) -> BTreeSet<ConversationId> {
        let mut archived = BTreeMap::new();
        let id = |bytes: Vec<u8>| ConversationId::from_bytes(bytes.try_into().expect("an id"));
        for event in self.home_events(&home(by)) {
            archived.extend(event.archived.map(|bytes| (id(bytes), event.since)));
            event.unarchived.into_iter().for_each(|bytes| {
                archived.remove(&id(bytes));
            });
        }
        let stays = |(conversation, since): &(ConversationId, Seq)| {
            let key = ConversationKey { tenant: tenant("t"), conversation: *conversation };
            let entry = self.timelines.get(&key).and_then(|timeline| timeline.entries.last());
            entry.and_then(|entry| entry.members.get(by)).is_some_and(|(_, joined)| joined <= since)
        };
        archived.into_iter().filter(stays).map(|(conversation, _)| conversation).collect()
    }

    /// Everything is quiet, every home was asked for its lists: what is known for certain is what the logs say, and so are the
    /// rows, and what was told.
    pub(crate) fn decisions_stand(&mut self) {
        let mut wrong = Vec::new();
        for ((by, of), way) in &self.blocks.ways {
            let blocked = self.blocked_by(by).contains(of);
            if blocked && way.clear.is_some() || !blocked && way.held.is_some() {
                wrong.push(format!("{by} has blocked {of}: {blocked} by the log, and {way:?} by what was answered"));
            }
        }
        for name in USERS {
            let home = home(&user(name));
            let inner = self.disk.inner();
            let of_home =
                inner.decisions.iter().filter(|(place, (_, value))| place.home == home.key && value.is_some());
            let rows: BTreeSet<_> = of_home.map(|(place, _)| (place.kind, place.about.to_vec())).collect();
            drop(inner);
            let blocked = self.blocked_by(&home.user);
            let is =
                |(kind, about): &(u8, Vec<u8>)| *kind != 0 || blocked.contains(&user(&String::from_utf8_lossy(about)));
            if rows.iter().filter(|(kind, _)| *kind == 0).count() != blocked.len() || !rows.iter().all(is) {
                wrong.push(format!("the rows of {name} are {rows:?}, the log says {blocked:?}"));
            }
        }
        for (by, told) in &self.homes.blocks {
            if *told != self.blocked_by(by) {
                wrong.push(format!("{by} was told {told:?}, the log says {:?}", self.blocked_by(by)));
            }
        }
        for (by, told) in &self.homes.archived {
            if *told != self.archived_by(by) {
                wrong.push(format!("{by} sees {told:?} archived, and has {:?}", self.archived_by(by)));
            }
        }
        self.violations.extend(wrong);
    }
}
