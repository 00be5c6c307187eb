//! A worker: one thread, one poll, and the residents that live on it for good. An edge's sockets and a router's shards
//! are residents of the same worker, so that a message crosses no thread on its way in and out.
//!
//! One turn: wait -> every resident's [`intake`](Resident::intake) -> every [`turn`](Resident::turn) -> every
//! [`flush`](Resident::flush). An edge reads its sockets in the first step and writes them in the last; a router works in
//! between. So whatever one turn brings in leaves in the same turn, and everything for one socket leaves in one write.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};

use crate::mailbox::Bell;
use crate::now::{Clock, Now};

/// Socket events taken in one turn; the rest waits for the next, which follows at once.
const EVENTS_PER_TURN_MAX: usize = 1_024;

/// The longest sleep, so that a worker notices being stopped even if nobody rings.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// So long after the last work a worker is at rest: longer than the store takes to write out what is in memory, for its rows
/// were allocated here.
const REST_AFTER: Duration = Duration::from_secs(6);

/// How long a rest lasts before it is begun anew: what timers let go of meanwhile, such as conversations that nobody uses,
/// is no work and would not be given back otherwise.
const REST_AGAIN_AFTER: Duration = Duration::from_secs(30);

const BELL: Token = Token(usize::MAX);

/// Something that lives on a worker: it never blocks, and does in one turn only what is there.
pub trait Resident {
    /// Reads what arrived on its own sockets. Events of other residents' tokens are in the list too.
    fn intake(&mut self, events: &Events, now: Now);

    /// Takes what was posted to it and works on it.
    fn turn(&mut self, now: Now);

    /// Sends away what came of it.
    fn flush(&mut self, now: Now);

    /// When it wants its next turn although nothing arrived; `Some` of the past means at once.
    fn deadline(&self) -> Option<Duration>;

    /// Nothing has come for some seconds, and nothing is expected: room that bursts have left can be given back. Called by the
    /// way, so it does not have to, and must not change anything else.
    fn rest(&mut self) {}

    /// Whether it has finished draining; the worker ends when it was told to stop and all residents are done, and still
    /// are after one more turn.
    fn done(&self) -> bool;
}

/// A worker that does not run yet.
#[derive(Debug)]
pub struct Worker {
    poll: Poll,
    bell: Arc<Bell>,
    clock: Clock,
}

impl Worker {
    /// Makes the poll and the bell. Errors are the operating system's (out of descriptors).
    pub fn new(clock: Clock) -> io::Result<Self> {
        let poll = Poll::new()?;
        let bell = Arc::new(Bell::new(mio::Waker::new(poll.registry(), BELL)?));
        Ok(Self { poll, bell, clock })
    }

    /// What wakes this worker.
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// A registry for the sockets of a resident.
    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// Runs on the calling thread until `stop` is set and every resident is done. `rest` is called whenever work has ended
    /// for some seconds, and now and then as long as none comes.
    pub fn run(mut self, residents: &mut [Box<dyn Resident>], stop: &AtomicBool, rest: fn()) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        let mut rest_at = REST_AFTER;
        let mut ending = false;
        loop {
            let now = self.clock.now();
            let deadline = residents.iter().filter_map(|resident| resident.deadline()).min();
            let mut wait = deadline.map_or(SLEEP_MAX, |at| at.saturating_sub(now.mono).min(SLEEP_MAX));
            if ending || (!wait.is_zero() && !self.bell.may_sleep()) {
                wait = Duration::ZERO;
            }
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
                Err(error) => return Err(error),
            }
            self.bell.awake();
            let now = self.clock.now();
            // A timer now and then, for a heartbeat, is no work.
            if !events.is_empty() || wait.is_zero() {
                rest_at = now.mono + REST_AFTER;
            } else if rest_at < now.mono {
                rest_at = now.mono + REST_AGAIN_AFTER;
                residents.iter_mut().for_each(|resident| resident.rest());
                rest();
            }
            for resident in &mut *residents {
                resident.intake(&events, now);
            }
            for resident in &mut *residents {
                resident.turn(now);
            }
            // Requests of this turn's intake were taken just now; its answers and events are in what follows.
            self.bell.own_is_taken();
            for resident in &mut *residents {
                resident.flush(now);
            }
            let done = stop.load(Ordering::Relaxed) && residents.iter().all(|resident| resident.done());
            // One more turn takes what was posted here before the residents of other workers were done.
            if ending && done {
                return Ok(());
            }
            ending = done;
        }
    }
}
