//! The link between doors and the owner of conversations, with a limit on either way: requests are refused, events give
//! way to one head mark per conversation. Carries batches; when they arrive is not decided here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use switchyard_cluster::link::{Delivery, EdgeLink, LinkFull, Request};
use switchyard_cluster::trace::Instance;
use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::shard::Shard;

/// What lies between one door and the owner.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    /// Requests handed over by the door and not on their way.
    pub(crate) requests: Vec<Request>,
    /// Requests that may wait.
    requests_max: usize,
    /// Requests on their way or waiting at the owner.
    pub(crate) requests_waiting: usize,
    /// What arrived at the door and was not taken.
    pub(crate) deliveries: Vec<Delivery>,
    outgoing: Vec<Delivery>,
    /// Bytes of events sent and not taken.
    event_bytes: usize,
    /// Bytes of events that may wait.
    event_bytes_max: usize,
    marks: BTreeMap<ConversationKey, u64>,
    /// Requests that found no room.
    pub(crate) refused: u64,
    /// Events that gave way.
    pub(crate) given_way: u64,
}

impl Ways {
    pub(crate) fn new(requests_max: usize, event_bytes_max: usize) -> Self {
        Self { requests_max, event_bytes_max, ..Self::default() }
    }

    /// The owner sends; answers always go.
    pub(crate) fn send(&mut self, delivery: Delivery) {
        if let Delivery::Event(event) = &delivery {
            if self.event_bytes > self.event_bytes_max {
                self.marks.insert(event.key.clone(), event.seq);
                self.given_way += 1;
                return;
            }
            self.event_bytes += event.frame.len();
        }
        self.outgoing.push(delivery);
    }

    /// The owner's turn ends: what is to be carried.
    pub(crate) fn flush(&mut self) -> Vec<Delivery> {
        let marks = std::mem::take(&mut self.marks);
        self.outgoing.extend(marks.into_iter().map(|(key, head)| Delivery::Head { key, head }));
        std::mem::take(&mut self.outgoing)
    }
}

/// A door's end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link(pub(crate) Rc<RefCell<Ways>>);

impl EdgeLink for Link {
    fn instance(&self) -> Instance {
        Instance::new([0; 6])
    }

    fn send(&mut self, _: Shard, request: Request) -> Result<(), LinkFull> {
        let mut ways = self.0.borrow_mut();
        if ways.requests.len() + ways.requests_waiting >= ways.requests_max {
            ways.refused += 1;
            return Err(LinkFull);
        }
        ways.requests.push(request);
        Ok(())
    }

    fn flush(&mut self) {}

    fn receive(&mut self, into: &mut Vec<Delivery>) {
        let mut ways = self.0.borrow_mut();
        ways.event_bytes = 0;
        into.append(&mut ways.deliveries);
    }
}
