//! Answers that there is nothing to be seen. They come from a conversation that exists, too, to whoever is no member of it, and
//! how long its owner took to say so would tell: one that is not in memory is read first. So the client gets each of them at
//! the same time after it asked. Those that are parts of a reply their session keeps itself, for it has to act on them at once.

use std::collections::BTreeMap;
use std::time::Duration;

use switchyard_cluster::link::{Answer, EdgeLink};
use switchyard_cluster::now::Now;
use switchyard_cluster::party::Asker;
use switchyard_protocol::code::ErrorCode;

use super::Door;
use super::connection::ConnectionId;
use crate::session::{Ticket, UNSEEN_AFTER, asked_at};

/// Those that wait. No more than there are requests under way.
#[derive(Default)]
pub(super) struct Unseen {
    /// In the order in which they are given: that in which they became known tells something, too.
    waiting: BTreeMap<Place, (Asker, Answer)>,
    next: u64,
}

/// When an answer is due, to which session, and which of its requests it is for; then numbered.
type Place = (Duration, u64, u64, u64);

impl Unseen {
    /// Keeps an answer until it is due, if it says that there is nothing; gives back any other.
    fn hold(&mut self, to: Asker, answer: Answer, now: Duration) -> Option<Answer> {
        let nothing = matches!(&answer, Answer::Refused(refusal) if refusal.code == ErrorCode::NotFound);
        if !nothing || !matches!(Ticket::of(&to), Ticket::Single { .. }) {
            return Some(answer);
        }
        // By when it was asked alone.
        let due = asked_at(&to, now) + UNSEEN_AFTER;
        if due <= now {
            return Some(answer);
        }
        self.waiting.insert((due, to.session, to.request, self.next), (to, answer));
        self.next += 1;
        None
    }

    /// One that is due.
    fn take_due(&mut self, now: Duration) -> Option<(Asker, Answer)> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the first is due.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, ..), _)| *due)
    }
}

impl<L: EdgeLink> Door<L> {
    /// An owner has answered. What waited for that is asked for now, whenever the client is told.
    pub(super) fn on_answer(&mut self, to: Asker, answer: Answer, now: Now) {
        let id = ConnectionId::from_number(to.session);
        self.answered(id, Ticket::of(&to));
        match self.unseen.hold(to, answer, now.mono) {
            Some(answer) => self.answer(to, answer, now),
            None => self.ask_pages(id.slot(), now),
        }
    }

    /// Gives the answers that are due.
    pub(super) fn tell_unseen(&mut self, now: Now) {
        while let Some((to, answer)) = self.unseen.take_due(now.mono) {
            self.answer(to, answer, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use switchyard_cluster::link::Refusal;
    use switchyard_cluster::party::EdgeId;

    use super::*;
    use crate::session::{RequestKind, ask_at};

    const NOTHING: Answer = Answer::Refused(Refusal::NOT_FOUND);

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn asker(request: u64, asked: Duration) -> Asker {
        let ticket = Ticket::Single { id: request, kind: RequestKind::Get }.pack();
        let mut asker = Asker { session: 1, request, ticket, ..Asker::edge(EdgeId(0)) };
        ask_at(&mut asker, asked);
        asker
    }

    /// What a client sees of requests that are asked and answered at these times: which is answered when.
    fn seen(requests: &[(u64, u64, u64)]) -> Vec<(u64, Duration)> {
        let (mut unseen, mut seen) = (Unseen::default(), Vec::new());
        for (request, asked, answered) in requests {
            let to = asker(*request, us(*asked));
            assert!(unseen.hold(to, NOTHING, us(*answered)).is_none(), "{request} is answered at once");
        }
        while let Some(due) = unseen.deadline() {
            assert!(unseen.take_due(due - us(1)).is_none());
            seen.extend(unseen.take_due(due).map(|(to, _)| (to.request, due)));
        }
        seen
    }

    #[test]
    fn when_and_in_which_order_tells_nothing_of_what_the_owner_did() {
        let same = seen(&[(1, 7_100, 7_200), (2, 7_150, 7_250), (3, 9_900, 10_000)]);
        assert_eq!(same, [(1, us(32_000)), (2, us(32_000)), (3, us(34_000))]);
        assert_eq!(seen(&[(2, 7_150, 7_160), (3, 9_900, 31_000), (1, 7_100, 31_999)]), same);
    }

    #[test]
    fn everything_else_is_answered_at_once() {
        let mut unseen = Unseen::default();
        let forbidden = Answer::Refused(Refusal::new(ErrorCode::Forbidden, "no"));
        assert!(unseen.hold(asker(1, us(0)), forbidden, us(1)).is_some());
        assert!(unseen.hold(asker(1, us(0)), NOTHING, us(25_000)).is_some(), "it is late already");
        let part = Ticket::Part { id: 1, gathering: 0, part: 0 }.pack();
        assert!(unseen.hold(Asker { ticket: part, ..asker(1, us(0)) }, NOTHING, us(1)).is_some());
        assert_eq!(unseen.deadline(), None);
    }
}
