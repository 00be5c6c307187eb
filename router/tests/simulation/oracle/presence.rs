//! What edges may be told of who is online at any time, and what they have to know once everything is quiet: the truth.

use std::collections::{BTreeMap, BTreeSet};

use switchyard_cluster::home::Home;
use switchyard_cluster::link::{Answer, Asker, EdgeId};
use switchyard_cluster::presence::{PresenceNow, Seen};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};

use super::Oracle;

/// Changes of a user are told to an edge no more often.
const TELL_EVERY_US: u64 = 1_000_000;

/// What is known of one user at one edge.
#[derive(Debug, Default)]
struct View {
    sessions: BTreeSet<u64>,
    latest: Option<Seen>,
    told_us: Option<u64>,
}

/// What is true, and what edges were told.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Sessions of each user as the machine has heard of them, and when the last one ended.
    sessions: BTreeMap<ConversationKey, (i64, u64)>,
    views: BTreeMap<(EdgeId, ConversationKey), (Home, View)>,
    asked: BTreeMap<(u64, u64), (Home, bool)>,
    turns: BTreeMap<EdgeId, u64>,
    /// Whom no session of an edge watches any more since it was refused.
    over: Vec<(EdgeId, Home)>,
}

impl Presence {
    /// A session asks; returns the turn. `may`: whether it may watch, if that is certain.
    pub(crate) fn ask(&mut self, from: Asker, home: &Home, may: bool) -> u64 {
        let place = (from.edge, home.key.clone());
        let (_, view) = self.views.entry(place).or_insert_with(|| (home.clone(), View::default()));
        view.sessions.insert(from.session);
        self.asked.insert((from.session, from.request), (home.clone(), may));
        let turn = self.turns.entry(from.edge).or_default();
        *turn += 1;
        *turn
    }

    /// A session is gone. Returns whom nobody on its edge watches any more, with the turn up to which that is over.
    pub(crate) fn closed(&mut self, edge: EdgeId, session: u64) -> Vec<(Home, u64)> {
        let turn = self.turns.get(&edge).copied().unwrap_or_default();
        let mut over = Vec::new();
        self.views.retain(|(of, _), (home, view)| {
            let last = *of == edge && view.sessions.remove(&session) && view.sessions.is_empty();
            if last {
                over.push((home.clone(), turn));
            }
            !last
        });
        over
    }

    /// Whether an edge was told of somebody whom nobody there watches: then the turn up to which that is over.
    pub(crate) fn unwanted(&self, edge: EdgeId, now: &PresenceNow) -> Option<u64> {
        let wanted = self.views.contains_key(&(edge, now.key.clone()));
        (!wanted).then(|| self.turns.get(&edge).copied().unwrap_or_default())
    }

    /// Whom edges watch no more since a session was refused, with the turn up to which that is over.
    pub(crate) fn take_over(&mut self) -> Vec<(EdgeId, Home, u64)> {
        let turn = |edge: &EdgeId| self.turns.get(edge).copied().unwrap_or_default();
        std::mem::take(&mut self.over).into_iter().map(|(edge, home)| (edge, home, turn(&edge))).collect()
    }

    /// The machine hears of sessions.
    pub(super) fn count(&mut self, home: &ConversationKey, change: i32, now_us: u64) {
        let (count, ended_us) = self.sessions.entry(home.clone()).or_default();
        *count += i64::from(change);
        if *count == 0 {
            *ended_us = now_us;
        }
    }

    /// The process was killed.
    pub(super) fn crash(&mut self) {
        *self = Self::default();
    }
}

impl Oracle {
    /// Whether these two are surely members of this conversation, and nothing else may come of it.
    pub(crate) fn may_watch(&self, key: &ConversationKey, asker: &UserId, watched: &UserId) -> bool {
        self.is_member(key, asker) && self.is_member(key, watched)
    }

    /// Takes an answer to a session that watches; false if it is none.
    pub(super) fn watch_answer(&mut self, to: Asker, answer: &Answer) -> bool {
        let Some((home, may)) = self.presence.asked.remove(&(to.session, to.request)) else { return false };
        let place = (to.edge, home.key.clone());
        match answer {
            Answer::Presence(now) if now.key == home.key => {
                self.saw("watched");
                if let Some((_, view)) = self.presence.views.get_mut(&place) {
                    view.latest = Some(now.seen.clone());
                }
            }
            Answer::Refused(refusal) => {
                self.saw("not watched");
                if may && refusal.code == ErrorCode::BadRequest {
                    self.violate(format!("{} may be watched, and is not: {refusal:?}", home.user));
                }
                if let Some((_, view)) = self.presence.views.get_mut(&place) {
                    view.sessions.remove(&to.session);
                    if view.sessions.is_empty() {
                        self.presence.views.remove(&place);
                        self.presence.over.push((to.edge, home));
                    }
                }
            }
            other => self.violate(format!("{} was to be watched: {other:?}", home.user)),
        }
        true
    }

    /// A home tells an edge.
    pub(super) fn presence_told(&mut self, edge: EdgeId, now: &PresenceNow) {
        let Seen::User { user, online, .. } = &now.seen else { return };
        self.saw(if *online { "online" } else { "offline" });
        let (count, ended_us) = self.presence.sessions.get(&now.key).copied().unwrap_or_default();
        let lasts = u64::try_from(self.config.offline_after.as_micros()).unwrap_or(u64::MAX);
        let (now_us, mut wrong) = (self.now_us, Vec::new());
        if !online && (count > 0 || now_us < ended_us + lasts) {
            wrong.push(format!("{user} is told to have gone with {count} sessions, the last ended at {ended_us}"));
        }
        if *online && count <= 0 && now_us > ended_us + lasts + TELL_EVERY_US {
            wrong.push(format!("{user} is told to be there, the last session ended at {ended_us}"));
        }
        if let Some((_, view)) = self.presence.views.get_mut(&(edge, now.key.clone())) {
            if view.told_us.is_some_and(|told| now_us < told + TELL_EVERY_US) {
                wrong.push(format!("{user} is told of twice within a second"));
            }
            if view.told_us.is_some() && view.latest.as_ref() == Some(&now.seen) {
                wrong.push(format!("{user} is told of twice in the same way"));
            }
            (view.told_us, view.latest) = (Some(now_us), Some(now.seen.clone()));
        }
        self.violations.extend(wrong);
    }

    /// Everything is quiet: what edges know is the truth.
    pub(crate) fn presence_is_true(&mut self) {
        let mut wrong = Vec::new();
        for ((edge, key), (home, view)) in &self.presence.views {
            let there = self.presence.sessions.get(key).is_some_and(|(count, _)| *count > 0);
            match &view.latest {
                Some(Seen::User { online, .. }) if *online == there => {}
                other => wrong.push(format!("{edge:?} knows {other:?} of {}, who is there: {there}", home.user)),
            }
        }
        if !self.presence.asked.is_empty() {
            wrong.push(format!("never answered: {:?}", self.presence.asked));
        }
        self.violations.extend(wrong);
    }
}
