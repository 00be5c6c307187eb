//! All sockets of the generator behind one `epoll`: who has something to say, and one write a socket and turn.
//!
//! Knows links by their slot, a small number that stays the same across reconnects. Knows nothing of frames' contents.

pub mod alarm;
pub mod link;
pub mod stream;
pub mod target;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use mio::{Events, Poll, Token};

use self::alarm::Alarm;
use self::link::Link;
pub use self::link::{Away, Heard};
pub use self::target::Target;

/// Events taken in one turn: enough that a busy turn is not cut, few enough that deadlines are looked at in between.
const EVENTS_PER_TURN: usize = 1_024;

/// The alarm's token; slots are far below.
const ALARM: Token = Token(usize::MAX);

/// What one link has to say.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Whose link.
    pub slot: usize,
    /// Its socket's write buffer has room again.
    writable: bool,
    /// The other end has closed its half.
    ended: bool,
}

/// The sockets.
#[derive(Debug)]
pub struct Net {
    poll: Poll,
    events: Events,
    links: Vec<Option<Link>>,
    dirty: Vec<usize>,
    alarm: Alarm,
    target: Target,
}

impl Net {
    /// Room for `slots` links to the target.
    pub fn new(target: Target, slots: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            links: (0..slots).map(|_| None).collect(),
            dirty: Vec::new(),
            alarm,
            target,
        })
    }

    /// Begins to connect; `Heard::Opened` or `Heard::Closed` follows.
    pub fn connect(&mut self, slot: usize) -> io::Result<()> {
        let link = Link::connect(&self.target, slot, self.poll.registry())?;
        if let Some(place) = self.links.get_mut(slot) {
            *place = Some(link);
        }
        Ok(())
    }

    /// Drops the link without a word, as a network that breaks would.
    pub fn cut(&mut self, slot: usize) {
        if let Some(link) = self.links.get_mut(slot).and_then(Option::take) {
            link.cut();
        }
    }

    /// Says goodbye and drops the link.
    pub fn close(&mut self, slot: usize) {
        if let Some(mut link) = self.links.get_mut(slot).and_then(Option::take) {
            link.close();
        }
    }

    /// Queues a frame; [`Net::flush`] writes it.
    pub fn send(&mut self, slot: usize, frame: Bytes) {
        if let Some(link) = self.links.get_mut(slot).and_then(Option::as_mut)
            && link.queue(frame)
        {
            self.dirty.push(slot);
        }
    }

    /// Writes what was queued, all of a socket's frames at once.
    pub fn flush(&mut self) {
        while let Some(slot) = self.dirty.pop() {
            if let Some(link) = self.links.get_mut(slot).and_then(Option::as_mut) {
                link.flush();
            }
        }
    }

    /// Wakes the next [`Net::wait`] at `at`, by the caller's clock, which says `now`.
    pub fn set_alarm(&mut self, at: u64, now: u64) -> io::Result<()> {
        self.alarm.set(at, now)
    }

    /// Waits until a socket has something to say, the alarm rings or `timeout` is over, and adds the sockets to `ready`.
    pub fn wait(&mut self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        ready.extend(self.events.iter().filter(|event| event.token() != ALARM).map(|event| Ready {
            slot: event.token().0,
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
        }));
        Ok(())
    }

    /// Tells a link what `epoll` said, before [`Net::hear`] is called until it has nothing more.
    pub fn wake(&mut self, ready: Ready) {
        if let Some(link) = self.links.get_mut(ready.slot).and_then(Option::as_mut) {
            link.wake(ready.writable, ready.ended);
        }
    }

    /// The next thing that a link has to say. After `Heard::Closed` the slot is free.
    pub fn hear(&mut self, slot: usize) -> Heard {
        let Some(place) = self.links.get_mut(slot) else { return Heard::Nothing };
        let Some(link) = place.as_mut() else { return Heard::Nothing };
        let heard = link.hear(&self.target);
        if matches!(heard, Heard::Closed(_)) {
            *place = None;
        } else if link.owes_an_answer() {
            self.dirty.push(slot);
        }
        heard
    }
}
