//! The link within one process: queues between workers, nothing encoded. A shard lives on the worker
//! `shard % workers`; an edge worker and a router worker with the same number share a thread.

use std::collections::HashMap;
use std::sync::Arc;

use switchyard_protocol::id::ConversationKey;
use switchyard_protocol::shard::Shard;

use crate::home::Survey;
use crate::link::{Delivery, EdgeLink, LinkFull, MarksNow, Request, RouterLink, TypersNow};
use crate::mailbox::{Bell, Mailbox};
use crate::party::EdgeId;
use crate::presence::{Census, PresenceNow};
use crate::routers::RouterMessage;
use crate::trace::Instance;

/// Requests that may wait for one router worker. At a microsecond or two each this is a tenth of a second of work; more
/// would only be answered later than its sender cares.
pub const REQUESTS_WAITING_MAX: usize = 65_536;

/// Bytes of requests that may wait for one router worker: a thousand of the largest, and far more than the number above
/// in ordinary ones.
pub const REQUEST_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;

/// Bytes of events and answers that may wait for one edge worker, before events give way to head marks.
pub const EVENT_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;

/// Bytes of events and answers that may wait for one edge worker before it asks for nothing more. Answers always go, so
/// the only way to have fewer of them is to ask for fewer. Above the limit of events, for those give way by themselves.
pub const ANSWER_BYTES_WAITING_MAX: usize = 2 * EVENT_BYTES_WAITING_MAX;

/// Notices that may wait for one router worker: of a group of the largest size, six. What is more, homes read again.
pub const NOTICES_WAITING_MAX: usize = 65_536;

/// What one worker is sent.
struct Hub {
    requests: Mailbox<Request>,
    told: Mailbox<RouterMessage>,
    deliveries: Mailbox<Delivery>,
}

/// The edge's end of the in-process link.
pub struct MeshEdge {
    instance: Instance,
    at: usize,
    hubs: Arc<[Hub]>,
    outgoing: Vec<Vec<Request>>,
    outgoing_bytes: Vec<usize>,
}

/// The router's end of the in-process link.
pub struct MeshRouter {
    instance: Instance,
    at: usize,
    hubs: Arc<[Hub]>,
    outgoing: Vec<Vec<Delivery>>,
    outgoing_bytes: Vec<usize>,
    /// Per edge, the conversations whose events gave way, with their newest number.
    marks: Vec<HashMap<ConversationKey, u64, foldhash::fast::RandomState>>,
    /// Per edge, who types where, as far as that waits for room.
    typing: Vec<HashMap<ConversationKey, Box<TypersNow>, foldhash::fast::RandomState>>,
    /// Per edge, how far members have come, as far as that waits for room.
    progress: Vec<HashMap<ConversationKey, Box<MarksNow>, foldhash::fast::RandomState>>,
    /// Per edge, who is online, as far as that waits for room.
    presence: Vec<HashMap<ConversationKey, Box<PresenceNow>, foldhash::fast::RandomState>>,
    /// Per router, what is told in this turn.
    telling: Vec<Vec<RouterMessage>>,
    /// Per router, whether a notice gave way.
    missed: Vec<bool>,
}

/// Joins the workers of a process behind these bells: an edge's and a router's end for each, in the same order.
pub fn join(bells: &[Arc<Bell>], instance: Instance) -> Vec<(MeshEdge, MeshRouter)> {
    let hubs: Arc<[Hub]> = bells
        .iter()
        .map(|bell| Hub {
            requests: Mailbox::new(Arc::clone(bell)),
            told: Mailbox::new(Arc::clone(bell)),
            deliveries: Mailbox::new(Arc::clone(bell)),
        })
        .collect();
    let n = hubs.len();
    (0..n)
        .map(|at| {
            let edge = MeshEdge {
                instance,
                at,
                hubs: Arc::clone(&hubs),
                outgoing: (0..n).map(|_| Vec::new()).collect(),
                outgoing_bytes: vec![0; n],
            };
            let router = MeshRouter {
                instance,
                at,
                hubs: Arc::clone(&hubs),
                outgoing: (0..n).map(|_| Vec::new()).collect(),
                outgoing_bytes: vec![0; n],
                marks: (0..n).map(|_| HashMap::default()).collect(),
                typing: (0..n).map(|_| HashMap::default()).collect(),
                progress: (0..n).map(|_| HashMap::default()).collect(),
                presence: (0..n).map(|_| HashMap::default()).collect(),
                telling: (0..n).map(|_| Vec::new()).collect(),
                missed: vec![false; n],
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
    fn instance(&self) -> Instance {
        self.instance
    }

    fn send(&mut self, shard: Shard, request: Request) -> Result<(), LinkFull> {
        let to = worker_of(shard, self.hubs.len());
        // The count of those already handed over is looked at in flush; here the own part is enough to stay bounded.
        let is_full = self.outgoing[to].len() >= REQUESTS_WAITING_MAX
            || self.outgoing_bytes[to] >= REQUEST_BYTES_WAITING_MAX
            || self.hubs[self.at].deliveries.bytes() >= ANSWER_BYTES_WAITING_MAX;
        if is_full {
            return Err(LinkFull);
        }
        self.outgoing_bytes[to] += request.bytes();
        self.outgoing[to].push(request);
        Ok(())
    }

    fn flush(&mut self) {
        for (at, (hub, batch)) in self.hubs.iter().zip(&mut self.outgoing).enumerate() {
            // Kept here while the router is behind: then `send` refuses once this part is full too.
            let is_behind =
                || hub.requests.bytes() >= REQUEST_BYTES_WAITING_MAX || hub.requests.len() >= REQUESTS_WAITING_MAX;
            if batch.is_empty() || is_behind() {
                continue;
            }
            let bytes = std::mem::take(&mut self.outgoing_bytes[at]);
            if at == self.at {
                hub.requests.post_own_weighing(batch, bytes);
            } else {
                hub.requests.post_weighing(batch, bytes);
            }
        }
    }

    fn receive(&mut self, into: &mut Vec<Delivery>) {
        self.hubs[self.at].deliveries.take(into);
    }

    fn rest(&mut self) {
        self.outgoing.iter_mut().for_each(Vec::shrink_to_fit);
        let Hub { requests, told, deliveries } = &self.hubs[self.at];
        requests.rest();
        told.rest();
        deliveries.rest();
    }
}

impl MeshRouter {
    /// Splits a survey by the workers that own its conversations.
    fn survey(&mut self, survey: Survey) {
        let Survey { home, number, roles, conversations, wish } = survey;
        let mut parts: Vec<Vec<_>> = vec![Vec::new(); self.hubs.len()];
        for conversation in conversations {
            let key = ConversationKey { tenant: home.key.tenant.clone(), conversation };
            parts[worker_of(Shard::of_conversation(&key), self.hubs.len())].push(conversation);
        }
        for (to, conversations) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            let part = Survey { home: home.clone(), number, roles, conversations, wish: wish.clone() };
            self.telling[to].push(RouterMessage::Survey(part));
        }
    }

    /// Splits a census by the workers on which the users' homes are.
    fn census(&mut self, census: Census) {
        let Census { key, number, users } = census;
        let mut parts: Vec<Vec<_>> = vec![Vec::new(); self.hubs.len()];
        for user in users {
            parts[worker_of(Shard::of_user(&key.tenant, &user), self.hubs.len())].push(user);
        }
        for (to, users) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            self.telling[to].push(RouterMessage::Census(Census { key: key.clone(), number, users }));
        }
    }

    /// Before anything else of the turn: whoever is answered finds told what the answer says.
    fn flush_told(&mut self) {
        for (at, hub) in self.hubs.iter().enumerate() {
            if std::mem::take(&mut self.missed[at]) {
                self.telling[at].push(RouterMessage::Missed);
            }
            // To itself too it is news, for it has taken what was there.
            hub.told.post(&mut self.telling[at]);
        }
    }
}

impl RouterLink for MeshRouter {
    fn instance(&self, _: EdgeId) -> Instance {
        self.instance
    }

    fn receive(&mut self, into: &mut Vec<Request>) {
        self.hubs[self.at].requests.take(into);
    }

    fn receive_told(&mut self, into: &mut Vec<RouterMessage>) {
        self.hubs[self.at].told.take(into);
    }

    fn tell(&mut self, message: RouterMessage) {
        let message = match message {
            RouterMessage::Survey(survey) => return self.survey(survey),
            RouterMessage::Census(census) => return self.census(census),
            other => other,
        };
        let Some(shard) = message.shard() else { return };
        let to = worker_of(shard, self.hubs.len());
        if matches!(message, RouterMessage::Member(_))
            && self.telling[to].len() + self.hubs[to].told.len() >= NOTICES_WAITING_MAX
        {
            self.missed[to] = true;
            return;
        }
        self.telling[to].push(message);
    }

    fn send(&mut self, edge: EdgeId, delivery: Delivery) {
        let to = usize::from(edge.0);
        let Some(hub) = self.hubs.get(to) else { return };
        let delivery = match delivery {
            Delivery::Typing(now) => {
                // Let go at the end of the turn, behind everything else, if there is room by then.
                self.typing[to].insert(now.key.clone(), now);
                return;
            }
            Delivery::Marks(now) => {
                match self.progress[to].get_mut(&now.key) {
                    Some(waiting) => waiting.join(*now),
                    None => {
                        self.progress[to].insert(now.key.clone(), now);
                    }
                }
                return;
            }
            Delivery::Presence(now) => {
                self.presence[to].insert(now.key.clone(), now);
                return;
            }
            other => other,
        };
        if let Delivery::Event(event) = &delivery {
            let waiting = hub.deliveries.bytes() + self.outgoing_bytes[to];
            // Who is put out by an event is known from it alone: a mark in its place would leave them reading. It goes,
            // behind the mark for what gave way before it.
            if waiting > EVENT_BYTES_WAITING_MAX && !event.puts_out_any() {
                self.marks[to].insert(event.key.clone(), event.seq);
                return;
            }
            if let Some(head) = self.marks[to].remove(&event.key) {
                self.outgoing[to].push(Delivery::Head { key: event.key.clone(), head });
            }
        }
        self.outgoing_bytes[to] += delivery.bytes();
        self.outgoing[to].push(delivery);
    }

    fn flush(&mut self) {
        self.flush_told();
        for (at, hub) in self.hubs.iter().enumerate() {
            for (key, head) in self.marks[at].drain() {
                self.outgoing[at].push(Delivery::Head { key, head });
            }
            let idle = self.typing[at].is_empty() && self.progress[at].is_empty() && self.presence[at].is_empty();
            if !idle && hub.deliveries.bytes() + self.outgoing_bytes[at] <= EVENT_BYTES_WAITING_MAX {
                let typing = self.typing[at].drain().map(|(_, now)| Delivery::Typing(now));
                let progress = self.progress[at].drain().map(|(_, now)| Delivery::Marks(now));
                let presence = self.presence[at].drain().map(|(_, now)| Delivery::Presence(now));
                for delivery in typing.chain(progress).chain(presence) {
                    self.outgoing_bytes[at] += delivery.bytes();
                    self.outgoing[at].push(delivery);
                }
            }
            let bytes = std::mem::take(&mut self.outgoing_bytes[at]);
            if at == self.at {
                hub.deliveries.post_own_weighing(&mut self.outgoing[at], bytes);
            } else {
                hub.deliveries.post_weighing(&mut self.outgoing[at], bytes);
            }
        }
    }
}
