//! What tasks ask of the store is carried out here: reads by two replicas, each at a moment of its own; writes by all three, as far as
//! they get there. Whoever waits too long is told that nothing is known.

use std::rc::Rc;

use switchyard_cluster::ownership::Answer;
use switchyard_protocol::owner::{Incarnation, RouterState};
use switchyard_store::quorum::{Copies, Kind, Reached};

use super::places::Input;
use super::plan::{SECOND, Time};
use super::replicas::{BUCKET_ROWS, Found, Read, Write};
use super::rules::Removed;
use super::store::{Asks, Reply, Request};
use super::world::{Happening, World};

/// Who asks: one task's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asker {
    pub(crate) place: usize,
    pub(crate) process: u64,
    pub(crate) id: u64,
}

/// A read of a router's row, of which so many halves are yet to be made.
pub(crate) struct RouterRead {
    by: Asker,
    incarnation: Incarnation,
    /// The log reads its fence.
    is_fence: bool,
    left: usize,
    found: usize,
}

/// A read of a conversation.
pub(crate) struct RowsRead {
    by: Asker,
    conversation: usize,
    read: Read,
    left: usize,
    found: Option<Found>,
}

impl World {
    /// The tasks of a process go on as far as they can.
    pub(crate) fn go_on(&mut self, place: usize) {
        loop {
            if self.places[place].paused {
                return;
            }
            let Some(process) = self.process(place) else { return };
            let done = process.tasks.poll();
            let mut mail = process.store.mail();
            let (posted, spawned) = (std::mem::take(&mut mail.posted), std::mem::take(&mut mail.spawned));
            let seen = std::mem::take(&mut mail.seen);
            drop(mail);
            for work in spawned {
                process.tasks.begin(async {
                    work.await;
                    None
                });
            }
            let number = process.number;
            if posted.is_empty() && done.is_empty() && process.tasks.rest() {
                return;
            }
            seen.into_iter().for_each(|what| self.see(what));
            for (id, request) in posted {
                self.request(Asker { place, process: number, id }, request);
            }
            for done in done {
                self.done(place, done);
            }
        }
    }

    pub(crate) fn reply(&mut self, after: Time, by: Asker, reply: Reply) {
        self.bring(after, by.place, by.process, Input::Replied(by.id, reply));
    }

    fn request(&mut self, by: Asker, request: Request) {
        if self.is_traced() {
            let line = format!("place {}: {} asks {request:?}", by.place, by.id);
            self.tell(format_args!("{line}"));
        }
        if let Request::Pause(time) = request {
            return self.reply(time.as_micros() as Time, by, Reply::Done);
        }
        if let Request::Owners(call) = request {
            return self.ask_owners(by, call);
        }
        let is_cut = self.now < self.places[by.place].store_cut_until;
        if is_cut && self.rng.chance(500) {
            // Nobody can be reached, and that is known at once.
            let after = self.latency();
            return self.reply(after, by, Reply::Failed(Reached::Nobody));
        }
        let timeout = if matches!(request, Request::Write { .. }) { self.plan.repeat_after } else { SECOND };
        self.reply(timeout, by, Reply::Failed(Reached::Perhaps));
        if is_cut {
            return;
        }
        match request {
            Request::Read { conversation, read } => self.begin_read(by, conversation, read),
            Request::Write { conversation, write, adopts } => self.send_write(by, conversation, write, adopts),
            Request::Fence(incarnation) => {
                if !self.rng.chance(self.plan.lost) {
                    let (now, there) = (self.now, self.latency());
                    if let Some(process) = self.process(by.place) {
                        process.barriers.insert(by.id, now);
                    }
                    self.read_router(there, incarnation, true, by);
                }
            }
            Request::Owners(_) | Request::Pause(_) => {}
        }
    }

    /// How many replicas are asked for something of this kind.
    fn copies(&self, kind: Kind) -> usize {
        match Copies::of(kind, Removed::rules_of_store(self.removed)) {
            Copies::One => 1,
            Copies::Quorum => 2,
        }
    }

    /// Which.
    fn replicas(&mut self, kind: Kind) -> Vec<usize> {
        let mut replicas = self.quorum().to_vec();
        replicas.truncate(self.copies(kind));
        replicas
    }

    fn begin_read(&mut self, by: Asker, conversation: usize, read: Read) {
        if self.rng.chance(self.plan.lost) {
            return;
        }
        let number = self.number();
        let replicas = self.replicas(Kind::Read);
        self.row_reads.insert(number, RowsRead { by, conversation, read, left: replicas.len(), found: None });
        for replica in replicas {
            let after = self.latency();
            self.after(after, Happening::HalfRows { read: number, replica });
        }
    }

    pub(crate) fn half_rows(&mut self, number: u64, replica: usize) {
        let Some(under_way) = self.row_reads.get_mut(&number) else { return };
        let half = self.rows[under_way.conversation].half_read(replica, under_way.read);
        let found = under_way.found.take();
        under_way.found = Some(match found {
            Some(found) => found.with(half),
            None => half,
        });
        under_way.left -= 1;
        if under_way.left == 0
            && let Some(RowsRead { by, found: Some(found), .. }) = self.row_reads.remove(&number)
        {
            let after = self.latency();
            self.reply(after, by, Reply::Found(found));
        }
    }

    fn send_write(&mut self, by: Asker, conversation: usize, write: Write, adopts: bool) {
        match &write {
            Write::Rows(_) if adopts => self.see("adoptions that write again"),
            Write::Drop(bucket) => {
                self.judge.dropped(conversation, ((bucket + 1) * BUCKET_ROWS) as usize);
                self.see("drops");
            }
            Write::Rows(_) | Write::Bounds(_) => {}
        }
        if let Some(process) = self.process(by.place) {
            process.writes.insert(by.id, 0);
        }
        let write = Rc::new(write);
        for replica in 0..3 {
            if let Some(after) = self.plan.arrives_after(&mut self.rng) {
                let write = write.clone();
                self.after(after, Happening::WriteArrives { replica, conversation, write, by });
            }
        }
    }

    pub(crate) fn write_arrives(&mut self, replica: usize, conversation: usize, write: &Write, by: Asker) {
        self.rows[conversation].arrive(replica, write);
        let needed = self.copies(Kind::Write);
        let Some(process) = self.process(by.place).filter(|process| process.number == by.process) else { return };
        let Some(have) = process.writes.get_mut(&by.id) else { return };
        *have += 1;
        if *have == needed {
            let after = self.latency();
            self.reply(after, by, Reply::Done);
        }
    }

    /// A read of a router's row at a quorum.
    pub(crate) fn read_router(&mut self, there: Time, incarnation: Incarnation, is_fence: bool, by: Asker) {
        let number = self.number();
        let replicas = self.replicas(Kind::FenceRead);
        self.router_reads.insert(number, RouterRead { by, incarnation, is_fence, left: replicas.len(), found: 0 });
        for replica in replicas {
            let more = self.latency();
            self.after(there + more, Happening::HalfRead { read: number, replica });
        }
    }

    pub(crate) fn half_read(&mut self, number: u64, replica: usize) {
        let Some(read) = self.router_reads.get_mut(&number) else { return };
        let incarnation = read.incarnation;
        read.found = read.found.max(self.tables.half_read(incarnation, replica));
        read.left -= 1;
        if read.left > 0 {
            return;
        }
        let Some(RouterRead { by, is_fence, found, .. }) = self.router_reads.remove(&number) else { return };
        let row = self.tables.router_at(incarnation, found);
        if is_fence {
            let after = self.plan.fence_latency(&mut self.rng);
            self.reply(after, by, Reply::Router(row));
        } else {
            let after = self.latency();
            self.reply(after, by, Reply::Owners(Answer::Router(row)));
        }
    }

    /// An answer comes to a task. What does not get through is told by its time-out.
    pub(crate) fn replied(&mut self, place: usize, id: u64, mut reply: Reply) {
        let is_cut = self.now < self.places[place].store_cut_until;
        let Some(process) = self.process(place) else { return };
        let asked = process.store.mail().asked(id);
        match asked {
            Some(Asks::Owners) if is_cut => reply = Reply::Failed(Reached::Perhaps),
            Some(Asks::Log) if is_cut && !matches!(reply, Reply::Failed(_)) => return,
            _ => {}
        }
        process.writes.remove(&id);
        if let Some(began) = process.barriers.remove(&id)
            && let Reply::Router(Some(row)) | Reply::Owners(Answer::Router(Some(row))) = &reply
            && row.state == RouterState::Live
        {
            process.live_since = process.live_since.max(began);
        }
        process.store.answer(id, reply);
    }
}
