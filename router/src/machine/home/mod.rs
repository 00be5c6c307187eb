//! Homes of users: which conversations each user is in, and the edges whose sessions want to be told of those that come
//! and go. A home is read from the listing rows when somebody asks for it and kept while it is used; owners of
//! conversations tell it what changes. It knows nothing of messages, and asks owners for whatever a list shows.
//!
//! What a home decides itself (blocks, what is archived) is a log of its own under the home's key, see `log.rs`.

mod again;
mod list;
pub(crate) mod log;
mod own;
mod rows;
mod telling;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::machine::rights::told_roles::ToldRoles;
use crate::machine::{Effect, Machine, ReadFailed, busy, read_refusal, refuse, succeed};
use again::{Again, Retry};
use list::{End, Lists, Purpose};
use log::OwnLog;
pub use own::HomeRead;
use rows::{Change, Rows};
use switchyard_cluster::home::{HomeAsk, ListedNow, MemberNotice, Surveyed, WatchingAnswer};
use switchyard_cluster::link::{Answer, Ask, Refusal, Request};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId, Home};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey};
use switchyard_protocol::limits::SUBSCRIPTIONS_MAX;
use switchyard_protocol::v1::{self, reply};
use telling::Tellings;

/// Requests that may wait for one home to be read: one user's devices, each of which asks for a page or two.
const WAITING_MAX: usize = 64;

/// Notices that are kept while a home is read; after more, it is read once more.
const NOTICES_MAX: usize = 1_000;

/// Lists that may be made at a time for one user, for each asks owners about all the user's conversations.
const LISTS_PER_HOME_MAX: usize = 4;

/// Homes that are looked at for eviction in one turn, at most.
const EVICTIONS_PER_TURN_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Homes {
    kept: HashMap<ConversationKey, Kept, foldhash::fast::RandomState>,
    /// Each home once, with the time at which it is next looked at.
    idle: VecDeque<(Duration, ConversationKey)>,
    lists: Lists,
    /// Homes with decisions that wait for a batch; sealed at the end of the turn.
    ready: Vec<ConversationKey>,
    tellings: Tellings,
    again: Again,
}

/// A home in memory.
#[derive(Debug)]
struct Kept {
    home: Home,
    /// The user's conversations; nothing before they were read.
    rows: Option<Rows>,
    /// What the user decides; nothing before it was read.
    own: Option<Box<OwnLog>>,
    /// The rows are being read.
    reading: Option<Box<Reading>>,
    /// Notices were missed: the rows are read again before they are told.
    stale: bool,
    /// Edges with sessions that want all.
    edges: Vec<EdgeId>,
    /// Conversations that came and were not told yet, for what lists show of them is asked for.
    came: VecDeque<ConversationId>,
    /// The same for those that are shown otherwise.
    changed: VecDeque<ConversationId>,
    /// Blocks that owners are being told of.
    telling: usize,
    /// Lists that are being made.
    lists: usize,
    announcing: bool,
    /// What failed and is tried again.
    retry: Retry,
    touched: Duration,
}

/// What happens while a home's rows are read.
#[derive(Debug, Default)]
struct Reading {
    waiting: Vec<Request>,
    notices: Vec<MemberNotice>,
    again: bool,
}

impl Kept {
    fn new(home: Home, now: Duration) -> Self {
        Self {
            home,
            rows: None,
            own: None,
            reading: None,
            stale: false,
            edges: Vec::new(),
            came: VecDeque::new(),
            changed: VecDeque::new(),
            telling: 0,
            lists: 0,
            announcing: false,
            retry: Retry::default(),
            touched: now,
        }
    }

    fn is_busy(&self) -> bool {
        self.reading.is_some() || self.lists > 0 || self.announcing || self.telling > 0 || !self.is_log_idle()
    }

    fn read(&mut self, out: &mut Vec<Effect>) -> &mut Reading {
        self.reading.get_or_insert_with(|| {
            out.push(Effect::LoadHome { home: self.home.clone(), own: self.own.is_none() });
            Box::default()
        })
    }

    /// Tells the edges of what changed; of what came, once it is known what a list shows of it.
    fn tell(&mut self, change: Change, out: &mut Vec<Effect>) {
        if self.edges.is_empty() {
            return;
        }
        match change {
            Change::Came(conversation) => {
                if !self.came.contains(&conversation) {
                    self.came.push_back(conversation);
                }
            }
            Change::Went(conversation) => {
                self.came.retain(|came| *came != conversation);
                let (home, entry, changed) = (self.home.clone(), None, false);
                self.tell_edges(&ListedNow { home, conversation, entry, changed }, out);
            }
        }
    }

    /// It is known what a list shows of conversations that came, or are shown otherwise. Of which it is not, the user is no
    /// member any more.
    fn announced(
        &self,
        asked: &[ConversationId],
        listings: Vec<(ConversationId, v1::Listing)>,
        changed: bool,
        out: &mut Vec<Effect>,
    ) {
        for (conversation, mut entry) in listings {
            self.mark_archived(&mut entry);
            // It may have gone meanwhile.
            let stays = self.rows.as_ref().is_some_and(|rows| rows.has(conversation));
            if stays && asked.contains(&conversation) {
                let (home, entry) = (self.home.clone(), Some(entry));
                self.tell_edges(&ListedNow { home, conversation, entry, changed }, out);
            }
        }
    }

    fn tell_edges(&self, now: &ListedNow, out: &mut Vec<Effect>) {
        for &edge in &self.edges {
            out.push(Effect::Listed { edge, now: Box::new(now.clone()) });
        }
    }
}

impl Homes {
    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether this is the key of one that is in memory.
    pub(super) fn has(&self, key: &ConversationKey) -> bool {
        self.kept.contains_key(key)
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let idle = self.idle.front().map(|(at, _)| *at);
        let others = self.lists.deadline().into_iter().chain(self.tellings.deadline()).chain(self.again.deadline());
        idle.into_iter().chain(others).min()
    }

    /// An edge asks.
    fn request(&mut self, now: Now, request: Request, idle_after: Duration, out: &mut Vec<Effect>) {
        let Ask::Home(ask) = &request.ask else { return };
        let answered = request.ask.is_answered();
        if !self.kept.contains_key(&request.key) {
            if !answered {
                return;
            }
            let home = Home { key: request.key.clone(), user: request.user.clone() };
            self.kept.insert(request.key.clone(), Kept::new(home, now.mono));
            self.idle.push_back((now.mono + idle_after, request.key.clone()));
        }
        let Some(kept) = self.kept.get_mut(&request.key) else { return };
        if answered {
            kept.touched = now.mono;
        }
        if kept.rows.is_some() && !kept.stale && kept.reading.is_none() {
            return self.answer(now, &request.key, request.from, ask, out);
        }
        if !answered && kept.reading.is_none() {
            kept.edges.retain(|edge| *edge != request.from.edge);
            return;
        }
        let reading = kept.read(out);
        if !answered {
            // It takes its turn behind what it is to end; the last one is enough.
            reading.waiting.retain(|other| other.from != request.from || other.ask.is_answered());
            reading.waiting.push(request);
        } else if reading.waiting.len() >= WAITING_MAX {
            refuse(request.from, busy("too many requests wait for your conversations"), out);
        } else {
            reading.waiting.push(request);
        }
    }

    /// A request to a home that is in memory and fresh.
    fn answer(&mut self, now: Now, key: &ConversationKey, from: Asker, ask: &HomeAsk, out: &mut Vec<Effect>) {
        let Some(Kept { home, rows: Some(rows), own: Some(own), edges, lists, .. }) = self.kept.get_mut(key) else {
            return;
        };
        let mut conversations: Vec<_> = rows.ids().collect();
        let purpose = match ask {
            // It is not the home's to know: see `told_roles.rs`.
            HomeAsk::Roles { .. } => return,
            HomeAsk::Decide(decision) => return self.decide(now, key, from, decision.clone(), out),
            HomeAsk::Blocks(ask) => return own.answer_blocks(from, ask, out),
            HomeAsk::Unwatch => return edges.retain(|edge| *edge != from.edge),
            HomeAsk::Watch => {
                if !edges.contains(&from.edge) {
                    edges.push(from.edge);
                }
                if rows.len() <= SUBSCRIPTIONS_MAX {
                    let answer = WatchingAnswer { conversations, total: rows.len() as u64 };
                    out.push(Effect::Answer { to: from, answer: Answer::Watching(Box::new(answer)) });
                    return;
                }
                Purpose::Newest { to: from }
            }
            HomeAsk::Unread => Purpose::Unread { to: from },
            HomeAsk::List(ask) => {
                let archived = &own.decided.archived;
                conversations.retain(|id| archived.contains_key(id) == ask.filter.archived);
                Purpose::Page { to: from, ask: ask.clone() }
            }
        };
        if *lists >= LISTS_PER_HOME_MAX {
            return refuse(from, busy("too many lists of your conversations are being made"), out);
        }
        *lists += 1;
        let ended = self.lists.start(now, home.clone(), purpose, conversations, out);
        self.ended(now, ended, out);
    }

    /// Owners tell that a user came or went.
    fn notice(&mut self, now: Now, notice: MemberNotice, out: &mut Vec<Effect>) {
        let Some(kept) = self.kept.get_mut(&notice.home.key) else { return };
        if let Some(reading) = &mut kept.reading {
            if reading.notices.len() < NOTICES_MAX {
                reading.notices.push(notice);
            } else {
                reading.again = true;
            }
            return;
        }
        let Some(rows) = &mut kept.rows else { return };
        if let Some(change) = rows.note(&notice) {
            kept.end_archived(change);
            kept.tell(change, out);
            let key = notice.home.key;
            self.announce(now, &key, out);
        }
    }

    /// Some notices were not delivered, nobody knows to whom.
    fn missed(&mut self, now: Now) {
        for (key, kept) in &mut self.kept {
            kept.stale = true;
            if let Some(reading) = &mut kept.reading {
                reading.again = true;
            } else if !kept.edges.is_empty() {
                self.again.put(now, key, &mut kept.retry);
            }
        }
    }

    /// A home's rows were read: whoever waited for them goes on.
    fn read(
        &mut self,
        now: Now,
        key: &ConversationKey,
        result: Result<Box<HomeRead>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        let Some(reading) = kept.reading.take() else { return };
        let Reading { waiting, notices, again } = *reading;
        let read = match result {
            Ok(read) => read,
            Err(failed) => {
                // What was kept may be old from here on, for notices have gone by.
                kept.stale = true;
                for request in waiting {
                    if request.ask.is_answered() {
                        refuse(request.from, read_refusal(failed), out);
                    } else {
                        kept.edges.retain(|edge| *edge != request.from.edge);
                    }
                }
                if !kept.edges.is_empty() {
                    self.again.failed(now, key, &mut kept.retry);
                }
                return;
            }
        };
        let HomeRead { rows, joined, decided, replayed } = *read;
        let mut rows = Rows::new(rows);
        if let Some(decided) = decided {
            kept.own = Some(Box::new(OwnLog::new(decided)));
        }
        kept.keep_archived(&rows, &joined);
        for notice in &notices {
            if let Some(change) = rows.note(notice) {
                kept.end_archived(change);
            }
        }
        let changes = kept.rows.as_ref().map(|before| before.changes(&rows)).unwrap_or_default();
        kept.rows = Some(rows);
        kept.stale = again;
        kept.retry.succeeded();
        for change in changes {
            kept.tell(change, out);
        }
        for user in replayed {
            self.tell_block(now, key, user, None, out);
        }
        let Some(kept) = self.kept.get_mut(key) else { return };
        if again && !waiting.is_empty() {
            kept.read(out).waiting = waiting;
        } else {
            for request in waiting {
                if let Ask::Home(ask) = &request.ask {
                    self.answer(now, key, request.from, ask, out);
                }
            }
        }
        self.announce(now, key, out);
    }

    /// Asks what lists show of the conversations that came, some at a time.
    fn announce(&mut self, now: Now, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        if kept.edges.is_empty() {
            kept.came.clear();
            kept.changed.clear();
        }
        if kept.announcing || kept.came.is_empty() && kept.changed.is_empty() {
            return;
        }
        kept.announcing = true;
        let changed = kept.came.is_empty();
        let line = if changed { &mut kept.changed } else { &mut kept.came };
        let some: Vec<_> = line.drain(..line.len().min(list::LISTINGS_PER_ROUND)).collect();
        let purpose = if changed { Purpose::Changed(some.clone()) } else { Purpose::Came(some.clone()) };
        let ended = self.lists.start(now, kept.home.clone(), purpose, some, out);
        self.ended(now, ended, out);
    }

    /// An owner has answered.
    pub(in crate::machine) fn surveyed(&mut self, now: Now, surveyed: Surveyed, out: &mut Vec<Effect>) {
        if self.tellings.has(surveyed.number) {
            return self.confirmed(now, &surveyed, out);
        }
        let ended = self.lists.surveyed(surveyed, out);
        self.ended(now, ended, out);
    }

    /// A list is made, or will not be.
    fn ended(&mut self, now: Now, ended: Option<(Home, Purpose, End)>, out: &mut Vec<Effect>) {
        let Some((home, purpose, end)) = ended else { return };
        let Some(kept) = self.kept.get_mut(&home.key) else { return };
        let total = kept.rows.as_ref().map_or(0, Rows::len) as u64;
        match (purpose, end) {
            (Purpose::Came(conversations), End::Listings(listings)) => {
                kept.announcing = false;
                kept.retry.succeeded();
                kept.announced(&conversations, listings, false, out);
                return self.announce(now, &home.key, out);
            }
            (Purpose::Changed(conversations), End::Listings(listings)) => {
                kept.announcing = false;
                kept.retry.succeeded();
                kept.announced(&conversations, listings, true, out);
                return self.announce(now, &home.key, out);
            }
            (Purpose::Came(conversations), _) => {
                kept.announcing = false;
                kept.came.extend(conversations);
                return self.again.failed(now, &home.key, &mut kept.retry);
            }
            (Purpose::Changed(conversations), _) => {
                kept.announcing = false;
                kept.changed.extend(conversations);
                return self.again.failed(now, &home.key, &mut kept.retry);
            }
            (Purpose::Page { to, .. } | Purpose::Newest { to } | Purpose::Unread { to }, End::Failed) => {
                refuse(to, read_refusal(ReadFailed::Unavailable), out);
            }
            (Purpose::Page { to, ask }, End::Page(mut page)) => {
                // As it was when the list was begun, which is what it is a page of.
                let details = page.conversations.iter_mut().filter_map(|entry| entry.conversation.as_mut());
                details.for_each(|detail| detail.archived = ask.filter.archived);
                succeed(to, reply::Result::Listed(page), out);
            }
            (Purpose::Unread { to }, End::Unread(sum)) => {
                let (total, unread, requests) = (sum.messages, sum.conversations, Some(sum.requests));
                let counts = v1::UnreadCounts { conversations: Vec::new(), total, unread, requests };
                succeed(to, reply::Result::Unread(counts), out);
            }
            (Purpose::Newest { to }, End::Newest(conversations)) => {
                let answer = WatchingAnswer { conversations, total };
                out.push(Effect::Answer { to, answer: Answer::Watching(Box::new(answer)) });
            }
            (Purpose::Page { to, .. } | Purpose::Newest { to } | Purpose::Unread { to }, _) => {
                refuse(to, Refusal::new(ErrorCode::Internal, "the list came out as another one"), out);
            }
        }
        kept.lists = kept.lists.saturating_sub(1);
    }

    /// Gives up lists that take too long, and homes that nobody uses.
    fn tick(&mut self, now: Now, idle_after: Duration, out: &mut Vec<Effect>) {
        while let Some(ended) = self.lists.overdue(now) {
            self.ended(now, Some(ended), out);
        }
        self.give_up_telling(now, out);
        while let Some(key) = self.again.take(now) {
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            kept.retry.taken();
            if kept.stale && !kept.edges.is_empty() {
                kept.read(out);
            }
            self.announce(now, &key, out);
        }
        for _ in 0..EVICTIONS_PER_TURN_MAX {
            match self.idle.front() {
                Some((at, _)) if *at <= now.mono => {}
                _ => break,
            }
            let Some((_, key)) = self.idle.pop_front() else { break };
            let Some(kept) = self.kept.get_mut(&key) else { continue };
            if !kept.is_busy() && kept.edges.is_empty() && kept.touched + idle_after <= now.mono {
                self.again.forget(&key, &kept.retry);
                self.kept.remove(&key);
                continue;
            }
            if kept.stale && !kept.edges.is_empty() {
                kept.read(out);
            }
            self.announce(now, &key, out);
            self.idle.push_back((now.mono + idle_after, key));
        }
    }
}

impl Machine {
    /// An edge asks a home.
    pub(super) fn ask_home(&mut self, now: Now, request: Request, out: &mut Vec<Effect>) {
        if let Ask::Home(HomeAsk::Roles { issued_ms }) = request.ask {
            let (from, home) = (request.from, Home { key: request.key, user: request.user });
            return self.roles_told(ToldRoles { to: Some(from), home, roles: from.roles, issued_ms }, out);
        }
        self.homes.request(now, request, self.config.idle_after, out);
    }

    /// A home's rows were read.
    pub(super) fn home_loaded(
        &mut self,
        now: Now,
        home: &Home,
        result: Result<Box<HomeRead>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        self.homes.read(now, &home.key, result, out);
    }

    /// A router, perhaps this one, tells something.
    pub(super) fn told(&mut self, now: Now, message: RouterMessage, out: &mut Vec<Effect>) {
        match message {
            RouterMessage::Member(notice) => self.homes.notice(now, notice, out),
            RouterMessage::Missed => self.homes.missed(now),
            RouterMessage::Survey(survey) => self.survey(now, survey, out),
            RouterMessage::Surveyed(surveyed) => self.homes.surveyed(now, surveyed, out),
            RouterMessage::Watch(watch) => self.watch(now, *watch, out),
            RouterMessage::Part(part) => self.part(now, *part, out),
            RouterMessage::Census(census) => self.census(census, out),
            RouterMessage::Counted(counted) => self.counted(&counted, out),
        }
    }

    /// What time brings to homes.
    pub(super) fn tick_homes(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.homes.seal_logs(now, &self.epochs, out);
        self.homes.tick(now, self.config.idle_after, out);
    }
}
