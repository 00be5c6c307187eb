//! What the plan has in store for whom.

use switchyard_cluster::ownership::Event;

use super::plan::{Fault, SECOND};
use super::world::{Happening, World};

impl World {
    pub(crate) fn fault(&mut self, number: usize) {
        let now = self.now;
        match self.plan.faults[number].1 {
            Fault::Pause { place, time } => self.pause(place, time, 0),
            Fault::Suspend { place, time } => self.pause(place, time, time),
            Fault::ClockJump { place, by_ms } => {
                self.see("clocks that jump");
                self.places[place].wall_offset_ms += by_ms;
            }
            Fault::CutStore { place, time } => {
                self.see("routers cut from the store");
                self.places[place].store_cut_until = now + time;
            }
            Fault::CutRedis { place, time } => {
                self.see("routers cut from Redis");
                self.places[place].redis_cut_until = now + time;
            }
            Fault::CutPeers { place, time } => {
                self.see("routers cut from routers");
                self.places[place].peers_cut_until = now + time;
            }
            Fault::CutOthers { place, time } => {
                self.see("routers cut from all but the store");
                (self.places[place].redis_cut_until, self.places[place].peers_cut_until) = (now + time, now + time);
            }
            Fault::RedisGone { time } => {
                self.see("times without Redis");
                self.redis_gone_until = now + time;
            }
            Fault::RedisRepeats => self.repeat_heartbeats(),
            Fault::Kill { place, start_after } => {
                if self.places[place].process.take().is_some() {
                    self.see("kills");
                }
                self.after(start_after, Happening::Start(place));
            }
            Fault::Drain { place, start_after } => {
                if let Some(process) = &mut self.places[place].process {
                    process.start_after = Some(start_after);
                    let process = process.number;
                    // Where all drain at once nobody takes what the others have.
                    self.after(self.plan.calm_at / 4, Happening::DrainDeadline { place, process, start_after });
                    self.see("drains");
                    if !self.places[place].paused {
                        self.machine(place, Event::Drain);
                    }
                }
            }
        }
    }

    /// Who has not got rid of all its shards by now is ended all the same.
    pub(crate) fn drain_deadline(&mut self, place: usize, process: u64, start_after: u64) {
        if self.process(place).is_some_and(|running| running.number == process) {
            self.see("drains that take too long");
            self.places[place].process = None;
            self.after(start_after, Happening::Start(place));
        }
    }

    fn pause(&mut self, place: usize, time: u64, stood_still: u64) {
        if !self.places[place].paused {
            self.see(if stood_still > 0 { "machines suspended" } else { "processes paused" });
            self.places[place].paused = true;
            self.after(time, Happening::Resume { place, stood_still });
        }
    }

    pub(crate) fn resume(&mut self, place: usize, stood_still: u64) {
        self.places[place].paused = false;
        self.places[place].lag += stood_still;
        // What its timers say comes before or after what has come meanwhile.
        if self.rng.chance(500) {
            self.machine(place, Event::Tick);
        }
        while let Some(input) = self.places[place].inbox.pop_front() {
            self.input(place, input);
        }
        self.machine(place, Event::Tick);
    }

    /// Redis tells all again what it told in the last while, in any order, to anybody.
    fn repeat_heartbeats(&mut self) {
        self.see("heartbeats told again");
        for _ in 0..20 {
            if self.heartbeats.is_empty() {
                return;
            }
            let heartbeat = self.rng.pick(&self.heartbeats.clone()).clone();
            let to = self.rng.below(self.places.len() as u64) as usize;
            let after = self.rng.below(2 * SECOND);
            if let Some(process) = &self.places[to].process {
                let number = process.number;
                let input = super::places::Input::Machine(Event::Heartbeat(heartbeat));
                self.bring(after, to, number, input);
            }
        }
    }
}
