//! A home tells owners whom its user has blocked: those of conversations that both are in, as the listings say that are read
//! after the block was written. Whoever asked is answered once all of them know it and nothing is under way there that did
//! not. One that takes too long leaves that unknown, and the same may be asked again: it does no harm.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use switchyard_cluster::home::{BlockNow, Survey, SurveyWish, Surveyed};
use switchyard_cluster::link::Refusal;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::code::ErrorCode;
use switchyard_protocol::id::{ConversationId, ConversationKey, UserId};
use switchyard_protocol::roles::Roles;
use switchyard_protocol::v1::{self, reply};

use super::{Homes, Kept};
use crate::machine::ticket::Ticket;
use crate::machine::{Effect, ReadFailed, ReadPlan, refuse, succeed};

/// Owners that have not confirmed by then do not answer, or their store does not.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);

const NOT_KNOWN: Refusal = Refusal::new(
    ErrorCode::UnknownOutcome,
    "whether this holds in all your conversations yet is not known: ask for it again",
);

/// Everything that is being told.
#[derive(Debug, Default)]
pub(super) struct Tellings {
    running: HashMap<u64, Telling, foldhash::fast::RandomState>,
    /// When each is given up, in the order in which they began.
    due: VecDeque<(Duration, u64)>,
}

/// One block, or the end of one.
#[derive(Debug)]
struct Telling {
    home: ConversationKey,
    /// Whom it is about.
    user: UserId,
    to: Option<Asker>,
    /// Conversations whose owners have not confirmed; of a block each confirms twice.
    left: usize,
    /// Those that took it.
    took: Vec<ConversationId>,
}

impl Tellings {
    /// When the next is to be given up.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.front().map(|(at, _)| *at)
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.running.contains_key(&number)
    }

    fn end(&mut self, number: u64) -> Option<Telling> {
        let telling = self.running.remove(&number)?;
        // Those before it in line are over too, most of the time.
        while self.due.front().is_some_and(|(_, number)| !self.running.contains_key(number)) {
            self.due.pop_front();
        }
        Some(telling)
    }

    fn overdue(&mut self, now: Now) -> Option<Telling> {
        while self.due.front().is_some_and(|(at, _)| *at <= now.mono) {
            let (_, number) = self.due.pop_front()?;
            if let Some(telling) = self.end(number) {
                return Some(telling);
            }
        }
        None
    }
}

impl Homes {
    /// Begins to tell how it stands with this user.
    pub(super) fn tell_block(
        &mut self,
        now: Now,
        key: &ConversationKey,
        user: UserId,
        to: Option<Asker>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Kept { home, own: Some(own), telling, .. }) = self.kept.get_mut(key) else { return };
        if own.decided.head().is_none() {
            // Nobody was ever blocked, so nobody has to learn that one is not.
            if let Some(to) = to {
                succeed(to, reply::Result::Done(v1::Done {}), out);
            }
            return;
        }
        *telling += 1;
        let number = self.lists.number();
        let plan = ReadPlan::Shared { user: home.user.clone(), other: user.clone() };
        let running = Telling { home: key.clone(), user, to, left: 0, took: Vec::new() };
        self.tellings.running.insert(number, running);
        self.tellings.due.push_back((now.mono + GIVEN_UP_AFTER, number));
        let ticket = Box::new(Ticket::Shared { home: key.clone(), number });
        out.push(Effect::Read { key: key.clone(), ticket, plan });
    }

    /// Which conversations both are in was read.
    pub(in crate::machine) fn shared_read(
        &mut self,
        now: Now,
        number: u64,
        shared: Result<Vec<ConversationId>, ReadFailed>,
        out: &mut Vec<Effect>,
    ) {
        let Some(telling) = self.tellings.running.get_mut(&number) else { return };
        let Some(Kept { home, own: Some(own), .. }) = self.kept.get(&telling.home) else { return };
        let (Ok(conversations), Some(at)) = (shared, own.decided.head()) else {
            let ended = self.tellings.end(number);
            return self.told(now, ended, Err(NOT_KNOWN), out);
        };
        if conversations.is_empty() {
            let ended = self.tellings.end(number);
            return self.told(now, ended, Ok(()), out);
        }
        // As it stands by now: what is asked for later is told later.
        let blocked = own.decided.blocked.contains(&telling.user);
        // By way of both homes: see `RouterMessage::Part`.
        telling.left = conversations.len() * if blocked { 2 } else { 1 };
        let wish = SurveyWish::Know(BlockNow { user: telling.user.clone(), at, blocked });
        let survey = Survey { home: home.clone(), number, roles: Roles::NONE, conversations, wish };
        out.push(Effect::Tell(Box::new(RouterMessage::Survey(survey))));
    }

    /// Owners have confirmed.
    pub(super) fn confirmed(&mut self, now: Now, surveyed: &Surveyed, out: &mut Vec<Effect>) {
        let Some(telling) = self.tellings.running.get_mut(&surveyed.number) else { return };
        // What could not be loaded reads it when it is loaded next: that counts like a word that it knows.
        telling.left = telling.left.saturating_sub(surveyed.asked);
        telling.took.extend(surveyed.places.iter().map(|place| place.conversation));
        if telling.left == 0 {
            let ended = self.tellings.end(surveyed.number);
            self.told(now, ended, Ok(()), out);
        }
    }

    /// Gives up what takes too long.
    pub(super) fn give_up_telling(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(overdue) = self.tellings.overdue(now) {
            self.told(now, Some(overdue), Err(NOT_KNOWN), out);
        }
    }

    fn told(&mut self, now: Now, telling: Option<Telling>, outcome: Result<(), Refusal>, out: &mut Vec<Effect>) {
        let Some(Telling { home, to, took, .. }) = telling else { return };
        match (to, outcome) {
            (Some(to), Ok(())) => succeed(to, reply::Result::Done(v1::Done {}), out),
            (Some(to), Err(refusal)) => refuse(to, refusal, out),
            (None, _) => {}
        }
        if let Some(kept) = self.kept.get_mut(&home) {
            kept.telling = kept.telling.saturating_sub(1);
        }
        self.show_changed(now, &home, took, out);
    }
}
