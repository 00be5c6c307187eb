//! The loop: waits for sockets, timers and due messages, hands what comes to the [`World`], and writes what it queued.

use std::io;
use std::time::{Duration, Instant};

use crate::net::{Heard, Net, Ready, Target};
use crate::progress::Progress;
use crate::world::{Plan, World};

/// The longest turn without a look at deadlines and progress.
const TURN_MAX_NS: u64 = 100_000_000;

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The sockets' loop failed.
    #[error("the event loop failed: {0}")]
    Loop(#[from] io::Error),
    /// The world cannot go on.
    #[error("{0}")]
    Fatal(String),
}

/// Messages at an even rate, whatever becomes of those before.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: u64,
    rate: f64,
    /// Messages that were due so far.
    pub launched: u64,
}

impl Pace {
    /// So many a second, the first one now.
    pub fn new(rate: f64, now: u64) -> Self {
        Self { began: now, rate, launched: 0 }
    }

    /// When the next one is due.
    pub fn due(&self) -> u64 {
        self.began + (self.launched as f64 * 1e9 / self.rate) as u64
    }
}

/// A world and its sockets.
#[derive(Debug)]
pub struct Engine {
    /// Users, conversations, measurements.
    pub world: World,
    /// The sockets.
    pub net: Net,
    origin: Instant,
    ready: Vec<Ready>,
    pace: Option<Pace>,
    progress: Progress,
}

impl Engine {
    /// Nothing is connected yet.
    pub fn new(target: Target, plan: Plan, progress: Progress) -> io::Result<Self> {
        let world = World::new(plan);
        let net = Net::new(target, world.users())?;
        Ok(Self { world, net, origin: Instant::now(), ready: Vec::new(), pace: None, progress })
    }

    /// Nanoseconds since the engine began.
    pub fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// So many messages a second from now on.
    pub fn set_rate(&mut self, rate: f64) {
        self.pace = Some(Pace::new(rate, self.now()));
    }

    /// Says what is going on.
    pub fn say(&mut self, phase: &'static str) {
        self.progress.phase(phase);
    }

    /// Turns until `done`, or until the time is up; whether it was done.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&World) -> bool) -> Result<bool, EngineError> {
        let until = self.now() + limit.as_nanos() as u64;
        self.net.flush();
        loop {
            if done(&self.world) {
                return Ok(true);
            }
            if self.now() >= until {
                return Ok(false);
            }
            self.turn(until)?;
        }
    }

    /// Turns for so long.
    pub fn run_for(&mut self, time: Duration) -> Result<(), EngineError> {
        self.run_until(time, |_| false).map(|_| ())
    }

    fn turn(&mut self, until: u64) -> Result<(), EngineError> {
        let now = self.now();
        let alarm = self.pace.filter(|_| self.world.is_sending()).map(|pace| pace.due());
        let mut wake = until.min(now + TURN_MAX_NS);
        if let Some(timer) = self.world.next_timer() {
            wake = wake.min(timer);
        }
        match alarm {
            Some(due) if due <= now => wake = now,
            Some(due) => self.net.set_alarm(due, now)?,
            None => {}
        }
        let timeout = Duration::from_nanos(wake.saturating_sub(now));
        let mut ready = std::mem::take(&mut self.ready);
        self.net.wait(timeout, &mut ready)?;
        for &one in &ready {
            self.listen(one);
        }
        ready.clear();
        self.ready = ready;
        let now = self.now();
        self.world.run_timers(&mut self.net, now);
        self.keep_pace(now);
        self.net.flush();
        self.progress.tick(now, &self.world);
        match self.world.fatal.take() {
            Some(why) => Err(EngineError::Fatal(why)),
            None => Ok(()),
        }
    }

    fn listen(&mut self, ready: Ready) {
        self.net.wake(ready);
        let now = self.now();
        loop {
            match self.net.hear(ready.slot) {
                Heard::Nothing => break,
                Heard::Opened => self.world.on_opened(ready.slot, &mut self.net),
                Heard::Frame(bytes) => self.world.on_frame(ready.slot, &bytes, &mut self.net, now),
                Heard::Closed(away) => {
                    self.world.on_closed(ready.slot, &away, now);
                    break;
                }
            }
        }
    }

    fn keep_pace(&mut self, now: u64) {
        let Some(pace) = self.pace.as_mut().filter(|_| self.world.is_sending()) else { return };
        while pace.due() <= now {
            let due = pace.due();
            pace.launched += 1;
            if self.world.meter.counts(due) {
                self.world.meter.lag.record(now - due);
            }
            self.world.launch_next(due, &mut self.net);
        }
    }
}
