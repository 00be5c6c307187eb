//! What a process does with what comes to it: the real code decides who may, and conversations are served by that.

use std::collections::VecDeque;
use std::time::Duration;

use switchyard_cluster::ownership::{Effect, Event};
use switchyard_protocol::owner::Epoch;
use switchyard_protocol::shard::Shard;
use switchyard_router::driver::ownership::ask;
use switchyard_store::ReadError;
use switchyard_store::quorum::Replicas;

use super::conversation::Conversation;
use super::judge::Broken;
use super::places::{Input, Message, Process};
use super::plan::{MS, PLACES, SECOND, Time};
use super::rows::Body;
use super::rules::Removed;
use super::work::{Desk, Done, Loaded, Whose};
use super::world::{Happening, SHARDS_USED, World, shard_of};

impl World {
    /// The process at this place, where one runs.
    pub(crate) fn process(&mut self, place: usize) -> Option<&mut Process> {
        self.places[place].process.as_mut()
    }

    /// Something comes; it waits while the process does not run.
    pub(crate) fn comes(&mut self, place: usize, process: u64, input: Input) {
        if self.process(place).is_none_or(|running| running.number != process) {
            return;
        }
        if self.places[place].paused {
            self.places[place].inbox.push_back(input);
        } else {
            self.input(place, input);
        }
    }

    pub(crate) fn wake(&mut self, place: usize, process: u64) {
        let now = self.now;
        let Some(running) = self.process(place).filter(|running| running.number == process) else { return };
        // One that was set for later since then is another one's.
        if running.wake_at <= now {
            running.wake_at = Time::MAX;
            if !self.places[place].paused {
                self.machine(place, Event::Tick);
            }
        }
    }

    pub(crate) fn input(&mut self, place: usize, input: Input) {
        match input {
            Input::Machine(event) => self.machine(place, event),
            Input::Replied(id, reply) => self.replied(place, id, reply),
            Input::Send { conversation, message } => self.sent(place, conversation, message),
            Input::Trim { conversation } => self.trim(place, conversation),
            Input::Evict { conversation } => self.evict(place, conversation),
            Input::Erase { conversation } => self.erase(place, conversation),
            Input::Ask { conversation } => self.asked(place, conversation),
            Input::Subscribe { edge, conversation, after, question } => {
                self.subscribed(place, edge, conversation, after, question);
            }
            Input::StopDeadline(shard, epoch) => {
                let stopping = self.process(place).and_then(|process| process.stopping.remove(&shard));
                if stopping == Some(epoch) {
                    self.see("moves that leave something unknown");
                    self.machine(place, Event::ShardStopped { shard, epoch });
                }
            }
        }
    }

    /// Tells the real code of something, and does what it wants done.
    pub(crate) fn machine(&mut self, place: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut effects = Vec::new();
        while let Some(event) = events.pop_front() {
            let now = self.places[place].now(self.now);
            let Some(process) = self.process(place) else { return };
            process.machine.handle(now, event, &mut effects);
            for effect in effects.drain(..) {
                if self.is_traced() {
                    let line = format!("place {place}: {effect:?}");
                    self.tell(format_args!("{line}"));
                }
                self.effect(place, effect, &mut events);
            }
        }
        self.tell_store(place);
        let due = self.process(place).map(|process| process.machine.wakes_at());
        let Some(due) = due else { return };
        let at = self.places[place].truth(due).max(self.now);
        if let Some(process) = self.process(place)
            && at < process.wake_at
        {
            process.wake_at = at;
            let number = process.number;
            self.at(at, Happening::Wake { place, process: number });
        }
    }

    /// What the store of a process has to know of it, and whoever answers there.
    fn tell_store(&mut self, place: usize) {
        let Some(process) = self.process(place) else { return };
        if let Some(began) = process.machine.fence_seen() {
            process.sight.seen(began);
        }
        process.had_all |= process.machine.has_all();
        if process.machine.is_live() && !process.serves {
            process.serves = true;
            process.store.fence().serve(process.machine.incarnation());
        }
        let owned = std::array::from_fn(|number| {
            let epoch = process.conversations.get(&number)?.epoch;
            process.machine.may_acknowledge(shard_of(number), epoch).then_some(epoch)
        });
        process.store.mail().owned = owned;
    }

    fn effect(&mut self, place: usize, effect: Effect, events: &mut VecDeque<Event>) {
        let now = self.now;
        let Some(process) = self.process(place) else { return };
        let own = process.machine.incarnation();
        match effect {
            Effect::Call { id, call } => {
                let store = process.store.clone();
                process.tasks.begin(async move { Some(Done::Answered(id, ask(&store, &call).await)) });
            }
            Effect::Heartbeat(heartbeat) => self.heartbeat(place, heartbeat),
            Effect::Probe { incarnation, address } => self.probe(place, incarnation, &address),
            Effect::TellGiven { incarnation, cell } => self.tell_given(place, incarnation, cell),
            Effect::Owned { shard, epoch } => {
                self.judge.owned(now, shard, epoch, own);
                self.adopt_all(place, shard, epoch);
            }
            Effect::StopShard { shard, epoch, within } => {
                process.stopping.insert(shard, epoch);
                for conversation in process.conversations.values_mut() {
                    if shard_of(conversation.number) == shard {
                        conversation.waiting.clear();
                    }
                }
                match self.stopped_event(place, shard) {
                    Some(event) => events.push_back(event),
                    None => {
                        let (number, within) = (self.process(place).map_or(0, |process| process.number), within);
                        self.bring(within.as_micros() as Time, place, number, Input::StopDeadline(shard, epoch));
                    }
                }
            }
            Effect::Released { shard, .. } => {
                process.stopping.remove(&shard);
                process.conversations.retain(|number, _| shard_of(*number) != shard);
            }
            Effect::End => {
                let (start_after, had_all) = (process.start_after, process.had_all);
                self.places[place].process = None;
                self.see("routers fenced");
                if self.plan.config.alone && had_all {
                    return self.see("routers replaced");
                }
                let after = start_after.unwrap_or_else(|| self.rng.within(10 * MS, 3 * SECOND));
                self.after(after, Happening::Start(place));
            }
        }
    }

    /// That a shard is stopped, if nothing is in flight in it.
    fn stopped_event(&mut self, place: usize, shard: Shard) -> Option<Event> {
        let process = self.process(place)?;
        let mut there = process.conversations.values().filter(|conversation| shard_of(conversation.number) == shard);
        if !there.all(Conversation::is_idle) {
            return None;
        }
        let epoch = process.stopping.remove(&shard)?;
        Some(Event::ShardStopped { shard, epoch })
    }

    fn adopt_all(&mut self, place: usize, shard: Shard, epoch: Epoch) {
        for number in (0..SHARDS_USED.len()).filter(|number| shard_of(*number) == shard) {
            self.see("adoptions");
            self.load(place, number, epoch);
        }
    }

    /// Loads a conversation anew.
    fn load(&mut self, place: usize, number: usize, epoch: Epoch) {
        let conversation = Conversation::new(number, epoch, self.number());
        let whose = conversation.whose();
        if let Some(process) = self.process(place) {
            process.conversations.insert(number, conversation);
        }
        self.begin_load(place, whose);
    }

    fn begin_load(&mut self, place: usize, whose: Whose) {
        // What a record knows, if there is one, is committed, and trails.
        let most = self.judge.messages(whose.conversation).len() as u64 * 3 / 4;
        let at_least = if self.rng.chance(self.plan.records) { self.rng.below(most) } else { 0 };
        let desk = self.desk(place, whose);
        self.begin(place, desk.load(at_least));
    }

    /// A conversation leaves memory, if nothing is in flight, and is adopted in the same epoch again.
    fn evict(&mut self, place: usize, number: usize) {
        let Some(process) = self.process(place) else { return };
        let Some(conversation) = process.conversations.get(&number) else { return };
        let epoch = conversation.epoch;
        if process.machine.takes_in(shard_of(number)) && conversation.is_idle() && !conversation.trims {
            self.see("conversations loaded again");
            self.load(place, number, epoch);
        }
    }

    /// For somebody's work at this place, where a process runs.
    pub(crate) fn desk(&self, place: usize, whose: Whose) -> Desk {
        let process = self.places[place].process.as_ref().expect("one runs");
        let again = Duration::from_micros(self.plan.repeat_after);
        Desk { store: process.store.clone(), whose, again, removed: self.removed }
    }

    /// Begins work.
    pub(crate) fn begin(&mut self, place: usize, work: impl Future<Output = Option<Done>> + Send + 'static) {
        if let Some(process) = self.process(place) {
            process.tasks.begin(work);
        }
    }

    /// Work is done. What it came to is said if the real code says that it may be.
    pub(crate) fn done(&mut self, place: usize, done: Done) {
        let whose = match &done {
            Done::Answered(call, answer) => {
                let (call, answer) = (*call, answer.clone());
                return self.machine(place, Event::Answered { call, answer });
            }
            Done::Loaded(whose, _) | Done::Committed(whose, _) | Done::Erased(whose, ..) | Done::Trimmed(whose, _) => {
                *whose
            }
        };
        let (number, shard) = (whose.conversation, shard_of(whose.conversation));
        let Some(process) = self.process(place) else { return };
        let may_acknowledge = process.machine.may_acknowledge(shard, whose.epoch);
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if conversation.whose() != whose {
            return;
        }
        match done {
            Done::Trimmed(_, begins) => self.trimmed(place, number, begins),
            Done::Loaded(_, Err(error)) => self.not_loaded(place, whose, &error),
            Done::Committed(_, false) => {
                conversation.give_up();
                self.see("writes refused");
                self.finished(place, number);
            }
            Done::Loaded(_, Ok(_)) | Done::Committed(..) | Done::Erased(..) if !may_acknowledge => {
                self.see("confirmed and not acknowledged");
            }
            Done::Loaded(_, Ok(loaded)) => self.loaded(place, number, &loaded),
            Done::Committed(_, true) => {
                if conversation.committed() {
                    self.said(place, number);
                }
            }
            Done::Answered(..) => {}
            Done::Erased(_, row, is_there) => self.erased(place, number, row, is_there),
        }
    }

    fn loaded(&mut self, place: usize, number: usize, loaded: &Loaded) {
        let now = self.now;
        let messages = self.judge.messages(number).to_vec();
        let process = self.process(place);
        let Some(conversation) = process.and_then(|process| process.conversations.get_mut(&number)) else { return };
        if let Err(missing) = conversation.loaded(loaded, &messages) {
            let how = format!("place {place}: conversation {number}: row {missing} of {loaded:?}");
            return self.judge.breaks(now, Broken::HeadMissing, how);
        }
        if loaded.rows.iter().rev().take(3).any(|(_, row)| row.body == Body::Erased) {
            self.see("adoptions of erased rows");
        }
        self.said(place, number);
    }

    /// It could not be adopted now; or never, for what is committed is not there.
    fn not_loaded(&mut self, place: usize, whose: Whose, error: &ReadError) {
        if let ReadError::Corrupt { .. } = error {
            let how = format!("place {place}: conversation {}: {error}", whose.conversation);
            return self.judge.breaks(self.now, Broken::HeadMissing, how);
        }
        self.see("adoptions begun again");
        self.begin_load(place, whose);
    }

    /// What was waited for is there: the owner says what it has to say.
    pub(crate) fn said(&mut self, place: usize, number: usize) {
        let now = self.now;
        let Some(process) = self.process(place) else { return };
        let (began, who) = (process.live_since, process.machine.incarnation().to_string());
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        let before = conversation.shown;
        conversation.said();
        let rows = conversation.shown();
        self.judge.show(now, number, &rows, began, &who);
        self.see("acknowledged");
        self.publish(place, number, before);
        self.finished(place, number);
    }

    /// Nothing is in flight any more: that may have been the last thing to be done in a shard.
    fn finished(&mut self, place: usize, number: usize) {
        match self.stopped_event(place, shard_of(number)) {
            Some(event) => self.machine(place, event),
            None => self.append(place, number),
        }
    }

    /// Puts what waits in a batch, if nothing is in flight.
    pub(crate) fn append(&mut self, place: usize, number: usize) {
        let removed = self.removed;
        let Some(process) = self.places[place].process.as_mut() else { return };
        let takes_in = process.machine.takes_in(shard_of(number));
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if !takes_in || !conversation.is_idle() {
            return;
        }
        let mut waiting = std::mem::take(&mut conversation.waiting);
        let all = waiting.len();
        waiting.retain(|message| message.since >= conversation.gone || removed == Some(Removed::ExpiredRefused));
        let expired = all - waiting.len();
        waiting.retain(|message| conversation.find(message.number).is_none() || removed == Some(Removed::Dedupe));
        conversation.waiting = waiting;
        if !conversation.waiting.is_empty() {
            let (batches, whose) = (conversation.append(removed), conversation.whose());
            for batch in batches {
                let desk = self.desk(place, whose);
                self.begin(place, desk.commit(batch));
            }
        }
        (0..expired).for_each(|_| self.see("sends that are refused as too old"));
    }

    fn sent(&mut self, place: usize, number: usize, message: Message) {
        let Some(process) = self.process(place) else { return };
        let takes_in = process.machine.takes_in(shard_of(number));
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        // It waits while the conversation is adopted, and is looked for when its turn comes.
        if takes_in && !conversation.waiting.contains(&message) && conversation.waiting.len() < 8 {
            conversation.waiting.push(message);
            self.append(place, number);
        }
    }

    fn asked(&mut self, place: usize, number: usize) {
        let now = self.places[place].now(self.now);
        let Some(process) = self.process(place) else { return };
        let Some(epoch) = process.may_answer(now, shard_of(number)) else {
            return self.see("questions that were not answered");
        };
        let Some(conversation) = process.conversations.get(&number) else { return };
        if conversation.epoch == epoch && conversation.ever_shown {
            let (began, who) = (process.live_since, process.machine.incarnation().to_string());
            let rows = conversation.shown();
            self.judge.answer(self.now, number, &rows, began, &who);
            self.see("answers");
            self.look_up(number, rows.len());
        }
    }

    /// A client sends something, new or not, or asks, at any router.
    pub(crate) fn client(&mut self, conversation: usize) {
        let again = self.rng.within(1, 2 * self.plan.client_every);
        self.after(again, Happening::Client { conversation });
        let place = self.rng.below(PLACES as u64) as usize;
        let Some(process) = &self.places[place].process else { return };
        let number = process.number;
        let input = if self.rng.chance(self.plan.erases) {
            Input::Erase { conversation }
        } else if self.rng.chance(self.plan.trims) {
            Input::Trim { conversation }
        } else if self.rng.chance(self.plan.evicts) {
            Input::Evict { conversation }
        } else if self.rng.chance(400) {
            Input::Ask { conversation }
        } else {
            let last = self.messages[conversation].len() as u64;
            let number = if self.rng.chance(self.plan.sent_again) && last > 0 {
                let back = if self.rng.chance(200) { last } else { 5 };
                last.saturating_sub(self.rng.below(back)).max(1)
            } else {
                self.messages[conversation].push(self.judge.messages(conversation).len());
                last + 1
            };
            let since = self.messages[conversation][number as usize - 1];
            Input::Send { conversation, message: Message { number: number as u32, since } }
        };
        let after = self.latency();
        self.bring(after, place, number, input);
    }
}
