//! What edges may be told of who is online at any time, and what they have to know once everything is quiet: the truth.

use std::collections::BTreeMap;

use switchyard_cluster::link::Answer;
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{Parted, PresenceNow, Seen};
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationKey, UserId};

use super::Oracle;
use crate::timeline::Standing;

/// Changes of a user are told to an edge no more often.
const TELL_EVERY_US: u64 = 1_000_000;

/// What is known of one user at one edge.
#[derive(Debug, Default)]
struct View {
    /// With whose each is, if it watches by way of a conversation of two.
    sessions: BTreeMap<u64, Option<UserId>>,
    latest: Option<Seen>,
    told_us: Option<u64>,
}

/// A session asks to watch somebody.
#[derive(Clone, Debug)]
struct Question {
    home: Home,
    key: ConversationKey,
    by: UserId,
    /// It surely may, as far as members can tell.
    may: bool,
    /// It surely is no request.
    open: bool,
    /// When the machine took it in.
    handed: u64,
    /// The edge was told since that the two are apart.
    parted: bool,
}

/// What is true, and what edges were told.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Sessions of each user as the machine has heard of them, and when the last one ended.
    sessions: BTreeMap<ConversationKey, (i64, u64)>,
    views: BTreeMap<(EdgeId, ConversationKey), (Home, View)>,
    asked: BTreeMap<(u64, u64), Question>,
    turns: BTreeMap<EdgeId, u64>,
    /// Whom no session of an edge watches any more since it was refused.
    over: Vec<(EdgeId, Home)>,
}

impl Presence {
    /// A session asks; returns the turn.
    fn ask(&mut self, from: Asker, question: Question) -> u64 {
        let place = (from.edge, question.home.key.clone());
        let (_, view) = self.views.entry(place).or_insert_with(|| (question.home.clone(), View::default()));
        view.sessions.insert(from.session, None);
        self.asked.insert((from.session, from.request), question);
        let turn = self.turns.entry(from.edge).or_default();
        *turn += 1;
        *turn
    }

    /// The machine takes a question in.
    pub(super) fn hand(&mut self, from: Asker, clock: u64) {
        if let Some(question) = self.asked.get_mut(&(from.session, from.request)) {
            question.handed = clock;
        }
    }

    /// A session of this edge watches somebody no more.
    fn end(&mut self, edge: EdgeId, home: &ConversationKey, session: u64) {
        let place = (edge, home.clone());
        let Some((_, view)) = self.views.get_mut(&place) else { return };
        view.sessions.remove(&session);
        if view.sessions.is_empty()
            && let Some((home, _)) = self.views.remove(&place)
        {
            self.over.push((edge, home));
        }
    }

    /// A session is gone. Returns whom nobody on its edge watches any more, with the turn up to which that is over.
    pub(crate) fn closed(&mut self, edge: EdgeId, session: u64) -> Vec<(Home, u64)> {
        let turn = self.turns.get(&edge).copied().unwrap_or_default();
        let mut over = Vec::new();
        self.views.retain(|(of, _), (home, view)| {
            let last = *of == edge && view.sessions.remove(&session).is_some() && view.sessions.is_empty();
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
    /// A session asks to watch somebody; returns the turn.
    pub(crate) fn ask_to_watch(&mut self, from: Asker, home: &Home, key: &ConversationKey, by: &UserId) -> u64 {
        let may = self.is_member(key, by) && self.is_member(key, &home.user);
        let open = self.known.get(key).and_then(|low| self.entry(key, *low));
        let open = open.is_some_and(|entry| entry.profile.standing == Standing::Open);
        let (home, key, by) = (home.clone(), key.clone(), by.clone());
        self.presence.ask(from, Question { home, key, by, may, open, handed: 0, parted: false })
    }

    /// Takes an answer to a session that watches; false if it is none.
    pub(super) fn watch_answer(&mut self, to: Asker, answer: &Answer) -> bool {
        let Some(question) = self.presence.asked.remove(&(to.session, to.request)) else { return false };
        let Question { home, key, by, may, open, handed, parted } = question;
        self.sync(&key);
        let of_two = self.peer(&key, &by).is_some_and(|peer| peer == home.user);
        // What is accepted stays so.
        let last = self.timelines.get(&key).and_then(|timeline| timeline.entries.last());
        let shut = last.is_some_and(|entry| entry.profile.standing != Standing::Open);
        match answer {
            Answer::Presence { now, of_two: told } if now.key == home.key => {
                self.saw(if of_two { "watched by one of two" } else { "watched" });
                if *told != of_two {
                    self.violate(format!("{by} watches {} by way of {}: of two, {told}", home.user, key.conversation));
                }
                if of_two && (shut || self.apart(&by, &home.user, handed)) {
                    self.violate(format!("{by} is shown {}, a request or blocked: {}", home.user, key.conversation));
                }
                if of_two && parted {
                    self.presence.end(to.edge, &home.key, to.session);
                } else if let Some((_, view)) = self.presence.views.get_mut(&(to.edge, home.key)) {
                    view.latest = Some(now.seen.clone());
                    if let Some(session) = view.sessions.get_mut(&to.session) {
                        *session = of_two.then_some(by);
                    }
                }
            }
            Answer::Refused(refusal) => {
                self.saw("not watched");
                let unjust = refusal.code == ErrorCode::NotFound
                    && of_two
                    && open
                    && !self.may_be_apart(&by, &home.user, handed);
                if unjust || may && refusal.code == ErrorCode::BadRequest {
                    self.violate(format!("{} may be watched by {by}, and is not: {refusal:?}", home.user));
                }
                if of_two && refusal.code == ErrorCode::NotFound {
                    self.saw(if shut { "not seen in a request" } else { "not seen for a block" });
                }
                self.presence.end(to.edge, &home.key, to.session);
            }
            other => self.violate(format!("{} was to be watched: {other:?}", home.user)),
        }
        true
    }

    /// An edge is told that the sessions of one user watch another one no more by way of the two.
    pub(super) fn parted(&mut self, edge: EdgeId, Parted { home, watcher }: &Parted) {
        self.saw("parted");
        for question in self.presence.asked.values_mut() {
            question.parted |= question.home == *home && question.by == *watcher;
        }
        let Some((_, view)) = self.presence.views.get(&(edge, home.key.clone())) else { return };
        let theirs = view.sessions.iter().filter(|(_, by)| by.as_ref() == Some(watcher));
        let sessions: Vec<u64> = theirs.map(|(session, _)| *session).collect();
        for session in sessions {
            self.presence.end(edge, &home.key, session);
        }
    }

    /// One of these two has blocked the other for certain: no session watches by way of the two.
    pub(super) fn nobody_watches(&mut self, a: &UserId, b: &UserId) {
        let mut wrong = Vec::new();
        for ((edge, _), (home, view)) in &self.presence.views {
            let other = if home.user == *a { b } else { a };
            if (home.user == *a || home.user == *b) && view.sessions.values().any(|by| by.as_ref() == Some(other)) {
                wrong.push(format!("{other} still watches {} on {edge:?}, who are apart", home.user));
            }
        }
        self.violations.extend(wrong);
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
