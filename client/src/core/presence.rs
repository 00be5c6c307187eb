//! Whom the application watches, and where it wants to know how many are online: said again on each connection. What it has no
//! room for waits here, the newest of each. Nothing is told that it knows already, so a reconnect is no news by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::frame;
use switchyard_protocol::limits::WATCHED_MAX;
use switchyard_protocol::v1::{self, client_frame::Request, event::Body, reply};

use super::flights::Purpose;
use super::io::{Effect, Ticket};
use super::limits::RETRY_BASE;
use super::link::{Link, is_retry};
use super::timeline::Attached;
use super::timers::Timer;
use super::{Core, Name};
use crate::error::{Closed, Error};
use crate::event::Event;

/// After a sign by which somebody may be seen and is not, others wait for so long; each time twice as long.
const AGAIN_BASE: Duration = Duration::from_secs(1);

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    User(Name),
    /// How many members of this conversation are online.
    Online(Name),
}

/// How it is with a target.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    User(v1::UserPresence),
    Online(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unsaid,
    Asked,
    Said,
}

/// A target that the application wants to know of.
#[derive(Debug)]
struct Wanted {
    /// The conversation that both are in, where it was named.
    through: Option<Name>,
    stage: Stage,
    /// What the application knows; nothing before it was answered.
    told: Option<Seen>,
    /// The newest.
    latest: Option<Seen>,
    /// How often it was asked for again since the user was last seen, and when it may be next.
    again: (u32, Duration),
    /// A sign came that no question has followed: an answer was on its way, which may be of before, or it came too soon.
    signed: bool,
}

impl Wanted {
    /// Perhaps the user is not to be seen, as far as the server will tell.
    fn is_unseen(&self) -> bool {
        let never = |it: &v1::UserPresence| !it.online && it.last_seen_ms.is_none();
        self.stage == Stage::Said && matches!(&self.latest, Some(Seen::User(it)) if never(it))
    }

    /// If the user is seen, no sign is needed any more, and the next time it is as at first.
    fn note_seen(&mut self) {
        if self.stage == Stage::Said && !self.is_unseen() {
            self.again = (0, Duration::ZERO);
            self.signed = false;
        }
    }
}

/// The application waits for how it is now.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    targets: Vec<Target>,
    /// Those of which nothing will be known.
    refused: BTreeMap<Target, v1::Error>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watching {
    wanted: BTreeMap<Target, Wanted>,
    waiting: Vec<Waiting>,
    /// What the server is to be told is over.
    over: BTreeSet<Target>,
    /// What the application had no room for.
    held: BTreeSet<Target>,
}

impl Watching {
    /// Whether something waits for room.
    pub(super) fn is_stalled(&self) -> bool {
        !self.held.is_empty()
    }
}

impl Core {
    pub(super) fn watch(&mut self, ticket: Ticket, users: &[String], conversation: Option<&str>) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        let through = conversation.map(Name::from);
        let mut targets: Vec<Target> = users.iter().map(|user| Target::User(Name::from(&**user))).collect();
        if let Some(conversation) = through.clone().filter(|_| users.is_empty()) {
            targets.push(Target::Online(conversation));
        }
        let wanted = &mut self.watching.wanted;
        let new: BTreeSet<&Target> = targets.iter().filter(|target| !wanted.contains_key(*target)).collect();
        if wanted.len() + new.len() > WATCHED_MAX {
            let error =
                frame::error(ErrorCode::BadRequest, "a session watches at most 200 users and conversations", None);
            return self.complete(ticket, Err(Error::rejected(&error)));
        }
        for target in &targets {
            self.watching.over.remove(target);
            let before = wanted.remove(target);
            let (told, latest) = before.map_or((None, None), |before| (before.told, before.latest));
            let (through, stage, again) = (through.clone(), Stage::Unsaid, (0, Duration::ZERO));
            wanted.insert(target.clone(), Wanted { through, stage, told, latest, again, signed: false });
        }
        self.watching.waiting.push(Waiting { ticket, targets, refused: BTreeMap::new() });
        self.answer_watches();
    }

    pub(super) fn unwatch(&mut self, ticket: Ticket, users: &[String], conversation: Option<&str>, all: bool) {
        if let Link::Closed(closed) = &self.link {
            let closed = closed.clone();
            return self.complete(ticket, Err(Error::Closed(closed)));
        }
        let named = |target: &Target| match target {
            Target::User(name) => users.iter().any(|user| **user == **name),
            Target::Online(name) => conversation == Some(&**name),
        };
        let gone = self.take_wanted(|target, _| all || named(target));
        self.watching
            .over
            .extend(gone.into_iter().filter(|(_, it)| it.stage != Stage::Unsaid).map(|(target, _)| target));
        self.complete(ticket, Ok(reply::Result::Done(v1::Done {})));
        self.answer_watches();
    }

    /// Takes out what is wanted no more.
    fn take_wanted(&mut self, passes: impl Fn(&Target, &Wanted) -> bool) -> Vec<(Target, Wanted)> {
        let gone: Vec<(Target, Wanted)> =
            self.watching.wanted.extract_if(.., |target, it| passes(target, it)).collect();
        for (target, _) in &gone {
            self.watching.held.remove(target);
        }
        gone
    }

    /// Says what is watched and not said on this connection, and what is over: one request at a time.
    pub(super) fn pump_watches(&mut self) {
        let idle = self.watching.over.is_empty() && self.watching.wanted.values().all(|it| it.stage != Stage::Unsaid);
        if idle
            || self.timers.is_set(&Timer::Watch)
            || self.flights.len() >= self.server.in_flight_max
            || self.flights.any(|purpose| matches!(purpose, Purpose::Watch(_) | Purpose::Unwatch(_)))
        {
            return;
        }
        if let Some((request, over)) = self.watching.take_over() {
            return self.request(Request::Unwatch(request), Purpose::Unwatch(over));
        }
        let timelines = &self.timelines;
        let unread = |through: &Option<Name>| through.as_ref().is_some_and(|name| !timelines.contains_key(name));
        // What goes through a conversation that is not read would be refused.
        let gone: Vec<Target> = self
            .watching
            .wanted
            .iter()
            .filter(|(_, it)| unread(&it.through))
            .map(|(target, _)| target.clone())
            .collect();
        if !gone.is_empty() {
            let error = frame::error(ErrorCode::NotFound, "not subscribed", None);
            self.refuse_watches(gone, &error);
            self.answer_watches();
        }
        let attached = |through: &Option<Name>| {
            through.as_ref().is_none_or(|name| self.timelines.get(name).is_some_and(|it| it.attached == Attached::Yes))
        };
        let ready = |it: &Wanted| it.stage == Stage::Unsaid && attached(&it.through);
        let Some((first, one)) = self.watching.wanted.iter().find(|(_, it)| ready(it)) else { return };
        let through = one.through.clone();
        let targets: Vec<Target> = match first {
            Target::Online(_) => vec![first.clone()],
            Target::User(_) => {
                let same = |target: &Target, it: &Wanted| {
                    matches!(target, Target::User(_)) && it.through == through && it.stage == Stage::Unsaid
                };
                let all = self.watching.wanted.iter().filter(|(target, it)| same(target, it));
                all.map(|(target, _)| target.clone()).collect()
            }
        };
        let mut users = Vec::with_capacity(targets.len());
        for target in &targets {
            if let Target::User(name) = target {
                users.push(name.to_string());
            }
            if let Some(it) = self.watching.wanted.get_mut(target) {
                it.stage = Stage::Asked;
                it.signed = false;
            }
        }
        let conversation = through.map(|name| name.to_string());
        self.request(Request::Watch(v1::Watch { users, conversation }), Purpose::Watch(targets));
    }

    pub(super) fn on_watched(&mut self, targets: Vec<Target>, result: Option<reply::Result>) {
        match result {
            Some(reply::Result::Watched(watched)) => self.take_watched(targets, watched),
            Some(reply::Result::Error(error)) if !is_retry(&error) => self.refuse_watches(targets, &error),
            Some(reply::Result::Error(error)) => self.watch_later(&targets, error.retry_after_ms),
            _ => self.watch_later(&targets, None),
        }
        self.answer_watches();
        self.follow_signs();
    }

    fn take_watched(&mut self, targets: Vec<Target>, watched: v1::Watched) {
        let mut later = Vec::new();
        let mut answers = seen_of(watched.presence, watched.counts);
        for target in targets {
            match answers.remove(&target) {
                Some(Seen::User(v1::UserPresence { error: Some(error), .. })) if !is_retry(&error) => {
                    self.refuse_watches(vec![target], &error);
                }
                Some(Seen::User(v1::UserPresence { error: Some(_), .. })) | None => later.push(target),
                Some(seen) => {
                    let awaited = self.watching.waiting.iter().any(|waiting| waiting.targets.contains(&target));
                    let Some(it) = self.watching.wanted.get_mut(&target).filter(|it| it.stage == Stage::Asked) else {
                        continue;
                    };
                    it.stage = Stage::Said;
                    it.latest = Some(seen.clone());
                    it.note_seen();
                    if awaited {
                        it.told = Some(seen);
                        self.watching.held.remove(&target);
                    } else {
                        self.tell_presence(target);
                    }
                }
            }
        }
        if !later.is_empty() {
            self.watch_later(&later, None);
        }
    }

    /// It was not done, or nobody knows.
    pub(super) fn watch_later(&mut self, targets: &[Target], at_least_ms: Option<u64>) {
        for target in targets {
            if let Some(it) = self.watching.wanted.get_mut(target) {
                it.stage = Stage::Unsaid;
            }
        }
        self.pause_watches(at_least_ms);
    }

    fn pause_watches(&mut self, at_least_ms: Option<u64>) {
        let pause = self.jitter.between(RETRY_BASE, RETRY_BASE * 2);
        let at_least = Duration::from_millis(at_least_ms.unwrap_or_default());
        self.timers.set(Timer::Watch, self.after(at_least.saturating_add(pause)));
    }

    pub(super) fn on_unwatched(&mut self, over: Vec<Target>, result: Option<reply::Result>) {
        if let Some(reply::Result::Error(error)) = result
            && is_retry(&error)
        {
            let wanted = &self.watching.wanted;
            self.watching.over.extend(over.into_iter().filter(|target| !wanted.contains_key(target)));
            self.pause_watches(error.retry_after_ms);
        }
    }

    /// The server will not tell of these.
    fn refuse_watches(&mut self, targets: Vec<Target>, error: &v1::Error) {
        for target in targets {
            for waiting in &mut self.watching.waiting {
                if waiting.targets.contains(&target) {
                    waiting.refused.insert(target.clone(), error.clone());
                }
            }
            self.take_wanted(|known, _| *known == target);
        }
    }

    /// Answers whoever waits for nothing more.
    fn answer_watches(&mut self) {
        let mut at = 0;
        while let Some(waiting) = self.watching.waiting.get(at) {
            let wanted = &self.watching.wanted;
            let is_open = |target: &Target| {
                !waiting.refused.contains_key(target) && wanted.get(target).is_some_and(|it| it.stage != Stage::Said)
            };
            if waiting.targets.iter().any(is_open) {
                at += 1;
                continue;
            }
            let waiting = self.watching.waiting.remove(at);
            let result = self.watching.answer(&waiting);
            self.complete(waiting.ticket, result);
        }
    }

    /// Something happened by which those who pass may be seen from now on: whoever is not, the server is asked for again. A
    /// `sign` is one that may come often and mean nothing, so it is followed less and less often.
    pub(super) fn watch_again(&mut self, sign: bool, passes: impl Fn(&str) -> bool) {
        for (target, it) in &mut self.watching.wanted {
            let named = matches!(target, Target::User(name) if passes(name));
            // What is still to be said will be answered as it is after this.
            if named && (it.stage == Stage::Asked || it.is_unseen()) {
                it.signed = true;
                if !sign {
                    it.again.1 = Duration::ZERO;
                }
            }
        }
        self.follow_signs();
    }

    /// Asks again for those of whom there was a sign, each when it may be; what is on its way is awaited first.
    pub(super) fn follow_signs(&mut self) {
        let now = self.now;
        let mut next: Option<Duration> = None;
        for it in self.watching.wanted.values_mut().filter(|it| it.signed && it.is_unseen()) {
            let (tries, at) = it.again;
            if at <= now {
                it.stage = Stage::Unsaid;
                it.again = (tries + 1, now.saturating_add(AGAIN_BASE.saturating_mul(1 << tries.min(6))));
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        match next {
            Some(at) => self.timers.set(Timer::Signs, at),
            None => self.timers.cancel(&Timer::Signs),
        }
    }

    /// A numbered event comes that may tell such a thing.
    pub(super) fn watch_after(&mut self, event: &v1::Event) {
        if self.watching.wanted.is_empty() {
            return;
        }
        match &event.body {
            // Of a direct conversation that was a request it accepts; and nobody is blocked there any more.
            Some(Body::Message(message)) => self.watch_again(true, |user| user == message.sender),
            Some(Body::Change(change)) if change.accepted == Some(true) => self.watch_again(false, |_| true),
            _ => {}
        }
    }

    /// The server says how it is with some.
    pub(super) fn on_presence(&mut self, presence: v1::Presence) {
        for (target, seen) in seen_of(presence.presence, presence.counts) {
            if let Some(it) = self.watching.wanted.get_mut(&target)
                && it.told.is_some()
            {
                it.latest = Some(seen);
                it.note_seen();
                self.tell_presence(target);
            }
        }
    }

    /// Tells the application of a target, if it is news.
    fn tell_presence(&mut self, target: Target) {
        let Some(it) = self.watching.wanted.get_mut(&target) else { return };
        if it.told == it.latest {
            self.watching.held.remove(&target);
            return;
        }
        if self.room == 0 {
            self.watching.held.insert(target);
            return;
        }
        self.room -= 1;
        it.told.clone_from(&it.latest);
        self.watching.held.remove(&target);
        let event = match (&it.told, &target) {
            (Some(Seen::User(user)), _) => Event::Presence(user.clone()),
            (Some(Seen::Online(online)), Target::Online(name) | Target::User(name)) => {
                Event::Online { conversation: name.to_string(), online: *online }
            }
            (None, _) => return,
        };
        self.effects.push(Effect::Deliver(event));
    }

    /// The application has room for what waited.
    pub(super) fn tell_held_presence(&mut self) {
        while self.room > 0 {
            let Some(target) = self.watching.held.pop_first() else { return };
            self.tell_presence(target);
        }
    }

    /// The connection is gone, and the server forgets with it what was watched.
    pub(super) fn forget_watches(&mut self) {
        self.watching.over.clear();
        for it in self.watching.wanted.values_mut() {
            it.stage = Stage::Unsaid;
        }
        self.timers.cancel(&Timer::Watch);
        self.timers.cancel(&Timer::Signs);
    }

    /// A conversation is not read any more: what was watched through it is over, and nobody is shown as online for ever.
    pub(super) fn end_watches_through(&mut self, name: &Name) {
        for (target, it) in self.take_wanted(|_, it| it.through.as_ref() == Some(name)) {
            if let (Target::User(user), Some(Seen::User(v1::UserPresence { online: true, .. }))) = (&target, &it.told) {
                let user = v1::UserPresence { user: user.to_string(), ..Default::default() };
                self.notify(Event::Presence(user));
            }
        }
        self.answer_watches();
    }

    pub(super) fn end_watches(&mut self, closed: &Closed) {
        for waiting in std::mem::take(&mut self.watching).waiting {
            self.complete(waiting.ticket, Err(Error::Closed(closed.clone())));
        }
    }
}

impl Watching {
    /// What the server is to be told next that is over: any number of users, and one conversation.
    fn take_over(&mut self) -> Option<(v1::Unwatch, Vec<Target>)> {
        let mut request = v1::Unwatch::default();
        let taken: Vec<Target> = self
            .over
            .extract_if(.., |target| match target {
                Target::User(name) => {
                    request.users.push(name.to_string());
                    true
                }
                Target::Online(name) => {
                    let first = request.conversation.is_none();
                    if first {
                        request.conversation = Some(name.to_string());
                    }
                    first
                }
            })
            .collect();
        (!taken.is_empty()).then_some((request, taken))
    }

    fn answer(&self, waiting: &Waiting) -> Result<reply::Result, Error> {
        let mut watched = v1::Watched::default();
        for target in &waiting.targets {
            let refused = waiting.refused.get(target);
            let told = self.wanted.get(target).and_then(|it| it.told.as_ref());
            match (target, refused, told) {
                (Target::Online(_), Some(error), _) => return Err(Error::rejected(error)),
                (Target::Online(name), None, Some(Seen::Online(online))) => {
                    let (conversation, online) = (name.to_string(), *online);
                    watched.counts.push(v1::ConversationPresence { conversation, online });
                }
                (Target::Online(_), None, _) => return Err(Error::Unsubscribed),
                (Target::User(_), None, Some(Seen::User(user))) => watched.presence.push(user.clone()),
                (Target::User(name), error, _) => {
                    let user = v1::UserPresence { user: name.to_string(), error: error.cloned(), ..Default::default() };
                    watched.presence.push(user);
                }
            }
        }
        Ok(reply::Result::Watched(watched))
    }
}

fn seen_of(presence: Vec<v1::UserPresence>, counts: Vec<v1::ConversationPresence>) -> BTreeMap<Target, Seen> {
    let users = presence.into_iter().map(|it| (Target::User(Name::from(&*it.user)), Seen::User(it)));
    let counts = counts.into_iter();
    users.chain(counts.map(|it| (Target::Online(Name::from(&*it.conversation)), Seen::Online(it.online)))).collect()
}
