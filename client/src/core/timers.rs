//! What is due when. One time for each purpose; the earliest is told to the driver.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Name;
use super::io::Ticket;

/// What to do when the time has come.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The present step of connecting is over: the pause, the token, the connection or the welcome.
    Step,
    /// Nothing was heard for too long, perhaps.
    Silence,
    /// Move to another server.
    Move,
    /// Moving waits no longer for answers.
    MoveNow,
    /// Ask for a token for this session again: the last attempt failed, or the provider does not answer.
    Renew,
    /// Fetch again after a failure.
    Fetch,
    /// Unsubscribe again after a refusal.
    Unsubscribe,
    /// Say again what is shown, after a refusal.
    Show,
    /// Say again who is watched, after a refusal.
    Watch,
    /// Ask again for those of whom there was a sign.
    Signs,
    /// Say how far the user has come in a conversation again, or forget it.
    Mark(Name),
    /// Ask for marks that were missed again, after a refusal.
    Marks,
    /// Ask for all conversations again, after a refusal.
    All,
    /// Give up a request.
    Deadline(Ticket),
    /// Repeat a request.
    Retry(Ticket),
    /// Let a conversation's sends go on.
    Lane(Name),
    /// Ask for one conversation again.
    Subscription(Name),
    /// The application's patience with closing is over.
    Close,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Duration, Timer)>,
    at: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets the time of this purpose, instead of an earlier one.
    pub(crate) fn set(&mut self, timer: Timer, at: Duration) {
        self.cancel(&timer);
        self.at.insert(timer.clone(), at);
        self.queue.insert((at, timer));
    }

    pub(crate) fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, at)) = self.at.remove_entry(timer) {
            self.queue.remove(&(at, timer));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.at.clear();
    }

    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.at.contains_key(timer)
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one that is due, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.queue.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }
}
