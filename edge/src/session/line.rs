//! Requests whose answers are pages wait here for room, so that one client makes the server hold one page at a time
//! beside what its socket has not taken. Keeps order; whether there is room is for its user to say.

use std::collections::VecDeque;

use switchyard_cluster::home::HomeAsk;
use switchyard_cluster::link::{Ask, Request};

use super::ticket::Ticket;

/// A session's pages: those that wait, and the one that is on its way. How many may wait is the session's limit on pages.
#[derive(Debug, Default)]
pub struct PageLine {
    waiting: VecDeque<Request>,
    /// Questions that have no answer yet: one page's.
    asked: u16,
    /// Of which gathering they are parts; a page of history or members is none's.
    gathering: Option<u32>,
}

impl PageLine {
    /// Whether the answer to this is a page, or a part of one.
    pub fn is_for(request: &Request) -> bool {
        match &request.ask {
            Ask::History(_) | Ask::Members { .. } | Ask::Marks(_) => true,
            Ask::Home(HomeAsk::List(_) | HomeAsk::Blocks(_)) => true,
            Ask::Subscribe(ask) => ask.after.is_some(),
            _ => false,
        }
    }

    /// One more, behind all others.
    pub fn put(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Whether the next may be asked for if there is room: the page before is there, or is the same one.
    pub fn is_next_due(&self) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        self.asked == 0 || (self.gathering.is_some() && self.gathering == gathering_of(next))
    }

    /// The next, to be asked for now.
    pub fn take_next(&mut self) -> Option<Request> {
        let next = if self.is_next_due() { self.waiting.pop_front() } else { None }?;
        self.asked += 1;
        self.gathering = gathering_of(&next);
        Some(next)
    }

    /// This question has its answer. Those of other requests are no business of the line's.
    pub fn answered(&mut self, ticket: Ticket) {
        let own = match ticket {
            Ticket::Single { kind, .. } => self.gathering.is_none() && kind.pages() > 0,
            Ticket::Part { gathering, .. } => self.gathering == Some(gathering),
        };
        if own {
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// Whether nothing waits or is on its way.
    pub fn is_empty(&self) -> bool {
        self.asked == 0 && self.waiting.is_empty()
    }
}

fn gathering_of(request: &Request) -> Option<u32> {
    match Ticket::of(&request.from) {
        Ticket::Part { gathering, .. } => Some(gathering),
        Ticket::Single { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use switchyard_cluster::link::{HistoryAsk, PageFrom, SubscribeAsk};
    use switchyard_cluster::party::{Asker, EdgeId};
    use switchyard_protocol::id::{ConversationId, ConversationKey, TenantId, UserId};

    use super::*;
    use crate::session::RequestKind;

    fn request(ticket: Ticket, ask: Ask) -> Request {
        let tenant = TenantId::new("t").expect("a valid id");
        Request {
            from: Asker { session: 1, request: ticket.id(), ticket: ticket.pack(), ..Asker::edge(EdgeId(0)) },
            key: ConversationKey { tenant, conversation: ConversationId::from_bytes([1; 16]) },
            user: UserId::new("u").expect("a valid id"),
            ask,
        }
    }

    #[test]
    fn one_page_is_on_its_way_at_a_time_and_a_resume_is_one() {
        let page = |id| Ticket::Single { id, kind: RequestKind::History };
        let part = |gathering, part| Ticket::Part { id: 0, gathering, part };
        let history = || Ask::History(HistoryAsk { from: PageFrom::Newest, limit: 1 });
        let resume = || Ask::Subscribe(SubscribeAsk { after: Some(1), events_max: 1, bytes_max: 1 });
        let mut line = PageLine::default();
        let all = [page(1), part(0, 0), part(0, 1), part(1, 0), page(2)];
        for ticket in all {
            line.put(request(ticket, if matches!(ticket, Ticket::Part { .. }) { resume() } else { history() }));
        }
        let take = |line: &mut PageLine| {
            std::iter::from_fn(|| line.take_next().map(|it| Ticket::of(&it.from))).collect::<Vec<_>>()
        };
        assert_eq!(take(&mut line), [page(1)]);
        line.answered(Ticket::Single { id: 9, kind: RequestKind::Send });
        line.answered(part(0, 0));
        assert_eq!(take(&mut line), [], "those were others' answers");
        line.answered(page(1));
        assert_eq!(take(&mut line), [part(0, 0), part(0, 1)]);
        line.answered(part(0, 1));
        assert_eq!(take(&mut line), []);
        line.answered(part(0, 0));
        assert_eq!(take(&mut line), [part(1, 0)]);
        line.answered(part(1, 0));
        assert_eq!(take(&mut line), [page(2)]);
        assert!(!line.is_empty());
        line.answered(page(2));
        assert!(line.is_empty());
    }
}
