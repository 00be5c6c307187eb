//! How many members of a conversation are online. Whoever asks has the owner ask the members' homes, a thousand members at a
//! time; as long as somebody wants to know, it asks again as often as somebody may have gone, and tells another number.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use switchyard_cluster::link::Answer;
use switchyard_cluster::now::Now;
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::presence::{Census, Counted, PresenceNow, Seen};
use switchyard_cluster::routers::RouterMessage;
use switchyard_protocol::id::{ConversationKey, UserId};

use crate::machine::rights::sight::Sight;
use crate::machine::{Effect, Machine, busy, refuse};

/// Members whose homes are asked about at a time: some hundred microseconds of work.
const USERS_PER_ROUND: usize = 1_000;

/// Sessions that may wait for the first number of one conversation. One that waits more asks again.
const WAITING_MAX: usize = 1_000;

/// All conversations that are counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    counted: HashMap<ConversationKey, Counting, foldhash::fast::RandomState>,
    /// When each is counted next.
    due: BTreeSet<(Duration, ConversationKey)>,
    next: u64,
}

/// A conversation that is counted.
#[derive(Debug)]
struct Counting {
    edges: Vec<EdgeId>,
    /// What all of these were sent last.
    told: Option<u64>,
    waiting: Vec<Asker>,
    due_at: Duration,
    running: Option<Running>,
}

/// A count under way.
#[derive(Debug)]
struct Running {
    number: u64,
    /// Members up to this one were asked about.
    through: Option<UserId>,
    /// Asked about and not answered.
    left: usize,
    online: u64,
}

impl Counts {
    pub(super) fn len(&self) -> usize {
        self.counted.len()
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether the conversation is new among those that are counted.
    fn ask(&mut self, now: Now, key: &ConversationKey, to: Asker, out: &mut Vec<Effect>) {
        let counting = self.counted.entry(key.clone()).or_insert_with(|| {
            self.due.insert((now.mono, key.clone()));
            Counting { edges: Vec::new(), told: None, waiting: Vec::new(), due_at: now.mono, running: None }
        });
        if !counting.edges.contains(&to.edge) {
            counting.edges.push(to.edge);
        }
        match counting.told {
            Some(online) => out.push(answer(key, to, online)),
            None if counting.waiting.len() < WAITING_MAX => counting.waiting.push(to),
            None => refuse(to, busy("too many requests wait for this count"), out),
        }
    }

    /// No session of this edge wants to know any more. `true`: nobody does.
    fn end(&mut self, key: &ConversationKey, edge: EdgeId, out: &mut Vec<Effect>) -> bool {
        let Some(counting) = self.counted.get_mut(key) else { return false };
        counting.edges.retain(|other| *other != edge);
        let over = |to: &mut Asker| to.edge == edge;
        for to in counting.waiting.extract_if(.., over) {
            refuse(to, busy("it was given up"), out);
        }
        if !counting.edges.is_empty() {
            return false;
        }
        self.forget(key, out);
        true
    }

    fn forget(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(counting) = self.counted.remove(key) else { return };
        self.due.remove(&(counting.due_at, key.clone()));
        for to in counting.waiting {
            refuse(to, busy("the members are not known now"), out);
        }
    }

    /// The next that is due; counting it begins, and the time after this one is set.
    fn begin(&mut self, now: Now, again_after: Duration) -> Option<ConversationKey> {
        self.due.first().filter(|(at, _)| *at <= now.mono)?;
        let (_, key) = self.due.pop_first()?;
        let counting = self.counted.get_mut(&key)?;
        // Whatever was under way and was not answered is begun anew.
        counting.running = Some(Running { number: self.next, through: None, left: 0, online: 0 });
        self.next += 1;
        counting.due_at = now.mono + again_after;
        self.due.insert((counting.due_at, key.clone()));
        Some(key)
    }

    /// Whether they see each other is different now: it is counted again.
    pub(super) fn again(&mut self, key: &ConversationKey) {
        if let Some(counting) = self.counted.get_mut(key) {
            self.due.remove(&(counting.due_at, key.clone()));
            counting.due_at = Duration::ZERO;
            self.due.insert((Duration::ZERO, key.clone()));
        }
    }

    /// A router has answered. `true`: all have.
    fn counted(&mut self, counted: &Counted) -> bool {
        let running = self.counted.get_mut(&counted.key).and_then(|counting| counting.running.as_mut());
        let Some(running) = running.filter(|running| running.number == counted.number) else { return false };
        running.online += counted.online;
        running.left = running.left.saturating_sub(counted.asked);
        running.left == 0
    }

    /// Everybody was asked about.
    fn finish(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let Some(counting) = self.counted.get_mut(key) else { return };
        let Some(Running { online, .. }) = counting.running.take() else { return };
        for to in std::mem::take(&mut counting.waiting) {
            out.push(answer(key, to, online));
        }
        let before = counting.told.replace(online);
        if before.is_some_and(|before| before != online) {
            for &edge in &counting.edges {
                out.push(Effect::Presence { edge, now: now(key, online) });
            }
        }
    }
}

fn now(key: &ConversationKey, online: u64) -> Box<PresenceNow> {
    Box::new(PresenceNow { key: key.clone(), seen: Seen::Online(online) })
}

fn answer(key: &ConversationKey, to: Asker, online: u64) -> Effect {
    Effect::Answer { to, answer: Answer::Presence { now: now(key, online), of_two: false } }
}

impl Machine {
    /// A member's session wants to know how many are online.
    pub(in crate::machine) fn count_online(
        &mut self,
        now: Now,
        from: Asker,
        key: &ConversationKey,
        out: &mut Vec<Effect>,
    ) {
        if let Some(conversation) = self.loaded_mut(key) {
            conversation.counted = true;
            self.presence.counts.ask(now, key, from, out);
        }
    }

    /// No session of this edge wants to know that any more.
    pub(in crate::machine) fn end_count(&mut self, key: &ConversationKey, edge: EdgeId, out: &mut Vec<Effect>) {
        if self.presence.counts.end(key, edge, out)
            && let Some(conversation) = self.loaded_mut(key)
        {
            conversation.counted = false;
        }
    }

    /// A router has said how many of some members are online.
    pub(in crate::machine) fn counted(&mut self, counted: &Counted, out: &mut Vec<Effect>) {
        if self.presence.counts.counted(counted) {
            self.count_on(&counted.key, out);
        }
    }

    /// Counts what is due.
    pub(super) fn tick_counts(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(key) = self.presence.counts.begin(now, self.config.offline_after) {
            self.count_on(&key, out);
        }
    }

    /// Asks about the next members, or tells what came of it.
    fn count_on(&mut self, key: &ConversationKey, out: &mut Vec<Effect>) {
        let counting = self.presence.counts.counted.get(key);
        let Some(running) = counting.and_then(|counting| counting.running.as_ref()) else { return };
        let (number, through) = (running.number, running.through.clone());
        // One that is counted stays in memory.
        let Some(conversation) = self.loaded_mut(key) else { return self.presence.counts.forget(key, out) };
        let sees = conversation.state.sight() == Sight::Each;
        let members = conversation.state.members.after(through.as_ref()).iter().take(USERS_PER_ROUND);
        let users: Vec<UserId> = members.filter(|_| sees).map(|member| member.user.clone()).collect();
        let counting = self.presence.counts.counted.get_mut(key);
        let Some(running) = counting.and_then(|counting| counting.running.as_mut()) else { return };
        match users.last() {
            // Whoever asks is there, and sees nobody else.
            None if !sees => {
                running.online = 1;
                self.presence.counts.finish(key, out);
            }
            Some(last) => {
                (running.through, running.left) = (Some(last.clone()), users.len());
                out.push(Effect::Tell(Box::new(RouterMessage::Census(Census { key: key.clone(), number, users }))));
            }
            None => self.presence.counts.finish(key, out),
        }
    }
}
