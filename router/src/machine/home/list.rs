//! Lists of a user's conversations in the making. First all conversations are asked for their places, some hundred at a
//! time, of which only as many are kept as are wanted; then those of the page for what a list shows of them, a few at a
//! time, until the page is full. So what a list holds does not grow with the number of conversations, and no owner is
//! kept from its other work for long.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use switchyard_cluster::home::{ListAsk, ListFilter, Survey, SurveyWish, Surveyed, UnreadSum};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, Home};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::cursor::{Cursor, ListPlace};
use switchyard_protocol::id::ConversationId;
use switchyard_protocol::limits::{PAGE_BYTES_MAX, SUBSCRIPTIONS_MAX};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1;

use super::Effect;

/// Conversations that are asked for their places at a time: those that are not in memory are read for it, and others' reads
/// wait behind them, some milliseconds.
const PLACES_PER_ROUND: usize = 256;

/// Conversations that are asked for what a list shows of them at a time, each with a message of 64 KiB at worst.
pub(super) const LISTINGS_PER_ROUND: usize = 16;

/// A list that is not made by then is given up: its owners, or the store, do not answer.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(8);

/// What a list is made for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A page for this asker.
    Page { to: Asker, ask: Box<ListAsk> },
    /// How much is unread in all of them, for this asker.
    Unread { to: Asker },
    /// The newest conversations, for a session of this asker that wants all.
    Newest { to: Asker },
    /// These came and are to be told of.
    Came(Vec<ConversationId>),
    /// These are shown otherwise and are to be told of.
    Changed(Vec<ConversationId>),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum End {
    Page(v1::Listed),
    Newest(Vec<ConversationId>),
    Unread(UnreadSum),
    Listings(Vec<(ConversationId, v1::Listing)>),
    /// Some owner could not say, or did not.
    Failed,
}

/// All lists in the making.
#[derive(Debug, Default)]
pub(super) struct Lists {
    running: HashMap<u64, Running, foldhash::fast::RandomState>,
    next: u64,
    /// When each is given up, in the order in which they began.
    due: VecDeque<(Duration, u64)>,
}

/// One list.
#[derive(Debug)]
struct Running {
    home: Home,
    purpose: Purpose,
    filter: Arc<ListFilter>,
    /// Not asked yet: for its place at first, then for what is shown, those of the best places last.
    rest: Vec<ConversationId>,
    /// Asked and not answered.
    waiting: usize,
    /// The best places so far, or those of the page; in order between two rounds.
    places: Vec<ListPlace>,
    /// Places are known, and there are more behind.
    more: bool,
    placed: bool,
    listings: Vec<(ConversationId, v1::Listing)>,
    page: Page,
    unread: UnreadSum,
}

/// A page as far as it was put together.
#[derive(Debug, Default)]
struct Page {
    entries: Vec<v1::Listing>,
    bytes: usize,
    last: Option<ListPlace>,
}

impl Lists {
    /// When the next is to be given up.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.front().map(|(at, _)| *at)
    }

    /// A number for what owners are asked, never given twice.
    pub(super) fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Begins a list. What has nothing to ask for has ended already.
    pub(super) fn start(
        &mut self,
        now: Now,
        home: Home,
        purpose: Purpose,
        conversations: Vec<ConversationId>,
        out: &mut Vec<Effect>,
    ) -> Option<(Home, Purpose, End)> {
        let number = self.number();
        let filter = match &purpose {
            Purpose::Page { ask, .. } => Arc::new(ask.filter.clone()),
            Purpose::Unread { .. } | Purpose::Newest { .. } | Purpose::Came(_) | Purpose::Changed(_) => Arc::default(),
        };
        // Of these the places do not matter.
        let placed = matches!(purpose, Purpose::Came(_) | Purpose::Changed(_) | Purpose::Unread { .. });
        let running = Running {
            home,
            purpose,
            filter,
            rest: conversations,
            waiting: 0,
            places: Vec::new(),
            more: false,
            placed,
            listings: Vec::new(),
            page: Page::default(),
            unread: UnreadSum::default(),
        };
        self.running.insert(number, running);
        self.due.push_back((now.mono + GIVEN_UP_AFTER, number));
        self.go_on(number, out)
    }

    /// An owner has answered.
    pub(super) fn surveyed(&mut self, surveyed: Surveyed, out: &mut Vec<Effect>) -> Option<(Home, Purpose, End)> {
        let running = self.running.get_mut(&surveyed.number)?;
        if surveyed.unavailable {
            return self.end(surveyed.number, End::Failed);
        }
        running.waiting = running.waiting.saturating_sub(surveyed.asked);
        running.take_in(surveyed.places);
        running.listings.extend(surveyed.listings);
        running.unread = running.unread.plus(surveyed.unread);
        if running.waiting > 0 {
            return None;
        }
        running.round_is_over();
        self.go_on(surveyed.number, out)
    }

    /// A list whose time is over.
    pub(super) fn overdue(&mut self, now: Now) -> Option<(Home, Purpose, End)> {
        while self.due.front().is_some_and(|(at, _)| *at <= now.mono) {
            let (_, number) = self.due.pop_front()?;
            let ended = self.end(number, End::Failed);
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    /// Asks for the next round, or ends.
    fn go_on(&mut self, number: u64, out: &mut Vec<Effect>) -> Option<(Home, Purpose, End)> {
        let running = self.running.get_mut(&number)?;
        if let Some(survey) = running.next_round(number) {
            out.push(Effect::Tell(Box::new(RouterMessage::Survey(survey))));
            return None;
        }
        let end = running.finish();
        self.end(number, end)
    }

    fn end(&mut self, number: u64, end: End) -> Option<(Home, Purpose, End)> {
        let Running { home, purpose, .. } = self.running.remove(&number)?;
        // Those before it in line are over too, most of the time.
        while self.due.front().is_some_and(|(_, number)| !self.running.contains_key(number)) {
            self.due.pop_front();
        }
        Some((home, purpose, end))
    }
}

impl Running {
    /// What the user is who will be told; edges see to the rest.
    fn roles(&self) -> Roles {
        match &self.purpose {
            Purpose::Page { to, .. } | Purpose::Newest { to } | Purpose::Unread { to, .. } => to.roles,
            Purpose::Came(_) | Purpose::Changed(_) => Roles::SUPPORT,
        }
    }

    /// How many places are wanted.
    fn wanted(&self) -> usize {
        match &self.purpose {
            Purpose::Page { ask, .. } => ask.limit,
            Purpose::Newest { .. } => SUBSCRIPTIONS_MAX,
            Purpose::Came(_) | Purpose::Changed(_) | Purpose::Unread { .. } => 0,
        }
    }

    fn take_in(&mut self, places: Vec<ListPlace>) {
        let after = match &self.purpose {
            Purpose::Page { ask, .. } => ask.after,
            Purpose::Unread { .. } | Purpose::Newest { .. } | Purpose::Came(_) | Purpose::Changed(_) => None,
        };
        self.places.extend(places.into_iter().filter(|place| after.is_none_or(|after| *place > after)));
    }

    /// Everybody has answered: keeps what is wanted of it.
    fn round_is_over(&mut self) {
        if !self.placed {
            // One more than wanted tells that there are more.
            self.places.sort_unstable();
            self.places.truncate(self.wanted() + 1);
        } else if matches!(self.purpose, Purpose::Page { .. }) {
            self.fill_page();
        }
    }

    /// What to ask next.
    fn next_round(&mut self, number: u64) -> Option<Survey> {
        if !self.placed && self.rest.is_empty() {
            self.placed = true;
            self.more = self.places.len() > self.wanted();
            self.places.truncate(self.wanted());
            if matches!(self.purpose, Purpose::Page { .. }) {
                self.rest = self.places.iter().rev().map(|place| place.conversation).collect();
            }
        }
        if self.rest.is_empty() {
            return None;
        }
        let (most, wish) = if matches!(self.purpose, Purpose::Unread { .. }) {
            (PLACES_PER_ROUND, SurveyWish::Unread)
        } else if self.placed {
            (LISTINGS_PER_ROUND, SurveyWish::Listings)
        } else {
            (PLACES_PER_ROUND, SurveyWish::Places(Arc::clone(&self.filter)))
        };
        let conversations = self.rest.split_off(self.rest.len() - most.min(self.rest.len()));
        self.waiting = conversations.len();
        let (home, roles) = (self.home.clone(), self.roles());
        Some(Survey { home, number, roles, conversations, wish })
    }

    /// Puts what was asked for last behind what is in the page, as far as there is room.
    fn fill_page(&mut self) {
        let asked = self.places.len() - self.rest.len();
        let from = self.page.last.map_or(0, |last| self.places.partition_point(|place| *place <= last));
        for &place in self.places.get(from..asked).unwrap_or_default() {
            let found = self.listings.iter().position(|(conversation, _)| *conversation == place.conversation);
            if let Some(at) = found {
                let (_, mut entry) = self.listings.swap_remove(at);
                // Where it stands is as it was when all were asked: a page has one order.
                entry.activity_ms = place.activity_ms();
                let bytes = entry.encoded_len();
                if !self.page.entries.is_empty() && self.page.bytes + bytes > PAGE_BYTES_MAX {
                    self.more = true;
                    self.rest.clear();
                    break;
                }
                self.page.bytes += bytes;
                self.page.entries.push(entry);
            }
            self.page.last = Some(place);
        }
        self.listings.clear();
    }

    fn finish(&mut self) -> End {
        match &self.purpose {
            Purpose::Page { ask, .. } => {
                let list = ask.list;
                let Page { entries, last, .. } = std::mem::take(&mut self.page);
                let text = |place| Cursor { list, place }.to_text(&self.home.key.tenant, &self.home.user);
                // Where it ends is said in any case: an edge may have to cut it.
                End::Page(v1::Listed { conversations: entries, more: self.more, cursor: last.map(text) })
            }
            Purpose::Newest { .. } => End::Newest(self.places.iter().map(|place| place.conversation).collect()),
            Purpose::Unread { .. } => End::Unread(self.unread),
            Purpose::Came(_) | Purpose::Changed(_) => End::Listings(std::mem::take(&mut self.listings)),
        }
    }
}
