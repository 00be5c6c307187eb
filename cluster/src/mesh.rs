//! The link within one process: queues between workers, nothing encoded. A shard lives on the worker
//! `shard % workers`; an edge worker and a router worker with the same number share a thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::shard::Shard;

use crate::link::{Delivery, EdgeId, EdgeLink, LinkFull, Request, RouterLink};
use crate::mailbox::{Bell, Mailbox};

/// Requests that may wait for one router worker. At a microsecond or two each this is a tenth of a second of work; more
/// would only be answered later than its sender cares.
pub const REQUESTS_WAITING_MAX: usize = 65_536;

/// Bytes of events that may wait for one edge worker, before they give way to head marks.
pub const EVENT_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;

/// What one worker is sent.
struct Hub {
    requests: Mailbox<Request>,
    deliveries: Mailbox<Delivery>,
    event_bytes: AtomicUsize,
}

/// The edge's end of the in-process link.
pub struct MeshEdge {
    at: usize,
    hubs: Arc<[Hub]>,
    outgoing: Vec<Vec<Request>>,
}

/// The router's end of the in-process link.
pub struct MeshRouter {
    at: usize,
    hubs: Arc<[Hub]>,
    outgoing: Vec<Vec<Delivery>>,
    outgoing_bytes: Vec<usize>,
    /// Per edge, the conversations whose events gave way, with their newest number.
    marks: Vec<HashMap<ConversationKey, u64, foldhash::fast::RandomState>>,
}

/// Joins the workers behind these bells: an edge's and a router's end for each, in the same order.
pub fn join(bells: &[Arc<Bell>]) -> Vec<(MeshEdge, MeshRouter)> {
    let hubs: Arc<[Hub]> = bells
        .iter()
        .map(|bell| Hub {
            requests: Mailbox::new(Arc::clone(bell)),
            deliveries: Mailbox::new(Arc::clone(bell)),
            event_bytes: AtomicUsize::new(0),
        })
        .collect();
    let n = hubs.len();
    (0..n)
        .map(|at| {
            let edge = MeshEdge { at, hubs: Arc::clone(&hubs), outgoing: (0..n).map(|_| Vec::new()).collect() };
            let router = MeshRouter {
                at,
                hubs: Arc::clone(&hubs),
                outgoing: (0..n).map(|_| Vec::new()).collect(),
                outgoing_bytes: vec![0; n],
                marks: (0..n).map(|_| HashMap::default()).collect(),
            };
            (edge, router)
        })
        .collect()
}

/// The worker on which a shard lives.
pub fn worker_of(shard: Shard, workers: usize) -> usize {
    usize::from(shard.number()) % workers.max(1)
}

impl EdgeLink for MeshEdge {
    fn send(&mut self, shard: Shard, request: Request) -> Result<(), LinkFull> {
        let to = worker_of(shard, self.hubs.len());
        // The count of those already handed over is looked at in flush; here the own part is enough to stay bounded.
        if self.outgoing[to].len() >= REQUESTS_WAITING_MAX {
            return Err(LinkFull);
        }
        self.outgoing[to].push(request);
        Ok(())
    }

    fn flush(&mut self) {
        for (at, (hub, batch)) in self.hubs.iter().zip(&mut self.outgoing).enumerate() {
            // Kept here while the router is behind: then `send` refuses once this part is full too.
            if batch.is_empty() || hub.requests.len() >= REQUESTS_WAITING_MAX {
                continue;
            }
            if at == self.at {
                hub.requests.post_own(batch);
            } else {
                hub.requests.post(batch);
            }
        }
    }

    fn receive(&mut self, into: &mut Vec<Delivery>) {
        let hub = &self.hubs[self.at];
        hub.deliveries.take(into);
        hub.event_bytes.store(0, Relaxed);
    }
}

impl RouterLink for MeshRouter {
    fn receive(&mut self, into: &mut Vec<Request>) {
        self.hubs[self.at].requests.take(into);
    }

    fn send(&mut self, edge: EdgeId, delivery: Delivery) {
        let to = usize::from(edge.0);
        let Some(hub) = self.hubs.get(to) else { return };
        if let Delivery::Event(event) = &delivery {
            let waiting = hub.event_bytes.load(Relaxed) + self.outgoing_bytes[to];
            // Who is put out by an event is known from it alone: a mark in its place would leave them reading. It goes,
            // behind the mark for what gave way before it.
            if waiting > EVENT_BYTES_WAITING_MAX && event.removed.is_empty() {
                self.marks[to].insert(event.key.clone(), event.seq);
                return;
            }
            if let Some(head) = self.marks[to].remove(&event.key) {
                self.outgoing[to].push(Delivery::Head { key: event.key.clone(), head });
            }
            self.outgoing_bytes[to] += event.frame.len();
        }
        self.outgoing[to].push(delivery);
    }

    fn flush(&mut self) {
        for (at, hub) in self.hubs.iter().enumerate() {
            for (key, head) in self.marks[at].drain() {
                self.outgoing[at].push(Delivery::Head { key, head });
            }
            hub.event_bytes.fetch_add(std::mem::take(&mut self.outgoing_bytes[at]), Relaxed);
            if at == self.at {
                hub.deliveries.post_own(&mut self.outgoing[at]);
            } else {
                hub.deliveries.post(&mut self.outgoing[at]);
            }
        }
    }
}
