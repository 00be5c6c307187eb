//! Wakes a loop closer to a point in time than `epoll`'s milliseconds: a `timerfd` among its sockets.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

const NS_PER_S: u64 = 1_000_000_000;

/// One alarm. It needs no answer: setting it again forgets that it rang.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
    at: Option<u64>,
}

impl Alarm {
    /// Rings as `token` in the loop.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd, at: None })
    }

    /// Rings at `at`, in nanoseconds of the caller's clock, which says `now`. A time that it is set to already costs
    /// nothing.
    pub fn set(&mut self, at: u64, now: u64) -> io::Result<()> {
        if self.at == Some(at) {
            return Ok(());
        }
        self.at = Some(at);
        // Zero would switch it off.
        let wait = at.saturating_sub(now).max(1);
        let first = Timespec { tv_sec: (wait / NS_PER_S) as i64, tv_nsec: (wait % NS_PER_S) as i64 };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: first };
        rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
