//! What homes ask owners about a user's conversations: when the newest event was, and what a list shows. A conversation
//! that is not in memory is read for it and let go again, unless somebody else needs it. Whoever is no member finds
//! nothing: it is as if the conversation had not been asked for.

use std::collections::HashMap;

use switchyard_cluster::home::{BlockNow, ListFilter, Survey, SurveyWish, Surveyed, UnreadSum};
use switchyard_cluster::link::PageFrom;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Home;
use switchyard_cluster::presence::{Part, Parted};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::cursor::ListPlace;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, ConversationState};

use crate::machine::conversation::State;
use crate::machine::conversation::members::Member;
use crate::machine::rights::kinds::Shape;
use crate::machine::ticket::Ticket;
use crate::machine::writing::annotate::freshen;
use crate::machine::{Effect, Loading, Machine, ReadFailed, ReadPlan, Reader, Slot};

/// Surveys that wait for conversations to be read.
#[derive(Debug, Default)]
pub(in crate::machine) struct Surveys {
    open: HashMap<u64, Open, foldhash::fast::RandomState>,
    next: u64,
}

/// A survey, and what is known for it.
#[derive(Debug)]
struct Open {
    wish: SurveyWish,
    /// What the user is.
    roles: Roles,
    /// Conversations that are not looked at yet.
    left: usize,
    answer: Surveyed,
}

/// What a look at one conversation comes to.
enum Found {
    Nothing,
    Place(ListPlace),
    Listing(Box<v1::Listing>),
    Unread(UnreadSum),
    Unavailable,
}

impl Surveys {
    pub(in crate::machine) fn len(&self) -> usize {
        self.open.len()
    }

    fn begin(&mut self, survey: &Survey) -> u64 {
        let number = self.next;
        self.next += 1;
        let asked = survey.conversations.len();
        let answer = Surveyed {
            home: survey.home.clone(),
            number: survey.number,
            asked,
            unavailable: false,
            places: Vec::new(),
            listings: Vec::new(),
            unread: UnreadSum::default(),
        };
        self.open.insert(number, Open { wish: survey.wish.clone(), roles: survey.roles, left: asked, answer });
        number
    }

    /// One conversation was looked at; the last one sends the answer.
    fn found(&mut self, number: u64, conversation: ConversationId, found: Found, out: &mut Vec<Effect>) {
        let Some(open) = self.open.get_mut(&number) else { return };
        match found {
            Found::Nothing => {}
            Found::Place(place) => open.answer.places.push(place),
            Found::Listing(listing) => open.answer.listings.push((conversation, *listing)),
            Found::Unread(sum) => open.answer.unread = open.answer.unread.plus(sum),
            Found::Unavailable => open.answer.unavailable = true,
        }
        open.left = open.left.saturating_sub(1);
        if open.left == 0
            && let Some(Open { wish, answer, .. }) = self.open.remove(&number)
        {
            match wish {
                SurveyWish::Know(BlockNow { user, blocked: true, .. }) => part(user, answer, out),
                _ => out.push(Effect::Tell(Box::new(RouterMessage::Surveyed(answer)))),
            }
        }
    }
}

/// A home's user has blocked this one, and what was asked about knows it: so neither watches the other any more by way of any of
/// that. Each home is told behind whatever was vouched for before, and confirms that it told its edges.
fn part(user: UserId, mut answer: Surveyed, out: &mut Vec<Effect>) {
    let by = answer.home.clone();
    let other = Home { key: ConversationKey::home(&by.key.tenant, &user), user };
    for (home, watcher) in [(by.clone(), other.user.clone()), (other, by.user)] {
        let part = Part { parted: Parted { home, watcher }, then: answer.clone() };
        out.push(Effect::Tell(Box::new(RouterMessage::Part(Box::new(part)))));
        // Which of them took it is said once.
        answer.places.clear();
    }
}

impl State {
    /// The other one of a conversation of two.
    fn peer(&self, user: &UserId) -> Option<&UserId> {
        if self.profile.shape() != Shape::Pair {
            return None;
        }
        self.members.after(None).iter().map(|member| &member.user).find(|other| *other != user)
    }

    /// What a user's total counts of it.
    fn unread_sum(&self, place: usize, member: &Member) -> UnreadSum {
        if self.is_unseen(place) {
            let waits = self.listed_as() == ConversationState::Pending;
            return UnreadSum { requests: u64::from(waits), ..UnreadSum::default() };
        }
        let messages = self.unread(&member.progress);
        UnreadSum { messages, conversations: u64::from(messages > 0), requests: 0 }
    }

    fn passes(&self, filter: &ListFilter, user: &UserId) -> bool {
        let called = || match self.profile.shape() {
            Shape::Pair => self.peer(user).map(UserId::as_str),
            Shape::Group | Shape::Desk => self.profile.name.as_deref(),
        };
        filter.kind.is_none_or(|kind| kind == self.profile.kind)
            && filter.state.is_none_or(|state| state == self.listed_as())
            && filter.name.as_ref().is_none_or(|part| called().is_some_and(|name| name.to_lowercase().contains(part)))
    }
}

impl Machine {
    /// A home asks.
    pub(in crate::machine) fn survey(&mut self, now: Now, survey: Survey, out: &mut Vec<Effect>) {
        let number = self.surveys.begin(&survey);
        let Home { key: ConversationKey { tenant, .. }, .. } = survey.home;
        for conversation in survey.conversations {
            let key = ConversationKey { tenant: tenant.clone(), conversation };
            match self.slots.get_mut(&key) {
                Some(Slot::Loaded(_)) => self.look(&key, number, out),
                Some(Slot::Loading(loading)) => {
                    loading.surveys.push(number);
                    if matches!(survey.wish, SurveyWish::Know(_)) {
                        // Whoever has blocked somebody waits for that.
                        loading.hurry(&key, out);
                    }
                }
                // What is not in memory is read with what homes know.
                Some(Slot::Parked(_)) | None if matches!(survey.wish, SurveyWish::Know(_)) => {
                    self.surveys.found(number, conversation, Found::Nothing, out);
                }
                Some(Slot::Parked(edges)) => {
                    let edges = std::mem::take(edges);
                    self.load_for(now, key, number, edges, out);
                }
                None => self.load_for(now, key, number, Vec::new(), out),
            }
        }
    }

    /// Reads a conversation for a survey.
    fn load_for(
        &mut self,
        now: Now,
        key: ConversationKey,
        number: u64,
        edges: Vec<switchyard_cluster::party::EdgeId>,
        out: &mut Vec<Effect>,
    ) {
        let cutoffs = self.config.retention.cutoffs(now.wall_ms);
        out.push(Effect::Load { key: key.clone(), cutoffs });
        self.slots.insert(key, Slot::Loading(Box::new(Loading { edges, surveys: vec![number], ..Loading::default() })));
    }

    /// Looks at a conversation that is in memory.
    pub(in crate::machine) fn look(&mut self, key: &ConversationKey, number: u64, out: &mut Vec<Effect>) {
        let Some(open) = self.surveys.open.get(&number) else { return };
        if let SurveyWish::Know(now) = &open.wish {
            let (user, now) = (open.answer.home.user.clone(), now.clone());
            return self.know(key, number, &user, &now, out);
        }
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        let (state, user) = (&conversation.state, &open.answer.home.user);
        let place = state.members.place(user);
        let found = match place.and_then(|place| Some((place, state.members.at(place)?))) {
            None => Found::Nothing,
            Some((_, member)) if !state.standing_of(Some(member), open.roles).reads() => Found::Nothing,
            Some((place, member)) => match &open.wish {
                SurveyWish::Unread => Found::Unread(state.unread_sum(place, member)),
                SurveyWish::Places(filter) if !state.passes(filter, user) => Found::Nothing,
                SurveyWish::Places(_) => Found::Place(ListPlace::new(state.time_ms, key.conversation)),
                SurveyWish::Know(_) => Found::Nothing,
                SurveyWish::Listings => {
                    let listing = Box::new(v1::Listing {
                        conversation: Some(state.detail(key, user)),
                        last: None,
                        activity_ms: state.time_ms,
                        peer: state.peer(user).map(UserId::to_string),
                    });
                    if state.head() > 0 {
                        let (first, head) = (state.first_available, state.head());
                        let reader = Reader { user: user.clone(), annotated: state.profile.annotated };
                        let plan = ReadPlan::Messages { from: PageFrom::Newest, limit: 1, first, head, reader };
                        let read = conversation.pipeline().targets.begin_read();
                        let ticket = Box::new(Ticket::Last { survey: number, key: key.clone(), read, listing });
                        out.push(Effect::Read { key: key.clone(), ticket, plan });
                        return;
                    }
                    Found::Listing(listing)
                }
            },
        };
        self.surveys.found(number, key.conversation, found, out);
    }

    /// A home says whom its user has blocked. It is confirmed once no batch is under way that was made before.
    fn know(&mut self, key: &ConversationKey, number: u64, user: &UserId, now: &BlockNow, out: &mut Vec<Effect>) {
        let Some(Slot::Loaded(conversation)) = self.slots.get_mut(key) else { return };
        if !conversation.know(user, now) {
            return self.surveys.found(number, key.conversation, Found::Nothing, out);
        }
        if now.blocked && conversation.typed {
            conversation.typed = self.typing.end_all(key);
        }
        if conversation.counted {
            self.presence.count_again(key);
        }
        match &mut conversation.pipeline {
            Some(pipeline) if pipeline.in_flight.is_some() => pipeline.surveys.push(number),
            _ => self.confirm(key, number, out),
        }
    }

    /// Nothing is under way any more that did not know what a home said.
    pub(in crate::machine) fn confirm(&mut self, key: &ConversationKey, number: u64, out: &mut Vec<Effect>) {
        let Some(conversation) = self.loaded_mut(key) else { return };
        // What was stored before is told before.
        conversation.uncork(out);
        let place = ListPlace::new(conversation.state.time_ms, key.conversation);
        self.surveys.found(number, key.conversation, Found::Place(place), out);
    }

    /// A conversation that surveys wait for could not be read.
    pub(in crate::machine) fn not_looked_at(
        &mut self,
        key: &ConversationKey,
        surveys: Vec<u64>,
        failed: ReadFailed,
        out: &mut Vec<Effect>,
    ) {
        for number in surveys {
            let found = match failed {
                ReadFailed::Unavailable => Found::Unavailable,
                // One damaged conversation does not take the others from its members.
                ReadFailed::Corrupt => Found::Nothing,
            };
            self.surveys.found(number, key.conversation, found, out);
        }
    }

    /// The newest message was read.
    pub(in crate::machine) fn last_read(
        &mut self,
        survey: u64,
        key: &ConversationKey,
        mut listing: Box<v1::Listing>,
        result: Result<Vec<v1::Message>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let found = match result {
            Err(ReadFailed::Unavailable) => Found::Unavailable,
            Err(ReadFailed::Corrupt) => Found::Listing(listing),
            Ok(mut messages) => {
                let user = self.surveys.open.get(&survey).map(|open| open.answer.home.user.clone());
                match (self.loaded_mut(key), user) {
                    // It was read for somebody who is no member any more.
                    (Some(conversation), Some(user)) if conversation.state.members.get(&user).is_none() => {
                        Found::Nothing
                    }
                    (Some(conversation), Some(user)) => {
                        freshen(conversation, &user, messages.iter_mut());
                        listing.last = messages.into_iter().next();
                        Found::Listing(listing)
                    }
                    // It left memory meanwhile, which takes much longer than a read.
                    _ => Found::Unavailable,
                }
            }
        };
        self.surveys.found(survey, key.conversation, found, out);
    }
}
