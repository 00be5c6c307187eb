//! What a process does with what comes to it: the real code decides who may, and conversations are served by that.

use std::collections::VecDeque;
use std::rc::Rc;

use switchyard_cluster::ownership::{Answer, Call, CallId, Effect, Event, Level, Ticket};
use switchyard_protocol::owner::{Epoch, RouterState};
use switchyard_protocol::shard::Shard;

use super::conversation::{Adopted, Conversation, State};
use super::judge::Broken;
use super::places::{Input, Message, Process, Waiting};
use super::plan::{MS, PLACES, SECOND, Time};
use super::replicas::{Hint, Row, Write};
use super::rules::Removed;
use super::world::{Caller, Halves, Happening, RowsRead, SHARDS_USED, World, shard_of};

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
            Input::Answer(id, answer) => self.answered(place, id, answer),
            Input::Stored(write) => self.stored(place, write),
            Input::Repeat(write) => self.repeat(place, write),
            Input::Hint(read, hint) => self.hint_read(place, read, hint),
            Input::Rows(read, rows) => self.rows_read(place, read, &rows),
            Input::ReadFailed(read) => self.read_failed(place, read),
            Input::Send { conversation, message } => self.sent(place, conversation, message),
            Input::HintStored(trim) => self.hint_stored(place, trim),
            Input::Trim { conversation } => self.trim(place, conversation),
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

    fn answered(&mut self, place: usize, id: CallId, mut answer: Answer) {
        let now = self.now;
        if now < self.places[place].store_cut_until {
            answer = Answer::Unknown;
        }
        let Some(process) = self.process(place) else { return };
        if let Some(began) = process.fence_reads.remove(&id)
            && let Answer::Router(Some(row)) = &answer
            && row.state == RouterState::Live
        {
            process.live_since = began;
        }
        self.machine(place, Event::Answered { call: id, answer });
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

    fn effect(&mut self, place: usize, effect: Effect, events: &mut VecDeque<Event>) {
        let now = self.now;
        let Some(process) = self.process(place) else { return };
        let own = process.machine.incarnation();
        match effect {
            Effect::Call { id, call } => {
                if matches!(call, Call::ReadRouter { incarnation, level: Level::Quorum } if incarnation == own) {
                    process.fence_reads.insert(id, now);
                }
                let caller = Caller { place, process: process.number, id };
                self.ask_store(caller, call);
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
            Effect::Confirmed(ticket) => self.confirmed(place, ticket, events),
            Effect::End => {
                let start_after = process.start_after;
                self.places[place].process = None;
                self.see("routers fenced");
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
            if let Some(process) = self.process(place) {
                process.conversations.insert(number, Conversation::new(number, epoch));
            }
            self.see("adoptions");
            self.read_hint(place, number);
        }
    }

    /// A number for a read of a conversation; nothing if the store is cut off, and then it is told later.
    fn begin_read(&mut self, place: usize, conversation: usize) -> Option<u64> {
        let read = self.number();
        let is_cut = self.now < self.places[place].store_cut_until;
        let process = self.process(place)?;
        let epoch = process.conversations.get(&conversation)?.epoch;
        process.reads.insert(read, (conversation, epoch));
        let number = process.number;
        if is_cut || self.rng.chance(self.plan.lost) {
            self.bring(SECOND, place, number, Input::ReadFailed(read));
            return None;
        }
        Some(read)
    }

    fn read_hint(&mut self, place: usize, conversation: usize) {
        let Some(read) = self.begin_read(place, conversation) else { return };
        let quorum = self.quorum();
        let hint = self.rows[conversation].read_hint(quorum);
        let (after, number) = (self.latency(), self.process(place).map_or(0, |process| process.number));
        self.bring(after, place, number, Input::Hint(read, hint));
    }

    pub(crate) fn read_rows(&mut self, place: usize, conversation: usize) {
        let Some(read) = self.begin_read(place, conversation) else { return };
        let rows_max = self.plan.page_rows;
        let Some(process) = self.process(place) else { return };
        let number = process.number;
        let Some(reader) = process.conversations.get(&conversation) else { return };
        let (from, adopts, rows) = (reader.next(), reader.state == State::Rows, reader.page_rows(rows_max));
        let mut replicas = self.quorum().to_vec();
        if adopts && self.removed == Some(Removed::ReadAtQuorum) {
            replicas.truncate(1);
        }
        let halves = Halves { left: replicas.len(), found: vec![None; rows] };
        self.row_reads.insert(read, RowsRead { by: (place, number), conversation, from, halves });
        for replica in replicas {
            let after = self.latency();
            self.after(after, Happening::HalfRows { read, replica });
        }
    }

    pub(crate) fn half_rows(&mut self, read: u64, replica: usize) {
        let Some(under_way) = self.row_reads.get_mut(&read) else { return };
        let halves = &mut under_way.halves;
        let rows = self.rows[under_way.conversation].half_read(replica, under_way.from, halves.found.len());
        for (found, row) in halves.found.iter_mut().zip(rows) {
            *found = (*found).max(row);
        }
        halves.left -= 1;
        if halves.left == 0
            && let Some(RowsRead { by: (place, process), halves, .. }) = self.row_reads.remove(&read)
        {
            let after = self.latency();
            self.bring(after, place, process, Input::Rows(read, halves.found));
        }
    }

    /// The conversation whose read this is, if it still waits for one in this state.
    fn reader(&mut self, place: usize, read: u64, state: fn(State) -> bool) -> Option<&mut Conversation> {
        let process = self.process(place)?;
        let (number, epoch) = process.reads.remove(&read)?;
        let is_it = |conversation: &&mut Conversation| state(conversation.state) && conversation.epoch == epoch;
        process.conversations.get_mut(&number).filter(is_it)
    }

    fn hint_read(&mut self, place: usize, read: u64, hint: Hint) {
        let Some(conversation) = self.reader(place, read, |state| state == State::Hint) else { return };
        let number = conversation.number;
        let (below, removed) = (self.judge.messages(number).to_vec(), self.removed);
        if let Some(conversation) = self.process(place).and_then(|process| process.conversations.get_mut(&number)) {
            conversation.hint_read(hint, &below, removed);
        }
        self.read_rows(place, number);
    }

    fn rows_read(&mut self, place: usize, read: u64, rows: &[Option<Row>]) {
        let removed = self.removed;
        let Some(conversation) = self.reader(place, read, |state| matches!(state, State::Rows | State::ReadingRow(_)))
        else {
            return;
        };
        let number = conversation.number;
        if let State::ReadingRow(row) = conversation.state {
            return self.erase_row(place, number, row, rows.first().copied().flatten().filter(Row::is_there));
        }
        let adopted = conversation.page_read(rows, removed);
        if conversation.takes_erased() {
            self.see("adoptions of erased rows");
        }
        match adopted {
            Adopted::More => self.read_rows(place, number),
            Adopted::Dropped => {
                self.see("adoptions that read the hint again");
                self.read_hint(place, number);
            }
            Adopted::HeadMissing => {
                let how = format!("place {place}: conversation {number}");
                self.judge.breaks(self.now, Broken::HeadMissing, how);
            }
            Adopted::Rewrite(parts) if parts.is_empty() => self.wait_for_fence(place, number),
            Adopted::Rewrite(parts) => {
                self.see("adoptions that write again");
                parts.into_iter().for_each(|part| self.write(place, part));
            }
        }
    }

    fn read_failed(&mut self, place: usize, read: u64) {
        let Some(process) = self.process(place) else { return };
        let Some((number, epoch)) = process.reads.remove(&read) else { return };
        let conversation = process.conversations.get(&number).filter(|conversation| conversation.epoch == epoch);
        match conversation.map(|conversation| conversation.state) {
            Some(State::Hint) => self.read_hint(place, number),
            Some(State::Rows | State::ReadingRow(_)) => self.read_rows(place, number),
            _ => {}
        }
    }

    /// Begins to write.
    pub(crate) fn write(&mut self, place: usize, write: Write) {
        let number = self.number();
        let Some(process) = self.process(place) else { return };
        if let Some(conversation) = process.conversations.get_mut(&write.conversation) {
            conversation.writes.insert(number);
        }
        process.writes.insert(number, (Rc::new(write), 0));
        self.send_write(place, number);
    }

    /// Sends it to all replicas, not for the first time perhaps; it is repeated until it is known.
    fn send_write(&mut self, place: usize, write: u64) {
        let is_cut = self.now < self.places[place].store_cut_until;
        let Some(process) = self.process(place) else { return };
        let process_number = process.number;
        let Some((rows, _)) = process.writes.get(&write) else { return };
        let rows = rows.clone();
        for replica in (0..3).filter(|_| !is_cut) {
            if let Some(after) = self.plan.arrives_after(&mut self.rng) {
                let by = (place, process_number, write);
                self.after(after, Happening::RowsArrive { replica, write: rows.clone(), by });
            }
        }
        let again = self.plan.repeat_after;
        self.bring(again, place, process_number, Input::Repeat(write));
    }

    pub(crate) fn rows_arrive(&mut self, replica: usize, write: &Rc<Write>, by: (usize, u64, u64)) {
        let removed = self.removed;
        self.rows[write.conversation].arrive(replica, write, removed);
        let (place, process, number) = by;
        let needed = if removed == Some(Removed::WriteAtQuorum) { 1 } else { 2 };
        let Some(running) = self.process(place).filter(|running| running.number == process) else { return };
        let Some((_, have)) = running.writes.get_mut(&number) else { return };
        *have |= 1 << replica;
        // Told with each arrival, for whoever waits may be cut off.
        if have.count_ones() >= needed {
            let after = self.latency();
            self.bring(after, place, process, Input::Stored(number));
        }
    }

    fn repeat(&mut self, place: usize, write: u64) {
        let removed = self.removed;
        let Some(process) = self.process(place) else { return };
        let Some((rows, _)) = process.writes.get(&write) else { return };
        let number = rows.conversation;
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if !conversation.writes.contains(&write) {
            return;
        }
        if removed == Some(Removed::SameBytes) && conversation.state == State::Writing {
            conversation.give_up();
            return;
        }
        if removed == Some(Removed::AdoptOnce) && conversation.state == State::Rewriting {
            *conversation = Conversation::new(number, conversation.epoch);
            return self.read_hint(place, number);
        }
        self.see("writes repeated");
        self.send_write(place, write);
    }

    fn stored(&mut self, place: usize, write: u64) {
        let now = self.now;
        if now < self.places[place].store_cut_until {
            return;
        }
        let Some(process) = self.process(place) else { return };
        let Some((rows, _)) = process.writes.remove(&write) else { return };
        let Some(conversation) = process.conversations.get_mut(&rows.conversation) else { return };
        if conversation.writes.remove(&write) && conversation.writes.is_empty() {
            let number = conversation.number;
            if self.removed == Some(Removed::HintAfterCommit) {
                let hint = self.process(place).map_or(0, |process| process.conversations[&number].log.len());
                self.write_hint(number, hint);
            }
            if self.is_said_at_once(place, number) {
                let event = self.said(place, number);
                event.into_iter().for_each(|event| self.machine(place, event));
            } else {
                self.wait_for_fence(place, number);
            }
        }
    }

    /// What is at a quorum waits for a fence read.
    fn wait_for_fence(&mut self, place: usize, number: usize) {
        self.wait_for_fence_of(place, number, None);
    }

    /// So does what is to be dropped.
    pub(crate) fn wait_for_fence_of(&mut self, place: usize, number: usize, trim: Option<u64>) {
        let ticket = Ticket(self.number());
        let Some(process) = self.process(place) else { return };
        let Some(conversation) = process.conversations.get(&number) else { return };
        process.tickets.insert(ticket, Waiting { conversation: number, epoch: conversation.epoch, trim });
        self.machine(place, Event::Written(ticket));
    }

    /// It is confirmed, and acknowledged if the real code says that it may be.
    fn confirmed(&mut self, place: usize, ticket: Ticket, events: &mut VecDeque<Event>) {
        let Some(process) = self.process(place) else { return };
        let Some(waiting) = process.tickets.remove(&ticket) else { return };
        let Waiting { conversation: number, epoch, trim } = waiting;
        let shard = shard_of(number);
        if !process.machine.may_acknowledge(shard, epoch) {
            return self.see("confirmed and not acknowledged");
        }
        if let Some(trim) = trim {
            return self.drop_rows(place, number, trim);
        }
        if process.conversations.get(&number).is_some_and(|conversation| conversation.epoch == epoch) {
            events.extend(self.said(place, number));
        }
    }

    /// Whether what is at a quorum is not to wait for a fence read.
    fn is_said_at_once(&mut self, place: usize, number: usize) -> bool {
        let removed = self.removed;
        let conversation = self.process(place).and_then(|process| process.conversations.get(&number));
        match conversation.map(|conversation| conversation.state) {
            Some(State::Erasing(_)) => removed == Some(Removed::EraseBarrier),
            Some(State::Rewriting) => removed == Some(Removed::RewriteBarrier),
            _ => false,
        }
    }

    /// What was waited for is there: the owner says what it has to say. That may have been the last thing to be done in a shard.
    fn said(&mut self, place: usize, number: usize) -> Option<Event> {
        let now = self.now;
        let process = self.process(place)?;
        let (began, who) = (process.live_since, process.machine.incarnation().to_string());
        let conversation = process.conversations.get_mut(&number)?;
        let before = conversation.shown;
        let erased = conversation.said();
        let (shown, rows) = (conversation.shown, conversation.shown());
        self.judge.show(now, number, &rows, began, &who);
        if let Some(erased) = erased {
            self.judge.erased(now, number, erased);
            self.see("erasures");
        }
        self.see("acknowledged");
        self.publish(place, number, before);
        if self.rng.chance(self.plan.hints) {
            self.write_hint(number, shown);
        }
        let event = self.stopped_event(place, shard_of(number));
        if event.is_none() {
            self.append(place, number);
        }
        event
    }

    fn write_hint(&mut self, conversation: usize, committed: usize) {
        self.send_hint(conversation, Hint { committed, gone: 0 }, None);
    }

    /// A hint goes to all replicas, once. Perhaps somebody waits for it.
    pub(crate) fn send_hint(&mut self, conversation: usize, hint: Hint, by: Option<(usize, u64, u64)>) {
        for replica in 0..3 {
            if let Some(after) = self.plan.arrives_after(&mut self.rng) {
                self.after(after, Happening::HintArrives { replica, conversation, hint, by });
            }
        }
    }

    /// Puts what waits in a batch, if nothing is in flight.
    pub(crate) fn append(&mut self, place: usize, number: usize) {
        let (removed, quorum) = (self.removed, self.quorum());
        let Some(process) = self.places[place].process.as_mut() else { return };
        let takes_in = process.machine.takes_in(shard_of(number));
        let Some(conversation) = process.conversations.get_mut(&number) else { return };
        if !takes_in || !conversation.is_idle() {
            return;
        }
        let rows = &self.rows[number];
        let mut waiting = std::mem::take(&mut conversation.waiting);
        let all = waiting.len();
        waiting.retain(|message| message.since >= conversation.gone || removed == Some(Removed::ExpiredRefused));
        let expired = all - waiting.len();
        waiting.retain(|message| {
            // What lies below the hint is not in memory: it is looked up.
            let found = conversation.find(message.number);
            let is_held =
                found.is_some_and(|found| !conversation.is_below(found) || rows.read(quorum, found).is_some());
            !is_held || removed == Some(Removed::Dedupe)
        });
        conversation.waiting = waiting;
        if !conversation.waiting.is_empty() {
            let writes = conversation.append(removed);
            writes.into_iter().for_each(|write| self.write(place, write));
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
        let Some(epoch) = process.machine.may_answer(now, shard_of(number)) else {
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
