//! One sender's messages from the moment they are due until nothing more is expected of them.
//!
//! A message leaves when its outcome is known and every reader that was due it has it. Until then it may be sent again,
//! under the same client id and with the same `since`.

use std::collections::VecDeque;

/// What is known of a message's outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// To be sent as soon as there is a connection with room.
    Waiting,
    /// Sent on this connection, not answered yet.
    Flying,
    /// Answered with "unknown": sent again after a pause.
    Held,
    /// Acknowledged.
    Acked,
    /// Refused for good.
    Refused,
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    /// When it was due, in nanoseconds of the run.
    pub intended: u64,
    /// The head that was acknowledged to anybody before it was first sent; its number must be above.
    pub since: u64,
    /// Readers that do not have it yet.
    pub remaining: u32,
    /// What is known of it.
    pub outcome: Outcome,
    /// Sent before, with no definite answer: it may be stored already.
    pub unsure: bool,
    /// It was sent once at least, and `since` is fixed.
    pub sent: bool,
    /// It was sent more than once, and may be told that it had been stored before.
    pub again: bool,
}

impl Flight {
    /// Whether its outcome is still open.
    pub fn is_unanswered(&self) -> bool {
        !matches!(self.outcome, Outcome::Acked | Outcome::Refused)
    }

    fn is_over(&self) -> bool {
        match self.outcome {
            Outcome::Acked => self.remaining == 0,
            Outcome::Refused => true,
            Outcome::Waiting | Outcome::Flying | Outcome::Held => false,
        }
    }
}

/// A sender's messages under way, by their count.
#[derive(Debug, Default)]
pub struct Outbox {
    first: u64,
    flights: VecDeque<Flight>,
    /// Where to look for the next one to send.
    cursor: u64,
    /// Sent on this connection and not answered.
    pub flying: usize,
}

impl Outbox {
    /// A new message; its count among the sender's.
    pub fn push(&mut self, intended: u64, readers: u32) -> u64 {
        self.flights.push_back(Flight {
            intended,
            since: 0,
            remaining: readers,
            outcome: Outcome::Waiting,
            unsure: false,
            sent: false,
            again: false,
        });
        self.end() - 1
    }

    /// Messages so far.
    pub fn end(&self) -> u64 {
        self.first + self.flights.len() as u64
    }

    /// The message, if something is still expected of it.
    pub fn get_mut(&mut self, count: u64) -> Option<&mut Flight> {
        let at = count.checked_sub(self.first)?;
        self.flights.get_mut(usize::try_from(at).ok()?)
    }

    /// The next message to send.
    pub fn next_waiting(&mut self) -> Option<(u64, &mut Flight)> {
        let first = self.first;
        self.cursor = self.cursor.max(first);
        loop {
            let count = self.cursor;
            let at = usize::try_from(count - first).ok()?;
            if self.flights.get(at)?.outcome == Outcome::Waiting {
                return self.flights.get_mut(at).map(|flight| (count, flight));
            }
            self.cursor += 1;
        }
    }

    /// Lets go of the messages at the front of which nothing more is expected.
    pub fn trim(&mut self) {
        while self.flights.front().is_some_and(Flight::is_over) {
            self.flights.pop_front();
            self.first += 1;
        }
    }

    /// A held message may be sent again.
    pub fn release(&mut self, count: u64) {
        if let Some(flight) = self.get_mut(count)
            && flight.outcome == Outcome::Held
        {
            flight.outcome = Outcome::Waiting;
            self.cursor = self.cursor.min(count);
        }
    }

    /// The connection is gone: what was not answered may be stored or not, and is sent again on the next one.
    pub fn disconnected(&mut self) {
        for flight in &mut self.flights {
            if matches!(flight.outcome, Outcome::Flying | Outcome::Held) {
                flight.outcome = Outcome::Waiting;
                flight.unsure = true;
            }
        }
        self.cursor = self.first;
        self.flying = 0;
    }

    /// The messages of which something is still expected.
    pub fn open(&self) -> impl Iterator<Item = (u64, &Flight)> {
        (self.first..).zip(&self.flights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unanswered_messages_are_sent_again_in_order_and_answered_ones_are_not() {
        let mut outbox = Outbox::default();
        for n in 0..4 {
            assert_eq!(outbox.push(n, 1), n);
            let (count, flight) = outbox.next_waiting().expect("one waits");
            assert_eq!(count, n);
            flight.outcome = Outcome::Flying;
        }
        assert!(outbox.next_waiting().is_none());
        outbox.get_mut(1).expect("there").outcome = Outcome::Acked;
        outbox.disconnected();
        let mut again = Vec::new();
        while let Some((count, flight)) = outbox.next_waiting() {
            assert!(flight.unsure);
            flight.outcome = Outcome::Flying;
            again.push(count);
        }
        assert_eq!(again, [0, 2, 3]);
    }

    #[test]
    fn a_message_stays_until_its_last_reader_has_it() {
        let mut outbox = Outbox::default();
        outbox.push(0, 2);
        outbox.get_mut(0).expect("there").outcome = Outcome::Acked;
        outbox.trim();
        for _ in 0..2 {
            outbox.get_mut(0).expect("still there").remaining -= 1;
        }
        outbox.trim();
        assert!(outbox.get_mut(0).is_none());
        assert_eq!(outbox.end(), 1);
    }
}
