//! The judge: follows every request and every effect and compares them with what the store holds. It knows the promises
//! and nothing of how the machine keeps them.

mod annotations;
mod answers;
pub(crate) mod blocks;
mod finish;
mod gone;
pub(crate) mod homes;
mod marks;
pub(crate) mod presence;
mod reads;
mod refusals;
mod rights;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use switchyard_cluster::link::{Ask, Request};
use switchyard_cluster::party::{Asker, EdgeId};
use switchyard_cluster::presence::PresenceAsk;
use switchyard_protocol::id::{ConversationKey, UserId};
use switchyard_router::config::RouterConfig;
use switchyard_router::machine::Effect;
use switchyard_store::Seq;

use crate::ask::{Asked, Attempts, What};
use crate::disk::Disk;
use crate::profile::Profile;
use crate::standing::Rank;
use crate::timeline::{Entry, Timeline, said};

/// What an edge was granted of a conversation.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    /// The last number that went to it; nothing while it is not subscribed.
    last: Option<Seq>,
    /// When it last gave the subscription up.
    left: u64,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Oracle {
    disk: Arc<Disk>,
    config: RouterConfig,
    /// Whether the store may fail in this run, and reads may find a conversation gone from memory.
    faulty: bool,
    /// Whether it may say nothing for so long that nobody waits for it any longer.
    silent: bool,
    timelines: BTreeMap<ConversationKey, Timeline>,
    /// The newest number of each conversation that anybody was told.
    pub(crate) known: BTreeMap<ConversationKey, Seq>,
    /// The newest number that the machine of this epoch knows to be committed.
    committed: BTreeMap<ConversationKey, Seq>,
    asked: BTreeMap<(u64, u64), Asked>,
    pub(crate) ids: BTreeMap<(ConversationKey, UserId, String), Attempts>,
    /// The numbers of what each user newly sent, by the time at which the machine took it in.
    taken_in: BTreeMap<(ConversationKey, UserId), BTreeMap<u64, Seq>>,
    streams: BTreeMap<(EdgeId, ConversationKey), Stream>,
    marks: marks::Marks,
    pub(crate) homes: homes::Homes,
    pub(crate) blocks: blocks::Blocks,
    pub(crate) presence: presence::Presence,
    /// Conversations whose rows are older than the run: nobody asked for them.
    given: BTreeMap<ConversationKey, Seq>,
    clock: u64,
    /// The time of the present turn.
    pub(crate) now_us: u64,
    /// The latest time that the machine was told.
    pub(crate) wall_ms: u64,
    /// When the last process started; nobody has written since. Nothing before it.
    pub(crate) begins_ms: Option<u64>,
    pub(crate) violations: Vec<String>,
    /// How often each kind of thing was seen, to know that the runs reach it.
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl Oracle {
    pub(crate) fn new(disk: Arc<Disk>, profile: &Profile) -> Self {
        let faulty = profile.faults.any() || profile.config.idle_after.as_secs() < 60;
        Self {
            disk,
            config: profile.config.clone(),
            faulty,
            silent: profile.slow_one_in != u64::MAX,
            timelines: BTreeMap::new(),
            known: BTreeMap::new(),
            committed: BTreeMap::new(),
            asked: BTreeMap::new(),
            ids: BTreeMap::new(),
            taken_in: BTreeMap::new(),
            streams: BTreeMap::new(),
            marks: marks::Marks::default(),
            homes: homes::Homes::default(),
            blocks: blocks::Blocks::default(),
            presence: presence::Presence::default(),
            given: BTreeMap::new(),
            clock: 0,
            now_us: 0,
            wall_ms: 0,
            begins_ms: None,
            violations: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// A conversation that is there from the start.
    pub(crate) fn given(&mut self, key: &ConversationKey, head: Seq) {
        self.given.insert(key.clone(), head);
        self.sync(key);
        self.tell(key, head);
    }

    /// What the first attempt at a client id said or would have said of the head, and its text.
    pub(crate) fn first_attempt(&self, key: &ConversationKey, user: &UserId, client_id: &str) -> Option<(u64, String)> {
        let id = (key.clone(), user.clone(), client_id.to_owned());
        let attempts = self.ids.get(&id).cloned().or_else(|| self.past_attempt(&id))?;
        Some((attempts.since, attempts.bodies[0].1.clone()))
    }

    /// The attempt that stored a row before the run began.
    fn past_attempt(&self, (key, user, client_id): &(ConversationKey, UserId, String)) -> Option<Attempts> {
        let given = self.given.get(key)?;
        let timeline = self.timelines.get(key)?;
        let place = *timeline.ids.get(&(user.clone(), client_id.clone()))?.first()?;
        let (_, text, _) = said(&timeline.entries[place as usize].row);
        (place <= *given).then(|| Attempts {
            made: 1,
            stored: Some(place),
            low: place - 1,
            since: place - 1,
            bodies: vec![(0, text)],
            ..Attempts::default()
        })
    }

    /// A client makes a request.
    pub(crate) fn ask(&mut self, from: Asker, key: &ConversationKey, user: &UserId, what: What) {
        if matches!(what, What::Unsubscribe) {
            return;
        }
        let low = self.known.get(key).copied();
        self.marks.asked(key, user, &what);
        if let What::Send(send) = &what {
            let id = (key.clone(), user.clone(), send.client_id().to_owned());
            let first = || Attempts {
                low: low.unwrap_or(0),
                // One who names a head that nobody told them has to begin again.
                since: send.since.unwrap_or(u64::MAX).min(low.unwrap_or(0)),
                ..Attempts::default()
            };
            let past = self.past_attempt(&id);
            let attempts = self.ids.entry(id).or_insert_with(|| past.unwrap_or_else(first));
            attempts.made += 1;
            attempts.open += 1;
            attempts.bare |= send.since.is_none();
            attempts.bodies.push((send.kind.into(), send.text().to_owned()));
        }
        let asked = Asked { edge: from.edge, key: key.clone(), user: user.clone(), what, low, handed: 0 };
        let before = self.asked.insert((from.session, from.request), asked);
        assert!(before.is_none(), "the clients never use a request's id twice");
    }

    /// The machine takes a request in.
    pub(crate) fn hand(&mut self, request: &Request) {
        self.clock += 1;
        let from = request.from;
        if let Ask::Presence(PresenceAsk::Sessions(change)) = request.ask {
            self.presence.count(&request.key, change, self.now_us);
        }
        if matches!(request.ask, Ask::Watch(_)) {
            self.presence.hand(from, self.clock);
        }
        if matches!(request.ask, Ask::Home(_) | Ask::Presence(_) | Ask::Watch(_)) {
            return;
        }
        match self.asked.get_mut(&(from.session, from.request)) {
            Some(asked) => asked.handed = self.clock,
            None => {
                let stream = self.streams.entry((from.edge, request.key.clone())).or_default();
                *stream = Stream { last: None, left: self.clock };
            }
        }
    }

    /// The machine is told that a batch is committed; what follows from it was observed already. One batch may wait to be
    /// told with the next.
    pub(crate) fn hand_commit(&mut self, key: &ConversationKey, head: Seq) {
        if blocks::is_home(key) {
            return;
        }
        self.committed.insert(key.clone(), head);
        self.sync(key);
        let batch_first = self.entry(key, head).map_or(0, |entry| entry.row.first);
        let told = |last: Option<Seq>| last.is_none_or(|last| last == head || last + 1 == batch_first);
        let corked = |stream: &Stream| stream.last.is_some_and(|last| last != head && last + 1 == batch_first);
        if self.streams.iter().any(|((_, conversation), stream)| conversation == key && corked(stream)) {
            self.saw("corked");
        }
        let behind: Vec<_> = self
            .streams
            .iter()
            .filter(|((_, conversation), stream)| conversation == key && !told(stream.last))
            .map(|((edge, _), stream)| (*edge, stream.last))
            .collect();
        for (edge, last) in behind {
            self.violate(format!("{edge:?} has {last:?} of {} when {head} is committed", key.conversation));
        }
    }

    /// What the machine does.
    pub(crate) fn observe(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Answer { to, answer } => self.answer(*to, answer),
                Effect::Publish { edge, event } => self.publish(*edge, event),
                Effect::Marks { edge, now } => self.marks_told(*edge, now),
                Effect::Listed { edge, now } => self.home_tells(*edge, now),
                Effect::Presence { edge, now } => self.presence_told(*edge, now),
                Effect::Parted { edge, parted } => self.parted(*edge, parted),
                Effect::Decoy { .. } => self.saw("decoy"),
                Effect::Load { .. } => self.saw("load"),
                Effect::Project { projection, .. } if projection.clear => {}
                Effect::Project { projection, .. } if !projection.dropped.is_empty() => self.saw("listed anew"),
                _ => {}
            }
        }
    }

    /// The process was killed: what was asked gets no answer any more.
    pub(crate) fn crash(&mut self) {
        for (_, asked) in std::mem::take(&mut self.asked) {
            if let What::Send(send) = &asked.what {
                let attempts = self.attempts(&asked, send.client_id());
                attempts.open -= 1;
                attempts.unknown += 1;
            }
        }
        self.marks.crash();
        self.streams.clear();
        self.homes.crash();
        self.blocks.crash();
        self.presence.crash();
        self.committed.clear();
        let keys: Vec<_> = self.timelines.keys().cloned().collect();
        for key in keys {
            self.sync(&key);
            let head = self.head(&key);
            if self.known.get(&key).copied() > head {
                self.violate(format!("{}: what was acknowledged is gone: {head:?}", key.conversation));
            }
        }
        self.saw("crash");
    }

    fn attempts(&mut self, asked: &Asked, client_id: &str) -> &mut Attempts {
        let id = (asked.key.clone(), asked.user.clone(), client_id.to_owned());
        self.ids.get_mut(&id).expect("it was asked")
    }

    fn tell(&mut self, key: &ConversationKey, seq: Seq) {
        let known = self.known.entry(key.clone()).or_insert(seq);
        *known = (*known).max(seq);
    }

    /// Reads what is new in the store, and checks what can be told of each new row alone.
    pub(crate) fn sync(&mut self, key: &ConversationKey) {
        let disk = Arc::clone(&self.disk);
        let inner = disk.inner();
        let timeline = self.timelines.entry(key.clone()).or_default();
        let Some(rows) = inner.rows.get(key) else {
            timeline.sync(key, &[]);
            return;
        };
        if timeline.entries.len() == rows.blobs.len() {
            return;
        }
        let from = timeline.sync(key, &rows.blobs) as u64;
        let given = self.given.get(key).map_or(0, |head| head + 1);
        for seq in from.max(given)..rows.blobs.len() as u64 {
            self.new_row(key, seq);
        }
    }

    fn new_row(&mut self, key: &ConversationKey, seq: Seq) {
        let entry = &self.timelines[key].entries[seq as usize];
        let before = seq.checked_sub(1).map(|before| &self.timelines[key].entries[before as usize]);
        let sender = crate::timeline::user(entry.row.sender());
        if let Some(wrong) = before.and_then(|before| rights::wrong(before, entry, &sender)) {
            return self.violate(format!("row {seq} of {} by {sender}: {wrong}", key.conversation));
        }
        let took_part = entry.desk() && before.is_some_and(|before| before.role(&sender).is_none());
        let (took_part, system) = (took_part && entry.role(&sender).is_some(), entry.is_system());
        let ended = before.is_some_and(|before| before.rank(&sender) == Rank::Ends);
        for (what, so) in [("took part", took_part), ("system", system), ("closed by admin", ended)] {
            if so {
                self.saw(what);
            }
        }
        let entry = &self.timelines[key].entries[seq as usize];
        if !entry.is_message() {
            if let Some(wrong) = self.wrong_annotation(key, seq) {
                self.violate(format!("row {seq} of {} by {sender}: {wrong}", key.conversation));
            }
            return;
        }
        let client_id = entry.row.client_id().to_owned();
        let (kind, text, _) = said(&entry.row);
        let body = (kind, text);
        let places = self.timelines[key].ids[&(sender.clone(), client_id.clone())].clone();
        let (now, earlier) = places.split_last().expect("this row is one");
        let attempts = self.ids.get(&(key.clone(), sender.clone(), client_id.clone()));
        let mut wrong = Vec::new();
        match attempts {
            None => wrong.push("nobody sent it".to_owned()),
            Some(attempts) => {
                if !attempts.bodies.contains(&body) {
                    wrong.push("nobody sent this body".to_owned());
                }
                if attempts.open + attempts.unknown == 0 && attempts.stored.is_none() {
                    wrong.push("every attempt was refused".to_owned());
                }
                let beyond = |place: Seq| attempts.bare && now - place > 1_000;
                if !earlier.iter().all(|&place| beyond(place)) {
                    wrong.push(format!("it is stored already: {earlier:?}"));
                }
            }
        }
        for wrong in wrong {
            self.violate(format!("message {seq} of {} ({sender} {client_id}): {wrong}", key.conversation));
        }
    }

    /// The newest number that is certain to survive.
    fn head(&self, key: &ConversationKey) -> Option<Seq> {
        self.disk.inner().rows.get(key).and_then(|rows| rows.durable.checked_sub(1))
    }

    fn entry(&self, key: &ConversationKey, seq: Seq) -> Option<&Entry> {
        self.timelines.get(key).and_then(|timeline| timeline.entries.get(seq as usize))
    }

    /// Whether this holds at some state that the conversation had between the request and now; `None` is the state
    /// before it was founded.
    fn at_some_time(&self, asked: &Asked, holds: impl Fn(Option<(Seq, &Entry)>) -> bool) -> bool {
        let high = self.head(&asked.key);
        if asked.low.is_none() && holds(None) {
            return true;
        }
        let Some(high) = high else { return false };
        (asked.low.unwrap_or(0)..=high)
            .any(|seq| self.entry(&asked.key, seq).is_some_and(|entry| holds(Some((seq, entry)))))
    }

    /// Below this number rows may be gone by the retention that is configured.
    fn may_be_gone_below(&self, key: &ConversationKey) -> Seq {
        let (counted, aged) = self.gone_below(key, self.wall_ms);
        counted.max(aged)
    }

    /// Below these numbers the retention that is configured keeps nothing at this time: for there are more events, and for
    /// they are older. Runs of a thousand go, and never one that holds any of the newest thousand.
    fn gone_below(&self, key: &ConversationKey, wall_ms: u64) -> (Seq, Seq) {
        let Some(entry) = self.entry(key, 0) else { return (1, 1) };
        let rule = if entry.has_roles() { self.config.retention.group } else { self.config.retention.direct };
        let head = self.head(key).unwrap_or(0);
        let counted = rule.events_max.map_or(1, |keep| (head.saturating_sub(keep.max(1_000)) / 1_000 * 1_000).max(1));
        let runs = (1..=head.saturating_sub(1_000) / 1_000).map(|run| run * 1_000);
        let old = |below: &Seq| {
            let age_ms = wall_ms.checked_sub(self.entry(key, below - 1).map_or(u64::MAX, |last| last.row.time_ms));
            rule.age_max.is_some_and(|max| age_ms.is_some_and(|age_ms| u128::from(age_ms) > max.as_millis()))
        };
        (counted, runs.take_while(old).last().unwrap_or(1))
    }
}
