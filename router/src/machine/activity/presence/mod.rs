//! Who is online, as users' homes know it. Of a user whom nobody watches that is one number, how many sessions there are: no
//! home is read for it. Who comes is told at once, who goes once the last session has been over for some time, so that a
//! reconnect is no news; a user's changes at most once a second.
//!
//! Each edge that watches a user was sent the same last, what is `told`: whoever asks anew is answered that, and what has
//! changed since is told to all.

mod count;
mod rows;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use switchyard_cluster::link::{Answer, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::presence::{Census, Counted, Part, PresenceAsk, PresenceNow, Seen, Watch, WatchAsk};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::limits::PRESENCE_MEMBERS_MAX;
use switchyard_store::Mark;

use crate::machine::rights::kinds::Shape;
use crate::machine::rights::sight::Sight;
use crate::machine::{Effect, Machine, ReadFailed, busy, read_refusal, refuse};
use count::Counts;
use rows::Rows;
pub(crate) use rows::{BEGAN, SEEN, SeenMark, group_of};

/// How long after a user's change was told the next one waits: faster than this, nobody reads it.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Sessions that may wait for it to be read when a user was seen last. One that waits more asks again.
const WAITING_MAX: usize = 1_000;

/// The table of sessions gives memory back when it is less than this part full.
const SHRINK_BELOW: usize = 8;

const TOO_LARGE: Refusal =
    Refusal::new(ErrorCode::BadRequest, "in a conversation of more than 100 members only how many are online is told");

/// See the module.
#[derive(Debug, Default)]
pub(in crate::machine) struct Presence {
    /// How many sessions each user has whose home is here, by the home's name.
    sessions: HashMap<ConversationId, u32, foldhash::fast::RandomState>,
    /// Users whose last session has ended and who count as online until then, and when it ended: by the time that somebody is to
    /// be told, nobody may have watched them yet, and it is stored and forgotten.
    going: HashMap<ConversationId, (Duration, u64), foldhash::fast::RandomState>,
    /// The same in order, and some who have come back.
    over: VecDeque<(Duration, ConversationId)>,
    watched: HashMap<ConversationId, Watched, foldhash::fast::RandomState>,
    /// Those of them of whom something may be told, and when.
    due: BTreeSet<(Duration, ConversationId)>,
    rows: Rows,
    counts: Counts,
}

/// A user whom sessions watch.
#[derive(Debug)]
struct Watched {
    home: Home,
    /// Where the sessions are, and the newest turn in which each asked.
    edges: Vec<(EdgeId, u64)>,
    /// What all of these were sent last; nothing before it was read when the user was there last.
    told: Option<State>,
    /// When the last session ended, if there ever was one; nothing if that was not read.
    last_seen: Option<Option<u64>>,
    reading: bool,
    /// Each with whether a block ends it.
    waiting: Vec<(Asker, bool)>,
    quiet_until: Duration,
    /// Its place among those that are due.
    due_at: Option<Duration>,
}

/// How it is with a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Online,
    /// And when they were there last.
    Offline(Option<u64>),
}

impl Watched {
    fn new(home: Home) -> Self {
        Self {
            home,
            edges: Vec::new(),
            told: None,
            last_seen: None,
            reading: false,
            waiting: Vec::new(),
            quiet_until: Duration::ZERO,
            due_at: None,
        }
    }

    fn now(&self, state: State) -> Box<PresenceNow> {
        let (online, last_seen_ms) = match state {
            State::Online => (true, None),
            State::Offline(last_seen_ms) => (false, last_seen_ms),
        };
        let seen = Seen::User { user: self.home.user.clone(), online, last_seen_ms };
        Box::new(PresenceNow { key: self.home.key.clone(), seen })
    }

    fn answer(&self, (to, of_two): (Asker, bool), state: State, out: &mut Vec<Effect>) {
        out.push(Effect::Answer { to, answer: Answer::Presence { now: self.now(state), of_two } });
    }

    /// Whether nobody needs it.
    fn is_over(&self) -> bool {
        self.edges.is_empty() && self.waiting.is_empty() && !self.reading
    }
}

impl Presence {
    /// How many users and conversations something is known of.
    pub(in crate::machine) fn len(&self) -> usize {
        let users = self.sessions.len() + self.going.len() + self.watched.len();
        users + self.rows.len() + self.counts.len()
    }

    /// When [`tick`](Machine::tick_presence) has something to do.
    pub(in crate::machine) fn deadline(&self) -> Option<Duration> {
        let over = self.over.front().map(|(at, _)| *at);
        let due = self.due.first().map(|(at, _)| *at);
        over.into_iter().chain(due).chain(self.counts.deadline()).min()
    }

    /// When something is to be stored; nothing if all is, or on its way.
    pub(in crate::machine) fn rows_due(&self) -> Option<Duration> {
        self.rows.due()
    }

    /// Takes what is to be stored by now, as far as there is room for so many.
    pub(in crate::machine) fn take_rows(&mut self, now: Now, process: u64, most: usize, into: &mut Vec<Mark>) {
        self.rows.take(now.mono, process, most, into);
    }

    /// What was taken is stored, or is not.
    pub(in crate::machine) fn rows_written(&mut self, now: Now) {
        self.rows.written(now.mono);
    }

    /// The store did not take some.
    pub(in crate::machine) fn rows_refused(&mut self) {
        self.rows.refused();
    }

    /// Members of a conversation that is counted see each other no more, or again.
    pub(in crate::machine) fn count_again(&mut self, key: &ConversationKey) {
        self.counts.again(key);
    }

    fn is_online(&self, id: &ConversationId) -> bool {
        self.sessions.contains_key(id) || self.going.contains_key(id)
    }

    /// How it is with a user who is watched, if that is known.
    fn state(&self, id: &ConversationId) -> Option<State> {
        if self.is_online(id) {
            return Some(State::Online);
        }
        self.watched.get(id)?.last_seen.map(State::Offline)
    }

    /// Sessions of a user have begun or ended.
    fn sessions(&mut self, now: Now, home: Home, change: i32, offline_after: Duration) {
        let id = home.key.conversation;
        let before = self.sessions.get(&id).copied().unwrap_or_default();
        let after = before.saturating_add_signed(change);
        if after > 0 {
            self.sessions.insert(id, after);
        } else if self.sessions.remove(&id).is_some() && self.sessions.len() * SHRINK_BELOW < self.sessions.capacity() {
            self.sessions.shrink_to(self.sessions.len() * 2);
        }
        if before == 0 && after > 0 {
            self.rows.put(home, now.wall_ms, true);
            if self.going.remove(&id).is_none() {
                self.news(now, id);
            }
        } else if before > 0 && after == 0 {
            self.rows.put(home, now.wall_ms, false);
            if let Some(watched) = self.watched.get_mut(&id) {
                watched.last_seen = Some(Some(now.wall_ms));
            }
            let until = now.mono + offline_after;
            self.going.insert(id, (until, now.wall_ms));
            self.over.push_back((until, id));
        }
    }

    /// Something may have to be told of a user.
    fn news(&mut self, now: Now, id: ConversationId) {
        if let Some(watched) = self.watched.get_mut(&id)
            && watched.due_at.is_none()
        {
            let at = watched.quiet_until.max(now.mono);
            watched.due_at = Some(at);
            self.due.insert((at, id));
        }
    }

    /// A session watches a user.
    fn watch(&mut self, Watch { ask, to, of_two }: Watch, began_ms: u64, process: u64, out: &mut Vec<Effect>) {
        let WatchAsk { home, turn } = ask;
        let id = home.key.conversation;
        let ended = self.going.get(&id).map(|(_, ended_ms)| *ended_ms).or_else(|| self.rows.ended(&id));
        let watched = self.watched.entry(id).or_insert_with(|| Watched::new(home));
        match watched.edges.iter_mut().find(|(edge, _)| *edge == to.edge) {
            Some((_, newest)) => *newest = turn.max(*newest),
            None => watched.edges.push((to.edge, turn)),
        }
        if watched.last_seen.is_none() {
            watched.last_seen = ended.map(Some);
        }
        let state = self.state(&id);
        let Some(watched) = self.watched.get_mut(&id) else { return };
        watched.told = watched.told.or(state);
        if let Some(told) = watched.told {
            return watched.answer((to, of_two), told, out);
        }
        if watched.waiting.len() >= WAITING_MAX {
            return refuse(to, busy("too many requests wait for this user"), out);
        }
        watched.waiting.push((to, of_two));
        if !std::mem::replace(&mut watched.reading, true) {
            out.push(Effect::LoadSeen { home: watched.home.clone(), process, began_ms });
        }
    }

    /// It was read when a user was there last.
    fn read(&mut self, home: &Home, result: Result<Option<u64>, ReadFailed>, out: &mut Vec<Effect>) {
        let id = home.key.conversation;
        let Some(watched) = self.watched.get_mut(&id) else { return };
        watched.reading = false;
        let waiting = std::mem::take(&mut watched.waiting);
        if let Ok(last_seen) = result {
            watched.last_seen = watched.last_seen.or(Some(last_seen));
        }
        let state = self.state(&id);
        let Some(watched) = self.watched.get_mut(&id) else { return };
        watched.told = watched.told.or(state);
        for to in waiting {
            match (watched.told, result) {
                (Some(told), _) => watched.answer(to, told, out),
                (None, Err(failed)) => refuse(to.0, read_refusal(failed), out),
                (None, Ok(_)) => refuse(to.0, read_refusal(ReadFailed::Unavailable), out),
            }
        }
        if watched.told.is_none() {
            // Nobody was told anything, so nobody is owed more.
            watched.edges.clear();
        }
        self.look_after(&id);
    }

    /// No session of this edge watches a user any more.
    fn unwatch(&mut self, id: &ConversationId, edge: EdgeId, turn: u64) {
        if let Some(watched) = self.watched.get_mut(id) {
            watched.edges.retain(|(other, newest)| *other != edge || *newest > turn);
            self.look_after(id);
        }
    }

    /// The edges on which sessions watch a user.
    fn edges(&self, id: &ConversationId) -> impl Iterator<Item = EdgeId> + '_ {
        self.watched.get(id).into_iter().flat_map(|watched| watched.edges.iter().map(|(edge, _)| *edge))
    }

    /// Forgets a user whom nobody watches.
    fn look_after(&mut self, id: &ConversationId) {
        if self.watched.get(id).is_some_and(Watched::is_over)
            && let Some(Watched { due_at: Some(at), .. }) = self.watched.remove(id)
        {
            self.due.remove(&(at, *id));
        }
    }

    /// Ends what is over, and tells what changed.
    fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        while self.over.front().is_some_and(|(at, _)| *at <= now.mono) {
            let Some((at, id)) = self.over.pop_front() else { break };
            if self.going.get(&id).is_some_and(|(until, _)| *until == at) {
                self.going.remove(&id);
                self.news(now, id);
            }
        }
        while self.due.first().is_some_and(|(at, _)| *at <= now.mono) {
            let Some((_, id)) = self.due.pop_first() else { break };
            let state = self.state(&id);
            let Some(watched) = self.watched.get_mut(&id) else { continue };
            watched.due_at = None;
            let Some(state) = state.filter(|state| watched.told != Some(*state)) else { continue };
            watched.told = Some(state);
            watched.quiet_until = now.mono + TELL_EVERY;
            for &(edge, _) in &watched.edges {
                out.push(Effect::Presence { edge, now: watched.now(state) });
            }
        }
        if self.over.is_empty() && self.over.capacity() > WAITING_MAX {
            (self.over, self.going) = (VecDeque::new(), HashMap::default());
        }
    }
}

impl Machine {
    /// An edge tells a home.
    pub(in crate::machine) fn presence_told(&mut self, now: Now, request: Request, ask: PresenceAsk) {
        match ask {
            PresenceAsk::Sessions(change) => {
                let home = Home { key: request.key, user: request.user };
                self.presence.sessions(now, home, change, self.config.offline_after);
                self.store_soon(now);
            }
            PresenceAsk::Unwatch { turn } => {
                self.presence.unwatch(&request.key.conversation, request.from.edge, turn);
            }
        }
    }

    /// A member's session watches a user: if that is a member too, the user's home is asked.
    pub(in crate::machine) fn vouch(
        &mut self,
        from: Asker,
        key: &ConversationKey,
        ask: WatchAsk,
        out: &mut Vec<Effect>,
    ) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        let members = &conversation.state.members;
        if members.len() > PRESENCE_MEMBERS_MAX {
            return refuse(from, TOO_LARGE, out);
        }
        if members.get(&ask.home.user).is_none() {
            return refuse(from, Refusal::NOT_FOUND, out);
        }
        match conversation.state.sight() {
            Sight::Unknown => return refuse(from, busy("who has blocked whom is being read"), out),
            // As of somebody who was never there.
            Sight::None => return refuse(from, Refusal::NOT_FOUND, out),
            Sight::Each => {}
        }
        let of_two = conversation.state.profile.shape() == Shape::Pair;
        out.push(Effect::Tell(Box::new(RouterMessage::Watch(Box::new(Watch { ask, to: from, of_two })))));
    }

    /// An owner vouches for two no more, for one has blocked the other.
    pub(in crate::machine) fn part(&mut self, now: Now, part: Part, out: &mut Vec<Effect>) {
        let Part { parted, then } = part;
        for edge in self.presence.edges(&parted.home.key.conversation) {
            out.push(Effect::Parted { edge, parted: Box::new(parted.clone()) });
        }
        // Behind it: whoever blocked is answered once edges are told.
        if then.home == parted.home {
            self.homes.surveyed(now, then, out);
        } else {
            out.push(Effect::Tell(Box::new(RouterMessage::Surveyed(then))));
        }
    }

    /// An owner has vouched for somebody who watches a user.
    pub(in crate::machine) fn watch(&mut self, now: Now, watch: Watch, out: &mut Vec<Effect>) {
        let began_ms = self.presence.rows.began_ms(now);
        self.presence.watch(watch, began_ms, self.process, out);
    }

    /// It was read when a user was there last.
    pub(in crate::machine) fn seen_loaded(
        &mut self,
        home: &Home,
        result: Result<Option<u64>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        self.presence.read(home, result, out);
    }

    /// An owner asks how many of these users are online.
    pub(in crate::machine) fn census(&mut self, Census { key, number, users }: Census, out: &mut Vec<Effect>) {
        let homes = users.iter().map(|user| ConversationKey::home(&key.tenant, user).conversation);
        let online = homes.filter(|id| self.presence.is_online(id)).count() as u64;
        let counted = Counted { key, number, asked: users.len(), online };
        out.push(Effect::Tell(Box::new(RouterMessage::Counted(counted))));
    }

    /// What time brings to presence.
    pub(in crate::machine) fn tick_presence(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.presence.rows.began_ms(now);
        self.presence.tick(now, out);
        self.tick_counts(now, out);
    }
}
